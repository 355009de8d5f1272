"""The service as router in front of containers of ours, on each platform's manners, and of whatever else answers."""

import asyncio
import base64
import contextlib
import datetime
import io
import itertools
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import httpx
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ml_pipelines import scoring_endpoint
from ml_pipelines.scoring_endpoint import Endpoint, Form, Tokens
from ml_pipelines.serving import features
from ml_pipelines.serving.settings import SettingError, Settings
from ml_pipelines.serving.upstream import HttpUpstream, SageMakerUpstream, UpstreamError
from ml_pipelines.streaming import scorers
from ml_pipelines.streaming.sinks import SinkError

from .conftest import AUDIENCE, ISSUER, OTHER, graph, register, table
from .test_service import EVENT, ROW, bearer, tensors

pytestmark = pytest.mark.anyio

TENANTS = {"shop": 1000, "bank": {"requests_per_second": 1000, "namespace": ""}}
JSON = {"Content-Type": "application/json"}
DOWN = "http://127.0.0.1:1/v1/score"


def said_by_both(**changed):
    """A table of a model that all share and one of the bank's own."""
    return table(("trees", "1.0.0", "champion", 100), tenants=TENANTS, **changed) | {
        "models": [
            {"name": "trees", "version": "1.0.0", "role": "champion", "traffic": 100},
            {"name": "own", "version": "2.0.0", "role": "champion", "traffic": 100, "tenant": "bank"},
        ]
    }


@pytest.fixture
def behind(registry, served):
    """A container behind the platform's endpoint, with a model of the bank's own beside the shared one; its port."""
    register(registry, "own", "2.0.0", bias=3.0)
    _, port = served(said_by_both(), BEHIND_ROUTER=1, TOKEN_ISSUER="", TOKEN_AUDIENCE="", TOKEN_KEYS="")
    return port


class Platform:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self):
        self.asked, self.headers, self.answers = [], [], []
        self.seconds = 0.0
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                platform.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                platform.headers.append(dict(self.headers))
                time.sleep(platform.seconds)
                status, body, *more = (
                    platform.answers.pop(0) if platform.answers else (200, {"score": 0.5, "model": "m"})
                )
                if status == 0:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in more[0].items() if more else ():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1/score"


class Divided:
    """Hands requests to containers in turns, as a platform that divides them."""

    def __init__(self, ports):
        turns = itertools.cycle(ports)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = httpx.post(f"http://127.0.0.1:{next(turns)}/v1/score", content=body, headers=JSON)
                self.send_response(answer.status_code)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/score"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def platform():
    made = Platform()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    ("said", "place", "form", "lists"),
    [
        ("fraud-1a2b", "fraud-1a2b", Form.SAGEMAKER, False),
        ("https://x.prediction.vertexai.goog/v1/e/1:predict", None, Form.VERTEX, True),
        ("https://x.prediction.vertexai.goog/v1/e/1:rawPredict", None, Form.VERTEX, False),
        ("https://eta.westeurope.inference.ml.azure.com/score", None, Form.AZURE, False),
        ("https://eta-x.a.run.app", "https://eta-x.a.run.app/v1/score", Form.CLOUD_RUN, False),
        ("http://eta.internal:8080/", "http://eta.internal:8080/v1/score", Form.PLAIN, False),
        ("http://eta.internal/score", None, Form.PLAIN, False),
    ],
)
def test_what_an_endpoint_is_is_told_by_its_form(said, place, form, lists):
    assert Endpoint.named(said) == Endpoint(place or said, form, lists)
    asks = scoring_endpoint.tokens(Endpoint.named(said), {"IDENTITY": "i"}) is not None
    assert asks is (form in (Form.VERTEX, Form.AZURE, Form.CLOUD_RUN))


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"SCORING_ENDPOINT": "ftp://x"}, "SCORING_ENDPOINT"),
        ({"SCORING_ENDPOINT": "a/b"}, "SCORING_ENDPOINT"),
        ({"SCORING_ENDPOINT_SHOP": "x"}, "SCORING_ENDPOINT"),
        ({"SCORING_ENDPOINT": "x", "SCORING_ENDPOINT_SHOPS": "y"}, "SCORING_ENDPOINT_SHOPS"),
        ({"SCORING_ENDPOINT": "x", "BEHIND_ROUTER": "1"}, "BEHIND_ROUTER"),
        ({"TENANT_FROM": "header"}, "TENANT_FROM"),
        ({"TENANT_FROM": "authorizer", "BEHIND_ROUTER": "1"}, "BEHIND_ROUTER"),
        ({"TOKEN_ISSUER": "i", "TOKEN_AUDIENCE": "a", "TOKEN_KEYS": "{}", "BEHIND_ROUTER": "1"}, "BEHIND_ROUTER"),
    ],
)
def test_a_wrong_endpoint_is_refused_by_its_variable(variables, names):
    routing = {"ML_BLUEPRINTS_ROUTING": json.dumps(table(tenants=TENANTS))}
    with pytest.raises(SettingError, match=f"^{names}: "):
        Settings.read(routing | variables)


