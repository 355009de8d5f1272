"""Compiled pipelines on Vertex AI: the object that holds one, the workflow that runs it, and what a run is told."""

import json

import pytest
from ml_blueprints.compiled_pipelines import TRAINING
from ml_blueprints.errors import BlueprintError
from ml_blueprints.gcp.vertex_pipeline import Run, compiled, parameters
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Workload
from tests.components.conftest import WORKLOADS

KEY = "projects/security/locations/europe-west1/keyRings/ml/cryptoKeys/data"
WORKFLOW = "gcp:workflows/workflow:Workflow"
OBJECT = "gcp:storage/bucketObject:BucketObject"


def steps(built, name: str) -> dict:
    source = json.loads(built.named(WORKFLOW, name).inputs["sourceContents"])
    return {name: body for step in source["main"]["steps"] for name, body in step.items()}


def definition(built, name: str) -> dict:
    """What the object holds, which the SDK keeps as a secret."""
    return json.loads(built.named(OBJECT, name).inputs["content"]["value"])


def body(built, name: str) -> dict:
    return steps(built, name)["start"]["try"]["args"]["body"]


@pytest.mark.parametrize("name", ["training", "retraining"])
def test_a_run_has_its_identity_key_network_and_labels(house, named, name):
    workflow = named(house, WORKFLOW, f"fraud-detection-{name}").inputs
    assert workflow["serviceAccount"] == "training@house.iam"
    assert workflow["cryptoKeyName"] == KEY
    run = body(house, f"fraud-detection-{name}")
    assert run["serviceAccount"] == "training@house.iam"
    assert run["encryptionSpec"] == {"kmsKeyName": KEY}
    assert run["labels"]["workload"] == "fraud-detection"
    assert "fraud-detection-jobs" in run["pscInterfaceConfig"]["networkAttachment"]
    assert run["runtimeConfig"]["failurePolicy"] == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
    assert run["runtimeConfig"]["gcsOutputDirectory"].endswith("/runs")


def test_a_run_is_a_pipeline_job_by_the_platforms_own_schema(streaming):
    from google.cloud.aiplatform_v1.types import PipelineJob
    from google.protobuf import json_format

    run = body(streaming, "fraud-detection-training")
    run["pipelineSpec"] = definition(streaming, "fraud-detection-training")
    job = json_format.ParseDict(run, PipelineJob.pb(PipelineJob()))
    assert job.runtime_config.parameter_values["environment"].string_value == "production"


def test_workflows_stay_below_their_limit_and_read_the_definition(streaming, named):
    held = named(streaming, OBJECT, "fraud-detection-training").inputs
    assert held["contentType"] == "application/json"
    assert held["name"].startswith("pipelines/training-")
    assert len(named(streaming, WORKFLOW, "fraud-detection-training").inputs["sourceContents"]) < 20_000
    read = steps(streaming, "fraud-detection-training")["read"]["try"]["args"]
    assert read["auth"] == {"type": "OAuth2"}
    assert read["url"].endswith(held["name"].replace("/", "%2F") + "?alt=media")


def test_steps_run_the_image_of_the_settings_by_its_digest(streaming):
    pipeline = definition(streaming, "fraud-detection-training")
    assert "ml-blueprints-python-runtime" not in json.dumps(pipeline)
    executors = pipeline["deploymentSpec"]["executors"]
    image = executors["exec-train"]["container"]["image"]
    assert image.startswith("europe-west1-docker.pkg.dev/")
    assert "/ml-serving@sha256:" in image
    assert image in executors["exec-tune-gradient-boosting"]["container"]["args"][3]


def test_every_parameter_without_a_default_is_told(batch, hybrid, streaming):
    for built in (batch, hybrid, streaming):
        for name in [one.name for one in built.of_type(OBJECT) if one.inputs["name"].startswith("pipelines/")]:
            asks = definition(built, name)["root"]["inputDefinitions"]["parameters"]
            told = body(built, name)["runtimeConfig"]["parameterValues"]
            assert {asked for asked, one in asks.items() if "defaultValue" not in one} <= set(told) <= set(asks), name


