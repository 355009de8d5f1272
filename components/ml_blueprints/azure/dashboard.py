"""The dashboard on Azure: one page with requests, events, runs, drift, spending and alarms of what a platform has."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pulumi
from pulumi_azure_native import applicationinsights

from ml_blueprints.azure import alarm_conditions, request_logs, workbook
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.serving import Serving
from ml_blueprints.layers import Context

# https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-app-containerapps-metrics
APP_METRICS = "Microsoft.App/containerApps"

# How runs of the workspace ended, by experiment. https://learn.microsoft.com/azure/azure-monitor/reference/tables/amlcomputejobevent
_RUNS = """AmlComputeJobEvent
| where EventType in ('JobSucceeded', 'JobFailed')
| summarize Succeeded = countif(EventType == 'JobSucceeded'), Failed = countif(EventType == 'JobFailed'),
    Last = max(TimeGenerated) by ExperimentName
| order by ExperimentName asc"""

_LOOKS = """AmlComputeJobEvent
| where ExperimentName in ({experiments}) and EventType in ('JobSucceeded', 'JobFailed')
| project TimeGenerated, ExperimentName, EventType, JobName
| order by TimeGenerated desc"""

# What the watch over the stream tells, a line for each change (docs/monitoring.md).
_CHANGES = """ContainerAppConsoleLogs
| where ContainerAppName == '{app}' and Log contains 'ml_pipelines.streaming.watch: drift: '
| summarize Changes = count() by bin(TimeGenerated, 1h)
| render columnchart"""

# https://learn.microsoft.com/azure/governance/resource-graph/reference/supported-tables-resources#alertsmanagementresources
_ALARMS = """alertsmanagementresources
| where type == 'microsoft.alertsmanagement/alerts'
| extend essentials = properties.essentials
| where tostring(essentials.alertRule) startswith '{group}/'
| project Alarm = name, State = tostring(essentials.monitorCondition), Since = todatetime(essentials.startDateTime)
| order by Since desc"""


class Dashboard(pulumi.ComponentResource):
    """workbook: what Azure Monitor shows in the log workspace. looks: the experiments of the checks for drift."""

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        serving: Serving,
        workspace: pulumi.Input[str],
        looks: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:Dashboard", context.logical("dashboard"), None, opts)
        self.context, self.foundation, self.data, self.serving = context, foundation, data, serving
        self.looks = looks
        self.page = workbook.Workbook(foundation.log_workspace.id)
        parts = [*self._spending(), *self._requests(), *self._events(), *self._runs(workspace), *self._alarms()]
        self.workbook = applicationinsights.Workbook(
            context.logical("dashboard"),
            # A name is a GUID.
            resource_name_=str(uuid.uuid5(uuid.NAMESPACE_URL, f"ml-blueprints:{context.token}:dashboard")),
            resource_group_name=foundation.group,
            location=foundation.location,
            kind=applicationinsights.WorkbookSharedTypeKind.SHARED,
            category="workbook",
            display_name=context.name,
            description=context.workload.description,
            source_id=foundation.log_workspace.id,
            serialized_data=self.page.document(parts),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({"workbookId": self.workbook.id})

    def _spending(self) -> Iterator[dict[str, Any]]:
        group = self.foundation.resource_group.id
        budget = f"Budget: {self.context.monthly_usd:,} in a month"
        link = pulumi.Output.concat("[Spending](https://portal.azure.com/#@/resource", group, "/costanalysis)")
        yield workbook.text(pulumi.Output.concat(f"# {self.context.name}\n{budget}. ", link))

    def _requests(self) -> Iterator[dict[str, Any]]:
        """Requests, errors and latency by version, of each endpoint and of what is in front of them."""
        asked = [
            (online.tenant or "all", request_logs.of_endpoint(online.endpoint.name, list(online.deployments)))
            for online in self.serving.endpoints
        ]
        asked += [(app.part, request_logs.of_app(app.container_app.name)) for app in self.serving.apps]
        for whose, requests in asked:
            yield self.page.chart(f"Requests and failures: {whose}", request_logs.outcomes(requests))
            yield self.page.chart(f"Latency in ms, 50th and 99th percentile: {whose}", request_logs.latency(requests))

    def _events(self) -> Iterator[dict[str, Any]]:
        """Azure doesn't know how many events wait for a reader with checkpoints of its own: what comes and goes is."""
        if self.data.hub is not None:
            names = ("IncomingMessages", "OutgoingMessages")
            kind, hubs = alarm_conditions.NAMESPACE_METRICS, self.data.namespace.id
            yield workbook.metrics(
                "Events and dead letters by hub", kind, hubs, names, workbook.TOTAL, split_by="EntityName"
            )
        if (processor := self.serving.stream_processor) is not None:
            yield workbook.metrics(
                "Replicas of the event processor", APP_METRICS, processor.id, ("Replicas",), workbook.MAXIMUM
            )
            if self.serving.decision_hub is not None:
                changes = processor.name.apply(lambda name: _CHANGES.format(app=name))
                yield self.page.chart("Changes that the watch over the stream told", changes)
        if (store := self.serving.features.online_store) is not None:
            yield workbook.metrics(
                "Memory of the online features in percent",
                alarm_conditions.CACHE_METRICS,
                store.cluster.id,
                ("usedmemorypercentage",),
                workbook.MAXIMUM,
            )

    def _runs(self, workspace: pulumi.Input[str]) -> Iterator[dict[str, Any]]:
        kind = alarm_conditions.WORKSPACE_METRICS
        yield workbook.metrics("Failed runs in time", kind, workspace, ("Failed Runs",), workbook.TOTAL)
        yield self.page.chart("Runs by experiment", _RUNS)
        experiments = ", ".join(f"'{experiment}'" for experiment in self.looks)
        yield self.page.chart("Looks for drift: those that found some failed", _LOOKS.format(experiments=experiments))

    def _alarms(self) -> Iterator[dict[str, Any]]:
        query = self.foundation.resource_group.id.apply(lambda group: _ALARMS.format(group=group))
        subscription = pulumi.Output.concat("/subscriptions/", self.foundation.subscription)
        yield workbook.resources("Alarms", query, subscription)
