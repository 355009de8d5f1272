"""Events to bytes and back, by contract: nothing comes out that the contract doesn't allow.

On streams an event is in Avro's single-object encoding, which names its writer's schema itself, so that it is read
without asking a registry (https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding). What a cloud's
own registry frames in another way is read by `decode_body`, once the frame's schema is known (registries.py).
"""

import io
import json
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import fastavro

from ml_pipelines.contracts.catalog import Contract

MARKER = b"\xc3\x01"
HEADER = len(MARKER) + 8

# An event is small; the largest record of Kinesis, Pub/Sub and Event Hubs alike is about this.
MAXIMUM_BYTES = 1024 * 1024

# From year 1 to the end of 9999, in milliseconds since 1970: what timestamps of Arrow, Spark and BigQuery can show.
EARLIEST, LATEST = -62_135_596_800_000, 253_402_300_799_999


class Reason(StrEnum):
    """Why an event can't be used."""

    TRUNCATED = "truncated"
    TRAILING_BYTES = "trailing_bytes"
    UNKNOWN_SCHEMA = "unknown_schema"
    MISSING_FIELD = "missing_field"
    EXTRA_FIELD = "extra_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    INVALID_UTF8 = "invalid_utf8"
    TOO_LARGE = "too_large"
    OUT_OF_RANGE = "out_of_range"
    FAR_FUTURE = "far_future"
    LATE = "late"


