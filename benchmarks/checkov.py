"""Checkov, the scanner that our policy pack is measured against: installed for a benchmark, and fed with our resources.

It reads plans of Terraform, whose AWS resources and ours are the same: Pulumi's provider is made from Terraform's, so
that names follow from names. What Checkov makes of values that differ in form is of no interest to its speed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sandbox import home

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_INSTALL_SECONDS = 300
# What is a map of free names in Terraform too; any other object is a block.
_MAPS = {"tags", "tagsAll", "variables", "parameters"}


class UnavailableError(Exception):
    """It can't be installed; the message says why."""


def install(folder: Path) -> Path:
    """Install it into an environment of its own; returns the command. Raises UnavailableError."""
    uv = shutil.which("uv", path=f"{home.REPOSITORY / '.uv' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise UnavailableError("uv, which `make setup` installs, isn't there")
    python = folder / "bin" / "python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "checkov"],
    ):
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.TimeoutExpired:
            raise UnavailableError(f"its installation takes longer than {_INSTALL_SECONDS} s") from None
        if answer.returncode != 0:
            raise UnavailableError(f"its installation failed: {(answer.stderr.strip().splitlines() or [''])[-1]}")
    return folder / "bin" / "checkov"


def plan(resources: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The plan of Terraform that creates the resources of a saved state, those of AWS."""
    planned = [_planned(resource) for resource in resources]
    changes = [
        {**resource, "change": {"actions": ["create"], "before": None, "after": resource["values"]}}
        for resource in planned
    ]
    return {
        "format_version": "1.2",
        "terraform_version": "1.9.0",
        "planned_values": {"root_module": {"resources": planned}},
        "resource_changes": changes,
        "configuration": {"root_module": {"resources": []}},
    }


def resources(printed: str) -> int:
    """How many resources it judged, from its report in JSON."""
    return json.loads(printed)["summary"]["resource_count"]


def _planned(resource: Mapping[str, Any]) -> dict[str, Any]:
    _, module, type_ = re.split("[:/]", resource["type"])[:3]
    prefix = "" if module == "ec2" else f"{_snake(module)}_"
    name = re.sub(r"\W", "_", resource["urn"].rpartition("::")[2])
    kind = f"aws_{prefix}{_snake(type_)}"
    return {
        "address": f"{kind}.{name}",
        "mode": "managed",
        "type": kind,
        "name": name,
        "provider_name": "registry.terraform.io/hashicorp/aws",
        "schema_version": 0,
        "values": {_snake(key): _value(key, value) for key, value in resource["inputs"].items() if key != "__defaults"},
    }


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_block(item) if isinstance(item, Mapping) else item for item in value]
    if isinstance(value, Mapping):
        return dict(value) if name in _MAPS else [_block(value)]
    return value


def _block(value: Mapping[str, Any]) -> dict[str, Any]:
    return {_snake(name): _value(name, inner) for name, inner in value.items() if name != "__defaults"}


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()
