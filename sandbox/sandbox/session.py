"""The private environment in which the real Pulumi commands meet the sandbox's clouds instead of the real ones."""

import importlib.metadata
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sandbox import home, project
from sandbox.apis.server import served
from sandbox.engine import Engine, find_or_build

# Provider plugin name -> the distribution of its Python SDK, whose version the plugin must have.
PLUGINS = {"aws": "pulumi-aws", "gcp": "pulumi-gcp", "azure-native": "pulumi-azure-native"}

# Whatever could carry real credentials, or steer Pulumi to the user's own backend and stacks, stays outside.
_PRIVATE_PREFIXES = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "ARM_", "AZURE_", "PULUMI_")


@dataclass(frozen=True, slots=True)
class Session:
    """All that is needed to run `pulumi` against the sandbox: which one, on which project, with what environment.

    `project` is the folder of the mirrored project (see project.py), `project_name` its name in Pulumi.yaml.
    """

    engine: Engine
    project: Path
    project_name: str
    environment: Mapping[str, str]

    @property
    def pulumi(self) -> str:
        """The path of the CLI."""
        return str(self.engine.folder / "pulumi")


def open_session(console: Console, repository: Path | None = None) -> Session:
    """Get the engine, install the plugins, bring the mirror of the project in step. Raises SandboxError.

    The project is that of this repository, or of another folder, such as an older state of it.
    """
    source = repository or home.REPOSITORY
    engine = find_or_build(console)
    install_plugins(home.home() / "pulumi" / "plugins")
    (home.home() / "backend").mkdir(parents=True, exist_ok=True)
    mirror = home.home() / "project"
    for notice in project.synchronise(source, mirror):
        console.out(notice, highlight=False)
    variables = environment(engine, os.environ) | api_variables()
    return Session(engine, mirror, project.project_name(source), variables)


def environment(engine: Engine, outside: Mapping[str, str]) -> dict[str, str]:
    """The variables for every command in the sandbox, from those of the user's own shell."""
    kept = {name: value for name, value in outside.items() if not name.startswith(_PRIVATE_PREFIXES)}
    # The SDKs take three times as long to import without compiled bytecode. It must lie beside the sources to be found
    # again: each sandbox reaches the environment by a link of its own, by whose path a separate cache would be keyed.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        kept.pop(name, None)
    path = [str(engine.folder), str(Path(sys.executable).parent), outside.get("PATH", os.defpath)]
    return kept | {
        "PATH": os.pathsep.join(path),
        "ML_BLUEPRINTS_SANDBOX": str(home.home()),
        "PULUMI_HOME": str(home.home() / "pulumi"),
        # The file backend would write a second file beside each state, not atomically: a kill in between would leave it
        # empty and the state unreadable.
        "PULUMI_BACKEND_URL": f"{(home.home() / 'backend').as_uri()}?metadata=skip",
        # It protects nothing that is real; the file backend only insists on having one.
        "PULUMI_CONFIG_PASSPHRASE": "sandbox",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


def api_variables() -> dict[str, str]:
    """What leads programs to those APIs that they call themselves: a server in this process, as long as it is there."""
    return {"GOOGLE_VERTEX_AI_CUSTOM_ENDPOINT": served(home.cloud_state("gcp")).url}


def install_plugins(plugins: Path) -> None:
    """Put the sandbox's providers where the engine looks for plugins, at the versions of the installed SDKs."""
    for name, distribution in PLUGINS.items():
        script = plugins / f"resource-{name}-v{importlib.metadata.version(distribution)}" / f"pulumi-resource-{name}"
        # -P: a module in the program's folder must not be taken for one of the provider's.
        text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m sandbox.provider {name} "$@"\n'
        if script.exists() and script.read_text() == text:
            continue
        script.parent.mkdir(parents=True, exist_ok=True)
        fresh = script.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.replace(script)
