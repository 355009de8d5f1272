"""SageMaker pipeline definitions: what runs in the step, where, and with which key."""

import json

import pulumi
import pytest
from ml_blueprints.aws import pipeline_definition
from ml_blueprints.aws.pipeline_definition import Job


@pytest.fixture
def step(run_program):
    """The one step of a pipeline; a program makes it, and it is looked at when that has ended."""

    def resolve(define) -> dict:
        definitions: list[str] = []

        def program(_) -> None:
            job = Job(
                role="trainer",
                image="registry/image@sha256:0",
                key="keys/k",
                subnets=[pulumi.Output.from_input("subnet-1"), pulumi.Output.from_input("subnet-2")],
                security_group=pulumi.Output.from_input("sg-1"),
            )
            pulumi.export("definition", define(job).apply(definitions.append))

        run_program("aws", program)
        (text,) = definitions
        definition = json.loads(text)
        assert definition["Version"] == "2020-12-01"
        (found,) = definition["Steps"]
        return found

    return resolve


@pytest.fixture
def training(step):
    return step(lambda job: pipeline_definition.training(job, "s3://features", "s3://models"))


@pytest.fixture
def scoring(step):
    return step(lambda job: pipeline_definition.batch_scoring(job, "model", "s3://to-score", "s3://predictions"))


def test_training_runs_the_image_on_the_data_and_leaves_the_model(training):
    assert (training["Name"], training["Type"]) == ("Train", "Training")
    arguments = training["Arguments"]
    assert arguments["AlgorithmSpecification"]["TrainingImage"] == "registry/image@sha256:0"
    (channel,) = arguments["InputDataConfig"]
    assert channel["ChannelName"] == "features"
    assert channel["DataSource"]["S3DataSource"]["S3Uri"] == "s3://features"
    assert arguments["OutputDataConfig"] == {"S3OutputPath": "s3://models", "KmsKeyId": "keys/k"}


def test_training_is_isolated_in_the_network_and_encrypted(training):
    arguments = training["Arguments"]
    assert arguments["RoleArn"] == "trainer"
    assert arguments["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
    assert arguments["EnableNetworkIsolation"] is True
    assert arguments["EnableInterContainerTrafficEncryption"] is True
    assert arguments["ResourceConfig"]["VolumeKmsKeyId"] == "keys/k"


def test_training_ends(training):
    assert training["Arguments"]["StoppingCondition"] == {"MaxRuntimeInSeconds": 4 * 3600}


def test_batch_scoring_reads_lines_and_writes_lines(scoring):
    assert (scoring["Name"], scoring["Type"]) == ("Score", "Transform")
    arguments = scoring["Arguments"]
    assert arguments["ModelName"] == "model"
    assert arguments["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == "s3://to-score"
    assert arguments["TransformInput"]["SplitType"] == arguments["TransformOutput"]["AssembleWith"] == "Line"
    assert arguments["TransformInput"]["ContentType"] == arguments["TransformOutput"]["Accept"]
    assert arguments["TransformOutput"]["S3OutputPath"] == "s3://predictions"


def test_batch_scoring_encrypts_what_it_keeps_and_captures_it_for_the_drift_monitor(scoring):
    arguments = scoring["Arguments"]
    assert arguments["TransformOutput"]["KmsKeyId"] == "keys/k"
    assert arguments["TransformResources"]["VolumeKmsKeyId"] == "keys/k"
    assert arguments["DataCaptureConfig"] == {
        "DestinationS3Uri": "s3://predictions/captured",
        "KmsKeyId": "keys/k",
        "GenerateInferenceId": True,
    }
