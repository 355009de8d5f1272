"""The private network on AWS: subnets over several zones, what may go in and out, how AWS is reached, flow logs."""

import json
from ipaddress import IPv4Network

import pytest

SUBNET = "aws:ec2/subnet:Subnet"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
STREAMS = {
    "dynamodb",
    "kinesis-firehose",
    "kinesis-streams",
    "lambda",
    "sagemaker.featurestore-runtime",
    "sqs",
    "xray",
}
# https://docs.aws.amazon.com/vpc/latest/privatelink/gateway-endpoints.html
GATEWAYS = {"s3", "dynamodb"}


def services(built) -> set[str]:
    names = {endpoint.inputs["serviceName"] for endpoint in built.of_type(ENDPOINT)}
    # The tracker of experiments is reached by an endpoint of SageMaker's own.
    names.remove("aws.sagemaker.eu-west-1.experiments")
    assert all(name.startswith("com.amazonaws.eu-west-1.") for name in names)
    return {name.removeprefix("com.amazonaws.eu-west-1.") for name in names}


@pytest.mark.parametrize("zones", [2, 3])
def test_private_subnets_lie_in_as_many_zones_as_asked_for(once, zones):
    built = once("credit_scoring", network={"zones": zones, "cidr": "10.8.0.0/20"})
    (network,) = built.of_type("aws:ec2/vpc:Vpc")
    subnets = [subnet.inputs for subnet in built.of_type(SUBNET)]
    assert network.inputs["cidrBlock"] == "10.8.0.0/20"
    assert len({subnet["availabilityZone"] for subnet in subnets}) == len(subnets) == zones
    ranges = [IPv4Network(subnet["cidrBlock"]) for subnet in subnets]
    assert all(range_.subnet_of(IPv4Network("10.8.0.0/20")) for range_ in ranges)
    assert not any(one.overlaps(other) for one in ranges for other in ranges if one is not other)
    assert not any(subnet["mapPublicIpOnLaunch"] for subnet in subnets)


def test_names_of_aws_are_resolved_inside(streaming):
    (network,) = streaming.of_type("aws:ec2/vpc:Vpc")
    assert network.inputs["enableDnsSupport"] is True
    assert network.inputs["enableDnsHostnames"] is True


@pytest.mark.parametrize(
    "token",
    ["internetGateway:InternetGateway", "natGateway:NatGateway", "route:Route", "eip:Eip"],
)
def test_there_is_no_way_to_the_internet(streaming, token):
    assert not streaming.of_type(f"aws:ec2/{token}")
    (table,) = streaming.of_type("aws:ec2/routeTable:RouteTable")
    assert "routes" not in table.inputs


def test_every_subnet_has_the_private_routes(streaming):
    associations = streaming.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
    assert len({association.inputs["subnetId"] for association in associations}) == 2
    assert len({association.inputs["routeTableId"] for association in associations}) == 1


def test_the_default_group_lets_nothing_through(streaming):
    (group,) = streaming.of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert group.inputs["ingress"] == []
    assert group.inputs["egress"] == []


@pytest.mark.parametrize(("platform", "gateways"), [("streaming", GATEWAYS), ("hybrid", GATEWAYS), ("batch", {"s3"})])
def test_workloads_take_nothing_and_reach_endpoints_and_gateways_by_https(request, platform, gateways):
    built = request.getfixturevalue(platform)
    prefix = f"{built.platform.context.name}-"
    groups = built.of_type(GROUP)
    # Tenants come to the door of their API alone.
    door = {"callers"} if platform == "hybrid" else set()
    assert {group.name.removeprefix(prefix) for group in groups} == {"workloads", "endpoints", *door}
    assert all("ingress" not in group.inputs and "egress" not in group.inputs for group in groups)
    rules = [rule.inputs for rule in built.of_type(EGRESS)]
    assert {(rule["ipProtocol"], rule["fromPort"], rule["toPort"]) for rule in rules} == {("tcp", 443, 443)}
    assert [rule["cidrIpv4"] for rule in rules if "cidrIpv4" in rule] == ["10.64.0.0/16"]
    lists = [rule["prefixListId"] for rule in rules if "prefixListId" in rule]
    assert all(entry.startswith("pl-") for entry in lists)
    assert len(set(lists)) == len(lists) == len(rules) - 1 == len(gateways)


