"""Reads a stack's saved state, as `pulumi stack export` writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_policies.marks import plain
from ml_policies.resource import Resource, Stack


class StateError(ValueError):
    """A file that holds no stack's state; the message says which, and what is wrong."""


def read_state(file: Path) -> Stack:
    """The stack that a file holds. Raises StateError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StateError(f"{file} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise StateError(f"{file} is no JSON: {error}") from None
    deployment = content.get("deployment") if isinstance(content, dict) else None
    if not isinstance(deployment, dict) or not isinstance(deployment.get("resources", []), list):
        raise StateError(f"{file} is no state of a stack: `pulumi stack export --file {file}` writes one")
    resources = deployment.get("resources", [])
    for index, resource in enumerate(resources):
        if not isinstance(resource, dict) or not {"urn", "type"} <= resource.keys():
            raise StateError(f"{file}: deployment.resources[{index}] has no urn and type")
    return Stack(tuple(_resource(resource) for resource in resources if not resource.get("delete")))


def _resource(saved: Mapping[str, Any]) -> Resource:
    by_property = (saved.get("propertyDependencies") or {}).values()
    needed = {*(saved.get("dependencies") or ()), *(urn for urns in by_property for urn in urns or ())}
    return Resource(
        type=saved["type"],
        name=saved["urn"].rpartition("::")[2],
        urn=saved["urn"],
        properties=plain(saved.get("inputs") or {}),
        parent=saved.get("parent", ""),
        depends_on=frozenset(needed),
        protect=bool(saved.get("protect", False)),
    )
