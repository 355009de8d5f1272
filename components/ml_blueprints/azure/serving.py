"""The serving layer on Azure: online endpoints with canary and shadow, container apps, the tenants' API, batch."""

from functools import cached_property
from typing import Any

import pulumi
from pulumi_azure_native import app, eventhub, machinelearningservices

from ml_blueprints import layers, routing
from ml_blueprints.azure import (
    containers,
    event_hubs,
    facts,
    job_cluster,
    online_endpoint,
    pipeline_definition,
)
from ml_blueprints.azure.api import Api
from ml_blueprints.azure.app_environment import AppEnvironment
from ml_blueprints.azure.containers import Container
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.event_processor import EventProcessor
from ml_blueprints.azure.features import Features
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.azure.online_endpoint import OnlineEndpoint
from ml_blueprints.azure.rollback import Rollback, RollbackIdentity
from ml_blueprints.azure.scoring_app import Acting, ScoringApp, Size
from ml_blueprints.compiled_pipelines import BATCH_SCORING, trusted
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Inference, Mode, Role

# What the service calls the folder of what it was asked and answered, under CAPTURED (docs/serving.md).
REQUESTS = "requests/"

# Where in the curated zone the scores of batches lie, a folder for each run.
PREDICTIONS = "predictions/"


class Serving(AzureLayer, layers.Serving):
    """Predictions on Azure.

    Native resources: `models` by deployment name; with instances that wait for requests `online` (the endpoint that
    tenants share, with its deployments, their division and scaling), `dedicated` (those of tenants with their own, by
    tenant) and `rollbacks`; `scorer` where models answer without instances that wait; `router`, and `api` in front of
    it; where events come in `environment`, `stream_processor`, and `decision_hub` where they are scored; with batch
    `batch_endpoint`, `batch_deployment`, `batch_schedule`.
    """

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
        self.place, self.modes = development.place, modes
        self.inference = context.workload.serving.inference
        self.online: OnlineEndpoint | None = None
        self.dedicated: dict[str, OnlineEndpoint] = {}
        self.rollbacks: list[Rollback] = []
        self.scorer: ScoringApp | None = None
        self.router: ScoringApp | None = None
        self.api: Api | None = None
        self.environment: AppEnvironment | None = None
        self.stream_processor: app.ContainerApp | None = None
        self.decision_hub: eventhub.EventHub | None = None
        self.batch_endpoint: machinelearningservices.BatchEndpoint | None = None
        self.batch_deployment: machinelearningservices.BatchDeployment | None = None
        self._models()
        if data.hub is not None:
            self.environment = AppEnvironment(context, foundation, opts=self.child())
        if Mode.REAL_TIME in modes and self.inference is not Inference.ASYNCHRONOUS:
            self._real_time()
        if Mode.STREAM in modes:
            self._stream()
        elif data.hub is not None:
            self._feature_updates()
        if Mode.BATCH in modes:
            self._batch()
        endpoint, url = self._door()
        self.give(
            endpoint=endpoint,
            url=url,
            processor=self.stream_processor.id if self.stream_processor and Mode.STREAM in modes else None,
            batch=self.batch_deployment.id if self.batch_deployment else None,
        )

    @property
    def endpoints(self) -> list[OnlineEndpoint]:
        """The online endpoints: the one that tenants share, and those of tenants with instances of their own."""
        return [*([self.online] if self.online else []), *self.dedicated.values()]

    @property
    def apps(self) -> list[ScoringApp]:
        """The container apps that answer requests, the one that is asked first at the end."""
        return [one for one in (self.scorer, self.router) if one is not None]

    @property
    def answers_requests(self) -> bool:
        """Whether requests are answered while whoever asks waits for it."""
        return self.online is not None or bool(self.apps)

    def asked(self, container: Container, tenant: str | None = None) -> str:
        """The URL of the folder with what a container was asked and answered."""
        return self.data.uri(Zone.CURATED, f"{online_endpoint.captured(container, tenant)}/{REQUESTS}")

    @property
    def answered(self) -> list[str]:
        """The URLs of the folders with what was asked of versions that answer, and with what batches were scored."""
        if not self.answers_requests:
            return [self.data.uri(Zone.CURATED, PREDICTIONS)]
        if not self.endpoints:
            return [self.asked(containers.shared(self.context.workload)[0])]
        return [
            self.asked(container, endpoint.tenant)
            for endpoint in self.endpoints
            for container in endpoint.containers
            if container.role is not Role.SHADOW
        ]

    @property
    def _has_router(self) -> bool:
        """Whoever asks comes by the router, except where events alone are scored."""
        serving = self.context.workload.serving
        return serving.mode is Mode.REAL_TIME or bool(serving.tenants)

    def _door(self) -> tuple[pulumi.Output[str] | None, pulumi.Input[str] | None]:
        """What takes requests: its id, and where it is asked."""
        if self.inference is Inference.ASYNCHRONOUS:
            batch = required(self.batch_endpoint, "a batch endpoint")
            return batch.id, batch.properties.scoring_uri
        front = self.api or self.router or self.scorer or self.online
        if front is None:
            return None, None
        where = self.online.endpoint.id if self.online else self.apps[0].container_app.id
        return where, pulumi.Output.from_input(front.url)

    def _models(self) -> None:
        """One version in the registry for each that runs; training registers the others itself."""
        context = self.context
        self.models = {
            routing.deployment_name(model): machinelearningservices.ModelVersion(
                context.logical(routing.deployment_name(model)),
                name=self.development.model_containers[model.name].name,
                version=model.version,
                properties=machinelearningservices.ModelVersionPropertiesArgs(
                    model_type="custom_model",
                    model_uri=self.data.path(Zone.MODELS, routing.artifact_path(model)),
                    description=f"{model.name} {model.version} of {context.workload.name}",
                    tags=context.tags | {"model": model.name, "version": model.version, "role": model.role.value},
                ),
                opts=self.child(),
                **self.place,
            )
            for model in routing.deployed(context.workload)
        }

    def _real_time(self) -> None:
        """Models behind endpoints of the platform or in a container app, the router before them, the API before it."""
        if self.inference is Inference.PROVISIONED:
            self._endpoints()
        elif Mode.STREAM in self.modes or not self._has_router:
            self.scorer = self._scoring("scorer", open_to=None)
            self._scores_without_endpoint(self.scorer)
        if self._has_router:
            self._front()

    def _endpoints(self) -> None:
        """An endpoint for all, and one for each tenant that shares no instances.

        Endpoints share nothing: not the address, not who may ask, not Azure's limits of requests and bytes a second.
        Deployments of one endpoint share all three, and any of them is reached by a header.
        """
        workload = self.context.workload
        workspace = self.development.workspace.id
        writes = self.foundation.grant(Purpose.SERVING, "metrics", facts.ROLE_METRICS_WRITER, workspace)
        self.online = self._online(containers.shared(workload), None, writes)
        own = containers.dedicated(workload)
        self.dedicated = {tenant: self._online(behind, tenant, writes) for tenant, behind in own.items()}
        deployments = [one for endpoint in self.endpoints for one in endpoint.deployments.values()]
        self.realise("real-time-scoring", *deployments)
        self.realise("autoscaling", *(setting for endpoint in self.endpoints for setting in endpoint.scaling))
        if self.dedicated:
            apart = [one for endpoint in self.dedicated.values() for one in endpoint.deployments.values()]
            self.realise("dedicated-placement", *apart)
        if workload.serving.ensemble:
            self.realise("ensemble", self.online.deployments[self.online.champion])
        back = {endpoint: RollbackIdentity(self.foundation, endpoint) for endpoint in self.endpoints}
        if divided := self._with(Role.CANARY):
            self.realise("canary", *(endpoint.division for endpoint in divided))
            self.rollbacks = [
                Rollback(self.context, self.foundation, back[endpoint], opts=self.child()) for endpoint in divided
            ]
            self.realise("automatic-rollback", *(rollback.workflow for rollback in self.rollbacks))
        if mirrored := self._with(Role.SHADOW):
            self.realise("shadow", *(endpoint.division for endpoint in mirrored))

    def _with(self, role: Role) -> list[OnlineEndpoint]:
        """The endpoints that have a deployment with this role."""
        return [one for one in self.endpoints if any(container.role is role for container in one.containers)]

    def _online(
        self, behind: tuple[containers.Container, ...], tenant: str | None, writes_metrics: list[pulumi.Resource]
    ) -> OnlineEndpoint:
        """Behind a router a container gets its features with each request."""
        foundation, development, data = self.foundation, self.development, self.data
        reads = {"FEATURE_STORE": self.features.online} if self.features.online and not self._has_router else {}
        return OnlineEndpoint(
            self.context,
            foundation,
            data,
            development,
            self.models,
            behind,
            reads,
            self._has_router,
            [
                *writes_metrics,
                *development.pulls[Purpose.SERVING],
                *data.grants[Purpose.SERVING],
                *data.workspace_component.outbound_rules,
            ],
            tenant,
            opts=self.child(),
        )

    def _scores_without_endpoint(self, answering: ScoringApp) -> None:
        """A container app that has the models itself."""
        self.realise("real-time-scoring", answering.container_app)
        self.realise("autoscaling", answering.container_app)
        if self.context.workload.serving.ensemble:
            self.realise("ensemble", answering.container_app)

    def _front(self) -> None:
        """The router, which a gateway alone may ask where there are tenants, and else whoever the directory knows."""
        context, foundation = self.context, self.foundation
        tenants, tokens = context.workload.serving.tenants, context.settings.tokens
        gateway = foundation.identity("api") if tenants else None
        open_to = [gateway.principal_id] if gateway else []
        if self.online is None and self.scorer is None:
            self.router = self._scoring("router", open_to)
            self._scores_without_endpoint(self.router)
        else:
            self.router = self._router(open_to)
        if context.workload.serving.mode is Mode.REAL_TIME:
            self.realise("router", self.router.container_app)
        if gateway:
            self.api = Api(
                context,
                foundation,
                required(tokens, "tokens"),
                gateway,
                self.router.url,
                list(foundation.network_component.subnets),
                opts=self.child(),
            )
            self.realise("api", self.api.api)
            self.realise("tenant-quotas", self.api.policy)

    def _router(self, open_to: list[pulumi.Output[str]]) -> ScoringApp:
        """It has an identity of its own, which may ask the endpoints and read features, and nothing else."""
        context, foundation = self.context, self.foundation
        identity, store = foundation.identity("router"), required(self.features.online_store, "online features")
        images = self.development.registry_account.id
        ready: list[pulumi.Resource] = [
            foundation.assign("router-images", identity.principal_id, facts.ROLE_IMAGE_PULL, images, self.child()),
            store.let_in("router", identity.principal_id),
        ]
        ready += [
            foundation.assign(
                f"router-{endpoint.tenant or 'all'}",
                identity.principal_id,
                self._score_role,
                endpoint.endpoint.id,
                self.child(),
            )
            for endpoint in self.endpoints
        ]
        asked: dict[str, pulumi.Input[str]] = {
            f"SCORING_ENDPOINT_{tenant.upper().replace('-', '_')}": endpoint.url
            for tenant, endpoint in self.dedicated.items()
        }
        asked["SCORING_ENDPOINT"] = self.online.url if self.online else required(self.scorer, "a scorer").url
        return ScoringApp(
            context,
            foundation,
            self.development,
            required(self.environment, "an environment for container apps"),
            "router",
            Acting(identity.id, identity.client_id, ready),
            Size(facts.ROUTER_CPU),
            {
                **routing.environment(context.workload, context.settings, routing.deployed(context.workload)),
                **asked,
                "FEATURE_STORE": store.url,
            },
            open_to,
            opts=self.child(),
        )

    @cached_property
    def _score_role(self) -> pulumi.Output[str]:
        return self.foundation.role("score", "score", facts.SCORE_ACTIONS)

    def _scoring(self, part: str, open_to: list[pulumi.Output[str]] | None) -> ScoringApp:
        """A container app with all models, which it takes from the lake under the identity that serves."""
        context, foundation, data = self.context, self.foundation, self.data
        store = required(self.features.online_store, "online features")
        models = routing.deployed(context.workload)
        inside = routing.environment if open_to is not None else routing.behind_router
        return ScoringApp(
            context,
            foundation,
            self.development,
            required(self.environment, "an environment for container apps"),
            part,
            Acting(
                foundation.identities[Purpose.SERVING],
                foundation.client(Purpose.SERVING),
                [
                    *self.development.pulls[Purpose.SERVING],
                    *data.grants[Purpose.SERVING],
                    *store.users.values(),
                ],
            ),
            Size(min(context.instance.vcpus, facts.APP_CPU)),
            {
                **inside(context.workload, context.settings, models),
                "MODELS": data.uri(Zone.MODELS, ""),
                "CAPTURED": data.uri(Zone.CURATED, online_endpoint.captured(containers.shared(context.workload)[0])),
                "FEATURE_STORE": store.url,
            },
            open_to,
            opts=self.child(),
        )

    def _stream(self) -> None:
        """A container app reads events, keeps the online features, asks for scores and tells its decisions."""
        context, foundation = self.context, self.foundation
        if self.online is not None:
            may_score = foundation.grant(Purpose.INGEST, "score", self._score_role, self.online.endpoint.id)
            asked = self.online.url
        else:
            # An app that other apps alone find asks for no rights.
            may_score, asked = [], required(self.scorer, "a scorer").url
        hub, may_decide = self._decisions()
        processor = self._processor(
            {
                **routing.environment(context.workload, context.settings, routing.deployed(context.workload)),
                "SCORING_ENDPOINT": asked,
                "DECISIONS": hub.name,
                # Sudden changes of what is decided are told in the log; the baseline's drift is monitoring's to find.
                "WATCH": "learn",
            },
            [*may_score, *may_decide],
        )
        self.realise("stream-scoring", processor)

    def _decisions(self) -> tuple[eventhub.EventHub, list[pulumi.Resource]]:
        """Decisions for those who act on them, in as many partitions as events; kept in the lake as events are."""
        workload = self.context.workload
        self.decision_hub = hub = self.data.captured_hub(
            "decisions",
            event_hubs.partitions(workload.data.events_per_second, workload.serving.replicas.maximum),
            parent=self,
        )
        self.realise("decision-stream", hub)
        return hub, self.foundation.grant(Purpose.INGEST, "decisions", facts.ROLE_EVENT_SENDER, hub.id)

    def _feature_updates(self) -> None:
        """Where requests are answered and not events, the same container app only keeps the online features."""
        self._processor({}, [])

    def _processor(self, variables: dict[str, pulumi.Input[str]], ready: list[pulumi.Resource]) -> app.ContainerApp:
        store = required(self.features.online_store, "online features")
        processor = EventProcessor(
            self.context,
            self.foundation,
            self.data,
            required(self.data.hub, "a hub of events"),
            required(self.data.dead_letter_hub, "a hub of dead letters"),
            self.development,
            required(self.environment, "an environment for container apps"),
            variables={**variables, "STATE": store.url, "FEATURE_STORE": store.url},
            ready=[*ready, *store.users.values()],
            opts=self.child(),
        )
        self.stream_processor = processor.container_app
        self.realise("feature-updates", self.stream_processor)
        return self.stream_processor

    def _batch(self) -> None:
        """The compiled pipeline scores what is due by the champion, and leaves a folder of scores for each run.

        It is deployed behind a batch endpoint, for whoever wants predictions now, and started on the schedule. What it
        makes on its way lies in the curated zone: the identity that serves writes no models. Nodes that run by schedule
        may be taken away: what they leave is whole or isn't there, and Azure starts the job anew.
        """
        context, development, workload, data = self.context, self.development, self.context.workload, self.data
        scheduled = self._nodes("scoring", interruptible=True)
        requested = self._requests() if self.inference is Inference.ASYNCHRONOUS else scheduled
        job = pipeline_definition.Job(
            compute=scheduled.id,
            identity=self.foundation.identities[Purpose.SERVING],
            environment=development.environment_version.id,
        )
        definition, pipeline = development.pipelines.register(BATCH_SCORING)
        reads = self.foundation.grant(Purpose.SERVING, "events", facts.ROLE_BLOB_READER, data.containers[Zone.RAW].id)
        # Batch endpoints' names are unique in their region, as online endpoints' are.
        self.batch_endpoint = machinelearningservices.BatchEndpoint(
            context.logical("batch"),
            endpoint_name=f"batch-{context.token}",
            location=self.foundation.location,
            properties=machinelearningservices.BatchEndpointPropertiesArgs(
                auth_mode=machinelearningservices.EndpointAuthMode.AAD_TOKEN, description=workload.description
            ),
            tags=context.tags,
            opts=self.child(),
            **self.place,
        )
        self.batch_deployment = machinelearningservices.BatchDeployment(
            context.logical("batch"),
            deployment_name="scoring",
            endpoint_name=self.batch_endpoint.name,
            location=self.foundation.location,
            properties=machinelearningservices.BatchDeploymentPropertiesArgs(
                description=f"Scores the population of {workload.name}",
                deployment_configuration=machinelearningservices.BatchPipelineComponentDeploymentConfigurationArgs(
                    deployment_configuration_type="PipelineComponent",
                    component_id=machinelearningservices.IdAssetReferenceArgs(
                        reference_type="Id", asset_id=pipeline.id
                    ),
                    settings={
                        "default_compute": requested.name,
                        "default_datastore": data.datastores[Zone.CURATED].name,
                    },
                ),
            ),
            tags=context.tags,
            opts=self.child(deleted_with=self.batch_endpoint),
            **self.place,
        )
        scoring = pipeline_definition.Run(
            component=pipeline.id,
            experiment=f"{context.name}-batch",
            inputs={part: development.places[part] for part in definition.folders},
            outputs={"scores": data.path(Zone.CURATED, f"{PREDICTIONS}run={pipeline_definition.RUN}/")},
            words={
                "environment": context.settings.environment,
                "trusted": trusted(context.settings),
            },
        )
        self.batch_schedule = machinelearningservices.Schedule(
            context.logical("batch"),
            name="batch-scoring",
            properties=pipeline_definition.schedule(
                context,
                required(workload.serving.schedule, "a schedule"),
                pipeline_definition.scheduled(job, scoring),
            ),
            opts=self.child(depends_on=[*data.grants[Purpose.SERVING], *reads]),
            **self.place,
        )
        self.realise("batch-scoring", self.batch_deployment)
        if self.inference is Inference.ASYNCHRONOUS:
            self.realise("asynchronous-scoring", self.batch_deployment)
            self.realise("autoscaling", requested)

    def _requests(self) -> machinelearningservices.Compute:
        """The nodes of asynchronous requests: somebody waits for them, so that nobody takes them away."""
        context = self.context
        return self._nodes(
            "requests",
            interruptible=context.settings.experiment is not None,
            vm_size=context.instance.type,
            nodes=context.workload.serving.replicas.maximum,
        )

    def _nodes(self, name: str, interruptible: bool, **more: Any) -> machinelearningservices.Compute:
        development, data = self.development, self.data
        waits = [*data.workspace_component.outbound_rules, *development.pulls[Purpose.SERVING]]
        return job_cluster.cluster(
            self.context,
            self.foundation,
            self.place,
            name,
            [Purpose.SERVING],
            interruptible,
            opts=self.child(depends_on=waits),
            **more,
        )
