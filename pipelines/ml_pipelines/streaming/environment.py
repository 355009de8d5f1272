"""What the processor is told by its environment, the same variables on every cloud (docs/streaming.md)."""

import gc
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.features.online import Plan

if TYPE_CHECKING:
    from ml_pipelines.streaming.sinks import Publisher
    from ml_pipelines.streaming.watch import Watch

# What WATCH says where ranks are those of the first events, and not of training.
LEARN = "learn"


class SettingError(ValueError):
    """A variable that is missing or wrong; the message names it and says what would be right."""


@dataclass(frozen=True)
class Settings:
    """The variables. scoring_endpoint and decisions are None where events only keep the features up to date.

    watch: LEARN, or the file of a baseline by which the stream is watched; changes: where changes are published.
    """

    workload: str
    state: str
    feature_store: str
    dead_letters: str
    scoring_endpoint: str | None
    decisions: str | None
    watch: str | None = None
    changes: str | None = None

    @classmethod
    def read(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingError with all variables that are missing."""
        needed = ("WORKLOAD", "STATE", "FEATURE_STORE", "DEAD_LETTERS")
        if missing := [name for name in needed if not variables.get(name)]:
            raise SettingError(f"{', '.join(missing)}: found nothing; the processor needs it (docs/streaming.md)")
        endpoint, decisions = variables.get("SCORING_ENDPOINT") or None, variables.get("DECISIONS") or None
        if (endpoint is None) is not (decisions is None):
            absent = "DECISIONS" if decisions is None else "SCORING_ENDPOINT"
            raise SettingError(
                f"{absent}: found nothing; SCORING_ENDPOINT and DECISIONS are set together or not at all"
            )
        workload, state, feature_store, dead_letters = (variables[name] for name in needed)
        watch, changes = variables.get("WATCH") or None, variables.get("CHANGES") or None
        if changes and not watch:
            raise SettingError(f"WATCH: found nothing; CHANGES needs it: `{LEARN}` or a drift_baseline.json")
        return cls(workload, state, feature_store, dead_letters, endpoint, decisions, watch, changes)

    @classmethod
    def of_archive(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """What the archive needs: the workload alone."""
        if not variables.get("WORKLOAD"):
            raise SettingError("WORKLOAD: found nothing; the archive needs it (docs/streaming.md)")
        return cls(variables["WORKLOAD"], "", "", "", None, None)

    def plan(self) -> Plan:
        """The plan of the workload's features."""
        return Plan.load(self.workload)

    def watching(self, publisher: "Callable[[str], Publisher]") -> "Watch | None":
        """The watch over the stream that is asked for, if any; `publisher` opens the place where changes go.

        What it needs is imported only then. Raises StepError for a file that is no baseline.
        """
        if self.watch is None:
            return None
        from ml_pipelines.monitoring.baseline import Baseline
        from ml_pipelines.streaming.watch import Watch

        plan = self.plan()
        baseline = None if self.watch == LEARN else Baseline.read("watch", Path(self.watch))
        return Watch(plan.workload, plan.features, baseline, publisher(self.changes) if self.changes else None)

    def codec(self) -> Codec:
        """The codec of the workload's contract, in the version that its features are defined on."""
        plan = self.plan()
        return Codec(catalog.contract(plan.contract), plan.version)


def spare_the_collector() -> None:
    """Let Python look for garbage in cycles rarely, and never in what was loaded until now.

    Windows are many objects that live long and hold no cycles. The collector would look through all of them again and
    again: with a hundred thousand entities that takes more time than everything else.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def set_up_logging() -> None:
    """Plain lines to standard error, which every cloud keeps; the level is that of LOG_LEVEL."""
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(levelname)s %(name)s: %(message)s")
