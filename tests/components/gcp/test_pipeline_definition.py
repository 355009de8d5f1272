"""Workflows that run jobs of Vertex AI: the job that is asked for, and when a report is published."""

import json

import pulumi
import pytest
from ml_blueprints.gcp import pipeline_definition
from ml_blueprints.gcp.pipeline_definition import Job, Run

JOB = Job(
    project="house",
    region="europe-west1",
    image="registry/image@sha256:0",
    key="keys/k",
    attachment="attachments/a",
    labels={"workload": "w"},
)
RUN = Run(
    name="w-training",
    command=("python", "-m", "train"),
    identity="trainer@house",
    destination="gs://models/candidates",
    arguments=["--features", "group"],
    environment={"MODELS": "gs://models"},
    tensorboard="tensorboards/t",
)


def steps(source: pulumi.Output[str]) -> list[dict]:
    """The steps of a workflow's source, each as its one name and body."""
    texts: list[str] = []

    @pulumi.runtime.test
    def resolve() -> pulumi.Output[None]:
        return source.apply(texts.append)

    resolve()
    (text,) = texts
    return json.loads(text)["main"]["steps"]


@pytest.fixture
def body() -> dict:
    (run, _) = steps(pipeline_definition.run_job(JOB, RUN))
    return run["run"]["args"]["body"]


def test_a_job_runs_the_command_in_the_image(body):
    (pool,) = body["jobSpec"]["workerPoolSpecs"]
    assert pool["containerSpec"] == {
        "imageUri": "registry/image@sha256:0",
        "command": ["python", "-m", "train"],
        "args": ["--features", "group"],
        "env": [{"name": "MODELS", "value": "gs://models"}],
    }
    assert pool["replicaCount"] == "1"


def test_a_job_runs_under_its_identity_in_the_network_with_the_key(body):
    assert body["encryptionSpec"] == {"kmsKeyName": "keys/k"}
    assert body["labels"] == {"workload": "w"}
    specification = body["jobSpec"]
    assert specification["serviceAccount"] == "trainer@house"
    assert specification["pscInterfaceConfig"] == {"networkAttachment": "attachments/a"}
    assert specification["baseOutputDirectory"] == {"outputUriPrefix": "gs://models/candidates"}
    assert specification["tensorboard"] == "tensorboards/t"
    assert specification["scheduling"] == {"timeout": "14400s"}


def test_the_workflow_waits_longer_than_its_job_may_take():
    (run, finish) = steps(pipeline_definition.run_job(JOB, RUN))
    arguments = run["run"]["args"]
    assert arguments["parent"] == "projects/house/locations/europe-west1"
    assert arguments["connector_params"]["timeout"] > 4 * 3600
    assert finish["finish"] == {"return": "${job.name}"}


def test_a_run_without_experiments_names_no_tensorboard():
    plain = Run(name="n", command=("c",), identity="i", destination="gs://d")
    (run, _) = steps(pipeline_definition.run_job(JOB, plain))
    assert "tensorboard" not in run["run"]["args"]["body"]["jobSpec"]


def test_a_report_is_published_only_if_its_flag_is_true():
    source = pipeline_definition.run_and_publish(JOB, RUN, "https://report", "drifted", "projects/house/topics/t")
    names = [next(iter(step)) for step in steps(source)]
    assert names == ["run", "read", "judge", "publish"]
    _, read, judge, publish = steps(source)
    assert read["read"]["args"] == {"url": "https://report", "auth": {"type": "OAuth2"}}
    assert judge["judge"]["switch"] == [{"condition": "${report.body.drifted}", "next": "publish"}]
    assert judge["judge"]["next"] == "end"
    assert publish["publish"]["args"]["topic"] == "projects/house/topics/t"
