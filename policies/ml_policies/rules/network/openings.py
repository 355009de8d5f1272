"""What firewalls let through, read from the rules of each cloud into one form: from or to where, on which ports.

What a rule can't be sure of counts as open: a port that can't be read is every port, a protocol that isn't known has
ports, a direction that isn't plainly the other one is meant.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ml_policies.addresses import between, flat, port_range
from ml_policies.checks import Scope
from ml_policies.resource import MISSING, UNKNOWN

Ranges = tuple[tuple[int, int], ...]

ALL_PORTS: Ranges = ((0, 65535),)
_NOT_INTERNET = ("intra_vpc", "non_internet", "vpc_networks")
_WITHOUT_PORTS = {"icmp", "1", "icmpv6", "58", "esp", "50", "ah", "51", "ipip", "94"}


@dataclass(frozen=True, slots=True)
class Opening:
    """One way through a firewall.

    peers: with their paths, the addresses, ranges and tags from which (or to which) traffic goes; MISSING for all that
    there are. ports: ranges, none for protocols without ports; UNKNOWN where a preview doesn't know. unless: paths of
    values that a preview doesn't know and that may close it.
    """

    path: str
    peers: tuple[tuple[str, Any], ...]
    ports: Any = ALL_PORTS
    unless: tuple[str, ...] = ()


# Reads the ways in (True) or out (False) of a resource or of a part of it.
Reader = Callable[[Scope, bool], Iterator[Opening]]


def _rules(scope: Scope, path: str) -> Iterator[Scope]:
    """The rules at a path, also where a single one stands in the place of a list."""
    for full, found in scope.values(path):
        for at, rule in flat(full, found):
            yield replace(scope, value=rule, path=at)


def aws_group(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A security group: its lists of ways in and out."""
    for rule in _rules(scope, "ingress" if inbound else "egress"):
        yield _aws(rule, ("cidrBlocks", "ipv6CidrBlocks"))


