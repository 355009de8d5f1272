"""Distances beside SciPy's on all values, and probabilities beside those of noise that was really drawn."""

import numpy as np
import pytest
from ml_pipelines.monitoring import distances as d
from ml_pipelines.monitoring import exact
from ml_pipelines.monitoring.report import holm
from scipy import stats
from scipy.spatial.distance import jensenshannon


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("decimals", [1, 12], ids=["with equal values", "without"])
def test_distances_of_all_values_are_scipys(shift, decimals):
    draw = np.random.default_rng(4)
    one = np.sort(draw.normal(size=3000).round(decimals))
    other = np.sort(draw.normal(shift, 1.2, size=1100).round(decimals))
    expected = stats.ks_2samp(one, other, method="asymp")
    found = exact.kolmogorov_smirnov(one, other)
    assert found == pytest.approx(expected.statistic, abs=1e-12)
    assert d.kolmogorov_noise(found, 3000, 1100) == pytest.approx(expected.pvalue, abs=1e-9)
    area = stats.wasserstein_distance(one, other) / one.std()
    assert exact.wasserstein(one, other, one.std()) == pytest.approx(area, abs=1e-9)


def test_distances_of_counts_follow_their_definitions():
    before, after = np.array([50, 30, 20]), np.array([30, 30, 60])
    p, q = before / 100, after / 120
    assert d.population_stability_index(before, after) == pytest.approx(float(np.sum((q - p) * np.log(q / p))))
    assert d.jensen_shannon(before, after) == pytest.approx(jensenshannon(p, q))
    assert d.kolmogorov_smirnov(before, after) == pytest.approx(0.3)
    # From 0 to 1 the distributions are 0.25 apart, then 0.3: a trapezium, in units of a deviation of 2.
    assert d.wasserstein(before, after, np.array([0.0, 1.0]), 2.0) == pytest.approx(0.275 / 2)


def test_an_empty_bin_counts_as_less_than_a_single_value():
    before = np.array([999_999, 1, 0])
    assert d.population_stability_index(before, np.array([999_999, 0, 1])) < 1e-4


def test_an_empty_bin_counts_as_a_little():
    assert d.population_stability_index(np.array([99, 1, 0]), np.array([90, 0, 10])) == pytest.approx(
        -0.09 * np.log(90 / 99) + (d.FLOOR - 0.01) * np.log(d.FLOOR / 0.01) + (0.1 - d.FLOOR) * np.log(0.1 / d.FLOOR)
    )


def test_a_grid_comes_close_to_all_values():
    draw = np.random.default_rng(5)
    one, other = draw.normal(size=50_000), draw.normal(0.5, size=50_000)
    cuts = np.quantile(one, np.arange(1, 100) / 100)
    before, after = (np.bincount(np.searchsorted(cuts, values), minlength=100) for values in (one, other))
    largest = exact.kolmogorov_smirnov(np.sort(one), np.sort(other))
    assert largest - 0.01 <= d.kolmogorov_smirnov(before, after) <= largest
    clipped = [np.sort(np.clip(values, cuts[0], cuts[-1])) for values in (one, other)]
    area = exact.wasserstein(*clipped, float(one.std()))
    assert d.wasserstein(before, after, cuts, float(one.std())) == pytest.approx(area, rel=0.01)


NOISE = {
    "population_stability_index": lambda one, other, cuts: d.stability_noise(one, other),
    "jensen_shannon": lambda one, other, cuts: d.divergence_noise(one, other),
    "kolmogorov_smirnov": lambda one, other, cuts: d.kolmogorov_noise(
        d.kolmogorov_smirnov(one, other), int(one.sum()), int(other.sum())
    ),
    "wasserstein": lambda one, other, cuts: d.area_noise(d.wasserstein(one, other, cuts, 0.3), one, other, cuts, 0.3),
}


@pytest.mark.parametrize("metric", NOISE)
def test_noise_is_as_rare_as_its_probability_says(metric):
    """Among 2,000 windows of the same source 1% have a probability of at most 1%: twice as many are too many."""
    draw = np.random.default_rng(6)
    shares, cuts = np.full(20, 1 / 20), np.arange(1, 20) / 20
    found = np.array(
        [NOISE[metric](draw.multinomial(5_000, shares), draw.multinomial(600, shares), cuts) for _ in range(2000)]
    )
    assert 0 < np.mean(found <= 0.05) <= 0.07
    assert np.mean(found <= 0.01) <= 0.02


@pytest.mark.parametrize("metric", NOISE)
def test_probabilities_are_those_of_permutations(metric):
    """What is drawn without return from both samples together is the distribution of each statistic without drift."""
    draw = np.random.default_rng(7)
    cuts = np.arange(1, 20) / 20
    before = draw.multinomial(4000, np.full(20, 1 / 20))
    tilted = np.linspace(0.85, 1.15, 20)
    after = draw.multinomial(600, tilted / tilted.sum())
    expected = NOISE[metric](before, after, cuts)
    measures = {
        "wasserstein": lambda one, other: d.wasserstein(one, other, cuts, 0.3),
        "kolmogorov_smirnov": d.kolmogorov_smirnov,
        **{name: lambda one, other, of=of: of[0](one, other) for name, of in d.OF_COUNTS.items()},
    }
    measure, together = measures[metric], before + after
    # Bins as they are merged, where they are.
    if metric in d.OF_COUNTS:
        before, after = d.merged(before, after)
        together = before + after
    shuffled = draw.multivariate_hypergeometric(together, 600, size=2000)
    more = np.mean([measure(together - one, one) >= measure(before, after) - 1e-12 for one in shuffled])
    # The distance of Kolmogorov and Smirnov is less likely between cuts than along all values.
    assert more - 0.02 <= expected <= (more + 0.02 if metric != "kolmogorov_smirnov" else more * 1.6 + 0.05)


def test_a_share_that_grew_is_told_from_noise():
    assert d.more_noise(100, 1000, 10, 100) == pytest.approx(0.5)
    assert d.more_noise(0, 1000, 0, 100) == 1.0
    assert d.more_noise(100, 1000, 40, 100) < 1e-10


def test_holm_corrects_in_steps():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
