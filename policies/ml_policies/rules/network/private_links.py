"""Private links: services are reached by private endpoints, and their names lead there."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ml_policies.checks import Result, Scope, all_of, equals, matches, none_of, one_of, present, when
from ml_policies.relations import anywhere, belonging, related, where
from ml_policies.resource import Resource, Stack
from ml_policies.rule import Relation, Rule, Severity

_VPC_ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
_PRIVATE_ENDPOINT = "azure-native:network:PrivateEndpoint"
_ZONE_GROUP = "azure-native:network:PrivateDnsZoneGroup"
_STORAGE = "azure-native:storage:StorageAccount"
_ZONE = "gcp:dns/managedZone:ManagedZone"
_AWS = "https://www.pulumi.com/registry/packages/aws/api-docs"

# Type -> the services whose endpoints a network needs for it.
# https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
_AWS_SERVICES: Mapping[str, tuple[str, ...]] = {
    "aws:s3/bucket:Bucket": ("s3",),
    "aws:kinesis/stream:Stream": ("kinesis-streams",),
    "aws:kms/key:Key": ("kms",),
    "aws:sqs/queue:Queue": ("sqs",),
    "aws:ecr/repository:Repository": ("ecr.api", "ecr.dkr"),
    "aws:secretsmanager/secret:Secret": ("secretsmanager",),
    "aws:dynamodb/table:Table": ("dynamodb",),
    "aws:sagemaker/endpoint:Endpoint": ("sagemaker.runtime",),
}

# Type -> the property that has its name.
_AZURE_SERVICES: Mapping[str, str] = {
    "azure-native:cognitiveservices:Account": "accountName",
    "azure-native:containerregistry:Registry": "registryName",
    "azure-native:cosmosdb:DatabaseAccount": "accountName",
    "azure-native:eventhub:Namespace": "namespaceName",
    "azure-native:keyvault:Vault": "vaultName",
    "azure-native:machinelearningservices:Workspace": "workspaceName",
    "azure-native:redisenterprise:RedisEnterprise": "clusterName",
    "azure-native:search:Service": "searchServiceName",
    "azure-native:sql:Server": "serverName",
    _STORAGE: "accountName",
}

# Subnets for proxies and endpoints, which have no machines. https://docs.cloud.google.com/vpc/docs/subnets#purpose
_WITHOUT_MACHINES = (
    "GLOBAL_MANAGED_PROXY",
    "INTERNAL_HTTPS_LOAD_BALANCER",
    "PEER_MIGRATION",
    "PRIVATE_NAT",
    "PRIVATE_SERVICE_CONNECT",
    "REGIONAL_MANAGED_PROXY",
)


def _by_endpoints(services: tuple[str, ...]) -> Relation:
    """Endpoints of services, in a stack that has a network; elsewhere they come with the network."""
    needed = [
        related(
            anywhere(_VPC_ENDPOINT),
            f"an endpoint of {service} in the network",
            matches(
                "serviceName", rf"(com\.amazonaws|aws)\..+\.{service}".replace("-", r"\-"), f"the name of {service}"
            ),
        )
        for service in services
    ]

    def relation(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        if next(stack.of_type("aws:ec2/vpc:Vpc"), None) is not None:
            for one in needed:
                yield from one(resource, stack, parameters)

    return relation


def _by_private_endpoint(type_: str, name: str) -> Relation:
    """A private endpoint of a resource of Azure's, found by the property that has the resource's name."""
    endpoint = related(
        belonging(_PRIVATE_ENDPOINT, "privateLinkServiceConnections", name), "a PrivateEndpoint of the resource"
    )
    return endpoint if type_ != _STORAGE else _unless(_keeps_flow_logs, endpoint)


def _keeps_flow_logs(resource: Resource, stack: Stack) -> bool:
    """Whether an account only takes in the network's own flow logs, which Azure writes and reads from outside of it."""
    logs = belonging("azure-native:network:FlowLog", "storageId", "accountName")(resource, stack)
    containers = belonging("azure-native:storage:BlobContainer", "accountName", "accountName")(resource, stack)
    return next(iter(logs), None) is not None and next(iter(containers), None) is None


