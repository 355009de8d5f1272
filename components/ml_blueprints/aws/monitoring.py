"""The monitoring layer on AWS: alarms, a drift monitor on captured data, what starts training again, and the budget."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import budgets, cloudwatch, lambda_, sagemaker, scheduler, sns

from ml_blueprints import layers, routing, schedules
from ml_blueprints.aws import facts, policy
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.serving import Serving
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Inference, Model, Role

# How long an event may wait for the processor, and for the archive (which collects events), before somebody is told.
PROCESSED_SECONDS = 60
ARCHIVED_SECONDS = 600


class Monitoring(layers.Monitoring):
    """Telemetry, drift, retraining and budget on AWS.

    Native resources: `topic`, `subscription`, `alarms`, `features_rule`, `drift_schedules` by tenant (None: of all that
    have no instances of their own, which is `drift_schedule`), `drift_rule`, `failure_rule`, `retraining_target` and
    `retraining_schedule` (None unless asked for), `budget`.
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
        self.retraining_target: cloudwatch.EventTarget | None = None
        self.retraining_schedule: scheduler.Schedule | None = None
        self._alerts()
        self._alarms()
        self._features()
        self._drift()
        self._retraining()
        self._budget()
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
        # Nobody watches what a schedule or drift starts; a verdict that says no fails the run, too.
        runs = {"retraining": self.development.retraining_pipeline, "batch": self.serving.batch_pipeline}
        for name, pipeline in runs.items():
            if pipeline is not None:
                self.alarms.append(
                    self._alarm(
                        f"{name}-failed",
                        # The namespace's own spelling, and the case counts.
                        # https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
                        "AWS/Sagemaker/ModelBuildingPipeline",
                        "ExecutionFailed",
                        {"PipelineName": pipeline.pipeline_name},
                        threshold=0,
                        statistic="Sum",
                    )
                )
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
        """SageMaker's monitor compares what was captured with the baseline that training left beside the champion.

        What a tenant with instances of its own asks is compared apart.
        """
        self.drift_schedules = {
            tenant: self._monitor(tenant) for tenant in (self.serving.endpoints if self._captures else (None,))
        }
        self.drift_schedule = self.drift_schedules[None]
        self.drift_rule = self._tell(
            "drift",
            "The drift monitor found violations",
            self._monitor_ended(ExitMessage=[{"prefix": "CompletedWithViolations"}]),
        )
        # A monitor that fails finds nothing, as one does that finds no drift.
        self.failure_rule = self._tell(
            "drift-failed", "The drift monitor failed", self._monitor_ended(ProcessingJobStatus=["Failed", "Stopped"])
        )
        self.realise("drift-detection", *self.drift_schedules.values())

    def _monitor(self, tenant: str | None) -> sagemaker.MonitoringSchedule:
        context, part = self.context, self.serving.part("drift", tenant)
        analyzer = sagemaker.get_prebuilt_ecr_image_output(
            repository_name="sagemaker-model-monitor-analyzer", image_tag="", opts=pulumi.InvokeOptions(parent=self)
        )
        baseline = pulumi.Output.concat(
            self.data.zones[Zone.MODELS], "/", routing.artifact_path(self._compared_with(tenant)), "/baseline"
        )
        definition = sagemaker.DataQualityJobDefinition(
            context.logical(part),
            role_arn=self.foundation.identities[Purpose.MONITORING],
            data_quality_app_specification=sagemaker.DataQualityJobDefinitionDataQualityAppSpecificationArgs(
                image_uri=analyzer.registry_path
            ),
            data_quality_baseline_config=sagemaker.DataQualityJobDefinitionDataQualityBaselineConfigArgs(
                constraints_resource=sagemaker.DataQualityJobDefinitionDataQualityBaselineConfigConstraintsResourceArgs(
                    s3_uri=pulumi.Output.concat(baseline, "/constraints.json")
                ),
                statistics_resource=sagemaker.DataQualityJobDefinitionDataQualityBaselineConfigStatisticsResourceArgs(
                    s3_uri=pulumi.Output.concat(baseline, "/statistics.json")
                ),
            ),
            data_quality_job_input=self._what_was_scored(tenant),
            data_quality_job_output_config=sagemaker.DataQualityJobDefinitionDataQualityJobOutputConfigArgs(
                kms_key_id=self.foundation.key,
                monitoring_outputs=sagemaker.DataQualityJobDefinitionDataQualityJobOutputConfigMonitoringOutputsArgs(
                    s3_output=sagemaker.DataQualityJobDefinitionDataQualityJobOutputConfigMonitoringOutputsS3OutputArgs(
                        s3_uri=pulumi.Output.concat(self.data.zones[Zone.CURATED], "/drift")
                    )
                ),
            ),
            job_resources=sagemaker.DataQualityJobDefinitionJobResourcesArgs(
                cluster_config=sagemaker.DataQualityJobDefinitionJobResourcesClusterConfigArgs(
                    instance_count=1,
                    instance_type=facts.JOB_INSTANCE_TYPE,
                    volume_size_in_gb=facts.JOB_VOLUME_GIB,
                    volume_kms_key_id=self.foundation.key,
                )
            ),
            network_config=sagemaker.DataQualityJobDefinitionNetworkConfigArgs(
                enable_network_isolation=True,
                enable_inter_container_traffic_encryption=True,
                vpc_config=sagemaker.DataQualityJobDefinitionNetworkConfigVpcConfigArgs(
                    subnets=self.foundation.subnets, security_group_ids=[self.foundation.security_group.id]
                ),
            ),
            stopping_condition=sagemaker.DataQualityJobDefinitionStoppingConditionArgs(max_runtime_in_seconds=3300),
            tags=context.tags,
            opts=self.child(depends_on=self.foundation.rights(Purpose.MONITORING)),
        )
        return sagemaker.MonitoringSchedule(
            context.logical(part),
            monitoring_schedule_config=sagemaker.MonitoringScheduleMonitoringScheduleConfigArgs(
                monitoring_type="DataQuality",
                monitoring_job_definition_name=definition.name,
                schedule_config=sagemaker.MonitoringScheduleMonitoringScheduleConfigScheduleConfigArgs(
                    schedule_expression=schedules.sagemaker_monitoring(context.workload.monitoring.drift.schedule)
                ),
            ),
            tags=context.tags,
            opts=self.child(),
        )

    def _tell(self, part: str, description: str, pattern: pulumi.Output[str]) -> cloudwatch.EventRule:
        """The owner is told of events of a pattern; returns the rule on them."""
        context = self.context
        rule = cloudwatch.EventRule(
            context.logical(part),
            description=description,
            event_pattern=pattern,
            tags=context.tags,
            opts=self.child(),
        )
        cloudwatch.EventTarget(context.logical(f"{part}-alert"), rule=rule.name, arn=self.topic.arn, opts=self.child())
        return rule

    @property
    def _captures(self) -> bool:
        """Whether endpoints capture what they are asked themselves."""
        return bool(self.serving.endpoints) and self.context.workload.serving.inference is Inference.PROVISIONED

    def _compared_with(self, tenant: str | None) -> Model:
        """The champion of a tenant, or the one of all that have none of their own."""
        workload = self.context.workload
        own = (model for model in workload.models_in(Role.CHAMPION) if model.tenant == tenant)
        return next(own, workload.champion)

    def _what_was_scored(self, tenant: str | None) -> sagemaker.DataQualityJobDefinitionDataQualityJobInputArgs:
        """What an endpoint on instances captured, or what containers, a queue or a batch kept themselves.

        https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html: others have no data capture.
        """
        if self._captures:
            return sagemaker.DataQualityJobDefinitionDataQualityJobInputArgs(
                endpoint_input=sagemaker.DataQualityJobDefinitionDataQualityJobInputEndpointInputArgs(
                    endpoint_name=self.serving.endpoints[tenant].endpoint.name
                )
            )
        batch = pulumi.Output.concat(self.data.zones[Zone.CURATED], "/predictions/captured")
        return sagemaker.DataQualityJobDefinitionDataQualityJobInputArgs(
            batch_transform_input=sagemaker.DataQualityJobDefinitionDataQualityJobInputBatchTransformInputArgs(
                data_captured_destination_s3_uri=self.serving.captured if self.serving.endpoints else batch,
                dataset_format=sagemaker.DataQualityJobDefinitionDataQualityJobInputBatchTransformInputDatasetFormatArgs(
                    json=sagemaker.DataQualityJobDefinitionDataQualityJobInputBatchTransformInputDatasetFormatJsonArgs(
                        line=True
                    )
                ),
            )
        )

    def _retraining(self) -> None:
        """Drift, a schedule or both start the pipeline that trains the model in use again."""
        context, retraining = self.context, self.context.workload.retraining
        pipeline = self.development.retraining_pipeline.arn
        role = self.foundation.identities[Purpose.MONITORING]
        start = self.foundation.grant(
            Purpose.MONITORING, "retraining", policy.allow(["sagemaker:StartPipelineExecution"], [pipeline])
        )
        if "drift" in retraining.trigger:
            self.retraining_target = cloudwatch.EventTarget(
                context.logical("retraining"),
                rule=self.drift_rule.name,
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

    def _triggers(self) -> list[cloudwatch.EventRule | scheduler.Schedule]:
        """What starts training again."""
        return [
            *([self.drift_rule] if self.retraining_target else ()),
            *([self.retraining_schedule] if self.retraining_schedule else ()),
        ]

    def _monitor_ended(self, **how: list[Any]) -> pulumi.Output[str]:
        """The event of a monitor's processing job that ended in some way.

        Its detail is DescribeProcessingJob's answer, whose ExitMessage tells of violations
        (https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html,
        https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-results.html).
        """
        return pulumi.Output.json_dumps(
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Processing Job State Change"],
                "detail": {
                    "MonitoringScheduleArn": [schedule.arn for schedule in self.drift_schedules.values()],
                    **how,
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
