"""Compiled pipelines as SageMaker gets them: what only a stack knows is put where the compiler left room for it.

The format is that of CreatePipeline (https://aws-sagemaker-mlops.github.io/sagemaker-model-building-pipeline-definition-JSON-schema/).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from ml_blueprints.aws import facts
from ml_blueprints.errors import BlueprintError, Problem

# The steps that search are called by the candidate whose parameters they search.
_SEARCH = "tune-"


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
    def parameters(self) -> dict[str, pulumi.Input[str]]:
        """Its values of the parameters that each pipeline has."""
        return {
            "RoleArn": self.role,
            "ImageUri": self.image,
            "KmsKeyId": self.key,
            "SecurityGroupId": self.security_group,
            "ModelsBucket": self.models_bucket,
        }


def filled(source: str, job: Job, given: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    """A compiled pipeline with the job's place in the network, and values of its parameters, which a run may replace.

    Raises BlueprintError for a parameter without a value, so that a schedule can start the pipeline as it is.
    """
    definition, values = json.loads(source), {**job.parameters, **given}
    parameters = [
        {**item, "DefaultValue": values.get(item["Name"], item.get("DefaultValue"))}
        for item in definition.get("Parameters", [])
    ]
    if missing := [item["Name"] for item in parameters if item["DefaultValue"] is None]:
        right = f"a default in the file, or one of {', '.join(sorted(values))}, which the platform gives"
        raise BlueprintError(
            "pipelines, sagemaker", [Problem(f"Parameters.{name}", "no value", right) for name in missing]
        )
    return pulumi.Output.json_dumps(
        {**definition, "Parameters": parameters, "Steps": _placed(definition["Steps"], job)}
    )


def candidates(source: str) -> tuple[str, ...]:
    """The models that a compiled training pipeline chooses from."""
    return tuple(name.removeprefix(_SEARCH) for name in _names(json.loads(source)["Steps"]) if name.startswith(_SEARCH))


def _names(steps: list[dict[str, Any]]) -> Iterator[str]:
    for step in steps:
        yield step["Name"]
        for branch in ("IfSteps", "ElseSteps"):
            yield from _names(step["Arguments"].get(branch, []))


def _placed(value: Any, job: Job) -> Any:
    """A part of a definition whose jobs run in our subnets, and training on spot instances where the job may."""
    if isinstance(value, list):
        return [_placed(item, job) for item in value]
    if not isinstance(value, dict):
        return value
    placed = {key: _placed(item, job) for key, item in value.items()}
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
