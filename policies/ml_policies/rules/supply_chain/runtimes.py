"""Runtimes of functions: which language and version the name of a runtime means, and whether it is still maintained."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.checks import Result, Scope, Undecided, Wrong
from ml_policies.resource import MISSING, UNKNOWN

# `python3.12`, `python312`, `nodejs22.x`, `PYTHON|3.12`, `Node|22-lts`, `DOTNET-ISOLATED|8.0`, `dotnetcore3.1`
_RUNTIME = re.compile(r"(python|node|ruby|dotnet)(?:js|core|-isolated)?\s*[|:]?\s*~?(\d+)(?:\.(\d+))?", re.IGNORECASE)
_WITHOUT_POINT = {"python", "ruby"}


def _version(major: str, minor: str | None) -> tuple[int, int]:
    return int(major), int(minor or 0)


def too_old(runtime: str, parameters: Mapping[str, Any]) -> str | None:
    """What is expected instead of a runtime that gets no more updates; None for one that does, or that isn't known."""
    if runtime.casefold() in parameters["refused"]:
        return "a runtime that still gets updates"
    found = _RUNTIME.match(runtime)
    if not found:
        return None
    language, major, minor = found[1].casefold(), found[2], found[3]
    if minor is None and language in _WITHOUT_POINT and len(major) > 1:
        major, minor = major[0], major[1:]
    oldest = parameters["oldest"].get(language)
    if oldest is None or _version(major, minor) >= _version(*f"{oldest}.0".split(".")[:2]):
        return None
    return f"{language} {oldest} or later"


@dataclass(frozen=True, slots=True)
class maintained:  # noqa: N801 (it reads as the checks beside it)
    """A runtime that still gets updates; a name and a version apart, if `version` says where the version is."""

    path: str
    version: str = ""

    def __call__(self, scope: Scope) -> Iterator[Result]:
        (path, runtime), *_ = scope.values(self.path)
        if self.version and runtime is not MISSING:
            (_, version), *_ = scope.values(self.version)
            runtime = UNKNOWN if UNKNOWN in (runtime, version) else f"{runtime}|{version}"
        if runtime is UNKNOWN:
            yield Undecided(path)
        elif isinstance(runtime, str) and (expected := too_old(runtime, scope.parameters)):
            yield Wrong(path, runtime, expected)
