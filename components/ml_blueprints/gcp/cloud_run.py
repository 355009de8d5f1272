"""Services of Cloud Run: the platform's image, reached from the project's network only, which leave only by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_gcp import cloudrunv2

from ml_blueprints.gcp import facts
from ml_blueprints.gcp.foundation import Foundation
from ml_blueprints.layers import Context


@dataclass(frozen=True)
class Container:
    """What a service runs and as whom, and between which bounds its instances follow the requests.

    command: without one it is the scoring service. always_on: whether an instance has its CPU between requests too, for
    requests that can't wait for it. behind_gateway: whether requests come by API Gateway, which isn't in the network.
    """

    identity: pulumi.Input[str]
    image: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    size: str
    minimum: int
    maximum: int
    command: Sequence[str] = field(default=())
    always_on: bool = False
    behind_gateway: bool = False


def service(
    part: str, context: Context, foundation: Foundation, container: Container, opts: pulumi.ResourceOptions
) -> cloudrunv2.Service:
    """A service in the subnet of services, encrypted, with signed images only, whom nobody invokes without a right."""
    return cloudrunv2.Service(
        context.logical(part),
        location=foundation.region,
        description=f"{part} of {context.workload.name}",
        # Whom IAM lets in is another matter: by a gateway only the gateway itself.
        ingress="INGRESS_TRAFFIC_ALL" if container.behind_gateway else "INGRESS_TRAFFIC_INTERNAL_ONLY",
        invoker_iam_disabled=False,
        binary_authorization=cloudrunv2.ServiceBinaryAuthorizationArgs(use_default=True),
        deletion_protection=False,
        template=cloudrunv2.ServiceTemplateArgs(
            service_account=container.identity,
            encryption_key=foundation.key,
            execution_environment="EXECUTION_ENVIRONMENT_GEN2",
            scaling=cloudrunv2.ServiceTemplateScalingArgs(
                min_instance_count=container.minimum, max_instance_count=container.maximum
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
                    image=container.image,
                    commands=list(container.command) or None,
                    envs=[
                        cloudrunv2.ServiceTemplateContainerEnvArgs(name=name, value=value)
                        for name, value in container.environment.items()
                    ],
                    ports=cloudrunv2.ServiceTemplateContainerPortsArgs(container_port=facts.SERVICE_PORT),
                    resources=cloudrunv2.ServiceTemplateContainerResourcesArgs(
                        limits=facts.INSTANCE_LIMITS[container.size],
                        cpu_idle=not container.always_on,
                        startup_cpu_boost=True,
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
        opts=opts,
    )


def let_invoke(
    part: str,
    invoked: cloudrunv2.Service,
    context: Context,
    foundation: Foundation,
    member: pulumi.Input[str],
    opts: pulumi.ResourceOptions,
) -> cloudrunv2.ServiceIamMember:
    """Let somebody invoke a service."""
    return cloudrunv2.ServiceIamMember(
        context.logical(part),
        name=invoked.name,
        location=foundation.region,
        role=facts.ROLE_INVOKER,
        member=member,
        opts=opts,
    )
