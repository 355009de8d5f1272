"""The feature job on serverless Spark: its size, how far it looks back, how it tells events, its workflow."""

import json
from pathlib import Path
from types import SimpleNamespace

import pulumi
import pytest
from ml_blueprints.errors import BlueprintError
from ml_blueprints.gcp import feature_job
from ml_blueprints.workload import Workload

WORKLOADS = sorted((Path(__file__).parents[3] / "stacks" / "workloads").glob("*.yaml"))
BATCH = feature_job.Batch(
    project="house",
    region="europe-west1",
    file="gs://code/features/0.py",
    arguments=["--source", "house.w.raw"],
    identity="features@house",
    subnet="subnets/jobs",
    key="keys/k",
    staging="staging",
    executors=5,
    labels={"workload": "w"},
)


@pytest.fixture
def steps() -> dict[str, dict]:
    """The steps of the workflow by name."""
    texts: list[str] = []

    @pulumi.runtime.test
    def resolve() -> pulumi.Output[None]:
        return feature_job.workflow(BATCH).apply(texts.append)

    resolve()
    (text,) = texts
    return {name: body for step in json.loads(text)["main"]["steps"] for name, body in step.items()}


def asked(step: dict) -> dict:
    """The request of a step, which is repeated where nobody answers."""
    assert step["retry"] == "${http.default_retry}"
    return step["try"]


@pytest.mark.parametrize(("events", "executors"), [(1, 2), (4000, 2), (4001, 3), (20_000, 10), (100_000, 32)])
def test_executors_follow_the_events_between_bounds(events, executors):
    assert feature_job.executors(events) == executors


@pytest.mark.parametrize(
    ("schedule", "since"),
    [("0 3 * * *", "2d"), ("*/30 * * * *", "2d"), ("0 3 * * 1", "8d"), ("0 3 1 * *", "32d"), ("0 3 1 1 *", "367d")],
)
def test_a_job_looks_back_to_its_last_run_and_a_day_more(schedule, since):
    assert feature_job.since(schedule) == since


@pytest.mark.parametrize("path", WORKLOADS, ids=lambda path: path.stem)
def test_the_job_of_each_workload_says_how_it_tells_events(path):
    workload = Workload.load(path)
    assert feature_job.keys(workload)[:2] == (workload.data.entity, workload.data.event_time)


@pytest.mark.parametrize("source", ["", "KEYS = ()", "KEYS = ('no_such_column',)", "KEYS = ['id']", "OTHER = ('id',)"])
def test_a_job_that_does_not_say_so_is_refused(source):
    workload = SimpleNamespace(
        name="w",
        data=SimpleNamespace(contract=SimpleNamespace(columns=("id", "amount"))),
        features=SimpleNamespace(job="jobs/w.py", job_source=source),
    )
    with pytest.raises(
        BlueprintError, match=r"features\.job: found `jobs/w\.py` without columns in `KEYS`.*id, amount"
    ):
        feature_job.keys(workload)


def test_a_batch_runs_the_job_privately_under_its_identity_with_the_key(steps):
    body = asked(steps["start"])["args"]["body"]
    assert body["pysparkBatch"] == {"mainPythonFileUri": "gs://code/features/0.py", "args": ["--source", "house.w.raw"]}
    assert body["environmentConfig"]["executionConfig"] == {
        "serviceAccount": "features@house",
        "subnetworkUri": "subnets/jobs",
        "networkTags": ["spark"],
        "kmsKey": "keys/k",
        "stagingBucket": "staging",
        "ttl": "21600s",
    }
    assert body["runtimeConfig"]["version"] == "2.3"
    assert body["runtimeConfig"]["properties"]["spark.dynamicAllocation.maxExecutors"] == "5"
    assert body["labels"] == {"workload": "w"}


def test_a_request_that_is_repeated_starts_one_batch(steps):
    request = asked(steps["start"])
    assert request["call"] == "http.post"
    assert request["args"]["url"] == "https://dataproc.googleapis.com/v1/projects/house/locations/europe-west1/batches"
    assert "EXECUTION_ID" in request["args"]["query"]["requestId"]
    assert request["args"]["auth"] == {"type": "OAuth2"}


def test_the_workflow_waits_for_the_end_and_fails_with_the_batch(steps):
    look = asked(steps["look"])["args"]
    assert look["url"] == '${"https://dataproc.googleapis.com/v1/" + started.body.metadata.batch}'
    ends = {way["condition"]: way["next"] for way in steps["judge"]["switch"]}
    assert ends == {
        '${batch.body.state == "SUCCEEDED"}': "finish",
        '${batch.body.state == "FAILED"}': "give_up",
        '${batch.body.state == "CANCELLED"}': "give_up",
    }
    assert steps["judge"]["next"] == "wait"
    assert "raise" in steps["give_up"]
    assert list(steps) == ["start", "wait", "look", "judge", "give_up", "finish"]