def aws_group_rule(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A single rule of the older kind, which says itself whether it leads in or out."""
    unless = _other(scope, "type", ("egress",) if inbound else ("ingress",))
    if unless is not None:
        yield replace(_aws(scope, ("cidrBlocks", "ipv6CidrBlocks")), unless=unless)


def aws_single_rule(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A single rule of the newer kind, of which there is a type for each direction."""
    yield _aws(scope, ("cidrIpv4", "cidrIpv6"), "ipProtocol")


def aws_acl(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A network ACL: its lists of ways in and out."""
    for rule in _rules(scope, "ingress" if inbound else "egress"):
        unless = _other(rule, "action", ("deny",))
        if unless is not None:
            yield replace(_aws(rule, ("cidrBlock", "ipv6CidrBlock")), unless=unless)


def aws_acl_rule(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A single rule of a network ACL."""
    unless = _other(scope, "ruleAction", ("deny",))
    other = _other(scope, "egress", ("true",) if inbound else ("false", ""))
    if unless is not None and other is not None:
        yield replace(_aws(scope, ("cidrBlock", "ipv6CidrBlock")), unless=unless + other)


def aws_list(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A list of addresses: its entries together."""
    yield Opening("entries", tuple(found for entry in _rules(scope, "entries") for found in _cidr(entry)))


def aws_list_entry(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A single entry of a list of addresses."""
    yield Opening(scope.path, _cidr(scope))


def gcp_firewall(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A firewall rule of a network; without any source it takes traffic from everywhere.

    https://docs.cloud.google.com/firewall/docs/firewalls#sources
    """
    unless = _other(scope, "direction", ("egress",) if inbound else ("ingress", ""))
    if unless is None:
        return
    side = "sourceRanges" if inbound else "destinationRanges"
    others = ("sourceTags", "sourceServiceAccounts") if inbound else ()
    for allowed in _rules(scope, "allows"):
        yield Opening(allowed.path, _gcp_peers(scope, side, others), _gcp_ports(allowed, "protocol"), unless)


def gcp_policy_rule(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A rule of a firewall policy."""
    unless = _other(scope, "direction", ("egress",) if inbound else ("ingress",))
    action = _other(scope, "action", ("deny", "goto_next"))
    if unless is None or action is None:
        return
    side = "src" if inbound else "dest"
    narrowed = tuple(side + one for one in ("AddressGroups", "Fqdns", "Networks", "SecureTags"))
    for match in _rules(scope, "match"):
        inner = [_other(match, f"{side}Network{name}", _NOT_INTERNET) for name in ("Context", "Scope")]
        if None in inner:
            continue
        layers = [_gcp_ports(layer, "ipProtocol") for layer in _rules(match, "layer4Configs")]
        for ports in layers or [ALL_PORTS]:
            known = tuple(path for paths in inner for path in paths or ())
            yield Opening(match.path, _gcp_peers(match, f"{side}IpRanges", narrowed), ports, unless + action + known)


def azure_group(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A network security group: its rules."""
    for rule in _rules(scope, "securityRules"):
        yield from azure_rule(rule, inbound)


def azure_rule(scope: Scope, inbound: bool) -> Iterator[Opening]:
    """A rule of a network security group, alone or in the group's list."""
    if not isinstance(scope.value, Mapping):
        yield Opening(scope.path, ((scope.path, scope.value),))
        return
    unless = _other(scope, "direction", ("outbound",) if inbound else ("inbound",))
    access = _other(scope, "access", ("deny",))
    if unless is None or access is None:
        return
    side = "source" if inbound else "destination"
    peers = tuple(found for name in ("Prefix", "Prefixes") for found in _all(scope, f"{side}Address{name}"))
    groups = tuple(_all(scope, f"{side}ApplicationSecurityGroups"))
    ports = [found for name in ("destinationPortRange", "destinationPortRanges") for found in _all(scope, name)]
    if not peers and not groups:
        peers = ((f"{scope.path}.{side}AddressPrefix".lstrip("."), MISSING),)
    yield Opening(scope.path, peers, _ports(scope, "protocol", ports, split=","), unless + access)


def _aws(scope: Scope, sides: tuple[str, ...], protocol: str = "protocol") -> Opening:
    if not isinstance(scope.value, Mapping):
        return Opening(scope.path, ((scope.path, scope.value),))
    peers = tuple(found for side in sides for found in _all(scope, side))
    first, last = (next(iter(scope.values(name)))[1] for name in ("fromPort", "toPort"))
    name = next(iter(scope.values(protocol)))[1]
    if _portless(name):
        return Opening(scope.path, peers, ())
    if str(name).casefold() in ("-1", "all"):
        return Opening(scope.path, peers)
    if UNKNOWN in (first, last, name):
        return Opening(scope.path, peers, UNKNOWN)
    return Opening(scope.path, peers, (between(first, last),))


def _cidr(entry: Scope) -> tuple[tuple[str, Any], ...]:
    return tuple(_all(entry, "cidr")) if isinstance(entry.value, Mapping) else ((entry.path, entry.value),)


def _gcp_peers(scope: Scope, side: str, others: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    found = tuple(_all(scope, side))
    if found:
        return found
    narrowed = [value for other in others for _, value in _all(scope, other)]
    if narrowed and UNKNOWN not in narrowed:
        return ()
    where = next(iter(scope.values(side)))[0]
    return ((where, UNKNOWN if narrowed else MISSING),)


def _gcp_ports(scope: Scope, protocol: str) -> Any:
    return _ports(scope, protocol, list(_all(scope, "ports")))


def _ports(scope: Scope, protocol: str, found: list[tuple[str, Any]], split: str = "") -> Any:
    name = next(iter(scope.values(protocol)))[1]
    values = [value for _, value in found]
    if _portless(name):
        return ()
    if str(name).casefold() in ("all", "-1") or not values:
        return ALL_PORTS
    if name is UNKNOWN or UNKNOWN in values:
        return UNKNOWN
    parts = [part for value in values for part in (str(value).split(split) if split else [value])]
    return tuple(port_range(part) for part in parts)


def _portless(protocol: Any) -> bool:
    return str(protocol).casefold() in _WITHOUT_PORTS


def _all(scope: Scope, path: str) -> Iterator[tuple[str, Any]]:
    for full, value in scope.values(path):
        yield from flat(full, value)


def _other(scope: Scope, path: str, refused: tuple[str, ...]) -> tuple[str, ...] | None:
    """None where a value says that a rule isn't meant; else the path, if only a deployment shows it."""
    full, value = next(iter(scope.values(path)))
    if value is UNKNOWN:
        return (full,)
    return None if ("" if value is MISSING else str(value).casefold()) in refused else ()
