"""Floors: the model reaches what it must, and is better than the plain baseline, not by luck."""

from collections.abc import Iterator

from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.metrics import estimates, mean_error
from ml_pipelines.steps.verdict import Check

GATE = "floors"


def check(evidence: Evidence) -> Iterator[Check]:
    """The lower end of the metric's interval reaches the floor, and that of the difference from the baseline zero."""
    task, ours = evidence.task, evidence.metric(evidence.scores)
    theirs = evidence.metric(evidence.plain)
    found, gained = estimates([ours, lambda w: ours(w) - theirs(w)], evidence.clusters, evidence.seed)
    floor = task.bounds.floor
    yield Check(
        GATE,
        task.metric,
        found.low >= floor,
        f"{task.metric} is {found} on {len(evidence.test):,} examples held back; its lower end must reach {floor:g}",
        found.low,
        floor,
        "Look at the errors by group in the report, add inputs that tell these apart, or hold back more examples: "
        "a wide interval fails where the value would pass.",
    )
    yield Check(
        GATE,
        "better than the baseline",
        gained.low > 0,
        f"{task.metric} is {gained} above `{task.baseline.name}`; the lower end must be above 0",
        gained.low,
        0.0,
        f"Use `{task.baseline.name}` itself: it is cheaper, and the model isn't surely better.",
    )
    if not evidence.is_class:
        error, plain = estimates(
            [mean_error(evidence.test.outcomes, scores) for scores in (evidence.scores, evidence.plain)],
            evidence.clusters,
            evidence.seed,
        )
        yield Check(
            GATE,
            "mean error",
            error.value < plain.value,
            f"the mean absolute error is {error} {task.outcome}, that of `{task.baseline.name}` {plain}",
            error.value,
            plain.value,
            f"Use `{task.baseline.name}` itself.",
        )
