"""Components and jobs of Azure Machine Learning: what runs, where, as whom, and on which folders."""

import pulumi
import pytest
from ml_blueprints.azure import pipeline_definition
from ml_blueprints.azure.pipeline_definition import Job, Run

JOB = Job(compute="/computes/jobs", identity="/identities/trainer", environment="/environments/image/versions/1")
RUN = Run(
    component="/components/training/versions/1",
    experiment="w-training",
    inputs={"features": "azureml://features"},
    outputs={"candidates": "azureml://candidates"},
)
FOLDERS = {"inputs": ("source", "model"), "outputs": ("predictions",)}


@pytest.fixture
def step(resolved):
    """A component that runs a command."""
    return resolved(lambda: pipeline_definition.command(JOB, "score", ("python", "-m", "score"), **FOLDERS))


@pytest.fixture
def whole(resolved):
    """A pipeline of one step."""
    component = "/components/score/versions/1"
    return resolved(lambda: pipeline_definition.pipeline(JOB, "scoring", "score", component, **FOLDERS))


def test_a_command_takes_each_folder_as_an_argument_of_its_name(step):
    assert step["command"] == (
        "python -m score --source ${{inputs.source}} --model ${{inputs.model}} --predictions ${{outputs.predictions}}"
    )
    assert step["inputs"] == {"source": {"type": "uri_folder"}, "model": {"type": "uri_folder"}}
    assert step["outputs"] == {"predictions": {"type": "uri_folder"}}
    assert step["type"] == "command"


def test_a_command_without_folders_has_no_arguments(resolved):
    plain = resolved(lambda: pipeline_definition.command(JOB, "plain", ("run",), inputs=(), outputs=()))
    assert plain["command"] == "run"
    assert plain["inputs"] == plain["outputs"] == {}


def test_a_command_is_run_again_though_nothing_of_it_has_changed(step):
    assert step["is_deterministic"] is False


def test_a_pipeline_hands_its_folders_to_its_step(whole):
    (job,) = whole["jobs"].values()
    assert set(whole["inputs"]) == {"source", "model"}
    assert job["inputs"] == {"source": "${{parent.inputs.source}}", "model": "${{parent.inputs.model}}"}
    assert job["outputs"] == {"predictions": "${{parent.outputs.predictions}}"}
    assert job["limits"] == {"timeout": 4 * 3600}
    assert (whole["type"], whole["name"]) == ("pipeline", "scoring")


def test_image_component_and_compute_are_named_as_azure_machine_learning_names_them(step, whole):
    assert step["environment"] == "azureml:/environments/image/versions/1"
    assert whole["jobs"]["score"]["component"] == "azureml:/components/score/versions/1"
    assert whole["jobs"]["score"]["compute"] == "azureml:/computes/jobs"


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
    assert job.inputs["features"].uri == "azureml://features"
    assert job.outputs["candidates"].uri == "azureml://candidates"


def test_a_requested_run_says_the_same_as_a_scheduled_one():
    properties = pipeline_definition.requested(JOB, RUN)["properties"]
    assert properties == {
        "jobType": "Pipeline",
        "componentId": "/components/training/versions/1",
        "computeId": "/computes/jobs",
        "experimentName": "w-training",
        "displayName": "w-training",
        "identity": {"identityType": "Managed", "resourceId": "/identities/trainer"},
        "inputs": {"features": {"jobInputType": "uri_folder", "uri": "azureml://features"}},
        "outputs": {"candidates": {"jobOutputType": "uri_folder", "uri": "azureml://candidates"}},
    }


def test_a_schedule_starts_its_job_in_utc():
    job = pipeline_definition.scheduled(JOB, RUN)
    found = pipeline_definition.schedule("15 2 * * *", job, {"workload": "w"})
    assert found.is_enabled is True
    assert (found.trigger.trigger_type, found.trigger.expression) == ("Cron", "15 2 * * *")
    assert found.trigger.time_zone == "UTC"
    assert (found.action.action_type, found.action.job_definition) == ("CreateJob", job)
    assert found.tags == {"workload": "w"}
