"""Events in the frames of the clouds' registries: Glue's on moto, the others through their SDKs' own clients."""

import io
import json
import threading
import uuid
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import fastavro
import pytest
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.schemaregistry import SchemaRegistryClient
from google.api_core.exceptions import InvalidArgument, NotFound, ServiceUnavailable
from google.pubsub_v1.types import Schema
from ml_pipelines.contracts import catalog, publish
from ml_pipelines.contracts.codec import HEADER, Codec, ContractError, Reason
from ml_pipelines.contracts.registries import EventHubsFrames, GlueFrames, PubSubMessages, SchemaIds
from moto import mock_aws

CONTRACT = catalog.contract("card_transaction")
FOREIGN = {"type": "record", "name": "Other", "fields": [{"name": "a", "type": "int"}]}


@pytest.fixture
def codec():
    return Codec(CONTRACT, 2)


def text(version: int) -> str:
    return json.dumps(CONTRACT.versions[version])


def refused(call, *arguments) -> ContractError:
    with pytest.raises(ContractError) as error:
        call(*arguments)
    return error.value


@pytest.fixture
def glue(monkeypatch):
    """A registry with both versions of the contract and a schema of somebody else; the client and the ids."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    with mock_aws():
        client = boto3.client("glue", region_name="eu-west-1")
        client.create_registry(RegistryName="contracts")
        ids = {}
        for name, definition in (("card_transaction", text(1)), ("other", json.dumps(FOREIGN))):
            ids[name] = client.create_schema(
                RegistryId={"RegistryName": "contracts"},
                SchemaName=name,
                DataFormat="AVRO",
                Compatibility="BACKWARD",
                SchemaDefinition=definition,
            )["SchemaVersionId"]
        newer = client.register_schema_version(
            SchemaId={"RegistryName": "contracts", "SchemaName": "card_transaction"}, SchemaDefinition=text(2)
        )
        yield client, {1: ids["card_transaction"], 2: newer["SchemaVersionId"], "other": ids["other"]}


def framed(schema_id: str, body: bytes, compression: int = 0) -> bytes:
    return bytes([3, compression]) + uuid.UUID(schema_id).bytes + body


def test_glues_frames_are_read_by_the_version_that_they_name(codec, glue, payment):
    client, ids = glue
    frames = GlueFrames(codec, client)
    assert frames.decode(framed(ids[2], codec.encode_body(payment))) == payment
    compressed = zlib.compress(codec.encode_body(payment, 2))
    assert frames.decode(framed(ids[2], compressed, compression=5)) == payment
    del payment["channel"]
    assert frames.decode(framed(ids[1], codec.encode_body(payment, 1))) == {**payment, "channel": "unknown"}
    assert frames.decode(codec.encode(payment, 1)) == {**payment, "channel": "unknown"}


def test_each_id_is_asked_for_once(codec, glue, payment):
    client, ids = glue
    asked = []
    client.meta.events.register("before-call.glue.GetSchemaVersion", lambda **_: asked.append(1))
    frames = GlueFrames(codec, client)
    for _ in range(3):
        frames.decode(framed(ids[2], codec.encode_body(payment)))
    assert len(asked) == 1


def test_what_is_wrong_with_glues_frame_has_its_reason(codec, glue, payment):
    client, ids = glue
    frames, body = GlueFrames(codec, client), codec.encode_body(payment)
    bomb = zlib.compress(bytes(50 * 2**20))
    assert len(bomb) < codec.maximum_bytes
    for payload, reason in (
        (b"\x03", Reason.TRUNCATED),
        (framed(ids[2], b"")[:10], Reason.TRUNCATED),
        (framed(str(uuid.UUID(int=7)), body), Reason.UNKNOWN_SCHEMA),
        (framed(ids["other"], body), Reason.UNKNOWN_SCHEMA),
        (framed(ids[2], body, compression=1), Reason.UNKNOWN_SCHEMA),
        (framed(ids[2], body[:-1]), Reason.TRUNCATED),
        (framed(ids[2], body + b"\x00"), Reason.TRAILING_BYTES),
        (framed(ids[2], body, compression=5), Reason.WRONG_TYPE),
        (framed(ids[2], zlib.compress(body)[:-3], compression=5), Reason.TRUNCATED),
        (framed(ids[2], zlib.compress(body) + b"x", compression=5), Reason.TRAILING_BYTES),
        (framed(ids[2], bomb, compression=5), Reason.TOO_LARGE),
    ):
        assert refused(frames.decode, payload).reason is reason


class Schemas:
    """Answers as a SchemaServiceClient does, from revisions by their full names; an error among them is raised."""

    def __init__(self, revisions):
        self.revisions, self.asked = revisions, []

    def get_schema(self, request):
        assert request["view"] == "FULL"
        self.asked.append(request["name"])
        answer = self.revisions.get(request["name"], NotFound("no such schema"))
        if isinstance(answer, Exception):
            raise answer
        return Schema(name=request["name"], type_=Schema.Type.AVRO, definition=answer)


NAME = "projects/p/schemas/card-transaction"


def attributes(revision: str, encoding: str = "JSON", **more: str) -> dict[str, str]:
    return {"googclient_schemaencoding": encoding, "googclient_schemarevisionid": revision, **more}


def test_messages_of_pubsub_are_read_by_the_revision_that_they_name(codec, payment):
    schemas = Schemas({f"{NAME}@aa": text(1), f"{NAME}@bb": text(2), "projects/p/schemas/x@cc": text(1)})
    messages = PubSubMessages(codec, schemas, NAME)
    assert messages.decode(json.dumps(payment).encode(), attributes("bb")) == payment
    assert messages.decode(codec.encode_body(payment), attributes("bb", "BINARY")) == payment
    assert messages.decode(codec.encode(payment), {"traceparent": "00-1"}) == payment
    old = {name: value for name, value in payment.items() if name != "channel"}
    seen = {**old, "channel": "unknown"}
    for _ in range(2):
        assert messages.decode(json.dumps(old).encode(), attributes("aa")) == seen
    named = attributes("cc", googclient_schemaname="projects/p/schemas/x")
    assert messages.decode(json.dumps(old).encode(), named) == seen
    assert schemas.asked == [f"{NAME}@bb", f"{NAME}@aa", "projects/p/schemas/x@cc"]


def test_what_is_wrong_with_a_message_of_pubsub_has_its_reason(codec, payment):
    data = json.dumps(payment).encode()
    revisions = {f"{NAME}@bb": text(2), f"{NAME}@other": json.dumps(FOREIGN), f"{NAME}@bad": InvalidArgument("no id")}
    messages = PubSubMessages(codec, Schemas({**revisions, f"{NAME}@proto": 'syntax = "proto3";'}), NAME)
    for revision in ("none", "other", "bad", "proto"):
        assert refused(messages.decode, data, attributes(revision)).reason is Reason.UNKNOWN_SCHEMA
    assert refused(messages.decode, data, attributes("bb", "XML")).reason is Reason.UNKNOWN_SCHEMA
    assert refused(messages.decode, data, {"googclient_schemaencoding": "JSON"}).reason is Reason.UNKNOWN_SCHEMA
    assert refused(messages.decode, data, {}).reason is Reason.UNKNOWN_SCHEMA
    assert refused(messages.decode, data[:-1], attributes("bb")).reason is Reason.TRUNCATED
    assert refused(messages.decode, data, attributes("bb", "BINARY")).reason in Reason


def test_a_registry_that_is_out_of_order_says_nothing_of_the_event(codec, payment):
    schemas = Schemas({f"{NAME}@bb": ServiceUnavailable("later")})
    messages = PubSubMessages(codec, schemas, NAME)
    with pytest.raises(ServiceUnavailable):
        messages.decode(json.dumps(payment).encode(), attributes("bb"))
    schemas.revisions[f"{NAME}@bb"] = text(2)
    assert messages.decode(json.dumps(payment).encode(), attributes("bb")) == payment


def test_an_unknown_id_is_asked_for_again_after_a_while(codec):
    known, now = {}, [0.0]
    asked = []
    ids = SchemaIds(codec, lambda schema_id: asked.append(schema_id) or known.get(schema_id), lambda: now[0])
    for _ in range(3):
        assert refused(ids.version, "new").reason is Reason.UNKNOWN_SCHEMA
    known["new"] = text(1)
    assert asked == ["new"]
    now[0] = 61.0
    assert ids.version("new") == 1
    assert ids.version("new") == 1
    assert asked == ["new", "new"]


def test_ids_are_remembered_up_to_a_number(codec):
    ids = SchemaIds(codec, lambda _: None)
    for number in range(3000):
        refused(ids.version, str(number))
    assert len(ids._known) <= 1024


@pytest.mark.parametrize("definition", ["", "7", "[]", '"string"', '{"type": "object"}', '{"type": "record"}', "{}"])
def test_a_schema_of_another_kind_is_none_of_the_contracts(codec, definition):
    assert refused(SchemaIds(codec, lambda _: definition).version, "id").reason is Reason.UNKNOWN_SCHEMA


class _Registry(BaseHTTPRequestHandler):
    """The two calls of Azure's data plane that are used here; `server.schemas`: id -> (name, definition)."""

    def do_PUT(self):
        group, _, name = self.path.partition("?")[0].removeprefix("/$schemaGroups/").partition("/schemas/")
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        name = name.removesuffix("/versions")
        schemas = self.server.schemas
        schema_id = next((known for known, stored in schemas.items() if stored == (name, content)), None)
        schema_id = schema_id or f"{len(schemas) + 1:032x}"
        schemas[schema_id] = (name, content)
        self._answer(204, schema_id, group, name, b"")

    def do_GET(self):
        schema_id = self.path.partition("?")[0].removeprefix("/$schemaGroups/$schemas/")
        if schema_id not in self.server.schemas:
            self.send_response(400 if len(schema_id) != 32 else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        name, content = self.server.schemas[schema_id]
        self._answer(200, schema_id, "contracts", name, content.encode())

    def _answer(self, code, schema_id, group, name, body):
        self.send_response(code)
        for header, value in {
            "Schema-Id": schema_id,
            "Schema-Group-Name": group,
            "Schema-Name": name,
            "Schema-Version": "1",
            "Content-Type": "application/json; serialization=Avro",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class _Local(RequestsTransport):
    """Azure's transport, to a server of this machine instead of the namespace."""

    def __init__(self, port):
        super().__init__()
        self.port = port

    def send(self, request, **options):
        request.url = request.url.replace("https://ours.servicebus.windows.net", f"http://127.0.0.1:{self.port}")
        return super().send(request, **options)


class _Credential:
    def get_token(self, *_, **__):
        return AccessToken("token", 2**40)


@pytest.fixture
def azure():
    """A client of Azure's registry, and what that registry has."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    server.schemas = {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = SchemaRegistryClient(
        "ours.servicebus.windows.net", _Credential(), transport=_Local(server.server_port), retry_total=0
    )
    yield client, server.schemas
    client.close()
    server.shutdown()
    server.server_close()


def test_what_is_published_on_azure_is_read_by_its_id(codec, azure, payment):
    client, schemas = azure
    versions = publish.published(CONTRACT, catalog.FOLDER / "card_transaction")
    ids = publish.to_azure(client, "contracts", versions)
    assert list(ids) == [1, 2]
    assert [name for name, _ in schemas.values()] == ["ml_blueprints.CardTransaction"] * 2
    assert publish.to_azure(client, "contracts", versions) == ids, "to publish twice adds nothing"
    frames = EventHubsFrames(codec, client)
    assert frames.decode(codec.encode_body(payment), f"avro/binary+{ids[2]}") == payment
    assert frames.decode(codec.encode(payment), None) == payment
    assert frames.decode(codec.encode(payment), "application/octet-stream") == payment
    del payment["channel"]
    old = codec.encode_body(payment, 1)
    assert frames.decode(old, f"Avro/Binary+{ids[1]}") == {**payment, "channel": "unknown"}
    for content_type in (f"avro/binary+{9:032x}", "avro/binary+nonsense", "avro/binary", "avro/binary+", None):
        assert refused(frames.decode, old, content_type).reason is Reason.UNKNOWN_SCHEMA


def test_a_draft_is_not_published(tmp_path):
    folder = tmp_path / "tested"
    folder.mkdir()
    (folder / "contract.yaml").write_text("owner: us\ncompatibility: FULL\npublished:\n  1: abc\n")
    for version in (1, 2):
        (folder / f"{version}.avsc").write_text(text(version))
    contract = catalog.Contract.load(folder)
    assert list(publish.published(contract, folder)) == [1]
    (folder / "contract.yaml").write_text("owner: us\npublished:\n")
    assert publish.published(contract, folder) == {}


def test_a_registrys_schema_with_other_layout_is_the_same_version(codec):
    """Registries give a definition back as they like: what counts is what it says."""
    spaced = json.dumps(CONTRACT.versions[2], indent=4, sort_keys=True)
    assert SchemaIds(codec, lambda _: spaced).version("id") == 2


def test_bodies_of_other_writers_are_read(codec, payment):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(CONTRACT.versions[2])), payment)
    assert codec.decode_body(out.getvalue(), 2) == codec.decode(codec.encode(payment)) == payment
    assert codec.encode(payment)[HEADER:] == out.getvalue()
