"""The monitoring layer on Azure: alarms, checks for drift, tables of feedback, what trains again, and the budget."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pulumi
from pulumi_azure_native import consumption, eventgrid, logic, machinelearningservices, monitor

from ml_blueprints import layers, looks, routing, schedules
from ml_blueprints.azure import (
    alarm_conditions,
    containers,
    drift_check,
    facts,
    feedback_job,
    job_cluster,
    monitoring_job,
    pipeline_definition,
    request_logs,
    retraining_workflow,
)
from ml_blueprints.azure.dashboard import Dashboard
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.drift_check import Look
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.serving import Serving
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Role


class Monitoring(AzureLayer, layers.Monitoring):
    """Telemetry, drift, feedback, retraining and budget on Azure.

    Native resources: `action_group`, `alarms`, `compute` (of the checks), `drift_schedules` (that of the champion of
    all first, then those of tenants), `feedback_schedule`, `usage`, `performance` (None
    unless outcomes come), `drift_workflow`, `drift_topic`, `drift_subscription`, `retraining_schedule` (None unless
    asked for), `budget`, `dashboard` (with its `workbook`).
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        development: Development,
        serving: Serving,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.data, self.development, self.serving = foundation, data, development, serving
        self.place = development.place
        self.alarms: list[monitor.MetricAlert | monitor.ScheduledQueryRule] = []
        self.drift_schedules: list[machinelearningservices.Schedule] = []
        self.performance: machinelearningservices.DataContainer | None = None
        self.drift_workflow: logic.Workflow | None = None
        self.retraining_schedule: machinelearningservices.Schedule | None = None
        self._alerts()
        self._alarms()
        self._jobs()
        self._drift()
        self._feedback()
        self._retraining()
        self._budget()
        self._dashboard()
        self.realise("alarms", *self.alarms)
        self.give(
            alerts=self.action_group.id,
            drift=self.drift_schedules[0].id,
            retraining=[trigger.id for trigger in (self.drift_workflow, self.retraining_schedule) if trigger],
        )

    def _alerts(self) -> None:
        context = self.context
        self.action_group = monitor.ActionGroup(
            context.logical("owner"),
            resource_group_name=self.foundation.group,
            location="Global",
            # At most 12 characters, which begin the subject of mails.
            group_short_name=context.name[:12],
            enabled=True,
            email_receivers=[
                monitor.MicrosoftCommonEmailReceiverArgs(
                    name="owner", email_address=context.workload.owner, use_common_alert_schema=True
                )
            ],
            tags=context.tags,
            opts=self.child(),
        )
        self.realise("alerts", self.action_group)

    def _alarms(self) -> None:
        """Errors and latency of each live deployment, and failed runs of the workspace: scoring, training, monitors."""
        objectives = self.context.workload.monitoring
        for online in self.serving.endpoints:
            whose = f"{online.tenant}-" if online.tenant else ""
            self._log_alarm(
                f"{whose}errors",
                f"More requests of {self.context.workload.name} fail than may",
                alarm_conditions.error_rate(online.endpoint.name, objectives.error_rate_objective),
                often="PT5M",
                window="PT5M",
            )
            live = [container.name for container in online.containers if container.role is not Role.SHADOW]
            if (objective := objectives.latency_objective_ms) is None:
                continue
            for name in live:
                condition = alarm_conditions.latency(name, objective)
                self._metric_alarm(f"latency-{whose}{name}", online.endpoint.id, condition)
        self._error_budget()
        self._metric_alarm("runs-failed", self.development.workspace.id, alarm_conditions.failed_runs())
        if self.data.dead_letter_hub is not None:
            condition = alarm_conditions.messages(self.data.dead_letter_hub.name)
            self._metric_alarm("dead-letters", self.data.namespace.id, condition)
        if (store := self.serving.features.online_store) is not None:
            self._metric_alarm("online-memory", store.cluster.id, alarm_conditions.memory(facts.MEMORY_ALARM))

    def _error_budget(self) -> None:
        """A budget that burns fast pages, for each endpoint, and for the app that is asked first."""
        serving, objective = self.serving, self.context.workload.monitoring.error_rate_objective
        asked = {
            f"{online.tenant}-error-budget" if online.tenant else "error-budget": request_logs.of_endpoint(
                online.endpoint.name,
                [container.name for container in online.containers if container.role is not Role.SHADOW],
            )
            for online in serving.endpoints
        }
        asked |= {f"{app.part}-error-budget": request_logs.of_app(app.container_app.name) for app in serving.apps[-1:]}
        for part, requests in asked.items():
            alarm = self._log_alarm(
                part,
                f"Errors use up the budget of {self.context.workload.name} quickly",
                alarm_conditions.error_budget(requests, objective),
                often="PT5M",
                window=request_logs.WINDOW,
            )
            self.realise("error-budget", alarm)

    def _metric_alarm(
        self,
        part: str,
        scope: pulumi.Input[str],
        criteria: monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs,
    ) -> None:
        context = self.context
        self.alarms.append(
            monitor.MetricAlert(
                context.logical(part),
                resource_group_name=self.foundation.group,
                location="Global",
                description=f"{part} of {context.workload.name}",
                enabled=True,
                severity=1,
                scopes=[scope],
                criteria=criteria,
                evaluation_frequency="PT1M",
                window_size="PT5M",
                auto_mitigate=True,
                actions=[monitor.MetricAlertActionArgs(action_group_id=self.action_group.id)],
                tags=context.tags,
                opts=self.child(),
            )
        )

    def _log_alarm(
        self, part: str, description: str, criteria: monitor.ScheduledQueryRuleCriteriaArgs, often: str, window: str
    ) -> monitor.ScheduledQueryRule:
        context = self.context
        alarm = monitor.ScheduledQueryRule(
            context.logical(part),
            resource_group_name=self.foundation.group,
            location=self.foundation.location,
            kind="LogAlert",
            display_name=f"{context.name}: {part}",
            description=description,
            enabled=True,
            severity=1,
            scopes=[self.foundation.log_workspace.id],
            criteria=criteria,
            evaluation_frequency=often,
            window_size=window,
            auto_mitigate=True,
            # The table is there once an endpoint or a job has written to it.
            skip_query_validation=True,
            actions=monitor.ActionsArgs(action_groups=[self.action_group.id]),
            tags=context.tags,
            opts=self.child(),
        )
        self.alarms.append(alarm)
        return alarm

    def _jobs(self) -> None:
        """Nodes on which monitoring's jobs run, under its identity."""
        data, development = self.data, self.development
        may_run = [*data.grants[Purpose.MONITORING], *development.pulls[Purpose.MONITORING]]
        self.waits = [*may_run, *data.workspace_component.outbound_rules]
        self.looks = list(self._looks())
        self.compute = job_cluster.cluster(
            self.context,
            self.foundation,
            self.place,
            "monitors",
            [Purpose.MONITORING],
            interruptible=False,
            opts=self.child(depends_on=self.waits),
            nodes=len(self.looks),
        )
        self.job = pipeline_definition.Job(
            compute=self.compute.id,
            identity=self.foundation.identities[Purpose.MONITORING],
            environment=development.environment_version.id,
        )

    def _looks(self) -> Iterator[Look]:
        """What the champion of all was asked, and the champions of tenants; or what was scored in batches.

        Those of tenants that share instances are in the champion's container.
        """
        serving, workload = self.serving, self.context.workload
        told = self._labels, self.data.uri(Zone.CURATED, f"{looks.TRAIL}/")
        champion = containers.shared(workload)[0]
        if serving.answers_requests:
            yield Look(workload.champion, serving.asked(champion), *told)
            for model in routing.of_sharing_tenants(workload):
                if model.role is Role.CHAMPION:
                    yield Look(model, serving.asked(champion), *told, tenant=model.tenant)
        else:
            (scored,) = serving.answered
            yield Look(workload.champion, scored, *told, scoring=workload.serving.schedule)
        for tenant, endpoint in serving.dedicated.items():
            own = endpoint.containers[0]
            yield Look(own.models[0], serving.asked(own, tenant), *told, tenant=tenant)

    @property
    def _labels(self) -> str:
        return self.data.uri(Zone.CURATED, f"{looks.LABELS}/")

    def _drift(self) -> None:
        """Our step compares what was captured, or scored in batches, with what the champion was trained on.

        A run that finds something fails, by which the owner is told as of any run that fails. So does one that can't
        look; one that doesn't look is an alarm of its own.
        """
        context, data, drift = self.context, self.data, self.context.workload.monitoring.drift
        for look in self.looks:
            version = data.path(Zone.MODELS, f"{routing.artifact_path(look.model)}/")
            job = look.definition(context, self.job, version, data.path(Zone.CURATED, drift_check.REPORTS))
            self.drift_schedules.append(self._scheduled(look.part, drift.schedule, job))
            silence = self._log_alarm(
                f"{look.part}-silence",
                f"Nothing has looked for drift in what {context.workload.name} was asked",
                alarm_conditions.silence(look.experiment(context)),
                often="PT1H",
                window=alarm_conditions.silence_window(schedules.hours_to_look_back(drift.schedule)),
            )
            self.realise("silence", silence)
        self.realise("drift-detection", *self.drift_schedules)

    def _feedback(self) -> None:
        """Tables of who asked which version how much, and of how good it was; a run that fails is an alarm as above."""
        context, serving = self.context, self.serving
        tables = self.data.uri(Zone.CURATED, f"{looks.TABLES}/")
        real_time = serving.answers_requests
        job = monitoring_job.definition(
            context,
            self.job,
            feedback_job.experiment(context),
            feedback_job.command(context, serving.answered, self._labels, tables, real_time),
            {},
            {},
        )
        feedback = context.workload.monitoring.feedback
        self.feedback_schedule = self._scheduled("feedback", feedback.schedule, job)
        self.usage = self._table("usage", feedback_job.USAGE)
        self.realise("usage", self.usage)
        if feedback.labels_within_days:
            self.performance = self._table("performance", feedback_job.PERFORMANCE)
            self.realise("model-quality", self.feedback_schedule)

    def _scheduled(
        self, name: str, expression: str, job: machinelearningservices.CommandJobArgs
    ) -> machinelearningservices.Schedule:
        return machinelearningservices.Schedule(
            self.context.logical(name),
            name=name,
            properties=pipeline_definition.schedule(self.context, expression, job),
            opts=self.child(depends_on=self.waits),
            **self.place,
        )

    def _table(self, name: str, table: feedback_job.Table) -> machinelearningservices.DataContainer:
        uri = self.data.path(Zone.CURATED, f"{looks.TABLES}/{name}/")
        asset, _ = self.data.catalogued(
            name, name, feedback_job.VERSION, uri, table.description, table.properties(), self.child()
        )
        return asset

    def _retraining(self) -> None:
        """Drift, a schedule or both have the model in use trained again."""
        context, retraining, development = self.context, self.context.workload.retraining, self.development
        if "drift" in retraining.trigger:
            self._drift_events(self._drift_workflow())
        if retraining.schedule:
            job = pipeline_definition.scheduled(development.job, development.retraining_run)
            self.retraining_schedule = machinelearningservices.Schedule(
                context.logical("retraining"),
                name="retraining",
                properties=pipeline_definition.schedule(context, retraining.schedule, job),
                opts=self.child(depends_on=development.ready),
                **self.place,
            )
        self.realise(
            "retraining-trigger", *(trigger for trigger in (self.drift_workflow, self.retraining_schedule) if trigger)
        )

    def _drift_workflow(self) -> pulumi.Output[str]:
        """What starts the retraining pipeline when it is called; returns the address."""
        context, foundation, development = self.context, self.foundation, self.development
        identity = foundation.identities[Purpose.MONITORING]
        may_start = foundation.grant(Purpose.MONITORING, "retraining", development.start_role, development.workspace.id)
        self.drift_workflow = workflow = logic.Workflow(
            context.logical("retraining"),
            resource_group_name=foundation.group,
            location=foundation.location,
            state=logic.WorkflowState.ENABLED,
            identity=logic.ManagedServiceIdentityArgs(
                type=logic.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[identity]
            ),
            definition=retraining_workflow.definition(
                development.workspace.id,
                identity,
                pipeline_definition.requested(development.job, development.retraining_run),
            ),
            tags=context.tags,
            opts=self.child(depends_on=[*may_start, *development.ready]),
        )
        foundation.keep_logs("retraining", workflow)
        # The address holds a signature, by which the workflow knows who calls.
        return logic.list_workflow_trigger_callback_url_output(
            resource_group_name=foundation.group,
            workflow_name=workflow.name,
            trigger_name=retraining_workflow.TRIGGER,
            opts=pulumi.InvokeOutputOptions(parent=self, depends_on=[workflow]),
        ).value

    def _drift_events(self, address: pulumi.Output[str]) -> None:
        """Event Grid tells the workflow, by its address, of reports after which training anew would help."""
        context, foundation = self.context, self.foundation
        identity = foundation.identities[Purpose.MONITORING]
        self.drift_topic = eventgrid.SystemTopic(
            context.logical("drift"),
            resource_group_name=foundation.group,
            location=foundation.location,
            source=self.data.account.id,
            topic_type="Microsoft.Storage.StorageAccounts",
            identity=eventgrid.IdentityInfoArgs(
                type=eventgrid.IdentityType.USER_ASSIGNED,
                user_assigned_identities=pulumi.Output.from_input(identity).apply(
                    lambda id_: {id_: eventgrid.UserIdentityPropertiesArgs()}
                ),
            ),
            tags=context.tags,
            opts=self.child(),
        )
        self.drift_subscription = eventgrid.SystemTopicEventSubscription(
            context.logical("drift"),
            resource_group_name=foundation.group,
            system_topic_name=self.drift_topic.name,
            event_delivery_schema=eventgrid.EventDeliverySchema.EVENT_GRID_SCHEMA,
            destination=eventgrid.WebHookEventSubscriptionDestinationArgs(
                endpoint_type="WebHook",
                endpoint_url=pulumi.Output.secret(address),
                max_events_per_batch=1,
                minimum_tls_version_allowed=eventgrid.TlsVersion.TLS_VERSION_1_2,
            ),
            # What the workflow doesn't take for a day is kept; the lake lets services of Azure in that are trusted.
            # https://learn.microsoft.com/azure/event-grid/dead-letter-event-delivery-managed-identity
            dead_letter_with_resource_identity=eventgrid.DeadLetterWithResourceIdentityArgs(
                identity=eventgrid.EventSubscriptionIdentityArgs(
                    type=eventgrid.EventSubscriptionIdentityType.USER_ASSIGNED, user_assigned_identity=identity
                ),
                dead_letter_destination=eventgrid.StorageBlobDeadLetterDestinationArgs(
                    endpoint_type="StorageBlob",
                    resource_id=self.data.account.id,
                    blob_container_name=self.data.containers[Zone.CURATED].name,
                ),
            ),
            filter=eventgrid.EventSubscriptionFilterArgs(
                included_event_types=[facts.WRITTEN_EVENT],
                subject_begins_with=f"/blobServices/default/containers/{Zone.CURATED}/blobs/{drift_check.REPORTS}",
                subject_ends_with=f"/{drift_check.RETRAIN}",
                advanced_filters=[
                    eventgrid.StringInAdvancedFilterArgs(
                        operator_type="StringIn", key="data.api", values=[*facts.WRITTEN_CALLS]
                    )
                ],
            ),
            opts=self.child(depends_on=self.data.grants[Purpose.MONITORING]),
        )

    def _budget(self) -> None:
        """Spending of the platform's resource group, in the currency of the subscription's bill.

        A budget begins with a month that isn't over when it is made, and keeps its beginning
        (https://learn.microsoft.com/rest/api/consumption/budgets/create-or-update).
        """
        context, budget = self.context, self.context.workload.budget
        self.budget = consumption.Budget(
            context.logical("budget"),
            scope=self.foundation.resource_group.id,
            amount=context.monthly_usd,
            category=consumption.CategoryType.COST,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(start_date=f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z"),
            notifications={
                f"percent-{percent}": consumption.NotificationArgs(
                    enabled=True,
                    operator=consumption.OperatorType.GREATER_THAN,
                    threshold=percent,
                    threshold_type=consumption.ThresholdType.FORECASTED
                    if percent == 100
                    else consumption.ThresholdType.ACTUAL,
                    contact_emails=[context.workload.owner],
                    contact_groups=[self.action_group.id],
                )
                for percent in budget.alert_percent
            },
            opts=self.child(ignore_changes=["timePeriod"]),
        )
        self.realise("budget", self.budget)

    def _dashboard(self) -> None:
        self.dashboard = Dashboard(
            self.context,
            self.foundation,
            self.data,
            self.serving,
            self.development.workspace.id,
            [look.experiment(self.context) for look in self.looks],
            opts=self.child(),
        )
        self.realise("dashboard", self.dashboard.workbook)
