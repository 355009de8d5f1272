"""Property values between the engine's protocol and Python: unknown values become UNKNOWN and back."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

from sandbox.schema import UNKNOWN

# How the engine writes a value that isn't known yet: `UnknownStringValue` in the engine's resource/plugin package. It
# has one for each type; they differ in the last part only where a provider asks for typed unknowns, which ours don't.
_UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

# A secret or an output, as an object with this key and the value beside it; an output without one isn't known yet:
# `SigKey`, `SecretSig` and `OutputValueSig` in the engine's resource package. Our providers leave both to the engine,
# which takes them off its requests, but not off a provider's configuration.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public constant of the protocol
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


def from_struct(struct: Struct) -> dict[str, Any]:
    """The properties of a message; null values are left out, whole numbers are ints."""
    return {key: _from_value(value) for key, value in struct.fields.items() if value.WhichOneof("kind") != "null_value"}


def to_struct(properties: Mapping[str, Any]) -> Struct:
    """Properties as a message."""
    struct = Struct()
    for key, value in properties.items():
        struct.fields[key].CopyFrom(_to_value(value))
    return struct


def _from_value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return UNKNOWN if value.string_value == _UNKNOWN_TEXT else value.string_value
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "struct_value":
            properties = from_struct(value.struct_value)
            signature = properties.get(_SIGNATURE)
            if signature in (_SECRET, _OUTPUT):
                return properties.get("value", UNKNOWN if signature == _OUTPUT else None)
            return properties
        case _:
            return None


def _to_value(value: Any) -> Value:
    if value is UNKNOWN:
        return Value(string_value=_UNKNOWN_TEXT)
    if isinstance(value, bool):
        return Value(bool_value=value)
    if isinstance(value, int | float):
        return Value(number_value=value)
    if isinstance(value, str):
        return Value(string_value=value)
    if isinstance(value, list):
        return Value(list_value=ListValue(values=[_to_value(item) for item in value]))
    if isinstance(value, Mapping):
        return Value(struct_value=to_struct(value))
    return Value(null_value=NULL_VALUE)
