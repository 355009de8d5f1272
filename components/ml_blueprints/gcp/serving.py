"""The serving layer on Google Cloud: the scoring service on Cloud Run, a processor of events, scheduled batch."""

import pulumi
from pulumi_gcp import cloudrunv2, cloudscheduler, pubsub, workflows

from ml_blueprints import layers, routing
from ml_blueprints.gcp import cloud_run, facts, pipeline_definition, topics
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.event_processor import EventProcessor
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Mode, Role


class Serving(layers.Serving):
    """Predictions on Google Cloud.

    Native resources: with real time `real_time`; where events come in `stream_processor`, `event_source`, and
    `decision_topic` where they are scored; with batch `batch_pipeline`, `batch_schedule`. `captured` is the URI of what
    was asked and answered.
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
        self.event_source: pubsub.Subscription | None = None
        self.decision_topic: pubsub.Topic | None = None
        self.batch_pipeline: workflows.Workflow | None = None
        if Mode.REAL_TIME in modes:
            self.real_time = self._real_time()
        if Mode.STREAM in modes:
            self._stream(required(self.real_time, "a real-time endpoint"))
        elif data.topic is not None:
            self._processor({}, [])
        if Mode.BATCH in modes:
            self._batch()
        self.give(
            endpoint=self.real_time.id if self.real_time else None,
            url=self.real_time.uri if self.real_time else None,
            processor=self.stream_processor.id if self.stream_processor and Mode.STREAM in modes else None,
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
        serving = workload.serving
        endpoint = cloud_run.service(
            "endpoint",
            self.context,
            self.foundation,
            cloud_run.Container(
                identity=self.foundation.identities[Purpose.SERVING],
                image=self.development.image,
                environment=environment,
                size=serving.size,
                minimum=serving.replicas.minimum,
                maximum=serving.replicas.maximum,
            ),
            # Models are read from the lake when a revision starts.
            opts=self.child(depends_on=[*self.foundation.ready, *self.data.grants[Purpose.SERVING]]),
        )
        self.realise("real-time-scoring", endpoint)
        self.realise("autoscaling", endpoint)
        if workload.models_in(Role.CANARY):
            self.realise("canary", endpoint)
        if workload.models_in(Role.SHADOW):
            self.realise("shadow", endpoint)
        return endpoint

    def _stream(self, endpoint: cloudrunv2.Service) -> None:
        """Events are pushed to a processor, which keeps features, asks the endpoint and tells its decisions."""
        self.decision_topic = topics.topic("decisions", self.context, self.foundation, self.child())
        ingest = self.foundation.member(Purpose.INGEST)
        processor = self._processor(
            {
                **routing.environment(self.context.workload, routing.deployed(self.context.workload)),
                "SCORING_ENDPOINT": endpoint.uri,
                "DECISIONS": self.decision_topic.id,
            },
            [
                topics.let_publish("decisions", self.decision_topic, ingest, self.context, self.child()),
                cloud_run.let_invoke("endpoint", endpoint, self.context, self.foundation, self.child()),
            ],
        )
        self.realise("stream-scoring", processor.event_source)
        self.realise("decision-stream", self.decision_topic)

    def _processor(self, variables: dict[str, pulumi.Input[str]], ready: list[pulumi.Resource]) -> EventProcessor:
        """The processor with what it is told besides, and what must be there first."""
        processor = EventProcessor(
            self.context, self.foundation, self.data, self.features, self.development, variables, ready, self.child()
        )
        self.stream_processor, self.event_source = processor.service, processor.event_source
        self.realise("feature-updates", self.event_source)
        return processor

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
