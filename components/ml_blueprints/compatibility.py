"""Whether a reader of one version of a contract understands what a writer of another wrote, and if not, why.

The rules are those of Avro's schema resolution (https://avro.apache.org/docs/1.12.0/specification/#schema-resolution),
and Apache's own checker gives its verdict too. What it leaves open is decided here: a logical type belongs to a type,
so that another one is another type (docs/decisions/0006-contracts.md).
"""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

# Avro takes a tenth of a second to import: only who compares two versions waits for it.
if TYPE_CHECKING:
    from avro.schema import EnumSchema, FixedSchema, NamedSchema, RecordSchema, Schema, UnionSchema

Mode = Literal["BACKWARD", "BACKWARD_ALL", "FORWARD", "FORWARD_ALL", "FULL", "FULL_ALL"]

# Why a mode asks for what it asks for.
REASONS: Mapping[str, str] = {
    "BACKWARD": "BACKWARD lets consumers upgrade first, while producers still write the version before",
    "BACKWARD_ALL": "BACKWARD_ALL lets consumers read all that was ever written with the newest version",
    "FORWARD": "FORWARD lets producers upgrade first, while consumers still read the version before",
    "FORWARD_ALL": "FORWARD_ALL lets producers upgrade first, whichever version consumers still read",
    "FULL": "FULL lets producers and consumers upgrade in any order, one version at a time",
    "FULL_ALL": "FULL_ALL lets producers and consumers upgrade in any order, over any number of versions",
}


class Rule(StrEnum):
    """What of Avro's resolution a pair of versions breaks."""

    NAME = "name"
    DEFAULT = "default"
    TYPE = "type"
    LOGICAL_TYPE = "logical type"
    BRANCH = "branch"
    SYMBOLS = "symbols"
    SIZE = "size"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a reader can't resolve.

    field: its path by the reader's names, `address.city`, items as `[]`, values of a map as `{}`; empty: the record.
    reads, writes: what the one expects and what the other gives.
    """

    field: str
    rule: Rule
    reads: str
    writes: str

    def sentence(self, reader: str, writer: str) -> str:
        """What is wrong, in words that name the two."""
        where = f"field `{self.field}`" if self.field else "the record"
        match self.rule:
            case Rule.DEFAULT:
                return f"{where}: {reader} reads it and has no default, and {writer} doesn't write it"
            case Rule.SYMBOLS:
                return (
                    f"{where}: {writer} writes {self.writes}, and {reader} neither knows that nor has a default for it"
                )
            case Rule.NAME:
                return (
                    f"{where}: {reader} calls its type {self.reads} where {writer} wrote {self.writes}; "
                    "the name may change where the old one is among the aliases"
                )
            case _:
                return f"{where}: {reader} reads {self.reads} where {writer} wrote {self.writes}"


@dataclass(frozen=True, slots=True)
class Direction:
    """Who must be able to read whom, as numbers of versions."""

    reader: int
    writer: int


def directions(mode: Mode, version: int, before: list[int]) -> Iterator[Direction]:
    """What a mode asks of a version, given those before it."""
    kind, _, transitive = mode.partition("_")
    for other in before if transitive else before[-1:]:
        if kind in ("BACKWARD", "FULL"):
            yield Direction(reader=version, writer=other)
        if kind in ("FORWARD", "FULL"):
            yield Direction(reader=other, writer=version)


def differences(reader: Mapping[str, Any], writer: Mapping[str, Any]) -> tuple[Difference, ...]:
    """All that a reader with one schema can't resolve of what a writer with another writes. Empty: it understands it.

    Raises ValueError where one of them is no schema of Avro.
    """
    from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

    read, written = _parsed(_text(reader)), _parsed(_text(writer))
    found = tuple(dict.fromkeys(_differences(read, written, "", frozenset())))
    verdict = ReaderWriterCompatibilityChecker().get_compatibility(read, written)
    if found or verdict.compatibility is SchemaCompatibilityType.compatible:
        return found
    # Never seen, and yet: what Apache's checker refuses is not let through because our own look found no words for it.
    said = "; ".join(sorted(map(str, verdict.messages)))
    return (Difference(", ".join(sorted(verdict.locations)), Rule.OTHER, said, "something else"),)


def parse(schema: Mapping[str, Any]) -> None:
    """Raises ValueError, with the reason, where this is no schema of Avro."""
    _parsed(_text(schema))


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps(_with_full_aliases(schema, ""))


def _with_full_aliases(avro: Any, namespace: str) -> Any:
    """An alias belongs to the namespace of its type; Apache's checker compares it as it is written."""
    if isinstance(avro, list):
        return [_with_full_aliases(branch, namespace) for branch in avro]
    if not isinstance(avro, Mapping):
        return avro
    full = dict(avro)
    if full.get("type") in ("record", "enum", "fixed"):
        namespace = full.get("name", "").rpartition(".")[0] or full.get("namespace", namespace)
        if "aliases" in full and namespace:
            full["aliases"] = [alias if "." in alias else f"{namespace}.{alias}" for alias in full["aliases"]]
    if "fields" in full:
        full["fields"] = [{**field, "type": _with_full_aliases(field["type"], namespace)} for field in full["fields"]]
    for part in ("items", "values", "type"):
        if part in full:
            full[part] = _with_full_aliases(full[part], namespace)
    return full


