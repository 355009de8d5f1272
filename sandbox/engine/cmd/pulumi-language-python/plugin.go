package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	sdk "github.com/pulumi/pulumi/sdk/v3"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// RunPlugin executes a plugin written in Python (a component package or a policy pack) until the engine lets go of it.
func (h *host) RunPlugin(
	request *pulumirpc.RunPluginRequest, server pulumirpc.LanguageRuntime_RunPluginServer,
) error {
	ctx, done := h.untilStopped(server.Context())
	defer done()
	if request.AttachDebugger {
		return errors.New("this language host cannot attach a debugger; Pulumi's own installation can")
	}
	python, err := toolchainOf(request.Info)
	if err != nil {
		return err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return err
	}
	sender := &serialSender{LanguageRuntime_RunPluginServer: server}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(sender, false)
	if err != nil {
		return err
	}
	defer closer.Close()

	plugin := pythonPlugin{python: python, request: request, stdout: stdout, stderr: stderr}
	if request.Kind == string(apitype.AnalyzerPlugin) {
		err = plugin.runPolicyPack(ctx, h.engine())
	} else {
		err = plugin.run(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("running the plugin in %s: %w", request.Info.GetProgramDirectory(), err)
	}
	code := 0
	if exit != nil {
		code = exit.ExitCode()
	}
	return sender.Send(&pulumirpc.RunPluginResponse{Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(code)}})
}

// serialSender lets stdout and stderr share one stream: gRPC forbids two concurrent Sends.
type serialSender struct {
	pulumirpc.LanguageRuntime_RunPluginServer
	mutex sync.Mutex
}

func (s *serialSender) Send(response *pulumirpc.RunPluginResponse) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.LanguageRuntime_RunPluginServer.Send(response)
}

type pythonPlugin struct {
	python         toolchain.Toolchain
	request        *pulumirpc.RunPluginRequest
	stdout, stderr io.Writer
}

// run starts the plugin as a module if its folder is an installable package, else as a folder with a __main__.py.
func (p pythonPlugin) run(ctx context.Context) error {
	program, err := pluginProgram(p.request.Info.GetProgramDirectory())
	if err != nil {
		return err
	}
	command, err := p.command(ctx, append(program, p.request.Args...))
	if err != nil {
		return err
	}
	command.Dir = p.request.Pwd
	return command.Run()
}

// pluginProgram gives Python's arguments for the plugin in a folder. A package is started by name, as its relative
// imports need it; the name is what `pip install` made of it.
func pluginProgram(folder string) ([]string, error) {
	installable, err := toolchain.IsBuildablePackage(folder)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(folder, "__main__.py")); err == nil || !installable {
		return []string{"-u", folder}, nil
	}
	project, err := toolchain.LoadPyproject(folder)
	if err != nil {
		return nil, err
	}
	return []string{"-u", "-m", strings.ReplaceAll(project.Project.Name, "-", "_")}, nil
}

// runPolicyPack starts `python -m pulumi.policy` with the pack as working directory. Packs read the stack from their
// environment, but the engine tells it over gRPC only after a pack has started, so the SDK's proxy stands in between.
func (p pythonPlugin) runPolicyPack(ctx context.Context, engineAddress string) error {
	proxy, packStdout, err := sdk.NewPolicyProxy(ctx, p.stdout)
	if err != nil {
		return err
	}
	stack, err := proxy.AwaitConfiguration(ctx)
	if err != nil {
		return err
	}
	pack := p.request.Info.GetProgramDirectory()
	command, err := p.command(ctx, []string{"-u", "-m", "pulumi.policy", engineAddress, pack})
	if err != nil {
		proxy.Abort(err)
		return err
	}
	environment, err := policyEnvironment(stack)
	if err != nil {
		proxy.Abort(err)
		return err
	}
	command.Dir = pack
	command.Env = append(command.Env, environment...)
	command.Stdout = packStdout
	if err := command.Start(); err != nil {
		proxy.Abort(err)
		return err
	}
	return proxy.Attach(ctx, command)
}

// policyEnvironment tells a pack about its stack as pulumi.policy reads it; stack is nil outside a deployment.
func policyEnvironment(stack *pulumirpc.AnalyzerStackConfigureRequest) ([]string, error) {
	if stack == nil {
		return nil, nil
	}
	environment, err := programEnvironment(&pulumirpc.RunRequest{
		Config: stack.Config, ConfigSecretKeys: stack.ConfigSecretKeys,
	})
	return append(environment,
		"PULUMI_ORGANIZATION="+stack.Organization,
		"PULUMI_PROJECT="+stack.Project,
		"PULUMI_STACK="+stack.Stack,
		"PULUMI_DRY_RUN="+strconv.FormatBool(stack.DryRun),
	), err
}

// command prepares Python in the plugin's own virtual environment, with the environment that the engine asks for.
func (p pythonPlugin) command(ctx context.Context, arguments []string) (*exec.Cmd, error) {
	command, err := p.python.Command(ctx, arguments...)
	if err != nil {
		return nil, err
	}
	stopPolitely(command)
	if len(p.request.Env) > 0 {
		virtualenv, err := p.python.VirtualEnvPath(ctx)
		if err != nil {
			return nil, err
		}
		command.Env = p.request.Env
		if virtualenv != "" {
			command.Env = toolchain.ActivateVirtualEnv(p.request.Env, virtualenv)
		}
	}
	command.Stdout = p.stdout
	command.Stderr = p.stderr
	return command, nil
}
