"""The gates between training and the registry: each is a function from evidence to checks, one file for each family."""

from collections.abc import Callable, Iterator, Mapping

from ml_pipelines.steps.gates import (
    budget,
    calibration,
    champion,
    fairness,
    floors,
    labels,
    leakage,
    robustness,
)
from ml_pipelines.steps.gates.evidence import Evidence, Part
from ml_pipelines.steps.verdict import Check, Verdict

__all__ = ["GATES", "Evidence", "Part", "judge"]

Gate = Callable[[Evidence], Iterator[Check]]

GATES: Mapping[str, Gate] = {
    "labels": labels.check,
    "leakage": leakage.check,
    "floors": floors.check,
    "champion": champion.check,
    "calibration": calibration.check,
    "fairness": fairness.check,
    "robustness": robustness.check,
    "budget": budget.check,
}


def judge(evidence: Evidence) -> Verdict:
    """All gates, in the order in which a person would look."""
    return Verdict(evidence.task.name, [check for gate in GATES.values() for check in gate(evidence)])
