"""Subnets: equal parts of a network's range, in order and apart from one another."""

from ipaddress import IPv4Network
from itertools import combinations

import pytest
from ml_blueprints import subnets


@pytest.mark.parametrize(
    ("cidr", "count", "expected"),
    [
        ("10.64.0.0/16", 1, ["10.64.0.0/16"]),
        ("10.64.0.0/16", 2, ["10.64.0.0/17", "10.64.128.0/17"]),
        ("10.64.0.0/16", 3, ["10.64.0.0/18", "10.64.64.0/18", "10.64.128.0/18"]),
        ("10.0.0.0/22", 4, ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"]),
        ("10.0.0.0/22", 0, []),
    ],
)
def test_a_range_is_divided_into_parts_as_large_as_fit(cidr, count, expected):
    assert subnets.divide(cidr, count) == expected


@pytest.mark.parametrize("count", range(1, 20))
def test_parts_lie_in_the_range_and_do_not_overlap(count):
    parts = [IPv4Network(part) for part in subnets.divide("10.64.0.0/16", count)]
    assert len(parts) == count
    assert all(part.subnet_of(IPv4Network("10.64.0.0/16")) for part in parts)
    assert not any(one.overlaps(other) for one, other in combinations(parts, 2))


def test_a_range_with_host_bits_is_refused():
    with pytest.raises(ValueError, match="host bits"):
        subnets.divide("10.64.0.1/16", 2)
