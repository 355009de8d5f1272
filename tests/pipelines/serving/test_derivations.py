"""What training derives from an event and its features is derived alike where it is served."""

import json

import numpy as np
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import Request
from ml_pipelines.derivations import named
from ml_pipelines.features.online import Plan
from ml_pipelines.serving.inputs import Schema, derive
from ml_pipelines.serving.models import load
from ml_pipelines.serving.trust import ModelError, Trust
from ml_pipelines.steps import manifest
from ml_pipelines.steps.examples import inputs
from ml_pipelines.steps.prepare import examples
from ml_pipelines.tasks import find
from ml_pipelines.tasks.history import features_before, own_features

from .conftest import KEY, register, table

# The calendar of demand-forecasting is that of the whole log, so that no event tells it; it is a batch.
WORKLOADS = {
    "fraud-detection": (own_features, "event_id"),
    "credit-scoring": (own_features, "application_id"),
    "delivery-eta": (features_before, "order_id"),
    "personalization": (features_before, "event_id"),
}


@pytest.mark.parametrize("workload", WORKLOADS)
def test_an_event_has_the_inputs_that_it_had_in_training(workload):
    task, plan, (with_features, event_id) = find(workload), Plan.load(workload), WORKLOADS[workload]
    found = datasets.load(task.data_set, Request(events=2000))
    learned = examples(found.log, found.labels, task)
    arrays = inputs(learned, task)
    events = {row[event_id]: row for row in with_features(workload, found.log).to_pylist()}
    schema = Schema([(item.name, item.kind.value) for item in task.inputs], beside=(*plan.inputs, *plan.features))
    for place, example in list(enumerate(learned["example_id"].to_pylist()))[:200]:
        event = events[example]
        # As the event processor writes it.
        row = json.loads(json.dumps({name: event[name] for name in (*plan.inputs, *plan.features)}))
        rows = [row]
        derive(rows, named(task.derived))
        columns, missing = schema.columns(rows)
        for name, values in arrays.items():
            np.testing.assert_array_equal(columns[name].ravel()[0], values[place], err_msg=name)
        if all(value is not None for value in row.values()):
            assert missing == ()


FRAUD = (("amount", "number"), ("hour_of_day", "number"), ("country", "category"))
ASKED = {"entity": "card-1", "features": {"amount": 2.0, "event_time": 1_767_225_600_000 + 5 * 3_600_000}}


def deriving(registry, version, *names):
    """A signed version whose manifest names derivations."""
    folder = register(registry, "trees", version, inputs=FRAUD)
    said = json.loads((folder / "manifest.json").read_text()) | {"format": 2, "derivations": names}
    (folder / "manifest.json").write_text(json.dumps(said))
    manifest.sign(folder, KEY)
    return folder


@pytest.mark.anyio
async def test_the_service_derives_what_the_manifest_names(registry, client):
    deriving(registry, "2.0.0", "hour_of_day")
    said = table(("trees", "2.0.0", "champion", 100))
    async with client(said) as http:
        assert (await http.post("/v1/score", json=ASKED)).json()["missing"] == ["country"]
        wrong = ASKED | {"features": {"amount": 2.0, "event_time": "noon"}}
        answer = await http.post("/v1/score", json=wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, "features.event_time")


@pytest.mark.anyio
async def test_what_a_list_of_words_leads_to_comes_through_the_router(registry, served, client):
    folder = register(registry, "trees", "2.0.0", inputs=(("genre_count", "number"), ("genre", "category")))
    said = json.loads((folder / "manifest.json").read_text())
    said |= {"format": 2, "derivations": ["genre_count", "genre"]}
    (folder / "manifest.json").write_text(json.dumps(said))
    manifest.sign(folder, KEY)
    routed = table(("trees", "2.0.0", "champion", 100), fields=["genres"])
    _, port = served(routed, BEHIND_ROUTER=1)
    async with client(routed, SCORING_ENDPOINT=f"http://127.0.0.1:{port}") as http:
        answer = await http.post("/v1/score", json={"features": {"genres": ["Drama", "War"]}})
        assert answer.status_code == 200
        assert answer.json().get("missing", []) == []


def test_a_derivation_that_the_service_lacks_is_refused_at_load(registry):
    folder = deriving(registry, "2.0.0", "moon_phase")
    with pytest.raises(ModelError, match="derivation `moon_phase` isn't known here"):
        load("trees", "2.0.0", folder, Trust((KEY.public_key(),), False))
