"""The parts that the generated pages share: rows of tables and short names of types."""

from collections.abc import Iterator


def row(*cells: str) -> Iterator[str]:
    """One line of a table."""
    yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def heads(*cells: str) -> Iterator[str]:
    """The first two lines of a table."""
    yield from row(*cells)
    yield from row(*["---"] * len(cells))


def type_name(type_: str) -> str:
    """A type as the SDKs' Python modules name it: `aws:ec2/subnet:Subnet` is pulumi_aws.ec2.Subnet."""
    _, module, name = type_.split(":")
    return f"{module.partition('/')[0]}.{name}"
