"""An API as Google describes it: which requests there are, what they take, and what of a request is wrong.

The descriptions come with google-api-python-client; https://developers.google.com/discovery/v1/reference/apis says how
they are made. What a request must have is said by the descriptions of properties, which begin with `Required.`.
"""

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError

_INTEGERS = {"int32": 32, "uint32": 32, "int64": 64, "uint64": 64}


@dataclass(frozen=True)
class Method:
    """One kind of request: `id` as the description calls it, `body` and `answer` the names of schemas."""

    id: str
    verb: str
    path: re.Pattern[str]
    body: str
    answer: str


class Api:
    """The API of a service in one version."""

    def __init__(self, description: Mapping[str, Any]):
        self._schemas: Mapping[str, Any] = description["schemas"]
        self.methods = list(_methods(description["resources"]))

    def find(self, verb: str, path: str) -> tuple[Method, str] | None:
        """The method of a request, and the name of what it is about: the parameter of the path."""
        for method in self.methods:
            if method.verb == verb and (found := method.path.fullmatch(path)):
                return method, found[1]
        return None

    def schema(self, name: str) -> Mapping[str, Any]:
        """The properties of a schema, by name."""
        return self._schemas[name].get("properties", {})

    def wrong(self, name: str, value: Any, required: bool = True) -> Iterator[str]:
        """What is wrong with an object that should be of a schema, each as the path of the property and a sentence."""
        yield from self._wrong({"$ref": name}, value, "", required)

    def _wrong(self, kind: Mapping[str, Any], value: Any, path: str, required: bool) -> Iterator[str]:
        if reference := kind.get("$ref"):
            if not isinstance(value, dict):
                yield f"{path or 'the body'}: found {_told(value)}; an object is right"
                return
            yield from self._wrong_object(self.schema(reference), value, path, required)
        elif kind.get("enum"):
            if value not in kind["enum"] and not isinstance(value, int):
                yield f"{path}: found {_told(value)}; one of {', '.join(kind['enum'][1:])} is right"
        elif kind["type"] == "array":
            if not isinstance(value, list):
                yield f"{path}: found {_told(value)}; a list is right"
                return
            for place, item in enumerate(value):
                yield from self._wrong(kind["items"], item, f"{path}[{place}]", required)
        elif kind["type"] == "object":
            if not isinstance(value, dict):
                yield f"{path}: found {_told(value)}; an object is right"
                return
            for key, item in value.items():
                yield from self._wrong(
                    kind.get("additionalProperties", {"type": "any"}), item, f"{path}.{key}", required
                )
        elif not _is(kind, value):
            yield f"{path}: found {_told(value)}; {_words(kind)} is right"

    def _wrong_object(
        self, properties: Mapping[str, Any], value: Mapping[str, Any], path: str, required: bool
    ) -> Iterator[str]:
        for name, item in value.items():
            inner = f"{path}.{name}" if path else name
            if name not in properties:
                yield f"{inner}: there is no such field"
            elif not properties[name].get("readOnly"):
                yield from self._wrong(properties[name], item, inner, required)
        for name, kind in properties.items():
            if required and kind.get("description", "").startswith("Required.") and name not in value:
                yield f"{path}.{name}: is missing, and required" if path else f"{name}: is missing, and required"


class Google:
    """Google's descriptions, which are read when they are first asked for."""

    @cached_property
    def _folder(self) -> Path:
        spec = importlib.util.find_spec("googleapiclient")
        if spec is None or spec.origin is None:
            raise SandboxError("google-api-python-client isn't installed, which has the descriptions of Google's APIs")
        return Path(spec.origin).parent / "discovery_cache" / "documents"

    def read(self, name: str, version: str) -> Api:
        """The API of a service, such as `aiplatform` and `v1`."""
        return Api(json.loads((self._folder / f"{name}.{version}.json").read_bytes()))


@cache
def api(name: str, version: str) -> Api:
    """The API of a service, read once."""
    return Google().read(name, version)


def _methods(resources: Mapping[str, Any]) -> Iterator[Method]:
    for resource in resources.values():
        for method in resource.get("methods", {}).values():
            yield Method(
                id=method["id"],
                verb=method["httpMethod"],
                path=_pattern(method),
                body=method.get("request", {}).get("$ref", ""),
                answer=method.get("response", {}).get("$ref", ""),
            )
        yield from _methods(resource.get("resources", {}))


def _pattern(method: Mapping[str, Any]) -> re.Pattern[str]:
    """`v1/{+name}:cancel`, with what its parameter may be, as an expression for paths that begin with `/`."""
    parts = []
    for literal, parameter in re.findall(r"([^{]*)(?:\{\+?(\w+)\})?", method["path"]):
        parts.append(re.escape(literal))
        if parameter:
            allowed = method["parameters"][parameter].get("pattern", "^[^/]+$")
            # A colon comes before a method's own word, and is in no name.
            parts.append("(" + allowed.removeprefix("^").removesuffix("$").replace("[^/]", "[^/:]") + ")")
    return re.compile("/" + "".join(parts))


def _is(kind: Mapping[str, Any], value: Any) -> bool:
    match kind["type"]:
        case "any":
            return True
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            bits = _INTEGERS.get(kind.get("format", ""), 64)
            return isinstance(value, int) and not isinstance(value, bool) and -(2 ** (bits - 1)) <= value < 2**bits
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
    if kind.get("format") in _INTEGERS:
        return bool(re.fullmatch(r"-?\d+", str(value)))
    return isinstance(value, str)


def _words(kind: Mapping[str, Any]) -> str:
    return {"boolean": "true or false", "integer": "a whole number", "number": "a number"}.get(kind["type"], "a text")


def _told(value: Any) -> str:
    text = json.dumps(value)
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"
