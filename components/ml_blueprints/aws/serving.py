"""The serving layer on AWS: SageMaker endpoint with canary and shadow variants, Lambda on Kinesis, scheduled batch."""

from collections import Counter
from typing import TypeVar

import pulumi
from pulumi_aws import appautoscaling, cloudwatch, kinesis, lambda_, sagemaker, scheduler

from ml_blueprints import layers, routing, schedules
from ml_blueprints.aws import facts, pipeline_definition, policy
from ml_blueprints.aws.archive import Archive
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.features import Features
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.compiled_pipelines import BATCH_SCORING
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Mode, Model, Role

_Variant = TypeVar(
    "_Variant",
    sagemaker.EndpointConfigurationProductionVariantArgs,
    sagemaker.EndpointConfigurationShadowProductionVariantArgs,
)


def by_variant(models: tuple[Model, ...]) -> dict[str, Model]:
    """Models by the names of their variants, which are roles: a new version takes the place of the one before.

    A blue/green deployment is only made between configurations whose variants have the same names
    (https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-exclusions.html).
    """
    variants: dict[str, Model] = {}
    counts: Counter[Role] = Counter()
    for model in models:
        counts[model.role] += 1
        variants[model.role.value + (f"-{counts[model.role]}" if counts[model.role] > 1 else "")] = model
    return variants


