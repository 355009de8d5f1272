"""The private network on Google Cloud: how its range is divided, what may go in and out, how Google is reached."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from ml_blueprints.gcp.network import plan

FIREWALL = "gcp:compute/firewall:Firewall"


@pytest.mark.parametrize("cidr", ["10.64.0.0/16", "10.0.0.0/22", "192.168.128.0/20"])
def test_plan_divides_the_range_and_keeps_the_endpoint_out_of_the_subnets(cidr):
    planned = plan(cidr)
    subnets = [IPv4Network(planned.services), IPv4Network(planned.jobs)]
    assert not subnets[0].overlaps(subnets[1])
    assert all(subnet.subnet_of(IPv4Network(cidr)) for subnet in subnets)
    assert IPv4Address(planned.endpoint) in IPv4Network(cidr)
    assert not any(IPv4Address(planned.endpoint) in subnet for subnet in subnets)


def test_plan_of_the_smallest_range_leaves_room_for_direct_vpc_egress():
    # https://cloud.google.com/run/docs/configuring/vpc-direct-vpc: a subnet of at least /26.
    assert IPv4Network(plan("10.0.0.0/22").services).prefixlen <= 26


def test_network_has_no_subnets_and_no_routes_of_its_own(streaming):
    (network,) = streaming.of_type("gcp:compute/network:Network")
    assert network.inputs["autoCreateSubnetworks"] is False
    assert network.inputs["deleteDefaultRoutesOnCreate"] is True


def test_subnets_are_private_and_logged(streaming):
    subnets = streaming.of_type("gcp:compute/subnetwork:Subnetwork")
    assert sorted(subnet.inputs["ipCidrRange"] for subnet in subnets) == ["10.64.0.0/18", "10.64.64.0/18"]
    for subnet in subnets:
        assert subnet.inputs["privateIpGoogleAccess"] is True
        assert subnet.inputs["logConfig"]["flowSampling"] == 1.0
        assert subnet.inputs["logConfig"]["metadata"] == "INCLUDE_ALL_METADATA"
        assert subnet.inputs["region"] == "europe-west1"


def test_google_apis_are_reached_at_an_address_of_the_network(streaming):
    (address,) = streaming.of_type("gcp:compute/globalAddress:GlobalAddress")
    (rule,) = streaming.of_type("gcp:compute/globalForwardingRule:GlobalForwardingRule")
    assert address.inputs["purpose"] == "PRIVATE_SERVICE_CONNECT"
    assert address.inputs["addressType"] == "INTERNAL"
    assert address.inputs["address"] == "10.64.192.1"
    assert rule.inputs["target"] == "all-apis"
    assert rule.inputs["loadBalancingScheme"] == ""
    name = rule.inputs["name"]
    assert len(name) <= 20
    assert name.isalnum()
    assert name == name.lower()
    assert name[0].isalpha()


@pytest.mark.parametrize("domain", ["googleapis.com.", "pkg.dev.", "run.app."])
def test_names_of_google_lead_to_the_address(streaming, domain):
    (zone,) = [z for z in streaming.of_type("gcp:dns/managedZone:ManagedZone") if z.inputs["dnsName"] == domain]
    assert zone.inputs["visibility"] == "private"
    assert len(zone.inputs["privateVisibilityConfig"]["networks"]) == 1
    records = {
        record.inputs["name"]: (record.inputs["type"], record.inputs["rrdatas"])
        for record in streaming.of_type("gcp:dns/recordSet:RecordSet")
    }
    assert records[domain] == ("A", ["10.64.192.1"])
    assert records[f"*.{domain}"] == ("CNAME", [domain])


def test_nothing_comes_in_and_only_google_is_reached(streaming):
    rules = {rule.name: rule.inputs for rule in streaming.of_type(FIREWALL)}
    assert set(rules) == {
        "fraud-detection-deny-ingress",
        "fraud-detection-deny-egress",
        "fraud-detection-allow-google-apis",
        "fraud-detection-allow-endpoint",
        "fraud-detection-spark-ingress",
        "fraud-detection-spark-egress",
    }
    ingress = rules["fraud-detection-deny-ingress"]
    assert (ingress["direction"], ingress["sourceRanges"]) == ("INGRESS", ["0.0.0.0/0"])
    assert ingress["denies"] == [{"protocol": "all"}]
    egress = rules["fraud-detection-deny-egress"]
    assert (egress["direction"], egress["destinationRanges"]) == ("EGRESS", ["0.0.0.0/0"])
    assert egress["denies"] == [{"protocol": "all"}]
    google = rules["fraud-detection-allow-google-apis"]
    assert google["destinationRanges"] == ["10.64.192.1/32"]
    assert google["allows"] == [{"protocol": "tcp", "ports": ["443"]}]
    assert google["priority"] < egress["priority"]
    endpoint = rules["fraud-detection-allow-endpoint"]
    (address,) = [found for found in streaming.of_type("gcp:compute/address:Address") if "endpoint" in found.name]
    assert len(endpoint["destinationRanges"]) == 1
    assert endpoint["destinationRanges"][0].endswith("/32")
    assert address.inputs["addressType"] == "INTERNAL"
    assert endpoint["allows"] == [{"protocol": "tcp", "ports": ["443"]}]
    assert not streaming.of_type("gcp:compute/routerNat:RouterNat")
    assert not streaming.of_type("gcp:compute/route:Route")


def test_nodes_of_spark_reach_one_another_and_nobody_else_reaches_them(streaming):
    rules = {rule.name: rule.inputs for rule in streaming.of_type(FIREWALL)}
    into, out = rules["fraud-detection-spark-ingress"], rules["fraud-detection-spark-egress"]
    assert (into["direction"], into["sourceTags"], into["targetTags"]) == ("INGRESS", ["spark"], ["spark"])
    assert "sourceRanges" not in into
    assert (out["direction"], out["destinationRanges"], out["targetTags"]) == ("EGRESS", ["10.64.64.0/18"], ["spark"])
    for rule in (into, out):
        assert [allowed["protocol"] for allowed in rule["allows"]] == ["tcp", "udp", "icmp"]
        assert rule["priority"] < rules["fraud-detection-deny-ingress"]["priority"]
        assert rule["logConfig"] == {"metadata": "INCLUDE_ALL_METADATA"}


def test_the_internet_is_reached_through_nat_where_asked_for(build):
    built = build("gcp", "credit_scoring", network={"internet_egress": True})
    (nat,) = built.of_type("gcp:compute/routerNat:RouterNat")
    (route,) = built.of_type("gcp:compute/route:Route")
    assert nat.inputs["natIpAllocateOption"] == "AUTO_ONLY"
    assert nat.inputs["logConfig"]["enable"] is True
    assert route.inputs["nextHopGateway"] == "default-internet-gateway"
    rules = [rule.name for rule in built.of_type(FIREWALL)]
    assert rules == ["credit-scoring-deny-ingress", "credit-scoring-spark-ingress"]


def test_jobs_enter_by_the_subnet_of_jobs_and_are_accepted_one_by_one(streaming, house):
    (ours,) = streaming.of_type("gcp:compute/networkAttachment:NetworkAttachment")
    (theirs,) = house.of_type("gcp:compute/networkAttachment:NetworkAttachment")
    assert ours.inputs["connectionPreference"] == "ACCEPT_MANUAL"
    assert theirs.inputs["subnetworks"] == ["projects/network/regions/europe-west1/subnetworks/jobs"]


def test_an_existing_network_is_left_as_it_is_and_finds_the_endpoints_name(house):
    for token in (
        "gcp:compute/network:Network",
        "gcp:compute/subnetwork:Subnetwork",
        FIREWALL,
        "gcp:compute/globalForwardingRule:GlobalForwardingRule",
    ):
        assert not house.of_type(token)
    (zone,) = house.of_type("gcp:dns/managedZone:ManagedZone")
    assert (zone.name, zone.inputs["visibility"]) == ("fraud-detection-endpoint", "private")