async def test_a_router_answers_as_the_container_does(client, behind):
    async with client(said_by_both(), SCORING_ENDPOINT=f"http://127.0.0.1:{behind}") as http:
        answer = await http.post("/v1/score", json=EVENT, headers=bearer("shop"))
        assert answer.json() == {
            "score": pytest.approx(answer.json()["score"]),
            "selected": True,
            "model": "trees/1.0.0",
            "event_id": EVENT["event_id"],
        }
        several = {"instances": [ROW, {"features": {"amount": 1.0}, "event_id": "e-2"}]}
        answer = await http.post("/v1/score", json=several, headers=bearer("shop"))
        assert [one["model"] for one in answer.json()["predictions"]] == ["trees/1.0.0"] * 2
        assert answer.json()["predictions"][1]["event_id"] == "e-2"
        assert set(answer.json()["missing"]) == {"abroad", "country"}
        asked = {"inputs": tensors(), "id": "e-3"}
        answer = await http.post("/v2/models/fraud/infer", json=asked, headers=bearer("shop"))
        assert (answer.status_code, answer.json()["model_name"], answer.json()["id"]) == (200, "fraud", "e-3")
        listed = (await http.get("/v1/models", headers=bearer("bank"))).json()["models"]
        assert [(one["name"], one["version"]) for one in listed] == [("own", "2.0.0")]
        assert (await http.get("/health")).status_code == 200
        assert (await http.get("/openapi.json", headers=bearer("bank"))).json()["info"]["title"] == "fraud"
        assert (await http.get("/v2/models/own", headers=bearer("bank"))).status_code == 404


async def test_each_tenant_is_answered_by_its_own_models_whatever_its_body_says(client, behind):
    forged = EVENT | {"parameters": {"tenant": "bank", "model": "own", "version": "2.0.0"}, "tenant": "bank"}
    async with client(said_by_both(), SCORING_ENDPOINT=f"http://127.0.0.1:{behind}") as http:

        async def model(tenant, path="/v1/score", body=EVENT):
            answer = await http.post(path, json=body, headers=bearer(tenant))
            return answer.json().get("model", answer.status_code)

        assert (await model("bank"), await model("shop")) == ("own/2.0.0", "trees/1.0.0")
        assert await model("shop", body=forged) == "trees/1.0.0"
        assert await model("shop", "/v1/models/own/score") == 404
        assert await model("bank", "/v1/models/own/versions/2.0.0/score") == "own/2.0.0"
        assert await model("bank", "/v1/models/own/versions/9.9.9/score") == 404
    # The event processor tells no tenant: the models that all share answer it. One that isn't known isn't answered.
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{behind}") as direct:
        assert (await direct.post("/", json=EVENT)).json()["model"] == "trees/1.0.0"
        unknown = await direct.post("/", json=EVENT | {"parameters": {"tenant": "other"}})
        assert (unknown.status_code, unknown.json()["field"]) == (403, "parameters.tenant")
        assert (await direct.post("/", json=EVENT | {"parameters": [1]})).status_code == 422


async def test_a_container_that_is_behind_no_router_takes_no_tenant_from_a_body(client, registry):
    register(registry, "own", "2.0.0", bias=3.0)
    async with client(said_by_both()) as http:
        forged = EVENT | {"parameters": {"tenant": "bank"}}
        assert (await http.post("/v1/score", json=forged, headers=bearer("shop"))).json()["model"] == "trees/1.0.0"
        assert (await http.post("/v1/score", json=forged)).status_code == 401


