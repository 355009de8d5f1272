"""What a preview would do to one stack: each change, what the policies found, what it costs, and what it can do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.policy import PolicyRun
from sandbox.stacks import Phase

# The engine's steps that a reader is told of; a replacement comes as three steps, of which this one names it.
# (deploy.StepOp in Pulumi's Go package pkg/v3/resource/deploy)
SHOWN = ("create", "update", "replace", "delete")


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that would be created, updated, replaced or deleted; `properties` are those that differ."""

    step: str
    type: str
    name: str
    properties: tuple[str, ...]


@dataclass(slots=True)
class Plan(PolicyRun):
    """One stack's preview against what the base of the change brought up.

    `before` are the outputs that the base left, `outputs` those that would be. `is_new` and `is_gone` say that one of
    the two has no such stack; one that is gone has no preview.
    """

    planned: list[Change] = field(default_factory=list)
    before: Mapping[str, Any] = field(default_factory=dict)
    is_new: bool = False
    is_gone: bool = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the engine."""
        PolicyRun.take(self, event)
        outcome = event.get("resOutputsEvent")
        if not outcome:
            return
        metadata = outcome["metadata"]
        if metadata["type"] == "pulumi:pulumi:Stack":
            self.before = (metadata.get("old") or {}).get("outputs") or self.before
        elif metadata["op"] in SHOWN and not metadata["type"].startswith(("pulumi:providers:", "ml-blueprints:")):
            change = Change(
                metadata["op"],
                metadata["type"],
                metadata["urn"].rpartition("::")[2],
                tuple(sorted(metadata.get("detailedDiff") or metadata.get("diffs") or ())),
            )
            if change not in self.planned:
                self.planned.append(change)

    def count(self, step: str) -> int:
        """How many resources would go through a step."""
        return sum(change.step == step for change in self.planned)

    @property
    def against(self) -> bool:
        """Whether something stands against the change: a violation, or a preview that failed."""
        return not self.is_gone and (bool(self.violations) or self.phase is not Phase.DONE)

    @property
    def usd(self) -> int | None:
        """What it would cost in a month; None where nobody says so."""
        return _usd(self.outputs)

    @property
    def usd_before(self) -> int | None:
        """What it costs in a month as it is."""
        return _usd(self.before)

    @property
    def missing(self) -> list[str]:
        """Capabilities that the architecture asks for and nothing would realise."""
        realised = self.outputs.get("capabilities") or {}
        return [asked for asked in self.outputs.get("capabilitiesAsked") or () if asked not in realised]


def _usd(outputs: Mapping[str, Any]) -> int | None:
    cost = outputs.get("cost")
    return cost.get("monthlyUsd") if isinstance(cost, Mapping) else None
