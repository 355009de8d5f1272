"""Fairness: groups of people are selected alike, and the model errs alike for them (by fairlearn's definitions)."""

from collections.abc import Iterator

import numpy as np

from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.verdict import Check

GATE = "fairness"
_POSITIVES = 10


def check(evidence: Evidence) -> Iterator[Check]:
    """For each grouping: the differences between groups are within the bounds. Small groups are named, not judged."""
    if not evidence.groups:
        yield Check(GATE, "groups", True, "the task names no groups of people")
    for name, members in evidence.groups.items():
        sizes = {group: int((members == group).sum()) for group in sorted(set(members.tolist()))}
        judged = [group for group, size in sizes.items() if size >= evidence.task.bounds.group_rows]
        small = [group for group in sizes if group not in judged]
        beside = f"; too small to judge: {', '.join(small)}" if small else ""
        if len(judged) < 2:
            said = f"`{name}` has {len(judged)} groups of at least {evidence.task.bounds.group_rows}{beside}"
            yield Check(GATE, name, True, said)
        elif evidence.is_class:
            yield from _selected(evidence, name, members, judged, beside)
        else:
            yield _errors(evidence, name, members, judged, beside)


def _selected(evidence: Evidence, name: str, members: np.ndarray, judged: list[str], beside: str) -> Iterator[Check]:
    from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

    bounds, outcomes = evidence.task.bounds, evidence.test.outcomes
    threshold = 0.5 if evidence.threshold is None else evidence.threshold
    chosen = np.isin(members, judged)
    selected = (evidence.scores > threshold).astype(int)
    parity = float(
        demographic_parity_difference(outcomes[chosen], selected[chosen], sensitive_features=members[chosen])
    )
    yield Check(
        GATE,
        f"{name}: selected alike",
        parity <= bounds.parity,
        f"the share that is selected differs by {parity:.3f} between groups of `{name}` "
        f"({_rates(members, selected, judged)}); at most {bounds.parity:g}{beside}",
        parity,
        bounds.parity,
        f"Look at which inputs stand for `{name}`, and whether the outcome itself differs as much between groups.",
    )
    # A rate of few positives is noise.
    enough = [group for group in judged if outcomes[members == group].sum() >= _POSITIVES]
    if len(enough) < 2:
        said = f"fewer than two groups of `{name}` have {_POSITIVES} positives: errors aren't compared"
        yield Check(GATE, f"{name}: right alike", True, said)
        return
    chosen = np.isin(members, enough)
    odds = float(equalized_odds_difference(outcomes[chosen], selected[chosen], sensitive_features=members[chosen]))
    yield Check(
        GATE,
        f"{name}: right alike",
        odds <= bounds.odds,
        f"rates of right or wrong selections differ by {odds:.3f} between groups of `{name}`; at most {bounds.odds:g}",
        odds,
        bounds.odds,
        "Collect more examples of the group with the worse rate, or choose thresholds by group where that is lawful.",
    )


def _rates(members: np.ndarray, selected: np.ndarray, judged: list[str]) -> str:
    return ", ".join(f"{group} {selected[members == group].mean():.3f}" for group in judged)


def _errors(evidence: Evidence, name: str, members: np.ndarray, judged: list[str], beside: str) -> Check:
    errors = np.abs(evidence.test.outcomes - evidence.scores)
    sizes = np.abs(evidence.test.outcomes)

    def relative(chosen: np.ndarray) -> float:
        return float(errors[chosen].mean() / max(sizes[chosen].mean(), 1e-12))

    overall = max(relative(np.ones(len(errors), dtype=bool)), 1e-12)
    by_group = {group: relative(members == group) / overall for group in judged}
    worst = max(by_group, key=lambda group: by_group[group])
    bound = evidence.task.bounds.group_error
    return Check(
        GATE,
        f"{name}: errors alike",
        by_group[worst] <= bound,
        f"the error of `{worst}`, as a share of its mean outcome, is {by_group[worst]:.2f} times that of all; "
        f"at most {bound:g}{beside}",
        by_group[worst],
        bound,
        f"Look at `{worst}` in the report: there may be few examples of it, or its inputs tell less.",
    )
