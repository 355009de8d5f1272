"""The feature job on Azure Machine Learning's serverless Spark, as data: what runs, on what, under which identity."""

import pulumi
from pulumi_azure_native import machinelearningservices

from ml_blueprints.azure import facts

# The job's file in its folder of code.
FILE = "features.py"


def executors(events_per_second: int) -> int:
    """How many executors a job may have for what this many events a second bring to the lake."""
    needed = -(-events_per_second // facts.EVENTS_PER_EXECUTOR)
    return max(facts.MINIMUM_EXECUTORS, min(facts.MAXIMUM_EXECUTORS, needed))


def spark(
    name: str,
    code: pulumi.Input[str],
    arguments: dict[str, str],
    source: pulumi.Input[str],
    destination: pulumi.Input[str],
    identity: machinelearningservices.ManagedIdentityArgs,
    most_executors: int,
    owner: str,
    tags: dict[str, str],
) -> machinelearningservices.SparkJobArgs:
    """A job that runs the code (its id) from a folder to a folder (their URIs); it takes no package but Spark's own.

    Spark reads and writes the lake itself, under the job's identity.
    https://learn.microsoft.com/azure/machine-learning/how-to-submit-spark-jobs
    """
    words = " ".join(f"--{argument} {value}" for argument, value in arguments.items())
    folder = {"job_input_type": "uri_folder", "mode": machinelearningservices.InputDeliveryMode.DIRECT}
    node = {"cores": str(facts.SPARK_CORES), "memory": facts.SPARK_MEMORY}
    return machinelearningservices.SparkJobArgs(
        job_type="Spark",
        display_name=name,
        experiment_name=name,
        code_id=code,
        entry=machinelearningservices.SparkJobPythonEntryArgs(spark_job_entry_type="SparkJobPythonEntry", file=FILE),
        args=f"--source ${{{{inputs.source}}}} --destination ${{{{outputs.destination}}}} {words}",
        inputs={"source": machinelearningservices.UriFolderJobInputArgs(uri=source, **folder)},
        outputs={
            "destination": machinelearningservices.UriFolderJobOutputArgs(
                job_output_type="uri_folder", mode=machinelearningservices.OutputDeliveryMode.DIRECT, uri=destination
            )
        },
        conf={
            **{f"spark.{role}.{part}": value for role in ("driver", "executor") for part, value in node.items()},
            "spark.executor.instances": str(facts.MINIMUM_EXECUTORS),
            "spark.dynamicAllocation.enabled": "true",
            "spark.dynamicAllocation.minExecutors": str(facts.MINIMUM_EXECUTORS),
            "spark.dynamicAllocation.maxExecutors": str(most_executors),
            # Times of events are in UTC everywhere.
            "spark.sql.session.timeZone": "UTC",
        },
        identity=identity,
        resources=machinelearningservices.SparkResourceConfigurationArgs(
            instance_type=facts.SPARK_INSTANCE_TYPE, runtime_version=facts.SPARK_VERSION
        ),
        notification_setting=machinelearningservices.NotificationSettingArgs(
            email_on=[machinelearningservices.EmailNotificationEnableType.JOB_FAILED], emails=[owner]
        ),
        tags=tags,
    )
