"""What the three clouds of the sandbox have in common: names, identities, outputs, references and replacement.

Each cloud is a subclass with tables of its own; see aws.py, gcp.py and azure_native.py.
"""

import hashlib
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from sandbox import schema
from sandbox.schema import UNKNOWN, Failure, Property, ResourceSchema, Type
from sandbox.store import Record, Store


class CloudError(Exception):
    """The cloud refuses a request; the text is what the user sees."""


class Cloud(ABC):
    """One provider: its schema, its account, and how it names, identifies and connects things."""

    package: ClassVar[str]
    # Types of which there is one per parent, so that a second one overwrites the first.
    settings_of_a_parent: ClassVar[frozenset[str]] = frozenset()
    # Type to the types that keep it from being deleted while they refer to it.
    held_by: ClassVar[Mapping[str, frozenset[str]]] = {}
    # (type, path of an input) to the type that is referred to by its name there. `[]` is any element.
    name_references: ClassVar[Mapping[tuple[str, str], str]] = {}
    # Inputs that no provider can change in place, beside those of which the documentation says so: by type, `*` is any.
    replaced_by: ClassVar[Mapping[str, frozenset[str]]] = {}

    def __init__(self, store: Store):
        self.store = store
        self.schema = schema.package(self.package)
        self.configuration: dict[str, Any] = {}

    # Configuration

    @abstractmethod
    def check_configuration(self, configuration: Mapping[str, Any]) -> list[Failure]:
        """Why a provider can't work with this configuration."""

    # Checks

    def check(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> list[Failure]:
        """All reasons to refuse the inputs of a resource."""
        return schema.check(resource, inputs)

    @abstractmethod
    def name_property(self, resource: ResourceSchema) -> str | None:
        """The input that auto-naming fills if it is absent, or None."""

    def named_by_us(self, name_property: str) -> dict[str, Any]:
        """The note among a resource's inputs that its name was generated; the bridged providers' form."""
        return {"__defaults": [name_property]}

    @abstractmethod
    def generated_name(self, resource: ResourceSchema, logical: str, random: str) -> str:
        """A physical name for a logical one, as this provider makes it; `random` are hexadecimal digits."""

    # Identity

    def scope(self, resource: ResourceSchema, properties: Mapping[str, Any]) -> str:
        """Within what ids of this type are unique: the whole cloud, unless they don't name their place themselves."""
        return ""

    @abstractmethod
    def identify(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> str:
        """An id for a new resource with these inputs; the same one again if it follows from them alone."""

    def overwrites(self, resource: ResourceSchema) -> bool:
        """Whether a second creation with the same id is no error."""
        return resource.token in self.settings_of_a_parent

    def consequences(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> list[Record]:
        """How others are changed by a resource that was just made or changed. Raises CloudError if that can't be."""
        return []

    def reason_to_keep(self, key: tuple[str, str, str]) -> str | None:
        """Why a resource can't be deleted now, beside what `held_by` says; None if it can."""
        return None

    def contents(self, key: tuple[str, str, str]) -> list[tuple[str, str, str]]:
        """The keys of what disappears together with a resource."""
        return []

    @abstractmethod
    def known_outputs(self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str) -> dict[str, Any]:
        """The outputs that follow from the identity: ARN, self-link, name, e-mail and the like."""

    def identifiers(self, id_: str, outputs: Mapping[str, Any]) -> set[str]:
        """Everything by which others may refer to a resource: its id, and each text that this cloud issues as one."""
        return {self.normal(id_)} | {
            self.normal(value)
            for value in outputs.values()
            if isinstance(value, str) and self.is_reference(value) and self.normal(id_) in self.normal(value)
        }

    # References

    @abstractmethod
    def is_reference(self, text: str) -> bool:
        """Whether a text is an identifier that only this sandbox's own account could have issued."""

    def normal(self, identifier: str) -> str:
        """An identifier in the form in which it is compared."""
        return identifier

    def references(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> Iterator[tuple[str, str, str | None]]:
        """What the inputs refer to: path, identifier, and the type if the reference is by name."""
        for path, value in texts(inputs):
            target = self.name_references.get((resource.token, _any_index(path)))
            if self.is_reference(value):
                yield path, self.normal(value), None
            elif target is not None:
                yield path, value, target

    def check_references(self, resource: ResourceSchema, inputs: Mapping[str, Any]) -> list[str]:
        """The identifiers that the inputs use. Raises CloudError for one that names nothing."""
        used = []
        for path, identifier, target in self.references(resource, inputs):
            found = self.store.identified_by(identifier)
            if target is not None:
                found = [key for key in found if key[0] == target]
            if not found:
                kind = f"no {target} of the name" if target else "nothing with the identifier"
                raise CloudError(f"{path}: there is {kind} `{identifier}` on this cloud")
            used.append(identifier)
        return used

    # Outputs

    def outputs(
        self, resource: ResourceSchema, inputs: Mapping[str, Any], id_: str, computed: Mapping[str, Any]
    ) -> dict[str, Any]:
        """All outputs of a resource: its inputs, what follows from its identity, and believable values of the rest.

        computed: what a resource that exists already has got from the cloud, which it keeps.
        """
        known = self.known_outputs(resource, inputs, id_)
        return _Filler(resource, self, id_).object(
            resource.outputs, {**_usual_values(resource), **computed, **inputs, **known}
        )

    def preview(
        self, resource: ResourceSchema, inputs: Mapping[str, Any], computed: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The outputs before a resource exists or is changed: its inputs; what is not yet `computed` is unknown."""
        unknown = {name: UNKNOWN for name, property_ in resource.outputs.items() if property_.required}
        return unknown | dict(computed) | {name: value for name, value in inputs.items() if name in resource.outputs}

    def plain_value(self, name: str, kind: str, id_: str) -> Any:
        """A believable value of an output that nothing else determines, judged by its name."""
        if kind in ("integer", "number"):
            return 0
        if kind == "boolean":
            return False
        lower = name.lower()
        if lower in ("provisioningstate",):
            return "Succeeded"
        if lower in ("status", "state"):
            return "ACTIVE"
        if lower.endswith(("time", "date", "timestamp", "createdat", "createdon", "created")):
            return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if lower.endswith(("principalid", "clientid", "uniqueid", "objectid", "guid", "uid", "internalid")):
            return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{id_}/{name}"))
        if lower.endswith(("url", "uri", "endpoint")):
            return f"https://{self.host_label(id_)}.{self.package}.example"
        if lower.endswith(("fqdn", "dnsname", "hostname", "domainname", "dns")):
            return f"{self.host_label(id_)}.{self.package}.example"
        return hexadecimal(f"{id_}/{name}", 16)

    def host_label(self, id_: str) -> str:
        """The last part of an id as a label of a host name."""
        return re.sub(r"[^a-z0-9-]", "-", re.split(r"[/:]", id_)[-1].lower())[:63]

    # Replacement

    def replaces(self, resource: ResourceSchema, property_: str) -> bool:
        """Whether a change of this input makes a new resource."""
        known = resource.inputs.get(property_)
        return (
            (known is not None and known.replaces)
            or property_ == self.name_property(resource)
            or property_ in self.replaced_by.get("*", frozenset())
            or property_ in self.replaced_by.get(resource.token, frozenset())
            or ("*" in self.replaced_by.get(resource.token, frozenset()) and property_ not in ("tags", "labels"))
        )

    def keeps_identity(self, resource: ResourceSchema, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """Whether a replacement would have the id of what it replaces. A generated name will be generated anew."""
        name = self.name_property(resource)
        if name is not None and any(note in new for note in self.named_by_us(name)):
            return False
        # What isn't known yet may be anything, which is different from what it was.
        anything = str(uuid.uuid4())
        expected = {name: anything if value is UNKNOWN else value for name, value in new.items()}
        return self.identify(resource, old) == self.identify(resource, expected)

    # Functions

    @abstractmethod
    def call(self, token: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a function. Raises CloudError for one that the sandbox doesn't have."""


class _Filler:
    """Completes outputs by their schema: what the inputs say stays, what is required beside it gets a value."""

    def __init__(self, resource: ResourceSchema, cloud: Cloud, id_: str):
        self.resource, self.cloud, self.id = resource, cloud, id_

    def object(self, properties: Mapping[str, Property], given: Mapping[str, Any]) -> dict[str, Any]:
        filled = {}
        for name, property_ in properties.items():
            value = given.get(name)
            if value is not None:
                filled[name] = self.given(property_.type, value)
            elif property_.required:
                filled[name] = self.missing(name, property_.type)
        return filled

    def given(self, type_: Type, value: Any) -> Any:
        if type_.kind == "object" and isinstance(value, Mapping):
            return self.object(self.resource.objects[type_.ref or ""], value) | dict(value)
        if type_.kind == "array" and isinstance(value, list) and type_.items:
            return [self.given(type_.items, item) for item in value]
        if type_.kind == "string" and isinstance(value, int | float | bool):
            return str(value).lower() if isinstance(value, bool) else str(value)
        return value

    def missing(self, name: str, type_: Type) -> Any:
        match type_.kind:
            case "array":
                return []
            case "map":
                return {}
            case "object":
                return self.object(self.resource.objects[type_.ref or ""], {})
            case "enum":
                return self.resource.enums[type_.ref or ""][0]
            case "union":
                return self.missing(name, type_.options[0])
        return self.cloud.plain_value(name, type_.kind, self.id)


def _usual_values(resource: ResourceSchema) -> dict[str, Any]:
    """What an input is where it isn't given: of the values that are allowed, the first is the usual one."""
    usual = {}
    for name, property_ in resource.inputs.items():
        output = resource.outputs.get(name)
        if output is not None and output.required and (allowed := _allowed_texts(resource, property_)):
            usual[name] = allowed[0]
    return usual


def _allowed_texts(resource: ResourceSchema, property_: Property) -> tuple[object, ...]:
    if property_.values and property_.type.kind == "string":
        return property_.values
    options = (property_.type, *property_.type.options)
    return next((resource.enums[option.ref or ""] for option in options if option.kind == "enum"), ())


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{path}[{index}]")


def _any_index(path: str) -> str:
    return re.sub(r"\[\d+\]", "[]", path)


def hexadecimal(seed: str, digits: int) -> str:
    """Hexadecimal digits that always follow from the same seed."""
    return hashlib.sha256(seed.encode()).hexdigest()[:digits]
