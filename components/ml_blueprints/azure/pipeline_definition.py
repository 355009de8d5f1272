"""Pipelines of Azure Machine Learning, as data: the compiled ones with what a stack knows, their runs and schedules.

The formats are those of components (https://learn.microsoft.com/azure/machine-learning/reference-yaml-component-command,
https://learn.microsoft.com/azure/machine-learning/reference-yaml-component-pipeline) and of the jobs that start them
(https://learn.microsoft.com/rest/api/azureml/jobs/create-or-update).
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure.schedule_trigger import trigger
from ml_blueprints.layers import Context

# What a run leaves is kept apart by the job that leaves it; the macro is the service's.
# https://learn.microsoft.com/azure/machine-learning/concept-expressions
RUN = "${{name}}"

# What the steps are called that try a candidate.
_SEARCH = "tune-"


@dataclass(frozen=True)
class Job:
    """Where and as whom the jobs of a platform run."""

    compute: pulumi.Input[str]
    identity: pulumi.Input[str]
    environment: pulumi.Input[str]


@dataclass(frozen=True)
class Run:
    """One run of a pipeline component: its id, the experiment that records it, what it is given, and what it leaves.

    inputs, outputs: URIs of folders. words: its parameters that aren't as by default. registers: the output that
    becomes a version of a model, and that model's name.
    """

    component: pulumi.Input[str]
    experiment: str
    inputs: Mapping[str, pulumi.Input[str]]
    outputs: Mapping[str, pulumi.Input[str]]
    words: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    registers: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """A compiled pipeline: the specifications of its steps by name, and that of the pipeline, which names them."""

    steps: Mapping[str, Mapping[str, Any]]
    pipeline: Mapping[str, Any]

    @classmethod
    def parse(cls, source: str) -> "Definition":
        """The pipeline of a compiled file's text."""
        said = json.loads(source)
        return cls(said["components"], said["pipeline"])

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that the pipeline must be given."""
        return tuple(name for name, kind in self.pipeline["inputs"].items() if kind["type"] == "uri_folder")

    @property
    def candidates(self) -> tuple[str, ...]:
        """The models that a training pipeline chooses from."""
        names = [step["display_name"] for step in self.steps.values()]
        return tuple(name.removeprefix(_SEARCH) for name in names if name.startswith(_SEARCH))


def step(specification: Mapping[str, Any], environment: pulumi.Input[str]) -> dict[str, Any]:
    """A step in the platform's image (the id of its environment)."""
    return {**specification, "environment": pulumi.Output.concat("azureml:", environment)}


def pipeline(specification: Mapping[str, Any], steps: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
    """A pipeline of registered steps (their ids, by the names by which it refers to them)."""
    whole = copy.deepcopy(dict(specification))
    for job in whole["jobs"].values():
        named = job["trial"] if job["type"] == "sweep" else job
        named["componentId"] = steps[named["componentId"]]
    return whole


def version(specification: Mapping[str, Any]) -> pulumi.Output[str]:
    """A version that follows from a specification: components can't be changed, so that a new one is a new version."""
    text = pulumi.Output.json_dumps(dict(specification), sort_keys=True)
    return text.apply(lambda known: hashlib.sha256(known.encode()).hexdigest()[:12])


def scheduled(job: Job, run: Run) -> machinelearningservices.PipelineJobArgs:
    """The run as a schedule of the workspace starts it."""
    inputs: dict[str, machinelearningservices.UriFolderJobInputArgs | machinelearningservices.LiteralJobInputArgs] = {
        part: machinelearningservices.UriFolderJobInputArgs(job_input_type="uri_folder", uri=uri)
        for part, uri in run.inputs.items()
    }
    inputs |= {
        part: machinelearningservices.LiteralJobInputArgs(job_input_type="literal", value=word)
        for part, word in run.words.items()
    }
    outputs: dict[
        str, machinelearningservices.UriFolderJobOutputArgs | machinelearningservices.CustomModelJobOutputArgs
    ] = {
        part: machinelearningservices.CustomModelJobOutputArgs(
            job_output_type="custom_model", uri=uri, asset_name=run.registers[part]
        )
        if part in run.registers
        else machinelearningservices.UriFolderJobOutputArgs(job_output_type="uri_folder", uri=uri)
        for part, uri in run.outputs.items()
    }
    return machinelearningservices.PipelineJobArgs(
        job_type="Pipeline",
        component_id=run.component,
        compute_id=job.compute,
        experiment_name=run.experiment,
        display_name=run.experiment,
        identity=machinelearningservices.ManagedIdentityArgs(identity_type="Managed", resource_id=job.identity),
        inputs=inputs,
        outputs=outputs,
        settings=_settings(job),
    )


def requested(job: Job, run: Run) -> dict[str, Any]:
    """The run as the body of a request to Azure Resource Manager starts it."""
    folders = {part: {"jobInputType": "uri_folder", "uri": uri} for part, uri in run.inputs.items()}
    words = {part: {"jobInputType": "literal", "value": word} for part, word in run.words.items()}
    return {
        "properties": {
            "jobType": "Pipeline",
            "componentId": run.component,
            "computeId": job.compute,
            "experimentName": run.experiment,
            "displayName": run.experiment,
            "identity": {"identityType": "Managed", "resourceId": job.identity},
            "inputs": folders | words,
            "outputs": {
                part: {"jobOutputType": "custom_model", "uri": uri, "assetName": run.registers[part]}
                if part in run.registers
                else {"jobOutputType": "uri_folder", "uri": uri}
                for part, uri in run.outputs.items()
            },
            "settings": _settings(job),
        }
    }


def _settings(job: Job) -> dict[str, Any]:
    """A step that fails ends the pipeline: by this a verdict that says no does."""
    return {"default_compute": job.compute, "continue_on_step_failure": False}


def schedule(
    context: Context,
    expression: str,
    job: machinelearningservices.PipelineJobArgs
    | machinelearningservices.SparkJobArgs
    | machinelearningservices.CommandJobArgs,
    enabled: bool = True,
) -> machinelearningservices.SchedulePropertiesArgs:
    """A schedule that starts a job at a cron expression's times, in UTC; one that isn't enabled is started by name."""
    return machinelearningservices.SchedulePropertiesArgs(
        display_name=job.display_name,
        is_enabled=enabled,
        trigger=trigger(context, expression),
        action=machinelearningservices.JobScheduleActionArgs(action_type="CreateJob", job_definition=job),
        tags=context.tags,
    )
