"""The life of resources on one cloud: checked, created, read, changed, replaced, deleted."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sandbox import faults, schema
from sandbox.provider.cloud import Cloud, CloudError
from sandbox.provider.diff import Difference, compare
from sandbox.schema import UNKNOWN, Failure, ResourceSchema
from sandbox.store import Record


@dataclass(frozen=True, slots=True)
class Naming:
    """How a resource without a name gets one.

    random: hexadecimal digits that the engine determines, or "". proposed: the name that the project's auto-naming
    asks for, or "". disabled: whether a name must be given.
    """

    random: str = ""
    proposed: str = ""
    disabled: bool = False


class ControlPlane:
    """One cloud's answer to each request of the engine, in plain values. Refuses by CloudError."""

    def __init__(self, cloud: Cloud):
        self.cloud, self.store, self.schema = cloud, cloud.store, cloud.schema

    def check(
        self, urn: str, old: Mapping[str, Any], new: Mapping[str, Any], naming: Naming
    ) -> tuple[dict[str, Any], list[Failure]]:
        """The inputs with the generated name, and all reasons to refuse them."""
        resource = self.schema.resource(_type(urn))
        inputs = dict(new)
        name = self.cloud.name_property(resource)
        if name is not None and inputs.get(name) is None:
            if old.get(name) not in (None, UNKNOWN):
                inputs[name] = old[name]
                inputs |= {note: value for note, value in old.items() if note in self.cloud.named_by_us(name)}
            elif naming.disabled:
                return inputs, [Failure(name, "a name must be given, as this project's auto-naming is disabled")]
            else:
                inputs[name] = self._name(urn, naming)
                inputs |= self.cloud.named_by_us(name)
        return inputs, self.cloud.check(resource, inputs)

    def diff(self, urn: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
        """What changed, and what follows from it."""
        return compare(self.cloud, self.schema.resource(_type(urn)), old, new)

    def preview_create(self, urn: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs that are known before the resource exists."""
        return self.cloud.preview(self.schema.resource(_type(urn)), inputs, computed={})

    def preview_update(
        self, urn: str, old_inputs: Mapping[str, Any], old_outputs: Mapping[str, Any], inputs: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The outputs that are known before the resource is changed: what the cloud gave it, it keeps."""
        resource = self.schema.resource(_type(urn))
        return self.cloud.preview(resource, inputs, _computed(old_inputs, old_outputs))

    def create(self, urn: str, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Make a resource: its id and its outputs."""
        resource = self.schema.resource(_type(urn))
        faults.meet(self.store, "create", resource.token)
        scope = self.cloud.scope(resource, inputs)
        overwrite = self.cloud.overwrites(resource)
        with self.store.change():
            used = self.cloud.check_references(resource, inputs)
            id_ = self.cloud.identify(resource, inputs)
            outputs = self.cloud.outputs(resource, inputs, id_, computed={})
            record = Record(resource.token, scope, id_, urn, dict(inputs), outputs)
            place = f" in {scope}" if scope else ""
            if not overwrite and self._is_taken(record):
                raise CloudError(f"{resource.token} `{id_}` already exists{place}")
            self.store.add(record, self.cloud.identifiers(id_, outputs), used, overwrite)
            self._change_others(resource, inputs, id_)
        return id_, outputs

    def read(self, type_: str, id_: str, properties: Mapping[str, Any]) -> Record | None:
        """The resource as it is now, or None if it is gone. `id_` may be another of its identifiers, for an import."""
        resource = self.schema.resource(type_)
        faults.meet(self.store, "read", type_)
        scope = self.cloud.scope(resource, properties)
        found = self.store.get((type_, scope, id_))
        if found is not None:
            return found
        for key in self.store.identified_by(self.cloud.normal(id_)):
            if key[:2] == (type_, scope):
                return self.store.get(key)
        return None

    def update(self, urn: str, id_: str, old_inputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Change a resource in place: its outputs."""
        resource = self.schema.resource(_type(urn))
        faults.meet(self.store, "update", resource.token)
        key = (resource.token, self.cloud.scope(resource, old_inputs), id_)
        with self.store.change():
            existing = self.store.get(key)
            if existing is None:
                raise CloudError(
                    f"{resource.token} `{id_}` does not exist any more; `pulumi refresh` takes note of that"
                )
            used = self.cloud.check_references(resource, inputs)
            computed = _computed(existing.inputs, existing.outputs)
            outputs = self.cloud.outputs(resource, inputs, id_, computed)
            changed = Record(*key, urn, dict(inputs), outputs)
            self.store.replace(changed, self.cloud.identifiers(id_, outputs), used)
            self._change_others(resource, inputs, id_)
        return outputs

    def delete(self, type_: str, id_: str, properties: Mapping[str, Any]) -> None:
        """Remove a resource. One that is gone already is no error; one that others hold fast is."""
        resource = self.schema.resource(type_)
        faults.meet(self.store, "delete", type_)
        key = (type_, self.cloud.scope(resource, properties), id_)
        with self.store.change():
            holders = [
                f"{user[0]} `{user[2]}`"
                for user in self.store.users_of(key)
                if user[0] in self.cloud.held_by.get(type_, frozenset())
            ]
            if holders:
                raise CloudError(f"{type_} `{id_}` can't be deleted: it is in use by {', '.join(sorted(holders))}")
            if reason := self.cloud.reason_to_keep(key):
                raise CloudError(f"{type_} `{id_}` can't be deleted: {reason}")
            for contained in self.cloud.contents(key):
                self.store.remove(contained)
            self.store.remove(key)

    def invoke(self, token: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """The result of a function, or all reasons to refuse its arguments."""
        failures = schema.check(self.schema.function(token), arguments)
        return ({}, failures) if failures else (self.cloud.call(token, arguments), [])

    def _change_others(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> None:
        for changed in self.cloud.consequences(resource, inputs, id_):
            used = self.cloud.check_references(self.schema.resource(changed.type), changed.inputs)
            self.store.replace(changed, self.cloud.identifiers(changed.id, changed.outputs), used)

    def _is_taken(self, record: Record) -> bool:
        """Whether its id names something already, in whatever spelling the cloud takes for the same."""
        id_ = self.cloud.normal(record.id)
        return any(
            key[:2] == record.key[:2] and self.cloud.normal(key[2]) == id_ for key in self.store.identified_by(id_)
        )

    def _name(self, urn: str, naming: Naming) -> str:
        resource = self.schema.resource(_type(urn))
        random = naming.random or uuid.uuid4().hex
        return naming.proposed or self.cloud.generated_name(resource, urn.rpartition("::")[2], random)


def _type(urn: str) -> str:
    """The type of the resource itself: a URN holds it after the types of its parents."""
    return urn.split("::")[2].rpartition("$")[2]


def _computed(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs that the cloud gave, rather than the user."""
    return {name: value for name, value in outputs.items() if name not in inputs}
