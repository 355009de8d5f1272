package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const pluginFile = "pulumi-plugin.json"

// GetRequiredPackages names the provider plugins that the program's installed packages stand for.
func (h *host) GetRequiredPackages(
	ctx context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	folders, err := importPath(ctx, request.Info)
	if err != nil {
		return nil, err
	}
	packages, err := installedPackages(folders)
	return &pulumirpc.GetRequiredPackagesResponse{Packages: packages}, err
}

// GetRequiredPlugins is the older form of GetRequiredPackages, without parameterized packages.
func (h *host) GetRequiredPlugins(
	ctx context.Context, request *pulumirpc.GetRequiredPluginsRequest,
) (*pulumirpc.GetRequiredPluginsResponse, error) {
	required, err := h.GetRequiredPackages(ctx, &pulumirpc.GetRequiredPackagesRequest{Info: request.Info})
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetRequiredPluginsResponse{}
	for _, dependency := range required.Packages {
		response.Plugins = append(response.Plugins, &pulumirpc.PluginDependency{
			Name: dependency.Name, Kind: dependency.Kind, Version: dependency.Version, Server: dependency.Server,
		})
	}
	return response, nil
}

// importPath asks the program's Python where it imports from, which takes some 20 ms; `pip list` would take a second.
func importPath(ctx context.Context, info *pulumirpc.ProgramInfo) ([]string, error) {
	const script = "import json, sys; print(json.dumps(sys.path))"
	python, err := toolchainOf(info)
	if err != nil {
		return nil, err
	}
	if err := python.ValidateVenv(ctx); err != nil {
		return nil, err
	}
	virtualenv, err := python.VirtualEnvPath(ctx)
	if err != nil {
		return nil, err
	}
	// The toolchain's own Command is second choice here: uv's synchronises the environment before it runs anything.
	command := exec.CommandContext(ctx, filepath.Join(virtualenv, "bin", "python"), "-c", script)
	if virtualenv == "" {
		if command, err = python.Command(ctx, "-c", script); err != nil {
			return nil, err
		}
	}
	output, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("asking %s for its import path: %w", command.Path, err)
	}
	var folders []string
	if err := json.Unmarshal(output, &folders); err != nil {
		return nil, fmt.Errorf("reading the import path from %s: %w", command.Path, err)
	}
	return folders, nil
}

// installedPackages reads the plugin file of every package in the folders; the first of a name wins, as for imports.
func installedPackages(folders []string) ([]*pulumirpc.PackageDependency, error) {
	var packages []*pulumirpc.PackageDependency
	seen := map[string]bool{}
	for _, folder := range folders {
		// The empty entry is the working directory of the Python process that was asked, not of the program.
		if folder == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(folder, "*", pluginFile))
		if err != nil {
			return nil, fmt.Errorf("looking for %s in %s: %w", pluginFile, folder, err)
		}
		for _, file := range files {
			described, err := plugin.LoadPulumiPluginJSON(file)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", file, err)
			}
			dependency := packageOf(filepath.Dir(file), described)
			if described.Resource && !seen[dependency.Name] {
				seen[dependency.Name] = true
				packages = append(packages, dependency)
			}
		}
	}
	return packages, nil
}

// packageOf fills what the plugin file leaves out from the package's folder name and installed version.
func packageOf(folder string, described *plugin.PulumiPluginJSON) *pulumirpc.PackageDependency {
	module := filepath.Base(folder)
	dependency := &pulumirpc.PackageDependency{
		Name: described.Name, Kind: string(apitype.ResourcePlugin), Version: described.Version, Server: described.Server,
		Parameterization: parameterization(described.Parameterization),
		Extension:        parameterization(described.ExtensionParameterization),
	}
	if dependency.Name == "" {
		dependency.Name = strings.ReplaceAll(strings.TrimPrefix(module, "pulumi_"), "_", "-")
	}
	if dependency.Version == "" {
		dependency.Version = installedVersion(folder)
	}
	return dependency
}

// installedVersion is empty, so that the engine takes any plugin, where Python's version is none of semver's.
func installedVersion(folder string) string {
	metadata, err := filepath.Glob(folder + "-*.dist-info")
	if err != nil || len(metadata) == 0 {
		return ""
	}
	text := strings.TrimSuffix(strings.TrimPrefix(metadata[0], folder+"-"), ".dist-info")
	if _, err := semver.ParseTolerant(text); err != nil {
		return ""
	}
	return text
}

func parameterization(described *plugin.PulumiParameterizationJSON) *pulumirpc.PackageParameterization {
	if described == nil {
		return nil
	}
	return &pulumirpc.PackageParameterization{
		Name: described.Name, Version: described.Version, Value: described.Value,
	}
}
