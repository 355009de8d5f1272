"""The serving layer on Google Cloud: endpoints of Vertex AI, services of Cloud Run, the tenants' API, batch."""

import pulumi
from pulumi_gcp import bigquery, cloudrunv2, cloudscheduler, cloudtasks, pubsub, workflows

from ml_blueprints import layers, routing
from ml_blueprints.compiled_pipelines import BATCH_SCORING, trusted
from ml_blueprints.gcp import cloud_run, containers, facts, pipeline_definition, scoring_queue, topics, vertex_pipeline
from ml_blueprints.gcp.api import Api
from ml_blueprints.gcp.data import Data
from ml_blueprints.gcp.development import Development
from ml_blueprints.gcp.endpoint import Endpoint
from ml_blueprints.gcp.event_processor import EventProcessor
from ml_blueprints.gcp.features import Features
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.gcp.lake import RUNS
from ml_blueprints.gcp.rollback import Rollback
from ml_blueprints.gcp.vertex_pipeline import VertexPipeline
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Inference, Mode, Role


class Serving(layers.Serving):
    """Predictions on Google Cloud.

    Native resources: where machines wait for requests `online` (the endpoint that tenants share, with its models,
    deployments and traffic), `dedicated` (those of tenants with machines of their own, by tenant) and `rollbacks`;
    where none wait `scorer`; before either `router`, and `api` before that; `queue` where requests wait for their
    answer. Where events come in `stream_processor`, `event_source`, and `decision_topic` where they are scored; with
    batch `batch_run`, its workflow `batch_pipeline`, and `batch_schedule`. `captured` is the URI of what was asked and
    answered.
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
        self.modes = modes
        self.captured = pulumi.Output.concat(data.zones[Zone.CURATED], "/captured")
        self.online: Endpoint | None = None
        self.dedicated: dict[str, Endpoint] = {}
        self.rollbacks: list[Rollback] = []
        self.scorer: cloudrunv2.Service | None = None
        self.router: cloudrunv2.Service | None = None
        self.api: Api | None = None
        self.queue: cloudtasks.Queue | None = None
        self.stream_processor: cloudrunv2.Service | None = None
        self.event_source: pubsub.Subscription | None = None
        self.decision_topic: pubsub.Topic | None = None
        self.batch_pipeline: workflows.Workflow | None = None
        if Mode.REAL_TIME in modes:
            self._real_time()
        if Mode.STREAM in modes:
            self._stream()
        elif data.topic is not None:
            self._processor({}, [])
        if Mode.BATCH in modes:
            self._batch()
        self.give(
            endpoint=self._endpoint_id(),
            url=self._url(),
            processor=self.stream_processor.id if self.stream_processor and Mode.STREAM in modes else None,
            batch=self.batch_pipeline.id if self.batch_pipeline else None,
        )

    @property
    def real_time(self) -> cloudrunv2.Service | None:
        """The service that whoever asks comes to."""
        return self.router or self.scorer

    def _endpoint_id(self) -> pulumi.Output[str] | None:
        if self.queue is not None:
            return self.queue.id
        answering = self.online.endpoint if self.online else self.scorer
        return answering.id if answering else None

    def _url(self) -> pulumi.Output[str] | None:
        if self.queue is not None:
            return pulumi.Output.concat(facts.TASK_QUEUE_URL, self.queue.id, "/tasks")
        if self.api is not None:
            return self.api.url
        if self.real_time is not None:
            return self.real_time.uri
        return self.online.url if self.online else None

    def _real_time(self) -> None:
        """Models on endpoints of Vertex AI or in a service, a router before them, an API before that."""
        serving = self.context.workload.serving
        if serving.inference is Inference.ASYNCHRONOUS:
            self._asynchronous()
            return
        if serving.inference is Inference.PROVISIONED:
            self._online()
        else:
            self._serverless()
        if serving.mode is not Mode.REAL_TIME and not serving.tenants:
            return
        # What is serverless is router and model in one, unless events, which bring no tenant's token, are scored there.
        self.router = router = self._alone or self._router()
        if serving.mode is Mode.REAL_TIME:
            self.realise("router", router)
        if serving.tenants:
            tokens = required(self.context.settings.tokens, "tokens")
            self.api = Api(self.context, self.foundation, router, tokens, opts=self.child())
            self.realise("api", self.api.gateway)
            self.realise("tenant-quotas", self.api.config)

    @property
    def _alone(self) -> cloudrunv2.Service | None:
        """The service that is router and model in one, where there is such a one."""
        tenants_and_events = self.context.workload.serving.tenants and Mode.STREAM in self.modes
        return None if tenants_and_events else self.scorer

    def _online(self) -> None:
        """The endpoint of all, and one for each tenant with machines of its own: a pool takes no container of ours."""
        workload = self.context.workload
        held = {"endpoint": containers.shared(workload)}
        captured = {"endpoint": self.captured}
        apart = containers.dedicated(workload)
        for tenant, theirs in apart.items():
            held[f"endpoint-{tenant}"] = theirs
            # What they ask lies by itself, so that it is looked at by itself.
            captured[f"endpoint-{tenant}"] = pulumi.Output.concat(self.captured, f"/{tenant}")
        endpoints = {
            part: Endpoint(
                part,
                self.context,
                self.foundation,
                theirs,
                self.development.image,
                {"MODELS": self.data.zones[Zone.MODELS], "CAPTURED": captured[part]},
                self.data.grants[Purpose.SERVING],
                opts=self.child(),
            )
            for part, theirs in held.items()
        }
        self.online = endpoints["endpoint"]
        self.dedicated = {tenant: endpoints[f"endpoint-{tenant}"] for tenant in apart}
        for part, theirs in held.items():
            if canaries := theirs[1:]:
                rollback = Rollback(self.context, self.foundation, endpoints[part], canaries, opts=self.child())
                self.rollbacks.append(rollback)
                self.realise("automatic-rollback", rollback.workflow)
                self.realise("canary", *(endpoints[part].deployments[canary.name] for canary in canaries))
        self.realise("real-time-scoring", *self.online.deployments.values())
        self.realise("autoscaling", *(one for each in endpoints.values() for one in each.deployments.values()))
        for endpoint in self.dedicated.values():
            self.realise("dedicated-placement", *endpoint.deployments.values())
        if shadowed := [
            endpoints[part].deployments[theirs[0].name]
            for part, theirs in held.items()
            if any(model.role is Role.SHADOW for model in theirs[0].models)
        ]:
            self.realise("shadow", *shadowed)
        if workload.serving.ensemble:
            self.realise("ensemble", self.online.deployments[held["endpoint"][0].name])

    def _serverless(self) -> None:
        """A service with all models, which is there as long as it is asked."""
        self.scorer = self._scoring({})
        self.realise("real-time-scoring", self.scorer)
        self.realise("autoscaling", self.scorer)
        if self.context.workload.serving.ensemble:
            self.realise("ensemble", self.scorer)

    def _asynchronous(self) -> None:
        """A queue hands requests to a service with all models, which keeps the answers."""
        context, foundation = self.context, self.foundation
        self.scorer = self._scoring({"ANSWERS": pulumi.Output.concat(self.captured, "/answers")})
        self.queue = scoring_queue.queue(context, foundation, self.scorer, self.child())
        self.realise("asynchronous-scoring", self.queue)
        self.realise("autoscaling", self.scorer)
        if context.workload.serving.ensemble:
            self.realise("ensemble", self.scorer)

    def _scoring(self, variables: dict[str, pulumi.Input[str]]) -> cloudrunv2.Service:
        """A service that holds all models, and divides requests and makes copies itself."""
        context, workload, replicas = self.context, self.context.workload, self.context.workload.serving.replicas
        tenants = bool(workload.serving.tenants)
        behind = tenants and Mode.STREAM in self.modes
        told = routing.behind_router if behind else routing.environment
        return cloud_run.service(
            "endpoint",
            context,
            self.foundation,
            cloud_run.Container(
                identity=self.foundation.identities[Purpose.SERVING],
                image=self.development.image,
                environment={
                    **told(workload, context.settings, routing.deployed(workload)),
                    **({} if behind else self._tenants()),
                    **self._features(),
                    "MODELS": self.data.zones[Zone.MODELS],
                    "CAPTURED": self.captured,
                    **variables,
                },
                size=context.instance.size,
                minimum=replicas.minimum,
                maximum=replicas.maximum,
                behind_gateway=tenants and not behind,
            ),
            # Models are read from the lake when a revision starts.
            opts=self.child(depends_on=[*self.foundation.ready, *self.data.grants[Purpose.SERVING]]),
        )

    def _router(self) -> cloudrunv2.Service:
        """It knows tenants by their tokens, reads an entity's features, and asks the endpoint that is a tenant's."""
        context, foundation, workload = self.context, self.foundation, self.context.workload
        replicas, serving = workload.serving.replicas, foundation.member(Purpose.SERVING)
        asks: dict[str, pulumi.Input[str]] = {
            f"SCORING_ENDPOINT_{tenant.upper().replace('-', '_')}": endpoint.url
            for tenant, endpoint in self.dedicated.items()
        }
        asks["SCORING_ENDPOINT"] = self._asked()
        return cloud_run.service(
            "router",
            context,
            foundation,
            cloud_run.Container(
                identity=foundation.identities[Purpose.SERVING],
                image=self.development.image,
                environment={
                    **routing.environment(workload, context.settings, routing.deployed(workload)),
                    **self._tenants(),
                    **self._features(),
                    **asks,
                },
                size=facts.ROUTER_SIZE,
                minimum=replicas.minimum,
                maximum=replicas.maximum,
                behind_gateway=bool(workload.serving.tenants),
            ),
            opts=self.child(depends_on=[*foundation.ready, *self._let_ask("router", serving)]),
        )

    def _asked(self) -> pulumi.Output[str]:
        """Where predictions are asked for, by a router or by the processor of events."""
        return self.online.url if self.online else required(self.scorer, "a service with models").uri

    def _let_ask(self, part: str, member: pulumi.Input[str]) -> list[pulumi.Resource]:
        """Let somebody ask each endpoint, or the service that has the models; with what an answer needs beside."""
        if self.online is None:
            scorer = required(self.scorer, "a service with models")
            return [cloud_run.let_invoke(part, scorer, self.context, self.foundation, member, self.child())]
        role = self.foundation.role(f"{part}-predict", "ask for predictions", facts.PREDICT_PERMISSIONS)
        endpoints = [self.online, *(self.dedicated.values() if part == "router" else ())]
        granted = [
            endpoint.let(endpoint.part.replace("endpoint", part, 1), role.name, member, self.child())
            for endpoint in endpoints
        ]
        return [*granted, *(resource for one in endpoints for resource in (one.traffic, one.entry))]

    def _features(self) -> dict[str, pulumi.Input[str]]:
        return {"FEATURE_STORE": self.features.online} if self.features.online is not None else {}

    def _tenants(self) -> dict[str, pulumi.Input[str]]:
        """Only the gateway may invoke what is behind it, and it has verified tokens: it tells whose a request is.

        The network has no way to the issuer's keys.
        https://cloud.google.com/api-gateway/docs/authenticating-users-jwt
        """
        return {"TENANT_FROM": "gateway"} if self.context.workload.serving.tenants else {}

    def _stream(self) -> None:
        """Events are pushed to a processor, which keeps features, asks the endpoint and tells its decisions."""
        self.decision_topic = topics.topic("decisions", self.context, self.foundation, self.child())
        ingest = self.foundation.member(Purpose.INGEST)
        processor = self._processor(
            {
                **routing.environment(
                    self.context.workload, self.context.settings, routing.deployed(self.context.workload)
                ),
                "SCORING_ENDPOINT": self._asked(),
                "DECISIONS": self.decision_topic.id,
                "WATCH": facts.WATCH,
            },
            [
                topics.let_publish("decisions", self.decision_topic, ingest, self.context, self.child()),
                *self._let_ask("ingest", ingest),
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
