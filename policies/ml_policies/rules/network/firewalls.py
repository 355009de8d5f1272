"""Firewalls: who may come in, on which ports, and what may go out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ml_policies.addresses import PRIVATE, Network, networks, reaches_everyone, within
from ml_policies.checks import Check, Result, Scope, Undecided, Wrong
from ml_policies.resource import MISSING, UNKNOWN
from ml_policies.rule import Parameter, Rule, Severity
from ml_policies.rules.network import openings
from ml_policies.rules.network.openings import Opening, Reader

# Azure's words for the internet, and for all that anybody runs in Azure.
_ANYWHERE = "*"
_EVERYONE = {_ANYWHERE, "any", "internet", "azurecloud"}
# Azure's words for what is of the network or of the platform itself.
# https://learn.microsoft.com/azure/virtual-network/service-tags-overview
_INSIDE = {"virtualnetwork", "azureloadbalancer", "gatewaymanager"}

_NOT_EVERYONE = "addresses, not the whole internet"
_ADMIN_PORTS = [21, 22, 23, 135, 139, 445, 1433, 1521, 2049, 2375, 2376, 3306, 3389, 5432, 5439, 5601, 5985, 5986, 6379]
_ADMIN_PORTS += [9092, 9200, 11211, 27017]
_TOOL_PORTS = [5000, 6006, 8265, 8787, 8888]


@dataclass(frozen=True, slots=True)
class _Peer:
    """Where traffic comes from or goes to: networks, or a tag of Azure's; neither, if it can't be read."""

    networks: tuple[Network, ...] = ()
    tag: str = ""

    @classmethod
    def of(cls, value: Any, azure: bool) -> "_Peer":
        """The peer that a firewall is given; anybody, if it is given none."""
        if value is MISSING:
            return cls(tag=_ANYWHERE)
        if found := networks(value):
            return cls(found)
        text = value.strip().casefold() if isinstance(value, str) else ""
        named = text == _ANYWHERE or (azure and text.replace(".", "").isalnum() and text[0].isalpha())
        return cls(tag=text.partition(".")[0] if named else "")


@dataclass(frozen=True, slots=True)
class closed_to_everyone:  # noqa: N801 (it reads as the checks beside it)
    """No way in, or out, from or to the whole internet; `publicPorts` may be open, if the rule has such a parameter."""

    reader: Reader
    inbound: bool = True

    def __call__(self, scope: Scope) -> Iterator[Result]:
        public = scope.parameters.get("publicPorts", ())
        for opening in self.reader(scope, self.inbound):
            if opening.ports is not UNKNOWN and opening.ports and all(_among(one, public) for one in opening.ports):
                continue
            yield from _decided(opening, self._wrong(opening, scope.resource.cloud == "azure"), bool(public))

    def _wrong(self, opening: Opening, azure: bool) -> Iterator[Result]:
        together: list[Network] = []
        for path, value in opening.peers:
            if value is UNKNOWN:
                yield Undecided(path)
                continue
            peer = _Peer.of(value, azure)
            if peer.tag in _EVERYONE or reaches_everyone(peer.networks):
                yield Wrong(path, value, _NOT_EVERYONE)
                return
            together.extend(peer.networks)
            if not peer.networks and not peer.tag:
                yield Wrong(path, value, "addresses that can be read")
        if reaches_everyone(together):
            yield Wrong(opening.path, [value for _, value in opening.peers], _NOT_EVERYONE)


@dataclass(frozen=True, slots=True)
class closed_to_strangers:  # noqa: N801
    """The ports of the parameter `ports` are open to private addresses and to those of `trusted` only."""

    reader: Reader

    def __call__(self, scope: Scope) -> Iterator[Result]:
        trusted = [one for text in scope.parameters["trusted"] for one in networks(text) or ()]
        for opening in self.reader(scope, True):
            yield from _decided(opening, self._wrong(opening, trusted, scope), by_port=True)

    def _wrong(self, opening: Opening, trusted: list[Network], scope: Scope) -> Iterator[Result]:
        ports, near_by = scope.parameters["ports"], (*PRIVATE, *trusted)
        if opening.ports is not UNKNOWN:
            ports = sorted({port for low, high in opening.ports for port in ports if low <= port <= high})
        if not ports:
            return
        for path, value in opening.peers:
            if value is UNKNOWN:
                yield Undecided(path)
                continue
            peer = _Peer.of(value, scope.resource.cloud == "azure")
            near = peer.networks and all(within(one, near_by) for one in peer.networks)
            if not near and peer.tag not in _INSIDE:
                yield Wrong(path, value, f"private addresses for {_words(ports)}")


def _words(ports: list[int]) -> str:
    shown = ", ".join(map(str, ports[:4]))
    return f"ports {shown} and {len(ports) - 4} more" if len(ports) > 4 else f"port {shown}"


def _among(ports: tuple[int, int], allowed: Iterable[int]) -> bool:
    low, high = ports
    return high - low < 64 and all(port in allowed for port in range(low, high + 1))


def _decided(opening: Opening, results: Iterable[Result], by_port: bool) -> Iterator[Result]:
    """Results; Undecided instead where values that a preview doesn't know may close the way or change its ports."""
    if found := list(results):
        unsure = [*opening.unless]
        if by_port and opening.ports is UNKNOWN:
            unsure.append(f"{opening.path}.ports".lstrip("."))
        yield from [Undecided(path) for path in unsure] or found


