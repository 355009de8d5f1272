"""Reads a stack's saved state, as `pulumi stack export` writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_policies.marks import plain
from ml_policies.resource import Resource, Stack

_FIELDS: Mapping[str, type] = {
    "urn": str,
    "type": str,
    "parent": str,
    "inputs": dict,
    "dependencies": list,
    "propertyDependencies": dict,
}

_WORDS = {str: "text", dict: "object", list: "list"}


class StateError(ValueError):
    """A file that holds no stack's state; the message says which, and what is wrong."""


def read_state(file: Path) -> Stack:
    """The stack that a file holds. Raises StateError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StateError(f"{file} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StateError(f"{file} is no JSON: {error}") from None
    deployment = content.get("deployment") if isinstance(content, dict) else None
    if not isinstance(deployment, dict) or not isinstance(deployment.get("resources", []), list):
        raise StateError(f"{file} is no state of a stack: `pulumi stack export --file {file}` writes one")
    resources = []
    for index, saved in enumerate(deployment.get("resources", [])):
        where = f"{file}: deployment.resources[{index}]"
        if problem := _problem(saved):
            raise StateError(f"{where} {problem}")
        if saved.get("delete"):
            continue
        try:
            resources.append(_resource(saved))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise StateError(f"{where} has values that can't be read: {error!r}") from None
    return Stack(tuple(resources))


def _problem(saved: Any) -> str:
    if not isinstance(saved, dict) or not {"urn", "type"} <= saved.keys():
        return "has no urn and type"
    for name, type_ in _FIELDS.items():
        value = saved.get(name)
        if not isinstance(value, type_) and (value is not None or name in ("urn", "type")):
            return f"has {name} that is no {_WORDS[type_]}"
    needed = [saved.get("dependencies"), *(saved.get("propertyDependencies") or {}).values()]
    if not all(isinstance(urns or [], list) and all(isinstance(urn, str) for urn in urns or ()) for urns in needed):
        return "has dependencies that are no lists of URNs"
    return ""


def _resource(saved: Mapping[str, Any]) -> Resource:
    by_property = (saved.get("propertyDependencies") or {}).values()
    needed = {*(saved.get("dependencies") or ()), *(urn for urns in by_property for urn in urns or ())}
    return Resource(
        type=saved["type"],
        name=saved["urn"].rpartition("::")[2],
        urn=saved["urn"],
        properties=plain(saved.get("inputs") or {}),
        parent=saved.get("parent") or "",
        depends_on=frozenset(needed),
        protect=bool(saved.get("protect", False)),
    )
