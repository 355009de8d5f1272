"""The serving layer on Azure: online endpoint with canary and shadow, container app on events, scheduled batch."""

import pulumi
from pulumi_azure_native import app, eventhub, machinelearningservices, resources

from ml_blueprints import layers, routing
from ml_blueprints.azure import autoscaling, event_hubs, facts, pipeline_definition, traffic
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.event_processor import EventProcessor
from ml_blueprints.azure.features import Features
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.azure.layer import AzureLayer
from ml_blueprints.compiled_pipelines import BATCH_SCORING, trusted
from ml_blueprints.layers import Context, Zone, required
from ml_blueprints.settings import Purpose
from ml_blueprints.workload import Mode, Model, Role

# What the scoring service hands to the data collector. https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data
COLLECTIONS = ("model_inputs", "model_outputs")


class Serving(AzureLayer, layers.Serving):
    """Predictions on Azure.

    Native resources: `models` by deployment name; with real time `real_time`, `deployments` and `captured_assets` by
    deployment name, `division` (of the traffic), `scaling`; where events come in `environment`, `stream_processor`, and
    `decision_hub` where they are scored; with batch `batch_endpoint`, `batch_deployment`, `batch_schedule`. `captured`
    is the URI of what the champion was asked.
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
        self.place = development.place
        self.captured = data.path(Zone.CURATED, self._captured(context.workload.champion, COLLECTIONS[0]))
        self.real_time: machinelearningservices.OnlineEndpoint | None = None
        self.stream_processor: app.ContainerApp | None = None
        self.decision_hub: eventhub.EventHub | None = None
        self.batch_deployment: machinelearningservices.BatchDeployment | None = None
        self._models()
        if Mode.REAL_TIME in modes:
            self.real_time = self._real_time()
        if Mode.STREAM in modes:
            self._stream(required(self.real_time, "a real-time endpoint"))
        elif data.hub is not None:
            self._feature_updates()
        if Mode.BATCH in modes:
            self._batch()
        self.give(
            endpoint=self.real_time.id if self.real_time else None,
            url=self.real_time.properties.scoring_uri if self.real_time else None,
            processor=self.stream_processor.id if self.stream_processor and Mode.STREAM in modes else None,
            batch=self.batch_deployment.id if self.batch_deployment else None,
        )

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

    def _captured(self, model: Model, collection: str) -> str:
        """Where in the curated zone a deployment's collected data lie."""
        return f"captured/{routing.deployment_name(model)}/{collection}"

    def _real_time(self) -> machinelearningservices.OnlineEndpoint:
        context, foundation, workload = self.context, self.foundation, self.context.workload
        deployed = routing.deployed(workload)
        serving = foundation.identities[Purpose.SERVING]
        properties = {
            "authMode": "AADToken",
            "publicNetworkAccess": "Disabled",
            "description": workload.description,
        }
        writes_metrics = foundation.grant(
            Purpose.SERVING, "metrics", facts.ROLE_METRICS_WRITER, self.development.workspace.id
        )
        endpoint = machinelearningservices.OnlineEndpoint(
            context.logical("endpoint"),
            endpoint_name=f"{context.name}-{context.token}",
            location=foundation.location,
            identity=machinelearningservices.ManagedServiceIdentityArgs(
                type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[serving],
            ),
            properties=machinelearningservices.OnlineEndpointPropertiesArgs(
                auth_mode=properties["authMode"],
                public_network_access=properties["publicNetworkAccess"],
                description=properties["description"],
            ),
            tags=context.tags,
            # An endpoint is tried with its identity when it is made. Its traffic is `division`'s.
            opts=self.child(
                depends_on=[
                    *writes_metrics,
                    *self.development.pulls[Purpose.SERVING],
                    *self.data.grants[Purpose.SERVING],
                    *self.data.workspace_component.outbound_rules,
                ],
                ignore_changes=["properties.traffic", "properties.mirrorTraffic"],
            ),
            **self.place,
        )
        self.captured_assets: dict[str, list[machinelearningservices.DataVersion]] = {}
        self.deployments = {routing.deployment_name(model): self._deployment(endpoint, model) for model in deployed}
        self.division = resources.Deployment(
            context.logical("traffic"),
            resource_group_name=foundation.group,
            properties=resources.DeploymentPropertiesArgs(
                mode=resources.DeploymentMode.INCREMENTAL,
                template=traffic.template(
                    {
                        "name": pulumi.Output.concat(self.development.workspace.name, "/", endpoint.name),
                        "location": foundation.location,
                        "identity": {
                            "type": "UserAssigned",
                            "userAssignedIdentities": serving.apply(lambda id_: {id_: {}}),
                        },
                        "tags": context.tags,
                    },
                    properties,
                    deployed,
                ),
            ),
            tags=context.tags,
            opts=self.child(depends_on=list(self.deployments.values())),
        )
        foundation.keep_logs("endpoint", endpoint)
        self.scaling = [
            autoscaling.follow_load(context, foundation, name, deployment.id, self.child())
            for name, deployment in self.deployments.items()
        ]
        self.realise("real-time-scoring", *self.deployments.values())
        self.realise("autoscaling", *self.scaling)
        if workload.models_in(Role.CANARY):
            self.realise("canary", self.division)
        if workload.models_in(Role.SHADOW):
            self.realise("shadow", self.division)
        return endpoint

    def _deployment(
        self, endpoint: machinelearningservices.OnlineEndpoint, model: Model
    ) -> machinelearningservices.OnlineDeployment:
        """A version on instances of its own; what it is asked and answers is collected in the curated zone."""
        context, serving = self.context, self.context.workload.serving
        name = routing.deployment_name(model)
        self.captured_assets[name] = [self._captured_asset(model, collection) for collection in COLLECTIONS]
        environment = routing.environment(context.workload, context.settings, (model,))
        if self.features.online is not None:
            environment = environment | {"FEATURE_STORE": self.features.online}
        return machinelearningservices.OnlineDeployment(
            context.logical(name),
            deployment_name=name,
            endpoint_name=endpoint.name,
            location=self.foundation.location,
            sku=machinelearningservices.SkuArgs(name="Default", capacity=serving.replicas.minimum),
            properties=machinelearningservices.ManagedOnlineDeploymentArgs(
                endpoint_compute_type="Managed",
                model=self.models[name].id,
                environment_id=self.development.environment_version.id,
                instance_type=facts.INSTANCE_TYPES[serving.size],
                environment_variables=environment,
                request_settings=machinelearningservices.OnlineRequestSettingsArgs(request_timeout="PT5S"),
                liveness_probe=machinelearningservices.ProbeSettingsArgs(initial_delay="PT30S", period="PT10S"),
                readiness_probe=machinelearningservices.ProbeSettingsArgs(initial_delay="PT10S", period="PT10S"),
                data_collector=machinelearningservices.DataCollectorArgs(
                    rolling_rate=machinelearningservices.RollingRateType.HOUR,
                    collections={
                        collection: machinelearningservices.CollectionArgs(
                            data_collection_mode=machinelearningservices.DataCollectionMode.ENABLED,
                            data_id=asset.id,
                            sampling_rate=1.0,
                        )
                        for collection, asset in zip(COLLECTIONS, self.captured_assets[name], strict=True)
                    },
                ),
                scale_settings=machinelearningservices.DefaultScaleSettingsArgs(scale_type="Default"),
            ),
            tags=context.tags | {"model": model.name, "version": model.version, "role": model.role.value},
            # Autoscaling changes the number of instances. A deployment that has traffic can't be deleted, so that one
            # goes with its endpoint.
            opts=self.child(ignore_changes=["sku.capacity"], deleted_with=endpoint),
            **self.place,
        )

    def _captured_asset(self, model: Model, collection: str) -> machinelearningservices.DataVersion:
        name = f"{routing.deployment_name(model)}-{collection.replace('_', '-')}"
        description = f"{collection} of {model.name} {model.version}"
        container = machinelearningservices.DataContainer(
            self.context.logical(name),
            name=name,
            properties=machinelearningservices.DataContainerPropertiesArgs(
                data_type=machinelearningservices.DataType.URI_FOLDER, description=description, tags=self.context.tags
            ),
            opts=self.child(),
            **self.place,
        )
        return machinelearningservices.DataVersion(
            self.context.logical(name),
            name=container.name,
            version="1",
            properties=machinelearningservices.UriFolderDataVersionArgs(
                data_type="uri_folder",
                data_uri=self.data.path(Zone.CURATED, self._captured(model, collection)),
                description=description,
                tags=self.context.tags,
            ),
            opts=self.child(),
            **self.place,
        )

    def _stream(self, endpoint: machinelearningservices.OnlineEndpoint) -> None:
        """A container app reads events, keeps the online features, asks the endpoint and tells its decisions."""
        context, foundation = self.context, self.foundation
        may_score = foundation.grant(
            Purpose.INGEST, "score", foundation.role("score", "score", facts.SCORE_ACTIONS), endpoint.id
        )
        hub, may_decide = self._decisions()
        processor = self._processor(
            {
                **routing.environment(context.workload, context.settings, routing.deployed(context.workload)),
                "SCORING_ENDPOINT": endpoint.properties.scoring_uri,
                "DECISIONS": hub.name,
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
            variables={**variables, "STATE": store.url, "FEATURE_STORE": store.url},
            ready=[*ready, *store.users.values()],
            opts=self.child(),
        )
        self.environment, self.stream_processor = processor.environment, processor.container_app
        self.realise("feature-updates", self.stream_processor)
        return self.stream_processor

    def _batch(self) -> None:
        """The compiled pipeline scores what is due by the champion, and leaves a folder of scores for each run.

        It is deployed behind a batch endpoint, for whoever wants predictions now, and started on the schedule. What it
        makes on its way lies in the curated zone: the identity that serves writes no models.
        """
        context, development, workload, data = self.context, self.development, self.context.workload, self.data
        job = pipeline_definition.Job(
            compute=development.compute.id,
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
                        "default_compute": development.compute.name,
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
            outputs={"scores": data.path(Zone.CURATED, f"predictions/run={pipeline_definition.RUN}/")},
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
