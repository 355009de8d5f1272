"""The same data, seed and code are the same bytes in another process; what can't be learned from is refused."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines.datasets import load
from ml_pipelines.steps import models
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.prepare import prepare
from ml_pipelines.steps.train import Origin, train
from tests.pipelines.steps.conftest import CLASS_TASK, made_examples

ORIGIN = Origin("2026-01-01T00:00:00+00:00", "abc")


@pytest.fixture
def data(tmp_path):
    pq.write_table(made_examples(), tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    return tmp_path / "data"


def run(name, *arguments, seed):
    """Run a step as a process of its own, in which sets and dictionaries of strings hash differently."""
    answer = subprocess.run(
        [sys.executable, "-m", f"ml_pipelines.steps.{name}", "--task", "credit-scoring", *arguments],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_two_processes_make_the_same_bytes(tmp_path):
    pq.write_table(load("credit-scoring").log, tmp_path / "log.parquet")
    made = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        run("prepare", "--log", str(tmp_path / "log.parquet"), "--to", str(folder / "data"), seed=seed)
        tuning = folder / "tuning.json"
        run("tune", "--data", str(folder / "data"), "--to", str(tuning), "--trials", "2", seed=seed)
        origin = ("--created-at", f"2026-01-0{seed}T00:00:00+00:00", "--code", "abc")
        run(
            "train",
            "--data",
            str(folder / "data"),
            "--tuning",
            str(tuning),
            "--to",
            str(folder / "model"),
            *origin,
            seed=seed,
        )
        made.append({str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()})
    first, second = made
    manifests = [json.loads(one.pop("model/manifest.json")) for one in made]
    assert first == second
    assert len(first) == 5
    times = [manifest.pop("created_at") for manifest in manifests]
    assert times == ["2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"]
    assert manifests[0] == manifests[1]


def test_another_seed_or_other_data_are_told_apart(data, tmp_path):
    first = train(data, None, CLASS_TASK, tmp_path / "a", ORIGIN, seed=1)
    again = train(data, None, CLASS_TASK, tmp_path / "b", ORIGIN, seed=1)
    assert first == again
    assert train(data, None, CLASS_TASK, tmp_path / "c", ORIGIN, seed=2)["seed"] == 2
    pq.write_table(made_examples(seed=6), tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, CLASS_TASK, tmp_path / "data")
    other = train(data, None, CLASS_TASK, tmp_path / "d", ORIGIN, seed=1)
    assert other["data"]["sources"] != first["data"]["sources"]
    assert other["files"] != first["files"]


def test_the_manifest_says_what_the_model_came_from(data, tmp_path):
    said = train(data, None, CLASS_TASK, tmp_path / "model", ORIGIN)
    assert said["candidate"] == "gradient-boosting"
    assert said["inputs"][-1] == {"name": "word", "kind": "category"}
    assert said["onnx_difference"] < 1e-12
    assert 0 < said["threshold"] < 1
    assert said["libraries"]["scikit-learn"]
    assert json.loads((tmp_path / "model" / "manifest.json").read_text()) == said


def test_a_column_without_a_value_is_named(data, tmp_path):
    table = pq.read_table(data / "train.parquet")
    empty = pa.array(np.full(len(table), np.nan))
    pq.write_table(table.set_column(table.column_names.index("weak"), "weak", empty), data / "train.parquet")
    with pytest.raises(StepError, match="train: column `weak`: has no value in any of"):
        train(data, None, CLASS_TASK, tmp_path / "model", ORIGIN)
    assert not (tmp_path / "model").exists()


def test_a_graph_that_answers_otherwise_is_not_written(data, tmp_path, monkeypatch):
    monkeypatch.setattr(models.Scaled, "nodes", lambda self, graph: [self.name, self.name])
    linear = replace(CLASS_TASK, candidates=CLASS_TASK.candidates[1:])
    with pytest.raises(StepError, match=r"train: model.onnx: scores differ by .* from what was fitted"):
        train(data, None, linear, tmp_path / "model", ORIGIN)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "log.parquet"]


def test_parameters_of_another_candidate_are_refused(data, tmp_path):
    tuning = tmp_path / "tuning.json"
    tuning.write_text(json.dumps({"candidate": "scorecard", "parameters": {"leaves": 5}}))
    with pytest.raises(StepError, match="candidate `scorecard` has no parameter `leaves`"):
        train(data, tuning, CLASS_TASK, tmp_path / "model", ORIGIN)
    tuning.write_text(json.dumps({"candidate": "oracle"}))
    with pytest.raises(LookupError, match="task `made-up` has no candidate `oracle`; it has gradient-boosting"):
        train(data, tuning, CLASS_TASK, tmp_path / "model", ORIGIN)


STEPS = ("validate", "prepare", "tune", "train", "evaluate", "register", "batch_score", "drift_baseline")


@pytest.mark.parametrize("name", STEPS)
def test_each_step_has_a_command_line(name):
    answer = subprocess.run(
        [sys.executable, "-m", f"ml_pipelines.steps.{name}", "--help"], capture_output=True, text=True
    )
    assert answer.returncode == 0
    assert "--task TASK" in answer.stdout


def test_an_error_is_one_line(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "ml_pipelines.steps.tune", "--task", "churn", "--data", str(tmp_path), "--to", "x"],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2
    assert answer.stderr == f"tune: {tmp_path}/train.parquet: there is no such file\n"
