"""What the service answers in each protocol, by canaries, shadows, ensembles and to tenants."""

import asyncio
import json
import math
import time
from collections import Counter

import pytest
from ml_pipelines.serving.features import StoreError
from ml_pipelines.serving.service import watch
from openapi_spec_validator import validate

from .conftest import graph, register, table, token

pytestmark = pytest.mark.anyio
ROW = {"amount": 10, "abroad": False, "country": "DE"}
EVENT = {"entity": "card-1", "event_id": "event-1", "features": ROW}
SCORE = 1 / (1 + math.exp(-1))


async def test_what_the_event_processor_asks(client):
    async with client() as http:
        for path in ("/v1/score", "/"):
            answer = await http.post(path, json=EVENT)
            assert answer.status_code == 200
            assert answer.json() == {
                "score": pytest.approx(SCORE),
                "selected": True,
                "model": "trees/1.0.0",
                "event_id": "event-1",
            }


async def test_an_input_that_lacks_is_told(client):
    async with client() as http:
        answer = (await http.post("/v1/score", json={"features": {"amount": 10, "unused": 4}})).json()
        assert answer["missing"] == ["abroad", "country"]
        assert 'serving_missing_inputs_total{input="country"} 1.0' in (await http.get("/metrics")).text


async def test_sagemaker(client):
    async with client(SAGEMAKER="1") as http:
        assert (await http.get("/ping")).status_code == 200
        assert (await http.post("/invocations", json=EVENT)).json()["score"] == pytest.approx(SCORE)


async def test_answers_that_are_kept_hold_their_rows(client):
    async with client(SAGEMAKER="1", ANSWER_ROWS="1") as http:
        one = (await http.post("/invocations", json=EVENT)).json()
        row = one.pop("row")
        assert row.pop("at") == pytest.approx(time.time() * 1000, abs=60_000)
        assert row.pop("features").items() >= EVENT["features"].items()
        assert row == one | {"tenant": None, "entity": EVENT["entity"]}
        several = (await http.post("/invocations", json={"instances": [EVENT, ROW]})).json()["predictions"]
        assert [one["row"]["event_id"] for one in several] == ["event-1", None]
    async with client(SAGEMAKER="1") as http:
        assert "row" not in (await http.post("/invocations", json=EVENT)).json()


async def test_vertex(client):
    async with client(AIP_HEALTH_ROUTE="/healthy", AIP_PREDICT_ROUTE="/predictions") as http:
        assert (await http.get("/healthy")).status_code == 200
        answer = await http.post("/predictions", json={"instances": [ROW, EVENT], "parameters": {}})
        predictions = answer.json()["predictions"]
        assert [one["score"] for one in predictions] == pytest.approx([SCORE, SCORE])
        assert predictions[1]["event_id"] == "event-1"


async def test_azure(client, registry):
    async with client(AZUREML_MODEL_DIR=registry) as http:
        assert (await http.get("/health")).status_code == 200
        assert (await http.post("/score", json=EVENT)).json()["model"] == "trees/1.0.0"


async def test_protocols_of_other_platforms_are_not_there(client):
    async with client() as http:
        for path in ("/invocations", "/score"):
            assert (await http.post(path, json=EVENT)).status_code == 404


def tensors(size=2):
    return [
        {"name": "amount", "shape": [size, 1], "datatype": "FP32", "data": [[10.0]] * size},
        {"name": "abroad", "shape": [size], "datatype": "BOOL", "data": [True] * size},
        {"name": "country", "shape": [size], "datatype": "BYTES", "data": ["DE"] * size},
    ]


