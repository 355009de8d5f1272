"""Generated inputs that try to pass a firewall rule: the internet in every spelling, hidden ports, wrong shapes.

None may pass without a finding, and none may crash.
"""

import itertools
import random

import pytest
from ml_policies.addresses import networks, reaches_everyone
from ml_policies.checks import Wrong
from ml_policies.evaluation import Evaluator
from ml_policies.resource import UNKNOWN, Resource, Stack
from ml_policies.rules import RULES

INTERNET_IN, ADMIN_PORTS, INTERNET_OUT = "MLB-NET-023", "MLB-NET-024", "MLB-NET-025"

ANY_IPV4 = (
    "0.0.0.0/0",
    " 0.0.0.0/0 ",
    "0.0.0.0/00",
    "0.0.0.0/0.0.0.0",
    "1.2.3.4/0",
    "255.255.255.255/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "0.0.0.0/4",
    "8.0.0.0/7",
    "10.0.0.0/7",
    "0.0.0.0",  # noqa: S104 (what firewalls are given, nothing is bound to it)
    "0.0.0.0/32",
    "0.0.0.0-255.255.255.255",
    "1.0.0.0 - 9.255.255.255",
    "0/0",
    "0x0.0x0.0x0.0x0/0",
    "000.000.000.000/0",
)
ANY_IPV6 = (
    "::/0",
    "0::/0",
    "::0/0",
    "::0/00",
    "0:0:0:0:0:0:0:0/0",
    "0000:0000:0000:0000:0000:0000:0000:0000/0",
    "::/1",
    "8000::/1",
    "2000::/3",
    "2001:DB8::/0",
    "FFFF:ffff::/0",
    "::ffff:0.0.0.0/96",
    "::FFFF:0:0/96",
    "::ffff:128.0.0.0/97",
    "::",
    "::/128",
    "0:0:0:0:0:0:0.0.0.0/0",
)
ANY_AZURE = (
    "*",
    " * ",
    "Internet",
    "INTERNET",
    "internet",
    "Any",
    "any",
    "AzureCloud",
    "azurecloud.WestEurope",
    "<nw>/0",
    "/0",
)
UNREADABLE = (
    "any where",
    "${cidr}",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "0.0.0.0/0,10.0.0.0/8",
    "10.0.0.0/8;::/0",
    0,
    1.5,
    True,
    {},
    {"cidr": "::/0"},
)
HALVES = (
    ("0.0.0.0/1", "128.0.0.0/1"),
    ("0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"),
    tuple(f"{first}.0.0.0/8" for first in range(256)),
    tuple(f"{first}.0.0.0/8" for first in range(0, 256, 2)),
    (*(f"8.{second}.0.0/16" for second in range(256)), "9.0.0.0/16"),
    ("::/1", "8000::/1"),
    tuple(f"{first:x}000::/4" for first in range(16)),
    ("10.0.0.0/8", "192.168.0.0/16", "0.0.0.0/0"),
)
INSIDE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.1.0/24", "100.64.0.0/10", "fd12:3456::/32", "fe80::/64", "127.0.0.1")
ADMIN = (
    (22, 22),
    (3389, 3389),
    (20, 25),
    (0, 65535),
    (1, 1024),
    (3306, 3306),
    (8888, 8888),
    (6000, 7000),
    (5432, 5433),
)


def aws_group(peers, ports=(443, 443), protocol="tcp", direction="ingress"):
    rule = {"protocol": protocol, "fromPort": ports[0], "toPort": ports[1], "cidrBlocks": peers}
    return "aws:ec2/securityGroup:SecurityGroup", {direction: [rule]}


def aws_list(peers, ports=(443, 443), protocol="tcp", direction="ingress"):
    several = peers if isinstance(peers, list) else [peers]
    return "aws:ec2/managedPrefixList:ManagedPrefixList", {"entries": [{"cidr": one} for one in several]}


def aws_rule(peers, ports=(443, 443), protocol="tcp", direction="ingress"):
    properties = {"type": direction, "protocol": protocol, "fromPort": ports[0], "toPort": ports[1]}
    return "aws:ec2/securityGroupRule:SecurityGroupRule", {**properties, "ipv6CidrBlocks": peers}


def aws_single(peers, ports=(443, 443), protocol="tcp", direction="ingress"):
    type_ = f"aws:vpc/securityGroup{direction.title()}Rule:SecurityGroup{direction.title()}Rule"
    return type_, {"ipProtocol": protocol, "fromPort": ports[0], "toPort": ports[1], "cidrIpv4": peers}


