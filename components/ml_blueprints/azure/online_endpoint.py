"""An online endpoint of Azure Machine Learning: its deployments, the division of its requests, and its scaling."""

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_azure_native import machinelearningservices, monitor, resources

from ml_blueprints import routing
from ml_blueprints.azure import autoscaling, traffic
from ml_blueprints.azure.containers import Container, division
from ml_blueprints.azure.data import Data
from ml_blueprints.azure.development import Development
from ml_blueprints.azure.foundation import Foundation
from ml_blueprints.layers import Context, Zone
from ml_blueprints.settings import Purpose

# What the scoring service hands to the data collector. https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data
COLLECTIONS = ("model_inputs", "model_outputs")


def endpoint_name(context: Context, tenant: str | None) -> str:
    """Unique in its region, 3 to 32 characters."""
    return f"{context.name}-{context.token}" if tenant is None else f"{tenant[:23].rstrip('-')}-{context.token}"


def captured(container: Container, tenant: str | None = None) -> str:
    """Where in the curated zone lies what a container was asked and answered."""
    return f"captured/{f'{tenant}/' if tenant else ''}{container.name}"


class OnlineEndpoint(pulumi.ComponentResource):
    """A private endpoint that takes the organisation's tokens, and a deployment for each container behind it.

    tenant: whose alone it is; None: all others'. endpoint, division (of its traffic): the resources; deployments and
    captured_assets: by deployment name; scaling: one for each. properties, identity: what the endpoint is written with.
    """

    def __init__(
        self,
        context: Context,
        foundation: Foundation,
        data: Data,
        development: Development,
        models: Mapping[str, machinelearningservices.ModelVersion],
        containers: tuple[Container, ...],
        variables: Mapping[str, pulumi.Input[str]],
        behind_router: bool,
        ready: list[pulumi.Resource],
        tenant: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ):
        self.context, self.tenant = context, tenant
        super().__init__("ml-blueprints:azure:OnlineEndpoint", context.logical(self._part("endpoint")), None, opts)
        self.foundation, self.data, self.development = foundation, data, development
        self.place = development.place
        self.models, self.containers, self.variables = models, containers, variables
        self.behind_router = behind_router
        self.properties = {
            "authMode": "AADToken",
            "publicNetworkAccess": "Disabled",
            "description": context.workload.description,
        }
        self.identity = {
            "type": "UserAssigned",
            "userAssignedIdentities": pulumi.Output.from_input(foundation.identities[Purpose.SERVING]).apply(
                lambda id_: {id_: {}}
            ),
        }
        self.endpoint = self._endpoint(ready)
        self.captured_assets: dict[str, list[machinelearningservices.DataVersion]] = {}
        self.deployments = {container.name: self._deployment(container) for container in containers}
        self.division = self._division()
        foundation.keep_logs(self._part("endpoint"), self.endpoint)
        self.scaling = [self._scaling(name, deployment) for name, deployment in self.deployments.items()]
        self.url = self.endpoint.properties.scoring_uri
        self.register_outputs({"endpointId": self.endpoint.id})

    @property
    def champion(self) -> str:
        """The name of the deployment that takes what no other does."""
        return self.containers[0].name

    def _part(self, name: str) -> str:
        return f"{self.tenant}-{name}" if self.tenant else name

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _endpoint(self, ready: list[pulumi.Resource]) -> machinelearningservices.OnlineEndpoint:
        """An endpoint is tried with its identity when it is made. What it has is `division`'s to change."""
        context, foundation = self.context, self.foundation
        return machinelearningservices.OnlineEndpoint(
            context.logical(self._part("endpoint")),
            endpoint_name=endpoint_name(context, self.tenant),
            location=foundation.location,
            identity=machinelearningservices.ManagedServiceIdentityArgs(
                type=machinelearningservices.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[foundation.identities[Purpose.SERVING]],
            ),
            properties=machinelearningservices.OnlineEndpointPropertiesArgs(
                auth_mode=self.properties["authMode"],
                public_network_access=self.properties["publicNetworkAccess"],
                description=self.properties["description"],
            ),
            tags=context.tags,
            opts=self._child(depends_on=ready, ignore_changes=[*traffic.LEFT_ALONE]),
            **self.place,
        )

    def _deployment(self, container: Container) -> machinelearningservices.OnlineDeployment:
        """Versions on instances of their own; what they are asked and answer is collected in the curated zone."""
        context, replicas = self.context, self.context.workload.serving.replicas
        name, first = container.name, container.models[0]
        self.captured_assets[name] = [self._captured_asset(container, collection) for collection in COLLECTIONS]
        return machinelearningservices.OnlineDeployment(
            context.logical(self._part(name)),
            deployment_name=name,
            endpoint_name=self.endpoint.name,
            location=self.foundation.location,
            sku=machinelearningservices.SkuArgs(name="Default", capacity=max(replicas.minimum, 1)),
            properties=machinelearningservices.ManagedOnlineDeploymentArgs(
                endpoint_compute_type="Managed",
                model=self.models[routing.deployment_name(first)].id,
                environment_id=self.development.environment_version.id,
                instance_type=context.instance.type,
                environment_variables=self._told(container),
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
            # Its role may change; then its endpoint sends it another share, and it stays as it is.
            tags=context.tags | {"model": first.name, "version": first.version},
            # Autoscaling changes the number of instances. A deployment that has traffic can't be deleted, so that one
            # goes with its endpoint.
            opts=self._child(ignore_changes=["sku.capacity"], deleted_with=self.endpoint),
            **self.place,
        )

    def _told(self, container: Container) -> dict[str, pulumi.Input[str]]:
        """The variables of a container. Azure hands one model to a deployment; several come from the lake.

        The service keeps what it was asked and answered itself, too: it doesn't know Azure's collector.
        """
        workload, settings = self.context.workload, self.context.settings
        told = routing.behind_router if self.behind_router else routing.environment
        several = {"MODELS": self.data.uri(Zone.MODELS, "")} if len(container.models) > 1 else {}
        return {
            **told(workload, settings, container.held),
            **self.variables,
            **several,
            "CAPTURED": self.data.uri(Zone.CURATED, captured(container, self.tenant)),
            "IDENTITY": self.foundation.client(Purpose.SERVING),
        }

    def _captured_asset(self, container: Container, collection: str) -> machinelearningservices.DataVersion:
        _, version = self.data.catalogued(
            self._part(f"{container.name}-{collection.replace('_', '-')}"),
            self._part(f"{container.name}-{collection.replace('_', '-')}"),
            "1",
            self.data.path(Zone.CURATED, f"{captured(container, self.tenant)}/{collection}"),
            f"{collection} of {container.models[0].name} {container.models[0].version}",
            {},
            self._child(),
        )
        return version

    def _division(self) -> resources.Deployment:
        context, foundation = self.context, self.foundation
        own = {
            "name": pulumi.Output.concat(self.development.workspace.name, "/", self.endpoint.name),
            "location": foundation.location,
            "identity": self.identity,
            "tags": context.tags,
        }
        return resources.Deployment(
            context.logical(self._part("traffic")),
            resource_group_name=foundation.group,
            properties=resources.DeploymentPropertiesArgs(
                mode=resources.DeploymentMode.INCREMENTAL,
                template=traffic.template(own, self.properties, *division(self.containers)),
            ),
            tags=context.tags,
            opts=self._child(depends_on=list(self.deployments.values())),
        )

    def _scaling(self, name: str, deployment: machinelearningservices.OnlineDeployment) -> monitor.AutoscaleSetting:
        return autoscaling.follow_load(
            self.context,
            self.foundation,
            self._part(name),
            self.endpoint.id,
            deployment.id,
            name,
            self._child(),
        )
