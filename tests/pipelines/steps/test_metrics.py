"""Metrics are those of scikit-learn, weighted or not, and intervals cover the truth as often as they say."""

import numpy as np
import pytest
from ml_pipelines.steps import metrics
from ml_pipelines.steps.metrics import Ranked
from sklearn.metrics import average_precision_score, mean_absolute_error, ndcg_score, roc_auc_score


@pytest.mark.parametrize("ties", [False, True])
def test_ranked_metrics_are_those_of_scikit_learn(ties):
    draw = np.random.default_rng(1)
    outcomes = (draw.random(500) < 0.2).astype(float)
    scores = draw.normal(outcomes)
    scores = np.round(scores) if ties else scores
    weights = draw.integers(0, 4, 500).astype(float)
    ranked = Ranked(outcomes, scores)
    for given in (np.ones(500), weights):
        assert ranked.roc_auc(given) == pytest.approx(roc_auc_score(outcomes, scores, sample_weight=given))
        expected = average_precision_score(outcomes, scores, sample_weight=given)
        assert ranked.average_precision(given) == pytest.approx(expected)
        share = np.average(outcomes, weights=given)
        assert ranked.precision_lift(given) == pytest.approx(expected / share)


def test_one_class_has_no_metric():
    assert np.isnan(Ranked(np.zeros(5), np.arange(5.0)).roc_auc(np.ones(5)))
    assert np.isnan(Ranked(np.zeros(5), np.arange(5.0)).precision_lift(np.ones(5)))


def test_errors_are_those_of_scikit_learn():
    draw = np.random.default_rng(2)
    outcomes, scores, weights = draw.normal(size=(3, 100))
    weights = np.abs(weights)
    expected = mean_absolute_error(outcomes, scores, sample_weight=weights)
    assert metrics.mean_error(outcomes, scores)(weights) == pytest.approx(expected)
    assert metrics.skill(outcomes, scores, scores)(weights) == pytest.approx(0)
    assert metrics.skill(outcomes, outcomes, scores)(weights) == 1


def test_ndcg_is_that_of_scikit_learn():
    draw = np.random.default_rng(3)
    outcomes, scores = draw.integers(0, 5, 30).astype(float), draw.normal(size=30)
    expected = ndcg_score([2**outcomes - 1], [scores], k=10)
    assert metrics.ndcg(outcomes, scores, np.zeros(30, dtype=int)) == pytest.approx([expected])


def test_small_groups_and_groups_of_equals_are_not_ranked():
    assert not len(metrics.ndcg(np.array([1.0, 2, 3, 4]), np.arange(4.0), np.zeros(4, dtype=int)))
    assert not len(metrics.ndcg(np.ones(9), np.arange(9.0), np.zeros(9, dtype=int)))


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for seed in range(200):
        errors = np.random.default_rng(seed).exponential(size=150)
        found = metrics.estimate(metrics.mean_error(errors, np.zeros(150)), np.arange(150), seed, 200)
        covered += found.low <= 1 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_examples_of_one_cluster_are_drawn_together():
    """Ten copies of each example are no more than one."""
    errors = np.random.default_rng(4).exponential(size=100)
    clusters = np.arange(100)
    alone = metrics.estimate(metrics.mean_error(errors, np.zeros(100)), clusters, 1)
    copies = metrics.mean_error(np.repeat(errors, 10), np.zeros(1000))
    together = metrics.estimate(copies, np.repeat(clusters, 10), 1)
    apart = metrics.estimate(copies, np.arange(1000), 1)
    assert together.high - together.low == pytest.approx(alone.high - alone.low)
    assert apart.high - apart.low < 0.5 * (alone.high - alone.low)


def test_calibration_error_is_zero_for_what_comes_true():
    draw = np.random.default_rng(5)
    scores = draw.random(100_000)
    outcomes = (draw.random(100_000) < scores).astype(float)
    assert metrics.calibration_error(outcomes, scores) < 0.01
    assert metrics.calibration_error(outcomes, np.clip(scores + 0.2, 0, 1)) > 0.1
    assert metrics.calibration_error(outcomes, np.full(100_000, outcomes.mean())) < 1e-9


def test_there_is_no_other_metric():
    with pytest.raises(LookupError, match="there is no metric `accuracy`; there are roc_auc"):
        metrics.metric("accuracy", *np.zeros((3, 2)))