async def test_a_tenant_with_instances_of_its_own_is_asked_of_these(client, behind, platform):
    endpoints = {"SCORING_ENDPOINT": f"http://127.0.0.1:{behind}", "SCORING_ENDPOINT_SHOP": platform.url}
    async with client(said_by_both(), **endpoints) as http:
        assert (await http.post("/v1/score", json=EVENT, headers=bearer("shop"))).json()["model"] == "m"
        assert (await http.post("/v1/score", json=EVENT, headers=bearer("bank"))).json()["model"] == "own/2.0.0"
    assert platform.asked == [{**EVENT, "parameters": {"tenant": "shop"}}]


async def test_features_come_from_the_store_of_the_router(client, platform, monkeypatch):
    class Store:
        def read(self, entity):
            return {"abroad": True} if entity == "shop/card-1" else {}

    monkeypatch.setattr(features, "open_store", lambda *_: Store())
    said = table(tenants={"shop": 1000}, workload="fraud-detection")
    monkeypatch.setattr("ml_pipelines.serving.service.open_store", lambda *_: Store())
    async with client(said, SCORING_ENDPOINT=platform.url, FEATURE_STORE="group") as http:
        asked = {"entity": "card-1", "features": {"amount": 1.0}}
        assert (await http.post("/v1/score", json=asked, headers=bearer("shop"))).status_code == 200
    assert platform.asked[0]["features"] == {"abroad": True, "amount": 1.0}


OURS = {"error": "...", "field": "features.amount", "found": "`'ten'`", "right": "a finite number is right"}


@pytest.mark.parametrize(
    ("answers", "status", "field"),
    [
        # What a container says of the request, or of its models, is passed on.
        ([(422, OURS)], 422, "features.amount"),
        ([(404, OURS | {"field": "model"})], 404, "model"),
        ([(500, OURS | {"field": "model"})], 500, "model"),
        ([(503, OURS | {"field": "model"})], 503, "model"),
        ([(413, b"too large")], 413, "body"),
        # What the platform says of the router isn't the tenant's to know.
        ([(401, b"")], 503, "model"),
        ([(403, OURS)], 503, "model"),
        ([(404, b"no endpoint secret-name")], 503, "model"),
        ([(429, b"")], 503, "model"),
        ([(302, b"", {"Location": "http://127.0.0.1:1/"})], 503, "model"),
        ([(500, b"secret-name failed")], 503, "model"),
        ([(502, b""), (502, b"")], 503, "model"),
        ([(0, b""), (0, b"")], 503, "model"),
        # Nothing that answers as our containers do.
        ([(200, b"")], 503, "model"),
        ([(200, b"{")], 503, "model"),
        ([(200, b"[" * 10_000)], 503, "model"),
        ([(200, [])], 503, "model"),
        ([(200, {"score": "high", "model": "m"})], 503, "model"),
        ([(200, {"score": 0.5})], 503, "model"),
        ([(200, {"score": 0.5, "model": "m", "degraded": [1]})], 503, "model"),
        # Once more is safe.
        ([(503, b"")], 200, None),
        ([(0, b"")], 200, None),
    ],
    ids=range(22),
)
async def test_what_fails_behind_the_router_is_told_and_nothing_else(client, platform, answers, status, field):
    platform.answers = list(answers)
    async with client(table(), SCORING_ENDPOINT=platform.url) as http:
        answer = await http.post("/v1/score", json=EVENT)
        assert (answer.status_code, answer.json().get("field")) == (status, field), answer.json()
        assert "secret" not in answer.text
        assert len(platform.asked) == len(answers) + (status == 200)
        assert ("retry-after" in answer.headers) is (status == 503)
        assert (await http.post("/v1/score", json=EVENT)).status_code == 200


CANARY = table(("trees", "1.0.0", "champion", 80), ("trees", "1.1.0", "canary", 20))


def no_score(version):
    return (500, OURS | {"field": "model", "found": f"no score by trees/{version}: a score isn't a finite number"})


