"""The private network of a platform on AWS: subnets over several zones, endpoints for AWS's services, flow logs."""

from collections.abc import Sequence

import pulumi
from pulumi_aws import ec2, get_availability_zones_output, get_region_output, iam, vpc

from ml_blueprints.aws import facts, policy
from ml_blueprints.layers import Context
from ml_blueprints.subnets import divide
from ml_blueprints.workload import ArchitectureKind


class Network(pulumi.ComponentResource):
    """A VPC without a way in, and a way out only where the settings ask for one; or the organisation's own.

    vpc_id, subnet_ids: where workloads run. security_group: of the workloads; reaches endpoints and S3 only.
    vpc, subnets, endpoints, flow_log: the resources, None or empty where the network is brought along. api_endpoint:
    by which the API of tenants is reached, where there is one that is private.
    """

    def __init__(
        self,
        context: Context,
        account: pulumi.Input[str],
        log_group_arn: pulumi.Input[str],
        boundary_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("ml-blueprints:aws:Network", context.logical("network"), None, opts)
        self.context = context
        self.region = get_region_output(opts=pulumi.InvokeOptions(parent=self)).region
        self.vpc: ec2.Vpc | None = None
        self.subnets: list[ec2.Subnet] = []
        self.endpoints: list[ec2.VpcEndpoint] = []
        self.api_endpoint: ec2.VpcEndpoint | None = None
        self.flow_log: ec2.FlowLog | None = None
        settings = context.settings.network
        if settings.existing_network:
            self.vpc_id = pulumi.Output.from_input(settings.existing_network)
            self.subnet_ids = [pulumi.Output.from_input(subnet) for subnet in settings.existing_subnets]
            self.security_group = self._workload_security_group(["0.0.0.0/0"], prefix_lists=[])
        else:
            self._vpc()
            self._subnets()
            self._endpoints()
            self._flow_logs(account, log_group_arn, boundary_arn)
        self.register_outputs({"vpcId": self.vpc_id, "subnetIds": self.subnet_ids})

    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _named(self, part: str) -> dict[str, str]:
        return self.context.tags | {"Name": self.context.logical(part)}

    def _vpc(self) -> None:
        context = self.context
        self.vpc = ec2.Vpc(
            context.logical("vpc"),
            cidr_block=context.settings.network.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._named("vpc"),
            opts=self._child(),
        )
        self.vpc_id = self.vpc.id
        # The default group lets its members talk to each other and out; without rules nobody can use it by accident.
        ec2.DefaultSecurityGroup(
            context.logical("default"), vpc_id=self.vpc_id, ingress=[], egress=[], tags=context.tags, opts=self._child()
        )

    def _subnets(self) -> None:
        context, settings = self.context, self.context.settings.network
        zones = get_availability_zones_output(state="available", opts=pulumi.InvokeOptions(parent=self)).names
        # As many ranges again are kept for the public side of NAT.
        ranges = divide(settings.cidr, 2 * settings.zones)
        self.route_table = ec2.RouteTable(
            context.logical("private"), vpc_id=self.vpc_id, tags=self._named("private"), opts=self._child()
        )
        for index in range(settings.zones):
            subnet = ec2.Subnet(
                context.logical(f"private-{index + 1}"),
                vpc_id=self.vpc_id,
                cidr_block=ranges[index],
                availability_zone=zones[index],
                map_public_ip_on_launch=False,
                tags=self._named(f"private-{index + 1}"),
                opts=self._child(),
            )
            ec2.RouteTableAssociation(
                context.logical(f"private-{index + 1}"),
                subnet_id=subnet.id,
                route_table_id=self.route_table.id,
                opts=self._child(),
            )
            self.subnets.append(subnet)
        self.subnet_ids = [subnet.id for subnet in self.subnets]
        if settings.internet_egress:
            self._internet_egress(ranges[settings.zones], zones[0])

    def _internet_egress(self, cidr: str, zone: pulumi.Input[str]) -> None:
        """One NAT gateway: enough for package downloads, and named in the settings so that policy can see it."""
        context = self.context
        gateway = ec2.InternetGateway(
            context.logical("internet"), vpc_id=self.vpc_id, tags=self._named("internet"), opts=self._child()
        )
        public = ec2.Subnet(
            context.logical("nat"),
            vpc_id=self.vpc_id,
            cidr_block=cidr,
            availability_zone=zone,
            map_public_ip_on_launch=False,
            tags=self._named("nat"),
            opts=self._child(),
        )
        table = ec2.RouteTable(
            context.logical("nat"),
            vpc_id=self.vpc_id,
            routes=[ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)],
            tags=self._named("nat"),
            opts=self._child(),
        )
        ec2.RouteTableAssociation(
            context.logical("nat"), subnet_id=public.id, route_table_id=table.id, opts=self._child()
        )
        address = ec2.Eip(context.logical("nat"), domain="vpc", tags=self._named("nat"), opts=self._child())
        nat = ec2.NatGateway(
            context.logical("nat"),
            subnet_id=public.id,
            allocation_id=address.id,
            tags=self._named("nat"),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway]),
        )
        ec2.Route(
            context.logical("egress"),
            route_table_id=self.route_table.id,
            destination_cidr_block="0.0.0.0/0",
            nat_gateway_id=nat.id,
            opts=self._child(),
        )

    def _endpoints(self) -> None:
        context, cidr = self.context, self.context.settings.network.cidr
        gateways = [self._gateway_endpoint(service) for service in ("s3", *self._gateway_services())]
        self.endpoints += gateways
        egress = ["0.0.0.0/0"] if context.settings.network.internet_egress else [cidr]
        self.security_group = self._workload_security_group(
            egress, prefix_lists=[found.prefix_list_id for found in gateways]
        )
        group = self._https_group(
            "endpoints",
            "Interface endpoints: HTTPS from the workloads",
            "HTTPS from the workloads",
            referenced_security_group_id=self.security_group.id,
        )
        for service in self._interface_services():
            self.endpoints.append(self._interface_endpoint("com.amazonaws.", service, group))
        self.endpoints.append(self._interface_endpoint("aws.sagemaker.", facts.TRACKER_ENDPOINT, group))
        if context.workload.serving.tenants and not context.settings.public_api:
            self.api_endpoint = self._interface_endpoint("com.amazonaws.", facts.API_ENDPOINT, self._callers())
            self.endpoints.append(self.api_endpoint)

    def _callers(self) -> ec2.SecurityGroup:
        """The group of the door of tenants, who come from anywhere in the network, and through it from others."""
        whence = self.context.settings.network.cidr
        told = "API of tenants: HTTPS from the network"
        return self._https_group("callers", told, "HTTPS from the network", cidr_ipv4=whence)

    def _https_group(self, part: str, description: str, rule: str, **whence: pulumi.Input[str]) -> ec2.SecurityGroup:
        """A group that HTTPS comes into from one place."""
        context = self.context
        group = ec2.SecurityGroup(
            context.logical(part),
            description=description,
            vpc_id=self.vpc_id,
            tags=self._named(part),
            opts=self._child(),
        )
        vpc.SecurityGroupIngressRule(
            context.logical(part),
            security_group_id=group.id,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            description=rule,
            tags=context.tags,
            opts=self._child(),
            **whence,
        )
        return group

    def _interface_endpoint(self, prefix: str, service: str, group: ec2.SecurityGroup) -> ec2.VpcEndpoint:
        name = service.replace(".", "-")
        return ec2.VpcEndpoint(
            self.context.logical(name),
            vpc_id=self.vpc_id,
            service_name=pulumi.Output.concat(prefix, self.region, ".", service),
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=self.subnet_ids,
            security_group_ids=[group.id],
            tags=self._named(name),
            opts=self._child(),
        )

    def _gateway_endpoint(self, service: str) -> ec2.VpcEndpoint:
        return ec2.VpcEndpoint(
            self.context.logical(service),
            vpc_id=self.vpc_id,
            service_name=pulumi.Output.concat("com.amazonaws.", self.region, ".", service),
            vpc_endpoint_type="Gateway",
            route_table_ids=[self.route_table.id],
            tags=self._named(service),
            opts=self._child(),
        )

    def _gateway_services(self) -> Sequence[str]:
        batch = self.context.settings.architecture is ArchitectureKind.BATCH
        return () if batch else facts.STREAM_GATEWAY_ENDPOINTS

    def _interface_services(self) -> Sequence[str]:
        if self.context.settings.architecture is ArchitectureKind.BATCH:
            return facts.INTERFACE_ENDPOINTS
        return facts.INTERFACE_ENDPOINTS + facts.STREAM_INTERFACE_ENDPOINTS

    def _workload_security_group(
        self, cidrs: Sequence[str], prefix_lists: Sequence[pulumi.Input[str]]
    ) -> ec2.SecurityGroup:
        """The group of everything that runs here: nothing comes in, HTTPS goes out to these places."""
        context = self.context
        group = ec2.SecurityGroup(
            context.logical("workloads"),
            description="Workloads: HTTPS out, nothing in",
            vpc_id=self.vpc_id,
            tags=self._named("workloads"),
            opts=self._child(),
        )
        destinations = [{"cidr_ipv4": cidr} for cidr in cidrs] + [{"prefix_list_id": entry} for entry in prefix_lists]
        for index, destination in enumerate(destinations):
            vpc.SecurityGroupEgressRule(
                context.logical(f"workloads-{index + 1}"),
                security_group_id=group.id,
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description="HTTPS to AWS's services",
                tags=context.tags,
                opts=self._child(),
                **destination,
            )
        return group

    def _flow_logs(
        self, account: pulumi.Input[str], log_group_arn: pulumi.Input[str], boundary_arn: pulumi.Input[str]
    ) -> None:
        context = self.context
        role = iam.Role(
            context.logical("flow-logs"),
            assume_role_policy=policy.trust(["vpc-flow-logs.amazonaws.com"], account),
            permissions_boundary=boundary_arn,
            tags=context.tags,
            opts=self._child(),
        )
        iam.RolePolicy(
            context.logical("flow-logs"),
            role=role.name,
            policy=policy.document(
                policy.allow(
                    ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                    [log_group_arn, pulumi.Output.concat(log_group_arn, ":*")],
                )
            ),
            opts=self._child(),
        )
        self.flow_log = ec2.FlowLog(
            context.logical("flow-logs"),
            vpc_id=self.vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=log_group_arn,
            iam_role_arn=role.arn,
            tags=context.tags,
            opts=self._child(),
        )
