"""What an Avro schema must hold for a contract to be made of it, so that no cloud meets a type that it can't place."""

from typing import Any

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def wrong(schema: Any) -> str | None:
    """What is wrong with the schema of a record, in words; None if nothing is."""
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return 'its `type` is "record"'
    if not _is_name(schema.get("name")):
        return "it has a `name` of letters, digits and `_`"
    fields = schema.get("fields")
    if not isinstance(fields, list) or not fields:
        return "it has a list of `fields`, with at least one"
    seen: set[str] = set()
    for position, field in enumerate(fields):
        if not isinstance(field, dict) or not _is_name(field.get("name")) or "type" not in field:
            return f"each of its fields has a `name` and a `type`, fields[{position}] has not"
        if field["name"] in seen:
            return f"each of its fields is there once, `{field['name']}` is not"
        seen.add(field["name"])
        if not isinstance(field.get("doc", ""), str):
            return f"the `doc` of field `{field['name']}` is text"
        if not _is_type(field["type"]):
            return f"field `{field['name']}` has a type that Avro doesn't have"
        if "default" in field and not _is_default(field["default"], field["type"]):
            return f"the default of field `{field['name']}` is of its type, in a union of its first branch"
    return None


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier()


def _is_type(avro: Any) -> bool:
    """Whether this is a type: a primitive, a union with one branch that isn't null, or one with parts of its own."""
    if isinstance(avro, str):
        return avro in _PRIMITIVES
    if isinstance(avro, list):
        return all(map(_is_type, avro)) and any(branch != "null" for branch in avro)
    if not isinstance(avro, dict) or not isinstance(avro.get("logicalType", ""), str):
        return False
    match avro.get("type"):
        case "record":
            return wrong(avro) is None
        case "array":
            return _is_type(avro.get("items"))
        case "map":
            return _is_type(avro.get("values"))
        case "enum":
            symbols = avro.get("symbols")
            return _is_name(avro.get("name")) and isinstance(symbols, list) and all(map(_is_name, symbols))
        case "fixed":
            return _is_name(avro.get("name")) and isinstance(avro.get("size"), int)
        case primitive:
            return isinstance(primitive, str) and primitive in _PRIMITIVES


_WHOLE = {"int": 2**31, "long": 2**63}


def _is_default(value: Any, avro: Any) -> bool:
    """Whether JSON's value is one of the type. Of a union's branches older libraries take the first one only."""
    if isinstance(avro, list):
        return _is_default(value, avro[0])
    kind = avro["type"] if isinstance(avro, dict) else avro
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int" | "long":
            return type(value) is int and -_WHOLE[kind] <= value < _WHOLE[kind]
        case "float" | "double":
            return type(value) in (int, float)
        case "array":
            return isinstance(value, list) and all(_is_default(item, avro["items"]) for item in value)
        case "map":
            return isinstance(value, dict) and all(_is_default(item, avro["values"]) for item in value.values())
        case "record":
            fields = {field["name"]: field for field in avro["fields"]}
            return (
                isinstance(value, dict)
                and value.keys() <= fields.keys()
                and all(name in value or "default" in field for name, field in fields.items())
                and all(_is_default(item, fields[name]["type"]) for name, item in value.items())
            )
        case "enum":
            return value in avro["symbols"]
        case "fixed":
            return isinstance(value, str) and len(value) == avro["size"] and all(ord(letter) < 256 for letter in value)
        case "bytes":
            return isinstance(value, str) and all(ord(letter) < 256 for letter in value)
        case _:
            return isinstance(value, str)
