"""A resource's inputs as a program gave them: nested values by path, and an end where a value isn't known yet."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pulumi

_UNDERSCORE = re.compile(r"_([a-z0-9])")


class Undecided(Exception):  # noqa: N818 (no error: a preview can't know all)
    """A value that only the deployment knows; the text is its path."""


class NotPriced(Exception):  # noqa: N818 (no error: the table is no catalogue)
    """A resource, or a part of it, that the table has no price for; the text says why."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of one resource, by the names of the Python SDK."""

    name: str
    values: Mapping[str, Any]

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a path such as `sku.capacity`; the default where there is none. Raises Undecided."""
        return found(self.values, path, default)

    def all(self, path: str) -> list[Any]:
        """The values of a list, for `found`; none where there is no list. Raises Undecided."""
        return list(self.get(path) or ())


def found(value: Any, path: str, default: Any = None) -> Any:
    """The value at a path inside of an input, whether it is a mapping or one of an SDK's classes. Raises Undecided."""
    for name in path.split("."):
        value = _inner(value, name)
        if isinstance(value, pulumi.Output | asyncio.Future):
            raise Undecided(path)
        if value is None:
            return default
    return value.value if isinstance(value, Enum) else value


def _inner(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, value.get(_UNDERSCORE.sub(lambda match: match[1].upper(), name)))
    return getattr(value, name, None)
