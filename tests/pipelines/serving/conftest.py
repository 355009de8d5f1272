"""Signed models with a few inputs, services in this process, and tokens of tenants."""

import contextlib
import json
import socket
import threading
import time

import httpx
import jwt
import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ml_pipelines.serving import server
from ml_pipelines.serving.settings import Settings
from ml_pipelines.steps import manifest
from onnx import TensorProto, helper

KEY, OTHER = Ed25519PrivateKey.from_private_bytes(b"1" * 32), Ed25519PrivateKey.from_private_bytes(b"2" * 32)
ISSUER, AUDIENCE = "https://issuer.example.com", "scores"
INPUTS = (("amount", "number"), ("abroad", "flag"), ("country", "category"))


def graph(weight=0.1, bias=0.0, inputs=INPUTS, fails=False):
    """An ONNX model: sigmoid(weight * amount + bias), where a missing amount is 0. With `fails` some rows break it."""
    number = inputs[0][0]
    nodes = [
        helper.make_node("IsNaN", [number], ["missing"]),
        helper.make_node("Where", ["missing", "zero", number], ["known"]),
        helper.make_node("Mul", ["known", "weight"], ["level"]),
        helper.make_node("Add", ["level", "bias"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["plain"]),
    ]
    if fails:
        # The score of a positive amount isn't a number.
        nodes += [
            helper.make_node("Greater", ["known", "zero"], ["positive"]),
            helper.make_node("Where", ["positive", "nan", "plain"], ["score"]),
        ]
    else:
        nodes.append(helper.make_node("Identity", ["plain"], ["score"]))
    constants = {"zero": 0.0, "weight": weight, "bias": bias, "nan": float("nan")}
    made = helper.make_graph(
        nodes,
        "made-up",
        [
            helper.make_tensor_value_info(
                name, TensorProto.STRING if kind == "category" else TensorProto.DOUBLE, [None, 1]
            )
            for name, kind in inputs
        ],
        [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, 1])],
        [onnx.numpy_helper.from_array(np.array([[value]]), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21)]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()


def register(registry, name, version, key=KEY, inputs=INPUTS, content=None, threshold=0.5, **changed):
    """A version in a registry as the step `register` leaves it; returns its folder."""
    folder = registry / name / version
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content or graph(inputs=inputs, **changed))
    said = {
        "format": 1,
        "task": "made-up",
        "name": name,
        "version": version,
        "threshold": threshold,
        "inputs": [{"name": field, "kind": kind} for field, kind in inputs],
        "created_at": "2026-01-01T00:00:00+00:00",
        "files": manifest.hashes(folder),
    }
    (folder / "manifest.json").write_text(json.dumps(said))
    if key is not None:
        manifest.sign(folder, key)
    return folder


def table(*models, **changed):
    """A routing table of (name, version, role, traffic)."""
    listed = [
        {"name": name, "version": version, "role": role, "traffic": traffic} for name, version, role, traffic in models
    ]
    return {
        "workload": "fraud",
        "entity": "card_id",
        "features": ["abroad", "unused"],
        "models": listed or [{"name": "trees", "version": "1.0.0", "role": "champion", "traffic": 100}],
        "ensemble": None,
        "tenants": {},
    } | changed


@pytest.fixture
def registry(tmp_path):
    """A registry with version 1.0.0 of `trees`."""
    folder = tmp_path / "registry"
    register(folder, "trees", "1.0.0")
    return folder


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """A file with the issuer's public key."""
    jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key())) | {"kid": "one", "use": "sig"}
    file = tmp_path_factory.mktemp("issuer") / "jwks.json"
    file.write_text(json.dumps({"keys": [jwk]}))
    return file


def token(tenant="shop", key=KEY, kid="one", seconds=86_400, **changed):
    """A token of a tenant. Some are made when tests are collected, long before they run."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + seconds, "tenant": tenant} | changed
    return jwt.encode(claims, key, algorithm="EdDSA", headers={"kid": kid})


@pytest.fixture
def made(registry, keys, tmp_path):
    """Makes a service of a routing table; more variables may be given."""

    def make(said=None, **variables):
        said = said or table()
        variables = {
            "ML_BLUEPRINTS_ROUTING": json.dumps(said),
            "MODELS": str(registry),
            "WORKERS": "1",
            "TRUSTED_KEYS": manifest.as_word(KEY.public_key()),
            **(
                {"TOKEN_ISSUER": ISSUER, "TOKEN_AUDIENCE": AUDIENCE, "TOKEN_KEYS": str(keys)} if said["tenants"] else {}
            ),
        } | {name: str(value) for name, value in variables.items()}
        return server.service(Settings.read(variables), variables)

    return make


@pytest.fixture
def client(made):
    """A client of a service that runs in this process without a socket: `client(table)`, an asynchronous context."""

    @contextlib.asynccontextmanager
    async def open_client(said=None, **variables):
        service = made(said, **variables)
        transport = httpx.ASGITransport(service.application)
        async with (
            service.application.router.lifespan_context(service.application),
            httpx.AsyncClient(transport=transport, base_url="http://service") as http,
        ):
            http.service = service
            yield http

    return open_client


@pytest.fixture
def served(made):
    """Serves on a socket: `served(table)` returns service and port; it ends with the test."""
    running = []

    def serve(said=None, **variables):
        service = made(said, **variables)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        running_server = server.Server(server.config(service.application, port, "127.0.0.1"), service)
        thread = threading.Thread(target=running_server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((running_server, thread))
        while not running_server.started:
            time.sleep(0.01)
        return service, port

    yield serve
    for running_server, thread in running:
        running_server.should_exit = True
        thread.join(10)


@pytest.fixture
def anyio_backend():
    """Asynchronous tests run by asyncio, as the service does."""
    return "asyncio"