@pytest.mark.parametrize(
    ("answers", "status", "asked"),
    [
        ([no_score("1.1.0")], 200, 2),
        ([no_score("1.1.0"), no_score("1.1.0")], 200, 3),
        ([no_score("1.1.0"), no_score("1.1.0"), no_score("1.1.0")], 500, 3),
        # What the champion fails, another attempt would not change.
        ([no_score("1.0.0")], 500, 1),
        ([no_score("1.1.0"), no_score("1.0.0")], 500, 2),
        ([(500, OURS | {"field": "features", "found": "no score by trees/1.1.0: x"})], 500, 1),
    ],
    ids=range(6),
)
async def test_what_a_canary_behind_the_platform_fails_another_version_answers(
    client, platform, answers, status, asked
):
    platform.answers = list(answers)
    async with client(CANARY, SCORING_ENDPOINT=platform.url) as http:
        answer = await http.post("/v1/score", json=EVENT)
        assert (answer.status_code, len(platform.asked)) == (status, asked)
        told = {"trees/1.1.0": "a score isn't a finite number"}
        assert answer.json().get("degraded") == (told if status == 200 else None)
        failures = f'serving_model_failures_total{{model="trees/1.1.0"}} {min(asked - 1, 2):.1f}'
        assert (failures in (await http.get("/metrics")).text) is (asked > 1)


async def test_a_canary_that_was_asked_for_by_its_name_fails_for_itself(client, platform):
    platform.answers = [no_score("1.1.0")]
    async with client(CANARY, SCORING_ENDPOINT=platform.url) as http:
        answer = await http.post("/v1/models/trees/versions/1.1.0/score", json=EVENT)
        assert (answer.status_code, len(platform.asked)) == (500, 1)


async def test_a_canarys_own_container_tells_of_its_failures_and_is_the_platforms_to_withdraw(client, registry):
    register(registry, "trees", "1.1.0", content=graph(fails=True))
    async with client(table(("trees", "1.1.0", "canary", 20)), BEHIND_ROUTER=1) as http:
        for _ in range(30):
            answer = await http.post("/v1/score", json={"features": {"amount": 1.0}})
            assert answer.status_code == 500
            assert answer.json()["found"].startswith("no score by trees/1.1.0: ")
        assert (await http.get("/v1/models")).json()["models"][0]["withdrawn"] is None
        assert (await http.post("/v1/score", json={"features": {"amount": -1.0}})).json()["model"] == "trees/1.1.0"


async def test_a_router_and_a_failing_canary_behind_it_fail_nobody(client, registry, served):
    """Two containers, and a platform that gives the canary what it likes: here every second request."""
    register(registry, "trees", "1.1.0", content=graph(fails=True))
    ports = [
        served(table(("trees", version, role, share)), BEHIND_ROUTER=1)[1]
        for version, role, share in (("1.0.0", "champion", 80), ("1.1.0", "canary", 20))
    ]
    platform = Divided(ports)
    async with client(CANARY, SCORING_ENDPOINT=platform.url) as http:
        answers = [await http.post("/v1/score", json=EVENT) for _ in range(40)]
    platform.close()
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["model"] for answer in answers} == {"trees/1.0.0"}
    assert sum("degraded" in answer.json() for answer in answers) >= 10


async def test_an_endpoint_that_is_slow_or_not_there_holds_up_nobody(client, platform, monkeypatch):
    monkeypatch.setattr(HttpUpstream.__init__, "__defaults__", (None, 0.3, None))
    platform.seconds = 2.0
    endpoints = {"SCORING_ENDPOINT": DOWN, "SCORING_ENDPOINT_SHOP": platform.url}
    async with client(said_by_both(), **endpoints) as http:
        started = time.perf_counter()
        slow = asyncio.create_task(http.post("/v1/score", json=EVENT, headers=bearer("shop")))
        await asyncio.sleep(0.05)
        down = await http.post("/v1/score", json=EVENT, headers=bearer("bank"))
        assert (down.status_code, time.perf_counter() - started < 0.25) == (503, True)
        assert ((await slow).status_code, time.perf_counter() - started < 1) == (503, True)
        service = http.service
        assert service.gates.of("shop").running == 0
    assert len(platform.asked) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (EVENT | {"features": {"amount": [1]}}, "features.amount"),
        (EVENT | {"features": {"amount": {}}}, "features.amount"),
        ({"instances": [ROW, {"x" * 200: []}]}, "instances[1]." + "x" * 100),
        (EVENT | {"entity": 5}, "entity"),
        ({}, "features"),
    ],
)
async def test_what_no_model_takes_isnt_handed_on(client, platform, body, field):
    async with client(table(), SCORING_ENDPOINT=platform.url) as http:
        answer = await http.post("/v1/score", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert platform.asked == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (bearer("shop", key=OTHER), 401),
        (bearer("shop", seconds=-60), 401),
        (bearer("nobody"), 403),
        ({"Authorization": "Basic x"}, 401),
        # A gateway's own token, and the caller's beside it.
        ({"Authorization": "Bearer of-a-gateway", "X-Forwarded-Authorization": bearer("shop")["Authorization"]}, 200),
        ({"X-Forwarded-Authorization": bearer("shop")["Authorization"], "Authorization": "Bearer of-a-gateway"}, 200),
        ({"X-Forwarded-Authorization": "Bearer forged", "Authorization": bearer("shop")["Authorization"]}, 401),
    ],
    ids=range(8),
)
async def test_nobody_passes_the_router_without_a_token(client, platform, headers, status):
    async with client(table(tenants=TENANTS), SCORING_ENDPOINT=platform.url) as http:
        assert (await http.post("/v1/score", json=EVENT, headers=headers)).status_code == status
    assert len(platform.asked) == (status == 200)
    assert all("X-Forwarded-Authorization" not in headers for headers in platform.headers)


