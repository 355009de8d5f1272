"""The monitoring layer on AWS: alarms, looks for drift in what was captured, what starts training again, the budget."""

import json
from collections.abc import Mapping, Sequence

import pulumi
from pulumi_aws import budgets, cloudwatch, costexplorer, lambda_, sagemaker, scheduler, sns

from ml_blueprints import layers, looks, routing, schedules
from ml_blueprints.aws import dashboard, drift_check, fleets, policy, scheduled_step
from ml_blueprints.aws.audit_trail import AuditTrail
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.endpoint import ANSWERED, Endpoint
from ml_blueprints.aws.error_budget import ErrorBudget
from ml_blueprints.aws.feedback import Feedback
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.scheduled_step import ScheduledStep, Step
from ml_blueprints.aws.serving import Serving
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Inference, Model, Role

# How long an event may wait for the processor, and for the archive (which collects events), before somebody is told.
PROCESSED_SECONDS = 60
ARCHIVED_SECONDS = 600

# Hours beyond its interval that a look for drift may take before it counts as silent.
LATE_HOURS = 2


# Which part of a month's budget must be lost before an anomaly of spending is told.
ANOMALY_PART = 20


class Monitoring(layers.Monitoring):
    """Telemetry, drift, retraining and budget on AWS.

    Native resources: `topic`, `subscription`, `alarms`, `error_budgets`, `features_rule`, `drift_checks` by tenant
    (None: of all that have no instances of their own; its schedule is `drift_schedule`), `drift_rule`, `failure_rule`,
    `silence`, `feedback`, `retraining_rule`, `retraining_target` and `retraining_schedule` (None unless asked for),
    `budget`.
    """

    cloud = "aws"

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
        self.retraining_rule: cloudwatch.EventRule | None = None
        self.retraining_target: cloudwatch.EventTarget | None = None
        self.retraining_schedule: scheduler.Schedule | None = None
        self._alerts()
        self._alarms()
        self._error_budgets()
        self._features()
        scheduled_step.may_run(foundation)
        self._drift()
        self._silence()
        self._feedback()
        self._retraining()
        self._budget()
        self._anomalies()
        self._dashboard()
        self.audit_trail = AuditTrail(context, foundation, data, opts=self.child())
        self.realise("audit-trail", self.audit_trail.trail)
        self.give(
            alerts=self.topic.arn,
            drift=self.drift_schedule.arn,
            retraining=[trigger.arn for trigger in self._triggers()],
        )

    def _alerts(self) -> None:
        context = self.context
        self.topic = sns.Topic(
            context.logical("alerts"), kms_master_key_id=self.foundation.key, tags=context.tags, opts=self.child()
        )
        sns.TopicPolicy(
            context.logical("alerts"),
            arn=self.topic.arn,
            policy=policy.document(
                policy.allow_service(
                    ["cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"],
                    ["sns:Publish"],
                    self.topic.arn,
                    StringEquals={"aws:SourceAccount": self.foundation.account},
                )
            ),
            opts=self.child(),
        )
        self.subscription = sns.TopicSubscription(
            context.logical("owner"),
            topic=self.topic.arn,
            protocol="email",
            endpoint=context.workload.owner,
            opts=self.child(),
        )
        self.realise("alerts", self.subscription)

    def _alarms(self) -> None:
        """Errors and latency of each live variant and the router, failed runs of jobs, events that wait or are lost."""
        self.alarms: list[cloudwatch.MetricAlarm] = []
        for endpoint in self.serving.endpoints.values():
            self._endpoint_alarms(endpoint)
        if self.serving.router is not None:
            for metric in ("Errors", "Throttles"):
                self.alarms.append(
                    self._alarm(
                        f"router-{metric.lower()}",
                        "AWS/Lambda",
                        metric,
                        {"FunctionName": self.serving.router.function.name},
                        threshold=0,
                        statistic="Sum",
                    )
                )
        for name, pipeline in self._unwatched_runs().items():
            self.alarms.append(self._failed_runs(name, pipeline))
        if self.data.dead_letter_queue is not None:
            self.alarms.append(
                self._alarm(
                    "dead-letters",
                    "AWS/SQS",
                    "ApproximateNumberOfMessagesVisible",
                    {"QueueName": self.data.dead_letter_queue.name},
                    threshold=0,
                    statistic="Maximum",
                )
            )
        if self.serving.stream_processor is not None:
            self._stream_alarms(self.serving.stream_processor)
        self.realise("alarms", *self.alarms)

    def _failed_runs(self, name: str, pipeline: sagemaker.Pipeline) -> cloudwatch.MetricAlarm:
        return self._alarm(
            f"{name}-failed",
            dashboard.RUNS,
            "ExecutionFailed",
            {"PipelineName": pipeline.pipeline_name},
            threshold=0,
            statistic="Sum",
        )

    def _endpoint_alarms(self, endpoint: Endpoint) -> None:
        monitoring = self.context.workload.monitoring
        for variant in endpoint.fleet.live:
            dimensions = {"EndpointName": endpoint.endpoint.name, "VariantName": variant.name}
            self.alarms.append(
                self._alarm(
                    f"{endpoint.fleet.part('errors')}-{variant.name}",
                    "AWS/SageMaker",
                    "Invocation5XXErrors",
                    dimensions,
                    threshold=monitoring.error_rate_objective,
                    statistic="Average",
                )
            )
            if monitoring.latency_objective_ms:
                self.alarms.append(
                    self._alarm(
                        f"{endpoint.fleet.part('latency')}-{variant.name}",
                        "AWS/SageMaker",
                        "ModelLatency",
                        dimensions,
                        # SageMaker counts in microseconds.
                        threshold=monitoring.latency_objective_ms * 1000,
                        extended_statistic="p99",
                    )
                )

    def _stream_alarms(self, processor: lambda_.Function) -> None:
        """How long events wait for the processor and for the archive.

        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html and
        https://docs.aws.amazon.com/firehose/latest/dev/monitoring-with-cloudwatch-metrics.html
        """
        self.alarms.append(
            self._alarm(
                "events-behind",
                "AWS/Lambda",
                "IteratorAge",
                {"FunctionName": processor.name},
                # Lambda counts in milliseconds.
                threshold=PROCESSED_SECONDS * 1000,
                statistic="Maximum",
            )
        )
        self.alarms.append(
            self._alarm(
                "archive-behind",
                "AWS/Firehose",
                "DeliveryToS3.DataFreshness",
                {"DeliveryStreamName": self.serving.archive.delivery.name},
                threshold=ARCHIVED_SECONDS,
                statistic="Maximum",
            )
        )

    def _error_budgets(self) -> None:
        """Of each endpoint that is asked for answers at once; those of a queue may be asked for again."""
        self.error_budgets: list[ErrorBudget] = []
        if self.context.workload.serving.inference is Inference.ASYNCHRONOUS:
            return
        for endpoint in self.serving.endpoints.values():
            self.error_budgets.append(ErrorBudget(self.context, endpoint, self.topic.arn, opts=self.child()))
            self.realise("error-budget", self.error_budgets[-1].burning)

    def _features(self) -> None:
        """EMR Serverless tells of each run and how it ended; one that takes too long is cancelled.

        https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/using-eventbridge.html
        """
        self.features_rule = self._tell(
            "features-failed",
            "Features could not be computed",
            pulumi.Output.json_dumps(
                {
                    "source": ["aws.emr-serverless"],
                    "detail-type": ["EMR Serverless Job Run State Change"],
                    "detail": {"applicationId": [self.data.spark.id], "state": ["FAILED", "CANCELLED"]},
                }
            ),
        )

    def _alarm(
        self,
        name: str,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, pulumi.Input[str]],
        threshold: float,
        statistic: str | None = None,
        extended_statistic: str | None = None,
    ) -> cloudwatch.MetricAlarm:
        return cloudwatch.MetricAlarm(
            self.context.logical(name),
            namespace=namespace,
            metric_name=metric,
            dimensions=dimensions,
            threshold=threshold,
            statistic=statistic,
            extended_statistic=extended_statistic,
            period=300,
            evaluation_periods=1,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self.context.tags,
            opts=self.child(),
        )

    def _drift(self) -> None:
        """Our step compares what was captured with the baseline that training left beside the champion.

        What a tenant with instances or a version of its own asks is compared apart. Drift is told, and that of all
        starts training again where the workload says so; broken or absent data are told, as is a step that fails.
        """
        self.drift_checks = {tenant: self._drift_check(tenant) for tenant in self._apart()}
        of_all, *of_tenants = self.drift_checks.values()
        self.drift_schedule = of_all.schedule
        self.drift_rule = self._tell(
            "drift", "What is asked has drifted", self._run_ended([of_all], [drift_check.DRIFTED, drift_check.RETRAIN])
        )
        if of_tenants:
            self._tell(
                "drift-tenants",
                "What a tenant asks has drifted",
                self._run_ended(of_tenants, [drift_check.DRIFTED]),
            )
        # A look that fails finds nothing, as one does that finds no drift.
        self.failure_rule = self._tell(
            "drift-failed",
            "No look for drift: the data are broken or absent, or the step failed",
            self._run_ended([of_all, *of_tenants], [drift_check.BROKEN, drift_check.LOOK]),
        )
        self.realise("drift-detection", *(check.schedule for check in self.drift_checks.values()))

    def _silence(self) -> None:
        """A look that doesn't end in time, however it ends, is an alarm: of looks that never began nobody else tells.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html: periods of an hour may
        be as many as a week has.
        """
        hours = schedules.hours_to_look_back(self.context.workload.monitoring.drift.schedule) + LATE_HOURS
        self.silence = [
            self._silent(_part("drift-silence", tenant), check.pipeline, hours)
            for tenant, check in self.drift_checks.items()
        ]
        self.realise("silence", *self.silence)

    def _silent(self, part: str, pipeline: sagemaker.Pipeline, hours: int) -> cloudwatch.MetricAlarm:
        ended = [
            cloudwatch.MetricAlarmMetricQueryArgs(
                id=metric.lower(),
                metric=cloudwatch.MetricAlarmMetricQueryMetricArgs(
                    namespace=dashboard.RUNS,
                    metric_name=f"Execution{metric}",
                    dimensions={"PipelineName": pipeline.pipeline_name},
                    stat="Sum",
                    period=3600,
                ),
            )
            for metric in ("Succeeded", "Failed")
        ]
        runs = cloudwatch.MetricAlarmMetricQueryArgs(
            id="runs", expression="FILL(succeeded, 0) + FILL(failed, 0)", label="Looks that ended", return_data=True
        )
        return cloudwatch.MetricAlarm(
            self.context.logical(part),
            alarm_description=f"No look for drift has ended in {hours} hours",
            metric_queries=[*ended, runs],
            threshold=1,
            evaluation_periods=hours,
            datapoints_to_alarm=hours,
            comparison_operator="LessThanThreshold",
            treat_missing_data="breaching",
            alarm_actions=[self.topic.arn],
            ok_actions=[self.topic.arn],
            tags=self.context.tags,
            opts=self.child(),
        )

    def _drift_check(self, tenant: str | None) -> ScheduledStep:
        context, zones = self.context, self.data.zones
        part = _part("drift", tenant)
        scored = not self.serving.endpoints
        step = drift_check.step(
            context,
            champion=self._compared_with(tenant),
            models=zones[Zone.MODELS],
            window=self._what_was_scored(tenant),
            labels=pulumi.Output.concat(zones[Zone.CURATED], f"/{looks.LABELS}"),
            reports=pulumi.Output.concat(zones[Zone.CURATED], "/", part),
            scoring=context.workload.serving.schedule if scored else None,
            alone=not scored and self._answers_alone(tenant),
            trail=pulumi.Output.concat(zones[Zone.CURATED], f"/{looks.TRAIL}") if tenant is None else None,
        )
        return self._step(part, step, context.workload.monitoring.drift.schedule)

    def _feedback(self) -> None:
        """Usage and performance; a run that fails is an alarm."""
        context, serving = self.context, self.serving
        answered = []
        if serving.endpoints:
            answered.append(serving.captured if self._captures else self._what_was_scored(None))
        if serving.batch_pipeline is not None:
            answered.append(self._predictions)
        self.feedback = Feedback(
            context,
            self.foundation,
            self.data,
            self.development.image,
            answered=answered,
            real_time=bool(serving.endpoints),
            opts=self.child(),
        )
        self.realise("usage", self.feedback.usage)
        if self.feedback.performance is not None:
            self.realise("model-quality", self.feedback.job.schedule)
        self.alarms.append(self._failed_runs("feedback", self.feedback.job.pipeline))
        self.realise("alarms", self.alarms[-1])

    def _step(self, part: str, step: Step, cron: str) -> ScheduledStep:
        return ScheduledStep(self.context, self.foundation, self.development.image, part, step, cron, opts=self.child())

    def _apart(self) -> list[str | None]:
        """None for all, and the tenants that are looked at apart."""
        endpoints = self.serving.endpoints
        own = [model.tenant for model in self.context.workload.models_in(Role.CHAMPION)] if endpoints else []
        return list(dict.fromkeys((None, *endpoints, *own)))

    def _tell(self, part: str, description: str, pattern: pulumi.Output[str]) -> cloudwatch.EventRule:
        """The owner is told of events of a pattern; returns the rule on them."""
        rule = self._rule(part, description, pattern)
        alert = self.context.logical(f"{part}-alert")
        cloudwatch.EventTarget(alert, rule=rule.name, arn=self.topic.arn, opts=self.child())
        return rule

    def _rule(self, part: str, description: str, pattern: pulumi.Output[str]) -> cloudwatch.EventRule:
        return cloudwatch.EventRule(
            self.context.logical(part),
            description=description,
            event_pattern=pattern,
            tags=self.context.tags,
            opts=self.child(),
        )

    @property
    def _captures(self) -> bool:
        """Whether endpoints capture what they are asked themselves."""
        return bool(self.serving.endpoints) and self.context.workload.serving.inference is Inference.PROVISIONED

    def _compared_with(self, tenant: str | None) -> Model:
        """The champion of a tenant, or the one of all that have none of their own."""
        workload = self.context.workload
        own = (model for model in workload.models_in(Role.CHAMPION) if model.tenant == tenant)
        return next(own, workload.champion)

    def _answers_alone(self, tenant: str | None) -> bool:
        """Whether an answer is of one version, and not of an ensemble; canaries and shadows are captured, too."""
        if self._compared_with(tenant).tenant is not None:
            return True
        champion, *_ = self._asked_by(tenant).fleet.live
        return routing.document(self.context.workload, champion.models)["ensemble"] is None

    def _asked_by(self, tenant: str | None) -> Endpoint:
        """The endpoint of a tenant, or the one that it shares."""
        return self.serving.endpoints.get(tenant) or self.serving.endpoints[None]

    def _what_was_scored(self, tenant: str | None) -> pulumi.Output[str]:
        """What an endpoint on instances captured, or what containers, a queue's answers or a batch kept themselves.

        https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html: others have no data capture.
        """
        if self._captures:
            return pulumi.Output.concat(self.serving.captured, "/", self._asked_by(tenant).endpoint.name)
        if self.serving.endpoints:
            asynchronous = self.context.workload.serving.inference is Inference.ASYNCHRONOUS
            return pulumi.Output.concat(self.serving.captured, "/", ANSWERED if asynchronous else "requests")
        return self._predictions

    @property
    def _predictions(self) -> pulumi.Output[str]:
        """What was scored in batches."""
        return pulumi.Output.concat(self.data.zones[Zone.CURATED], "/predictions")

    def _retraining(self) -> None:
        """Drift, a schedule or both start the pipeline that trains the model in use again."""
        context, retraining = self.context, self.context.workload.retraining
        pipeline = self.development.retraining_pipeline.arn
        role = self.foundation.identities[Purpose.MONITORING]
        start = self.foundation.grant(
            Purpose.MONITORING, "retraining", policy.allow(["sagemaker:StartPipelineExecution"], [pipeline])
        )
        if "drift" in retraining.trigger:
            self.retraining_rule = self._rule(
                "retraining",
                "A look for drift has decided to train again",
                self._run_ended([self.drift_checks[None]], [drift_check.RETRAIN]),
            )
            self.retraining_target = cloudwatch.EventTarget(
                context.logical("retraining"),
                rule=self.retraining_rule.name,
                arn=pipeline,
                role_arn=role,
                opts=self.child(depends_on=start),
            )
        if retraining.schedule:
            self.retraining_schedule = scheduler.Schedule(
                context.logical("retraining"),
                schedule_expression=schedules.aws(retraining.schedule),
                flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
                kms_key_arn=self.foundation.key,
                target=scheduler.ScheduleTargetArgs(
                    arn=pipeline,
                    role_arn=role,
                    retry_policy=scheduler.ScheduleTargetRetryPolicyArgs(maximum_retry_attempts=3),
                ),
                opts=self.child(depends_on=start),
            )
        self.realise("retraining-trigger", *self._triggers())

    def _changes(self) -> dashboard.Counted | None:
        """How many changes the watch over the stream has told, a line of the processor's log for each.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
        """
        if self.serving.decisions is None:
            return None
        counted = dashboard.Counted(f"ml-blueprints/{self.context.name}-{self.context.token}", "Changes")
        cloudwatch.LogMetricFilter(
            self.context.logical("changes"),
            log_group_name=self.foundation.log_group.name,
            pattern='{ $.message = "drift: *" }',
            metric_transformation=cloudwatch.LogMetricFilterMetricTransformationArgs(
                namespace=counted.namespace, name=counted.name, value="1", default_value="0"
            ),
            opts=self.child(),
        )
        return counted

    def _dashboard(self) -> None:
        letters = self.data.dead_letter_queue
        alarms = [*self.alarms, *self.silence, *(budget.burning for budget in self.error_budgets)]
        self.dashboard = cloudwatch.Dashboard(
            self.context.logical("dashboard"),
            dashboard_name=f"{self.context.name}-{self.context.token}",
            dashboard_body=dashboard.body(
                self.context,
                self.foundation.region,
                self.serving,
                letters.name if letters else None,
                self._changes(),
                {**self._unwatched_runs(), "feedback": self.feedback.job.pipeline},
                {_part("drift", tenant): check.pipeline for tenant, check in self.drift_checks.items()},
                [alarm.arn for alarm in alarms],
            ),
            opts=self.child(),
        )
        self.realise("dashboard", self.dashboard)

    def _unwatched_runs(self) -> dict[str, sagemaker.Pipeline]:
        """Nobody watches what a schedule or drift starts; a verdict that says no fails the run, too."""
        batch = {"batch": self.serving.batch_pipeline} if self.serving.batch_pipeline is not None else {}
        return {"retraining": self.development.retraining_pipeline, **batch}

    def _triggers(self) -> list[cloudwatch.EventRule | scheduler.Schedule]:
        """What starts training again."""
        return [
            *([self.retraining_rule] if self.retraining_rule else ()),
            *([self.retraining_schedule] if self.retraining_schedule else ()),
        ]

    def _run_ended(self, checks: Sequence[ScheduledStep], steps: Sequence[str]) -> pulumi.Output[str]:
        """The event of a run of one of some drift checks that ended at one of some steps.

        https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html#eventbridge-pipeline-step
        """
        return pulumi.Output.json_dumps(
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Building Pipeline Execution Step Status Change"],
                "detail": {
                    "pipelineArn": [check.pipeline.arn for check in checks],
                    "stepName": list(steps),
                    "currentStepStatus": ["Failed"],
                },
            }
        )

    def _budget(self) -> None:
        context, budget = self.context, self.context.workload.budget
        self.budget = budgets.Budget(
            context.logical("budget"),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=str(context.monthly_usd),
            limit_unit="USD",
            cost_filters=[
                budgets.BudgetCostFilterArgs(name="TagKeyValue", values=[f"user:workload${context.workload.name}"])
            ],
            notifications=[
                budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    notification_type="FORECASTED" if percent == 100 else "ACTUAL",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    subscriber_email_addresses=[context.workload.owner],
                )
                for percent in budget.alert_percent
            ],
            tags=context.tags,
            opts=self.child(),
        )
        self.realise("budget", self.budget)

    def _anomalies(self) -> None:
        """Spending that is unlike that of the days before, though the budget isn't used up yet.

        By the workload's tag, of which an account may have many; the tag must be one of its cost allocation tags.
        https://docs.aws.amazon.com/cost-management/latest/userguide/getting-started-ad.html
        """
        context = self.context
        name = f"{context.name}-{context.token}"
        self.anomalies = costexplorer.AnomalyMonitor(
            context.logical("anomalies"),
            name=name,
            monitor_type="CUSTOM",
            # The provider compares with what the API answers, which names what isn't said, too.
            monitor_specification=json.dumps(
                dict.fromkeys(("And", "CostCategories", "Dimensions", "Not", "Or"))
                | {"Tags": {"Key": "workload", "MatchOptions": None, "Values": [context.workload.name]}}
            ),
            tags=context.tags,
            opts=self.child(),
        )
        costexplorer.AnomalySubscription(
            context.logical("anomalies"),
            name=name,
            frequency="DAILY",
            monitor_arn_lists=[self.anomalies.arn],
            subscribers=[costexplorer.AnomalySubscriptionSubscriberArgs(type="EMAIL", address=context.workload.owner)],
            threshold_expression=costexplorer.AnomalySubscriptionThresholdExpressionArgs(
                dimension=costexplorer.AnomalySubscriptionThresholdExpressionDimensionArgs(
                    key="ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    match_options=["GREATER_THAN_OR_EQUAL"],
                    values=[str(max(context.monthly_usd // ANOMALY_PART, 1))],
                )
            ),
            tags=context.tags,
            opts=self.child(),
        )


def _part(name: str, tenant: str | None) -> str:
    """The name of a part that a tenant has for itself, or that all others have."""
    return f"{name}-{fleets.short(tenant)}" if tenant else name
