"""Schemas of the providers' resources: what an input may be and what a resource has, as the installed SDKs say.

from sandbox import schema
endpoint = schema.package("aws").resource("aws:sagemaker/endpoint:Endpoint")
endpoint.inputs["endpointConfigName"].required
schema.check(endpoint, {"endpointConfigName": 1})
"""

import difflib
import os
import pickle
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sandbox import home
from sandbox.schema.checks import UNKNOWN, check
from sandbox.schema.introspect import Source
from sandbox.schema.model import Failure, FunctionSchema, Property, ResourceSchema, Type, UnknownTypeError

__all__ = [
    "UNKNOWN",
    "Failure",
    "FunctionSchema",
    "Package",
    "Property",
    "ResourceSchema",
    "Type",
    "UnknownTypeError",
    "check",
    "package",
]

# Counted up when the compiled form or the way in which it is read changes.
_FORMAT = 5


class Package:
    """The schema of one provider, read from its SDK type by type and kept compiled in the cache."""

    def __init__(self, name: str):
        self.name = name
        self.version = version(f"pulumi-{name}")
        self._folder = home.cache() / "schemas" / f"{name}-{self.version}-{_FORMAT}"
        self._loaded: dict[str, Any] = {}
        self._source: Source | None = None

    def resource(self, token: str) -> ResourceSchema:
        """The schema of a resource type. Raises UnknownTypeError, with the nearest types that exist."""
        return self._load("resource", token)

    def function(self, token: str) -> FunctionSchema:
        """The schema of a function. Raises UnknownTypeError."""
        return self._load("function", token)

    def configuration(self) -> dict[str, Property]:
        """What the provider itself can be configured with, by name."""
        return self._load("configuration", "")

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens of all resource types."""
        return tuple(self._load("index", ""))

    def _load(self, kind: str, token: str) -> Any:
        key = f"{kind}-{token}"
        if key not in self._loaded:
            path = self._folder / (key.replace(":", "_").replace("/", "_") + ".pickle")
            self._loaded[key] = _read(path) or _write(path, self._compile(kind, token))
        return self._loaded[key]

    def _compile(self, kind: str, token: str) -> Any:
        self._source = self._source or Source(self.name)
        if kind == "index":
            return dict(self._source.index)
        if kind == "configuration":
            return self._source.configuration()
        try:
            return self._source.resource(token) if kind == "resource" else self._source.function(token)
        except UnknownTypeError:
            nearest = difflib.get_close_matches(token, self.tokens, n=3) if kind == "resource" else []
            hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
            raise UnknownTypeError(f"{self.name} {self.version} has no {kind} {token}{hint}") from None


@cache
def package(name: str) -> Package:
    """The package of a provider: `aws`, `gcp` or `azure-native`."""
    return Package(name)


def _read(path: Path) -> Any:
    try:
        # Written by ourselves, in the user's own cache.
        return pickle.loads(path.read_bytes())  # noqa: S301
    except FileNotFoundError:
        return None


def _write(path: Path, compiled: Any) -> Any:
    """Written beside and renamed, so that another process never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        pickle.dump(compiled, file)
    Path(temporary).rename(path)
    return compiled
