package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

// programRunner is the script in the module sdk/v3 (python/cmd) that the build lays beside this program.
const programRunner = "pulumi-language-python-exec"

// The programRunner ends with this code when it has shown the user an error that needs nothing added.
const exitAfterShownError = 32

// Run executes a program in the project's own Python environment and waits for it.
func (h *host) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	ctx, done := h.untilStopped(ctx)
	defer done()
	if request.AttachDebugger {
		return nil, errors.New("this language host cannot attach a debugger; Pulumi's own installation can")
	}
	python, err := toolchainOf(request.Info)
	if err != nil {
		return nil, err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	if complaint, err := checkTypes(ctx, python, request.Info); err != nil || complaint != "" {
		return &pulumirpc.RunResponse{Error: complaint}, err
	}
	environment, err := programEnvironment(request)
	if err != nil {
		return nil, err
	}
	command, err := python.Command(ctx, append([]string{"-u", h.runner}, h.runnerArguments(request)...)...)
	if err != nil {
		return nil, err
	}
	stopPolitely(command)
	command.Env = append(command.Environ(), environment...)
	command.Stdout = os.Stdout
	command.Stderr = os.Stderr
	return runResponse(command.Run())
}

func (h *host) runnerArguments(request *pulumirpc.RunRequest) []string {
	var arguments []string
	add := func(flag, value string) {
		if value != "" {
			arguments = append(arguments, flag, value)
		}
	}
	add("--monitor", request.MonitorAddress)
	add("--engine", h.engine())
	add("--project", request.Project)
	add("--stack", request.Stack)
	add("--organization", request.Organization)
	add("--root_directory", request.Info.GetRootDirectory())
	add("--pwd", request.Pwd)
	add("--dry_run", strconv.FormatBool(request.DryRun))
	add("--parallel", strconv.Itoa(int(request.Parallel)))
	add("--tracing", h.tracing)
	return append(append(arguments, request.Info.GetEntryPoint()), request.Args...)
}

// programEnvironment carries the stack's configuration as pulumi.runtime.config reads it.
func programEnvironment(request *pulumirpc.RunRequest) ([]string, error) {
	config := make(map[string]string, len(request.Config))
	for key, value := range request.Config {
		// Programs ask for "namespace:name"; the engine may still send the older "namespace:config:name".
		config[strings.Replace(key, ":config:", ":", 1)] = value
	}
	values, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	secretKeys, err := json.Marshal(append([]string{}, request.ConfigSecretKeys...))
	if err != nil {
		return nil, fmt.Errorf("encoding the names of secret configuration: %w", err)
	}
	return []string{"PULUMI_CONFIG=" + string(values), "PULUMI_CONFIG_SECRET_KEYS=" + string(secretKeys)}, nil
}

// checkTypes returns the type checker's complaint about the program; it is empty where there is none, or no checker.
func checkTypes(ctx context.Context, python toolchain.Toolchain, info *pulumirpc.ProgramInfo) (string, error) {
	checker, err := typeChecker(info)
	if err != nil || checker == "" {
		return "", err
	}
	command, err := python.ModuleCommand(ctx, checker, info.GetProgramDirectory())
	if err != nil {
		return "", err
	}
	output, err := command.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Sprintf("%s does not accept the program:\n%s", checker, output), nil
	}
	return "", err
}

// runResponse tells the engine how the program ended.
func runResponse(err error) (*pulumirpc.RunResponse, error) {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case !errors.As(err, &exit):
		return nil, fmt.Errorf("running the Python program: %w", err)
	case exit.ExitCode() == exitAfterShownError:
		return &pulumirpc.RunResponse{Bail: true}, nil
	case exit.Exited():
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program exited with non-zero exit code: %d", exit.ExitCode())}, nil
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program was stopped: %v", exit)}, nil
	}
}
