"""Feedback on AWS: who asked which version how much, and how good it was, as tables that Athena asks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_aws import athena, glue

from ml_blueprints import looks
from ml_blueprints.aws import day_table, facts
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.scheduled_step import ScheduledStep, Step
from ml_blueprints.layers import Context, Zone
from ml_blueprints.looks import Kind

# Columns as Hive types.
_TYPES = {Kind.TIME: "timestamp", Kind.WORD: "string", Kind.COUNT: "bigint", Kind.NUMBER: "double"}

# What is asked of usage again and again. `rows` is a word of Athena's own.
WHO_ASKED = """SELECT day, tenant, model, sum("rows") AS asked, sum(usd) AS usd
FROM {table}
WHERE day >= date_format(current_date - INTERVAL '30' DAY, '%Y-%m-%d')
GROUP BY day, tenant, model
ORDER BY day DESC, asked DESC"""


class Feedback(pulumi.ComponentResource):
    """Native resources: `job` (its pipeline and schedule), `usage` and, where outcomes come, `performance` (tables),
    `saved_query`. They lie in the curated zone, and are read by whoever may read that.

    answered: URIs of what was answered; real_time: whether instances wait for requests.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        image: pulumi.Input[str],
        answered: Sequence[pulumi.Input[str]],
        real_time: bool,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:Feedback", context.logical("feedback"), None, opts)
        self.context, self.data = context, data
        self.folder = pulumi.Output.concat(data.zones[Zone.CURATED], f"/{looks.TABLES}")
        feedback = context.workload.monitoring.feedback
        self.job = ScheduledStep(
            context,
            foundation,
            image,
            "feedback",
            self._step(answered, real_time),
            feedback.schedule,
            opts=self._child(),
        )
        self.usage = self._table("usage", looks.USAGE, "Who asked which version how much, by hour")
        self.performance: glue.CatalogTable | None = None
        if feedback.labels_within_days is not None:
            self.performance = self._table("performance", looks.PERFORMANCE, "How good each version was, by day")
        self._query()
        self.register_outputs({"usageArn": self.usage.arn})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _step(self, answered: Sequence[pulumi.Input[str]], real_time: bool) -> Step:
        labels = pulumi.Output.concat(self.data.zones[Zone.CURATED], f"/{looks.LABELS}")
        options = {**looks.feedback(self.context, real_time, labels), "to": self.folder}
        requests = [word for place in answered for word in ("--requests", place)]
        return Step("Feedback", facts.COMMANDS["feedback"], [*requests, *looks.words(options)])

    def _table(self, name: str, kinds: Mapping[str, Kind], description: str) -> glue.CatalogTable:
        return day_table.day_table(
            self.context.logical(name),
            name,
            self.data.database.name,
            f"{description}: {self.context.workload.name}",
            "day",
            "Day, UTC",
            pulumi.Output.concat(self.folder, f"/{name}/"),
            day_table.columns({column: _TYPES[kind] for column, kind in kinds.items()}),
            self._child(),
        )

    def _query(self) -> None:
        self.saved_query = athena.NamedQuery(
            self.context.logical("who-asked"),
            name=f"{self.context.name}: who asked which version how much, by day",
            description="Rows and cost by day, tenant and version, of the last 30 days",
            database=self.data.database.name,
            workgroup=self.data.workgroup.name,
            query=self.usage.name.apply(lambda name: WHO_ASKED.format(table=json.dumps(name))),
            opts=self._child(),
        )