async def test_vertex_ai_is_asked_for_lists_with_a_token_that_is_kept(client, platform, monkeypatch):
    fetched = []

    def fetch():
        fetched.append(1)
        return f"google-{len(fetched)}", time.time() + 3600

    monkeypatch.setattr(scoring_endpoint, "_google", lambda audience=None: fetch)
    one = {"score": 0.25, "selected": False, "model": "trees/1.0.0", "missing": ["country"]}
    message = 'Error from the model: {"error": "x", "field": "features.a", "found": "b", "right": "c"}'
    platform.answers = [
        (200, {"predictions": [one], "deployedModelId": "7"}),
        (200, {"predictions": [one, one]}),
        (200, {"predictions": [one, one]}),
        (400, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}),
        (400, {"error": {"code": 400, "message": "no {braces", "status": "INVALID_ARGUMENT"}}),
    ]
    async with client(table(), SCORING_ENDPOINT=f"http://127.0.0.1:{platform.port}/v1/endpoints/1:predict") as http:
        answer = await http.post("/v1/score", json=EVENT)
        assert answer.json() == one | {"event_id": EVENT["event_id"]}
        answer = await http.post("/v1/score", json={"instances": [ROW, ROW]})
        assert (len(answer.json()["predictions"]), answer.json()["missing"]) == (2, ["country"])
        assert (await http.post("/v1/score", json=EVENT)).status_code == 503
        answer = await http.post("/v1/score", json=EVENT)
        assert (answer.status_code, answer.json()["field"]) == (400, "features.a")
        assert (await http.post("/v1/score", json=EVENT)).status_code == 503
    assert platform.asked[0] == {"instances": [EVENT]}
    assert {headers["Authorization"] for headers in platform.headers} == {"Bearer google-1"}


async def test_a_container_on_vertex_ai_says_in_each_prediction_what_lacked(client):
    async with client(table(), AIP_PREDICT_ROUTE="/predict", AIP_HEALTH_ROUTE="/health") as http:
        answer = await http.post("/predict", json={"instances": [{"features": {"amount": 1.0}}]})
        assert answer.json().keys() == {"predictions"}
        assert answer.json()["predictions"][0]["missing"] == ["abroad", "country"]


async def test_azures_status_of_the_container_counts(platform):
    platform.answers = [(424, OURS, {"ms-azureml-model-error-statuscode": "422"}), (424, b"", {})]
    asked = HttpUpstream(Endpoint(platform.url, Form.AZURE), Tokens(lambda: ("t", time.time() + 3600)))
    assert [(await asked.ask({})).status, (await asked.ask({})).status] == [422, 424]
    await asked.close()


async def test_tokens_are_fetched_anew_before_they_end_and_not_at_once_by_all(platform):
    fetched = []

    def fetch():
        time.sleep(0.05)
        fetched.append(1)
        return f"t-{len(fetched)}", time.time() + (30 if len(fetched) == 1 else 3600)

    asked = HttpUpstream(Endpoint(platform.url, Form.AZURE), Tokens(fetch))
    await asked.ask({})
    await asyncio.gather(*(asked.ask({}) for _ in range(5)))
    await asked.close()
    assert [headers["Authorization"] for headers in platform.headers] == ["Bearer t-1"] + ["Bearer t-2"] * 5

    def none():
        raise OSError("no metadata server")

    refused = HttpUpstream(Endpoint(platform.url, Form.AZURE), Tokens(none))
    with pytest.raises(UpstreamError, match="no token: OSError"):
        await refused.ask({})