def _unless(exception: Callable[[Resource, Stack], bool], relation: Relation) -> Relation:
    """A relation that doesn't count for a resource that is an exception."""

    def checked(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
        if not exception(resource, stack):
            yield from relation(resource, stack, parameters)

    return checked


def _resolving(resource: Resource, stack: Stack, parameters: Mapping[str, Any]) -> Iterator[Result]:
    """A network with endpoints resolves their names. https://docs.aws.amazon.com/vpc/latest/privatelink/"""
    if next(stack.dependents(resource, _VPC_ENDPOINT), None) is not None:
        yield from _DNS(Scope(resource, resource.properties, parameters=parameters))


_DNS = all_of(
    equals("enableDnsSupport", True, True, f"{_AWS}/ec2/vpc/"),
    equals("enableDnsHostnames", True, False, f"{_AWS}/ec2/vpc/"),
)

RULES = (
    Rule(
        "MLB-NET-019",
        "What is private is reached by private endpoints or Private Google Access.",
        Severity.MEDIUM,
        "Add the private endpoint of the service to the network, or switch Private Google Access on in the subnet.",
        checks={
            "gcp:compute/subnetwork:Subnetwork": when(
                none_of("purpose", _WITHOUT_MACHINES),
                equals(
                    "privateIpGoogleAccess",
                    True,
                    False,
                    "https://docs.cloud.google.com/vpc/docs/configure-private-google-access",
                ),
            ),
        },
        relations={
            **{type_: _by_endpoints(services) for type_, services in _AWS_SERVICES.items()},
            **{type_: _by_private_endpoint(type_, name) for type_, name in _AZURE_SERVICES.items()},
        },
        references=(
            "azure-policy:Workspace_PrivateEndpoint_Audit",
            "azure-policy:Workspace_PrivateEndpoint_Audit_V2",
            "azure-policy:Workspace_PrivateEndpoint_DINE",
            "checkov:CKV_GCP_74",
            "checkov:CKV2_AZURE_32",
            "checkov:CKV2_AZURE_33",
            "checkov:CKV2_AZURE_45",
        ),
    ),
    Rule(
        "MLB-NET-020",
        "The names of services lead to their private endpoints.",
        Severity.MEDIUM,
        "Switch private DNS on, or give the endpoint private zones that are linked to the network.",
        checks={
            _VPC_ENDPOINT: when(
                one_of("vpcEndpointType", ("Interface",), "Gateway", f"{_AWS}/ec2/vpcendpoint/"),
                equals("privateDnsEnabled", True, False, f"{_AWS}/ec2/vpcendpoint/"),
            ),
        },
        relations={
            "aws:ec2/vpc:Vpc": _resolving,
            "gcp:compute/globalForwardingRule:GlobalForwardingRule": where(
                one_of("target", ("all-apis", "vpc-sc")),
                related(
                    anywhere(_ZONE),
                    "a private zone for googleapis.com",
                    all_of(
                        equals("visibility", "private"), matches("dnsName", r"(.+\.)?googleapis\.com\.?", "its name")
                    ),
                ),
            ),
            _PRIVATE_ENDPOINT: related(
                belonging(_ZONE_GROUP, "privateEndpointName", "privateEndpointName"),
                "a PrivateDnsZoneGroup of the endpoint",
                present("privateDnsZoneConfigs"),
            ),
            "azure-native:privatedns:PrivateZone": related(
                belonging("azure-native:privatedns:VirtualNetworkLink", "privateZoneName", "privateZoneName"),
                "a VirtualNetworkLink of the zone",
            ),
        },
        references=("azure-policy:Workspace_PrivateDnsZones_DINE",),
    ),
)
