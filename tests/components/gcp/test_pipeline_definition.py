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
    name="w-drift",
    command=("python", "-m", "drift"),
    identity="monitor@house",
    destination="gs://curated/drift",
    arguments=["--metric", "psi"],
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
def arguments() -> dict:
    run, *_ = steps(pipeline_definition.run_check(JOB, RUN, "https://report", "topics/t"))
    return run["run"]["args"]


@pytest.fixture
def body(arguments) -> dict:
    return arguments["body"]


def test_a_job_runs_the_command_in_the_image(body):
    (pool,) = body["jobSpec"]["workerPoolSpecs"]
    assert pool["containerSpec"] == {
        "imageUri": "registry/image@sha256:0",
        "command": ["python", "-m", "drift"],
        "args": ["--metric", "psi"],
    }
    assert pool["replicaCount"] == "1"


def test_a_job_runs_under_its_identity_in_the_network_with_the_key(body):
    assert body["encryptionSpec"] == {"kmsKeyName": "keys/k"}
    assert body["labels"] == {"workload": "w"}
    specification = body["jobSpec"]
    assert specification["serviceAccount"] == "monitor@house"
    assert specification["pscInterfaceConfig"] == {"networkAttachment": "attachments/a"}
    assert specification["baseOutputDirectory"] == {"outputUriPrefix": "gs://curated/drift"}
    assert specification["scheduling"] == {"timeout": "14400s"}


def test_the_workflow_waits_longer_than_its_job_may_take(arguments):
    assert arguments["parent"] == "projects/house/locations/europe-west1"
    assert arguments["connector_params"]["timeout"] > 4 * 3600


def test_a_report_is_published_if_it_says_drifted_and_another_that_did_not_pass_fails_the_run():
    source = pipeline_definition.run_check(JOB, RUN, "https://report", "projects/house/topics/t")
    names = [next(iter(step)) for step in steps(source)]
    assert names == ["run", "read", "judge", "publish"]
    _, read, judge, publish = steps(source)
    assert read["read"]["args"] == {"url": "https://report", "auth": {"type": "OAuth2"}}
    drifted, broken = judge["judge"]["switch"]
    assert drifted == {"condition": "${report.body.drifted}", "next": "publish"}
    assert (broken["condition"], set(broken)) == ("${not(report.body.passed)}", {"condition", "raise"})
    assert judge["judge"]["next"] == "end"
    assert publish["publish"]["args"]["topic"] == "projects/house/topics/t"


def test_a_report_that_decides_to_train_is_published_a_second_time():
    source = pipeline_definition.run_check(
        JOB, RUN, "https://report", "projects/house/topics/t", "projects/house/topics/r"
    )
    names = [next(iter(step)) for step in steps(source)]
    assert names == ["run", "read", "judge", "publish", "decide", "retrain"]
    *_, publish, decide, retrain = steps(source)
    assert decide["decide"] == {
        "switch": [{"condition": "${report.body.retrain}", "next": "retrain"}],
        "next": "end",
    }
    assert publish["publish"]["args"]["topic"] == "projects/house/topics/t"
    assert retrain["retrain"]["args"]["topic"] == "projects/house/topics/r"
