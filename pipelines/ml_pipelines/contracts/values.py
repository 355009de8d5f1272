"""What values a contract allows: which Python types, how large, and how Avro's JSON writes them.

A timestamp is an integer of milliseconds since 1970, an enumeration its symbol, a missing value None.
"""

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_pipelines.contracts.errors import ContractError, Reason

# From year 1 to the end of 9999, in milliseconds since 1970: what timestamps of Arrow, Spark and BigQuery can show.
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999

_DAY = 86_400_000
_FLOAT = 2**128 - 2**103  # halfway to what 32 bits can't hold any more

# The smallest and the largest value, by type and by logical type.
_LIMITS: Mapping[str, tuple[float, float]] = {
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
    "float": (-_FLOAT, _FLOAT),
    "double": (-sys.float_info.max, sys.float_info.max),
    "date": (EARLIEST // _DAY, LATEST // _DAY),
    "time-millis": (0, _DAY - 1),
    "time-micros": (0, _DAY * 1000 - 1),
    "timestamp-millis": (EARLIEST, LATEST),
    "timestamp-micros": (EARLIEST * 1000, LATEST * 1000 + 999),
    "local-timestamp-millis": (EARLIEST, LATEST),
    "local-timestamp-micros": (EARLIEST * 1000, LATEST * 1000 + 999),
}
_PYTHON: Mapping[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "bytes": (bytes,),
    "string": (str,),
    "fixed": (bytes,),
    "enum": (str,),
    "array": (list, tuple),
    "map": (dict,),
    "record": (dict,),
}

Check = Callable[[Any], None]
Names = dict[str, Mapping[str, Any]]


class SchemaError(ValueError):
    """A contract that events can't safely be read by; the message says which part of it and why."""


def named_types(schema: Mapping[str, Any]) -> Names:
    """The types of a schema that have a name, by it, in full and without its namespace.

    Raises SchemaError for a type that holds itself, as bytes could then nest without end, and for an array whose items
    take no bytes, as a short event could then hold any number of them.
    """
    names: Names = {}
    _gather(schema, names, (), "")
    return names


def _gather(avro: Any, names: Names, inside: tuple[str, ...], namespace: str) -> None:
    if isinstance(avro, list):
        for branch in avro:
            _gather(branch, names, inside, namespace)
    elif isinstance(avro, str):
        if avro in inside:
            raise SchemaError(f"type `{avro}` holds itself; events of such a type could nest without end")
    else:
        if "name" in avro:
            before, _, short = avro["name"].rpartition(".")
            namespace = before or avro.get("namespace", namespace)
            full = f"{namespace}.{short}" if namespace else short
            names |= {full: avro, short: avro}
            inside = (*inside, full, short)
        for field in avro.get("fields", ()):
            _gather(field["type"], names, inside, namespace)
        for part in ("items", "values"):
            if part in avro:
                _gather(avro[part], names, inside, namespace)
        if isinstance(avro["type"], (list, dict)):
            _gather(avro["type"], names, inside, namespace)
        if avro["type"] == "array" and not _takes_bytes(avro["items"], names):
            raise SchemaError("an array of items that take no bytes; a short event could hold any number of them")


def _takes_bytes(avro: Any, names: Names) -> bool:
    kind, definition = _kind(avro, names)
    if kind == "record":
        return any(_takes_bytes(field["type"], names) for field in definition["fields"])
    return kind != "null" and not (kind == "fixed" and definition["size"] == 0)


def _kind(avro: Any, names: Names) -> tuple[str, Any]:
    """The name of a type as Avro has it (`union` too), and the mapping that defines it, if there is one."""
    if isinstance(avro, list):
        return "union", avro
    if isinstance(avro, str):
        return _kind(names[avro], names) if avro in names else (avro, {})
    if isinstance(avro["type"], str) and avro["type"] not in names:
        return avro["type"], avro
    return _kind(avro["type"], names)


def without_logical_types(avro: Any) -> Any:
    """The same schema in which a time is the integer that it is written as."""
    if isinstance(avro, list):
        return [without_logical_types(branch) for branch in avro]
    if not isinstance(avro, Mapping):
        return avro
    plain = {key: value for key, value in avro.items() if key != "logicalType"}
    if "fields" in plain:
        plain["fields"] = [{**field, "type": without_logical_types(field["type"])} for field in plain["fields"]]
    for part in ("items", "values", "type"):
        if part in plain:
            plain[part] = without_logical_types(plain[part])
    return plain


def default(field: Mapping[str, Any], names: Names) -> Any:
    """The default of a field as a value of Python. Raises SchemaError if it isn't one of the field's type."""
    try:
        value = from_json(field["default"], field["type"], names, field["name"], bare=True)
        return conforming(value, field["type"], names, field["name"])
    except ContractError as error:
        raise SchemaError(f"the default of field `{field['name']}`: {error.detail}") from None


def conforming(value: Any, avro: Any, names: Names, where: str) -> Any:
    """The value with whole numbers as floats where the type says so, and with defaults. Raises ContractError."""
    kind, definition = _kind(avro, names)
    if kind == "union":
        return _conforming_to_one(value, definition, names, where)
    if not isinstance(value, _PYTHON[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise ContractError(Reason.WRONG_TYPE, f"field `{where}` is {_article(value)}, a {kind} is expected")
    match kind:
        case "float" | "double":
            value = _as_float(value, where)
            _refuse(value, *_LIMITS[kind], where)
        case "int" | "long":
            _refuse(value, *_LIMITS[kind], where)
            _refuse(value, *_LIMITS.get(_logical(definition), _LIMITS[kind]), where)
        case "string":
            _refuse_surrogates(value, where)
        case "enum" if value not in definition["symbols"]:
            known = ", ".join(definition["symbols"])
            raise ContractError(Reason.WRONG_TYPE, f"field `{where}` is none of {known}")
        case "fixed" if len(value) != definition["size"]:
            raise ContractError(
                Reason.WRONG_TYPE, f"field `{where}` has {len(value)} bytes, {definition['size']} are expected"
            )
        case "array":
            return [conforming(item, definition["items"], names, f"{where}[{i}]") for i, item in enumerate(value)]
        case "map":
            for key in value:
                if not isinstance(key, str):
                    raise ContractError(Reason.WRONG_TYPE, f"field `{where}` has the key {key!r}, text is expected")
                _refuse_surrogates(key, where)
            return {key: conforming(item, definition["values"], names, f"{where}.{key}") for key, item in value.items()}
        case "record":
            return conforming_record(value, definition, names, f"{where}.")
    return value


def conforming_record(
    record: Mapping[str, Any], schema: Mapping[str, Any], names: Names, where: str = ""
) -> dict[str, Any]:
    """The record with each field of the schema, and no other. Raises ContractError that names the field."""
    fields = {field["name"]: field for field in schema["fields"]}
    if extra := sorted(f"`{where}{name}`" for name in record if name not in fields):
        raise ContractError(Reason.EXTRA_FIELD, f"{schema['name']} has no field {', '.join(extra)}")
    if missing := [f"`{where}{name}`" for name in fields if name not in record and "default" not in fields[name]]:
        raise ContractError(Reason.MISSING_FIELD, f"{schema['name']} needs {', '.join(missing)}")
    return {
        name: conforming(record[name], field["type"], names, f"{where}{name}")
        if name in record
        else default(field, names)
        for name, field in fields.items()
    }


def _conforming_to_one(value: Any, branches: list[Any], names: Names, where: str) -> Any:
    errors = []
    for branch in branches:
        try:
            return conforming(value, branch, names, where)
        except ContractError as error:
            errors.append((_kind(branch, names)[0], error))
    # What the value looks like most: a number that is too large is no matter of types.
    raise next((error for _, error in errors if error.reason is not Reason.WRONG_TYPE), None) or next(
        (error for kind, error in errors if kind != "null"), errors[0][1]
    )


def _logical(definition: Any) -> str:
    return definition.get("logicalType", "") if isinstance(definition, Mapping) else ""


def _article(value: Any) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _as_float(value: float, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ContractError(Reason.OUT_OF_RANGE, f"field `{where}` is too large for a number with a fraction") from None


def _refuse_surrogates(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = f"U+{ord(text[error.start]):04X}"
        raise ContractError(Reason.INVALID_UTF8, f"field `{where}` holds {found}, half of a character") from None


def _refuse(value: float, low: float, high: float, where: str) -> None:
    # NaN isn't between any two numbers.
    if low <= value <= high:
        return
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError(Reason.NOT_FINITE, f"field `{where}` is {value}")
    shown = value if abs(value) < 10**20 else f"{value:.3e}" if isinstance(value, float) else "a larger number"
    raise ContractError(Reason.OUT_OF_RANGE, f"field `{where}` is {shown}; from {low} to {high} is expected")


def limits(schema: Mapping[str, Any], names: Names) -> Check:
    """What Avro's bytes may say and a contract doesn't allow: NaN, infinities, times beyond a calendar, and so on."""
    bounds, nested = [], []
    for name, check in _checks(schema, names, ""):
        (bounds if isinstance(check, tuple) else nested).append((name, check))
    between = [(name, *check) for name, check in bounds]

    def hold(record: Mapping[str, Any]) -> None:
        for name, low, high in between:
            value = record[name]
            if value is not None and not low <= value <= high:
                _refuse(value, low, high, name)
        for name, check in nested:
            check(record[name])

    return hold


def _checks(schema: Mapping[str, Any], names: Names, where: str) -> Iterator[tuple[str, Any]]:
    for field in schema["fields"]:
        if check := _check(field["type"], names, f"{where}{field['name']}"):
            yield field["name"], check


def _check(avro: Any, names: Names, where: str) -> tuple[float, float] | Check | None:
    """The bounds of a number, a check of a value with parts of its own, or None where everything is allowed."""
    kind, definition = _kind(avro, names)
    match kind:
        case "union":
            return _check_of_one(definition, names, where)
        case "int" | "float" | "double":
            return _LIMITS.get(_logical(definition), _LIMITS[kind])
        case "long":
            return _LIMITS.get(_logical(definition))
        case "array" | "map":
            inner = _check(definition["items" if kind == "array" else "values"], names, f"{where}[]")
            if inner is None:
                return None
            each = _callable(inner, where)
            if kind == "array":
                return lambda value: _each(each, value)
            return lambda value: _each(each, value.values())
        case "record":
            parts = [
                (name, _callable(check, f"{where}.{name}")) for name, check in _checks(definition, names, f"{where}.")
            ]
            return (lambda value: _parts(parts, value)) if parts else None
        case _:
            return None


def _check_of_one(branches: list[Any], names: Names, where: str) -> tuple[float, float] | Check | None:
    values = [branch for branch in branches if _kind(branch, names)[0] != "null"]
    checks = [(_PYTHON[_kind(branch, names)[0]], _check(branch, names, where)) for branch in values]
    if all(check is None for _, check in checks):
        return None
    if len(checks) == 1:
        only = checks[0][1]
        return only if isinstance(only, tuple) else _unless_none(_callable(only, where))
    named = [(kinds, None if check is None else _callable(check, where)) for kinds, check in checks]

    def some(value: Any) -> None:
        """The value passes by one of the branches that it may be of."""
        error: ContractError | None = None
        for kinds, check in named:
            # A branch of floats takes integers when it is written, but gives floats when it is read.
            if isinstance(value, kinds[0]) and (not isinstance(value, bool) or kinds[0] is bool):
                try:
                    if check is not None:
                        check(value)
                    return
                except ContractError as found:
                    error = found
                except (KeyError, AttributeError):
                    continue  # a record or a map of another branch
        if error:
            raise error

    return some


def _unless_none(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _callable(check: tuple[float, float] | Check | None, where: str) -> Check:
    if isinstance(check, tuple):
        low, high = check
        return lambda value: None if value is None else _refuse(value, low, high, where)
    assert check is not None
    return check


def _each(check: Check, values: Any) -> None:
    for value in values:
        check(value)


def _parts(parts: list[tuple[str, Check]], record: Mapping[str, Any]) -> None:
    for name, check in parts:
        check(record[name])


def from_json(value: Any, avro: Any, names: Names, where: str, *, bare: bool = False) -> Any:
    """A value of Avro's JSON encoding: a union's value is wrapped in the name of its branch, bytes are Latin-1 text.

    `bare`: as the default of a field is written, without wrapping. Where it is not ambiguous, a bare value is taken for
    a union's anyway. What is of a wrong type comes back as it is, for `conforming` to refuse.
    """
    kind, definition = _kind(avro, names)
    if kind == "union":
        if not bare and isinstance(value, dict) and len(value) == 1:
            ((branch_name, inner),) = value.items()
            for branch in definition:
                if branch_name in _branch_names(branch, names):
                    return from_json(inner, branch, names, where)
        fitting = (branch for branch in definition if isinstance(value, _written(_kind(branch, names)[0])))
        branch = next(fitting, None)
        return value if branch is None else from_json(value, branch, names, where, bare=bare)
    if kind in ("bytes", "fixed") and isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ContractError(Reason.WRONG_TYPE, f"field `{where}`: bytes are text up to U+00FF") from None
    if kind == "array" and isinstance(value, list):
        return [from_json(item, definition["items"], names, f"{where}[]", bare=bare) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: from_json(item, definition["values"], names, where, bare=bare) for key, item in value.items()}
    if kind == "record" and isinstance(value, dict):
        types = {field["name"]: field["type"] for field in definition["fields"]}
        return {
            key: from_json(item, types[key], names, f"{where}.{key}", bare=bare) if key in types else item
            for key, item in value.items()
        }
    return value


def _written(kind: str) -> tuple[type, ...]:
    """The types of Python that JSON of a type is read as."""
    return (str,) if kind in ("bytes", "fixed") else _PYTHON[kind]


def _branch_names(avro: Any, names: Names) -> set[str]:
    """How a branch of a union may be called: named types by their name, in full or not, others by their type."""
    kind, definition = _kind(avro, names)
    if kind not in ("record", "enum", "fixed"):
        return {kind}
    return {name for name, type_ in names.items() if type_ is definition}