@lru_cache(maxsize=256)
def _parsed(text: str) -> "Schema":
    import avro.schema
    from avro.errors import AvroException

    try:
        with warnings.catch_warnings():
            # It knows fewer logical types than there are; ours are compared by what is written.
            warnings.simplefilter("ignore")
            return avro.schema.parse(text)
    except AvroException as error:
        raise ValueError(str(error)) from None


def _differences(reader: Any, writer: Any, field: str, above: frozenset[tuple[int, int]]) -> Iterator[Difference]:
    """`above`: the pairs of types that this one is inside of; a type that holds itself ends there."""
    pair = (id(reader), id(writer))
    if pair in above:
        return
    above = above | {pair}
    if writer.type == "union" and not (reader.type == "union" and _same_optional(reader, writer)):
        yield from _of_any_branch(reader, writer, field, above)
        return
    match reader.type, writer.type:
        case "union", "union":
            (read,), (written,) = _values(reader), _values(writer)
            yield from _differences(read, written, field, above)
        case "union", _:
            yield from _in_some_branch(reader, writer, field, above)
        case "record", "record":
            yield from _of_names(reader, writer, field)
            yield from _of_fields(reader, writer, field, above)
        case "array", "array":
            yield from _differences(reader.items, writer.items, f"{field}[]", above)
        case "map", "map":
            yield from _differences(reader.values, writer.values, f"{field}{{}}", above)
        case "enum", "enum":
            yield from _of_names(reader, writer, field)
            yield from _of_symbols(reader, writer, field)
        case "fixed", "fixed":
            yield from _of_names(reader, writer, field)
            if reader.size != writer.size:
                yield Difference(field, Rule.SIZE, f"{reader.size} bytes", f"{writer.size} bytes")
            elif _logical(reader) != _logical(writer):
                yield Difference(field, Rule.LOGICAL_TYPE, shown(reader), shown(writer))
        case kinds if kinds[0] != kinds[1] and kinds not in _PROMOTIONS:
            yield Difference(field, Rule.TYPE, shown(reader), shown(writer))
        case _ if _logical(reader) != _logical(writer):
            yield Difference(field, Rule.LOGICAL_TYPE, shown(reader), shown(writer))


# (what is read, what was written)
_PROMOTIONS = {
    ("long", "int"),
    ("float", "int"),
    ("float", "long"),
    ("double", "int"),
    ("double", "long"),
    ("double", "float"),
    ("string", "bytes"),
    ("bytes", "string"),
}


def _aliases(named: Any) -> tuple[str, ...]:
    """The other names of a field or a type, which Avro's library leaves untyped."""
    aliases: Any = named.props.get("aliases")
    return tuple(aliases or ())


