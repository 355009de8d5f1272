"""SageMaker pipeline definitions as data: what runs in which step, under which identity, in which network.

The format is that of CreatePipeline (https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/),
and the arguments of a step are those of the API that the step calls, without the job's name.
"""

from dataclasses import dataclass
from typing import Any

import pulumi

from ml_blueprints.aws import facts

VERSION = "2020-12-01"


@dataclass(frozen=True)
class Job:
    """Where and as whom the steps of a pipeline run."""

    role: pulumi.Input[str]
    image: pulumi.Input[str]
    key: pulumi.Input[str]
    subnets: list[pulumi.Output[str]]
    security_group: pulumi.Input[str]


def training(job: Job, source: pulumi.Input[str], destination: pulumi.Input[str]) -> pulumi.Output[str]:
    """A pipeline that trains on the data at `source` and leaves models at `destination` (S3 URIs)."""
    return _pipeline(
        "Train",
        "Training",
        {
            "AlgorithmSpecification": {"TrainingImage": job.image, "TrainingInputMode": "File"},
            "RoleArn": job.role,
            "InputDataConfig": [
                {
                    "ChannelName": "features",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": source,
                            "S3DataDistributionType": "FullyReplicated",
                        }
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": destination, "KmsKeyId": job.key},
            "ResourceConfig": {
                "InstanceType": facts.JOB_INSTANCE_TYPE,
                "InstanceCount": 1,
                "VolumeSizeInGB": facts.JOB_VOLUME_GIB,
                "VolumeKmsKeyId": job.key,
            },
            "VpcConfig": {"Subnets": job.subnets, "SecurityGroupIds": [job.security_group]},
            "EnableNetworkIsolation": True,
            "EnableInterContainerTrafficEncryption": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": 4 * 3600},
        },
    )


def batch_scoring(
    job: Job, model_name: pulumi.Input[str], source: pulumi.Input[str], destination: pulumi.Input[str]
) -> pulumi.Output[str]:
    """A pipeline that scores everything at `source` with a model and leaves predictions at `destination` (S3 URIs)."""
    return _pipeline(
        "Score",
        "Transform",
        {
            "ModelName": model_name,
            "TransformInput": {
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
                "ContentType": "application/jsonlines",
                "SplitType": "Line",
            },
            "TransformOutput": {
                "S3OutputPath": destination,
                "Accept": "application/jsonlines",
                "AssembleWith": "Line",
                "KmsKeyId": job.key,
            },
            "TransformResources": {
                "InstanceType": facts.JOB_INSTANCE_TYPE,
                "InstanceCount": 1,
                "VolumeKmsKeyId": job.key,
            },
            "DataCaptureConfig": {
                "DestinationS3Uri": pulumi.Output.concat(destination, "/captured"),
                "KmsKeyId": job.key,
                "GenerateInferenceId": True,
            },
        },
    )


def _pipeline(name: str, kind: str, arguments: dict[str, Any]) -> pulumi.Output[str]:
    step = {"Name": name, "Type": kind, "Arguments": arguments}
    return pulumi.Output.json_dumps({"Version": VERSION, "Parameters": [], "Steps": [step]})
