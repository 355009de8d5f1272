"""Events to bytes and back, by contract: nothing comes out that the contract doesn't allow.

On streams an event is in Avro's single-object encoding, which names its writer's schema itself, so that it is read
without asking a registry (https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding). What a cloud's
own registry frames in another way is read by `decode_body`, once the frame's schema is known (registries.py).
"""

import io
import json
from collections.abc import Mapping
from typing import Any

import fastavro
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException

from ml_pipelines.contracts.catalog import Contract
from ml_pipelines.contracts.errors import ContractError, Reason
from ml_pipelines.contracts.values import (
    Names,
    SchemaError,
    conforming_record,
    default,
    from_json,
    limits,
    named_types,
    without_logical_types,
)

__all__ = ["HEADER", "MARKER", "MAXIMUM_BYTES", "Codec", "ContractError", "Reason"]

MARKER = b"\xc3\x01"
HEADER = len(MARKER) + 8

# What Event Hubs takes, and Kinesis where nothing else is asked for; Pub/Sub takes ten times as much.
MAXIMUM_BYTES = 1024 * 1024

_LONGEST_NUMBER = 10


class Codec:
    """Encodes and decodes the events of one contract; what is decoded has the form of `reader_version`.

    A timestamp is an integer of milliseconds since 1970, an enumeration its symbol, a missing value None. An event that
    an older or newer version wrote is resolved by Avro's rules: unknown fields are left out, missing ones get defaults.
    """

    def __init__(self, contract: Contract, reader_version: int, maximum_bytes: int = MAXIMUM_BYTES):
        if reader_version not in contract.versions:
            known = ", ".join(map(str, contract.versions))
            raise LookupError(f"contract {contract.name} has no version {reader_version}; it has {known}")
        self.contract, self.reader_version, self.maximum_bytes = contract, reader_version, maximum_bytes
        self._names = {version: named_types(schema) for version, schema in contract.versions.items()}
        self._schemas = {
            version: _parsed(schema, self._names[version]) for version, schema in contract.versions.items()
        }
        self._limits = {version: limits(schema, self._names[version]) for version, schema in contract.versions.items()}
        self._headers = {version: MARKER + contract.fingerprint(version) for version in contract.versions}
        # Versions that are written alike have one fingerprint. The reader's own is the quickest to read.
        self._versions = {header: version for version, header in self._headers.items()}
        self._versions[self._headers[reader_version]] = reader_version

    def encode(self, record: Mapping[str, Any], version: int | None = None) -> bytes:
        """An event in single-object encoding, by the reader's version if no other is given. Raises ContractError."""
        version = self.reader_version if version is None else version
        body = self.encode_body(record, version)
        return self._headers[version] + body

    def encode_body(self, record: Mapping[str, Any], version: int | None = None) -> bytes:
        """The plain Avro body of an event, for a frame that says the version by itself. Raises ContractError."""
        version = self.reader_version if version is None else version
        self._check_version(version)
        whole = conforming_record(record, self.contract.versions[version], self._names[version])
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self._schemas[version], whole)
        body = out.getvalue()
        self._check_size(body, HEADER)
        return body

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The event that a payload in single-object encoding holds. Raises ContractError."""
        self._check_size(payload)
        version = self._versions.get(payload[:HEADER])
        if version is None:
            raise self._unknown(payload)
        return self._read(payload, HEADER, version)

    def decode_body(self, body: bytes, version: int) -> dict[str, Any]:
        """The event that a plain Avro body holds, written by this version. Raises ContractError."""
        self._check_size(body)
        self._check_version(version)
        return self._read(body, 0, version)

    def decode_json(self, text: bytes | str, version: int) -> dict[str, Any]:
        """The event in Avro's JSON encoding, as Pub/Sub and people write it. Raises ContractError."""
        self._check_size(text)
        self._check_version(version)
        record = _object(text)
        schema, names = self.contract.versions[version], self._names[version]
        types = {field["name"]: field["type"] for field in schema["fields"]}
        native = {
            name: from_json(value, types[name], names, name) if name in types else value
            for name, value in record.items()
        }
        return self._read(self.encode_body(native, version), 0, version)

    def _read(self, payload: bytes, start: int, version: int) -> dict[str, Any]:
        record = self._resolve(payload, start, version, None)
        self._limits[version](record)
        if version != self.reader_version:
            # By its own schema first: what the reader leaves out would be skipped, with nobody to look at it.
            record = self._resolve(payload, start, version, self._schemas[self.reader_version])
            self._limits[self.reader_version](record)
        return record

    def _resolve(self, payload: bytes, start: int, version: int, reader: Any) -> dict[str, Any]:
        source = io.BytesIO(payload)
        source.seek(start)
        try:
            record: Any = fastavro.schemaless_reader(source, self._schemas[version], reader)
        except EOFError:
            raise self._truncated(payload, version) from None
        except UnicodeDecodeError as error:
            raise ContractError(
                Reason.INVALID_UTF8, f"{self._named(version)}: text holds a byte that is not UTF-8: {error.reason}"
            ) from None
        except SchemaResolutionError as error:
            raise ContractError(
                Reason.WRONG_TYPE, f"{self._named(version)} can't be read as version {self.reader_version}: {error}"
            ) from None
        except IndexError:
            raise self._broken_off(payload, start, version) from None
        except (ValueError, TypeError, OverflowError, LookupError) as error:
            raise ContractError(Reason.WRONG_TYPE, f"{self._named(version)}: {error}") from None
        if left := len(payload) - source.tell():
            raise ContractError(
                Reason.TRAILING_BYTES, f"{self._named(version)}: {left} bytes are left after its last field"
            )
        return record

    def _broken_off(self, payload: bytes, start: int, version: int) -> ContractError:
        """fastavro raises one error for a number that ends early and for one of a branch that isn't there."""
        source = io.BytesIO(payload + bytes(_LONGEST_NUMBER))
        source.seek(start)
        try:
            fastavro.schemaless_reader(source, self._schemas[version], None)
        except IndexError:
            reason = "a branch or a symbol that the schema doesn't have"
            return ContractError(Reason.WRONG_TYPE, f"{self._named(version)}: {reason}")
        except (EOFError, ValueError):
            pass  # With zeros behind it the number is whole, and what follows is not.
        return self._truncated(payload, version)

    def _truncated(self, payload: bytes, version: int) -> ContractError:
        return ContractError(Reason.TRUNCATED, f"{self._named(version)}: its {len(payload)} bytes end within a field")

    def _named(self, version: int) -> str:
        return f"{self.contract.name} version {version}"

    def _check_size(self, payload: bytes | str, header: int = 0) -> None:
        if (size := len(payload) + header) > self.maximum_bytes:
            raise ContractError(Reason.TOO_LARGE, f"{size} bytes; an event has at most {self.maximum_bytes}")

    def _check_version(self, version: int) -> None:
        if version not in self._schemas:
            known = ", ".join(map(str, self._schemas))
            raise ContractError(Reason.UNKNOWN_SCHEMA, f"{self.contract.name} has no version {version}; it has {known}")

    def _unknown(self, payload: bytes) -> ContractError:
        if payload[: len(MARKER)] != MARKER[: len(payload)]:
            return ContractError(
                Reason.UNKNOWN_SCHEMA, f"it begins with {payload[:2].hex()}; single-object encoding begins with c301"
            )
        if len(payload) < HEADER:
            return ContractError(Reason.TRUNCATED, f"{len(payload)} bytes; an event has at least {HEADER}")
        return ContractError(
            Reason.UNKNOWN_SCHEMA,
            f"no version of {self.contract.name} has the fingerprint {payload[len(MARKER) : HEADER].hex()}",
        )


