"""How a network's address range is divided, computed before any resource exists."""

from ipaddress import IPv4Network


def divide(cidr: str, count: int) -> list[str]:
    """`count` equal subnets of an IPv4 range, as large as fit, in order; the last ones of the range stay free.

    Raises ValueError for a range with host bits set.
    """
    network = IPv4Network(cidr)
    return [str(subnet) for subnet, _ in zip(network.subnets((count - 1).bit_length()), range(count), strict=False)]
