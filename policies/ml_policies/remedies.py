"""Safe values for what rules find wrong, put in at the level `remediate`; only for what changes in place."""

import copy
from collections.abc import Mapping
from typing import Any

from ml_policies.resource import UNKNOWN
from ml_policies.rule import Remedy


def sets(values: Mapping[str, Any]) -> Remedy:
    """Sets properties, by paths such as `a.b`, that differ; what is unknown on the way there is left as it is."""

    def remedy(properties: Mapping[str, Any]) -> Mapping[str, Any] | None:
        changes: dict[str, Any] = {}
        for path, wanted in values.items():
            top, *inside = path.split(".")
            given = changes.get(top, properties.get(top))
            put = _put(given, inside, wanted)
            if put is not UNKNOWN and put != given:
                changes[top] = put
        return changes or None

    return remedy


def _put(value: Any, path: list[str], wanted: Any) -> Any:
    """A value with another inside of it; UNKNOWN where that can't be told."""
    if value is UNKNOWN:
        return UNKNOWN
    if not path:
        return wanted
    result = copy.copy(dict(value or {}))
    inner = _put(result.get(path[0]), path[1:], wanted)
    if inner is UNKNOWN:
        return UNKNOWN
    result[path[0]] = inner
    return result
