"""The private network of a platform on Google Cloud: subnets, an endpoint for Google's APIs, firewall, flow logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
from pulumi_gcp import compute, dns

from ml_blueprints.gcp import facts
from ml_blueprints.layers import Context
from ml_blueprints.subnets import divide


@dataclass(frozen=True, slots=True)
class Plan:
    """How the address range is used: a subnet for services, one for jobs, and the address of Google's APIs."""

    services: str
    jobs: str
    endpoint: str


def plan(cidr: str) -> Plan:
    """Divide an IPv4 range in four: services, jobs, a quarter to grow into, and one whose first host is the endpoint.

    The endpoint's address must lie outside of all subnets
    (https://cloud.google.com/vpc/docs/configure-private-service-connect-apis#ip-address).
    """
    services, jobs, _, endpoints = divide(cidr, 4)
    return Plan(services, jobs, str(IPv4Network(endpoints)[1]))


class Network(pulumi.ComponentResource):
    """A network without a way in, and a way out only where the settings ask for one; or the organisation's own.

    network_id, subnet_ids: where workloads run, the first for services, the last for jobs. attachment: where jobs of
    Vertex AI enter. network, subnets, endpoint: the resources, None or empty where the network is brought along.
    """

    def __init__(
        self,
        context: Context,
        region: str,
        ready: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:gcp:Network", context.logical("network"), None, opts)
        self.context, self.region, self.ready = context, region, ready
        self.network: compute.Network | None = None
        self.subnets: list[compute.Subnetwork] = []
        self.endpoint: compute.GlobalForwardingRule | None = None
        settings = context.settings.network
        if settings.existing_network:
            self.network_id = pulumi.Output.from_input(settings.existing_network)
            self.subnet_ids = [pulumi.Output.from_input(subnet) for subnet in settings.existing_subnets]
        else:
            self.plan = plan(settings.cidr)
            self._network()
            self._subnets()
            self._endpoint()
            self._names()
            self._firewall()
            self._between_spark_nodes()
            if settings.internet_egress:
                self._internet_egress()
        self._attachment()
        self.register_outputs({"networkId": self.network_id, "subnetIds": self.subnet_ids})

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _network(self) -> None:
        context = self.context
        self.network = compute.Network(
            context.logical("network"),
            description=f"Private network of {context.workload.name}",
            auto_create_subnetworks=False,
            routing_mode="REGIONAL",
            # The way to the internet, where asked for, is a route of our own.
            delete_default_routes_on_create=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(self.ready)),
        )
        self.network_id = self.network.id

    def _subnets(self) -> None:
        for part, cidr in (("services", self.plan.services), ("jobs", self.plan.jobs)):
            self.subnets.append(
                compute.Subnetwork(
                    self.context.logical(part),
                    network=self.network_id,
                    region=self.region,
                    ip_cidr_range=cidr,
                    private_ip_google_access=True,
                    log_config=compute.SubnetworkLogConfigArgs(
                        aggregation_interval="INTERVAL_5_MIN", flow_sampling=1.0, metadata="INCLUDE_ALL_METADATA"
                    ),
                    opts=self._child(),
                )
            )
        self.subnet_ids = [subnet.id for subnet in self.subnets]

    def _endpoint(self) -> None:
        """One address of the network for all of Google's APIs, by Private Service Connect."""
        context = self.context
        address = compute.GlobalAddress(
            context.logical("google-apis"),
            address=self.plan.endpoint,
            address_type="INTERNAL",
            purpose="PRIVATE_SERVICE_CONNECT",
            network=self.network_id,
            labels=context.tags,
            opts=self._child(),
        )
        self.endpoint = compute.GlobalForwardingRule(
            context.logical("google-apis"),
            # This kind of rule has a name of at most 20 lower case letters and digits.
            # https://cloud.google.com/vpc/docs/configure-private-service-connect-apis#create-endpoint
            name=f"apis{context.token}",
            target="all-apis",
            network=self.network_id,
            ip_address=address.id,
            load_balancing_scheme="",
            labels=context.tags,
            opts=self._child(),
        )

    def _names(self) -> None:
        """Private zones, in which the names of Google's services lead to the endpoint."""
        context = self.context
        for domain in facts.PRIVATE_DOMAINS:
            part = domain.rstrip(".").replace(".", "-")
            zone = dns.ManagedZone(
                context.logical(part),
                dns_name=domain,
                description=f"{domain} by the private endpoint",
                visibility="private",
                private_visibility_config=dns.ManagedZonePrivateVisibilityConfigArgs(
                    networks=[dns.ManagedZonePrivateVisibilityConfigNetworkArgs(network_url=self.network_id)]
                ),
                labels=context.tags,
                opts=self._child(),
            )
            inside = pulumi.ResourceOptions(parent=zone)
            dns.RecordSet(
                context.logical(part),
                managed_zone=zone.name,
                name=domain,
                type="A",
                ttl=300,
                rrdatas=[self.plan.endpoint],
                opts=inside,
            )
            dns.RecordSet(
                context.logical(f"{part}-all"),
                managed_zone=zone.name,
                name=f"*.{domain}",
                type="CNAME",
                ttl=300,
                rrdatas=[domain],
                opts=inside,
            )

    def _firewall(self) -> None:
        """Nothing comes in; out goes HTTPS to the endpoint, and more only where the settings ask for the internet."""
        context = self.context
        logged = compute.FirewallLogConfigArgs(metadata="INCLUDE_ALL_METADATA")
        compute.Firewall(
            context.logical("deny-ingress"),
            network=self.network_id,
            description="Nothing comes in",
            direction="INGRESS",
            priority=65534,
            source_ranges=["0.0.0.0/0"],
            denies=[compute.FirewallDenyArgs(protocol="all")],
            log_config=logged,
            opts=self._child(),
        )
        if context.settings.network.internet_egress:
            return
        compute.Firewall(
            context.logical("deny-egress"),
            network=self.network_id,
            description="Nothing goes out that isn't allowed",
            direction="EGRESS",
            priority=65534,
            destination_ranges=["0.0.0.0/0"],
            denies=[compute.FirewallDenyArgs(protocol="all")],
            log_config=logged,
            opts=self._child(),
        )
        compute.Firewall(
            context.logical("allow-google-apis"),
            network=self.network_id,
            description="HTTPS to Google's APIs",
            direction="EGRESS",
            priority=1000,
            destination_ranges=[f"{self.plan.endpoint}/32"],
            allows=[compute.FirewallAllowArgs(protocol="tcp", ports=["443"])],
            opts=self._child(),
        )

    def let_out(
        self, part: str, description: str, address: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> compute.Firewall | None:
        """Let HTTPS out to one address; None where it is out already, or where the network is its owner's to open."""
        if self.network is None or self.context.settings.network.internet_egress:
            return None
        return compute.Firewall(
            self.context.logical(f"allow-{part}"),
            network=self.network_id,
            description=description,
            direction="EGRESS",
            priority=1000,
            destination_ranges=[pulumi.Output.concat(address, "/32")],
            allows=[compute.FirewallAllowArgs(protocol="tcp", ports=["443"])],
            opts=opts,
        )

    def _between_spark_nodes(self) -> None:
        """The nodes of a Spark batch reach one another on all ports, as they must; nothing else reaches them.

        Rules to go out know no tag of who is reached, so that nodes may send to all of their subnet.
        https://cloud.google.com/dataproc-serverless/docs/concepts/network#open_subnet_connectivity
        """
        shared = {
            "network": self.network_id,
            "priority": 1000,
            "target_tags": [facts.SPARK_TAG],
            "allows": [compute.FirewallAllowArgs(protocol=protocol) for protocol in ("tcp", "udp", "icmp")],
            "log_config": compute.FirewallLogConfigArgs(metadata="INCLUDE_ALL_METADATA"),
            "opts": self._child(),
        }
        compute.Firewall(
            self.context.logical("spark-ingress"),
            description="Nodes of Spark to one another",
            direction="INGRESS",
            source_tags=[facts.SPARK_TAG],
            **shared,
        )
        if self.context.settings.network.internet_egress:
            return
        compute.Firewall(
            self.context.logical("spark-egress"),
            description="Nodes of Spark to their subnet",
            direction="EGRESS",
            destination_ranges=[self.plan.jobs],
            **shared,
        )

    def _internet_egress(self) -> None:
        """Cloud NAT: enough for package downloads, and named in the settings so that policy can see it."""
        context = self.context
        compute.Route(
            context.logical("egress"),
            network=self.network_id,
            dest_range="0.0.0.0/0",
            next_hop_gateway="default-internet-gateway",
            priority=1000,
            opts=self._child(),
        )
        router = compute.Router(context.logical("nat"), network=self.network_id, region=self.region, opts=self._child())
        compute.RouterNat(
            context.logical("nat"),
            router=router.name,
            region=self.region,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            log_config=compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
            opts=self._child(),
        )

    def _attachment(self) -> None:
        """Where jobs of Vertex AI enter the network; its service agent accepts their connections one by one."""
        self.attachment = compute.NetworkAttachment(
            self.context.logical("jobs"),
            region=self.region,
            connection_preference="ACCEPT_MANUAL",
            subnetworks=[self.subnet_ids[-1]],
            description="Jobs of Vertex AI",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(self.ready)),
        )