def _of_fields(
    reader: "RecordSchema", writer: "RecordSchema", field: str, above: frozenset[tuple[int, int]]
) -> Iterator[Difference]:
    # The library gives no types of its own.
    fields: Any = reader.fields
    for wanted in fields:
        path = f"{field}.{wanted.name}".removeprefix(".")
        names = [wanted.name, *_aliases(wanted)]
        given = next((writer.fields_dict[name] for name in names if name in writer.fields_dict), None)
        if given is not None:
            yield from _differences(wanted.type, given.type, path, above)
        elif not wanted.has_default:
            yield Difference(path, Rule.DEFAULT, shown(wanted.type), "nothing")


def _of_names(reader: "NamedSchema", writer: "NamedSchema", field: str) -> Iterator[Difference]:
    """The names without their namespaces are alike, or the writer's full one is among the reader's aliases."""
    if reader.name != writer.name and writer.fullname not in _aliases(reader):
        yield Difference(field, Rule.NAME, f"`{reader.fullname}`", f"`{writer.fullname}`")


def _of_symbols(reader: "EnumSchema", writer: "EnumSchema", field: str) -> Iterator[Difference]:
    unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
    if unknown and not reader.props.get("default"):
        symbols = ", ".join(f"`{symbol}`" for symbol in unknown)
        yield Difference(field, Rule.SYMBOLS, shown(reader), f"the symbol {symbols}")


def _of_any_branch(
    reader: "Schema", writer: "UnionSchema", field: str, above: frozenset[tuple[int, int]]
) -> Iterator[Difference]:
    """Whichever branch is written must be read. Of one that has no place at all, the whole type is told."""
    for branch in writer.schemas:
        for found in _differences(reader, branch, field, above):
            if found.field == field and found.rule in (Rule.TYPE, Rule.BRANCH):
                yield Difference(field, Rule.BRANCH, shown(reader), shown(writer))
            else:
                yield found


def _in_some_branch(
    reader: "UnionSchema", writer: "Schema", field: str, above: frozenset[tuple[int, int]]
) -> Iterator[Difference]:
    """One branch must read it. If none does, the one that is meant is of the same type."""
    found = [(branch, list(_differences(branch, writer, field, above))) for branch in reader.schemas]
    if any(not differs for _, differs in found):
        return
    meant = next((differs for branch, differs in found if branch.type == writer.type), None)
    yield from meant or [Difference(field, Rule.BRANCH, shown(reader), shown(writer))]


def _values(union: "UnionSchema") -> list[Any]:
    return [branch for branch in union.schemas if branch.type != "null"]


def _same_optional(reader: "UnionSchema", writer: "UnionSchema") -> bool:
    """Whether both are one type that may be missing, so that the types are compared and not the branches."""
    return all(len(_values(union)) == 1 and len(union.schemas) == 2 for union in (reader, writer))


def _logical(schema: "Schema") -> tuple[Any, ...]:
    """The logical type with what belongs to it: decimals of different scales are different numbers."""
    logical = schema.props.get("logicalType")
    if logical != "decimal":
        return (logical,)
    return (logical, schema.props.get("precision"), schema.props.get("scale") or 0)


def shown(schema: Any) -> str:
    """A type in a few words, in code quotes."""
    return f"`{_shown(schema)}`"


def _shown(schema: "Schema | FixedSchema") -> str:
    match schema.type:
        case "union":
            return " or ".join(_shown(branch) for branch in schema.schemas)  # type: ignore[attr-defined]
        case "array":
            return f"array of {_shown(schema.items)}"  # type: ignore[attr-defined]
        case "map":
            return f"map of {_shown(schema.values)}"  # type: ignore[attr-defined]
        case "record" | "enum" | "fixed":
            return f"{schema.type} {schema.name}"  # type: ignore[attr-defined]
    logical, *digits = _logical(schema)
    if digits:
        return f"{schema.type} (decimal of {digits[0]} digits, {digits[1]} of them after the point)"
    return f"{schema.type} ({logical})" if logical else str(schema.type)
