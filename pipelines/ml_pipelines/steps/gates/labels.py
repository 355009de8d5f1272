"""Labels: outcomes are there, make sense, and are alike in what was learned from and what is held back."""

from collections.abc import Iterator

import numpy as np

from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.verdict import Check

GATE = "labels"
_TIMES = 3.0


def check(evidence: Evidence) -> Iterator[Check]:
    """Enough of each class; a mean outcome that doesn't jump; no outcome that is the same for nearly all."""
    bounds, train, test = evidence.task.bounds, evidence.train.outcomes, evidence.test.outcomes
    if evidence.is_class:
        rarest = int(min(min(part.sum(), len(part) - part.sum()) for part in (train, test)))
        yield Check(
            GATE,
            "enough of each class",
            rarest >= bounds.positives,
            f"the rarer class has {rarest} examples in the smaller part; at least {bounds.positives}",
            rarest,
            bounds.positives,
            "Hold back a longer time, or wait for more outcomes.",
        )
    else:
        most = max(float(np.unique(part, return_counts=True)[1].max()) / len(part) for part in (train, test))
        said = f"{most:.1%} of the outcomes are the same number; at most 50%"
        yield Check(GATE, "outcomes vary", most <= 0.5, said, most, 0.5, "Check what stands where no outcome is known.")
    before, after = float(train.mean()), float(test.mean())
    times = max(abs(before), abs(after)) / max(min(abs(before), abs(after)), 1e-12)
    yield Check(
        GATE,
        "the mean outcome doesn't jump",
        times <= _TIMES and before * after >= 0,
        f"the mean outcome is {before:.4g} in training and {after:.4g} held back, {times:.2f} times as much; at most 3",
        times,
        _TIMES,
        "Find out what changed: an outcome that is defined anew, a missing source, or outcomes that aren't known yet.",
    )
