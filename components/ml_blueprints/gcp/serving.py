"""The serving layer on Google Cloud: the scoring service on Cloud Run, a processor of events, scheduled batch."""

import pulumi
from pulumi_gcp import cloudrunv2, cloudscheduler, pubsub, workflows

from ml_blueprints import layers, routing
from ml_blueprints.gcp import facts, pipeline_definition
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Mode, Role


class Serving(layers.Serving):
    """Predictions on Google Cloud.

    Native resources: with real time `real_time`; with streams `stream_processor`, `event_source`; with batch
    `batch_pipeline`, `batch_schedule`. `captured` is the URI of what was asked and answered.
    """

    cloud = "gcp"

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
        self.real_time: cloudrunv2.Service | None = None
        self.stream_processor: cloudrunv2.Service | None = None
        self.batch_pipeline: workflows.Workflow | None = None
        if Mode.REAL_TIME in modes:
            self.real_time = self._real_time()
        if Mode.STREAM in modes:
            self._stream(required(self.real_time, "a real-time endpoint"))
        if Mode.BATCH in modes:
            self._batch()
        self.give(
            endpoint=self.real_time.id if self.real_time else None,
            url=self.real_time.uri if self.real_time else None,
            processor=self.stream_processor.id if self.stream_processor else None,
            batch=self.batch_pipeline.id if self.batch_pipeline else None,
        )

    def _models(self) -> dict[str, pulumi.Input[str]]:
        """What a scoring container is told: which versions it loads, from where, and their shares of the requests."""
        workload = self.context.workload
        return {
            **routing.environment(workload, routing.deployed(workload)),
            "MODELS": self.data.zones[Zone.MODELS],
            "CAPTURED": self.captured,
        }

    def _real_time(self) -> cloudrunv2.Service:
        """One service holds all versions that run: it divides the traffic and copies requests to shadows itself."""
        workload = self.context.workload
        environment = self._models()
        if self.features.online is not None:
            environment["FEATURE_STORE"] = self.features.online
        endpoint = self._service("endpoint", Purpose.SERVING, environment)
        self.realise("real-time-scoring", endpoint)
        self.realise("autoscaling", endpoint)
        if workload.models_in(Role.CANARY):
            self.realise("canary", endpoint)
        if workload.models_in(Role.SHADOW):
            self.realise("shadow", endpoint)
        return endpoint

    def _service(
        self,
        part: str,
        purpose: Purpose,
        environment: dict[str, pulumi.Input[str]],
        commands: tuple[str, ...] | None = None,
    ) -> cloudrunv2.Service:
        """A service of the platform's image that is reached from the project's network only, and leaves only by it."""
        context, foundation, serving = self.context, self.foundation, self.context.workload.serving
        return cloudrunv2.Service(
            context.logical(part),
            location=foundation.region,
            description=f"{part} of {context.workload.name}",
            ingress="INGRESS_TRAFFIC_INTERNAL_ONLY",
            invoker_iam_disabled=False,
            binary_authorization=cloudrunv2.ServiceBinaryAuthorizationArgs(use_default=True),
            deletion_protection=False,
            template=cloudrunv2.ServiceTemplateArgs(
                service_account=foundation.identities[purpose],
                encryption_key=foundation.key,
                execution_environment="EXECUTION_ENVIRONMENT_GEN2",
                scaling=cloudrunv2.ServiceTemplateScalingArgs(
                    min_instance_count=serving.replicas.minimum, max_instance_count=serving.replicas.maximum
                ),
                vpc_access=cloudrunv2.ServiceTemplateVpcAccessArgs(
                    egress="ALL_TRAFFIC",
                    network_interfaces=[
                        cloudrunv2.ServiceTemplateVpcAccessNetworkInterfaceArgs(
                            network=foundation.network, subnetwork=foundation.subnets[0]
                        )
                    ],
                ),
                containers=[
                    cloudrunv2.ServiceTemplateContainerArgs(
                        image=self.development.image,
                        commands=list(commands) if commands else None,
                        envs=[
                            cloudrunv2.ServiceTemplateContainerEnvArgs(name=name, value=value)
                            for name, value in environment.items()
                        ],
                        ports=cloudrunv2.ServiceTemplateContainerPortsArgs(container_port=facts.SERVICE_PORT),
                        resources=cloudrunv2.ServiceTemplateContainerResourcesArgs(
                            limits=facts.INSTANCE_LIMITS[serving.size], cpu_idle=True, startup_cpu_boost=True
                        ),
                        startup_probe=cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
                            http_get=cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(path=facts.HEALTH_PATH),
                            period_seconds=5,
                            failure_threshold=24,
                        ),
                    )
                ],
                labels=context.tags,
            ),
            labels=context.tags,
            # Models are read from the lake when a revision starts.
            opts=self.child(depends_on=[*foundation.ready, *self.data.grants[purpose]]),
        )

    def _let_invoke(self, part: str, service: cloudrunv2.Service) -> cloudrunv2.ServiceIamMember:
        return cloudrunv2.ServiceIamMember(
            self.context.logical(part),
            name=service.name,
            location=self.foundation.region,
            role=facts.ROLE_INVOKER,
            member=self.foundation.member(Purpose.INGEST),
            opts=self.child(),
        )

    def _stream(self, endpoint: cloudrunv2.Service) -> None:
        """Events are pushed to the processor, which keeps the online features and asks the endpoint."""
        context, data = self.context, self.data
        environment = self._models() | {
            "FEATURE_STORE": required(self.features.online, "online features"),
            "SCORING_ENDPOINT": endpoint.uri,
        }
        self.stream_processor = self._service("processor", Purpose.INGEST, environment, facts.COMMANDS["process"])
        may_push = self._let_invoke("processor", self.stream_processor)
        self._let_invoke("endpoint", endpoint)
        self.event_source = pubsub.Subscription(
            context.logical("processor"),
            topic=data.stream,
            ack_deadline_seconds=60,
            push_config=pubsub.SubscriptionPushConfigArgs(
                push_endpoint=self.stream_processor.uri,
                oidc_token=pubsub.SubscriptionPushConfigOidcTokenArgs(
                    service_account_email=self.foundation.identities[Purpose.INGEST],
                    audience=self.stream_processor.uri,
                ),
            ),
            retry_policy=pubsub.SubscriptionRetryPolicyArgs(minimum_backoff="1s", maximum_backoff="60s"),
            dead_letter_policy=pubsub.SubscriptionDeadLetterPolicyArgs(
                dead_letter_topic=data.dead_letters, max_delivery_attempts=5
            ),
            expiration_policy=pubsub.SubscriptionExpirationPolicyArgs(ttl=""),
            labels=context.tags,
            opts=self.child(depends_on=[may_push, data.dead_letter_publisher]),
        )
        data.let_forward("processor", self.event_source)
        self.realise("stream-scoring", self.event_source)

    def _batch(self) -> None:
        """A job scores everything that waits in the features zone, and leaves the predictions in the curated zone."""
        context, foundation, zones = self.context, self.foundation, self.data.zones
        scoring = pipeline_definition.Run(
            name=f"{context.name}-batch",
            command=facts.COMMANDS["score"],
            identity=foundation.identities[Purpose.SERVING],
            destination=pulumi.Output.concat(zones[Zone.CURATED], "/predictions"),
            arguments=["--source", pulumi.Output.concat(zones[Zone.FEATURES], "/to-score")],
            environment=self._models(),
        )
        self.batch_pipeline = workflows.Workflow(
            context.logical("batch"),
            region=foundation.region,
            description=f"Scores the population of {context.workload.name}",
            service_account=foundation.identities[Purpose.TRAINING],
            source_contents=pipeline_definition.run_job(self.development.job, scoring),
            crypto_key_name=foundation.key,
            call_log_level="LOG_ERRORS_ONLY",
            deletion_protection=False,
            labels=context.tags,
            opts=self.child(
                depends_on=[
                    *foundation.ready,
                    *foundation.act_as(Purpose.TRAINING, Purpose.SERVING),
                    *self.data.grants[Purpose.SERVING],
                ]
            ),
        )
        self.batch_schedule = cloudscheduler.Job(
            context.logical("batch"),
            region=foundation.region,
            description=f"Starts the batch scoring of {context.workload.name}",
            schedule=context.workload.serving.schedule,
            time_zone="Etc/UTC",
            http_target=pipeline_definition.start(self.batch_pipeline.id, foundation.identities[Purpose.MONITORING]),
            retry_config=cloudscheduler.JobRetryConfigArgs(retry_count=3),
            opts=self.child(),
        )
        self.realise("batch-scoring", self.batch_schedule)
