"""Keys of the issuer: by its URL, as they change, and while it is away."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from ml_pipelines.serving import tenants
from ml_pipelines.serving.refusal import RefusedError
from ml_pipelines.serving.table import Tenant
from ml_pipelines.serving.tenants import Gate, Identities

from .conftest import AUDIENCE, ISSUER, KEY, OTHER, token

pytestmark = pytest.mark.anyio


def jwk(key, kid):
    return json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key())) | {"kid": kid}


@pytest.fixture
def issuer():
    """A server of keys; `issuer.keys` may be changed, `issuer.asked` counts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked += 1
            content = json.dumps({"keys": server.keys}).encode()
            self.send_response(200 if server.keys is not None else 503)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.keys, server.asked = [jwk(KEY, "one")], 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def identities(issuer):
    return Identities(ISSUER, AUDIENCE, f"http://127.0.0.1:{issuer.server_port}/jwks")


async def test_many_that_come_at_once_ask_the_issuer_once(issuer):
    made = identities(issuer)
    assert await asyncio.gather(*(made.tenant(token(jti=str(number))) for number in range(20))) == ["shop"] * 20
    assert issuer.asked == 1


async def test_new_keys_are_found_and_forged_ones_ask_seldom(issuer, monkeypatch):
    made = identities(issuer)
    await made.tenant(token())
    for _ in range(20):
        with pytest.raises(RefusedError) as refused:
            await made.tenant(token(key=OTHER, kid="two"))
        assert refused.value.status == 401
    assert issuer.asked == 1
    issuer.keys.append(jwk(OTHER, "two"))
    monkeypatch.setattr(tenants, "ASKED_AGAIN_SECONDS", 0.0)
    assert await made.tenant(token(key=OTHER, kid="two")) == "shop"


async def test_an_issuer_that_is_away_is_no_fault_of_the_token(issuer):
    issuer.keys = None
    with pytest.raises(RefusedError) as refused:
        await identities(issuer).tenant(token())
    assert refused.value.status == 503


async def test_keys_may_be_given_as_they_are():
    made = Identities(ISSUER, AUDIENCE, json.dumps({"keys": [jwk(KEY, "one")]}))
    assert await made.tenant(token("bank")) == "bank"


async def test_tokens_that_are_remembered_are_bounded(issuer, monkeypatch):
    monkeypatch.setattr(tenants, "REMEMBERED", 5)
    made = identities(issuer)
    for number in range(20):
        await made.tenant(token(jti=str(number)))
    assert len(made._known) == 5


async def test_rows_count_as_requests():
    gate = Gate(Tenant("shop", 10, 5, "shop"))
    gate.enter()
    gate.charge(99)
    gate.leave()
    with pytest.raises(RefusedError) as refused:
        gate.enter()
    assert refused.value.retry_after == pytest.approx(9.1, abs=0.1)
