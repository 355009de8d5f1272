"""The feature job on serverless Spark, as data: what a batch is asked for, and the workflow that runs one.

A batch is the body of Dataproc's batches.create
(https://cloud.google.com/dataproc-serverless/docs/reference/rest/v1/projects.locations.batches). The workflow is in the
format of Cloud Workflows (https://cloud.google.com/workflows/docs/reference/syntax).
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from ml_blueprints import schedules
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.gcp import facts, pipeline_definition
from ml_blueprints.gcp.pipeline_definition import asked, waited
from ml_blueprints.workload import Workload


@dataclass(frozen=True)
class Batch:
    """What a run of the job needs: its file and arguments, and where, as whom and with which key it runs.

    file: URI of the job. subnet: where its nodes are. staging: name of the bucket for what Spark leaves, as its output.
    """

    project: pulumi.Input[str]
    region: str
    file: pulumi.Input[str]
    arguments: Sequence[pulumi.Input[str]]
    identity: pulumi.Input[str]
    subnet: pulumi.Input[str]
    key: pulumi.Input[str]
    staging: pulumi.Input[str]
    executors: int
    labels: dict[str, str]


def executors(events_per_second: int) -> int:
    """How many executors a batch may have for what this many events a second bring to the table."""
    needed = -(-events_per_second // facts.EVENTS_PER_EXECUTOR)
    return max(facts.MINIMUM_EXECUTORS, min(facts.MAXIMUM_EXECUTORS, needed))


def since(schedule: str) -> str:
    """From when on a job on this schedule computes anew: all that came since its last run, and a day before that."""
    _, _, day, month, weekday = schedules.parse(schedule)
    if month != "*":
        between = 366
    elif day != "*":
        between = 31
    else:
        between = 1 if weekday == "*" else 7
    return f"{between + 1}d"


def keys(workload: Workload) -> tuple[str, ...]:
    """The columns by which the job tells events, which it states as `KEYS`. Raises BlueprintError if it doesn't."""
    columns = workload.data.contract.columns
    for statement in ast.parse(workload.features.job_source).body:
        if isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["KEYS"]:
            found = ast.literal_eval(statement.value)
            if isinstance(found, tuple) and found and all(key in columns for key in found):
                return found
    raise BlueprintError(
        f"workload {workload.name} on gcp",
        [
            Problem(
                "features.job",
                f"`{workload.features.job}` without columns in `KEYS`",
                f"a feature job begins its rows with the entity, the time and what else tells an event; `make jobs` "
                f"writes them, out of {', '.join(columns)}",
            )
        ],
    )


def workflow(batch: Batch) -> pulumi.Output[str]:
    """A workflow that starts a batch, waits for its end, and fails if it failed.

    A request that is repeated with the same id of the execution starts nothing anew.
    """
    batches = pulumi.Output.concat(
        facts.DATAPROC_URL, "projects/", batch.project, "/locations/", batch.region, "/batches"
    )
    request = {"query": {"requestId": '${sys.get_env("GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID")}'}, "body": _body(batch)}
    started = f'${{"{facts.DATAPROC_URL}" + started.body.metadata.batch}}'
    steps = [
        {"start": asked("http.post", {"url": batches, **request}, "started")},
        *waited(asked("http.get", {"url": started}, "batch"), "batch", "", "${batch.body}"),
    ]
    return pipeline_definition.workflow(*steps)


def _body(batch: Batch) -> dict[str, Any]:
    return {
        "labels": batch.labels,
        "pysparkBatch": {"mainPythonFileUri": batch.file, "args": list(batch.arguments)},
        "runtimeConfig": {
            "version": facts.SPARK_RUNTIME,
            "properties": {
                "spark.driver.cores": facts.SPARK_CORES,
                "spark.executor.cores": facts.SPARK_CORES,
                "spark.executor.instances": str(facts.MINIMUM_EXECUTORS),
                "spark.dynamicAllocation.minExecutors": str(facts.MINIMUM_EXECUTORS),
                "spark.dynamicAllocation.maxExecutors": str(batch.executors),
                # Times of events are in UTC everywhere.
                "spark.sql.session.timeZone": "UTC",
            },
        },
        "environmentConfig": {
            "executionConfig": {
                "serviceAccount": batch.identity,
                "subnetworkUri": batch.subnet,
                "networkTags": [facts.SPARK_TAG],
                "kmsKey": batch.key,
                "stagingBucket": batch.staging,
                "ttl": f"{facts.SPARK_TIMEOUT_SECONDS}s",
            }
        },
    }