def gcp_firewall(peers, ports=(443, 443), protocol="tcp", direction="ingress"):
    side = "sourceRanges" if direction == "ingress" else "destinationRanges"
    allows = [{"protocol": protocol, "ports": [f"{ports[0]}-{ports[1]}"]}]
    return "gcp:compute/firewall:Firewall", {"direction": direction.upper(), "allows": allows, side: peers}


def gcp_policy(peers, ports=(443, 443), protocol="tcp", direction="ingress"):
    side = "srcIpRanges" if direction == "ingress" else "destIpRanges"
    match = {"layer4Configs": [{"ipProtocol": protocol, "ports": [f"{ports[0]}-{ports[1]}"]}], side: peers}
    type_ = "gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule"
    return type_, {"direction": direction.upper(), "action": "allow", "match": match}


def azure_rule(peers, ports=(443, 443), protocol="Tcp", direction="ingress"):
    side, way = ("source", "Inbound") if direction == "ingress" else ("destination", "Outbound")
    plural = "es" if isinstance(peers, list | tuple) else ""
    properties = {"access": "Allow", "direction": way, "protocol": "*" if protocol == "all" else protocol}
    properties["destinationPortRange"] = f"{ports[0]}-{ports[1]}"
    return "azure-native:network:SecurityRule", {**properties, f"{side}AddressPrefix{plural}": peers}


def azure_group(peers, ports=(443, 443), protocol="Tcp", direction="ingress"):
    return "azure-native:network:NetworkSecurityGroup", {
        "securityRules": [azure_rule(peers, ports, protocol, direction)[1]]
    }


FIREWALLS = (aws_group, aws_rule, aws_single, gcp_firewall, gcp_policy, azure_rule, azure_group)
SHAPES = {"single": lambda one: one, "list": lambda one: [one], "nested": lambda one: [[None, [one]], None, ""]}


def found(rule, type_, properties, **parameters):
    """What one rule finds on one resource."""
    evaluator = Evaluator([RULES[rule]], {rule: parameters})
    resource = Resource(type_, "subject", "urn:pulumi:cases::ml-policies::subject", properties)
    return [one.result for one in evaluator.everything(Stack((resource,)))]


def wrong(rule, type_, properties):
    """Whether a rule plainly refuses a resource."""
    return any(isinstance(one, Wrong) for one in found(rule, type_, properties))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize(("rule", "direction"), [(INTERNET_IN, "ingress"), (INTERNET_OUT, "egress")])
def test_the_internet_is_seen_in_every_spelling_and_shape(firewall, shape, rule, direction):
    azure = ANY_AZURE if "azure" in firewall.__name__ else ()
    passed = [
        peer
        for peer in (*ANY_IPV4, *ANY_IPV6, *azure, *UNREADABLE)
        if not wrong(rule, *firewall(shape(peer), direction=direction)) and not (shape(peer) == {} and azure == ())
    ]
    assert passed == []


@pytest.mark.parametrize("firewall", [*FIREWALLS, aws_list])
def test_the_internet_in_pieces_is_the_internet(firewall):
    assert [pieces for pieces in HALVES if not wrong(INTERNET_IN, *firewall(list(pieces)))] == []


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_addresses_inside_pass(firewall):
    assert not found(INTERNET_IN, *firewall(list(INSIDE)))
    assert not found(ADMIN_PORTS, *firewall(list(INSIDE), ports=(22, 22)))


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize(
    "peer", ["8.8.8.0/24", "8.8.8.8", "2001:db8::/32", "11.0.0.0/8", "172.0.0.0/8", "::ffff:8.8.8.8", *UNREADABLE]
)
def test_a_port_of_administration_is_seen_in_every_range(firewall, peer):
    assert [ports for ports in ADMIN if not wrong(ADMIN_PORTS, *firewall([peer], ports=ports))] == []


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize("protocol", ["all", "tcp", "TCP", "6", "udp", "17", "sctp", "", None, 6, "bogus"])
def test_a_protocol_hides_no_port(firewall, protocol):
    assert wrong(ADMIN_PORTS, *firewall(["8.8.8.8/32"], ports=(22, 22), protocol=protocol))


@pytest.mark.parametrize("firewall", FIREWALLS)
@pytest.mark.parametrize(
    "ports", [("22", "22"), (None, None), ("", ""), ("x", "y"), (-1, -1), (25, 20), (22.0, 22.0), (True, 22)]
)
def test_ports_that_are_no_numbers_are_all_ports(firewall, ports):
    assert wrong(ADMIN_PORTS, *firewall(["8.8.8.8/32"], ports=ports))


