"""The job that looks for drift: our step on what the champion was asked, beside what it was trained on, as data.

Azure's own monitor takes an MLTable of training data as its baseline and what its data collector wrote; nothing here
writes either. The format is that of command jobs (https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-command).
"""

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints import schedules
from ml_blueprints.azure import facts
from ml_blueprints.azure.pipeline_definition import RUN, Job
from ml_blueprints.layers import Context
from ml_blueprints.workload import Drift

# Where in the curated zone each run leaves its report; a second one where training anew would help.
REPORTS = "drift/"
REPORT, DRIFTED = "drift.json", "drifted.json"


def experiment(context: Context) -> str:
    """The experiment that records the job's runs, by which logs tell them from others."""
    return f"{context.name}-drift"


def command(task: str, drift: Drift, scoring: str | None = None) -> str:
    """What the job runs. It fails where something pages, by which the owner is told; its reports stay."""
    options = {
        "task": task,
        "baseline": "${{inputs.champion}}/drift_baseline.json",
        "window": "${{inputs.asked}}",
        "hours": schedules.hours_to_look_back(drift.schedule, scoring),
        "metric": drift.metric,
        "threshold": drift.threshold,
        "to": f"${{{{outputs.report}}}}/{REPORT}",
        "drifted": f"${{{{outputs.report}}}}/{DRIFTED}",
    }
    return " ".join([*facts.COMMANDS["drift"], *(f"--{name} {value}" for name, value in options.items())])


def definition(
    context: Context,
    job: Job,
    asked: pulumi.Input[str],
    champion: pulumi.Input[str],
    reports: pulumi.Input[str],
    scoring: str | None,
) -> machinelearningservices.CommandJobArgs:
    """The job. asked, champion, reports: URIs of folders; scoring: when batches are scored, where nobody asks."""
    workload = context.workload
    return machinelearningservices.CommandJobArgs(
        job_type="Command",
        display_name=experiment(context),
        experiment_name=experiment(context),
        command=command(workload.name, workload.monitoring.drift, scoring),
        environment_id=job.environment,
        compute_id=job.compute,
        identity=machinelearningservices.ManagedIdentityArgs(identity_type="Managed", resource_id=job.identity),
        inputs={
            part: machinelearningservices.UriFolderJobInputArgs(
                job_input_type="uri_folder", mode=machinelearningservices.InputDeliveryMode.READ_ONLY_MOUNT, uri=uri
            )
            for part, uri in {"asked": asked, "champion": champion}.items()
        },
        outputs={
            # Files are in the lake as soon as they are closed, in a run that fails too.
            "report": machinelearningservices.UriFolderJobOutputArgs(
                job_output_type="uri_folder",
                mode=machinelearningservices.OutputDeliveryMode.READ_WRITE_MOUNT,
                uri=pulumi.Output.concat(reports, f"run={RUN}/"),
            )
        },
        limits=machinelearningservices.CommandJobLimitsArgs(job_limits_type="Command", timeout="PT1H"),
        notification_setting=machinelearningservices.NotificationSettingArgs(
            email_on=[machinelearningservices.EmailNotificationEnableType.JOB_FAILED], emails=[workload.owner]
        ),
        tags=context.tags,
    )