def test_events_are_found_by_their_arrival_where_that_is_told(batch, streaming):
    def arrival(built, name):
        return body(built, name)["runtimeConfig"]["parameterValues"]["arrival"]

    assert arrival(streaming, "fraud-detection-training") == "publish_time"
    assert arrival(batch, "credit-scoring-training") == "event_time"


def test_retraining_is_held_against_the_model_in_use(streaming):
    told = body(streaming, "fraud-detection-retraining")["runtimeConfig"]["parameterValues"]
    champion = streaming.platform.context.workload.champion
    assert told["champion"].endswith(f"/{champion.name}/{champion.version}")
    assert told["parent_model"] == "${parent_model}"


def test_a_version_is_added_to_the_model_that_the_registry_has(streaming):
    found = steps(streaming, "fraud-detection-training")
    assert found["first"] == {"assign": [{"parent_model": "none"}]}
    asked = found["find_model"]["try"]["args"]
    registered = body(streaming, "fraud-detection-training")["runtimeConfig"]["parameterValues"]["registered_as"]
    assert asked["query"] == {"filter": f'display_name="{registered}"'}


def test_lineage_is_encrypted_before_the_first_run(house):
    store = steps(house, "fraud-detection-training")["find_store"]
    assert store["try"]["args"]["url"].endswith("/metadataStores/default")
    made = next(step["make_store"] for step in store["except"]["steps"] if "make_store" in step)
    assert made["try"]["args"]["body"] == {"encryptionSpec": {"kmsKeyName": KEY}}


def test_a_workflow_waits_for_the_end_and_fails_where_the_run_fails(streaming):
    found = steps(streaming, "fraud-detection-training")
    after = {one["condition"]: one["next"] for one in found["judge"]["switch"]}
    assert after == {
        '${run.body.state == "PIPELINE_STATE_SUCCEEDED"}': "finish",
        '${run.body.state == "PIPELINE_STATE_FAILED"}': "give_up",
        '${run.body.state == "PIPELINE_STATE_CANCELLED"}': "give_up",
    }
    assert found["judge"]["next"] == "wait"
    assert "raise" in found["give_up"]


def test_a_request_that_is_repeated_starts_nothing_anew(streaming):
    found = steps(streaming, "fraud-detection-training")
    assert found["start"]["try"]["args"]["query"] == {"pipelineJobId": "${id}"}
    assert "409" in json.dumps(found["start"]["except"])


def test_whoever_runs_a_pipeline_reads_its_definition(house, named):
    grant = named(house, "gcp:storage/bucketIAMMember:BucketIAMMember", "fraud-detection-training-code").inputs
    assert grant["member"] == "serviceAccount:training@house.iam"
    assert grant["role"] == "roles/storage.objectViewer"


def test_a_parameter_that_no_stack_knows_is_refused_by_its_name():
    workload = Workload.load(WORKLOADS / "churn.yaml")
    run = Run(TRAINING, Purpose.TRAINING, "image", "gs://models/runs", {"table": "p.d.t"})
    with pytest.raises(BlueprintError, match="parameter `models`"):
        parameters(workload, run, compiled(workload, TRAINING))


@pytest.mark.parametrize(("text", "said"), [("a: [", "YAML is expected"), ("a: 1", "as KFP compiles it is expected")])
def test_what_is_no_compiled_pipeline_is_refused(tmp_path, text, said):
    (tmp_path / "vertexai" / "churn").mkdir(parents=True)
    (tmp_path / "vertexai" / "churn" / "training.yaml").write_text(text)
    workload = Workload.load(WORKLOADS / "churn.yaml").model_copy(update={"pipelines": str(tmp_path)})
    with pytest.raises(BlueprintError, match=said):
        compiled(workload, TRAINING)
