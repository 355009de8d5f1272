"""Calibration: what is told comes true that often, or amounts to that much."""

from collections.abc import Iterator

import numpy as np

from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.metrics import brier, calibration_error
from ml_pipelines.steps.verdict import Check

GATE = "calibration"
_REMEDY = (
    "Check that what is held back has the same share of outcomes as what was learned from; if it has, fewer or "
    "smaller trees, or a stronger penalty, make scores less extreme."
)


def check(evidence: Evidence) -> Iterator[Check]:
    """The expected calibration error is within the bound, and probabilities are better than the mean for everybody."""
    outcomes, bound = evidence.test.outcomes, evidence.task.bounds.calibration
    error = calibration_error(outcomes, evidence.scores)
    if evidence.is_class:
        said = f"scores and outcomes differ by {error:.4f} on average over ten bins; at most {bound:g}"
        yield Check(GATE, "calibration error", error <= bound, said, error, bound, _REMEDY)
        even = np.ones(len(outcomes))
        found = brier(outcomes, evidence.scores)(even)
        plain = brier(outcomes, np.full(len(outcomes), outcomes.mean()))(even)
        said = f"the Brier score is {found:.5f}; the mean for everybody has {plain:.5f}"
        yield Check(GATE, "Brier score", found < plain, said, found, plain, _REMEDY)
    else:
        scale = max(float(np.mean(np.abs(outcomes))), 1e-12)
        share = error / scale
        said = f"forecasts and outcomes differ by {share:.2%} of the mean over ten bins; at most {bound:.0%}"
        yield Check(GATE, "calibration error", share <= bound, said, share, bound, _REMEDY)
