"""What came of the answers, on Google Cloud: a job writes files of usage and performance, which BigQuery takes over.

BigQuery makes no external table of a folder in which no file is yet, and no view of such a table. So the tables are its
own, and hold after each run what the files say.
"""

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_gcp import bigquery

from ml_blueprints import looks
from ml_blueprints.gcp import drift_check, facts, pipeline_definition
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.scheduled_run import ScheduledRun
from ml_blueprints.layers import Context, Zone
from ml_blueprints.looks import Kind
from ml_blueprints.settings import Purpose

USAGE, PERFORMANCE = "usage", "performance"

_TYPES = {Kind.TIME: "TIMESTAMP", Kind.WORD: "STRING", Kind.COUNT: "INTEGER", Kind.NUMBER: "FLOAT"}
# The columns, with BigQuery's types; the day is in the path. In queries they stand in backticks, as `rows` is a word of
# BigQuery's.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    name: {column: _TYPES[kind] for column, kind in kinds.items()}
    for name, kinds in ((USAGE, looks.USAGE), (PERFORMANCE, looks.PERFORMANCE))
}
DAY = "day"
# What the view asks.
_BY_DAY = "SELECT day, tenant, model, SUM(`rows`) AS `rows`, SUM(usd) AS usd FROM `{usage}` GROUP BY day, tenant, model"
# All rows give place to those of the files, in one statement, and the table stays as it was made.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement
_TAKE_OVER = (
    "MERGE `{table}` USING (SELECT {read} FROM written) ON FALSE "
    "WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names}) WHEN NOT MATCHED BY SOURCE THEN DELETE"
)
_ABOUT = {
    USAGE: "Who asked which version of a model in an hour: rows, different entities, and what serving cost",
    PERFORMANCE: "How good each version was, as it was known on a day: in all, and in each cohort",
}


class Feedback(pulumi.ComponentResource):
    """The run that writes the tables, under the identity that monitors, and who may read them: people who explore.

    run: the workflow and its schedule. dataset: of the tables, and of nothing else; tables: by name, `usage` and, where
    outcomes come, `performance`. by_day: a view of who used which version in a day, and at what cost.
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
        self.context, self.foundation, self.data, self.zones = context, foundation, data, data.zones
        self.learns = context.workload.monitoring.feedback.labels_within_days is not None
        self._tables()
        self._view()
        self._run(development.job, captures, [*ready, *self._may_write()])
        self.register_outputs({"usage": self.tables[USAGE].id})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _run(self, job: pipeline_definition.Job, captures: bool, ready: list[pulumi.Resource]) -> None:
        context, feedback = self.context, self.context.workload.monitoring.feedback
        windows = drift_check.windows(context.workload, self.zones, captures)
        labels = pulumi.Output.concat(self.zones[Zone.CURATED], f"/{looks.LABELS}")
        options = {
            **looks.feedback(context, "real-time-scoring" in context.register.asked, labels),
            "to": self._place(),
        }
        told = [*(word for window in windows for word in ("--requests", window)), *looks.words(options)]
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
            pipeline_definition.run_job(job, run, *(step for name in self.tables for step in self._take_over(name))),
            ready,
            opts=self._child(),
        )

    def _place(self, table: str = "") -> pulumi.Output[str]:
        return pulumi.Output.concat(self.zones[Zone.CURATED], f"/{looks.TABLES}", f"/{table}" if table else "")

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
        bigquery.DatasetIamMember(
            context.logical("feedback"),
            dataset_id=self.dataset.dataset_id,
            role=facts.ROLE_TABLE_READER,
            member=self.foundation.member(Purpose.EXPLORATION),
            condition=self.foundation.until(bigquery.DatasetIamMemberConditionArgs),
            opts=self._child(),
        )

    def _table(self, name: str) -> bigquery.Table:
        columns = {DAY: "DATE", **COLUMNS[name]}
        return bigquery.Table(
            self.context.logical(name),
            dataset_id=self.dataset.dataset_id,
            table_id=name,
            description=_ABOUT[name],
            schema=json.dumps([{"name": column, "type": kind, "mode": "NULLABLE"} for column, kind in columns.items()]),
            time_partitioning=bigquery.TableTimePartitioningArgs(type="DAY", field=DAY),
            deletion_protection=False,
            labels=self.context.tags,
            opts=self._child(),
        )

    def _may_write(self) -> list[pulumi.Resource]:
        return [
            bigquery.IamMember(
                self.context.logical(f"monitoring-{name}"),
                dataset_id=table.dataset_id,
                table_id=table.table_id,
                role=facts.ROLE_TABLE_WRITER,
                member=self.foundation.member(Purpose.MONITORING),
                opts=self._child(),
            )
            for name, table in self.tables.items()
        ]

    def _full_name(self, table: str) -> pulumi.Output[str]:
        return pulumi.Output.all(self.foundation.project, self.dataset.dataset_id, table).apply(".".join)

    def _view(self) -> None:
        self.by_day = bigquery.Table(
            self.context.logical("usage-by-day"),
            dataset_id=self.dataset.dataset_id,
            table_id="usage_by_day",
            description="Who asked which version of a model how much in a day, and what that cost",
            view=bigquery.TableViewArgs(
                query=self._full_name(USAGE).apply(lambda table: _BY_DAY.format(usage=table)), use_legacy_sql=False
            ),
            deletion_protection=False,
            labels=self.context.tags,
            opts=self._child(depends_on=[self.tables[USAGE]]),
        )

    def _take_over(self, name: str) -> list[dict[str, Any]]:
        """Steps of the workflow after the job: where there are files, the table has what they say.

        Types are said, as an hour in Parquet is without a zone, which BigQuery takes for another type.
        https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#jobconfigurationquery
        """
        columns = {DAY: "DATE"} | {column: facts.SQL_TYPES[kind] for column, kind in COLUMNS[name].items()}
        names = ", ".join(f"`{column}`" for column in columns)
        read = ", ".join(f"CAST(`{column}` AS {kind}) AS `{column}`" for column, kind in columns.items())
        files = {
            "sourceFormat": "PARQUET",
            "autodetect": True,
            "sourceUris": [pulumi.Output.concat(self._place(name), "/*")],
            "hivePartitioningOptions": {
                "mode": "CUSTOM",
                "sourceUriPrefix": pulumi.Output.concat(self._place(name), f"/{{{DAY}:DATE}}"),
            },
        }
        query = self._full_name(name).apply(lambda table: _TAKE_OVER.format(table=table, read=read, names=names))
        job = {
            "jobReference": {"location": self.foundation.region},
            "configuration": {"query": {"query": query, "useLegacySql": False, "tableDefinitions": {"written": files}}},
        }
        bucket = self.data.buckets[Zone.CURATED].name
        first = {"bucket": bucket, "prefix": f"{looks.TABLES}/{name}/{DAY}=", "maxResults": 1}
        found, done = f"found_{name}", f"took_over_{name}"
        return [
            {f"look_for_{name}": {"call": "googleapis.storage.v1.objects.list", "args": first, "result": found}},
            {f"judge_{name}": {"switch": [{"condition": f'${{not("items" in {found})}}', "next": done}]}},
            {
                f"take_over_{name}": {
                    "call": "googleapis.bigquery.v2.jobs.insert",
                    "args": {"projectId": self.foundation.project, "body": job},
                }
            },
            {done: {"assign": [{found: None}]}},
        ]
