"""Resources as rules see them: plain values, with marks for what is absent and for what a preview can't know yet."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

CLOUDS = {"aws": "aws", "gcp": "gcp", "azure-native": "azure"}

# Resources that a program makes itself, since a provider lacks them, by how their types begin
# (ml_blueprints.dynamic).
_MADE_BY_PROGRAMS = {"pulumi-python:dynamic/ml_blueprints:Vertex": "gcp"}


class Mark(Enum):
    """What stands in the place of a value that isn't there."""

    MISSING = "nothing"
    UNKNOWN = "a value that is decided at deployment"

    def __str__(self) -> str:
        return self.value

    __repr__ = __str__


MISSING = Mark.MISSING
UNKNOWN = Mark.UNKNOWN


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a stack.

    type: Pulumi's token, such as `aws:s3/bucket:Bucket`. properties: its inputs by their names in the provider's
    schema, secrets as plain values, UNKNOWN for what a preview can't know. depends_on: URNs of what it depends on, by
    whichever property.
    """

    type: str
    name: str
    urn: str
    properties: Mapping[str, Any]
    parent: str = ""
    depends_on: frozenset[str] = frozenset()
    protect: bool = False

    @property
    def cloud(self) -> str:
        """`aws`, `gcp` or `azure`; empty for what is of no cloud."""
        return cloud_of(self.type)


def cloud_of(type_: str) -> str:
    """The cloud of a type: `aws`, `gcp` or `azure`; empty for what is of no cloud."""
    own = next((cloud for start, cloud in _MADE_BY_PROGRAMS.items() if type_.startswith(start)), "")
    return own or CLOUDS.get(type_.partition(":")[0], "")


@dataclass(frozen=True)
class Stack:
    """All resources of one stack, with the ways between them."""

    resources: tuple[Resource, ...]
    by_urn: Mapping[str, Resource] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_urn", {resource.urn: resource for resource in self.resources})

    @cached_property
    def _by_type(self) -> Mapping[str, list[Resource]]:
        found = defaultdict(list)
        for resource in self.resources:
            found[resource.type].append(resource)
        return found

    @cached_property
    def _dependents(self) -> Mapping[str, list[Resource]]:
        found = defaultdict(list)
        for resource in self.resources:
            for urn in resource.depends_on:
                found[urn].append(resource)
        return found

    def of_type(self, *types: str) -> Iterator[Resource]:
        """The resources of some types."""
        for type_ in types:
            yield from self._by_type.get(type_, ())

    def dependents(self, resource: Resource, *types: str) -> Iterator[Resource]:
        """What depends on a resource, directly or through others; only these types, if some are named."""
        return self._reached(resource, lambda one: self._dependents.get(one.urn, ()), types)

    def dependencies(self, resource: Resource, *types: str) -> Iterator[Resource]:
        """What a resource depends on, directly or through others; only these types, if some are named."""
        return self._reached(
            resource, lambda one: (self.by_urn[urn] for urn in sorted(one.depends_on) if urn in self.by_urn), types
        )

    def _reached(self, start: Resource, step: Any, types: Iterable[str]) -> Iterator[Resource]:
        seen, waiting = {start.urn}, [start]
        while waiting:
            for found in step(waiting.pop()):
                if found.urn not in seen:
                    seen.add(found.urn)
                    waiting.append(found)
                    if not types or found.type in types:
                        yield found