class ContractError(ValueError):
    """An event that breaks its contract. `reason` is for counting, `detail` for people."""

    def __init__(self, reason: Reason, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Codec:
    """Encodes and decodes the events of one contract; what is decoded has the form of `reader_version`.

    A timestamp is an integer of milliseconds since 1970, an enumeration its symbol, a missing value None.
    """

    def __init__(self, contract: Contract, reader_version: int, maximum_bytes: int = MAXIMUM_BYTES):
        if reader_version not in contract.versions:
            known = ", ".join(map(str, contract.versions))
            raise LookupError(f"contract {contract.name} has no version {reader_version}; it has {known}")
        self.contract, self.reader_version, self.maximum_bytes = contract, reader_version, maximum_bytes
        self._schemas = {
            version: fastavro.parse_schema(_without_logical_types(schema))
            for version, schema in contract.versions.items()
        }
        self._headers = {MARKER + fingerprint: version for fingerprint, version in contract.by_fingerprint.items()}
        self._of_version = {version: header for header, version in self._headers.items()}
        self._rules = _rules(contract.versions[reader_version])

    def encode(self, record: Mapping[str, Any], version: int | None = None) -> bytes:
        """An event in single-object encoding, by the reader's version if no other is given. Raises ContractError."""
        version = version or self.reader_version
        _check_fields(record, self.contract.versions[version])
        for check in _rules(self.contract.versions[version]):
            check(record)
        out = io.BytesIO()
        out.write(self._of_version[version])
        try:
            fastavro.schemaless_writer(out, self._schemas[version], dict(record), strict=True)
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise ContractError(Reason.WRONG_TYPE, f"{self.contract.name} version {version}: {error}") from None
        return out.getvalue()

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The event that a payload in single-object encoding holds. Raises ContractError."""
        self._check_size(payload)
        version = self._headers.get(payload[:HEADER])
        if version is None:
            raise self._unknown(payload)
        return self._read(payload, HEADER, version)

    def decode_body(self, body: bytes, version: int) -> dict[str, Any]:
        """The event that a plain Avro body holds, written by this version. Raises ContractError."""
        self._check_size(body)
        self._check_version(version)
        return self._read(body, 0, version)

    def decode_json(self, text: bytes, version: int) -> dict[str, Any]:
        """The event in Avro's JSON encoding, as Pub/Sub and people write it. Raises ContractError."""
        self._check_size(text)
        self._check_version(version)
        try:
            content = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
        except UnicodeDecodeError as error:
            raise ContractError(Reason.INVALID_UTF8, f"byte {error.start} is not UTF-8") from None
        except (json.JSONDecodeError, RecursionError) as error:
            raise ContractError(Reason.TRUNCATED, f"this is not whole JSON: {error}") from None
        if not isinstance(content, dict):
            raise ContractError(Reason.WRONG_TYPE, f"an object is expected, found {type(content).__name__}")
        record = {
            field["name"]: _from_json(content[field["name"]], field["type"], field["name"])
            for field in self.contract.versions[version]["fields"]
            if field["name"] in content
        } | {name: value for name, value in content.items() if name not in _names(self.contract.versions[version])}
        return self.decode(self.encode(record, version))

    def _read(self, payload: bytes, start: int, version: int) -> dict[str, Any]:
        source = io.BytesIO(payload)
        source.seek(start)
        schema = self._schemas[version]
        reader = None if version == self.reader_version else self._schemas[self.reader_version]
        try:
            record: Any = fastavro.schemaless_reader(source, schema, reader)
        except UnicodeDecodeError as error:
            raise ContractError(Reason.INVALID_UTF8, f"text holds bytes that are not UTF-8: {error.reason}") from None
        except (EOFError, IndexError, ValueError, TypeError, OverflowError, MemoryError, KeyError) as error:
            raise ContractError(Reason.TRUNCATED, f"the bytes end or break off: {error or 'no more bytes'}") from None
        if (left := len(payload) - source.tell()) > 0:
            raise ContractError(Reason.TRAILING_BYTES, f"{left} bytes are left after the event")
        for check in self._rules:
            check(record)
        return record

    def _check_size(self, payload: bytes) -> None:
        if len(payload) > self.maximum_bytes:
            raise ContractError(
                Reason.TOO_LARGE, f"{len(payload)} bytes; an event has at most {self.maximum_bytes} bytes"
            )

    def _check_version(self, version: int) -> None:
        if version not in self._schemas:
            known = ", ".join(map(str, self._schemas))
            raise ContractError(Reason.UNKNOWN_SCHEMA, f"{self.contract.name} has no version {version}; it has {known}")

    def _unknown(self, payload: bytes) -> ContractError:
        if len(payload) < HEADER:
            return ContractError(Reason.TRUNCATED, f"{len(payload)} bytes; an event has at least {HEADER}")
        if payload[: len(MARKER)] != MARKER:
            return ContractError(
                Reason.UNKNOWN_SCHEMA, f"it begins with {payload[:2].hex()}; single-object encoding begins with c301"
            )
        return ContractError(
            Reason.UNKNOWN_SCHEMA,
            f"no version of {self.contract.name} has the fingerprint {payload[len(MARKER) : HEADER].hex()}",
        )


def _without_logical_types(avro: Any) -> Any:
    """The same schema in which a time is the integer that it is written as."""
    if isinstance(avro, list):
        return [_without_logical_types(part) for part in avro]
    if isinstance(avro, Mapping):
        return {key: _without_logical_types(part) for key, part in avro.items() if key != "logicalType"}
    return avro


def _names(schema: Mapping[str, Any]) -> set[str]:
    return {field["name"] for field in schema["fields"]}


def _check_fields(record: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Every field of the contract that has no default is there, and no other."""
    required = {field["name"] for field in schema["fields"] if "default" not in field}
    if missing := sorted(required - record.keys()):
        raise ContractError(Reason.MISSING_FIELD, f"{schema['name']} needs `{'`, `'.join(missing)}`")
    if extra := sorted(set(map(str, record)) - _names(schema)):
        raise ContractError(Reason.EXTRA_FIELD, f"{schema['name']} has no field `{'`, `'.join(extra)}`")


_Check = Callable[[Mapping[str, Any]], None]


def _rules(schema: Mapping[str, Any]) -> list[_Check]:
    """What Avro doesn't say of a record and we do: numbers are finite, times can be shown."""
    numbers, times, nested = [], [], []
    for field in schema["fields"]:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for kind in kinds:
            if kind in ("double", "float"):
                numbers.append(field["name"])
            elif isinstance(kind, Mapping) and kind.get("logicalType") == "timestamp-millis":
                times.append(field["name"])
            elif isinstance(kind, Mapping) and kind["type"] in ("array", "map", "record"):
                nested.append(field["name"])
    rules: list[_Check] = []
    if numbers:
        rules.append(lambda record: _finite(record, numbers))
    if times:
        rules.append(lambda record: _in_range(record, times))
    if nested:
        rules.append(lambda record: _finite_inside(record, nested))
    return rules


def _finite(record: Mapping[str, Any], names: list[str]) -> None:
    for name in names:
        value = record.get(name)
        # A number less itself is zero, but for NaN and infinities; cheaper than math.isfinite over a None.
        if isinstance(value, float) and value - value != 0:
            raise ContractError(Reason.NOT_FINITE, f"field `{name}` is {value}")


def _in_range(record: Mapping[str, Any], names: list[str]) -> None:
    for name in names:
        value = record.get(name)
        if isinstance(value, int) and not EARLIEST <= value <= LATEST:
            raise ContractError(
                Reason.OUT_OF_RANGE, f"field `{name}` is {value}; milliseconds of the years 1 to 9999 are expected"
            )


def _finite_inside(record: Mapping[str, Any], names: list[str]) -> None:
    for name in names:
        open_ = [record.get(name)]
        while open_:
            value = open_.pop()
            if isinstance(value, float) and not math.isfinite(value):
                raise ContractError(Reason.NOT_FINITE, f"field `{name}` holds {value}")
            if isinstance(value, Mapping):
                open_ += value.values()
            elif isinstance(value, list):
                open_ += value


def _refuse_constant(constant: str) -> Any:
    raise ContractError(Reason.NOT_FINITE, f"{constant} is no number of JSON")


def _from_json(value: Any, avro: Any, name: str) -> Any:
    """A value of Avro's JSON encoding: a union's value is wrapped in the name of its branch, bytes are Latin-1 text.

    A bare value is taken for a union too, as Pub/Sub's own clients write it.
    """
    if isinstance(avro, list):
        branches = [branch for branch in avro if branch != "null"]
        if value is None:
            return None
        if isinstance(value, dict) and len(value) == 1:
            for branch in branches:
                if next(iter(value)) == _branch_name(branch):
                    return _from_json(next(iter(value.values())), branch, name)
        return _from_json(value, branches[0], name)
    kind = avro["type"] if isinstance(avro, Mapping) else avro
    if kind in ("double", "float") and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ContractError(Reason.OUT_OF_RANGE, f"field `{name}` is too large for a {kind}") from None
    if kind in ("bytes", "fixed") and isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ContractError(Reason.WRONG_TYPE, f"field `{name}`: bytes are text up to U+00FF") from None
    if kind == "array" and isinstance(value, list):
        return [_from_json(item, avro["items"], name) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _from_json(item, avro["values"], name) for key, item in value.items()}
    return value


def _branch_name(avro: Any) -> str:
    """How a branch of a union is called: named types by their name, others by their type."""
    if isinstance(avro, Mapping):
        return str(avro.get("name") or avro["type"])
    return str(avro)