def _parsed(schema: Mapping[str, Any], names: Names) -> Any:
    try:
        return _with_defaults(fastavro.parse_schema(without_logical_types(schema)), names)
    except SchemaParseException as error:
        raise SchemaError(f"{schema['name']}: {error}") from None


def _with_defaults(parsed: Any, names: Names) -> Any:
    """A parsed schema with defaults as the values that they stand for; fastavro gives out what is in its JSON."""
    if isinstance(parsed, list):
        for branch in parsed:
            _with_defaults(branch, names)
    elif isinstance(parsed, dict):
        for field in parsed.get("fields", ()):
            _with_defaults(field["type"], names)
            if "default" in field:
                field["default"] = default(field, names)
        for part in ("items", "values", "type"):
            _with_defaults(parsed.get(part), names)
    return parsed


def _object(text: bytes | str) -> dict[str, Any]:
    """The object that a JSON text holds. Raises ContractError."""
    try:
        decoded = text if isinstance(text, str) else text.decode()
        content = json.loads(decoded, parse_constant=_refuse_constant, object_pairs_hook=_each_once)
    except UnicodeDecodeError as error:
        raise ContractError(Reason.INVALID_UTF8, f"byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        reason = Reason.WRONG_TYPE
        if error.msg == "Extra data":
            reason = Reason.TRAILING_BYTES
        elif error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string"):
            reason = Reason.TRUNCATED
        raise ContractError(reason, f"character {error.pos} of the JSON: {error.msg.lower()}") from None
    except RecursionError:
        raise ContractError(Reason.WRONG_TYPE, "JSON that nests deeper than any contract does") from None
    except ContractError:
        raise
    except ValueError:
        raise ContractError(Reason.OUT_OF_RANGE, "a number of more digits than Python reads") from None
    if not isinstance(content, dict):
        raise ContractError(Reason.WRONG_TYPE, f"an object is expected, found {type(content).__name__}")
    return content


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(name for i, (name, _) in enumerate(pairs) if name in dict(pairs[:i]))
        raise ContractError(Reason.EXTRA_FIELD, f"field `{twice}` is there twice")
    return content


def _refuse_constant(constant: str) -> Any:
    raise ContractError(Reason.NOT_FINITE, f"{constant} is no number of JSON")
