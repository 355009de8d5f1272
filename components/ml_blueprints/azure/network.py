"""The private network of a platform on Azure: subnets, private endpoints and their names, rules, flow logs."""

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network, operationalinsights, privatedns

from ml_blueprints.azure import facts
from ml_blueprints.layers import Context
from ml_blueprints.subnets import divide


@dataclass(frozen=True, slots=True)
class Plan:
    """How the address range is used: subnets for private endpoints, for Container Apps, and for the API of tenants."""

    endpoints: str
    apps: str
    api: str


def plan(cidr: str) -> Plan:
    """Divide an IPv4 range in four: private endpoints, container apps, API Management, and a quarter to grow into."""
    endpoints, apps, api, _ = divide(cidr, 4)
    return Plan(endpoints, apps, api)


class Network(pulumi.ComponentResource):
    """A virtual network without a way in, and a way out only where the settings ask for one; or the organisation's own.

    network_id, subnet_ids: where workloads run; the first subnet takes private endpoints, the last is the container
    apps' own, and where the workload has tenants the second is that of their API. network, subnets, flow_log: the
    resources, None or empty where the network is brought along; `endpoints` are made in either, as other layers ask for
    them.
    """

    def __init__(
        self, context: Context, group: pulumi.Input[str], location: str, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__("ml-blueprints:azure:Network", context.logical("network"), None, opts)
        self.context, self.group, self.location = context, group, location
        self.network: network.VirtualNetwork | None = None
        self.subnets: list[network.Subnet] = []
        self.endpoints: list[network.PrivateEndpoint] = []
        self.zones: dict[str, privatedns.PrivateZone] = {}
        self.flow_log: network.FlowLog | None = None
        settings = context.settings.network
        if settings.existing_network:
            self.network_id = pulumi.Output.from_input(settings.existing_network)
            self.subnet_ids = [pulumi.Output.from_input(subnet) for subnet in settings.existing_subnets]
        else:
            self.plan = plan(settings.cidr)
            self._subnets(self._network())
        self.register_outputs({"networkId": self.network_id, "subnetIds": self.subnet_ids})

    def endpoint(self, part: str, target: pulumi.Input[str], service: str) -> network.PrivateEndpoint:
        """A private endpoint of a resource (its id), by the group id of its service; its names lead there.

        In a network that is brought along the organisation's own zones hold the names, as its policy enters them.
        https://learn.microsoft.com/azure/cloud-adoption-framework/ready/azure-best-practices/private-link-and-dns-integration-at-scale
        """
        endpoint = network.PrivateEndpoint(
            self.context.logical(part),
            resource_group_name=self.group,
            location=self.location,
            subnet=network.SubnetArgs(id=self.subnet_ids[0]),
            private_link_service_connections=[
                network.PrivateLinkServiceConnectionArgs(name=part, private_link_service_id=target, group_ids=[service])
            ],
            tags=self.context.tags,
            opts=self._child(),
        )
        self.endpoints.append(endpoint)
        if self.network is not None:
            network.PrivateDnsZoneGroup(
                self.context.logical(part),
                resource_group_name=self.group,
                private_endpoint_name=endpoint.name,
                private_dns_zone_group_name="default",
                private_dns_zone_configs=[
                    network.PrivateDnsZoneConfigArgs(
                        name=name.replace(".", "-"), private_dns_zone_id=self._zone(name).id
                    )
                    for name in facts.PRIVATE_ZONES[service]
                ],
                opts=pulumi.ResourceOptions(parent=endpoint),
            )
        return endpoint

    def log_flows(
        self,
        account: pulumi.Input[str],
        workspace: operationalinsights.Workspace,
        writer: pulumi.Input[str],
        may_write: pulumi.Resource,
    ) -> network.FlowLog:
        """Keep the network's flows in a storage account, written under an identity, and show them in the workspace."""
        context = self.context
        self.flow_log = flow_log = network.FlowLog(
            context.logical("flows"),
            resource_group_name=facts.WATCHER_GROUP,
            network_watcher_name=facts.WATCHER.format(location=self.location),
            location=self.location,
            target_resource_id=self.network_id,
            storage_id=account,
            identity=network.ManagedServiceIdentityArgs(
                type=network.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[writer]
            ),
            enabled=True,
            format=network.FlowLogFormatParametersArgs(type=network.FlowLogFormatType.JSON, version=2),
            retention_policy=network.RetentionPolicyParametersArgs(days=facts.LOG_RETENTION_DAYS, enabled=True),
            flow_analytics_configuration=network.TrafficAnalyticsPropertiesArgs(
                network_watcher_flow_analytics_configuration=network.TrafficAnalyticsConfigurationPropertiesArgs(
                    enabled=True,
                    workspace_id=workspace.customer_id,
                    workspace_region=self.location,
                    workspace_resource_id=workspace.id,
                    traffic_analytics_interval=60,
                )
            ),
            tags=context.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[may_write]),
        )
        return flow_log

    def resolve(self, part: str, zone: pulumi.Input[str], host: str, address: pulumi.Input[str]) -> None:
        """Let a host of a zone of its own lead to an address in the network; `*` is any host, `@` the zone itself.

        In a network that is brought along its owner enters the name.
        """
        if self.network is None:
            return
        group, context = self.group, self.context
        made = self._linked_zone(part, zone)
        privatedns.PrivateRecordSet(
            context.logical(part),
            resource_group_name=group,
            private_zone_name=made.name,
            record_type="A",
            relative_record_set_name=host,
            ttl=300,
            a_records=[privatedns.ARecordArgs(ipv4_address=address)],
            opts=pulumi.ResourceOptions(parent=made),
        )

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _network(self) -> network.VirtualNetwork:
        context = self.context
        self.network = made = network.VirtualNetwork(
            context.logical("network"),
            resource_group_name=self.group,
            location=self.location,
            address_space=network.AddressSpaceArgs(address_prefixes=[context.settings.network.cidr]),
            tags=context.tags,
            # Subnets are resources of their own; Azure returns them here too, where they are not ours to change.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["subnets"]),
        )
        self.network_id = made.id
        return made

    def _subnets(self, parent: network.VirtualNetwork) -> None:
        """Azure changes one subnet of a network at a time, so that each waits for the one before."""
        context = self.context
        endpoints = network.Subnet(
            context.logical("endpoints"),
            resource_group_name=self.group,
            virtual_network_name=parent.name,
            subnet_name="endpoints",
            address_prefix=self.plan.endpoints,
            default_outbound_access=False,
            # Without it security groups would not apply to private endpoints.
            private_endpoint_network_policies=network.VirtualNetworkPrivateEndpointNetworkPolicies.ENABLED,
            network_security_group=network.NetworkSecurityGroupArgs(id=self._security_group("endpoints", []).id),
            opts=self._child(),
        )
        apps = network.Subnet(
            context.logical("apps"),
            resource_group_name=self.group,
            virtual_network_name=parent.name,
            subnet_name="apps",
            address_prefix=self.plan.apps,
            default_outbound_access=False,
            delegations=[network.DelegationArgs(name="container-apps", service_name=facts.CONTAINER_APPS_DELEGATION)],
            network_security_group=network.NetworkSecurityGroupArgs(
                id=self._security_group("apps", self._ways_out()).id
            ),
            nat_gateway=self._internet_egress() if context.settings.network.internet_egress else None,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[endpoints]),
        )
        api = [self._api_subnet(parent, apps)] if context.workload.serving.tenants else []
        self.subnets = [endpoints, *api, apps]
        self.subnet_ids = [subnet.id for subnet in self.subnets]

    def _api_subnet(self, parent: network.VirtualNetwork, before: network.Subnet) -> network.Subnet:
        """Where API Management is: what it needs of Azure comes and goes, the tokens' issuer Entra among it.

        https://learn.microsoft.com/azure/api-management/virtual-network-reference
        """
        comes_in = [_rule("management", 200, "Inbound", "Allow", "ApiManagement", "VirtualNetwork", "3443")]
        if self.context.settings.public_api:
            comes_in.append(_rule("clients", 210, "Inbound", "Allow", "Internet", "VirtualNetwork", "443"))
        goes_out = [
            _rule(
                f"to-{tag}-{port}", 100 + 10 * index, "Outbound", "Allow", "VirtualNetwork", destination=tag, port=port
            )
            for index, (tag, port) in enumerate(facts.API_OUTBOUND)
        ]
        if not self.context.settings.network.internet_egress:
            goes_out.append(_rule("no-internet", 4000, "Outbound", "Deny", destination="Internet"))
        group = self._security_group("api", [*comes_in, *goes_out])
        return network.Subnet(
            self.context.logical("api"),
            resource_group_name=self.group,
            virtual_network_name=parent.name,
            subnet_name="api",
            address_prefix=self.plan.api,
            default_outbound_access=False,
            network_security_group=network.NetworkSecurityGroupArgs(id=group.id),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[before]),
        )

    def _ways_out(self) -> list[network.SecurityRuleArgs]:
        """What workloads reach beside the network; nothing else of the internet unless the settings ask for it."""
        if self.context.settings.network.internet_egress:
            return []
        allowed = [
            _rule(f"to-{tag.partition('.')[0]}", 100 + 10 * index, "Outbound", "Allow", destination=tag, port="443")
            for index, tag in enumerate(facts.OUTBOUND_TAGS)
        ]
        return [*allowed, _rule("no-internet", 4000, "Outbound", "Deny", destination="Internet")]

    def _security_group(self, part: str, rules: list[network.SecurityRuleArgs]) -> network.NetworkSecurityGroup:
        """Nothing comes in from outside of the network, beside what its own rules say."""
        return network.NetworkSecurityGroup(
            self.context.logical(part),
            resource_group_name=self.group,
            location=self.location,
            security_rules=[
                *rules,
                _rule("from-network", 100, "Inbound", "Allow", source="VirtualNetwork"),
                _rule("from-load-balancer", 110, "Inbound", "Allow", source="AzureLoadBalancer"),
                _rule("nothing-else", 4000, "Inbound", "Deny"),
            ],
            tags=self.context.tags,
            opts=self._child(),
        )

    def _internet_egress(self) -> network.SubResourceArgs:
        """One NAT gateway: enough for package downloads, and named in the settings so that policy can see it."""
        context = self.context
        address = network.PublicIPAddress(
            context.logical("nat"),
            resource_group_name=self.group,
            location=self.location,
            sku=network.PublicIPAddressSkuArgs(name="Standard"),
            public_ip_allocation_method="Static",
            tags=context.tags,
            opts=self._child(),
        )
        gateway = network.NatGateway(
            context.logical("nat"),
            resource_group_name=self.group,
            location=self.location,
            sku=network.NatGatewaySkuArgs(name="Standard"),
            public_ip_addresses=[network.SubResourceArgs(id=address.id)],
            tags=context.tags,
            opts=self._child(),
        )
        return network.SubResourceArgs(id=gateway.id)

    def _zone(self, name: str) -> privatedns.PrivateZone:
        """The private zone of a name, made when first asked for and known in the network."""
        if name not in self.zones:
            self.zones[name] = self._linked_zone(name.removeprefix("privatelink.").replace(".", "-"), name)
        return self.zones[name]

    def _linked_zone(self, part: str, name: pulumi.Input[str]) -> privatedns.PrivateZone:
        """A private zone that is known in the network."""
        zone = privatedns.PrivateZone(
            self.context.logical(part),
            resource_group_name=self.group,
            location="Global",
            private_zone_name=name,
            tags=self.context.tags,
            opts=self._child(),
        )
        privatedns.VirtualNetworkLink(
            self.context.logical(part),
            resource_group_name=self.group,
            location="Global",
            private_zone_name=zone.name,
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=self.network_id),
            tags=self.context.tags,
            opts=pulumi.ResourceOptions(parent=zone),
        )
        return zone


def _rule(
    name: str,
    priority: int,
    direction: str,
    access: str,
    source: str = "*",
    destination: str = "*",
    port: str = "*",
) -> network.SecurityRuleArgs:
    return network.SecurityRuleArgs(
        name=name,
        priority=priority,
        direction=direction,
        access=access,
        protocol="Tcp" if port != "*" else "*",
        source_address_prefix=source,
        source_port_range="*",
        destination_address_prefix=destination,
        destination_port_range=port,
    )
