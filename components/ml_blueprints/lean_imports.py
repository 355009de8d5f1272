"""Imports of the clouds' SDKs resource by resource, where Python would import a service's whole package.

The SDKs import a service when it is first used; a service, such as compute or ec2, has hundreds of resources, of which
a platform uses a few. A program that calls `install` first gets a resource's module when the resource is first named.
Nothing else changes: what isn't found this way is found as without it (docs/decisions/0005-lean-imports.md).
"""

import importlib
import importlib.abc
import importlib.machinery
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_SDKS = ("pulumi_aws", "pulumi_gcp", "pulumi_azure_native")
# Packages of a cloud's own client that would import everything of theirs.
_CLIENTS = ("google.cloud.aiplatform_v1", "google.cloud.aiplatform_v1.types")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def install() -> None:
    """From now on, import what isn't imported yet in this way. A second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the packages of services, and leaves all else to the finders after it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        sdk, _, service = name.partition(".")
        of_an_sdk = sdk in _SDKS and service and "." not in service
        if not of_an_sdk and name not in _CLIENTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.loader and spec.submodule_search_locations:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads a service's package empty; its names are looked up when they are asked for."""

    def __init__(self, whole: Any):
        self._whole = whole

    def exec_module(self, module: ModuleType) -> None:
        """Leave the package empty."""
        module.__dict__["__getattr__"] = lambda name: self._attribute(module, name)

    def _attribute(self, module: ModuleType, name: str) -> Any:
        for place in _places(name):
            try:
                part = importlib.import_module(f"{module.__name__}.{place}")
            except ModuleNotFoundError:
                continue
            if place == name or name in vars(part):
                found = part if place == name else vars(part)[name]
                module.__dict__[name] = found
                return found
        del module.__dict__["__getattr__"]
        self._whole.exec_module(module)
        return getattr(module, name)


def _places(name: str) -> list[str]:
    """The modules of a service in which a name may be, the likeliest first."""
    if name.startswith("__"):
        return []
    if name.islower():
        return [name.removesuffix("_output"), name]
    own = _WORDS.sub("_", name.removesuffix("Args")).lower()
    return [own, "_inputs" if name.endswith("Args") else "_enums"]
