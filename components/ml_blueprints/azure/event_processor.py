"""The event processor: a container app in the platform's network, as many replicas as events wait for."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_azure_native import app, eventhub

from ml_blueprints.azure import facts
from ml_blueprints.azure.app_environment import AppEnvironment
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose

# Events that wait for one replica before another is added.
EVENTS_PER_REPLICA = "500"


class EventProcessor(pulumi.ComponentResource):
    """Reads a hub's events under the identity that ingests, and reaches what it needs by private endpoints.

    It keeps the windows of each entity and its online features. What it is told besides, as `variables`, says where,
    and whom it asks for decisions, if anybody.

    environment: where it runs. container_app: the processor. It rests where the workload scales to zero and no event
    waits.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        events: eventhub.EventHub,
        dead_letters: eventhub.EventHub,
        development: Development,
        environment: AppEnvironment,
        variables: Mapping[str, pulumi.Input[str]],
        ready: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:azure:EventProcessor", context.logical("processor"), None, opts)
        self.context, self.foundation, self.data, self.development = context, foundation, data, development
        self.events, self.dead_letters = events, dead_letters
        self.identity = foundation.identities[Purpose.INGEST]
        self.environment = environment.environment
        self._container_app(variables, ready)
        self.register_outputs({"containerAppId": self.container_app.id})

    def _container_app(self, variables: Mapping[str, pulumi.Input[str]], ready: Sequence[pulumi.Resource]) -> None:
        context, data, replicas = self.context, self.data, self.context.workload.serving.replicas
        environment = {
            **variables,
            "WORKLOAD": context.workload.name,
            "EVENT_HUBS": data.event_host,
            "EVENTS": self.events.name,
            "CONSUMER_GROUP": data.consumer_group.name,
            "DEAD_LETTERS": self.dead_letters.name,
            "CHECKPOINTS": data.checkpoints_url,
            "IDENTITY": self.foundation.client(Purpose.INGEST),
            # Redis keeps what the processor writes for as long as the processor says.
            "FEATURE_TTL_HOURS": str(context.workload.features.online_ttl_hours),
        }
        self.container_app = app.ContainerApp(
            context.logical("processor"),
            # At most 32 lower case letters, digits and `-`.
            container_app_name=f"processor-{context.token}",
            resource_group_name=self.foundation.group,
            location=self.foundation.location,
            environment_id=self.environment.id,
            workload_profile_name="Consumption",
            identity=app.ManagedServiceIdentityArgs(
                type=app.ManagedServiceIdentityType.USER_ASSIGNED, user_assigned_identities=[self.identity]
            ),
            configuration=app.ConfigurationArgs(
                active_revisions_mode=app.ActiveRevisionsMode.SINGLE,
                registries=[app.RegistryCredentialsArgs(server=self.development.images, identity=self.identity)],
            ),
            template=app.TemplateArgs(
                containers=[
                    app.ContainerArgs(
                        name="processor",
                        image=self.development.image,
                        command=list(facts.COMMANDS["process"]),
                        env=[app.EnvironmentVarArgs(name=name, value=value) for name, value in environment.items()],
                        resources=app.ContainerResourcesArgs(cpu=facts.PROCESSOR_CPU, memory=facts.PROCESSOR_MEMORY),
                    )
                ],
                scale=app.ScaleArgs(
                    min_replicas=replicas.minimum, max_replicas=replicas.maximum, rules=[self._follow_events()]
                ),
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*ready, *self.development.pulls[Purpose.INGEST], *data.reads]
            ),
        )

    def _follow_events(self) -> app.ScaleRuleArgs:
        """Replicas for the events that wait in the hub: KEDA compares it with the checkpoints.

        https://keda.sh/docs/2.16/scalers/azure-event-hub/
        """
        data = self.data
        return app.ScaleRuleArgs(
            name="events",
            custom=app.CustomScaleRuleArgs(
                type="azure-eventhub",
                identity=self.identity,
                metadata={
                    "eventHubNamespace": data.namespace.name,
                    "eventHubName": self.events.name,
                    "consumerGroup": data.consumer_group.name,
                    "storageAccountName": data.dependencies.account.name,
                    "blobContainer": data.checkpoints.name,
                    "checkpointStrategy": "blobMetadata",
                    "unprocessedEventThreshold": EVENTS_PER_REPLICA,
                },
            ),
        )
