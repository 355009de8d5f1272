"""Metrics on weighted examples, and how sure they are: the bootstrap draws weights, once for all that is compared.

More is better for each metric in METRICS. An interval is the middle 95% of what comes out of the draws.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

DRAWS = 400
_QUANTILES = (0.025, 0.975)
BINS = 10

Weighted = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def as_json(self) -> dict[str, float]:
        """For files."""
        return {"value": self.value, "low": self.low, "high": self.high}


def draws(clusters: np.ndarray, seed: int, count: int = DRAWS) -> Iterator[np.ndarray]:
    """Weights of examples in each draw: how often the cluster of each was drawn, with as many draws as clusters."""
    generator = np.random.Generator(np.random.PCG64(seed))
    size = int(clusters.max()) + 1
    for _ in range(count):
        yield np.bincount(generator.integers(0, size, size), minlength=size).astype(np.float64)[clusters]


def estimate(metric: Weighted, clusters: np.ndarray, seed: int, count: int = DRAWS) -> Estimate:
    """The metric with its interval."""
    (found,) = estimates([metric], clusters, seed, count)
    return found


def estimates(metrics: list[Weighted], clusters: np.ndarray, seed: int, count: int = DRAWS) -> list[Estimate]:
    """Several metrics from the same draws. A draw in which one isn't defined (one class only) is left out for it."""
    drawn = np.array([[metric(weights) for metric in metrics] for weights in draws(clusters, seed, count)])
    found = []
    for number, metric in enumerate(metrics):
        values = drawn[:, number][np.isfinite(drawn[:, number])]
        low, high = np.quantile(values, _QUANTILES) if len(values) else (np.nan, np.nan)
        found.append(Estimate(metric(np.ones(len(clusters))), float(low), float(high)))
    return found


class Ranked:
    """Scores and outcomes of a class, sorted once, so that each draw of weights costs a sum only."""

    def __init__(self, outcomes: np.ndarray, scores: np.ndarray) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        # Where each run of equal scores ends.
        self._last = np.flatnonzero(np.diff(ordered, append=np.nan) != 0)
        self._outcomes = outcomes[self._order]

    def _sums(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The weight of positives and of negatives with at least each score."""
        weights = weights[self._order]
        hits = np.cumsum(weights * self._outcomes)[self._last]
        return hits, np.cumsum(weights)[self._last] - hits

    def roc_auc(self, weights: np.ndarray) -> float:
        """The probability that a positive has a higher score than a negative, equal scores counting half."""
        hits, misses = self._sums(weights)
        if not hits[-1] or not misses[-1]:
            return float("nan")
        area = np.sum(np.diff(misses, prepend=0.0) * (hits + np.concatenate([[0.0], hits[:-1]])) / 2)
        return float(area / (hits[-1] * misses[-1]))

    def average_precision(self, weights: np.ndarray) -> float:
        """The mean precision over all positives, by descending score."""
        hits, misses = self._sums(weights)
        if not hits[-1]:
            return float("nan")
        precision = hits / np.maximum(hits + misses, 1e-300)
        return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])

    def precision_lift(self, weights: np.ndarray) -> float:
        """Average precision over the share of positives, which is what a random order reaches."""
        share = float(np.sum(weights[self._order] * self._outcomes) / np.sum(weights))
        return self.average_precision(weights) / share if share else float("nan")


def mean_error(outcomes: np.ndarray, scores: np.ndarray) -> Weighted:
    """The mean absolute error."""
    errors = np.abs(outcomes - scores)
    return lambda weights: float(np.sum(weights * errors) / np.sum(weights))


def root_error(outcomes: np.ndarray, scores: np.ndarray) -> Weighted:
    """The root of the mean squared error."""
    errors = (outcomes - scores) ** 2
    return lambda weights: float(np.sqrt(np.sum(weights * errors) / np.sum(weights)))


def skill(outcomes: np.ndarray, scores: np.ndarray, plain: np.ndarray) -> Weighted:
    """How much smaller the mean absolute error is than that of the plain scores, as a share."""
    ours, theirs = np.abs(outcomes - scores), np.abs(outcomes - plain)
    return lambda weights: float(1 - np.sum(weights * ours) / max(np.sum(weights * theirs), 1e-300))


def brier(outcomes: np.ndarray, scores: np.ndarray) -> Weighted:
    """The mean squared difference of probability and outcome."""
    errors = (outcomes - scores) ** 2
    return lambda weights: float(np.sum(weights * errors) / np.sum(weights))


def metric(name: str, outcomes: np.ndarray, scores: np.ndarray, plain: np.ndarray) -> Weighted:
    """A task's metric of scores; `plain` are those of its baseline. Raises LookupError for a name that is none."""
    if name not in METRICS:
        raise LookupError(f"there is no metric `{name}`; there are {', '.join(METRICS)}")
    return METRICS[name](outcomes, scores, plain)


METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Weighted]] = {
    "roc_auc": lambda outcomes, scores, plain: Ranked(outcomes, scores).roc_auc,
    "average_precision": lambda outcomes, scores, plain: Ranked(outcomes, scores).average_precision,
    "precision_lift": lambda outcomes, scores, plain: Ranked(outcomes, scores).precision_lift,
    "skill": skill,
}


def reliability(outcomes: np.ndarray, scores: np.ndarray, bins: int = BINS) -> list[tuple[float, float, int]]:
    """Mean score, mean outcome and number of examples in bins of as many examples each, by ascending score.

    Equal scores are in one bin, so that there may be fewer bins.
    """
    edges = np.unique(np.quantile(scores, np.arange(1, bins) / bins))
    place = np.searchsorted(edges, scores, side="left")
    found = []
    for number in range(len(edges) + 1):
        chosen = place == number
        if chosen.any():
            found.append((float(scores[chosen].mean()), float(outcomes[chosen].mean()), int(chosen.sum())))
    return found


def calibration_error(outcomes: np.ndarray, scores: np.ndarray) -> float:
    """The mean difference of what was told and what came, over the bins of `reliability`."""
    found = reliability(outcomes, scores)
    return sum(abs(told - came) * count for told, came, count in found) / len(outcomes)


def ndcg(outcomes: np.ndarray, scores: np.ndarray, within: np.ndarray, top: int = 10, least: int = 5) -> np.ndarray:
    """How well the scores order the outcomes of each group (nDCG of the first `top`), for groups of at least `least`.

    Groups whose outcomes are all equal can be ordered in no wrong way and are left out.
    """
    order = np.argsort(within, kind="stable")
    starts = np.flatnonzero(np.diff(within[order], prepend=-1))
    discounts = 1 / np.log2(np.arange(2, top + 2))
    found = []
    for rows in np.split(order, starts[1:]):
        if len(rows) < least or np.ptp(outcomes[rows]) == 0:
            continue
        gains = 2 ** outcomes[rows] - 1
        ours = gains[np.argsort(-scores[rows], kind="stable")][:top]
        best = np.sort(gains)[::-1][:top]
        found.append(float(np.sum(ours * discounts[: len(ours)]) / np.sum(best * discounts[: len(best)])))
    return np.array(found)
