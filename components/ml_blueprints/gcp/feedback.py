"""What came of the answers, on Google Cloud: a job writes tables of usage and performance, which BigQuery asks."""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_gcp import bigquery

from ml_blueprints.gcp import drift_check, facts, pipeline_definition
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.scheduled_run import ScheduledRun
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.sizing import HOURS_PER_MONTH

# Where the tables lie in the curated zone: a folder for each, and in it one for each day.
FOLDER = "feedback"
USAGE, PERFORMANCE = "usage", "performance"
# Days that are counted again where no outcomes are waited for: those of which lines may have come late.
DAYS = 2

# The columns as the job writes them (ml_pipelines.retraining). `rows` is a word of BigQuery's: it stands in backticks.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    USAGE: {
        "hour": "TIMESTAMP",
        "tenant": "STRING",
        "model": "STRING",
        "rows": "INTEGER",
        "entities": "INTEGER",
        "selected": "INTEGER",
        "mean_score": "FLOAT",
        "usd": "FLOAT",
    },
    PERFORMANCE: {
        "model": "STRING",
        "dimension": "STRING",
        "cohort": "STRING",
        "rows": "INTEGER",
        "entities": "INTEGER",
        "mean_score": "FLOAT",
        "mean_outcome": "FLOAT",
        "metric": "STRING",
        "value": "FLOAT",
        "low": "FLOAT",
        "high": "FLOAT",
    },
}
# What the procedure asks, which is looked at when it is called: a view can't be made before there is a file.
_BY_DAY = (
    "EXECUTE IMMEDIATE '''SELECT day, tenant, model, SUM(`rows`) AS `rows`, SUM(usd) AS usd FROM `{usage}` "
    "WHERE day > DATE_SUB(CURRENT_DATE(), INTERVAL @days DAY) "
    "GROUP BY day, tenant, model ORDER BY day DESC, `rows` DESC''' USING days AS days;"
)
_ABOUT = {
    USAGE: "Who asked which version of a model in an hour: rows, different entities, and what serving cost",
    PERFORMANCE: "How good each version was, as it was known on a day: in all, and in each cohort",
}


class Feedback(pulumi.ComponentResource):
    """The run that writes the tables, and who may read them: people who explore, and nobody else.

    run: the workflow and its schedule. dataset: of the tables, and of nothing else; tables: by name, `usage` and, where
    outcomes come, `performance`. by_day: a procedure that asks who used which version in a day, and at what cost.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        development: Development,
        captures: bool,
        ready: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:Feedback", context.logical("feedback"), None, opts)
        self.context, self.foundation, self.zones = context, foundation, data.zones
        self.learns = context.workload.monitoring.feedback.labels_within_days is not None
        self._run(development.job, captures, ready)
        self._tables()
        self._query()
        self.register_outputs({"usage": self.tables[USAGE].id})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _run(self, job: pipeline_definition.Job, captures: bool, ready: list[pulumi.Resource]) -> None:
        context, feedback = self.context, self.context.workload.monitoring.feedback
        windows = drift_check.windows(context.workload, self.zones, captures)
        told: list[pulumi.Input[str]] = [
            *(word for window in windows for word in ("--requests", window)),
            "--days",
            str(feedback.labels_within_days or DAYS),
            "--to",
            self._place(),
        ]
        if self.learns:
            told += ["--labels", pulumi.Output.concat(self.zones[Zone.CURATED], f"/{drift_check.LABELS}")]
        if "real-time-scoring" in context.register.asked:
            told += ["--usd-per-hour", f"{context.sizing.monthly_usd / HOURS_PER_MONTH:.4f}"]
        run = pipeline_definition.Run(
            name=context.logical("feedback"),
            command=facts.COMMANDS["feedback"],
            identity=self.foundation.identities[Purpose.MONITORING],
            destination=self._place(),
            arguments=told,
        )
        self.run = ScheduledRun(
            "feedback",
            context,
            self.foundation,
            f"Writes what came of the answers of {context.workload.name}",
            feedback.schedule,
            pipeline_definition.run_job(job, run),
            ready,
            opts=self._child(),
        )

    def _place(self, table: str = "") -> pulumi.Output[str]:
        return pulumi.Output.concat(self.zones[Zone.CURATED], f"/{FOLDER}", f"/{table}" if table else "")

    def _tables(self) -> None:
        context = self.context
        self.dataset = bigquery.Dataset(
            context.logical("feedback"),
            dataset_id=f"{context.name.replace('-', '_')}_feedback_{context.token}",
            description=f"Usage and performance of {context.workload.name}",
            location=self.foundation.region,
            default_encryption_configuration=bigquery.DatasetDefaultEncryptionConfigurationArgs(
                kms_key_name=self.foundation.key
            ),
            labels=context.tags,
            opts=self._child(depends_on=self.foundation.ready),
        )
        self.tables = {name: self._table(name) for name in (USAGE, *([PERFORMANCE] if self.learns else []))}
        # The files themselves they may read anyhow, as all of the curated zone: BigQuery reads as who asks.
        bigquery.DatasetIamMember(
            context.logical("feedback"),
            dataset_id=self.dataset.dataset_id,
            role=facts.ROLE_TABLE_READER,
            member=self.foundation.member(Purpose.EXPLORATION),
            condition=self.foundation.until(bigquery.DatasetIamMemberConditionArgs),
            opts=self._child(),
        )

    def _table(self, name: str) -> bigquery.Table:
        """A table of the files, partitioned by the day in their path, whose type is said since no file need be there.

        https://cloud.google.com/bigquery/docs/hive-partitioned-queries#partition_schema
        """
        columns = [{"name": column, "type": kind, "mode": "NULLABLE"} for column, kind in COLUMNS[name].items()]
        return bigquery.Table(
            self.context.logical(name),
            dataset_id=self.dataset.dataset_id,
            table_id=name,
            description=_ABOUT[name],
            external_data_configuration=bigquery.TableExternalDataConfigurationArgs(
                autodetect=False,
                source_format="PARQUET",
                source_uris=[pulumi.Output.concat(self._place(name), "/*")],
                schema=json.dumps(columns),
                hive_partitioning_options=bigquery.TableExternalDataConfigurationHivePartitioningOptionsArgs(
                    mode="CUSTOM", source_uri_prefix=pulumi.Output.concat(self._place(name), "/{day:DATE}")
                ),
            ),
            deletion_protection=False,
            labels=self.context.tags,
            opts=self._child(),
        )

    def _query(self) -> None:
        usage = pulumi.Output.all(self.foundation.project, self.dataset.dataset_id, USAGE).apply(".".join)
        self.by_day = bigquery.Routine(
            self.context.logical("usage-by-day"),
            dataset_id=self.dataset.dataset_id,
            routine_id="usage_by_day",
            routine_type="PROCEDURE",
            language="SQL",
            description="Who asked which version of a model how much in a day, and what that cost, for so many days",
            arguments=[bigquery.RoutineArgumentArgs(name="days", data_type=json.dumps({"typeKind": "INT64"}))],
            definition_body=usage.apply(lambda table: _BY_DAY.format(usage=table)),
            opts=self._child(depends_on=[self.tables[USAGE]]),
        )
