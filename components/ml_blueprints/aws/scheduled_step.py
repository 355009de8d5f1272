"""A step of ours on a schedule, as monitoring runs it: a SageMaker pipeline of a job, and what starts it in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_aws import sagemaker, scheduler

from ml_blueprints import schedules
from ml_blueprints.aws import facts, pipeline_definition, policy
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# Where a job finds what is copied for it, and leaves what is copied from it.
INPUTS, OUTPUTS = "/opt/ml/processing/input", "/opt/ml/processing/output"

# What went wrong on AWS's side is tried again, what the step says isn't.
# https://docs.aws.amazon.com/sagemaker/latest/dg/pipelines-retry-policy.html
_RETRIES = [
    {
        "ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"],
        "IntervalSeconds": 10,
        "BackoffRate": 2.0,
        "MaxAttempts": 5,
    },
    {
        "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT"],
        "IntervalSeconds": 60,
        "BackoffRate": 2.0,
        "MaxAttempts": 4,
    },
]


@dataclass(frozen=True)
class Step:
    """What runs. module: of our package; arguments: its command line; inputs: URIs of what is copied, by folder.

    outputs: by folder, where what the step leaves is copied; verdicts: a file of one of them, by folder, that steps
    after it read; then: these steps. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateProcessingJob.html
    """

    name: str
    module: str
    arguments: Sequence[pulumi.Input[str]]
    inputs: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)
    then: Sequence[Mapping[str, Any]] = ()


class ScheduledStep(pulumi.ComponentResource):
    """Native resources: `pipeline`, `schedule`.

    The step reads and writes S3 by URL: it has the network's way to S3, and copies of its own are only what it needs.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        image: pulumi.Input[str],
        part: str,
        step: Step,
        cron: str,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:ScheduledStep", context.logical(part), None, opts)
        self.context, self.foundation, self.image, self.part, self.step = context, foundation, image, part, step
        self._pipeline()
        self._schedule(cron)
        self.register_outputs({"pipelineArn": self.pipeline.arn, "scheduleArn": self.schedule.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _pipeline(self) -> None:
        context, foundation = self.context, self.foundation
        self.pipeline = sagemaker.Pipeline(
            context.logical(self.part),
            pipeline_name=f"{context.name}-{self.part}-{context.token}",
            pipeline_display_name=f"{context.name}-{self.part}",
            pipeline_definition=pulumi.Output.json_dumps(
                {"Version": "2020-12-01", "Parameters": [], "Steps": [self._job(), *self.step.then]}
            ),
            role_arn=foundation.identities[Purpose.MONITORING],
            tags=context.tags,
            opts=self._child(depends_on=foundation.rights(Purpose.MONITORING)),
        )

    def _job(self) -> dict[str, Any]:
        foundation, step = self.foundation, self.step
        outputs = [
            {
                "OutputName": folder,
                "S3Output": {"S3Uri": uri, "LocalPath": f"{OUTPUTS}/{folder}", "S3UploadMode": "EndOfJob"},
            }
            for folder, uri in step.outputs.items()
        ]
        arguments = {
            "RoleArn": foundation.identities[Purpose.MONITORING],
            "AppSpecification": {
                "ImageUri": self.image,
                "ContainerEntrypoint": ["python", "-m", step.module],
                "ContainerArguments": list(step.arguments),
            },
            # The network has a way to S3 of this region only.
            "Environment": {"AWS_DEFAULT_REGION": foundation.region},
            "ProcessingInputs": [
                {
                    "InputName": folder,
                    "S3Input": {
                        "S3Uri": uri,
                        "LocalPath": f"{INPUTS}/{folder}",
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
                for folder, uri in step.inputs.items()
            ],
            "ProcessingOutputConfig": {"Outputs": outputs, "KmsKeyId": foundation.key},
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceType": facts.JOB_INSTANCE_TYPE,
                    "InstanceCount": 1,
                    "VolumeSizeInGB": facts.JOB_VOLUME_GIB,
                    "VolumeKmsKeyId": foundation.key,
                }
            },
            "NetworkConfig": {
                "EnableNetworkIsolation": False,
                "EnableInterContainerTrafficEncryption": True,
                "VpcConfig": {
                    "SecurityGroupIds": [foundation.security_group.id],
                    "Subnets": list(foundation.subnets),
                },
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": facts.SCHEDULED_STEP_SECONDS},
        }
        files = [
            {"PropertyFileName": folder, "OutputName": folder, "FilePath": file}
            for folder, file in step.verdicts.items()
        ]
        said = {"Name": step.name, "Type": "Processing", "Arguments": arguments, "RetryPolicies": _RETRIES}
        return said | ({"PropertyFiles": files} if files else {})

    def _schedule(self, cron: str) -> None:
        context, foundation = self.context, self.foundation
        start = foundation.grant(
            Purpose.MONITORING, self.part, policy.allow(["sagemaker:StartPipelineExecution"], [self.pipeline.arn])
        )
        self.schedule = scheduler.Schedule(
            context.logical(self.part),
            description=f"{self.part} of {context.workload.name}",
            schedule_expression=schedules.aws(cron),
            flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            kms_key_arn=foundation.key,
            target=scheduler.ScheduleTargetArgs(
                arn=self.pipeline.arn,
                role_arn=foundation.identities[Purpose.MONITORING],
                retry_policy=scheduler.ScheduleTargetRetryPolicyArgs(maximum_retry_attempts=3),
            ),
            opts=self._child(depends_on=start),
        )


def may_run(foundation: Foundation) -> list[pulumi.Resource]:
    """Let pipelines start their jobs under the identity that monitors, in this network only."""
    return foundation.grant(
        Purpose.MONITORING,
        "jobs",
        *pipeline_definition.may_run_jobs(foundation, foundation.identities[Purpose.MONITORING], "processing"),
    )
