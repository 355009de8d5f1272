"""Components and jobs of Azure Machine Learning: what runs, where, as whom, and on which folders."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pulumi
import pytest
from ml_blueprints.azure import pipeline_definition
from ml_blueprints.azure.pipeline_definition import Definition, Job, Run

JOB = Job(compute="/computes/jobs", identity="/identities/trainer", environment="/environments/image/versions/1")
RUN = Run(
    component="/components/training/versions/1",
    experiment="w-training",
    inputs={"archive": "azureml://archive"},
    outputs={"registered": "azureml://registered", "published": "azureml://published"},
    words={"key": "azure-secret:https://vault/secrets/key"},
    registers={"registered": "w-trained"},
)
COMPILED = {
    "components": {
        "collect": {
            "name": "collect",
            "display_name": "collect",
            "environment": "azureml:image-of-the-stack:1",
            "command": "python",
        },
        "tune": {
            "name": "tune",
            "display_name": "tune-gradient-boosting",
            "environment": "azureml:image-of-the-stack:1",
            "command": "python",
        },
    },
    "pipeline": {
        "name": "training",
        "inputs": {"archive": {"type": "uri_folder"}, "key": {"type": "string", "default": "none"}},
        "jobs": {
            "collect": {"type": "command", "componentId": "collect"},
            "tune": {"type": "sweep", "trial": {"componentId": "tune"}},
        },
    },
}


@pytest.fixture
def definition():
    """A compiled pipeline."""
    return Definition.parse(json.dumps(COMPILED))


def test_a_compiled_pipeline_says_which_folders_it_must_be_given(definition):
    assert definition.folders == ("archive",)
    assert list(definition.steps) == ["collect", "tune"]
    assert definition.candidates == ("gradient-boosting",)


def test_a_step_runs_in_the_stacks_image_and_is_else_as_it_was_compiled(definition, resolved):
    step = resolved(lambda: pipeline_definition.step(definition.steps["collect"], JOB.environment))
    assert step == COMPILED["components"]["collect"] | {"environment": "azureml:/environments/image/versions/1"}


def test_a_pipeline_names_the_steps_that_the_stack_registered(definition, resolved):
    ids = {"collect": pulumi.Output.from_input("/components/collect/versions/7"), "tune": "/components/tune/versions/8"}
    jobs = resolved(lambda: pipeline_definition.pipeline(definition.pipeline, ids))["jobs"]
    assert jobs["collect"]["componentId"] == "/components/collect/versions/7"
    assert jobs["tune"]["trial"]["componentId"] == "/components/tune/versions/8"
    # What was compiled stays what it was.
    assert definition.pipeline == COMPILED["pipeline"]


def test_a_version_follows_from_what_is_specified_and_not_from_its_order(resolved):
    def version(**specification) -> pulumi.Output[str]:
        return pipeline_definition.version(specification)

    same, turned, later, changed = resolved(
        lambda: [
            version(name="a", image="1"),
            version(image="1", name="a"),
            version(name="a", image=pulumi.Output.from_input("1")),
            version(name="a", image="2"),
        ]
    )
    assert same == turned == later != changed
    assert len(same) == 12


def test_a_scheduled_run_is_a_job_under_its_identity():
    job = pipeline_definition.scheduled(JOB, RUN)
    assert job.job_type == "Pipeline"
    assert job.component_id == "/components/training/versions/1"
    assert job.compute_id == "/computes/jobs"
    assert (job.identity.identity_type, job.identity.resource_id) == ("Managed", "/identities/trainer")
    assert job.experiment_name == job.display_name == "w-training"
    assert job.inputs["archive"].uri == "azureml://archive"
    assert job.inputs["key"].value == "azure-secret:https://vault/secrets/key"
    assert job.outputs["published"].uri == "azureml://published"


def test_what_a_run_registers_becomes_a_version_of_a_model():
    left = pipeline_definition.scheduled(JOB, RUN).outputs["registered"]
    assert (left.job_output_type, left.asset_name, left.uri) == ("custom_model", "w-trained", "azureml://registered")


def test_a_step_that_fails_ends_the_run():
    """By this a verdict that says no does."""
    for settings in (
        pipeline_definition.scheduled(JOB, RUN).settings,
        pipeline_definition.requested(JOB, RUN)["properties"]["settings"],
    ):
        assert settings == {"default_compute": "/computes/jobs", "continue_on_step_failure": False}


def test_a_requested_run_says_the_same_as_a_scheduled_one():
    properties = pipeline_definition.requested(JOB, RUN)["properties"]
    assert properties == {
        "jobType": "Pipeline",
        "componentId": "/components/training/versions/1",
        "computeId": "/computes/jobs",
        "experimentName": "w-training",
        "displayName": "w-training",
        "identity": {"identityType": "Managed", "resourceId": "/identities/trainer"},
        "inputs": {
            "archive": {"jobInputType": "uri_folder", "uri": "azureml://archive"},
            "key": {"jobInputType": "literal", "value": "azure-secret:https://vault/secrets/key"},
        },
        "outputs": {
            "registered": {"jobOutputType": "custom_model", "uri": "azureml://registered", "assetName": "w-trained"},
            "published": {"jobOutputType": "uri_folder", "uri": "azureml://published"},
        },
        "settings": {"default_compute": "/computes/jobs", "continue_on_step_failure": False},
    }


def context(experiment=None):
    """What a schedule needs to know of a platform."""
    return SimpleNamespace(tags={"workload": "w"}, settings=SimpleNamespace(experiment=experiment))


def test_a_schedule_starts_its_job_in_utc():
    job = pipeline_definition.scheduled(JOB, RUN)
    found = pipeline_definition.schedule(context(), "15 2 * * *", job)
    assert found.is_enabled is True
    assert (found.trigger.trigger_type, found.trigger.expression) == ("Cron", "15 2 * * *")
    assert (found.trigger.time_zone, found.trigger.end_time) == ("UTC", None)
    assert (found.action.action_type, found.action.job_definition) == ("CreateJob", job)
    assert found.tags == {"workload": "w"}


@pytest.mark.xdist_group("azureml")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:`Number` field")
def test_a_requested_run_is_what_azures_own_sdk_would_send():
    """The SDK reads the body as a job of the service, and writes the same again."""
    from azure.ai.ml._restclient.arm_ml_service.models import JobBase
    from azure.ai.ml.entities import Job as SdkJob

    group = "/subscriptions/s/resourceGroups/g/providers"
    workspace = f"{group}/Microsoft.MachineLearningServices/workspaces/w"
    identity = f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/trainer"
    body = pipeline_definition.requested(
        replace(JOB, compute=f"{workspace}{JOB.compute}", identity=identity),
        replace(RUN, component=f"{workspace}{RUN.component}"),
    )
    found = SdkJob._from_rest_object(JobBase({"id": f"{workspace}/jobs/run", "name": "run", **body}))
    sent = found._to_rest_object().as_dict()["properties"]
    # The SDK tells where it had the settings from, and what it has nothing of.
    del sent["settings"]["_source"]
    assert sent.pop("computeId") == "jobs"
    expected = dict(body["properties"])
    assert expected.pop("computeId") == f"{workspace}/computes/jobs"
    assert expected.items() <= sent.items()