class Serving(layers.Serving):
    """Predictions on AWS.

    Native resources: with real time `models` by deployment name, `configuration`, `real_time`, `rollback_alarms`,
    `scaling`; with a stream of events `archive`, `stream_processor`, `event_source`, and where these are scored
    `decisions`; with batch `batch_pipeline`, `batch_schedule`.
    `variants` are the live models by the names of their variants behind the endpoint.
    `captured` is the S3 URI of what was asked and answered.
    """

    cloud = "aws"

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        features: Features,
        development: Development,
        modes: frozenset[Mode],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__(context, opts)
        self.foundation, self.data, self.features, self.development = foundation, data, features, development
        self.captured = pulumi.Output.concat(data.zones[Zone.CURATED], "/captured")
        self.real_time: sagemaker.Endpoint | None = None
        self.variants: dict[str, Model] = {}
        self.stream_processor: lambda_.Function | None = None
        self.decisions: kinesis.Stream | None = None
        self.batch_pipeline: sagemaker.Pipeline | None = None
        self.models: dict[str, sagemaker.Model] = {}
        if Mode.REAL_TIME in modes:
            self._models()
            self.real_time = self._real_time()
        if data.stream is not None:
            self._archive()
            self._stream(required(self.real_time, "a real-time endpoint") if Mode.STREAM in modes else None)
        if Mode.BATCH in modes:
            self._batch()
        self.give(
            endpoint=self.real_time.arn if self.real_time else None,
            url=self._url(self.real_time) if self.real_time else None,
            processor=self.stream_processor.arn if self.stream_processor and Mode.STREAM in modes else None,
            batch=self.batch_pipeline.arn if self.batch_pipeline else None,
        )

    def _models(self) -> None:
        """One SageMaker model for each version that answers; its name is generated: a new version is a new model."""
        context = self.context
        for model in routing.deployed(context.workload):
            name = routing.deployment_name(model)
            self.models[name] = sagemaker.Model(
                context.logical(name),
                execution_role_arn=self.foundation.identities[Purpose.SERVING],
                enable_network_isolation=True,
                vpc_config=sagemaker.ModelVpcConfigArgs(
                    subnets=self.foundation.subnets, security_group_ids=[self.foundation.security_group.id]
                ),
                primary_container=sagemaker.ModelPrimaryContainerArgs(
                    image=self.development.image,
                    model_data_source=self._artifact(model),
                    environment=routing.environment(context.workload, context.settings, (model,)),
                ),
                tags=context.tags | {"model": model.name, "version": model.version, "role": model.role.value},
                # SageMaker tries the role on the bucket when the model is made, and on the image when it is served.
                opts=self.child(depends_on=self.foundation.rights(Purpose.SERVING)),
            )

    def _artifact(self, model: Model) -> sagemaker.ModelPrimaryContainerModelDataSourceArgs:
        """The folder that `register` left, as it is: its manifest names each file by its hash."""
        folder = pulumi.Output.concat(self.data.zones[Zone.MODELS], "/", routing.artifact_path(model), "/")
        return sagemaker.ModelPrimaryContainerModelDataSourceArgs(
            s3_data_sources=[
                sagemaker.ModelPrimaryContainerModelDataSourceS3DataSourceArgs(
                    s3_uri=folder, s3_data_type="S3Prefix", compression_type="None"
                )
            ]
        )

    def _real_time(self) -> sagemaker.Endpoint:
        context, workload = self.context, self.context.workload
        name = f"{context.name}-{context.token}"
        self.variants = by_variant(workload.models_in(Role.CHAMPION, Role.CANARY))
        shadows = by_variant(workload.models_in(Role.SHADOW))
        # Without a name of its own each change makes a new configuration, which is how an endpoint notices it.
        self.configuration = sagemaker.EndpointConfiguration(
            context.logical("endpoint"),
            kms_key_arn=self.foundation.key,
            production_variants=self._configured(sagemaker.EndpointConfigurationProductionVariantArgs, self.variants),
            shadow_production_variants=self._configured(
                sagemaker.EndpointConfigurationShadowProductionVariantArgs, shadows
            ),
            data_capture_config=sagemaker.EndpointConfigurationDataCaptureConfigArgs(
                enable_capture=True,
                initial_sampling_percentage=100,
                destination_s3_uri=self.captured,
                kms_key_id=self.foundation.key,
                capture_options=[
                    sagemaker.EndpointConfigurationDataCaptureConfigCaptureOptionArgs(capture_mode=mode)
                    for mode in ("Input", "Output")
                ],
            ),
            tags=context.tags,
            opts=self.child(),
        )
        self.rollback_alarms = [self._rollback_alarm(name, variant) for variant in self.variants]
        endpoint = sagemaker.Endpoint(
            context.logical("endpoint"),
            name=name,
            endpoint_config_name=self.configuration.name,
            deployment_config=self._blue_green(),
            tags=context.tags,
            opts=self.child(),
        )
        self.realise("real-time-scoring", endpoint)
        if workload.models_in(Role.CANARY):
            self.realise("canary", self.configuration)
        if shadows:
            self.realise("shadow", self.configuration)
        self._autoscaling(endpoint)
        return endpoint

    def _configured(self, kind: type[_Variant], variants: dict[str, Model]) -> list[_Variant]:
        """A variant's weight is its share of the requests, or for a shadow the share that it sees copies of."""
        return [
            kind(
                variant_name=name,
                model_name=self.models[routing.deployment_name(model)].name,
                instance_type=facts.INSTANCE_TYPES[self.context.workload.serving.size],
                initial_instance_count=self.context.workload.serving.replicas.minimum,
                initial_variant_weight=model.traffic / 100,
            )
            for name, model in variants.items()
        ]

    def _rollback_alarm(self, endpoint: str, variant: str) -> cloudwatch.MetricAlarm:
        """Server errors of a variant while it is rolled out; the endpoint goes back to the old fleet when it fires."""
        return cloudwatch.MetricAlarm(
            self.context.logical(f"rollback-{variant}"),
            alarm_description=f"{variant} fails: the deployment is rolled back",
            namespace="AWS/SageMaker",
            metric_name="Invocation5XXErrors",
            dimensions={"EndpointName": endpoint, "VariantName": variant},
            statistic="Average",
            period=60,
            evaluation_periods=2,
            threshold=self.context.workload.monitoring.error_rate_objective,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            tags=self.context.tags,
            opts=self.child(),
        )

    def _blue_green(self) -> sagemaker.EndpointDeploymentConfigArgs:
        """A new fleet takes a tenth of the requests for five minutes, then all; the old one stays ten minutes."""
        return sagemaker.EndpointDeploymentConfigArgs(
            blue_green_update_policy=sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyArgs(
                traffic_routing_configuration=sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfigurationArgs(
                    type="CANARY",
                    canary_size=sagemaker.EndpointDeploymentConfigBlueGreenUpdatePolicyTrafficRoutingConfigurationCanarySizeArgs(
                        type="CAPACITY_PERCENT", value=10
                    ),
                    wait_interval_in_seconds=300,
                ),
                termination_wait_in_seconds=600,
                maximum_execution_timeout_in_seconds=3600,
            ),
            auto_rollback_configuration=sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationArgs(
                alarms=[
                    sagemaker.EndpointDeploymentConfigAutoRollbackConfigurationAlarmArgs(alarm_name=alarm.name)
                    for alarm in self.rollback_alarms
                ]
            ),
        )

    def _autoscaling(self, endpoint: sagemaker.Endpoint) -> None:
        context, replicas = self.context, self.context.workload.serving.replicas
        self.scaling: list[appautoscaling.Policy] = []
        for variant in self.variants:
            target = appautoscaling.Target(
                context.logical(variant),
                service_namespace="sagemaker",
                scalable_dimension="sagemaker:variant:DesiredInstanceCount",
                resource_id=pulumi.Output.concat("endpoint/", endpoint.name, "/variant/", variant),
                min_capacity=replicas.minimum,
                max_capacity=replicas.maximum,
                tags=context.tags,
                opts=self.child(),
            )
            self.scaling.append(
                appautoscaling.Policy(
                    context.logical(variant),
                    policy_type="TargetTrackingScaling",
                    service_namespace=target.service_namespace,
                    scalable_dimension=target.scalable_dimension,
                    resource_id=target.resource_id,
                    target_tracking_scaling_policy_configuration=appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgs(
                        target_value=facts.INVOCATIONS_PER_INSTANCE,
                        predefined_metric_specification=appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationPredefinedMetricSpecificationArgs(
                            predefined_metric_type="SageMakerVariantInvocationsPerInstance"
                        ),
                        scale_in_cooldown=600,
                        scale_out_cooldown=60,
                    ),
                    opts=self.child(),
                )
            )
        self.realise("autoscaling", *self.scaling)

    def _url(self, endpoint: sagemaker.Endpoint) -> pulumi.Output[str]:
        """Where the endpoint is invoked. https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html"""
        host = pulumi.Output.concat("https://runtime.sagemaker.", self.foundation.region, ".amazonaws.com")
        return pulumi.Output.concat(host, "/endpoints/", endpoint.name, "/invocations")

    def _archive(self) -> None:
        self.archive = Archive(self.context, self.foundation, self.data, self.development, opts=self.child())
        self.realise("stream-archive", self.archive.delivery)

    def _stream(self, endpoint: sagemaker.Endpoint | None) -> None:
        """Events update the features of their entity; where there is an endpoint to ask, they are scored too."""
        context, foundation = self.context, self.foundation
        environment = {
            **routing.environment(context.workload, context.settings, routing.deployed(context.workload)),
            "WORKLOAD": context.workload.name,
            "STATE": pulumi.Output.concat("dynamodb://", required(self.features.window_state, "window state").name),
            "FEATURE_STORE": required(self.features.online, "online features"),
            "DEAD_LETTERS": required(self.data.dead_letter_queue, "a place for dead letters").url,
        }
        if endpoint is not None:
            self.decisions = self._decisions()
            environment |= {"SCORING_ENDPOINT": endpoint.name, "DECISIONS": self.decisions.name}
        self._rights_of_the_processor(endpoint)
        self.stream_processor = lambda_.Function(
            context.logical("processor"),
            role=foundation.identities[Purpose.INGEST],
            package_type="Image",
            image_uri=self.development.image,
            image_config=lambda_.FunctionImageConfigArgs(
                entry_points=list(facts.HANDLER_ENTRY_POINT), commands=[facts.HANDLERS["process"]]
            ),
            memory_size=1024,
            timeout=60,
            kms_key_arn=foundation.key,
            vpc_config=lambda_.FunctionVpcConfigArgs(
                subnet_ids=foundation.subnets, security_group_ids=[foundation.security_group.id]
            ),
            environment=lambda_.FunctionEnvironmentArgs(variables=environment),
            logging_config=lambda_.FunctionLoggingConfigArgs(log_format="JSON", log_group=foundation.log_group.name),
            tracing_config=lambda_.FunctionTracingConfigArgs(mode="Active"),
            tags=context.tags,
            # Lambda tries the role on the network when the function is made.
            opts=self.child(depends_on=foundation.rights(Purpose.INGEST)),
        )
        self._event_source(self.stream_processor)
        self.realise("feature-updates", self.event_source)
        if endpoint is not None:
            self.realise("stream-scoring", self.event_source)

    def _event_source(self, processor: lambda_.Function) -> None:
        fan_out = self.data.fan_out
        self.event_source = lambda_.EventSourceMapping(
            self.context.logical("processor"),
            function_name=processor.arn,
            event_source_arn=fan_out.arn if fan_out else required(self.data.stream, "a stream of events"),
            starting_position="LATEST",
            batch_size=100,
            # With a throughput of its own the processor needn't wait for more than one event.
            maximum_batching_window_in_seconds=0 if fan_out else 1,
            maximum_retry_attempts=5,
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            destination_config=lambda_.EventSourceMappingDestinationConfigArgs(
                on_failure=lambda_.EventSourceMappingDestinationConfigOnFailureArgs(
                    destination_arn=required(self.data.dead_letters, "a place for dead letters")
                )
            ),
            tags=self.context.tags,
            opts=self.child(),
        )

    def _decisions(self) -> kinesis.Stream:
        """Decisions are as many as events, so their stream is as wide."""
        events = required(self.data.event_stream, "a stream of events")
        decisions = kinesis.Stream(
            self.context.logical("decisions"),
            shard_count=events.shard_count,
            stream_mode_details=kinesis.StreamStreamModeDetailsArgs(
                stream_mode="ON_DEMAND" if self.context.settings.environment == "experiment" else "PROVISIONED"
            ),
            retention_period=facts.REPLAY_HOURS,
            encryption_type="KMS",
            kms_key_id=self.foundation.key,
            tags=self.context.tags,
            opts=self.child(),
        )
        self.realise("decision-stream", decisions)
        return decisions

    def _rights_of_the_processor(self, endpoint: sagemaker.Endpoint | None) -> None:
        events = required(self.data.event_stream, "a stream of events")
        statements = [
            policy.allow(
                [
                    "kinesis:DescribeStream",
                    "kinesis:DescribeStreamSummary",
                    "kinesis:GetRecords",
                    "kinesis:GetShardIterator",
                    "kinesis:ListShards",
                ],
                [events.arn],
            ),
            policy.allow(["sqs:SendMessage"], [required(self.data.dead_letters, "a place for dead letters")]),
            # Traces belong to no resource. https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
            policy.allow(["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]),
        ]
        if self.data.fan_out is not None:
            statements.append(
                policy.allow(["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"], [self.data.fan_out.arn])
            )
        if endpoint is not None:
            statements.append(policy.allow(["sagemaker:InvokeEndpoint"], [endpoint.arn]))
        if self.decisions is not None:
            statements.append(policy.allow(["kinesis:PutRecords"], [self.decisions.arn]))
        self.foundation.grant(Purpose.INGEST, "processor", *statements)

    def _batch(self) -> None:
        context = self.context
        self.batch_pipeline = sagemaker.Pipeline(
            context.logical("batch"),
            pipeline_name=f"{context.name}-batch-{context.token}",
            pipeline_display_name=f"{context.name}-batch",
            pipeline_definition=pipeline_definition.filled(
                facts.PIPELINES.source(context.workload, BATCH_SCORING),
                self.development.job,
                self.development.pipeline_values,
            ),
            role_arn=self.foundation.identities[Purpose.TRAINING],
            tags=context.tags,
            opts=self.child(),
        )
        start = self.foundation.grant(
            Purpose.MONITORING,
            "batch",
            policy.allow(["sagemaker:StartPipelineExecution"], [self.batch_pipeline.arn]),
        )
        self.batch_schedule = scheduler.Schedule(
            context.logical("batch"),
            schedule_expression=schedules.aws(required(context.workload.serving.schedule, "a schedule")),
            flexible_time_window=scheduler.ScheduleFlexibleTimeWindowArgs(mode="OFF"),
            kms_key_arn=self.foundation.key,
            target=scheduler.ScheduleTargetArgs(
                arn=self.batch_pipeline.arn,
                role_arn=self.foundation.identities[Purpose.MONITORING],
                retry_policy=scheduler.ScheduleTargetRetryPolicyArgs(maximum_retry_attempts=3),
            ),
            opts=self.child(depends_on=start),
        )
        self.realise("batch-scoring", self.batch_schedule)
