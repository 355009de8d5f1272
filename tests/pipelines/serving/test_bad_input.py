"""Whatever comes in, the answer says what is wrong, and the process lives on."""

import json
import socket
import time

import httpx
import pytest
from ml_pipelines.serving import server
from ml_pipelines.serving.trust import ModelError

from .conftest import ISSUER, KEY, OTHER, table, token
from .test_service import EVENT, ROW, TENANTS, tensors

pytestmark = pytest.mark.anyio


def body(**changed):
    return json.dumps(EVENT | changed).encode()


@pytest.mark.parametrize(
    ("content", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b"\xff\xfe", 400, "body"),
        (b"[" * 100_000, 400, "body"),
        (b'{"a":' * 100_000, 400, "body"),
        (b"[]", 400, "body"),
        (b"null", 400, "body"),
        (b'"text"', 400, "body"),
        (b'{"features": {"amount": NaN}}', 400, "features.amount"),
        (b'{"instances": [{"amount": 1}, {"amount": -Infinity}]}', 400, "instances[1].amount"),
        (b"{}", 422, "features"),
        (body(features=[]), 422, "features"),
        (body(features=ROW | {"amount": "ten"}), 422, "features.amount"),
        (body(features=ROW | {"amount": [[1]]}), 422, "features.amount"),
        (b'{"features": {"amount": 1e999}}', 400, "features.amount"),
        (body(features=ROW | {"other": 1}), 422, "features.other"),
        (body(entity=5), 422, "entity"),
        (body(entity=""), 422, "entity"),
        (body(entity="e" * 2000), 422, "entity"),
        (body(event_id={}), 422, "event_id"),
        (b'{"instances": []}', 422, "features"),
        (b'{"instances": [1]}', 422, "instances[0]"),
        (b'{"instances": [{"features": 1}]}', 422, "instances[0].features"),
        (json.dumps({"instances": [ROW] * 1001}).encode(), 413, "instances"),
        (json.dumps({"instances": [ROW, ROW | {"country": 1}]}).encode(), 422, "instances[1].country"),
    ],
    ids=range(25),
)
async def test_a_wrong_body_is_refused_by_its_field(client, content, status, field):
    async with client() as http:
        answer = await http.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["field"]) == (status, field)
        assert answer.json().keys() == {"error", "field", "found", "right"}
        assert len(answer.content) < 2000
        assert (await http.post("/v1/score", json=EVENT)).status_code == 200


def spoilt(place, **changed):
    inputs = tensors()
    inputs[place] |= changed
    return {"inputs": inputs}


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "inputs"),
        ({"inputs": [1]}, "inputs[0].name"),
        (spoilt(0, name="other"), "inputs[0].name"),
        (spoilt(1, name="amount"), "inputs[1].name"),
        (spoilt(0, datatype="BYTES"), "inputs[0].datatype"),
        (spoilt(0, shape=[2, 2]), "inputs[0].shape"),
        (spoilt(0, shape=[-1]), "inputs[0].shape"),
        (spoilt(0, shape="2"), "inputs[0].shape"),
        (spoilt(0, shape=[3]), "inputs[0].data"),
        (spoilt(1, shape=[3], data=[True] * 3), "inputs[1].shape"),
        (spoilt(0, data=5), "inputs[0].data"),
        (spoilt(0, data=["a", "b"]), "instances[0].amount"),
        ({"inputs": tensors(), "outputs": [{"name": "other"}]}, "outputs[0].name"),
        ({"inputs": tensors(), "parameters": {"entity": 1}}, "parameters.entity"),
    ],
)
async def test_wrong_tensors_are_refused_by_their_field(client, said, field):
    async with client() as http:
        answer = await http.post("/v2/models/trees/infer", json=said)
        assert answer.status_code in (400, 422)
        assert answer.json()["field"] == field


async def test_unknown_models_and_versions(client):
    async with client() as http:
        for path in ("/v1/models/other/score", "/v1/models/trees/versions/9.9.9/score", "/v2/models/other/infer"):
            answer = await http.post(path, json=EVENT)
            assert (answer.status_code, answer.json()["field"]) == (404, "model")


async def test_other_kinds_of_content(client):
    async with client() as http:
        for headers in ({"Content-Type": "text/csv"}, {"Content-Encoding": "gzip"}):
            answer = await http.post("/v1/score", content=body(), headers=headers)
            assert answer.status_code == 415
        assert (await http.get("/v1/score")).status_code == 405