@pytest.mark.parametrize(
    "ports", ["22", 22, "*", "", "20-25", " 22 ", "80,22", "443, 20-25", "ssh", [], ["443", "22"], [["22"]], [22]]
)
def test_azure_has_many_ways_to_write_ports(ports):
    name = "destinationPortRanges" if isinstance(ports, list) else "destinationPortRange"
    type_, properties = azure_rule("8.8.8.8")
    assert wrong(ADMIN_PORTS, type_, {**properties, "destinationPortRange": None, name: ports})


def test_a_port_beside_those_of_administration_passes():
    for firewall in FIREWALLS:
        assert not found(ADMIN_PORTS, *firewall(["8.8.8.0/24"], ports=(443, 443)))
        assert not found(ADMIN_PORTS, *firewall(["8.8.8.0/24"], ports=(0, 0), protocol="icmp"))


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_ports_that_may_be_public_are_no_others(firewall):
    everyone = ["0.0.0.0/0"]
    assert not found(INTERNET_IN, *firewall(everyone), publicPorts=[80, 443])
    assert not found(INTERNET_IN, *firewall(everyone, ports=(80, 80)), publicPorts=[80, 443])
    for ports in ((443, 444), (80, 443), (0, 65535), (None, None)):
        assert found(INTERNET_IN, *firewall(everyone, ports=ports), publicPorts=[80, 443]), ports
    assert found(INTERNET_IN, *firewall(everyone, ports=(0, 0), protocol="icmp"), publicPorts=[80, 443])


def test_a_port_that_is_not_known_is_left_to_the_deployment():
    type_, properties = aws_single("0.0.0.0/0")
    properties["fromPort"] = UNKNOWN
    assert wrong(INTERNET_IN, type_, properties)
    assert [str(one) for one in found(ADMIN_PORTS, type_, properties)] == ["ports: decided at deployment"]
    assert [str(one) for one in found(INTERNET_IN, type_, properties, publicPorts=[443])] == [
        "ports: decided at deployment"
    ]


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_trusted_ranges_reach_the_ports_of_administration_and_wider_ones_do_not(firewall):
    for peer, passes in (
        ("203.0.113.0/24", True),
        ("203.0.113.7", True),
        ("203.0.112.0/23", False),
        ("0.0.0.0/0", False),
    ):
        refused = found(ADMIN_PORTS, *firewall([peer], ports=(22, 22)), trusted=["203.0.113.0/24"])
        assert bool(refused) != passes, peer


def test_google_lets_everyone_in_where_no_source_is_named():
    type_, properties = gcp_firewall([])
    for sources in ({}, {"sourceRanges": None}, {"sourceRanges": [None]}, {"sourceTags": []}, {"sourceTags": [""]}):
        assert wrong(INTERNET_IN, type_, {**properties, **sources}), sources
    assert not found(INTERNET_IN, type_, {**properties, "sourceTags": ["web"]})
    assert not wrong(INTERNET_IN, type_, {**properties, "sourceTags": UNKNOWN})
    assert found(INTERNET_IN, type_, {**properties, "sourceTags": UNKNOWN})


@pytest.mark.parametrize("direction", ["Inbound", "INBOUND", "", None, "in", 1, {}, []])
@pytest.mark.parametrize("access", ["Allow", "ALLOW", "", None, "yes", 1, {}, []])
def test_only_what_is_plainly_closed_counts_as_closed(direction, access):
    type_, properties = azure_rule("*")
    assert wrong(INTERNET_IN, type_, {**properties, "direction": direction, "access": access})


def test_nothing_crashes_on_nonsense():
    nonsense = (None, "", "x", 0, -1, 1.5, True, [], [None], [[]], {}, {"a": None}, [{}], ["x", {}], UNKNOWN, [UNKNOWN])
    chance = random.Random(7)
    for firewall in FIREWALLS:
        type_, properties = firewall("0.0.0.0/0")
        for name, value in itertools.product(properties, nonsense):
            changed = {**properties, name: value}
            if isinstance(properties[name], list) and chance.random() < 0.5:
                changed[name] = [dict.fromkeys(properties[name][0], value), value]
            for rule in (INTERNET_IN, ADMIN_PORTS, INTERNET_OUT):
                assert "crash" not in " ".join(map(str, found(rule, type_, changed))).casefold()


def test_generated_networks_are_everyone_exactly_if_they_are_many_public_addresses():
    chance = random.Random(1)
    for _ in range(2000):
        length = chance.randrange(33)
        text = f"{'.'.join(str(chance.randrange(256)) for _ in range(4))}/{length}"
        found = networks(text)
        assert found is not None
        if length < 8:
            assert reaches_everyone(found), text
        elif int(found[0].network_address):
            assert not reaches_everyone(found), text
