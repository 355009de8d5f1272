"""A private endpoint of Vertex AI: what is deployed on it, how its requests are divided, and the way in to it.

It has no public address. The network reaches it by Private Service Connect, whose service attachment is there once
something is deployed and stays as long as something is. It asks who calls (IAM), which is an option of its own there.
https://cloud.google.com/vertex-ai/docs/predictions/private-service-connect
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_gcp import compute, dns, vertex

from ml_blueprints import routing
from ml_blueprints.dynamic.vertex_ai import Container, Machines, Share, VertexDeployment, VertexModel, VertexTraffic
from ml_blueprints.gcp import containers, facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context
from ml_blueprints.settings import Purpose


class Endpoint(pulumi.ComponentResource):
    """An endpoint with its deployments, each of one container.

    endpoint: the resource. models, deployments: by name of the container. traffic: how requests are divided; what
    invokes the endpoint waits for it. entry: the forwarding rule in the network. url: where predictions are asked for.
    champion: the id of the deployment that answers when nothing else may.
    """

    def __init__(
        self,
        part: str,
        context: Context,
        foundation: Foundation,
        held: Sequence[containers.Container],
        image: pulumi.Input[str],
        variables: Mapping[str, pulumi.Input[str]],
        ready: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:Endpoint", context.logical(part), None, opts)
        self.part, self.context, self.foundation = part, context, foundation
        self.models: dict[str, VertexModel] = {}
        self.deployments: dict[str, VertexDeployment] = {}
        self._endpoint()
        for container in held:
            self._deploy(container, image, variables, ready)
        self.champion = self.deployments[held[0].name].deployed_id
        self._divide(held)
        self._entry()
        self.register_outputs({"endpointId": self.endpoint.id, "url": self.url})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _endpoint(self) -> None:
        context, foundation = self.context, self.foundation
        self.endpoint = vertex.AiEndpoint(
            context.logical(self.part),
            name=foundation.key.apply(lambda key: number(f"{context.token}/{self.part}/{key}")),
            display_name=context.logical(self.part),
            description=f"Predictions of {context.workload.name}",
            location=foundation.region,
            region=foundation.region,
            encryption_spec=vertex.AiEndpointEncryptionSpecArgs(kms_key_name=foundation.key),
            private_service_connect_config=vertex.AiEndpointPrivateServiceConnectConfigArgs(
                enable_private_service_connect=True,
                enable_secure_private_service_connect=True,
                project_allowlists=[foundation.project],
            ),
            labels=context.tags,
            opts=self._child(depends_on=foundation.ready),
        )

    def _deploy(
        self,
        container: containers.Container,
        image: pulumi.Input[str],
        variables: Mapping[str, pulumi.Input[str]],
        ready: Sequence[pulumi.Resource],
    ) -> None:
        """A new version is another model and another deployment, so that it is there before an old one goes."""
        context, foundation, workload = self.context, self.foundation, self.context.workload
        name = f"{self.part}-{container.name}"
        labels = context.tags | {"model": container.first.name, "version": container.first.version.replace(".", "-")}
        model = VertexModel(
            context.logical(name),
            Container(
                image=image,
                environment={**routing.behind_router(workload, context.settings, container.held), **variables},
                predict_route=facts.PREDICT_PATH,
                health_route=facts.HEALTH_PATH,
                port=facts.SERVICE_PORT,
            ),
            description=f"{container.first.name} {container.first.version} of {workload.name}",
            labels=labels,
            encryption_key=foundation.key,
            project=foundation.project,
            location=foundation.region,
            opts=self._child(depends_on=list(foundation.ready)),
        )
        self.models[container.name] = model
        self.deployments[container.name] = VertexDeployment(
            context.logical(name),
            self.endpoint.id,
            model.resource_name,
            self._machines(),
            service_account=foundation.identities[Purpose.SERVING],
            access_logging=True,
            # Models are read from the lake when a container starts.
            opts=self._child(depends_on=list(ready)),
        )

    def _machines(self) -> Machines:
        """As many as requests ask for: a machine is used for what keeps latency, and is added to before it is full.

        A target of requests is one of those in a minute.
        https://cloud.google.com/vertex-ai/docs/predictions/autoscaling
        """
        sizing, replicas = self.context.sizing, self.context.workload.serving.replicas
        a_minute = sizing.instance.requests_per_second * sizing.load * 60
        return Machines(
            sizing.instance.type,
            minimum=max(1, replicas.minimum),
            maximum=replicas.maximum,
            targets={facts.CPU_METRIC: facts.CPU_TARGET, facts.REQUESTS_METRIC: round(a_minute)},
        )

    def _divide(self, held: Sequence[containers.Container]) -> None:
        self.traffic = VertexTraffic(
            self.context.logical(self.part),
            self.endpoint.id,
            [Share(self.deployments[one.name].deployed_id, one.traffic) for one in held],
            opts=self._child(),
        )

    def _entry(self) -> None:
        """An address in the network, and the endpoint's name, which is the name in its certificate, for it."""
        context, foundation = self.context, self.foundation
        address = compute.Address(
            context.logical(self.part),
            region=foundation.region,
            address_type="INTERNAL",
            purpose="GCE_ENDPOINT",
            subnetwork=foundation.subnets[0],
            description=f"{self.part} of {context.workload.name}",
            labels=context.tags,
            opts=self._child(depends_on=list(foundation.ready)),
        )
        self.entry = compute.ForwardingRule(
            context.logical(self.part),
            region=foundation.region,
            target=self.traffic.service_attachment,
            network=foundation.network,
            ip_address=address.id,
            load_balancing_scheme="",
            labels=context.tags,
            opts=self._child(),
        )
        host = pulumi.Output.concat(
            *(self.endpoint.name, "-", foundation.region, "-", foundation.project_number, facts.PRIVATE_PREDICTION)
        )
        zone = dns.ManagedZone(
            context.logical(self.part),
            dns_name=pulumi.Output.concat(host, "."),
            description=f"{self.part} of {context.workload.name}",
            visibility="private",
            private_visibility_config=dns.ManagedZonePrivateVisibilityConfigArgs(
                networks=[dns.ManagedZonePrivateVisibilityConfigNetworkArgs(network_url=foundation.network)]
            ),
            labels=context.tags,
            opts=self._child(depends_on=list(foundation.ready)),
        )
        dns.RecordSet(
            context.logical(self.part),
            managed_zone=zone.name,
            name=zone.dns_name,
            type="A",
            ttl=300,
            rrdatas=[address.address],
            opts=self._child(),
        )
        foundation.network_component.let_out(self.part, "HTTPS to the endpoint", address.address, self._child())
        self.url = pulumi.Output.concat("https://", host, "/v1/", self.endpoint.id, ":predict")

    def let(
        self, part: str, role: pulumi.Input[str], member: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> vertex.AiEndpointIamMember:
        """Let somebody do with this endpoint what a role says."""
        return vertex.AiEndpointIamMember(
            self.context.logical(part),
            endpoint=self.endpoint.name,
            location=self.foundation.region,
            role=role,
            member=member,
            opts=opts,
        )


def number(words: str) -> str:
    """A number of ten digits, as endpoints are called, which follows from some words.

    The key is among them: another platform of the same name has another key, and the number of an endpoint that was
    deleted isn't free for a week.
    """
    return str(10**9 + int(hashlib.sha256(words.encode()).hexdigest(), 16) % (9 * 10**9))