async def test_the_open_inference_protocol(client):
    async with client() as http:
        assert (await http.get("/v2")).json().keys() == {"name", "version", "extensions"}
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/trees/ready"):
            assert (await http.get(path)).status_code == 200
        metadata = (await http.get("/v2/models/trees")).json()
        assert metadata["versions"] == ["1.0.0"]
        assert metadata["inputs"][2] == {"name": "country", "datatype": "BYTES", "shape": [-1, 1]}
        for path in ("trees", "trees/versions/1.0.0", "fraud"):
            said = {"id": "42", "inputs": tensors(), "outputs": [{"name": "score"}]}
            answer = await http.post(f"/v2/models/{path}/infer", json=said)
            assert answer.status_code == 200
            assert answer.json() == {
                "model_name": path.partition("/")[0],
                "model_version": "1.0.0",
                "id": "42",
                "outputs": [{"name": "score", "shape": [2], "datatype": "FP64", "data": pytest.approx([SCORE, SCORE])}],
                "parameters": {"model": "trees/1.0.0"},
            }


async def test_openapi_is_valid_and_says_the_inputs(client):
    async with client() as http:
        document = (await http.get("/openapi.json")).json()
        validate(document)
        asked = document["components"]["schemas"]["Ask"]["properties"]["features"]
        assert asked["properties"]["country"] == {"type": ["string", "null"]}


async def test_a_canary_gets_its_share_and_an_entity_stays(client, registry):
    register(registry, "trees", "1.1.0", bias=1.0)
    said = table(("trees", "1.0.0", "champion", 80), ("trees", "1.1.0", "canary", 20))
    async with client(said) as http:
        found = {}
        for _ in range(2):
            for number in range(400):
                event = EVENT | {"entity": f"card-{number}"}
                model = (await http.post("/v1/score", json=event)).json()["model"]
                assert found.setdefault(number, model) == model
        assert Counter(found.values())["trees/1.1.0"] / 400 == pytest.approx(0.2, abs=0.06)
        # The same in one request of many.
        events = [EVENT | {"entity": f"card-{number}"} for number in range(400)]
        predictions = (await http.post("/v1/score", json={"instances": events})).json()["predictions"]
        assert [one["model"] for one in predictions] == list(found.values())


async def test_a_canary_that_fails_costs_no_request_and_is_withdrawn(client, registry):
    register(registry, "trees", "1.1.0", content=graph(fails=True))
    said = table(("trees", "1.0.0", "champion", 50), ("trees", "1.1.0", "canary", 50))
    async with client(said) as http:
        degraded = 0
        for number in range(200):
            answer = await http.post("/v1/score", json=EVENT | {"entity": f"card-{number}"})
            assert answer.status_code == 200
            assert answer.json()["score"] == pytest.approx(SCORE)
            degraded += "trees/1.1.0" in answer.json().get("degraded", {})
        assert degraded == 20
        models = (await http.get("/v1/models")).json()["models"]
        assert "20 of its last 20 requests failed" in models[1]["withdrawn"]
        assert 'serving_canary_withdrawn{model="trees/1.1.0"} 1.0' in (await http.get("/metrics")).text


async def test_a_shadow_sees_copies_and_changes_nothing(client, registry, tmp_path):
    register(registry, "trees", "2.0.0", bias=1.0)
    register(registry, "trees", "3.0.0", content=graph(fails=True))
    said = table(
        ("trees", "1.0.0", "champion", 100), ("trees", "2.0.0", "shadow", 100), ("trees", "3.0.0", "shadow", 100)
    )
    async with client(said, CAPTURED=tmp_path / "captured") as http:
        for number in range(50):
            answer = await http.post("/v1/score", json=EVENT | {"event_id": f"event-{number}"})
            assert answer.json()["model"] == "trees/1.0.0"

    def kept(kind):
        return [json.loads(line) for file in tmp_path.glob(f"captured/{kind}/**/*.jsonl") for line in file.open()]

    assert [line["features"] for line in kept("requests")] == [ROW] * 50
    lines = kept("comparisons")
    good = [line for line in lines if line["shadow"] == "trees/2.0.0"]
    assert {line["event_id"] for line in good} == {f"event-{number}" for number in range(50)}
    assert good[0]["score"] == pytest.approx(SCORE)
    assert good[0]["shadow_score"] == pytest.approx(1 / (1 + math.exp(-2)))
    bad = [line for line in lines if line["shadow"] == "trees/3.0.0"]
    assert len(bad) == 50
    assert all(line["shadow_score"] is None and "finite" in line["failure"] for line in bad)


