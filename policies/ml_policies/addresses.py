"""Address ranges and ports as firewalls are given them, in every spelling, and how far they reach."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Any

from ml_policies.resource import MISSING, UNKNOWN

Network = IPv4Network | IPv6Network

# Addresses that aren't routed in the internet. https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-
PRIVATE: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)

# More public addresses than these are the internet, however they are written: one /8 of IPv4, one /16 of IPv6.
_MOST_OF_IPV4 = 2**24
_MOST_OF_IPV6 = 2**112
_MAPPED = IPv6Network("::ffff:0:0/96")
_ALL_PORTS = (0, 65535)


def flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value, or the values of a list, with their paths; nothing for what is absent, null or empty."""
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from flat(f"{path}[{index}]", item)
    elif value is UNKNOWN or value not in (None, MISSING, ""):
        yield path, value


def networks(value: Any) -> tuple[Network, ...] | None:
    """The networks that a CIDR, an address or a range from-to means; None for what is none of them."""
    return _networks(value.strip()) if isinstance(value, str) else None


@lru_cache(maxsize=4096)
def _networks(text: str) -> tuple[Network, ...] | None:
    try:
        first, dash, last = text.partition("-")
        found = (
            tuple(summarize_address_range(ip_address(first.strip()), ip_address(last.strip())))  # type: ignore[type-var]
            if dash
            else (ip_network(text, strict=False),)
        )
    except (ValueError, TypeError):
        return None
    return tuple(_unmapped(one) for one in found)


def _unmapped(network: Network) -> Network:
    """IPv4 that is written as IPv6, such as ::ffff:0:0/96, as IPv4."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def within(network: Network, others: Iterable[Network]) -> bool:
    """Whether a network lies in one of others."""
    return any(
        network.version == other.version
        and other.network_address <= network.network_address  # type: ignore[operator]
        and network.broadcast_address <= other.broadcast_address  # type: ignore[operator]
        for other in others
    )


def reaches_everyone(ranges: Iterable[Network]) -> bool:
    """Whether networks together are the internet: so many public addresses, or the address that stands for any."""
    public = [one for one in ranges if not within(one, PRIVATE)]
    if any(one.network_address.is_unspecified for one in public):
        return True
    four = collapse_addresses(one for one in public if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in public if isinstance(one, IPv6Network))
    return _size(four) > _MOST_OF_IPV4 or _size(six) > _MOST_OF_IPV6


def _size(ranges: Iterable[Network]) -> int:
    return sum(one.num_addresses for one in ranges)


def port_range(value: Any) -> tuple[int, int]:
    """A port, or a range such as `20-25`; all ports for `*`, and for what can't be read."""
    match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", str(value)) if not isinstance(value, bool) else None
    if match is None:
        return _ALL_PORTS
    return between(int(match[1]), int(match[2] or match[1]))


def between(first: Any, last: Any) -> tuple[int, int]:
    """The ports from one to another; all ports where that is no range."""
    try:
        low, high = int(first), int(last)
    except (TypeError, ValueError):
        return _ALL_PORTS
    return (low, high) if 0 <= low <= high else _ALL_PORTS
