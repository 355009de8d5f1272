"""Attribution: how much each input moves a model's scores, and whether inputs rank by that as they do in training.

A model is asked other questions long before its answers are wrong: what decided them in training is always the same
now, or an input that hardly mattered decides all. Each input's attribution is its Shapley value: what it adds to a
score where the inputs are set one after the other, in any order. They are sampled, each order forwards and backwards
(Mitchell et al., Sampling Permutations for Shapley Value Estimation, JMLR 23, 2022). The inputs that aren't set yet
have values of training, each drawn by itself from the baseline's bins: no row of training is kept.

Ranks are compared by the normalized discounted cumulative gain, as SageMaker Clarify and Azure ML do:
https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-model-monitor-feature-attribution-drift.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from ml_pipelines.monitoring.baseline import Attribution, Distribution
from ml_pipelines.monitoring.performance import NORMAL
from ml_pipelines.monitoring.report import Settings

NDCG = "ndcg"
# Rows that are looked at, orders in which their inputs are set, and draws of the bootstrap.
ROWS, ORDERS, _DRAWS = 1_000, 8, 200

Arrays = Mapping[str, np.ndarray]
Score = Callable[[Arrays], np.ndarray]


@dataclass(frozen=True)
class Attributed:
    """What a window's scores come from, beside those of training.

    before, now: by input, its share of all that moves the scores. found: the gain of the window's order, at most 1 for
    that of training; low and high are the ends of its 95% interval, error its standard error. sample: rows looked at.
    """

    before: Mapping[str, float]
    now: Mapping[str, float]
    found: float
    low: float
    high: float
    error: float
    sample: int

    def p(self, settings: Settings) -> float:
        """How likely noise makes it as low where it is what is allowed."""
        return float(special.ndtr((self.found - settings.attribution) / max(self.error, 1e-12)))

    def said(self, settings: Settings) -> str:
        """In words, with the input whose share differs most."""
        moved = max(self.before, key=lambda name: abs(self.now[name] - self.before[name]))
        return (
            f"inputs matter in another order than in training: {NDCG} is {self.found:.3f} "
            f"({self.low:.3f} to {self.high:.3f}), at least {settings.attribution:g} is right; `{moved}` has "
            f"{self.now[moved]:.1%} of all, {self.before[moved]:.1%} in training"
            if self.found < settings.attribution
            else f"{NDCG} of the inputs' order is {self.found:.3f}; at least {settings.attribution:g} is right"
        )


def usual(features: Mapping[str, Distribution], rows: int, seed: int = 1) -> dict[str, np.ndarray]:
    """Values of training, missing ones too, drawn by their bins: of a number's the upper end, which one of them had."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return {name: _drawn(one, rows, generator) for name, one in features.items()}


def _drawn(one: Distribution, rows: int, generator: np.random.Generator) -> np.ndarray:
    counts = np.append(one.counts, one.missing).astype(np.float64)
    places = generator.choice(len(counts), rows, p=counts / counts.sum())
    if one.cuts is None:
        # The bin of all other words is one that no model knows either.
        return np.array([*one.words, "(other)", ""], dtype=object)[places]
    last = np.inf if one.highest is None else one.highest
    return np.concatenate([one.cuts, [last, np.nan]])[places]


def contributions(
    score: Score, asked: Arrays, features: Mapping[str, Distribution], orders: int = ORDERS, seed: int = 1
) -> np.ndarray:
    """Shapley values: a row for each of those asked, a column for each of the `features`.

    orders: how many are tried, half of them backwards. They add up to the row's score less the mean of usual ones.
    """
    names = list(features)
    rows = len(asked[names[0]])
    generator = np.random.Generator(np.random.PCG64(seed))
    found, end = np.zeros((rows, len(names))), score(asked)
    for number in range(orders // 2):
        beside = usual(features, rows, seed + number)
        forwards = generator.permutation(len(names))
        start = score(beside)
        for order in (forwards, forwards[::-1]):
            mixed, before = dict(beside), start
            for place in order[:-1]:
                mixed[names[place]] = asked[names[place]]
                after = score(mixed)
                found[:, place] += after - before
                before = after
            found[:, order[-1]] += end - before
    return found / (2 * (orders // 2))


def attributions(score: Score, asked: Arrays, features: Mapping[str, Distribution]) -> dict[str, Attribution]:
    """How much each input moves the scores of some rows: the mean of its absolute Shapley values."""
    sizes = np.abs(contributions(score, asked, features))
    errors = sizes.std(axis=0) / np.sqrt(len(sizes))
    return {
        name: Attribution(float(value), float(error))
        for name, value, error in zip(features, sizes.mean(axis=0), errors, strict=True)
    }


def compared(
    before: Mapping[str, Attribution], score: Score, asked: Arrays, features: Mapping[str, Distribution], seed: int = 1
) -> Attributed:
    """What the scores of a window come from, beside `before`, with the noise of both sides' rows by the bootstrap."""
    names = list(before)
    sizes = np.abs(contributions(score, asked, {name: features[name] for name in names}))
    was = np.array([before[name].value for name in names])
    errors = np.array([before[name].error for name in names])
    now = sizes.mean(axis=0)
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = [
        gain(
            np.abs(generator.normal(was, errors)),
            sizes[generator.integers(0, len(sizes), len(sizes))].mean(axis=0),
        )
        for _ in range(_DRAWS)
    ]
    found, error = gain(was, now), float(np.std(drawn))
    half = NORMAL * error
    return Attributed(
        dict(zip(names, _shares(was), strict=True)),
        dict(zip(names, _shares(now), strict=True)),
        found,
        max(0.0, found - half),
        min(1.0, found + half),
        error,
        len(sizes),
    )


def gain(before: np.ndarray, now: np.ndarray) -> float:
    """The normalized discounted cumulative gain of the order by `now`, where each input is worth what it was `before`.

    1 where the order is the same; where nothing moved the scores before, none is worse than another. Inputs that matter
    alike now stand as before.
    """
    discounts = 1 / np.log2(np.arange(2, len(before) + 2))
    best = float(np.sum(np.sort(before)[::-1] * discounts))
    if best <= 0:
        return 1.0
    order = np.lexsort((-before, -now))
    return float(np.sum(before[order] * discounts)) / best


def _shares(values: np.ndarray) -> list[float]:
    return (values / max(float(values.sum()), 1e-300)).tolist()
