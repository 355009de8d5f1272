"""The monitoring layer on Google Cloud: alarms, drift, feedback, what starts training again, budget and dashboard."""

from collections.abc import Sequence

import pulumi
from pulumi_gcp import billing, cloudscheduler, eventarc, logging, monitoring, projects, pubsub

from ml_blueprints import layers, schedules
from ml_blueprints.gcp import (
    alarm_conditions,
    dashboard,
    drift_check,
    facts,
    metrics,
    pipeline_definition,
    scheduled_run,
)
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.error_budget import ErrorBudget
from ml_blueprints.gcp.feedback import PERFORMANCE, USAGE, Feedback
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.scheduled_run import ScheduledRun
from ml_blueprints.gcp.serving import Serving
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Mode

# How long an event may wait for the processor, and for the archive, before somebody is told.
PROCESSED_SECONDS = 60
ARCHIVED_SECONDS = 600


class Monitoring(layers.Monitoring):
    """Telemetry, drift, retraining and budget on Google Cloud.

    Native resources: `channel`, `alarms`, `drift_topic`, `drift_runs` (a workflow and its schedule for the champion of
    all, and for each tenant with machines or versions of its own), of which the first is `drift_pipeline` and
    `drift_schedule`; `feedback` with its run and tables; `error_budget` where requests are answered;
    `retraining_topic`, `drift_trigger` and `retraining_schedule` (None unless asked for), `budget`; `changes` (lines of
    the event processor's log, where it scores), `dashboard`, `audit_configs`.
    """

    cloud = "gcp"

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
        self.alarms: list[monitoring.AlertPolicy] = []
        self.drift_runs: list[ScheduledRun] = []
        self.may_run = [
            *foundation.act_as(Purpose.MONITORING, Purpose.MONITORING),
            *data.grants[Purpose.MONITORING],
        ]
        self.error_budget: ErrorBudget | None = None
        self.changes: logging.Metric | None = None
        self.retraining_topic: pubsub.Topic | None = None
        self.drift_trigger: eventarc.Trigger | None = None
        self.retraining_schedule: cloudscheduler.Job | None = None
        self._alerts()
        self._alarms()
        self._drift()
        self._feedback()
        self._retraining()
        self._budget()
        self._stream_watch()
        self._dashboard()
        self._audit_trail()
        self.give(
            alerts=self.channel.id,
            drift=self.drift_schedule.id,
            retraining=[trigger.id for trigger in (self.drift_trigger, self.retraining_schedule) if trigger],
        )

    @property
    def captures(self) -> bool:
        """Whether what is asked is kept as it comes; else batches leave what they scored."""
        return bool(self.serving.online or self.serving.scorer)

    def _alerts(self) -> None:
        context = self.context
        self.channel = monitoring.NotificationChannel(
            context.logical("owner"),
            type="email",
            display_name=f"{context.name}: owner",
            labels={"email_address": context.workload.owner},
            user_labels=context.tags,
            opts=self.child(depends_on=self.foundation.ready),
        )
        self.realise("alerts", self.channel)

    def _alarms(self) -> None:
        """Errors and latency of the endpoint, failed runs of jobs, events that wait and those that nobody could use."""
        objectives = self.context.workload.monitoring
        self._alarm("features-failed", alarm_conditions.failed_runs(self.serving.features.feature_pipeline.name))
        self._alarm("training-failed", alarm_conditions.failed_runs(self.development.training_pipeline.name))
        self._alarm("retraining-failed", alarm_conditions.failed_runs(self.development.retraining_pipeline.name))
        self._answers(objectives.error_rate_objective, objectives.latency_objective_ms)
        if self.serving.batch_pipeline is not None:
            self._alarm("batch-failed", alarm_conditions.failed_runs(self.serving.batch_pipeline.name))
        if self.data.dead_letter_topic is not None:
            self._alarm("dead-letters", alarm_conditions.messages(self.data.dead_letter_topic.name))
        if self.serving.event_source is not None:
            self._alarm("archive-behind", alarm_conditions.waiting(self.data.archive.name, ARCHIVED_SECONDS))
            self._alarm("events-behind", alarm_conditions.waiting(self.serving.event_source.name, PROCESSED_SECONDS))
        self.realise("alarms", *self.alarms)

    def _answers(self, error_rate: float, latency_ms: int | None) -> None:
        """What whoever asks gets: from the service that is asked, or from the endpoint where nothing is before it."""
        requests = self._requests()
        if requests is None:
            return
        self._alarm("errors", alarm_conditions.error_rate(requests, error_rate))
        if latency_ms:
            self._alarm("latency", alarm_conditions.latency(requests, latency_ms))
        if "real-time-scoring" in self.context.register.asked:
            self.error_budget = ErrorBudget(self.context, self.foundation, requests, opts=self.child())
            self._alarm("error-budget", *self.error_budget.conditions)
            self.realise("error-budget", self.error_budget.objective)

    def _requests(self) -> metrics.Requests | None:
        if (service := self.serving.real_time) is not None:
            return metrics.of_service(service.name)
        return metrics.of_endpoint(self.serving.online.endpoint.name) if self.serving.online else None

    def _alarm(self, part: str, *conditions: monitoring.AlertPolicyConditionArgs) -> monitoring.AlertPolicy:
        """An alarm while all conditions hold."""
        context = self.context
        alarm = monitoring.AlertPolicy(
            context.logical(part),
            display_name=f"{context.name}: {part}",
            combiner="AND",
            conditions=list(conditions),
            notification_channels=[self.channel.id],
            severity="ERROR",
            user_labels=context.tags,
            opts=self.child(),
        )
        self.alarms.append(alarm)
        return alarm

    def _drift(self) -> None:
        """A job compares what was captured with what the champion was trained on; what drifted is published.

        Where it decides to train again, that is published, too: which drift is worth it isn't every one that is told.
        """
        context = self.context
        self.drift_topic, may_tell = self._topic("drift")
        may_publish = [may_tell]
        if "drift" in context.workload.retraining.trigger:
            self.retraining_topic, may_start = self._topic("retraining")
            may_publish.append(may_start)
        for check in drift_check.of_workload(context.workload, self.captures):
            # Training anew is for the champion of all: of a tenant's the owner is told, and decides.
            topics = (self.drift_topic, self.retraining_topic) if check.tenant is None else (None, None)
            self.drift_runs.append(self._look(check, may_publish, *topics))
        self.drift_pipeline, self.drift_schedule = self.drift_runs[0].workflow, self.drift_runs[0].schedule
        self._alarm("drift", alarm_conditions.messages(self.drift_topic.name))
        self.realise("drift-detection", *(run.schedule for run in self.drift_runs))

    def _topic(self, part: str) -> tuple[pubsub.Topic, pubsub.TopicIAMMember]:
        """A topic to which monitoring publishes, and its right to do so."""
        context, foundation = self.context, self.foundation
        topic = pubsub.Topic(
            context.logical(part),
            kms_key_name=foundation.key,
            message_storage_policy=pubsub.TopicMessageStoragePolicyArgs(
                allowed_persistence_regions=[foundation.region], enforce_in_transit=True
            ),
            labels=context.tags,
            opts=self.child(depends_on=foundation.ready),
        )
        return topic, pubsub.TopicIAMMember(
            context.logical(part),
            topic=topic.name,
            role=facts.ROLE_PUBLISHER,
            member=foundation.member(Purpose.MONITORING),
            opts=self.child(),
        )

    def _look(
        self,
        check: drift_check.Check,
        may_publish: Sequence[pulumi.Resource],
        topic: pubsub.Topic | None,
        retraining: pubsub.Topic | None,
    ) -> ScheduledRun:
        """A check that fails, or doesn't come to its end any more, finds nothing, as one does that finds no drift."""
        context, foundation, zones = self.context, self.foundation, self.data.zones
        run = pipeline_definition.Run(
            name=f"{context.name}-{check.part}",
            command=facts.COMMANDS["drift"],
            identity=foundation.identities[Purpose.MONITORING],
            destination=pulumi.Output.concat(zones[Zone.CURATED], "/drift"),
            arguments=drift_check.arguments(check, context, zones, self.captures),
        )
        report = check.report_url(self.data.buckets[Zone.CURATED].name)
        source = pipeline_definition.run_check(
            self.development.job,
            run,
            report,
            topic.id if topic else None,
            retraining.id if retraining else None,
        )
        asked = f"what {context.workload.name} was asked" + (f" by {check.tenant}" if check.tenant else "")
        looks = ScheduledRun(
            check.part,
            context,
            foundation,
            f"Looks for drift in {asked}",
            context.workload.monitoring.drift.schedule,
            source,
            [*may_publish, *self.may_run],
            opts=self.child(),
        )
        self._alarm(f"{check.part}-failed", alarm_conditions.failed_runs(looks.workflow.name))
        hours = schedules.hours_to_look_back(context.workload.monitoring.drift.schedule)
        self.realise(
            "silence", self._alarm(f"{check.part}-silence", alarm_conditions.no_run(looks.workflow.name, hours))
        )
        return looks

    def _feedback(self) -> None:
        """Who asked which version how much, and what came of it, are tables that a job writes anew each day."""
        self.feedback = Feedback(
            self.context, self.foundation, self.data, self.development, self.captures, self.may_run, opts=self.child()
        )
        self._alarm("feedback-failed", alarm_conditions.failed_runs(self.feedback.run.workflow.name))
        self.realise("usage", self.feedback.tables[USAGE])
        if PERFORMANCE in self.feedback.tables:
            self.realise("model-quality", self.feedback.run.schedule)

    def _retraining(self) -> None:
        """Drift, a schedule or both start the retraining pipeline."""
        context, retraining = self.context, self.context.workload.retraining
        if self.retraining_topic is not None:
            self.drift_trigger = eventarc.Trigger(
                context.logical("retraining"),
                location=self.foundation.region,
                matching_criterias=[
                    eventarc.TriggerMatchingCriteriaArgs(
                        attribute="type", value="google.cloud.pubsub.topic.v1.messagePublished"
                    )
                ],
                transport=eventarc.TriggerTransportArgs(
                    pubsub=eventarc.TriggerTransportPubsubArgs(topic=self.retraining_topic.id)
                ),
                destination=eventarc.TriggerDestinationArgs(workflow=self.development.retraining),
                service_account=self.foundation.identities[Purpose.MONITORING],
                labels=context.tags,
                opts=self.child(),
            )
        if retraining.schedule:
            self.retraining_schedule = scheduled_run.starts(
                "retraining",
                context,
                self.foundation,
                self.development.retraining_pipeline,
                retraining.schedule,
                f"Trains {context.workload.name} again",
                self.child(),
            )
        self.realise(
            "retraining-trigger", *(trigger for trigger in (self.drift_trigger, self.retraining_schedule) if trigger)
        )

    def _budget(self) -> None:
        """Spending of everything that carries the workload's label."""
        context, budget = self.context, self.context.workload.budget
        self.budget = billing.Budget(
            context.logical("budget"),
            billing_account=self.foundation.billing_account,
            display_name=f"{context.name}-{context.token}",
            amount=billing.BudgetAmountArgs(
                specified_amount=billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code="USD", units=str(context.monthly_usd)
                )
            ),
            budget_filter=billing.BudgetBudgetFilterArgs(
                projects=[pulumi.Output.concat("projects/", self.foundation.project_number)],
                labels={"workload": context.workload.name},
                calendar_period="MONTH",
            ),
            threshold_rules=[
                billing.BudgetThresholdRuleArgs(
                    threshold_percent=percent / 100,
                    spend_basis="FORECASTED_SPEND" if percent == 100 else "CURRENT_SPEND",
                )
                for percent in budget.alert_percent
            ],
            all_updates_rule=billing.BudgetAllUpdatesRuleArgs(
                monitoring_notification_channels=[self.channel.id], disable_default_iam_recipients=True
            ),
            opts=self.child(),
        )
        self.realise("budget", self.budget)

    def _stream_watch(self) -> None:
        """What the event processor says of changes in the stream is counted; nobody is woken by it."""
        context, processor = self.context, self.serving.stream_processor
        if Mode.STREAM not in self.serving.modes or processor is None:
            return
        self.changes = logging.Metric(
            context.logical("changes"),
            description=f"Changes that the watch over the stream of {context.workload.name} found",
            filter=processor.name.apply(
                lambda name: (
                    f'resource.type="{metrics.REVISION}" AND resource.labels.service_name="{name}" '
                    f'AND textPayload:"{facts.CHANGE_LINE}"'
                )
            ),
            metric_descriptor=logging.MetricMetricDescriptorArgs(metric_kind="DELTA", value_type="INT64"),
            opts=self.child(),
        )

    def _dashboard(self) -> None:
        context, foundation = self.context, self.foundation
        console, project = "https://console.cloud.google.com", foundation.project
        links = {
            "Spending": pulumi.Output.concat(console, "/billing/", foundation.billing_account, "/budgets"),
            "Drift, as it was found last": pulumi.Output.concat(
                console, "/storage/browser/_details/", self.data.buckets[Zone.CURATED].name, "/drift/drift.json"
            ),
            "Usage and performance": pulumi.Output.concat(
                console, "/bigquery?page=dataset&p=", project, "&d=", self.feedback.dataset.dataset_id
            ),
        }
        alarms = [alarm.name for alarm in self.alarms]
        self.dashboard = monitoring.Dashboard(
            context.logical("dashboard"),
            dashboard_json=dashboard.page(context.name, self._charts(), alarms, links, context.tags),
            opts=self.child(),
        )
        self.realise("dashboard", self.dashboard)

    def _charts(self) -> list[dashboard.Chart]:
        serving, data = self.serving, self.data
        charts: list[dashboard.Chart] = []
        if requests := self._requests():
            # A router hides which version of the endpoint behind it answers.
            behind = [serving.online, *serving.dedicated.values()] if serving.online else []
            asked = [metrics.of_endpoint(one.endpoint.name) for one in behind] or [requests]
            charts += dashboard.of_requests(asked)
        if serving.event_source is not None:
            charts.append(dashboard.of_waiting([data.archive.name, serving.event_source.name]))
        if data.dead_letter_topic is not None:
            charts.append(dashboard.of_messages("Dead letters", data.dead_letter_topic.name))
        pipelines = [
            serving.features.feature_pipeline,
            self.development.training_pipeline,
            self.development.retraining_pipeline,
            serving.batch_pipeline,
            self.feedback.run.workflow,
        ]
        charts.append(dashboard.of_runs("Runs that ended", [one.name for one in pipelines if one is not None]))
        charts.append(dashboard.of_runs("Looks for drift", [run.workflow.name for run in self.drift_runs]))
        charts.append(dashboard.of_messages("Drift that was found", self.drift_topic.name))
        if self.changes is not None:
            by = ("resource.label.revision_name",)
            charts.append(
                dashboard.Chart("Changes in the stream", [dashboard.Line(metrics.logged(self.changes.name), by=by)])
            )
        return charts

    def _audit_trail(self) -> None:
        """Who read and who wrote, nobody exempted, in the platform's log bucket for as long as logs are kept.

        A project has one configuration for each service: stacks that share a project write the same.
        """
        self.audit_configs = [
            projects.IAMAuditConfig(
                self.context.logical(f"audit-{service}"),
                project=self.foundation.project,
                service=f"{service}.googleapis.com",
                audit_log_configs=[
                    projects.IAMAuditConfigAuditLogConfigArgs(log_type=log_type) for log_type in facts.AUDITED
                ],
                opts=self.child(depends_on=[self.foundation.log_sink]),
            )
            for service in facts.AUDITED_SERVICES
        ]
        self.realise("audit-trail", *self.audit_configs)
