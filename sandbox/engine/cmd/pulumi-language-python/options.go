package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"github.com/pulumi/pulumi/sdk/v3/python/toolchain"
)

var toolchains = map[string]func(*toolchain.PythonOptions){
	"pip":    func(options *toolchain.PythonOptions) { options.Toolchain = toolchain.Pip },
	"poetry": func(options *toolchain.PythonOptions) { options.Toolchain = toolchain.Poetry },
	"uv":     func(options *toolchain.PythonOptions) { options.Toolchain = toolchain.Uv },
}

func toolchainNames() []string {
	return slices.Sorted(maps.Keys(toolchains))
}

// optionsOf reads `runtime.options` of a Pulumi.yaml, PulumiPlugin.yaml or PulumiPolicy.yaml: toolchain, virtualenv.
// The option typechecker is not read here but by typeChecker, since only a program's Run needs it.
func optionsOf(info *pulumirpc.ProgramInfo) (toolchain.PythonOptions, error) {
	options := toolchain.PythonOptions{Root: info.GetRootDirectory(), ProgramDir: info.GetProgramDirectory()}
	name, err := option(info, "toolchain")
	if err != nil {
		return options, err
	}
	if name != "" {
		choose, known := toolchains[name]
		if !known {
			return options, fmt.Errorf("runtime option toolchain is %q; it must be one of %s",
				name, strings.Join(toolchainNames(), ", "))
		}
		choose(&options)
	}
	options.Virtualenv, err = option(info, "virtualenv")
	return options, err
}

func toolchainOf(info *pulumirpc.ProgramInfo) (toolchain.Toolchain, error) {
	options, err := optionsOf(info)
	if err != nil {
		return nil, err
	}
	return toolchain.ResolveToolchain(options)
}

// typeChecker names the module that must accept the program before it runs, or is empty.
func typeChecker(info *pulumirpc.ProgramInfo) (string, error) {
	name, err := option(info, "typechecker")
	if err != nil {
		return "", err
	}
	if !slices.Contains([]string{"", "mypy", "pyright"}, name) {
		return "", fmt.Errorf("runtime option typechecker is %q; it must be mypy or pyright", name)
	}
	return name, nil
}

func option(info *pulumirpc.ProgramInfo, name string) (string, error) {
	value, given := info.GetOptions().GetFields()[name]
	if !given {
		return "", nil
	}
	text, isText := value.AsInterface().(string)
	if !isText {
		return "", fmt.Errorf("runtime option %s is %v; it must be a string", name, value.AsInterface())
	}
	return text, nil
}