def ensemble(registry, method, **changed):
    register(registry, "cheap", "1.0.0", bias=-1.0)
    register(registry, "dear", "1.0.0", bias=3.0)
    return table(
        ("cheap", "1.0.0", "champion", 100),
        ("dear", "1.0.0", "member", 0),
        ("trees", "1.0.0", "member", 0),
        ensemble={"method": method, "members": ["cheap", "dear"], **changed},
    )


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


async def asked(http, amount=10):
    answer = await http.post("/v1/score", json={"features": ROW | {"amount": amount}})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_weighted_mean(client, registry):
    async with client(ensemble(registry, "weighted_mean", weights={"dear": 3})) as http:
        answer = await asked(http)
        assert answer["score"] == pytest.approx((sigmoid(0) + 3 * sigmoid(4)) / 4)
        assert answer["members"] == {"cheap": pytest.approx(sigmoid(0)), "dear": pytest.approx(sigmoid(4))}


async def test_a_vote(client, registry):
    async with client(ensemble(registry, "vote", members=["cheap", "dear", "trees"])) as http:
        answer = await asked(http, 5)
        assert (answer["score"], answer["selected"]) == (pytest.approx(2 / 3), True)


async def test_a_cascade_asks_the_dear_one_inside_the_band_only(client, registry):
    async with client(ensemble(registry, "cascade", band=[0.3, 0.7])) as http:
        certain = await asked(http, 50)
        assert certain["members"].keys() == {"cheap"}
        uncertain = await asked(http, 10)
        assert uncertain["members"].keys() == {"cheap", "dear"}
        assert uncertain["score"] == pytest.approx(sigmoid(4))
        # In one request each row goes as far as it has to.
        rows = [{"features": ROW | {"amount": amount}} for amount in (50, 10)]
        several = (await http.post("/v1/score", json={"instances": rows})).json()["predictions"]
        assert [one["score"] for one in several] == pytest.approx([certain["score"], uncertain["score"]])


async def test_a_stack(client, registry):
    register(registry, "top", "1.0.0", weight=2.0, inputs=(("cheap", "number"), ("dear", "number")))
    said = ensemble(registry, "stacked", stacker="top")
    said["models"].append({"name": "top", "version": "1.0.0", "role": "member", "traffic": 0})
    async with client(said) as http:
        assert (await asked(http))["score"] == pytest.approx(sigmoid(2 * sigmoid(0)))


@pytest.mark.parametrize("method", ["vote", "weighted_mean", "cascade"])
async def test_a_member_that_fails_is_left_out_visibly(client, registry, method):
    register(registry, "broken", "1.0.0", content=graph(fails=True))
    said = ensemble(registry, method, members=["broken", "dear"], least=1)
    said["models"].append({"name": "broken", "version": "1.0.0", "role": "member", "traffic": 0})
    async with client(said) as http:
        answer = await asked(http)
        assert answer["degraded"] == {"broken": "a score isn't a finite number"}
        assert answer["score"] == pytest.approx(1.0 if method == "vote" else sigmoid(4))


async def test_too_few_members_are_no_answer(client, registry):
    register(registry, "broken", "1.0.0", content=graph(fails=True))
    said = ensemble(registry, "weighted_mean", members=["broken", "dear"], least=2)
    said["models"].append({"name": "broken", "version": "1.0.0", "role": "member", "traffic": 0})
    async with client(said) as http:
        answer = await http.post("/v1/score", json={"features": ROW})
        assert answer.status_code == 503
        assert answer.json()["field"] == "model"


