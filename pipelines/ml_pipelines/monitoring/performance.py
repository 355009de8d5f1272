"""Performance of a window whose outcomes are known by now, beside what the model reached on what was held back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ml_pipelines.monitoring.baseline import Performance
from ml_pipelines.monitoring.report import OUTCOME, Settings
from ml_pipelines.steps.metrics import METRICS, Weighted, draws, mean_error
from ml_pipelines.tasks.task import Predicts, Task

# Beside the task's own metric: how much more often (or more) came than was told, as a share; and for numbers the error.
BIAS, ERROR = "bias", "mean_absolute_error"
_DRAWS = 200
# Half of a 95% interval, in standard errors.
NORMAL = 1.959964


@dataclass(frozen=True)
class Decay:
    """A metric of a window, beside that of what was held back.

    before: the baseline's value; value: the window's, low and high the ends of its 95% interval; p: how likely noise
    makes the window as much worse. rarer: labels of the rarer class; None where outcomes are numbers.
    """

    metric: str
    before: float
    value: float
    low: float
    high: float
    p: float
    sample: int
    rarer: int | None = None
    segment: str = ""
    feature: str = OUTCOME

    def enough(self, settings: Settings) -> bool:
        """Whether there are enough labels to tell."""
        few = self.rarer is not None and self.rarer < settings.outcomes
        return self.sample >= settings.minimum and not few and bool(np.isfinite([self.value, self.p]).all())

    def allowed(self, settings: Settings) -> float:
        """The worst value that is allowed; a bias may be so much on the other side, too."""
        if self.metric == BIAS:
            return self.before + settings.decay * (1 if self.value >= self.before else -1)
        return self.before + settings.decay * abs(self.before) * (1 if self.metric == ERROR else -1)

    def beyond(self, settings: Settings) -> bool:
        """Whether it is worse than that."""
        worst = self.allowed(settings)
        return self.value > worst if worst > self.before else self.value < worst

    def said(self, settings: Settings) -> str:
        """In words."""
        if not self.enough(settings):
            few, needed = "", ""
            if self.rarer is not None:
                few, needed = f", {self.rarer:,} of the rarer class", f" with {settings.outcomes:,} of the rarer class"
            return f"{self.sample:,} labels{few}, are too few to tell; {settings.minimum:,}{needed} are needed"
        interval = f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"
        bound = "at most" if self.allowed(settings) > self.before else "at least"
        return f"{self.metric} is {interval}, {self.before:.3f} before; {bound} {self.allowed(settings):.3f} is right"


def measures(task: Task, outcomes: np.ndarray, scores: np.ndarray) -> dict[str, Weighted]:
    """What is measured of a task's scores."""
    told = max(float(np.abs(scores).sum()), 1e-12) / len(scores)

    def bias(weights: np.ndarray) -> float:
        return float(np.sum(weights * (outcomes - scores)) / (np.sum(weights) * told))

    if task.predicts is Predicts.NUMBER:
        return {ERROR: mean_error(outcomes, scores), BIAS: bias}
    return {task.metric: METRICS[task.metric](outcomes, scores, scores), BIAS: bias}


def performance(
    task: Task, outcomes: np.ndarray, scores: np.ndarray, clusters: np.ndarray | None = None, seed: int = 1
) -> tuple[Performance, ...]:
    """Values with their standard errors, by the bootstrap. clusters: what is drawn as one (default: each by itself)."""
    named = measures(task, outcomes, scores)
    everything = np.ones(len(outcomes))
    if clusters is None:
        clusters = np.arange(len(outcomes))
    drawn = np.array([[one(weights) for one in named.values()] for weights in draws(clusters, seed, _DRAWS)])
    found = []
    for number, (name, one) in enumerate(named.items()):
        values = drawn[:, number][np.isfinite(drawn[:, number])]
        error = float(values.std()) if len(values) > 1 else float("nan")
        found.append(Performance(name, one(everything), error))
    return tuple(found)


def decays(
    task: Task,
    before: Sequence[Performance],
    outcomes: np.ndarray,
    scores: np.ndarray,
    clusters: np.ndarray | None = None,
    segments: Mapping[str, np.ndarray] | None = None,
    seed: int = 1,
) -> Iterator[Decay]:
    """What the labels of a window say. segments: which rows are of which (as in `country=DE`)."""
    everything = {"": np.ones(len(outcomes), bool), **(segments or {})}
    for segment, chosen in everything.items():
        came, told = outcomes[chosen], scores[chosen]
        if not len(came):
            continue
        rarer = None
        if task.predicts is Predicts.CLASS:
            positive = int(np.count_nonzero(came > 0.5))
            rarer = min(positive, len(came) - positive)
        drawn = clusters[chosen] if clusters is not None else None
        now = {one.metric: one for one in performance(task, came, told, drawn, seed)}
        for was in before:
            if was.metric in now:
                yield _decay(was, now[was.metric], len(came), rarer, segment)


def _decay(was: Performance, now: Performance, sample: int, rarer: int | None, segment: str) -> Decay:
    """One metric of one segment, with the probability that noise alone is as much worse (a bias: on either side)."""
    error = float(np.hypot(was.error, now.error))
    worse = (now.value - was.value) / max(error, 1e-12)
    beyond = {BIAS: abs(worse), ERROR: worse}.get(was.metric, -worse)
    p = special.ndtr(-beyond) * (2 if was.metric == BIAS else 1)
    half = NORMAL * now.error
    return Decay(was.metric, was.value, now.value, now.value - half, now.value + half, float(p), sample, rarer, segment)
