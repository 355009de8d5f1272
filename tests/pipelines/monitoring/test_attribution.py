"""What scores come from: Shapley values beside what they are by definition, and orders beside that of training."""

import itertools
import math

import numpy as np
import pytest
from ml_pipelines.monitoring.attribution import attributions, compared, contributions, gain, usual
from ml_pipelines.monitoring.baseline import Distribution
from ml_pipelines.monitoring.report import Kind, Settings
from ml_pipelines.steps.drift_baseline import described


def distributions(arrays):
    return {name: Distribution.of(name, Kind.DATA, described(values), len(values)) for name, values in arrays.items()}


def normal(seed, rows, names="abcd"):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=rows) for name in names}


# At one place in training, so that what inputs are set beside is known.
ORIGIN = distributions({name: np.zeros(500) for name in "abcd"})


def shapley(score, row):
    """By definition, over all sets of the other inputs, beside inputs that are 0."""
    names = list(row)
    found = []
    for name in names:
        others = [one for one in names if one != name]
        value = 0.0
        for size in range(len(others) + 1):
            share = 1 / (len(names) * math.comb(len(others), size))
            for chosen in itertools.combinations(others, size):
                without = {one: np.array([row[one] if one in chosen else 0.0]) for one in names}
                value += share * (score({**without, name: np.array([row[name]])})[0] - score(without)[0])
        found.append(value)
    return found


def test_inputs_that_act_in_pairs_have_the_values_of_the_definition():
    def score(x):
        return x["a"] * x["b"] + np.maximum(x["a"], 0) * x["d"] + 3 * x["c"]

    asked = normal(1, 20)
    found = contributions(score, asked, ORIGIN)
    for place in range(20):
        row = {name: values[place] for name, values in asked.items()}
        assert found[place] == pytest.approx(shapley(score, row))


def test_more_orders_come_closer_where_three_inputs_act_together():
    def score(x):
        return x["a"] * x["b"] * x["c"] + x["d"]

    asked = normal(2, 50)
    exact = np.array([shapley(score, {name: values[place] for name, values in asked.items()}) for place in range(50)])
    few, many = (np.abs(contributions(score, asked, ORIGIN, orders) - exact).mean() for orders in (8, 400))
    assert many < few / 3


def test_what_inputs_add_is_the_score_less_the_usual_one():
    def score(x):
        return np.tanh(x["a"]) * (x["word"] == "red") - x["b"]

    draw = np.random.default_rng(3)
    trained = {**normal(3, 5000, "ab"), "word": draw.choice(["red", "green"], 5000).astype(object)}
    asked = {**normal(4, 200, "ab"), "word": draw.choice(["red", "blue", ""], 200).astype(object)}
    features = distributions(trained)
    found = contributions(score, asked, features, orders=200).sum(axis=1)
    usually = score(usual(features, 100_000)).mean()
    difference = found - (score(asked) - usually)
    # Of 100 rows that each is set beside: a tenth of how far their scores are apart.
    assert abs(difference.mean()) < 0.03
    assert np.abs(difference).max() < 0.5


def test_a_weighted_sum_gives_each_input_its_weight():
    weights = {"a": 4.0, "b": -2.0, "c": 1.0, "d": 0.0}
    trained = normal(5, 20_000)
    found = attributions(
        lambda x: sum(weight * x[name] for name, weight in weights.items()), normal(6, 2000), distributions(trained)
    )
    assert found["d"].value == pytest.approx(0, abs=1e-12)
    assert found["a"].value == pytest.approx(2 * found["b"].value, rel=0.1)
    assert found["b"].value == pytest.approx(2 * found["c"].value, rel=0.1)
    assert found["a"].error == pytest.approx(found["a"].value / math.sqrt(2000), rel=0.4)


def test_usual_values_are_those_of_training_as_often():
    draw = np.random.default_rng(7)
    whole = draw.integers(0, 4, 4000).astype(float)
    whole[:1000] = np.nan
    words = draw.choice(["red", "green", ""], 4000, p=[0.6, 0.3, 0.1]).astype(object)
    found = usual(distributions({"whole": whole, "words": words, "nothing": np.full(4000, np.nan)}), 20_000)
    assert set(found["whole"][~np.isnan(found["whole"])]) == {0.0, 1.0, 2.0, 3.0}
    assert np.isnan(found["whole"]).mean() == pytest.approx(0.25, abs=0.02)
    assert {word: (found["words"] == word).mean() for word in ("red", "green", "")} == pytest.approx(
        {"red": 0.6, "green": 0.3, "": 0.1}, abs=0.02
    )
    assert np.isnan(found["nothing"]).all()


def test_the_gain_is_that_of_the_definition():
    worth = np.array([0.5, 0.3, 0.2])
    best = 0.5 / math.log2(2) + 0.3 / math.log2(3) + 0.2 / math.log2(4)
    turned = 0.2 / math.log2(2) + 0.3 / math.log2(3) + 0.5 / math.log2(4)
    assert gain(worth, np.array([9.0, 5.0, 1.0])) == 1
    assert gain(worth, np.array([1.0, 5.0, 9.0])) == pytest.approx(turned / best)
    assert gain(worth, np.array([5.0, 5.0, 5.0])) == 1
    assert gain(np.zeros(3), np.array([1.0, 2.0, 3.0])) == 1


def score(x):
    """`a` decides, unless `d` says that another does."""
    return np.where(x["d"] > 3, 5 * x["c"], 5 * x["a"] + x["b"])


FEATURES = distributions(normal(8, 5000))
BEFORE = attributions(score, normal(9, 1000), FEATURES)


def test_windows_like_training_are_no_alarm():
    for seed in range(20):
        found = compared(BEFORE, score, normal(100 + seed, 200), FEATURES)
        assert found.found > 0.98
        assert found.low <= found.found <= found.high <= 1


def test_another_input_that_decides_is_found():
    asked = normal(10, 500)
    asked["d"] += 8
    found = compared(BEFORE, score, asked, FEATURES)
    assert found.found < 0.9
    assert found.p(Settings()) < 1e-6
    assert found.before["a"] > 0.5 > found.now["a"]
    assert sum(found.now.values()) == pytest.approx(1)
    assert "of all" in found.said(Settings())
    assert "in training" in found.said(Settings())


def test_the_same_rows_are_told_the_same_twice():
    assert compared(BEFORE, score, normal(11, 300), FEATURES) == compared(BEFORE, score, normal(11, 300), FEATURES)
