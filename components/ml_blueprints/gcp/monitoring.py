"""The monitoring layer on Google Cloud: alarms, a scheduled drift check, what starts training again, and the budget."""

from urllib.parse import quote

import pulumi
from pulumi_gcp import billing, cloudscheduler, eventarc, monitoring, pubsub, workflows

from ml_blueprints import layers, routing, schedules
from ml_blueprints.gcp import alarm_conditions, facts, pipeline_definition
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.serving import Serving
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# Where the drift check leaves what it found, in the curated zone.
DRIFT_REPORT = "drift/drift.json"

# How long an event may wait for the processor, and for the archive, before somebody is told.
PROCESSED_SECONDS = 60
ARCHIVED_SECONDS = 600


class Monitoring(layers.Monitoring):
    """Telemetry, drift, retraining and budget on Google Cloud.

    Native resources: `channel`, `alarms`, `drift_topic`, `drift_pipeline`, `drift_schedule`, `drift_trigger`,
    `retraining_schedule` (None unless asked for), `budget`.
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
        self.drift_trigger: eventarc.Trigger | None = None
        self.retraining_schedule: cloudscheduler.Job | None = None
        self._alerts()
        self._alarms()
        self._drift()
        self._retraining()
        self._budget()
        self.give(
            alerts=self.channel.id,
            drift=self.drift_schedule.id,
            retraining=[trigger.id for trigger in (self.drift_trigger, self.retraining_schedule) if trigger],
        )

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
        if (service := self.serving.real_time) is not None:
            self._alarm("errors", alarm_conditions.error_rate(service.name, error_rate))
            if latency_ms:
                self._alarm("latency", alarm_conditions.latency(service.name, latency_ms))
        elif (online := self.serving.online) is not None:
            self._alarm("errors", alarm_conditions.endpoint_error_rate(online.endpoint.name, error_rate))
            if latency_ms:
                self._alarm("latency", alarm_conditions.endpoint_latency(online.endpoint.name, latency_ms))

    def _alarm(self, part: str, condition: monitoring.AlertPolicyConditionArgs) -> None:
        context = self.context
        self.alarms.append(
            monitoring.AlertPolicy(
                context.logical(part),
                display_name=f"{context.name}: {part}",
                combiner="OR",
                conditions=[condition],
                notification_channels=[self.channel.id],
                severity="ERROR",
                user_labels=context.tags,
                opts=self.child(),
            )
        )

    def _drift(self) -> None:
        """A job compares what was captured with what the champion was trained on; what drifted is published."""
        context, foundation = self.context, self.foundation
        self.drift_topic = pubsub.Topic(
            context.logical("drift"),
            kms_key_name=foundation.key,
            message_storage_policy=pubsub.TopicMessageStoragePolicyArgs(
                allowed_persistence_regions=[foundation.region], enforce_in_transit=True
            ),
            labels=context.tags,
            opts=self.child(depends_on=foundation.ready),
        )
        may_publish = pubsub.TopicIAMMember(
            context.logical("drift"),
            topic=self.drift_topic.name,
            role=facts.ROLE_PUBLISHER,
            member=foundation.member(Purpose.MONITORING),
            opts=self.child(),
        )
        report = self.data.buckets[Zone.CURATED].name.apply(
            lambda bucket: facts.OBJECTS_URL.format(bucket=bucket, path=quote(DRIFT_REPORT, safe=""))
        )
        self.drift_pipeline = workflows.Workflow(
            context.logical("drift"),
            region=foundation.region,
            description=f"Looks for drift in what {context.workload.name} was asked",
            service_account=foundation.identities[Purpose.MONITORING],
            source_contents=pipeline_definition.run_and_publish(
                self.development.job, self._drift_check(), report, self.drift_topic.id
            ),
            crypto_key_name=foundation.key,
            call_log_level="LOG_ERRORS_ONLY",
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(
                depends_on=[
                    may_publish,
                    *foundation.act_as(Purpose.MONITORING, Purpose.MONITORING),
                    *self.data.grants[Purpose.MONITORING],
                ]
            ),
        )
        self.drift_schedule = self._schedule("drift", context.workload.monitoring.drift.schedule, self.drift_pipeline)
        self._alarm("drift", alarm_conditions.messages(self.drift_topic.name))
        # A check that fails finds nothing, as one does that finds no drift.
        self._alarm("drift-failed", alarm_conditions.failed_runs(self.drift_pipeline.name))
        self.realise("drift-detection", self.drift_schedule)

    def _drift_check(self) -> pipeline_definition.Run:
        context, zones, drift = self.context, self.data.zones, self.context.workload.monitoring.drift
        champion = routing.artifact_path(context.workload.champion)
        captures = self.serving.online or self.serving.scorer
        window = "/captured/requests" if captures else "/predictions"
        return pipeline_definition.Run(
            name=f"{context.name}-drift",
            command=facts.COMMANDS["drift"],
            identity=self.foundation.identities[Purpose.MONITORING],
            destination=pulumi.Output.concat(zones[Zone.CURATED], "/drift"),
            arguments=[
                "--task",
                context.workload.name,
                "--baseline",
                pulumi.Output.concat(_mounted(zones[Zone.MODELS]), f"/{champion}/drift_baseline.json"),
                "--window",
                pulumi.Output.concat(_mounted(zones[Zone.CURATED]), window),
                "--hours",
                str(
                    schedules.hours_to_look_back(
                        drift.schedule, None if captures else context.workload.serving.schedule
                    )
                ),
                "--metric",
                drift.metric,
                "--threshold",
                str(drift.threshold),
                "--to",
                pulumi.Output.concat(_mounted(zones[Zone.CURATED]), f"/{DRIFT_REPORT}"),
                "--branch",
            ],
        )

    def _schedule(self, part: str, schedule: str, pipeline: workflows.Workflow) -> cloudscheduler.Job:
        return cloudscheduler.Job(
            self.context.logical(part),
            region=self.foundation.region,
            description=f"{part} of {self.context.workload.name}",
            schedule=schedule,
            time_zone="Etc/UTC",
            http_target=pipeline_definition.start(pipeline.id, self.foundation.identities[Purpose.MONITORING]),
            retry_config=cloudscheduler.JobRetryConfigArgs(retry_count=3),
            opts=self.child(),
        )

    def _retraining(self) -> None:
        """Drift, a schedule or both start the retraining pipeline."""
        context, retraining = self.context, self.context.workload.retraining
        if "drift" in retraining.trigger:
            self.drift_trigger = eventarc.Trigger(
                context.logical("retraining"),
                location=self.foundation.region,
                matching_criterias=[
                    eventarc.TriggerMatchingCriteriaArgs(
                        attribute="type", value="google.cloud.pubsub.topic.v1.messagePublished"
                    )
                ],
                transport=eventarc.TriggerTransportArgs(
                    pubsub=eventarc.TriggerTransportPubsubArgs(topic=self.drift_topic.id)
                ),
                destination=eventarc.TriggerDestinationArgs(workflow=self.development.retraining),
                service_account=self.foundation.identities[Purpose.MONITORING],
                labels=context.tags,
                opts=self.child(),
            )
        if retraining.schedule:
            self.retraining_schedule = self._schedule(
                "retraining", retraining.schedule, self.development.retraining_pipeline
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


def _mounted(bucket: pulumi.Output[str]) -> pulumi.Output[str]:
    """Where jobs of Vertex AI see a bucket. https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system"""
    return bucket.apply(lambda url: f"/gcs/{url.removeprefix('gs://')}")
