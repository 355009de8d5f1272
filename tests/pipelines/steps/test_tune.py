"""The search finds out which candidate is best, from training data alone, and the same with the same seed."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines.steps.prepare import prepare
from ml_pipelines.steps.tune import space_json, tune
from ml_pipelines.tasks import TASKS
from ml_pipelines.tasks.candidates import NUMBER_BOOSTING
from tests.pipelines.steps.conftest import CLASS_TASK, made_examples


@pytest.fixture
def data(tmp_path):
    pq.write_table(made_examples(), tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    return tmp_path / "data"


def test_every_candidate_is_tried_with_its_defaults_first(data, tmp_path):
    said = tune(data, CLASS_TASK, tmp_path / "tuning.json", trials=2)
    assert json.loads((tmp_path / "tuning.json").read_text()) == said
    for candidate in CLASS_TASK.candidates:
        tried = [trial["parameters"] for trial in said["trials"] if trial["candidate"] == candidate.name]
        assert len(tried) == 2 * candidate.effort
        assert dict(candidate.defaults) in tried
    assert said["value"] == max(trial["value"] for trial in said["trials"])
    assert said["baseline"] == 0.5


def test_a_weighted_sum_is_found_to_be_best_where_the_truth_is_one(data, tmp_path):
    said = tune(data, CLASS_TASK, tmp_path / "tuning.json", trials=1)
    assert said["candidate"] == "logistic-regression"


def test_trees_are_found_to_be_best_where_the_truth_is_a_corner(tmp_path):
    table = made_examples()
    strong, weak = (np.nan_to_num(table[name].to_numpy(zero_copy_only=False)) for name in ("strong", "weak"))
    corner = ((strong > 0) != (weak > 0)).astype(float)
    table = table.set_column(table.column_names.index("target"), "target", pa.array(corner))
    pq.write_table(table, tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    assert tune(tmp_path / "data", CLASS_TASK, tmp_path / "t.json", trials=1)["candidate"] == "gradient-boosting"


def test_the_same_seed_finds_the_same(data, tmp_path):
    few = replace(CLASS_TASK, candidates=CLASS_TASK.candidates[1:])
    first, second, other = (tune(data, few, tmp_path / "t.json", seed=seed, trials=3) for seed in (4, 4, 5))
    assert first == second
    assert first["trials"] != other["trials"]


def test_what_is_held_back_plays_no_part(data, tmp_path):
    (data / "test.parquet").unlink()
    assert tune(data, CLASS_TASK, tmp_path / "t.json", trials=1)["value"] > 0.7


def test_a_space_is_written_without_a_library():
    said = json.loads(json.dumps(space_json(NUMBER_BOOSTING)))
    assert said["leaves"] == {"kind": "whole", "low": 8, "high": 64, "log": True}
    assert said["learning_rate"] == {"kind": "real", "low": 0.02, "high": 0.2, "log": True}
    assert said["loss"] == {"kind": "choice", "values": ["absolute_error", "squared_error"]}


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_defaults_lie_within_the_space(task):
    for candidate in task.candidates:
        for name, space in space_json(candidate).items():
            value = candidate.defaults[name]
            assert value in space["values"] if space["kind"] == "choice" else space["low"] <= value <= space["high"]