async def test_slow_members_run_at_the_same_time_and_late_ones_are_left_out(client, registry):
    said = ensemble(registry, "weighted_mean", members=["cheap", "dear", "trees"], timeout_ms=400)
    async with client(said) as http:
        models = http.service.answering.deployment.lane(None).by_name

        def slow(model, seconds):
            import time

            plain, model.quick = model.score, False
            model.score = lambda columns: time.sleep(seconds) or plain(columns)

        slow(models["cheap"], 0.2)
        slow(models["dear"], 0.2)
        slow(models["trees"], 1.0)
        started = asyncio.get_running_loop().time()
        answer = await asked(http)
        took = asyncio.get_running_loop().time() - started
        assert answer["degraded"] == {"trees": "didn't answer in 400 ms"}
        assert took < 0.55


TENANTS = {"shop": 1000, "bank": {"requests_per_second": 1000, "concurrency": 2}, "slow": 0.01}


def tenanted(*models, **changed):
    return table(*models, tenants=TENANTS, **changed)


def bearer(*arguments, **changed):
    return {"Authorization": f"Bearer {token(*arguments, **changed)}"}


async def test_tenants_are_known_by_their_token(client):
    async with client(tenanted(), SAGEMAKER="1") as http:
        assert (await http.post("/v1/score", json=EVENT)).status_code == 401
        assert (await http.post("/v1/score", json=EVENT, headers=bearer())).status_code == 200
        # The body says nothing about whose it is.
        answer = await http.post("/v1/score", json=EVENT | {"tenant": "bank"}, headers=bearer("stranger"))
        assert answer.status_code == 403
        attributes = {"X-Amzn-SageMaker-Custom-Attributes": f"token={token()}"}
        assert (await http.post("/invocations", json=EVENT, headers=attributes)).status_code == 200
        assert (await http.get("/metrics")).status_code == 404


async def test_a_tenant_has_its_own_models_and_sees_no_others(client, registry):
    register(registry, "secret", "1.0.0", bias=2.0)
    said = tenanted(("trees", "1.0.0", "champion", 100))
    said["models"].append({"name": "secret", "version": "1.0.0", "role": "champion", "traffic": 100, "tenant": "bank"})
    async with client(said) as http:
        own = await http.post("/v1/score", json=EVENT, headers=bearer("bank"))
        assert own.json()["model"] == "secret/1.0.0"
        others = await http.post("/v1/score", json=EVENT, headers=bearer("shop"))
        assert others.json()["model"] == "trees/1.0.0"
        listed = await http.get("/v1/models", headers=bearer("shop"))
        assert "secret" not in listed.text
        for method, path in (
            ("POST", "/v1/models/{}/score"),
            ("POST", "/v2/models/{}/infer"),
            ("GET", "/v2/models/{}"),
            ("GET", "/v2/models/{}/ready"),
        ):
            theirs, none = [
                await http.request(method, path.format(name), json=EVENT, headers=bearer("shop"))
                for name in ("secret", "absent")
            ]
            assert theirs.status_code == none.status_code == 404
            assert theirs.text.replace("secret", "absent") == none.text


async def test_a_tenant_has_its_rate_and_its_bulkhead(client):
    async with client(tenanted()) as http:
        assert (await http.post("/v1/score", json=EVENT, headers=bearer("slow"))).status_code == 200
        refused = await http.post("/v1/score", json=EVENT, headers=bearer("slow"))
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        started = asyncio.get_running_loop().time()
        refusals = [http.post("/v1/score", json=EVENT, headers=bearer("slow")) for _ in range(20)]
        assert {answer.status_code for answer in await asyncio.gather(*refusals)} == {429}
        # They come after a while, all at the same time.
        assert 0.05 <= asyncio.get_running_loop().time() - started < 1
        gate = http.service.gates.of("bank")
        gate.running = gate.concurrency
        refused = await http.post("/v1/score", json=EVENT, headers=bearer("bank"))
        assert refused.status_code == 429
        assert refused.json()["found"] == "more requests at a time than it may"
        assert (await http.post("/v1/score", json=EVENT, headers=bearer("shop"))).status_code == 200


class Store:
    """An online store that notes what it was asked."""

    def __init__(self, values):
        self.values, self.asked = values, []

    def read(self, entity):
        self.asked.append(entity)
        if self.values is None:
            raise StoreError("gone")
        return self.values.get(entity, {})


