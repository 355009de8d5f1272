"""Every candidate as an ONNX graph answers what was fitted, whatever it is asked."""

from dataclasses import replace

import numpy as np
import onnx
import pyarrow as pa
import pytest
from ml_pipelines.steps.examples import inputs
from ml_pipelines.steps.models import Effect, Model, fit
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.steps.train import compared
from ml_pipelines.tasks.candidates import as_it_is
from tests.pipelines.steps.conftest import CLASS_TASK, NUMBER_TASK, made_examples

OFFSET = replace(NUMBER_TASK.candidates[0], name="offset", offset=("strong", "weak"))
EFFECTS = replace(NUMBER_TASK.candidates[0], name="effects", effects=("word",))
SQUARED = replace(NUMBER_TASK.candidates[0], defaults={**NUMBER_TASK.candidates[0].defaults, "loss": "squared_error"})
CASES = [
    *((CLASS_TASK, candidate) for candidate in (*CLASS_TASK.candidates, CLASS_TASK.baseline)),
    *((NUMBER_TASK, candidate) for candidate in (*NUMBER_TASK.candidates, NUMBER_TASK.baseline)),
    *((NUMBER_TASK, candidate) for candidate in (OFFSET, EFFECTS, SQUARED, as_it_is("strong", "As it is", "strong"))),
]


def fitted(task, candidate, table=None) -> tuple[Model, dict]:
    table = made_examples(800, number=task is NUMBER_TASK) if table is None else table
    arrays = inputs(table, task)
    return fit(candidate, {}, task.inputs, task.predicts, arrays, table["target"].to_numpy(), 1), arrays


@pytest.mark.parametrize(("task", "candidate"), CASES, ids=lambda case: case.name)
def test_onnx_answers_what_was_fitted(task, candidate):
    model, arrays = fitted(task, candidate)
    graph = model.graph({"task": task.name})
    onnx.checker.check_model(graph, full_check=True)
    assert compared(model, graph.SerializeToString(), arrays, 1) < 1e-12


@pytest.mark.parametrize(("task", "candidate"), CASES, ids=lambda case: case.name)
def test_the_same_data_are_the_same_bytes(task, candidate):
    first, second = (fitted(task, candidate)[0].graph({"a": "b"}).SerializeToString() for _ in range(2))
    assert first == second


def test_values_at_the_thresholds_go_the_same_way():
    """Whole numbers lie on the thresholds of trees, where 32 bits would do for some and not for others."""
    table = made_examples(800)
    strong = np.arange(800) / 10 + 0.1
    table = table.set_column(table.column_names.index("strong"), "strong", pa.array(strong))
    table = table.set_column(table.column_names.index("target"), "target", pa.array((strong % 7 > 3).astype(float)))
    model, arrays = fitted(CLASS_TASK, CLASS_TASK.candidates[0], table)
    thresholds = np.unique(np.concatenate([tree[0].nodes["num_threshold"] for tree in model.head.fitted._predictors]))
    thresholds = thresholds[np.isfinite(thresholds)]
    size = len(thresholds)
    asked = {name: np.resize(values, size) for name, values in arrays.items()}
    asked["strong"] = thresholds
    ours = Scorer(model.graph({}).SerializeToString()).score(asked)
    assert np.abs(ours - model.predict(asked)).max() < 1e-12


def test_the_comparison_finds_a_graph_of_another_model():
    model, arrays = fitted(CLASS_TASK, CLASS_TASK.candidates[1])
    other = fitted(CLASS_TASK, CLASS_TASK.candidates[0])[0].graph({}).SerializeToString()
    assert compared(model, other, arrays, 1) > 0.001


def test_a_word_with_few_examples_tells_little_and_none_of_itself():
    words = np.array(["often"] * 100 + ["once"], dtype=object)
    outcomes = np.array([0.0, 1.0] * 50 + [1.0])
    effect = Effect("word")
    apart = effect.fit({"word": words}, outcomes)
    often, once = effect.transform({"word": np.array(["often", "once"], dtype=object)})[:, 0]
    assert abs(often - 0.5) < 0.01
    assert 0.5 < once < 0.6
    # In training the only example of a word sees the mean of others.
    assert apart[-1, 0] == pytest.approx(outcomes[:80].mean(), abs=0.02)
    unknown = effect.transform({"word": np.array(["never"], dtype=object)})[0]
    assert unknown == pytest.approx([outcomes.mean(), 0])


def test_all_data_without_words_or_with_one_value_can_be_learned_from():
    table = made_examples(300)
    empty = pa.array([""] * 300)
    table = table.set_column(table.column_names.index("word"), "word", empty)
    table = table.set_column(table.column_names.index("weak"), "weak", pa.array(np.ones(300)))
    for candidate in CLASS_TASK.candidates:
        model, arrays = fitted(CLASS_TASK, candidate, table)
        assert compared(model, model.graph({}).SerializeToString(), arrays, 1) < 1e-12


@pytest.mark.parametrize("value", [1e300, -1e300, np.inf, -np.inf, np.nan])
def test_an_offset_that_can_not_be_true_is_replaced(value):
    model, arrays = fitted(NUMBER_TASK, OFFSET)
    asked = {name: values[:20] for name, values in arrays.items()} | {"strong": np.full(20, value)}
    assert np.abs(model.predict(asked)).max() < 20
    weak = asked["weak"]
    assert model.offset.values(asked) == pytest.approx(np.where(np.isnan(weak), model.offset.fill, weak))
    assert np.abs(Scorer(model.graph({}).SerializeToString()).score(asked) - model.predict(asked)).max() < 1e-12
