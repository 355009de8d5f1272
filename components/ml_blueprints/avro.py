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
