package main

import (
	"context"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
	"google.golang.org/protobuf/types/known/emptypb"
)

// How long a Python process may take to end after SIGTERM before it is killed.
const stopGrace = 5 * time.Second

// host implements the LanguageRuntime service. What it does not implement is code generation (`pulumi convert`,
// `pulumi package add`, generated code on import): the embedded server answers these calls with "unimplemented".
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer

	runner  string // the path of Pulumi's script that runs a program inside a configured Python process
	tracing string // where programs send their traces, or empty

	mutex         sync.Mutex // guards all below
	engineAddress string
	stopped       context.Context // ends when the engine cancels; every Python process ends with it
	stop          context.CancelFunc
}

func newHost(engineAddress, runner, tracing string) *host {
	stopped, stop := context.WithCancel(context.Background())
	return &host{runner: runner, tracing: tracing, engineAddress: engineAddress, stopped: stopped, stop: stop}
}

func (h *host) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.engineAddress = request.EngineAddress
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) engine() string {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.engineAddress
}

// Cancel ends every Python process that runs for the engine; their calls then return an error.
func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.stopAll()
	return &emptypb.Empty{}, nil
}

func (h *host) stopAll() {
	h.stop()
}

// untilStopped derives a context that also ends when the host is told to stop.
func (h *host) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(h.stopped, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}

// stopPolitely makes the end of a command's context a SIGTERM first, so that Python can flush and clean up, and ties
// the command's life to this process.
func stopPolitely(command *exec.Cmd) {
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopGrace
	command.SysProcAttr = dieWithParent()
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

func (h *host) About(ctx context.Context, request *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	python, err := toolchainOf(request.Info)
	if err != nil {
		return nil, err
	}
	about, err := python.About(ctx)
	if err != nil {
		return nil, err
	}
	return &pulumirpc.AboutResponse{Executable: about.PythonExecutable, Version: about.PythonVersion.String()}, nil
}

func (h *host) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	python, err := toolchainOf(request.Info)
	if err != nil {
		return nil, err
	}
	packages, err := python.ListPackages(ctx, request.TransitiveDependencies)
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, dependency := range packages {
		response.Dependencies = append(response.Dependencies,
			&pulumirpc.DependencyInfo{Name: dependency.Name, Version: dependency.Version})
	}
	return response, nil
}

// InstallDependencies installs what the program's files list; a plugin is installed itself as well, because it is
// then run as a module.
func (h *host) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, server pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	ctx, done := h.untilStopped(server.Context())
	defer done()
	python, err := toolchainOf(request.Info)
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(server, request.IsTerminal)
	if err != nil {
		return err
	}
	folder := request.Info.ProgramDirectory
	err = python.InstallDependencies(ctx, folder, request.UseLanguageVersionTools, true, stdout, stderr)
	if err == nil && request.IsPlugin {
		var installable bool
		if installable, err = toolchain.IsBuildablePackage(folder); err == nil && installable {
			err = python.InstallPackage(ctx, folder, request.UseLanguageVersionTools, true, stdout, stderr)
		}
	}
	if closeError := closer.Close(); err == nil {
		err = closeError
	}
	return err
}

// RuntimeOptionsPrompts asks, in `pulumi new`, for the one option that has no default: how packages are installed.
func (h *host) RuntimeOptionsPrompts(
	_ context.Context, request *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	if _, chosen := request.Info.GetOptions().GetFields()["toolchain"]; chosen {
		return &pulumirpc.RuntimeOptionsResponse{}, nil
	}
	prompt := &pulumirpc.RuntimeOptionPrompt{
		Key:         "toolchain",
		Description: "The toolchain to use for installing dependencies and running the program",
		PromptType:  pulumirpc.RuntimeOptionPrompt_STRING,
	}
	for _, name := range toolchainNames() {
		prompt.Choices = append(prompt.Choices, &pulumirpc.RuntimeOptionPrompt_RuntimeOptionValue{
			PromptType: pulumirpc.RuntimeOptionPrompt_STRING, StringValue: name, DisplayName: name,
		})
	}
	prompt.Default = prompt.Choices[0]
	return &pulumirpc.RuntimeOptionsResponse{Prompts: []*pulumirpc.RuntimeOptionPrompt{prompt}}, nil
}

// Template turns a template's requirements.txt into what the chosen toolchain reads.
func (h *host) Template(
	ctx context.Context, request *pulumirpc.TemplateRequest,
) (*pulumirpc.TemplateResponse, error) {
	python, err := toolchainOf(request.Info)
	if err != nil {
		return nil, err
	}
	folder := request.Info.ProgramDirectory
	if err := python.PrepareProject(ctx, request.ProjectName, folder, false, nil, nil); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", folder, err)
	}
	return &pulumirpc.TemplateResponse{}, nil
}