@pytest.mark.parametrize(
    ("forge", "found"),
    [
        (lambda: token(seconds=-60), "expired"),
        (lambda: token(key=OTHER), "InvalidSignatureError"),
        (lambda: token(kid="two"), "InvalidKeyError"),
        (lambda: token(aud="others"), "InvalidAudienceError"),
        (lambda: token(iss="https://evil.example.com"), "InvalidIssuerError"),
        (lambda: token(exp=None), "a token that isn't valid"),
        (lambda: "no.token.atall", "DecodeError"),
        (lambda: token()[:-4] + "AAAA", "InvalidSignatureError"),
        (lambda: unsigned(), "a token that isn't valid"),
        (lambda: symmetric(), "a token that isn't valid"),
    ],
    ids=["expired", "forged", "key", "audience", "issuer", "endless", "rubbish", "cut", "none", "hs256"],
)
async def test_wrong_tokens(client, forge, found):
    async with client(table(tenants=TENANTS)) as http:
        answer = await http.post("/v1/score", json=EVENT, headers={"Authorization": f"Bearer {forge()}"})
        assert (answer.status_code, answer.json()["field"]) == (401, "authorization")
        assert found in answer.json()["found"]
        for secret in ("bank", "trees", ISSUER):
            assert secret not in answer.text


def unsigned():
    import jwt

    claims = {"iss": ISSUER, "aud": "scores", "exp": time.time() + 60, "tenant": "shop"}
    return jwt.encode(claims, None, algorithm="none", headers={"kid": "one"})


def symmetric():
    """Signed with the public key as if it were a shared secret."""
    import jwt
    from cryptography.hazmat.primitives import serialization

    public = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    claims = {"iss": ISSUER, "aud": "scores", "exp": time.time() + 60, "tenant": "shop"}
    return jwt.encode(claims, public, algorithm="HS256", headers={"kid": "one"})


async def test_a_token_that_was_taken_ends_with_its_time(client):
    async with client(table(tenants=TENANTS)) as http:
        headers = {"Authorization": f"Bearer {token(seconds=-8)}"}
        assert (await http.post("/v1/score", json=EVENT, headers=headers)).status_code == 200
        time.sleep(2.5)
        assert (await http.post("/v1/score", json=EVENT, headers=headers)).status_code == 401


def test_a_corrupt_model_keeps_a_service_from_starting(made, registry):
    (registry / "trees" / "1.0.0" / "model.onnx").write_bytes(b"\0" * 100)
    with pytest.raises(ModelError, match=r"model\.onnx: was changed"):
        made()


def alive(port):
    return httpx.post(f"http://127.0.0.1:{port}/v1/score", json=EVENT).status_code == 200


HEAD = b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_body_that_is_too_large(served):
    _, port = served(BODY_MEGABYTES=0.01)
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/score", json=EVENT | {"event_id": "x" * 20_000})
    assert (answer.status_code, answer.json()["field"]) == (413, "body")
    # Without its length being told beforehand.
    answer = httpx.post(f"http://127.0.0.1:{port}/v1/score", content=iter([b"x" * 8000] * 10))
    assert answer.status_code == 413
    assert alive(port)


def test_a_slow_client_is_left_and_keeps_nobody_waiting(served):
    _, port = served(BODY_SECONDS=0.3)
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert alive(port)
        slow.settimeout(5)
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    assert alive(port)


@pytest.mark.parametrize("said", [b"", b"POST /v1/score HTTP/1.1\r\nHost: "], ids=["nothing", "a part"])
def test_a_client_that_never_says_what_it_asks_is_left(served, monkeypatch, said):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    _, port = served()
    with socket.create_connection(("127.0.0.1", port)) as slow:
        started = time.monotonic()
        slow.sendall(said)
        slow.settimeout(10)
        assert slow.recv(4096) == b""
        assert time.monotonic() - started >= 0.29
    assert alive(port)


def test_a_connection_may_pause_between_requests_and_not_within_the_head_of_one(served, monkeypatch):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.3)
    _, port = served()
    content = body()
    whole = HEAD + f"Content-Length: {len(content)}\r\n\r\n".encode() + content
    with socket.create_connection(("127.0.0.1", port)) as kept:
        kept.settimeout(10)
        for _ in range(3):
            kept.sendall(whole)
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            time.sleep(0.7)
        kept.sendall(HEAD)
        assert kept.recv(4096) == b""


def test_clients_that_go_away(served):
    service, port = served()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port)) as gone:
            gone.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        with socket.create_connection(("127.0.0.1", port)) as gone:
            content = body()
            gone.sendall(HEAD + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
    with socket.create_connection(("127.0.0.1", port)) as rubbish:
        rubbish.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    assert alive(port)
    for _ in range(100):
        if service.metrics.requests.labels("-", "own", "gone")._value.get() == 20:
            break
        time.sleep(0.02)
    assert service.metrics.requests.labels("-", "own", "gone")._value.get() == 20


def test_a_service_that_drains_says_so_and_answers_on(served):
    service, port = served()
    service.draining = True
    assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 503
    assert httpx.get(f"http://127.0.0.1:{port}/live").status_code == 200
    assert alive(port)
