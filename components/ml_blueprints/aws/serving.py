"""The serving layer on AWS: SageMaker endpoints, router and API before them, Lambda on Kinesis, scheduled batch."""

import pulumi
from pulumi_aws import appautoscaling, kinesis, lambda_, sagemaker, scheduler

from ml_blueprints import layers, routing, schedules
from ml_blueprints.aws import facts, fleets, function, pipeline_definition, policy
from ml_blueprints.aws.api import Api
from ml_blueprints.aws.archive import Archive
from ml_blueprints.aws.data import Data
from ml_blueprints.aws.development import Development
from ml_blueprints.aws.endpoint import Endpoint
from ml_blueprints.aws.features import Features
from ml_blueprints.aws.foundation import Foundation
from ml_blueprints.aws.rollback import Rollback
from ml_blueprints.aws.router import Router
from ml_blueprints.compiled_pipelines import BATCH_SCORING
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Inference, Mode


class Serving(layers.Serving):
    """Predictions on AWS.

    Native resources: with real time `endpoints` by tenant (None: the one that is shared), each with its models,
    configuration and scaling, `rollbacks`, `router` and `api`; with a stream of events `archive`, `stream_processor`,
    `event_source`, and where these are scored `decisions`; with batch `batch_pipeline`, `batch_schedule`.
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
        self.endpoints: dict[str | None, Endpoint] = {}
        self.rollbacks: list[Rollback] = []
        self.router: Router | None = None
        self.api: Api | None = None
        self.stream_processor: lambda_.Function | None = None
        self.decisions: kinesis.Stream | None = None
        self.batch_pipeline: sagemaker.Pipeline | None = None
        if Mode.REAL_TIME in modes:
            self._real_time()
            self._door()
        if data.stream is not None:
            self._archive()
            self._stream(self.endpoints[None] if Mode.STREAM in modes else None)
        if Mode.BATCH in modes:
            self._batch()
        self.give(
            endpoint=self.endpoints[None].arn if self.endpoints else None,
            url=self._url(self.endpoints[None]) if self.endpoints else None,
            processor=self.stream_processor.arn if self.stream_processor and Mode.STREAM in modes else None,
            batch=self.batch_pipeline.arn if self.batch_pipeline else None,
        )

    def _real_time(self) -> None:
        """An endpoint that tenants share, and one for each that has instances of its own."""
        context, foundation = self.context, self.foundation
        workload, inference = context.workload, context.workload.serving.inference
        if inference is Inference.ASYNCHRONOUS:
            # SageMaker reads under the endpoint's identity what requests name.
            asked = pulumi.Output.concat(self.data.buckets[Zone.CURATED].arn, "/asked/*")
            foundation.grant(Purpose.SERVING, "asked", policy.allow(["s3:GetObject"], [asked]))
        for fleet in fleets.fleets(workload):
            self.endpoints[fleet.tenant] = Endpoint(
                context, foundation, self.data, self.development.image, fleet, self.captured, opts=self.child()
            )
        shared, *apart = self.endpoints.values()
        if inference is Inference.ASYNCHRONOUS:
            self.realise("asynchronous-scoring", shared.configuration)
        else:
            self.realise("real-time-scoring", shared.endpoint)
        self.realise("autoscaling", *(self._scaling() or [shared.configuration]))
        if apart:
            self.realise("dedicated-placement", *(endpoint.endpoint for endpoint in apart))
        if workload.serving.ensemble:
            self.realise("ensemble", *shared.models.values())
        self._tried()

    def _scaling(self) -> list[appautoscaling.Policy]:
        return [policy for endpoint in self.endpoints.values() for policy in endpoint.scaling]

    def _tried(self) -> None:
        """Versions that are tried: canaries, which lose their share when they fail, and shadows."""
        for endpoint in self.endpoints.values():
            if endpoint.canary_alarms:
                rollback = Rollback(self.context, self.foundation, endpoint, opts=self.child())
                self.rollbacks.append(rollback)
                self.realise("canary", endpoint.configuration)
                self.realise("automatic-rollback", endpoint.endpoint, rollback.workflow)
            if endpoint.fleet.shadows:
                self.realise("shadow", endpoint.configuration)

    def _door(self) -> None:
        """A router where requests are answered at once, and where tenants ask, their API."""
        context, serving = self.context, self.context.workload.serving
        answering = serving.mode is Mode.REAL_TIME and serving.inference is not Inference.ASYNCHRONOUS
        if not answering and not serving.tenants:
            return
        image = self.development.image
        self.router = Router(context, self.foundation, image, self.features, self.endpoints, opts=self.child())
        if answering:
            self.realise("router", self.router.function)
        if serving.tenants:
            self.api = Api(context, self.foundation, self.data, image, self.router, opts=self.child())
            self.realise("api", self.api.api)
            self.realise("tenant-quotas", *self.api.plans.values())

    def _url(self, shared: Endpoint) -> pulumi.Output[str]:
        """Where predictions are requested: of the API, else of the router, else of the endpoint itself.

        https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
        """
        if self.api or self.router:
            return self.api.url if self.api else required(self.router, "a router").url
        host = pulumi.Output.concat("https://runtime.sagemaker.", self.foundation.region, ".amazonaws.com")
        asynchronous = self.context.workload.serving.inference is Inference.ASYNCHRONOUS
        how = "/async-invocations" if asynchronous else "/invocations"
        return pulumi.Output.concat(host, "/endpoints/", shared.endpoint.name, how)

    def _archive(self) -> None:
        self.archive = Archive(self.context, self.foundation, self.data, self.development, opts=self.child())
        self.realise("stream-archive", self.archive.delivery)

    def _stream(self, endpoint: Endpoint | None) -> None:
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
            environment |= {"SCORING_ENDPOINT": endpoint.endpoint.name, "DECISIONS": self.decisions.name}
            # Changes in the stream are in the log; ranks are learned of the first events.
            environment |= {"WATCH": "learn"}
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
            environment=function.environment(context.workload, environment),
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

    def _rights_of_the_processor(self, endpoint: Endpoint | None) -> None:
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