async def test_features_come_from_the_store_of_the_tenant(client):
    tenants = TENANTS | {"open": {"requests_per_second": 100, "namespace": ""}}
    async with client(table(tenants=tenants)) as http:
        store = Store({"shop/card-1": {"abroad": True, "other": 1}, "card-1": {"abroad": False}})
        http.service.answering._store = store
        asked = {"entity": "card-1", "features": {"amount": 1, "country": "DE"}}
        assert "missing" not in (await http.post("/v1/score", json=asked, headers=bearer("shop"))).json()
        assert (await http.post("/v1/score", json=asked, headers=bearer("bank"))).json()["missing"] == ["abroad"]
        assert store.asked == ["shop/card-1", "bank/card-1"]
        sly = asked | {"entity": "shop/card-1"}
        assert (await http.post("/v1/score", json=sly, headers=bearer("open"))).json()["missing"] == ["abroad"]
        store.values = None
        answer = await http.post("/v1/score", json=asked, headers=bearer("shop"))
        assert (answer.status_code, answer.json()["field"]) == (503, "entity")


async def test_a_new_table_is_served_without_a_lost_request(client, registry, tmp_path):
    register(registry, "trees", "1.1.0", bias=1.0)
    file = tmp_path / "routing.json"
    file.write_text(json.dumps(table()))
    async with client(ML_BLUEPRINTS_ROUTING_FILE=file) as http:
        service = http.service
        engine = service.answering

        def load(name, version):
            from ml_pipelines.serving import models

            return models.load(name, version, registry / name / version, service.settings.trust)

        task = asyncio.create_task(watch(service, file, lambda said: engine.reload(said, load), every=0.01))

        async def until(model):
            for _ in range(500):
                answer = await http.post("/v1/score", json=EVENT)
                assert answer.status_code == 200
                if answer.json()["model"] == model:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError(f"{model} never answered")

        file.write_text(json.dumps(table(("trees", "1.1.0", "champion", 100))))
        await until("trees/1.1.0")
        # What is wrong isn't taken: no JSON, a version that there isn't, one that was changed.
        register(registry, "trees", "1.2.0")
        (registry / "trees" / "1.2.0" / "model.onnx").write_bytes(graph(weight=7))
        for wrong in ("{", json.dumps(table(("trees", "9.9.9", "champion", 100)))):
            file.write_text(wrong)
            await asyncio.sleep(0.1)
            await until("trees/1.1.0")
        file.write_text(json.dumps(table(("trees", "1.2.0", "champion", 100))))
        await asyncio.sleep(0.1)
        await until("trees/1.1.0")
        file.write_text(json.dumps(table()))
        await until("trees/1.0.0")
        assert engine.metrics.reloads.labels("refused")._value.get() == 3
        task.cancel()


async def test_answers_to_tasks_are_kept_by_their_names(client, tmp_path):
    kept = tmp_path / "answers"

    async def asked(http, task, body=EVENT):
        return (await http.post("/v1/score", json=body, headers={"X-CloudTasks-TaskName": task})).status_code

    async with client(ANSWERS=kept) as http:
        assert await asked(http, "task-1") == 200
        assert json.loads((kept / "task-1.json").read_text())["model"] == "trees/1.0.0"
        # What is wrong stays wrong: the task is done, and its answer says why.
        assert await asked(http, "task-2", {"features": {"amount": "ten"}}) == 200
        assert json.loads((kept / "task-2.json").read_text())["field"] == "features.amount"
        assert await asked(http, "../task-3") == 400
        assert (await http.post("/v1/score", json=EVENT)).status_code == 200
        assert {file.name for file in tmp_path.rglob("*task*")} == {"task-1.json", "task-2.json"}
        # Without its answer a task isn't done.
        kept.rename(tmp_path / "elsewhere")
        kept.write_text("no folder")
        assert await asked(http, "task-4") == 503
    async with client() as http:
        assert await asked(http, "task-5", {"features": {"amount": "ten"}}) == 422
