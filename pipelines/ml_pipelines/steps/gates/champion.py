"""Champion: the model isn't worse than the one in use, on the same examples and the same draws of them."""

from collections.abc import Iterator

from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.metrics import estimates
from ml_pipelines.steps.verdict import Check

GATE = "champion"


def check(evidence: Evidence) -> Iterator[Check]:
    """The lower end of the interval of the difference, as a share of the champion's metric, is within the bound."""
    if evidence.champion is None:
        yield Check(GATE, "no regression", True, "there is no champion yet to compare with")
        return
    ours, theirs = evidence.metric(evidence.scores), evidence.metric(evidence.champion)
    champion, gained = estimates([theirs, lambda w: ours(w) - theirs(w)], evidence.clusters, evidence.seed)
    bound = -evidence.task.bounds.regression * abs(champion.value)
    yield Check(
        GATE,
        "no regression",
        gained.low >= bound,
        f"{evidence.task.metric} is {gained} above the champion's {champion.value:.3f}, by the paired bootstrap; "
        f"the lower end must be at least {bound:.4g}",
        gained.low,
        bound,
        "Keep the champion. If what is held back changed with the data, evaluate both on more recent examples.",
    )
