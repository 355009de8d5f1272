"""A tuner's words become a trial, its value reaches the tuner, and the best of all trials is chosen as `tune` would."""

import json
import os
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.steps.choose import choose
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.prepare import prepare
from ml_pipelines.steps.trial import METRIC, parameters, report, trial
from ml_pipelines.steps.tune import tune
from ml_pipelines.tasks import find
from tests.pipelines.steps.conftest import CLASS_TASK, made_examples

BOOSTING, LINEAR, _ = CLASS_TASK.candidates


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(made_examples(), folder / "log.parquet")
    prepare(folder / "log.parquet", None, CLASS_TASK, folder / "data")
    return folder / "data"


def test_a_trial_reaches_what_the_search_reached_with_the_same_parameters(data, tmp_path):
    tuned = tune(data, CLASS_TASK, tmp_path / "tuning.json", trials=2)
    for number, made in enumerate(tuned["trials"]):
        candidate = CLASS_TASK.candidate(made["candidate"])
        said = trial(data, CLASS_TASK, candidate, tmp_path / str(number), made["parameters"])
        assert (said["value"], said["folds"], said["baseline"]) == (made["value"], made["folds"], tuned["baseline"])
        assert json.loads((tmp_path / str(number) / "trial.json").read_text()) == said
    chosen = choose([tmp_path], CLASS_TASK, tmp_path / "chosen.json")
    assert chosen == json.loads((tmp_path / "chosen.json").read_text())
    for key in ("task", "metric", "seed", "candidate", "parameters", "value", "baseline"):
        assert chosen[key] == tuned[key], key
    assert [made["value"] for made in chosen["trials"]] == [made["value"] for made in tuned["trials"]]


def test_words_become_parameters_of_their_types():
    found = parameters(BOOSTING, {"iterations": "25.0", "learning_rate": "0.05"})
    assert found == {"iterations": 25, "learning_rate": 0.05}
    assert isinstance(found["iterations"], int)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"iterations": "many"}, r"parameter `iterations` of `gradient-boosting`: is a number, not `many`"),
        ({"iterations": "41"}, "is from 20 to 40, not 41"),
        ({"iterations": "nan"}, "is from 20 to 40, not nan"),
        ({"depth": "3"}, r"parameter `depth` .* isn't searched for; .*iterations"),
    ],
)
def test_words_that_are_no_parameters_are_refused(words, said):
    with pytest.raises(StepError, match=said):
        parameters(BOOSTING, words)


def test_a_tuner_of_vertex_ai_reads_the_value_from_its_file(tmp_path, monkeypatch):
    file = tmp_path / "hypertune" / "output.metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(file))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "7")
    report("hypertune", 0.8464)
    (line,) = map(json.loads, file.read_text().splitlines())
    assert (line["trial"], float(line[METRIC])) == ("7", 0.8464)


@pytest.fixture
def mlflow(monkeypatch):
    """A server of MLflow's interface, which fails once; what it was told, as (path, token, body)."""
    told = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append((self.path, self.headers["Authorization"], body))
            self.send_response(503 if len(told) == 1 else 404 if "gone" in self.path else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}/mlflow/v2.0/workspaces/ws")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    monkeypatch.setenv("MLFLOW_RUN_ID", "run-1")
    yield told
    server.shutdown()
    server.server_close()


def test_a_tuner_of_azure_is_told_by_mlflow_and_told_again_if_it_is_busy(mlflow):
    report("mlflow", 0.8464)
    assert len(mlflow) == 2
    path, token, body = mlflow[-1]
    assert (path, token) == ("/mlflow/v2.0/workspaces/ws/api/2.0/mlflow/runs/log-metric", "Bearer a-token")
    assert (body["run_id"], body["key"], body["value"]) == ("run-1", METRIC, 0.8464)


def test_a_tuner_that_can_not_be_told_stops_the_trial(mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", os.environ["MLFLOW_TRACKING_URI"] + "/gone")
    with pytest.raises(StepError, match="trial: MLFLOW_TRACKING_URI: the tuner can't be told of the value: 404"):
        report("mlflow", 0.8464)
    monkeypatch.delenv("MLFLOW_RUN_ID")
    with pytest.raises(StepError, match="trial: MLFLOW_RUN_ID: isn't set"):
        report("mlflow", 0.8464)


def test_a_trial_of_a_real_task_runs_as_platforms_run_it(tmp_path):
    task = find("churn")
    pq.write_table(datasets.load("churn").log, tmp_path / "log.parquet")
    prepare(tmp_path / "log.parquet", None, task, tmp_path / "data")
    (tmp_path / "hyperparameters.json").write_text(
        json.dumps({"learning_rate": "0.06", "_tuning_objective_metric": "trial_value"})
    )
    (tmp_path / "trial").mkdir()
    asked = (
        "--task",
        "churn",
        "--candidate",
        "gradient-boosting",
        "--data",
        tmp_path / "data",
        "--to",
        tmp_path / "trial",
    )
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "ml_pipelines.steps.trial",
            *asked,
            "--hyperparameters",
            tmp_path / "hyperparameters.json",
        ],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads((tmp_path / "trial" / "trial.json").read_text())
    assert said["parameters"]["learning_rate"] == 0.06
    assert ended.stdout.splitlines()[0] == f"trial_value={said['value']!r}"
    assert said["value"] > 0.8 > said["baseline"]


def packed(folder):
    """As SageMaker packs what a job left."""
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "trial.json", "trial.json")
    (folder / "trial.json").unlink()


def test_trials_are_found_in_archives_and_equals_are_chosen_alike_in_any_order(data, tmp_path):
    for name, candidate in (("a", LINEAR), ("b", BOOSTING), ("c", LINEAR)):
        trial(data, CLASS_TASK, candidate, tmp_path / name, {})
    packed(tmp_path / "a")
    folders = [tmp_path / name for name in "abc"]
    chosen = choose(folders, CLASS_TASK, tmp_path / "one.json")
    assert chosen == choose(folders[::-1], CLASS_TASK, tmp_path / "other.json")
    assert chosen["candidate"] == "logistic-regression"
    assert len(chosen["trials"]) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "holds no trial.json"),
        ("{", "isn't JSON"),
        ('{"task": "churn", "metric": "roc_auc"}', "is of task `churn` by roc_auc, not `made-up`"),
    ],
)
def test_what_is_no_trial_is_refused_and_nothing_chosen(content, said, tmp_path):
    (tmp_path / "trials").mkdir()
    if content is not None:
        (tmp_path / "trials" / "trial.json").write_text(content)
    with pytest.raises(StepError, match=said):
        choose([tmp_path / "trials"], CLASS_TASK, tmp_path / "tuning.json")
    assert not (tmp_path / "tuning.json").exists()


def test_a_broken_archive_is_refused(tmp_path):
    (tmp_path / "model.tar.gz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(StepError, match=r"model\.tar\.gz: can't be unpacked"):
        choose([tmp_path], CLASS_TASK, tmp_path / "tuning.json")
