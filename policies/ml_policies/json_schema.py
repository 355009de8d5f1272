"""Checks a value against a JSON schema, as far as the pack's configuration and the parameters of its rules need one.

The engine checks the same schemas with a library of its own; here every problem is told with what would be right.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_policies.checks import MISSING

# Keywords that say nothing about what is right.
_SPOKEN = {"description", "default", "title"}
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "array": lambda value: isinstance(value, list),
    "boolean": lambda value: isinstance(value, bool),
    # The engine hands numbers on as floats.
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
    "number": lambda value: _is_number(value),
    "object": lambda value: isinstance(value, Mapping),
    "string": lambda value: isinstance(value, str),
}
_WORDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}

# What is wrong: the path of a value, the value, and what would be right.
Problem = tuple[str, Any, str]


def problems(value: Any, schema: Mapping[str, Any], path: str = "") -> Iterator[Problem]:
    """All that is wrong with a value. Raises ValueError for a schema with keywords that aren't known here."""
    if unknown := schema.keys() - _SPOKEN - {"type"} - _KEYWORDS.keys():
        raise ValueError(f"the schema of {path or 'a value'} has unknown keywords: {', '.join(sorted(unknown))}")
    type_ = schema.get("type")
    if type_ and not _TYPES[type_](value):
        yield path, value, schema.get("description", _WORDS[type_])
        return
    for keyword, check in _KEYWORDS.items():
        if keyword in schema:
            yield from check(value, schema[keyword], path, schema)


def normal(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value that is right, with whole numbers as such: the engine's 3.0 is the 3 that was written."""
    if schema.get("type") == "integer":
        return int(value)
    if isinstance(value, list):
        return [normal(item, schema.get("items", {})) for item in value]
    return value


def inside(path: str, name: str) -> str:
    """The path of a property of what is at a path."""
    return f"{path}.{name}" if path else name


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _enum(value: Any, allowed: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if value not in allowed:
        yield path, value, f"one of {', '.join(map(str, allowed))}"


def _minimum(value: Any, least: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if _is_number(value) and value < least:
        yield path, value, f"{least} or more"


def _maximum(value: Any, most: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if _is_number(value) and value > most:
        yield path, value, f"{most} or less"


def _pattern(value: Any, pattern: Any, path: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(value, str) and not re.search(pattern, value):
        yield path, value, schema.get("description", f"a text that matches {pattern}")


def _least_items(value: Any, least: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(value, list) and len(value) < least:
        yield path, value, f"a list of {least} or more"


def _unique_items(value: Any, wanted: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if wanted and isinstance(value, list) and any(item in value[:index] for index, item in enumerate(value)):
        yield path, value, "a list without repetition"


def _items(value: Any, items: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(item, items, f"{path}[{index}]")


def _required(value: Any, names: Any, path: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for name in names:
            if name not in value:
                described = schema.get("properties", {}).get(name, {}).get("description", "a value")
                yield inside(path, name), MISSING, described


def _properties(value: Any, properties: Any, path: str, _: Mapping[str, Any]) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for name in properties.keys() & value.keys():
            yield from problems(value[name], properties[name], inside(path, name))


def _additional(value: Any, allowed: Any, path: str, schema: Mapping[str, Any]) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        return
    known = schema.get("properties", {})
    for name in value.keys() - known.keys():
        if isinstance(allowed, Mapping):
            yield from problems(value[name], allowed, inside(path, name))
        elif not allowed:
            yield inside(path, name), value[name], f"one of the fields {', '.join(known)}"


_KEYWORDS: Mapping[str, Callable[[Any, Any, str, Mapping[str, Any]], Iterator[Problem]]] = {
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "pattern": _pattern,
    "minItems": _least_items,
    "uniqueItems": _unique_items,
    "items": _items,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
}
