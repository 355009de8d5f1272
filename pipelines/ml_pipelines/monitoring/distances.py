"""Distances of two distributions and how likely noise makes as much, from counts in bins.

Counts come from any engine (`counting`), so that the numbers are the same wherever they were counted. Between the cuts
of a grid, distributions are taken as straight lines where an integral asks for it (`wasserstein`).
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

# What stands for the share of a bin without values in the logarithm of the stability index; where the smallest share is
# no more than that, a millionth of it, so that a single value far out isn't taken for a shift. Evidently does the same.
FLOOR, PART = 1e-4, 1e-6
# In bins that are expected to hold fewer, noise isn't what the theory of large numbers says.
EXPECTED = 20.0


def population_stability_index(reference: np.ndarray, current: np.ndarray) -> float:
    """The sum over bins of (q - p) ln(q / p). Empty bins count as FLOOR or less."""
    before, after = _floored(_shares(reference)), _floored(_shares(current))
    return float(np.sum((after - before) * np.log(after / before)))


def jensen_shannon(reference: np.ndarray, current: np.ndarray) -> float:
    """The root of the mean divergence (in nats) of both from their middle; at most the root of ln 2, 0.83."""
    before, after = _shares(reference), _shares(current)
    middle = (before + after) / 2
    divergence = (special.rel_entr(before, middle).sum() + special.rel_entr(after, middle).sum()) / 2
    return float(np.sqrt(max(0.0, divergence)))


def kolmogorov_smirnov(reference: np.ndarray, current: np.ndarray) -> float:
    """The largest difference of the two cumulated distributions, at the ends of the bins.

    The largest at all is higher by at most the share of the fullest bin.
    """
    return float(np.abs(np.cumsum(_shares(reference)) - np.cumsum(_shares(current))).max(initial=0.0))


def wasserstein(reference: np.ndarray, current: np.ndarray, cuts: np.ndarray, deviation: float) -> float:
    """The area between the cumulated distributions, in standard deviations of the reference.

    What lies beyond the first or the last cut counts as lying there: single values far out move nothing, and are told
    as what is out of range.
    """
    if len(cuts) < 2:
        return 0.0
    apart = (np.cumsum(_shares(reference)) - np.cumsum(_shares(current)))[:-1]
    left, right, widths = np.abs(apart[:-1]), np.abs(apart[1:]), np.diff(cuts)
    crossing = apart[:-1] * apart[1:] < 0
    total = np.where(left + right > 0, left + right, 1.0)
    heights = np.where(crossing, (left**2 + right**2) / (2 * total), (left + right) / 2)
    return float(np.sum(heights * widths) / scale(deviation))


def scale(deviation: float) -> float:
    """What areas are divided by: where all values are (nearly) the same, a thousandth."""
    return max(deviation, 1e-3)


def stability_noise(reference: np.ndarray, current: np.ndarray) -> float:
    """How likely noise makes as large a stability index: over 1/n + 1/m it is chi-squared.

    B. Yurdakul, Statistical properties of population stability index (2018).
    """
    before, after = merged(reference, current)
    return _chi_squared(population_stability_index(before, after), before, after)


def divergence_noise(reference: np.ndarray, current: np.ndarray) -> float:
    """How likely noise makes as large a Jensen-Shannon distance: 8 times its square, over 1/n + 1/m, is chi-squared."""
    before, after = merged(reference, current)
    return _chi_squared(8 * jensen_shannon(before, after) ** 2, before, after)


def kolmogorov_noise(distance: float, reference: int, current: int) -> float:
    """How likely noise makes as large a distance of Kolmogorov and Smirnov; less likely, where values are equal."""
    # It takes longer to import than all the rest of a report does.
    from scipy import stats

    effective = round(reference * current / (reference + current))
    return float(np.clip(stats.kstwo.sf(distance, max(1, effective)), 0, 1))


def area_noise(
    distance: float, reference: np.ndarray, current: np.ndarray, cuts: np.ndarray, deviation: float
) -> float:
    """How likely noise makes as large an area: the area under a Brownian bridge, by a gamma distribution.

    Mean and variance of that area are exact (the covariance of absolute values of two normals is known); its tail is
    lighter than that of the gamma distribution, so that alarms are rather too few than too many.
    """
    pooled = np.cumsum(_shares(reference + current))[:-1]
    widths = np.gradient(cuts) if len(cuts) > 1 else np.zeros(len(cuts))
    widths = widths / scale(deviation) * np.sqrt(1 / reference.sum() + 1 / current.sum())
    spread = np.sqrt(np.clip(pooled * (1 - pooled), 0, None))
    seen = (spread > 0) & (widths > 0)
    if not seen.any():
        return 1.0 if distance <= 0 else 0.0
    share, spread, widths = pooled[seen], spread[seen], widths[seen]
    low, high = np.minimum.outer(share, share), np.maximum.outer(share, share)
    together = np.clip(low * (1 - high) / np.outer(spread, spread), 0, 1)
    product = 2 / np.pi * (np.sqrt(1 - together**2) + together * np.arcsin(together)) * np.outer(spread, spread)
    mean = float(np.sqrt(2 / np.pi) * np.sum(widths * spread))
    variance = float(widths @ product @ widths) - mean**2
    return float(special.gammaincc(mean**2 / variance, distance * mean / variance))


def merged(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neighbouring bins put together until both samples are expected to have EXPECTED values in each."""
    pooled = reference + current
    least = EXPECTED * pooled.sum() / max(1, min(reference.sum(), current.sum()))
    starts, gathered = [0], 0.0
    for place, count in enumerate(pooled[:-1]):
        gathered += count
        if gathered >= least:
            starts.append(place + 1)
            gathered = 0.0
    if len(starts) > 1 and pooled[starts[-1] :].sum() < least:
        starts.pop()
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)


def more_noise(before: int, of: int, after: int, among: int) -> float:
    """How likely noise alone makes `after` of `among` from a share that was `before` of `of`, or more."""
    pooled = (before + after) / (of + among)
    if not 0 < pooled < 1:
        return 1.0
    error = np.sqrt(pooled * (1 - pooled) * (1 / of + 1 / among))
    return float(special.ndtr((before / of - after / among) / error))


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / max(1, counts.sum())


def _floored(shares: np.ndarray) -> np.ndarray:
    smallest = shares[shares > 0].min(initial=1.0)
    return np.where(shares > 0, shares, FLOOR if smallest > FLOOR else smallest * PART)


def _chi_squared(distance: float, reference: np.ndarray, current: np.ndarray) -> float:
    if len(reference) < 2:
        return 1.0
    return float(special.chdtrc(len(reference) - 1, distance / (1 / reference.sum() + 1 / current.sum())))


# The metrics of a workload that look at counts alone, and so suit words, too.
OF_COUNTS: Mapping[str, tuple[Callable[[np.ndarray, np.ndarray], float], Callable[[np.ndarray, np.ndarray], float]]] = {
    "population_stability_index": (population_stability_index, stability_noise),
    "jensen_shannon": (jensen_shannon, divergence_noise),
}
METRICS = (*OF_COUNTS, "kolmogorov_smirnov", "wasserstein")
