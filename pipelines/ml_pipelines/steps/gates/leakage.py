"""Leakage: nothing that the model is given tells the outcome, or comes from after the decision."""

from collections.abc import Iterator

import numpy as np

from ml_pipelines.steps.gates.evidence import Evidence, Part
from ml_pipelines.steps.metrics import Ranked
from ml_pipelines.steps.verdict import Check
from ml_pipelines.tasks.task import By

GATE = "leakage"


def check(evidence: Evidence) -> Iterator[Check]:
    """No input tells the outcome alone; no example or entity is on both sides of the split; time goes forward."""
    yield _alone(evidence)
    train, test, split = evidence.train, evidence.test, evidence.task.split
    both = np.intersect1d(train.ids.astype(str), test.ids.astype(str))
    said = f"{len(both)} examples are both trained on and held back"
    yield Check(
        GATE, "examples apart", not len(both), said, float(len(both)), 0.0, f"Give each an id of its own: {both[:3]}"
    )
    if split.by is By.ENTITY:
        shared = np.intersect1d(train.entities.astype(str), test.entities.astype(str))
        said = f"{len(shared)} entities have examples on both sides of the split"
        remedy = f"Split by entity with one seed, in one run: {', '.join(shared[:3])}"
        yield Check(GATE, "entities apart", not len(shared), said, float(len(shared)), 0.0, remedy)
    else:
        behind = int((train.decided_at >= test.decided_at.min()).sum())
        said = f"{behind} examples to train on are from the time that is held back"
        remedy = "Split by time again: something was sorted or joined after the split."
        yield Check(GATE, "time goes forward", not behind, said, float(behind), 0.0, remedy)
    yield _copies(evidence)


def _alone(evidence: Evidence) -> Check:
    """How well each input alone orders the outcomes of what was learned from; the best is named."""
    found = {name: _strength(evidence, evidence.train, values) for name, values in evidence.train.arrays.items()}
    best = max(found, key=lambda name: found[name])
    bound = evidence.task.bounds.leakage
    kind = "ROC AUC" if evidence.is_class else "correlation"
    return Check(
        GATE,
        "no input tells the outcome",
        found[best] < bound,
        f"`{best}` alone has a {kind} of {found[best]:.3f}; below {bound:g}",
        found[best],
        bound,
        f"Find out when `{best}` becomes known: a column that is filled with the outcome must not be an input.",
    )


def _strength(evidence: Evidence, part: Part, values: np.ndarray) -> float:
    if values.dtype == object:
        values = _means_of_others(values, part.outcomes)
    gaps = np.isnan(values)
    if gaps.all():
        return 0.0
    filled = np.where(gaps, np.nanmin(values) - 1, values)
    if evidence.is_class:
        # A gap may be the leak: it is looked at from both sides, and by itself.
        even = np.ones(len(values))
        areas = [
            Ranked(part.outcomes, one).roc_auc(even)
            for one in (filled, np.where(gaps, np.nanmax(values) + 1, values), gaps.astype(float))
        ]
        return max(max(area, 1 - area) for area in areas)
    if np.ptp(filled) == 0 or np.ptp(part.outcomes) == 0:
        return 0.0
    kept = ~gaps
    if kept.sum() < 3 or np.ptp(values[kept]) == 0 or np.ptp(part.outcomes[kept]) == 0:
        return 0.0
    return abs(float(np.corrcoef(values[kept], part.outcomes[kept])[0, 1]))


def _means_of_others(words: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
    """For each example the mean outcome of the others with its word; an id thus tells nothing."""
    _, place = np.unique(words.astype(str), return_inverse=True)
    sums, counts = np.bincount(place, weights=outcomes), np.bincount(place)
    overall = outcomes.mean()
    return (sums[place] - outcomes + overall) / counts[place]


def _copies(evidence: Evidence) -> Check:
    """Examples held back that were learned from under another id: all inputs and the outcome are alike."""
    names = sorted(evidence.train.arrays)
    numeric = [name for name in names if evidence.train.arrays[name].dtype != object]
    varied = [name for name in numeric if len(np.unique(evidence.train.arrays[name])) > 50]
    if len(varied) < 2:
        return Check(GATE, "no copies", True, "too few numbers vary for copies to be told from coincidence")
    seen = set(_keys(evidence.train, names))
    copies = sum(key in seen for key in _keys(evidence.test, names))
    share, bound = copies / len(evidence.test), evidence.task.bounds.copies
    return Check(
        GATE,
        "no copies",
        share <= bound,
        f"{copies} of {len(evidence.test):,} examples held back equal one that was learned from; at most {bound:.0%}",
        share,
        bound,
        "Drop what arrives twice before the split; if these are real, they are one entity: split by that.",
    )


def _keys(part: Part, names: list[str]) -> list[tuple[object, ...]]:
    columns = [part.outcomes.tolist()]
    for name in names:
        values = part.arrays[name]
        columns.append(values.tolist() if values.dtype == object else np.nan_to_num(values, nan=-1e300).tolist())
    return list(zip(*columns, strict=True))
