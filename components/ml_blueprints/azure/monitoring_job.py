"""The jobs of monitoring: a step of ours, on nodes that are there while it runs, as data.

The format is that of command jobs (https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-command).
"""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure.pipeline_definition import Job
from ml_blueprints.layers import Context

# The lake is read by URL, so that a folder may be missing and only the days that are asked for are listed. Azure tells
# a job under which identity it runs, be that the platform's own or brought along.
# https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication
IDENTITY = "IDENTITY=$DEFAULT_IDENTITY_CLIENT_ID"


def command(module: Sequence[str], options: Mapping[str, object]) -> str:
    """What a job runs. Several values of an option are told one by one; an option that is None isn't told."""
    told = [
        f"--{name} {value}"
        for name, values in options.items()
        for value in (values if isinstance(values, tuple) else (values,))
        if value is not None
    ]
    return " ".join([IDENTITY, *module, *told])


def definition(
    context: Context,
    job: Job,
    experiment: str,
    command: str,
    inputs: Mapping[str, pulumi.Input[str]],
    outputs: Mapping[str, pulumi.Input[str]],
) -> machinelearningservices.CommandJobArgs:
    """A job, whose runs are recorded by an experiment. inputs, outputs: URIs of folders.

    The owner gets a mail of each run that fails.
    """
    return machinelearningservices.CommandJobArgs(
        job_type="Command",
        display_name=experiment,
        experiment_name=experiment,
        command=command,
        environment_id=job.environment,
        compute_id=job.compute,
        identity=machinelearningservices.ManagedIdentityArgs(identity_type="Managed", resource_id=job.identity),
        inputs={
            part: machinelearningservices.UriFolderJobInputArgs(
                job_input_type="uri_folder", mode=machinelearningservices.InputDeliveryMode.READ_ONLY_MOUNT, uri=uri
            )
            for part, uri in inputs.items()
        },
        outputs={
            # Files are in the lake as soon as they are closed, in a run that fails too.
            part: machinelearningservices.UriFolderJobOutputArgs(
                job_output_type="uri_folder",
                mode=machinelearningservices.OutputDeliveryMode.READ_WRITE_MOUNT,
                uri=uri,
            )
            for part, uri in outputs.items()
        },
        limits=machinelearningservices.CommandJobLimitsArgs(job_limits_type="Command", timeout="PT1H"),
        notification_setting=machinelearningservices.NotificationSettingArgs(
            email_on=[machinelearningservices.EmailNotificationEnableType.JOB_FAILED], emails=[context.workload.owner]
        ),
        tags=context.tags,
    )
