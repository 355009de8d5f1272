"""What a resource takes of the table: a price, so many times in a month."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ml_blueprints.costs.inputs import Inputs, NotPriced
from ml_blueprints.costs.prices import HOURS_PER_MONTH, Price
from ml_blueprints.costs.usage import Usage


@dataclass(frozen=True, slots=True)
class Item:
    """So many units of a price in a month."""

    price: Price
    quantity: float

    @property
    def usd(self) -> float:
        """What they cost."""
        return self.price.usd * self.quantity


# Says what a resource of one type takes in a month. Raises Undecided or NotPriced.
Rule = Callable[[Inputs, Usage], Iterable[Item]]


def hourly(price: Price, count: float = 1) -> Item:
    """So many of what is there all the time and is paid by the hour."""
    return Item(price, count * HOURS_PER_MONTH)


def one(price: Price) -> Rule:
    """A type of which each resource costs the same in a month."""
    return lambda inputs, usage: (Item(price, 1),)


def each_hour(price: Price) -> Rule:
    """A type of which each resource costs the same in an hour."""
    return lambda inputs, usage: (hourly(price),)


def kept(usage: Usage) -> float:
    """Gigabytes of events that are kept. Raises NotPriced where no word of the workload says how much comes."""
    if usage.kept_gb is None:
        raise NotPriced("a batch workload doesn't say how much data comes")
    return usage.kept_gb
