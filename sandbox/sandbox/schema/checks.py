"""Refuses inputs that a provider would refuse: unknown and missing properties, wrong types, values that don't exist."""

import difflib
from collections.abc import Mapping
from typing import Any

from sandbox.schema.model import Failure, FunctionSchema, Property, ResourceSchema, Type


class _Unknown:
    """The value of a property that is not known before something else has been created."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()

_JSON_TYPES = {str: "text", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
_EXPECTED = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "map": "an object",
    "object": "an object",
    "enum": "one of its values",
    "asset": "an asset or archive",
}


def check(schema: ResourceSchema | FunctionSchema, inputs: Mapping[str, Any]) -> list[Failure]:
    """All reasons to refuse these inputs; none if the provider would take them. UNKNOWN is right everywhere."""
    checker = _Checker(schema)
    checker.properties("", schema.inputs, inputs)
    return checker.failures


class _Checker:
    def __init__(self, schema: ResourceSchema | FunctionSchema):
        self.schema = schema
        # The Terraform bridge converts scalars as Terraform does; azure-native sends them as they are.
        self.converts = not schema.token.startswith("azure-native:")
        self.failures: list[Failure] = []

    def refuse(self, path: str, reason: str) -> None:
        self.failures.append(Failure(path, reason))

    def properties(self, path: str, expected: Mapping[str, Property], found: Mapping[str, Any]) -> None:
        """Check an object: each property by its own type, those that are missing, and those that don't exist."""
        for name, value in found.items():
            where = f"{path}.{name}" if path else name
            if name in expected:
                if value is not None:
                    self.property(where, expected[name], value)
            elif not name.startswith("__"):
                nearest = difflib.get_close_matches(name, expected, n=1)
                hint = f"; did you mean `{nearest[0]}`?" if nearest else f"; there are {', '.join(sorted(expected))}"
                self.refuse(where, f"there is no property `{name}`{hint}")
        for name, wanted in expected.items():
            if wanted.required and found.get(name) is None:
                self.refuse(f"{path}.{name}" if path else name, f"the required property `{name}` is missing")

    def property(self, path: str, expected: Property, value: Any) -> None:
        """Check one value by its type, and by the values that the documentation lists."""
        before = len(self.failures)
        self.value(path, expected.type, value)
        if len(self.failures) > before or value is UNKNOWN:
            return
        allowed = (expected.constant,) if expected.constant is not None else expected.values
        # To Terraform an empty text means the same as none.
        if allowed and isinstance(value, str) and value not in allowed and (value or not self.converts):
            self.refuse(path, f"`{value}` is not one of {', '.join(allowed)}")

    def value(self, path: str, expected: Type, value: Any) -> None:
        """Check one value by its type."""
        if value is UNKNOWN or expected.kind == "any":
            return
        match expected.kind:
            case "array":
                self._array(path, expected, value)
            case "map":
                self._map(path, expected, value)
            case "object":
                if isinstance(value, Mapping):
                    self.properties(path, self.schema.objects[expected.ref or ""], value)
                else:
                    self._wrong(path, expected, value)
            case "enum":
                allowed = self.schema.enums[expected.ref or ""]
                if value not in allowed:
                    self.refuse(path, f"`{value}` is not one of {', '.join(map(str, allowed))}")
            case "union":
                self._union(path, expected, value)
            case "asset":
                if not isinstance(value, Mapping):
                    self._wrong(path, expected, value)
            case _:
                if not _is_scalar(expected.kind, value, self.converts):
                    self._wrong(path, expected, value)

    def _wrong(self, path: str, expected: Type, value: Any) -> None:
        found = _JSON_TYPES.get(type(value), type(value).__name__)
        shown = f" (`{value}`)" if isinstance(value, str | int | float) else ""
        self.refuse(path, f"expected {_EXPECTED[expected.kind]}, found {found}{shown}")

    def _array(self, path: str, expected: Type, value: Any) -> None:
        if not isinstance(value, list):
            self._wrong(path, expected, value)
            return
        for index, item in enumerate(value):
            if item is not None and expected.items is not None:
                self.value(f"{path}[{index}]", expected.items, item)

    def _map(self, path: str, expected: Type, value: Any) -> None:
        if not isinstance(value, Mapping):
            self._wrong(path, expected, value)
            return
        for key, item in value.items():
            if item is not None and expected.items is not None:
                self.value(f"{path}.{key}", expected.items, item)

    def _union(self, path: str, expected: Type, value: Any) -> None:
        """A value of a union is right if it is right for one of its options.

        `str | Enum` is how SDKs write an enum of the service that may grow; the service refuses other values all the
        same, so the enum is what counts. Objects that carry a constant (their kind) are told apart by it.
        """
        enums = [option for option in expected.options if option.kind == "enum"]
        if enums and isinstance(value, str):
            self.value(path, enums[0], value)
            return
        if isinstance(value, Mapping) and (kinds := self._kinds(expected)):
            name, allowed = kinds
            if isinstance(kind := value.get(name), str) and kind not in allowed:
                self.refuse(f"{path}.{name}", f"`{kind}` is not one of {', '.join(allowed)}")
                return
        attempts: list[list[Failure]] = []
        for option in self._candidates(expected, value):
            checker = _Checker(self.schema)
            checker.value(path, option, value)
            if not checker.failures:
                return
            attempts.append(checker.failures)
        self.failures.extend(min(attempts, key=len))

    def _kinds(self, expected: Type) -> tuple[str, list[str]] | None:
        """The property that tells all options of a union apart, and its values; None if there is no such property."""
        kinds: dict[str, list[str]] = {}
        for option in expected.options:
            for name, known in self.schema.objects.get(option.ref or "", {}).items():
                if known.constant is not None:
                    kinds.setdefault(name, []).append(known.constant)
        return next(((name, found) for name, found in kinds.items() if len(found) == len(expected.options)), None)

    def _candidates(self, expected: Type, value: Any) -> list[Type]:
        if not isinstance(value, Mapping):
            return list(expected.options)
        matching = []
        for option in expected.options:
            properties = self.schema.objects.get(option.ref or "", {})
            constants = {name: prop.constant for name, prop in properties.items() if prop.constant is not None}
            if constants and all(value.get(name) == constant for name, constant in constants.items()):
                matching.append(option)
        return matching or list(expected.options)


def _is_scalar(kind: str, value: Any, converts: bool) -> bool:
    if kind == "string":
        return isinstance(value, str) or (converts and isinstance(value, int | float | bool))
    if kind == "boolean":
        return isinstance(value, bool) or (converts and value in ("true", "false"))
    if isinstance(value, bool):
        return False
    if isinstance(value, str) and converts:
        try:
            value = float(value)
        except ValueError:
            return False
    if kind == "integer":
        return isinstance(value, int | float) and float(value).is_integer()
    return isinstance(value, int | float)
