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
from sandbox.engine import Engine, find_or_build

# Provider plugin name -> the distribution of its Python SDK, whose version the plugin must have.
PLUGINS = {"aws": "pulumi-aws", "gcp": "pulumi-gcp", "azure-native": "pulumi-azure-native"}

# Whatever could carry real credentials, or steer Pulumi to the user's own backend and stacks, stays outside.
_PRIVATE_PREFIXES = ("AWS_", "GOOGLE_", "GCLOUD_", "CLOUDSDK_", "ARM_", "AZURE_", "PULUMI_")


@dataclass(frozen=True, slots=True)
class Session:
    """All that is needed to run `pulumi` against the sandbox: which one, where, and with what environment."""

    engine: Engine
    project: Path
    environment: Mapping[str, str]

    @property
    def pulumi(self) -> str:
        """The path of the CLI."""
        return str(self.engine.folder / "pulumi")


def open_session(console: Console) -> Session:
    """Get the engine, install the plugins, bring the mirror of the project in step. Raises SandboxError."""
    engine = find_or_build(console)
    install_plugins(home.home() / "pulumi" / "plugins")
    (home.home() / "backend").mkdir(parents=True, exist_ok=True)
    for notice in project.synchronise(home.REPOSITORY, project_folder()):
        console.print(notice)
    return Session(engine, project_folder(), environment(engine, os.environ))


def project_folder() -> Path:
    """The mirror of the repository's Pulumi project; see project.py for why there is one."""
    return home.home() / "project"


def environment(engine: Engine, outside: Mapping[str, str]) -> dict[str, str]:
    """The variables for every command in the sandbox, from those of the user's own shell."""
    kept = {name: value for name, value in outside.items() if not name.startswith(_PRIVATE_PREFIXES)}
    path = [str(engine.folder), str(Path(sys.executable).parent), outside.get("PATH", os.defpath)]
    return kept | {
        "PATH": os.pathsep.join(path),
        "ML_BLUEPRINTS_SANDBOX": str(home.home()),
        "PULUMI_HOME": str(home.home() / "pulumi"),
        "PULUMI_BACKEND_URL": (home.home() / "backend").as_uri(),
        # It protects nothing that is real; the file backend only insists on having one.
        "PULUMI_CONFIG_PASSPHRASE": "sandbox",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


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
