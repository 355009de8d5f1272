"""Compiled pipelines as SageMaker gets them: what only a stack knows is put where the compiler left room for it.

The format is that of CreatePipeline (https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.errors import BlueprintError, Problem

# The steps that search are called by the candidate whose parameters they search.
_SEARCH = "tune-"
_PARAMETER = "Parameters."


@dataclass(frozen=True)
class Job:
    """Where and as whom the steps of a pipeline run. spot: training may be interrupted, for a fraction of the price."""

    role: pulumi.Input[str]
    image: pulumi.Input[str]
    key: pulumi.Input[str]
    subnets: list[pulumi.Output[str]]
    security_group: pulumi.Input[str]
    models_bucket: pulumi.Input[str]
    spot: bool

    @property
    def values(self) -> dict[str, pulumi.Input[str]]:
        """What it has for the parameters of each compiled pipeline."""
        return {
            "RoleArn": self.role,
            "ImageUri": self.image,
            "KmsKeyId": self.key,
            "SecurityGroupId": self.security_group,
            "ModelsBucket": self.models_bucket,
            "InstanceType": facts.JOB_INSTANCE_TYPE,
            "SmallInstanceType": facts.SMALL_JOB_INSTANCE_TYPE,
        }


def filled(source: str, job: Job, given: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    """A compiled pipeline with the job's values, and others by the names of parameters, in the place of parameters.

    What the stack decides is no parameter any more: no run brings an image, a role or a key of its own, and a policy
    sees which it is. The other parameters stay. Raises BlueprintError for one without a default, since a schedule
    starts the pipeline as it is.
    """
    definition, values = json.loads(source), {**job.values, **given}
    kept = [item for item in definition.get("Parameters", []) if item["Name"] not in values]
    if missing := [item["Name"] for item in kept if "DefaultValue" not in item]:
        right = f"a default in the file, or one of {', '.join(sorted(values))}, which the platform gives"
        raise BlueprintError(
            "pipelines, sagemaker", [Problem(f"Parameters.{name}", "no value", right) for name in missing]
        )
    return pulumi.Output.json_dumps(
        {**definition, "Parameters": kept, "Steps": _placed(definition["Steps"], job, values)}
    )


def in_network(foundation: Foundation) -> dict[str, dict[str, Any]]:
    """The conditions that hold jobs to the platform's network.

    Which ones an action takes: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
    """
    return {
        "ForAllValues:StringEquals": {"sagemaker:VpcSecurityGroupIds": [foundation.security_group.id]},
        "Null": {"sagemaker:VpcSecurityGroupIds": "false"},
    }


def may_run_jobs(foundation: Foundation, role: pulumi.Input[str], *kinds: str) -> list[policy.Statement]:
    """What the role of a pipeline needs for jobs of some kinds (`processing`, `training`), which run under it, too.

    They are called by the pipeline's run.
    """
    account = pulumi.Output.concat("arn:aws:sagemaker:", foundation.region, ":", foundation.account)
    jobs = [pulumi.Output.concat(account, f":{kind}-job/pipelines-*") for kind in kinds]
    described = [f"sagemaker:{verb}{kind.title()}Job" for verb in ("Describe", "Stop") for kind in kinds]
    return [
        policy.allow([f"sagemaker:Create{kind.title()}Job" for kind in kinds], jobs, **in_network(foundation)),
        policy.allow(["sagemaker:AddTags", *described], jobs),
        policy.allow(["iam:PassRole"], [role], StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"}),
    ]


def candidates(source: str) -> tuple[str, ...]:
    """The models that a compiled training pipeline chooses from."""
    return tuple(name.removeprefix(_SEARCH) for name in _names(json.loads(source)["Steps"]) if name.startswith(_SEARCH))


def _names(steps: list[dict[str, Any]]) -> Iterator[str]:
    for step in steps:
        yield step["Name"]
        for branch in ("IfSteps", "ElseSteps"):
            yield from _names(step["Arguments"].get(branch, []))


def _placed(value: Any, job: Job, values: Mapping[str, pulumi.Input[str]]) -> Any:
    """A part of a definition with our values; jobs run in our subnets, and train on spot instances where they may."""
    match value:
        case list():
            return [_placed(item, job, values) for item in value]
        case {"Get": str(name)} if name.removeprefix(_PARAMETER) in values and name.startswith(_PARAMETER):
            return values[name.removeprefix(_PARAMETER)]
        case dict():
            placed = {key: _placed(item, job, values) for key, item in value.items()}
        case _:
            return value
    if "VpcConfig" in placed:
        placed["VpcConfig"] = {"SecurityGroupIds": [job.security_group], "Subnets": job.subnets}
    if job.spot and "AlgorithmSpecification" in placed:
        seconds = placed["StoppingCondition"]["MaxRuntimeInSeconds"]
        placed["EnableManagedSpotTraining"] = True
        placed["StoppingCondition"] = {
            "MaxRuntimeInSeconds": seconds,
            "MaxWaitTimeInSeconds": seconds * facts.SPOT_WAIT_FACTOR,
        }
    return placed
