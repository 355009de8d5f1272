"""An experiment against production on Google Cloud: what ends by itself, what is cheaper, and what is let pass."""

import json

import pytest

EXPERIMENT = {
    "environment": "experiment",
    "experiment": {"expires_on": "2099-12-30", "monthly_usd": 100, "classification": "confidential"},
}
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
ENDS = 'request.time < timestamp("2099-12-31T00:00:00Z")'


@pytest.fixture
def experiment(once):
    return once("churn", **EXPERIMENT)


@pytest.fixture
def production(once):
    return once("churn")


def told(built, name: str) -> dict:
    source = json.loads(built.named("gcp:workflows/workflow:Workflow", f"churn-{name}").inputs["sourceContents"])
    (start,) = (step["start"] for step in source["main"]["steps"] if "start" in step)
    return start["try"]["args"]["body"]["runtimeConfig"]["parameterValues"]


def test_rights_of_an_experiment_end_with_its_last_day(experiment, production):
    for type_ in (PROJECT_GRANT, "gcp:serviceaccount/iAMMember:IAMMember"):
        found = experiment.of_type(type_)
        assert found
        assert all(one.inputs["condition"]["expression"].endswith(ENDS) for one in found)
        others = [one for one in production.of_type(type_) if one.name != "churn-deployer-named"]
        assert all("condition" not in one.inputs for one in others)
    purposes = ("training", "serving", "monitoring", "exploration", "ingest")
    zones = [one for one in experiment.of_type(BUCKET_GRANT) if one.name.removeprefix("churn-").startswith(purposes)]
    assert {one.inputs["condition"]["expression"] for one in zones} == {ENDS}


def test_buckets_of_an_experiment_go_with_what_they_hold(experiment, production):
    buckets = "gcp:storage/bucket:Bucket"
    assert all(one.inputs["forceDestroy"] is True for one in experiment.of_type(buckets))
    assert not any(one.inputs["forceDestroy"] for one in production.of_type(buckets))


def test_trials_of_an_experiment_take_what_google_may_take_back(experiment, production):
    assert told(experiment, "training")["strategy"] == "SPOT"
    assert told(production, "training")["strategy"] == "STANDARD"


def test_an_experiment_needs_no_key_that_signs(experiment, production):
    assert told(experiment, "training")["key"] == "none"
    assert told(experiment, "batch")["environment"] == "experiment"
    assert told(production, "training")["key"].startswith("gcp-secret:projects/")
    assert told(production, "training")["key"].endswith("/versions/latest")
    assert told(production, "batch")["trusted"].startswith("ed25519:")


def test_the_secret_of_an_experiment_ends_with_it(experiment):
    (secret,) = experiment.of_type("gcp:secretmanager/secret:Secret")
    assert secret.inputs["expireTime"] == "2099-12-31T00:00:00Z"
    assert secret.inputs["labels"]["expires-on"] == "2099-12-30"


def test_people_are_root_in_an_experiment_alone(experiment, production):
    def metadata(built):
        (notebook,) = built.of_type("gcp:workbench/instance:Instance")
        return notebook.inputs["gceSetup"]["metadata"]

    assert metadata(experiment)["notebook-disable-root"] == "false"
    assert metadata(production)["notebook-disable-root"] == "true"
