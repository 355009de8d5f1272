"""What changed between the inputs that a resource has and those that it should have, and what follows from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.provider.cloud import Cloud
from sandbox.schema import Property, ResourceSchema, Type


@dataclass(slots=True)
class Difference:
    """The changed inputs: path (`variants[0].weight`) to what happened (`add`, `delete`, `update`).

    replacing: the paths among them that no update can change. delete_first: whether the replacement can only be made
    once the old resource is gone, as both would have the same name.
    """

    changes: dict[str, str] = field(default_factory=dict)
    replacing: set[str] = field(default_factory=set)
    delete_first: bool = False


def compare(cloud: Cloud, resource: ResourceSchema, old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """Compare the inputs that a resource has with new ones."""
    difference = Difference()
    walk = _Walk(resource)
    for name in sorted({*old, *new}):
        # Notes of the provider to itself are nothing that a cloud would see.
        if name.startswith("__"):
            continue
        known = resource.inputs.get(name)
        forced = cloud.replaces(resource, name)
        for path, change, replaces in walk.values(known, name, old.get(name), new.get(name), forced):
            difference.changes[path] = change
            if replaces:
                difference.replacing.add(path)
    difference.delete_first = bool(difference.replacing) and cloud.keeps_identity(resource, old, new)
    return difference


class _Walk:
    """Finds the innermost values that differ, and whether the schema says of any step to them that it can't change."""

    def __init__(self, resource: ResourceSchema):
        self.resource = resource

    def values(
        self, known: Property | None, path: str, old: Any, new: Any, forced: bool
    ) -> Iterator[tuple[str, str, bool]]:
        forced = forced or (known is not None and known.replaces)
        yield from self.typed(known.type if known else Type("any"), path, old, new, forced)

    def typed(self, type_: Type, path: str, old: Any, new: Any, forced: bool) -> Iterator[tuple[str, str, bool]]:
        if old == new:
            return
        if old is None:
            yield path, "add", forced
        elif new is None:
            yield path, "delete", forced
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            properties = self.resource.objects.get(type_.ref or "", {})
            for key in sorted({*old, *new}):
                inner = f"{path}.{key}" if key.isidentifier() else f'{path}["{key}"]'
                yield from self.values(properties.get(key), inner, old.get(key), new.get(key), forced)
        elif isinstance(old, list) and isinstance(new, list):
            for index in range(max(len(old), len(new))):
                before = old[index] if index < len(old) else None
                after = new[index] if index < len(new) else None
                yield from self.typed(type_.items or Type("any"), f"{path}[{index}]", before, after, forced)
        else:
            yield path, "update", forced
