"""Components and jobs of Azure Machine Learning, as data: what runs, on which compute, under which identity.

The formats are those of component specifications (https://learn.microsoft.com/azure/machine-learning/reference-yaml-component-command,
https://learn.microsoft.com/azure/machine-learning/reference-yaml-component-pipeline) and of the jobs that start them
(https://learn.microsoft.com/rest/api/azureml/jobs/create-or-update).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices

# A job that takes longer is ended.
TIMEOUT_SECONDS = 4 * 3600

COMMAND_SCHEMA = "https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json"
PIPELINE_SCHEMA = "https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json"


@dataclass(frozen=True)
class Job:
    """Where and as whom the jobs of a platform run."""

    compute: pulumi.Input[str]
    identity: pulumi.Input[str]
    environment: pulumi.Input[str]


@dataclass(frozen=True)
class Run:
    """One run of a pipeline component: its id, the experiment that records it, and its folders in the lake."""

    component: pulumi.Input[str]
    experiment: str
    inputs: Mapping[str, pulumi.Input[str]]
    outputs: Mapping[str, pulumi.Input[str]]


def command(job: Job, name: str, words: Sequence[str], inputs: Sequence[str], outputs: Sequence[str]) -> dict[str, Any]:
    """A component that runs a command of the platform's image; each folder becomes an argument of its name."""
    arguments = [f"--{part} ${{{{inputs.{part}}}}}" for part in inputs]
    arguments += [f"--{part} ${{{{outputs.{part}}}}}" for part in outputs]
    return {
        "$schema": COMMAND_SCHEMA,
        "type": "command",
        "name": name,
        "display_name": name,
        "command": " ".join([*words, *arguments]),
        "environment": pulumi.Output.concat("azureml:", job.environment),
        "inputs": {part: {"type": "uri_folder"} for part in inputs},
        "outputs": {part: {"type": "uri_folder"} for part in outputs},
        "is_deterministic": False,
    }


def pipeline(
    job: Job, name: str, step: str, component: pulumi.Input[str], inputs: Sequence[str], outputs: Sequence[str]
) -> dict[str, Any]:
    """A pipeline of one step, which takes the pipeline's folders as its own."""
    return {
        "$schema": PIPELINE_SCHEMA,
        "type": "pipeline",
        "name": name,
        "display_name": name,
        "inputs": {part: {"type": "uri_folder"} for part in inputs},
        "outputs": {part: {"type": "uri_folder"} for part in outputs},
        "jobs": {
            step: {
                "type": "command",
                "component": pulumi.Output.concat("azureml:", component),
                "compute": pulumi.Output.concat("azureml:", job.compute),
                "limits": {"timeout": TIMEOUT_SECONDS},
                "inputs": {part: f"${{{{parent.inputs.{part}}}}}" for part in inputs},
                "outputs": {part: f"${{{{parent.outputs.{part}}}}}" for part in outputs},
            }
        },
    }


def version(specification: Mapping[str, Any]) -> pulumi.Output[str]:
    """A version that follows from a specification: components can't be changed, so that a new one is a new version."""
    text = pulumi.Output.json_dumps(dict(specification), sort_keys=True)
    return text.apply(lambda known: hashlib.sha256(known.encode()).hexdigest()[:12])


def scheduled(job: Job, run: Run) -> machinelearningservices.PipelineJobArgs:
    """The run as a schedule of the workspace starts it."""
    return machinelearningservices.PipelineJobArgs(
        job_type="Pipeline",
        component_id=run.component,
        compute_id=job.compute,
        experiment_name=run.experiment,
        display_name=run.experiment,
        identity=machinelearningservices.ManagedIdentityArgs(identity_type="Managed", resource_id=job.identity),
        inputs={
            part: machinelearningservices.UriFolderJobInputArgs(job_input_type="uri_folder", uri=uri)
            for part, uri in run.inputs.items()
        },
        outputs={
            part: machinelearningservices.UriFolderJobOutputArgs(job_output_type="uri_folder", uri=uri)
            for part, uri in run.outputs.items()
        },
    )


def schedule(
    expression: str,
    job: machinelearningservices.PipelineJobArgs | machinelearningservices.SparkJobArgs,
    tags: dict[str, str],
) -> machinelearningservices.SchedulePropertiesArgs:
    """A schedule that starts a job at a cron expression's times, in UTC."""
    return machinelearningservices.SchedulePropertiesArgs(
        display_name=job.display_name,
        is_enabled=True,
        trigger=machinelearningservices.CronTriggerArgs(trigger_type="Cron", expression=expression, time_zone="UTC"),
        action=machinelearningservices.JobScheduleActionArgs(action_type="CreateJob", job_definition=job),
        tags=tags,
    )


def requested(job: Job, run: Run) -> dict[str, Any]:
    """The run as the body of a request to Azure Resource Manager starts it."""
    return {
        "properties": {
            "jobType": "Pipeline",
            "componentId": run.component,
            "computeId": job.compute,
            "experimentName": run.experiment,
            "displayName": run.experiment,
            "identity": {"identityType": "Managed", "resourceId": job.identity},
            "inputs": {part: {"jobInputType": "uri_folder", "uri": uri} for part, uri in run.inputs.items()},
            "outputs": {part: {"jobOutputType": "uri_folder", "uri": uri} for part, uri in run.outputs.items()},
        }
    }
