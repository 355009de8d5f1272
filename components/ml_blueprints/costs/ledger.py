"""The ledger of a platform: notes each resource when it is registered, and estimates what it costs in a month."""

import fnmatch
import importlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from ml_blueprints.costs import prices
from ml_blueprints.costs.inputs import Inputs, NotPriced, Undecided
from ml_blueprints.costs.items import Item
from ml_blueprints.costs.usage import ASSUMPTIONS, Usage
from ml_blueprints.workload import Workload

_UNKNOWN_TYPE = "not in the table"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource: its layer, its type, its logical name, and what it takes of the table."""

    layer: str
    type: str
    name: str
    items: tuple[Item, ...]

    @property
    def usd(self) -> float:
        """What it costs in a month."""
        return sum(item.usd for item in self.items)


@dataclass
class Ledger:
    """What the resources of one platform cost in a month.

    `entries` are those with a price; `free` counts the others of which no bill comes, `not_priced` those that the table
    says nothing of, by type and reason, and `undecided` names those with a value that only the deployment knows.
    """

    cloud: str
    usage: Usage
    entries: list[Entry] = field(default_factory=list)
    free: Counter[str] = field(default_factory=Counter)
    not_priced: Counter[tuple[str, str]] = field(default_factory=Counter)
    undecided: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cloud: str, workload: Workload) -> "Ledger":
        """An empty ledger for a workload on a cloud."""
        return cls(cloud, Usage.of(workload))

    def watch(self, layer: str) -> Callable[[pulumi.ResourceTransformationArgs], None]:
        """A transformation that changes nothing and notes the resources of one layer."""

        def noted(args: pulumi.ResourceTransformationArgs) -> None:
            if isinstance(args.resource, pulumi.CustomResource):
                self.note(layer, args.type_, args.name, args.props)

        return noted

    def note(self, layer: str, type_: str, name: str, values: Mapping[str, Any]) -> None:
        """Take in one resource with its inputs."""
        table = importlib.import_module(f"ml_blueprints.costs.{self.cloud}")
        rule = table.RULES.get(type_)
        if rule is None:
            if any(fnmatch.fnmatchcase(type_, pattern) for pattern in table.FREE):
                self.free[type_] += 1
            else:
                self.not_priced[type_, table.BY_USE.get(type_, _UNKNOWN_TYPE)] += 1
            return
        try:
            self.entries.append(Entry(layer, type_, name, tuple(rule(Inputs(name, values), self.usage))))
        except NotPriced as reason:
            self.not_priced[type_, str(reason)] += 1
        except Undecided:
            self.undecided.append(name)

    @property
    def monthly_usd(self) -> float:
        """The estimate of the whole platform."""
        return sum(entry.usd for entry in self.entries)

    def outputs(self, budget_usd: int) -> dict[str, Any]:
        """As a stack tells it."""
        layers: dict[str, float] = defaultdict(float)
        types: dict[str, float] = defaultdict(float)
        for entry in self.entries:
            layers[entry.layer] += entry.usd
            types[entry.type] += entry.usd
        items = [item for entry in self.entries for item in entry.items]
        return {
            "monthlyUsd": round(self.monthly_usd),
            "budgetUsd": budget_usd,
            "layers": {layer: round(usd, 2) for layer, usd in layers.items()},
            "types": {type_: round(usd, 2) for type_, usd in sorted(types.items(), key=lambda one: -one[1])},
            "priced": _counted(Counter(entry.type for entry in self.entries)),
            "free": _counted(self.free),
            "notPriced": {
                "types": len({type_ for type_, _ in self.not_priced}),
                "resources": self.not_priced.total(),
                "reasons": {f"{type_}: {why}": count for (type_, why), count in sorted(self.not_priced.items())},
            },
            "undecided": sorted(self.undecided),
            "secondhandUsd": round(sum(item.usd for item in items if item.price.source.secondhand)),
            "prices": {
                "read": prices.READ,
                "places": sorted({f"{item.price.source.place}, {item.price.source.day}" for item in items}),
            },
            "assumptions": list(ASSUMPTIONS),
        }

    def warning(self, budget_usd: int) -> str | None:
        """What is to be said where the estimate is over the budget."""
        if self.monthly_usd <= budget_usd:
            return None
        most = sorted(self.entries, key=lambda entry: -entry.usd)[:3]
        told = ", ".join(f"{entry.name} ({entry.type.rpartition(':')[2]}) {entry.usd:,.0f}" for entry in most)
        return (
            f"the estimate of {self.monthly_usd:,.0f} USD a month is over the budget of {budget_usd:,}; "
            f"most of it: {told} (docs/cost.md says what is counted)"
        )


def _counted(counts: Counter[str]) -> dict[str, int]:
    return {"types": len(counts), "resources": counts.total()}
