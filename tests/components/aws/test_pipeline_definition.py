"""Compiled pipelines as SageMaker gets them: what the stack fills in, and what must be there to be started."""

import json
import re
from pathlib import Path

import pulumi
import pytest
from ml_blueprints.aws import pipeline_definition
from ml_blueprints.aws.pipeline_definition import Job
from ml_blueprints.errors import BlueprintError

COMPILED = Path(__file__).parents[3] / "pipelines" / "ml_pipelines" / "platforms" / "compiled" / "sagemaker"
GIVEN = {
    "Archive": "s3://raw/events/",
    "ModelPackageGroupPrefix": "churn-0123456",
    "Environment": "staging",
    "Key": "aws-secret:arn",
}


def job(spot: bool = False) -> Job:
    """Where pipelines run."""
    return Job(
        role="trainer",
        image="registry/image@sha256:0",
        key="keys/k",
        subnets=[pulumi.Output.from_input("subnet-1"), pulumi.Output.from_input("subnet-2")],
        security_group=pulumi.Output.from_input("sg-1"),
        models_bucket="models",
        spot=spot,
    )


@pytest.fixture
def filled(run_program):
    """A compiled pipeline of churn, filled in; a program does it, and it is looked at when that has ended."""

    def resolve(name: str = "training", spot: bool = False, **given: str) -> dict:
        definitions: list[str] = []

        def program(_) -> None:
            source = (COMPILED / "churn" / f"{name}.json").read_text()
            found = pipeline_definition.filled(source, job(spot), GIVEN | given)
            pulumi.export("definition", found.apply(definitions.append))

        run_program("aws", program)
        return json.loads(definitions[0])

    return resolve


def steps(definition: dict) -> list[dict]:
    """All steps, those of branches, too."""
    branches = [
        inner
        for step in definition["Steps"]
        for branch in ("IfSteps", "ElseSteps")
        for inner in step["Arguments"].get(branch, [])
    ]
    return definition["Steps"] + branches


def jobs(definition: dict) -> list[tuple[str, dict]]:
    """Kind and arguments of what runs on machines."""
    return [
        (step["Type"], step["Arguments"].get("TrainingJobDefinition", step["Arguments"]))
        for step in steps(definition)
        if step["Type"] in ("Processing", "Training", "Tuning")
    ]


def test_what_the_stack_decides_is_no_parameter_of_a_run_any_more(filled):
    definition = filled()
    assert definition["Parameters"] == [{"Name": "Since", "Type": "String", "DefaultValue": "none"}]
    names = re.findall(r'"Parameters\.(\w+)"', json.dumps(definition))
    assert set(names) == {"Since"}


def test_every_job_has_the_stacks_role_image_key_and_machine(filled):
    for kind, arguments in jobs(filled()):
        assert arguments["RoleArn"] == "trainer"
        if kind == "Processing":
            said, resources = arguments["AppSpecification"], arguments["ProcessingResources"]["ClusterConfig"]
            output, image = arguments["ProcessingOutputConfig"], said["ImageUri"]
        else:
            said, resources = arguments["AlgorithmSpecification"], arguments["ResourceConfig"]
            output, image = arguments["OutputDataConfig"], said["TrainingImage"]
        assert image == "registry/image@sha256:0"
        assert output["KmsKeyId"] == resources["VolumeKmsKeyId"] == "keys/k"
        assert resources["InstanceType"] in ("ml.m5.xlarge", "ml.m5.large")


def test_words_of_the_stack_are_in_the_commands(filled):
    (register,) = [step for step in steps(filled()) if step["Name"] == "register"]
    words = register["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert words[words.index("--environment") + 1] == "staging"
    assert words[words.index("--key") + 1] == "aws-secret:arn"


def test_a_parameter_without_a_value_is_refused_by_name():
    source = (COMPILED / "churn" / "batch-scoring.json").read_text()
    with pytest.raises(BlueprintError, match=r"Parameters\.Champion.*a default in the file, or one of Archive"):
        pipeline_definition.filled(source, job(), GIVEN)


def test_every_job_runs_in_the_platforms_network(filled):
    found = jobs(filled())
    assert len(found) > 10
    for _, arguments in found:
        network = arguments.get("NetworkConfig", arguments)
        assert network["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}


@pytest.mark.parametrize("spot", [True, False])
def test_training_alone_may_be_interrupted_and_only_where_that_is_wanted(filled, spot):
    for kind, arguments in jobs(filled(spot=spot)):
        stop = arguments["StoppingCondition"]
        assert arguments.get("EnableManagedSpotTraining", False) is (spot and kind != "Processing")
        if spot and kind != "Processing":
            assert stop["MaxWaitTimeInSeconds"] == 2 * stop["MaxRuntimeInSeconds"]
        else:
            assert set(stop) == {"MaxRuntimeInSeconds"}


def test_the_rest_stays_as_it_was_compiled(filled):
    before, after = json.loads((COMPILED / "churn" / "training.json").read_text()), filled()
    assert [step["Name"] for step in steps(before)] == [step["Name"] for step in steps(after)]
    assert before["PipelineExperimentConfig"] == after["PipelineExperimentConfig"]


def test_models_that_training_chooses_from_are_those_it_searches_for():
    source = (COMPILED / "churn" / "training.json").read_text()
    assert pipeline_definition.candidates(source) == ("gradient-boosting", "logistic-regression", "scorecard")
    assert pipeline_definition.candidates((COMPILED / "churn" / "retraining.json").read_text()) == ()
