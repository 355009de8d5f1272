"""Events in the frames of the clouds' own registries, for producers that use the clouds' serialisers.

Our producers write single-object encoding, which says by itself what wrote it. A cloud's serialiser names the id that
its registry gave to a schema instead. Each class here takes an event in one cloud's frame: it finds the id, asks the
registry for the schema once, and finds the contract's version by that schema's fingerprint. What is in single-object
encoding passes through unasked.
"""

import json
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from fastavro.schema import SchemaParseException

from ml_pipelines.contracts.catalog import rabin
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.contracts.errors import ContractError, Reason

# An id that the registry doesn't know may become known: a schema is often registered just before its first event.
_FORGET_SECONDS = 60.0
_REMEMBERED = 1024

# Of an id, the text of the schema; None if the registry has no such id.
Definition = Callable[[str], str | None]


class SchemaIds:
    """Which version of a contract an id of a registry stands for; asks once for each id.

    An error of the registry itself, which another attempt may get past, is the caller's: it says nothing of the event.
    """

    def __init__(self, codec: Codec, definition: Definition, clock: Callable[[], float] = time.monotonic):
        self._contract, self._definition, self._clock = codec.contract, definition, clock
        self._known: OrderedDict[str, tuple[int | None, float]] = OrderedDict()

    def version(self, schema_id: str) -> int:
        """The version that an id stands for. Raises ContractError if it stands for none of the contract's."""
        version, since = self._known.get(schema_id, (None, float("-inf")))
        if version is None and self._clock() - since > _FORGET_SECONDS:
            version = self._ask(schema_id)
            self._known[schema_id] = version, self._clock()
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if version is None:
            raise ContractError(
                Reason.UNKNOWN_SCHEMA, f"schema id {schema_id[:200]} stands for no version of {self._contract.name}"
            )
        return version

    def _ask(self, schema_id: str) -> int | None:
        text = self._definition(schema_id)
        if text is None:
            return None
        try:
            schema = json.loads(text)
            return self._contract.by_fingerprint.get(rabin(schema))
        except (ValueError, TypeError, LookupError, SchemaParseException):
            return None  # a schema of another kind, such as a JSON schema: none of this contract


class GlueFrames:
    """Events as AWS Glue's serialisers frame them: a 3, how it is compressed, the id of the schema, and the body.

    https://github.com/awslabs/aws-glue-schema-registry
    """

    _HEADER = 2 + 16
    _VERSION, _PLAIN, _ZLIB = 3, 0, 5

    def __init__(self, codec: Codec, glue: Any):
        """`glue` is boto3's client."""
        self._codec, self._glue = codec, glue
        self._ids = SchemaIds(codec, self._definition)

    def decode(self, payload: bytes) -> dict[str, Any]:
        """The event that a payload holds. Raises ContractError."""
        if payload[:1] != bytes([self._VERSION]):
            return self._codec.decode(payload)
        if len(payload) < self._HEADER:
            raise ContractError(Reason.TRUNCATED, f"{len(payload)} bytes; the header of Glue alone has {self._HEADER}")
        compression, body = payload[1], payload[self._HEADER :]
        if compression not in (self._PLAIN, self._ZLIB):
            raise ContractError(Reason.UNKNOWN_SCHEMA, f"Glue's header has the compression {compression}, not 0 or 5")
        version = self._ids.version(str(uuid.UUID(bytes=payload[2 : self._HEADER])))
        if compression == self._ZLIB:
            body = _decompressed(body, self._codec.maximum_bytes)
        return self._codec.decode_body(body, version)

    def _definition(self, schema_id: str) -> str | None:
        try:
            return self._glue.get_schema_version(SchemaVersionId=schema_id)["SchemaDefinition"]
        except self._glue.exceptions.EntityNotFoundException:
            return None


class PubSubMessages:
    """Messages of a Pub/Sub topic with a schema, whose attributes say by which revision and how they are encoded.

    https://cloud.google.com/pubsub/docs/schemas
    """

    _NAME, _REVISION = "googclient_schemaname", "googclient_schemarevisionid"
    _ENCODING = "googclient_schemaencoding"

    def __init__(self, codec: Codec, schemas: Any, schema_name: str = ""):
        """`schemas` is google.cloud.pubsub's SchemaServiceClient.

        `schema_name`: the topic's schema (`projects/.../schemas/...`), for messages whose attributes don't name it.
        """
        self._codec, self._schemas, self._schema_name = codec, schemas, schema_name
        self._ids = SchemaIds(codec, self._definition)

    def decode(self, data: bytes, attributes: Mapping[str, str]) -> dict[str, Any]:
        """The event that a message holds. Raises ContractError."""
        revision, encoding = attributes.get(self._REVISION), attributes.get(self._ENCODING)
        if revision is None and encoding is None:
            return self._codec.decode(data)
        name = attributes.get(self._NAME) or self._schema_name
        if not revision or not name or encoding not in ("JSON", "BINARY"):
            raise ContractError(
                Reason.UNKNOWN_SCHEMA,
                f"the attributes name schema {name or 'none'}, revision {revision or 'none'} and encoding "
                f"{encoding or 'none'}; a schema, its revision, and JSON or BINARY are expected",
            )
        version = self._ids.version(f"{name}@{revision}")
        return self._codec.decode_json(data, version) if encoding == "JSON" else self._codec.decode_body(data, version)

    def _definition(self, schema_id: str) -> str | None:
        from google.api_core.exceptions import InvalidArgument, NotFound

        try:
            return self._schemas.get_schema(request={"name": schema_id, "view": "FULL"}).definition
        except (NotFound, InvalidArgument):
            return None


class EventHubsFrames:
    """Events as Azure's Avro serialisers frame them: the content type of the message names the schema's id.

    https://learn.microsoft.com/azure/event-hubs/schema-registry-concepts
    """

    _CONTENT_TYPE = "avro/binary"

    def __init__(self, codec: Codec, registry: Any):
        """`registry` is azure.schemaregistry's client."""
        self._codec, self._registry = codec, registry
        self._ids = SchemaIds(codec, self._definition)

    def decode(self, body: bytes, content_type: str | None) -> dict[str, Any]:
        """The event that a message holds. Raises ContractError."""
        kind, _, schema_id = (content_type or "").partition("+")
        if kind.strip().lower() != self._CONTENT_TYPE or not schema_id.strip():
            return self._codec.decode(body)
        return self._codec.decode_body(body, self._ids.version(schema_id.strip()))

    def _definition(self, schema_id: str) -> str | None:
        from azure.core.exceptions import HttpResponseError

        try:
            return self._registry.get_schema(schema_id).definition
        except HttpResponseError as error:
            # What is no id at all is refused as a bad request.
            if error.status_code in (400, 404):
                return None
            raise


def _decompressed(body: bytes, maximum_bytes: int) -> bytes:
    """What was compressed, up to what an event may have: some bytes can stand for gigabytes."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(body, maximum_bytes + 1)
    except zlib.error as error:
        raise ContractError(Reason.WRONG_TYPE, f"Glue's header says zlib, and the body is none: {error}") from None
    if len(plain) > maximum_bytes:
        raise ContractError(Reason.TOO_LARGE, f"more than {maximum_bytes} bytes after decompression")
    if not inflate.eof:
        raise ContractError(Reason.TRUNCATED, "the compressed body ends early")
    if inflate.unused_data:
        raise ContractError(Reason.TRAILING_BYTES, f"{len(inflate.unused_data)} bytes follow the compressed body")
    return plain