def test_endpoints_take_https_from_the_workloads_only(streaming, named):
    (rule,) = streaming.of_type(INGRESS)
    assert (rule.inputs["ipProtocol"], rule.inputs["fromPort"], rule.inputs["toPort"]) == ("tcp", 443, 443)
    assert "cidrIpv4" not in rule.inputs
    out, *_ = streaming.of_type(EGRESS)
    assert rule.inputs["referencedSecurityGroupId"] == out.inputs["securityGroupId"]
    logs = named(streaming, ENDPOINT, "fraud-detection-logs").inputs
    assert logs["securityGroupIds"] == [rule.inputs["securityGroupId"]]
    assert rule.inputs["securityGroupId"] != out.inputs["securityGroupId"]


def test_aws_is_reached_through_endpoints_in_every_subnet(streaming):
    subnets = {
        association.inputs["subnetId"]
        for association in streaming.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
    }
    for endpoint in streaming.of_type(ENDPOINT):
        if endpoint.inputs["serviceName"].rpartition(".")[2] in GATEWAYS:
            (association, _) = streaming.of_type("aws:ec2/routeTableAssociation:RouteTableAssociation")
            assert endpoint.inputs["vpcEndpointType"] == "Gateway"
            assert endpoint.inputs["routeTableIds"] == [association.inputs["routeTableId"]]
        else:
            assert endpoint.inputs["vpcEndpointType"] == "Interface"
            assert endpoint.inputs["privateDnsEnabled"] is True
            assert set(endpoint.inputs["subnetIds"]) == subnets


def test_endpoints_of_streams_are_there_only_with_streams(streaming, hybrid, batch):
    everywhere = {
        "athena",
        "ecr.api",
        "ecr.dkr",
        "emr-serverless",
        "glue",
        "kms",
        "lakeformation",
        "logs",
        "s3",
        "sagemaker.api",
        "sagemaker.runtime",
        "secretsmanager",
        "sts",
    }
    assert services(batch) == everywhere
    assert services(streaming) == everywhere | STREAMS
    assert services(hybrid) == everywhere | STREAMS | {"execute-api"}


def test_all_traffic_is_logged_to_the_log_group_under_a_role_of_its_own(streaming, named):
    (log,) = streaming.of_type("aws:ec2/flowLog:FlowLog")
    assert log.inputs["trafficType"] == "ALL"
    assert log.inputs["logDestinationType"] == "cloud-watch-logs"
    assert ":log-group:fraud-detection-logs" in log.inputs["logDestination"]
    assert ":role/fraud-detection-flow-logs" in log.inputs["iamRoleArn"]
    grant = named(streaming, "aws:iam/rolePolicy:RolePolicy", "fraud-detection-flow-logs").inputs
    (statement,) = json.loads(grant["policy"])["Statement"]
    assert statement["Resource"] == [log.inputs["logDestination"], f"{log.inputs['logDestination']}:*"]


def test_the_internet_is_reached_through_nat_where_asked_for(once, named):
    built = once("credit_scoring", network={"internet_egress": True})
    (nat,) = built.of_type("aws:ec2/natGateway:NatGateway")
    (gateway,) = built.of_type("aws:ec2/internetGateway:InternetGateway")
    (route,) = built.of_type("aws:ec2/route:Route")
    assert gateway.urn in nat.depends_on
    assert route.inputs["destinationCidrBlock"] == "0.0.0.0/0"
    assert nat.urn in route.depends_on
    assert named(built, "aws:ec2/routeTable:RouteTable", "credit-scoring-private").urn in route.depends_on
    assert named(built, SUBNET, "credit-scoring-nat").inputs["mapPublicIpOnLaunch"] is False
    assert named(built, SUBNET, "credit-scoring-nat").urn in nat.depends_on
    egress = [rule.inputs["cidrIpv4"] for rule in built.of_type(EGRESS) if "cidrIpv4" in rule.inputs]
    assert egress == ["0.0.0.0/0"]
    assert not any("cidrIpv4" in rule.inputs for rule in built.of_type(INGRESS))


def test_an_existing_network_is_left_as_it_is_but_for_our_own_group(house):
    for kind in ("vpc:Vpc", "subnet:Subnet", "routeTable:RouteTable", "vpcEndpoint:VpcEndpoint", "flowLog:FlowLog"):
        assert not house.of_type(f"aws:ec2/{kind}")
    assert not house.of_type("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert not house.of_type(INGRESS)
    (group,) = house.of_type(GROUP)
    assert group.inputs["vpcId"] == "vpc-0123456789abcdef0"
    (rule,) = house.of_type(EGRESS)
    assert (rule.inputs["ipProtocol"], rule.inputs["fromPort"], rule.inputs["toPort"]) == ("tcp", 443, 443)
