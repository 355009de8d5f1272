"""The serving layer on Google Cloud: the scoring service on Cloud Run, a processor of events, scheduled batch."""

import pulumi
from pulumi_gcp import bigquery, cloudrunv2, cloudscheduler, pubsub, workflows

from ml_blueprints import layers, routing
from ml_blueprints.compiled_pipelines import BATCH_SCORING, trusted
from ml_blueprints.gcp import cloud_run, facts, pipeline_definition, topics, vertex_pipeline
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.event_processor import EventProcessor
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.lake import RUNS
from ml_blueprints.gcp.vertex_pipeline import VertexPipeline
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Mode, Role


class Serving(layers.Serving):
    """Predictions on Google Cloud.

    Native resources: with real time `real_time`; where events come in `stream_processor`, `event_source`, and
    `decision_topic` where they are scored; with batch `batch_run`, its workflow `batch_pipeline`, and `batch_schedule`.
    `captured` is the URI of what was asked and answered.
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
            **routing.environment(workload, self.context.settings, routing.deployed(workload)),
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
                **routing.environment(
                    self.context.workload, self.context.settings, routing.deployed(self.context.workload)
                ),
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
        """The compiled pipeline scores all that is due, and leaves the scores in the curated zone."""
        context, foundation, data, settings = self.context, self.foundation, self.data, self.context.settings
        run = vertex_pipeline.Run(
            pipeline=BATCH_SCORING,
            identity=Purpose.SERVING,
            image=self.development.image,
            root=pulumi.Output.concat(data.zones[Zone.CURATED], f"/{RUNS}"),
            told={
                **self.development.events(),
                "champion": self.development.champion(),
                "predictions": pulumi.Output.concat(data.zones[Zone.CURATED], "/predictions"),
                "environment": settings.environment,
                "trusted": trusted(settings),
            },
        )
        ready = [
            *foundation.act_as(Purpose.SERVING, Purpose.SERVING),
            *data.grants[Purpose.SERVING],
            *self._batch_rights(),
        ]
        self.batch_run = VertexPipeline("batch", context, foundation, data.lake.code, run, self.child(), ready)
        self.batch_pipeline = self.batch_run.workflow
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

    def _batch_rights(self) -> list[pulumi.Resource]:
        """What scoring in batch takes beside what serving may anyhow: to run a pipeline and read it, and events."""
        context, foundation, table = self.context, self.foundation, self.data.table
        serving = foundation.member(Purpose.SERVING)
        return [
            foundation.grant_on_project("batch", "score in batch", facts.PIPELINE_PERMISSIONS, serving),
            self.data.let_read_code(Purpose.SERVING),
            bigquery.IamMember(
                context.logical("serving-raw-table"),
                dataset_id=table.dataset_id,
                table_id=table.table_id,
                role=facts.ROLE_TABLE_READER,
                member=serving,
                opts=self.child(),
            ),
        ]