_GCP_POLICY_RULES = (
    "gcp:compute/firewallPolicyRule:FirewallPolicyRule",
    "gcp:compute/networkFirewallPolicyRule:NetworkFirewallPolicyRule",
    "gcp:compute/regionNetworkFirewallPolicyRule:RegionNetworkFirewallPolicyRule",
)

# Type -> how its ways in and out are read; what leads one way only, apart.
_READERS: Mapping[str, Reader] = {
    "aws:ec2/securityGroup:SecurityGroup": openings.aws_group,
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": openings.aws_group,
    "aws:ec2/securityGroupRule:SecurityGroupRule": openings.aws_group_rule,
    "gcp:compute/firewall:Firewall": openings.gcp_firewall,
    **dict.fromkeys(_GCP_POLICY_RULES, openings.gcp_policy_rule),
    "azure-native:network:NetworkSecurityGroup": openings.azure_group,
    "azure-native:network:SecurityRule": openings.azure_rule,
}
_IN: Mapping[str, Reader] = {
    **_READERS,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": openings.aws_single_rule,
}
_OUT: Mapping[str, Reader] = {
    **_READERS,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": openings.aws_single_rule,
}
_ACLS: Mapping[str, Reader] = {
    "aws:ec2/networkAcl:NetworkAcl": openings.aws_acl,
    "aws:ec2/networkAclRule:NetworkAclRule": openings.aws_acl_rule,
}
_PORTS_SCHEMA = {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 65535}}


# Lists of addresses that security groups may name.
_LISTS: Mapping[str, Check] = {
    "aws:ec2/managedPrefixList:ManagedPrefixList": closed_to_everyone(openings.aws_list),
    "aws:ec2/managedPrefixListEntry:ManagedPrefixListEntry": closed_to_everyone(openings.aws_list_entry),
}

RULES = (
    Rule(
        "MLB-NET-023",
        "No firewall lets the whole internet in.",
        Severity.CRITICAL,
        "Let in the security groups, tags or addresses that need it, or put the service behind a private endpoint.",
        checks={type_: closed_to_everyone(reader) for type_, reader in _IN.items()} | dict(_LISTS),
        references=(
            "checkov:CKV_AWS_260",
            "checkov:CKV_AWS_277",
            "checkov:CKV_AZURE_77",
            "checkov:CKV_GCP_75",
            "checkov:CKV_GCP_77",
            "checkov:CKV_GCP_106",
            "trivy:AVD-AWS-0107",
        ),
        differs={
            "checkov:CKV_AWS_277": "Ranges that are the internet only together, such as 0.0.0.0/1 and 128.0.0.0/1, "
            "count as it too, and so does what can't be read.",
            "checkov:CKV_GCP_106": "A rule without any source is open to everyone, as it is in Google Cloud.",
        },
        parameters={
            "publicPorts": Parameter([], _PORTS_SCHEMA, "Ports that may be open to the whole internet."),
        },
    ),
    Rule(
        "MLB-NET-024",
        "Ports of administration, databases and notebooks are open to private addresses only.",
        Severity.CRITICAL,
        "Close the port, or come through a bastion, a VPN, Session Manager or Identity-Aware Proxy.",
        checks={type_: closed_to_strangers(reader) for type_, reader in {**_IN, **_ACLS}.items()},
        references=(
            "checkov:CKV_AWS_24",
            "checkov:CKV_AWS_25",
            "checkov:CKV_AWS_229",
            "checkov:CKV_AWS_231",
            "checkov:CKV_AWS_232",
            "checkov:CKV_AWS_352",
            "checkov:CKV_AZURE_9",
            "checkov:CKV_AZURE_10",
            "checkov:CKV_GCP_2",
            "checkov:CKV_GCP_3",
            "checkov:CKV_GCP_88",
        ),
        differs={
            "checkov:CKV_AWS_24": "Any public address counts, not only 0.0.0.0/0, and any range of ports that has it.",
        },
        parameters={
            "ports": Parameter([*_ADMIN_PORTS, *_TOOL_PORTS], _PORTS_SCHEMA, "Ports that no stranger may reach."),
            "trusted": Parameter(
                # Identity-Aware Proxy. https://docs.cloud.google.com/iap/docs/using-tcp-forwarding
                ["35.235.240.0/20"],
                {"type": "array", "items": {"type": "string"}},
                "Public ranges that may reach these ports all the same.",
            ),
        },
    ),
    Rule(
        "MLB-NET-025",
        "No firewall lets everything out to the whole internet.",
        Severity.MEDIUM,
        "Let out to private endpoints, prefix lists, service tags or named addresses; data leaves by what is open.",
        checks={type_: closed_to_everyone(reader, inbound=False) for type_, reader in _OUT.items()},
        references=("checkov:CKV_AWS_382", "trivy:AVD-AWS-0104"),
        parameters={
            "publicPorts": Parameter([], _PORTS_SCHEMA, "Ports on which traffic may leave to the whole internet."),
        },
    ),
)