class Runtime:
    """SageMaker's runtime, which answers or fails as it is told."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def invoke_endpoint(self, **asked):
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"Body": StreamingBody(io.BytesIO(answer), len(answer))}


def model_error(status, body):
    said = {"Error": {"Code": "ModelError", "Message": "m"}, "OriginalStatusCode": status, "OriginalMessage": body}
    return ClientError(said, "InvokeEndpoint")


async def test_an_endpoint_of_sagemaker_is_asked_by_its_name(client, monkeypatch):
    runtime = Runtime(
        json.dumps({"score": 0.5, "selected": None, "model": "m"}).encode(),
        model_error(422, json.dumps(OURS)),
        ClientError({"Error": {"Code": "ThrottlingException", "Message": "x"}}, "InvokeEndpoint"),
        ClientError({"Error": {"Code": "AccessDeniedException", "Message": "arn:secret"}}, "InvokeEndpoint"),
        ReadTimeoutError(endpoint_url="https://runtime"),
    )
    monkeypatch.setattr(scoring_endpoint, "sagemaker_client", lambda: runtime)
    async with client(table(tenants={"shop": 1000}), SCORING_ENDPOINT="fraud-1a2b") as http:

        async def asked():
            answer = await http.post("/v1/score", json=EVENT, headers=bearer("shop"))
            assert "secret" not in answer.text
            return answer.status_code

        assert [await asked() for _ in range(5)] == [200, 422, 503, 503, 503]
    first = runtime.asked[0]
    assert (first["EndpointName"], json.loads(first["Body"])["parameters"]) == ("fraud-1a2b", {"tenant": "shop"})
    # The names are those of the API.
    shape = botocore.session.get_session().get_service_model("sagemaker-runtime").operation_model("InvokeEndpoint")
    assert first.keys() <= shape.input_shape.members.keys()


async def test_what_a_canary_fails_on_sagemaker_the_champions_variant_answers(client, monkeypatch):
    answered = json.dumps({"score": 0.5, "selected": None, "model": "trees/1.0.0"}).encode()
    runtime = Runtime(model_error(500, json.dumps(no_score("1.1.0")[1])), answered)
    monkeypatch.setattr(scoring_endpoint, "sagemaker_client", lambda: runtime)
    async with client(CANARY, SCORING_ENDPOINT="fraud-1a2b") as http:
        answer = (await http.post("/v1/score", json=EVENT)).json()
    assert (answer["model"], list(answer["degraded"])) == ("trees/1.0.0", ["trees/1.1.0"])
    assert [asked.get("TargetVariant") for asked in runtime.asked] == [None, "champion"]
    shape = botocore.session.get_session().get_service_model("sagemaker-runtime").operation_model("InvokeEndpoint")
    assert runtime.asked[1].keys() <= shape.input_shape.members.keys()


async def test_sagemaker_that_hangs_is_left_after_a_while():
    ended = threading.Event()

    class Hanging:
        def invoke_endpoint(self, **_):
            ended.wait(5)
            raise ReadTimeoutError(endpoint_url="https://runtime")

    asked = SageMakerUpstream(Endpoint("e", Form.SAGEMAKER), Hanging(), timeout=0.05)
    with pytest.raises(UpstreamError, match="nothing in"):
        await asked.ask({})
    ended.set()
    await asked.close()


def test_a_router_starts_without_what_models_need():

    code = (
        "import sys; import ml_pipelines.serving.server, ml_pipelines.serving.forward, ml_pipelines.serving.upstream\n"
    )
    code += "print([name for name in ('onnxruntime', 'numpy', 'aiohttp', 'boto3') if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


async def test_a_router_takes_a_new_table(client, platform, tmp_path):
    file = tmp_path / "routing.json"
    file.write_text(json.dumps(table()))
    async with client(SCORING_ENDPOINT=platform.url, ML_BLUEPRINTS_ROUTING_FILE=file) as http:
        file.write_text(json.dumps(table(("trees", "1.1.0", "champion", 100))))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                while (await http.get("/v1/models")).json()["models"][0]["version"] != "1.1.0":
                    await asyncio.sleep(0.05)
        assert (await http.get("/v1/models")).json()["models"][0]["version"] == "1.1.0"


def claims(**changed):
    """A token's claims as Google's API Gateway hands them on."""
    said = {"iss": ISSUER, "aud": [AUDIENCE, "other"], "exp": time.time() + 86_400, "tenant": "shop"} | changed
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("X-Apigateway-Api-Userinfo", claims())], 200),
        ([("X-Apigateway-Api-Userinfo", claims(aud=AUDIENCE))], 200),
        ([("X-Apigateway-Api-Userinfo", claims(aud="another"))], 401),
        ([("X-Apigateway-Api-Userinfo", claims(iss="another"))], 401),
        ([("X-Apigateway-Api-Userinfo", claims(exp=time.time() - 60))], 401),
        ([("X-Apigateway-Api-Userinfo", claims(exp=None))], 401),
        ([("X-Apigateway-Api-Userinfo", claims(tenant=5))], 403),
        ([("X-Apigateway-Api-Userinfo", claims(tenant="nobody"))], 403),
        ([("X-Apigateway-Api-Userinfo", "e30")], 401),
        ([("X-Apigateway-Api-Userinfo", "!")], 401),
        ([("X-Apigateway-Api-Userinfo", claims(tenant="bank"))] * 2, 401),
        (list(bearer("shop").items()), 401),
    ],
    ids=range(12),
)
async def test_a_gateway_tells_the_tenant_where_it_is_told_so(client, platform, headers, status):
    variables = {"SCORING_ENDPOINT": platform.url, "TENANT_FROM": "gateway", "TOKEN_KEYS": ""}
    async with client(table(tenants=TENANTS), **variables) as http:
        assert (await http.post("/v1/score", json=EVENT, headers=headers)).status_code == status
    assert [one["parameters"] for one in platform.asked] == [{"tenant": "shop"}] * (status == 200)


async def test_no_server_takes_the_authorizers_word(client, platform):
    none = dict.fromkeys(("TOKEN_ISSUER", "TOKEN_AUDIENCE", "TOKEN_KEYS"), "")
    async with client(table(tenants=TENANTS), SCORING_ENDPOINT=platform.url, TENANT_FROM="authorizer", **none) as http:
        assert (await http.post("/v1/score", json=EVENT, headers=bearer("shop"))).status_code == 401


@pytest.fixture
def certified(platform, tmp_path):
    """The platform with a certificate that it has signed itself, for `localhost`; the certificate in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-signed")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "both.pem"
    file.write_bytes(pem.encode() + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    platform.server.socket = context.wrap_socket(platform.server.socket, server_side=True)
    return pem


async def test_a_certificate_that_its_host_has_signed_is_trusted_alone(
    client, platform, certified, tmp_path, monkeypatch
):
    by_name, by_address = (f"https://{host}:{platform.port}/v1/score" for host in ("localhost", "127.0.0.1"))

    async def status(url, **variables):
        async with client(table(), SCORING_ENDPOINT=url, **variables) as http:
            return (await http.post("/v1/score", json=EVENT)).status_code

    file = tmp_path / "certificate.pem"
    file.write_text(certified)
    assert await status(by_name, SCORING_CERTIFICATE=certified) == 200
    assert await status(by_name, SCORING_CERTIFICATE=file) == 200
    # Nobody vouches for it, it is for another name, it can't be read.
    assert await status(by_name) == 503
    assert await status(by_address, SCORING_CERTIFICATE=certified) == 503
    assert await status(by_name, SCORING_CERTIFICATE=tmp_path / "none.pem") == 503
    # Where a host is known to sign its own, the one that it shows first is the one.
    monkeypatch.setattr(scoring_endpoint, "_SELF_SIGNED", "localhost")
    assert await status(by_name) == 200
    scorer = scorers.open_scorer(by_name, {"SCORING_CERTIFICATE": certified})
    assert (await asyncio.to_thread(scorer.score, "card-1", "event-1", {}))["model"] == "m"
    refused = scorers.open_scorer(by_address, {"SCORING_CERTIFICATE": certified})
    with pytest.raises(SinkError, match="SSLError"):
        await asyncio.to_thread(refused.score, "card-1", "event-1", {})
