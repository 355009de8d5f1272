"""KFP's own local runner executes compiled pipelines on real data, from the archive to a registered, signed model.

The runner takes lightweight components alone. Where a task is one of Google's launchers, the test plays Google's part:
it reads what the launcher was asked, as Google's API would, and does that. BigQuery exports the events that the query
names, the tuner runs as many trials as the job asks for by the job's own command, and the registry takes the model.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ml_pipelines.platforms.graph import Pipeline, graph
from ml_pipelines.steps import manifest
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

TRIALS = 2
PARENT = "projects/p/locations/l/models/7"
# What Vertex AI puts for its own placeholders, which KFP's runner doesn't know.
VERTEX = {
    "{{$.pipeline_google_cloud_project_id}}": "p",
    "{{$.pipeline_google_cloud_location}}": "l",
    "{{$.pipeline_service_account}}": "training@example.iam",
    "{{$.pipeline_encryption_key_name}}": "projects/p/keys/k",
}


@dataclass
class Google:
    """What the launchers of Google's pipeline components reach: BigQuery, Vertex AI's tuner and its model registry.

    tables: by name, the Parquet file of its rows. asked: what each launcher was asked, by its type.
    """

    folder: Path
    tables: dict[str, Path] = field(default_factory=dict)
    asked: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def launch(self, command: list[str]) -> None:
        """Do what a launcher's command asks for."""
        words = dict(zip(command[4::2], command[5::2], strict=True))
        payload = json.loads(words["--payload"], strict=False)
        self.asked.setdefault(words["--type"], []).append(payload)
        does = {
            "BigqueryQueryJob": self._query,
            "HyperparameterTuningJob": self._tune,
            "UploadModel": self._upload,
        }[words["--type"]]
        resources = Path(words["--gcp_resources"])
        resources.parent.mkdir(parents=True, exist_ok=True)
        resources.write_text(json.dumps({"resources": [{"resourceType": words["--type"]}]}))
        left = does(payload, words)
        # Vertex AI takes a folder for an output that nothing is said of; KFP's runner asks for a word.
        artifacts = {name: {"artifacts": [{"name": name, "uri": uri}]} for name, uri in left.items()}
        (resources.parent / "executor_output.json").write_text(json.dumps({"artifacts": artifacts}))

    def _query(self, payload: dict[str, Any], words: dict[str, str]) -> dict[str, str]:
        query = json.loads(words["--job_configuration_query_override"])["query"]
        told = re.fullmatch(
            r"EXPORT DATA OPTIONS \(uri = '(?P<uri>.+)/events-\*\.parquet', format = 'PARQUET', overwrite = true\) AS "
            r"SELECT \* FROM `(?P<table>.+)` WHERE (?P<arrival>\w+) >= IF\('none' = 'none', .+\)",
            query,
        )
        assert told, query
        folder = Path(told["uri"])
        folder.mkdir(parents=True)
        shutil.copyfile(self.tables[told["table"]], folder / "events-000000000000.parquet")
        return {"archive": told["uri"]}

    def _tune(self, payload: dict[str, Any], words: dict[str, str]) -> dict[str, str]:
        """Draw the parameters of each trial from the study's space, and run the job's command with them."""
        from google.cloud.aiplatform_v1.types import HyperparameterTuningJob

        job = HyperparameterTuningJob(payload)
        (pool,) = job.trial_job_spec.worker_pool_specs
        drawn = random.Random(1)
        for number in range(1, job.max_trial_count + 1):
            base = Path(job.trial_job_spec.base_output_directory.output_uri_prefix) / str(number)
            said = base / "metrics"
            environment = {
                **os.environ,
                "AIP_MODEL_DIR": f"{base}/model/",
                "CLOUD_ML_TRIAL_ID": str(number),
                "CLOUD_ML_HP_METRIC_FILE": str(said),
            }
            parameters = [f"--{one.parameter_id}={_drawn(one, drawn)}" for one in job.study_spec.parameters]
            words_ = [sys.executable, *pool.container_spec.command[1:], *pool.container_spec.args, *parameters]
            subprocess.run(words_, env=environment, check=True)
            (metric,) = job.study_spec.metrics
            assert float(json.loads(said.read_text())[metric.metric_id]) > 0
        return {"trial": job.trial_job_spec.base_output_directory.output_uri_prefix}

    def _upload(self, payload: dict[str, Any], words: dict[str, str]) -> dict[str, str]:
        executor = json.loads(words["--executor_input"])
        (model,) = executor["inputs"]["artifacts"]["unmanaged_container_model"]["artifacts"]
        payload["artifact_uri"], payload["container_spec"] = model["uri"], model["metadata"]["containerSpec"]
        payload["parent_model"] = words.get("--parent_model_name")
        return {"model": payload["artifact_uri"]}


def _drawn(spec: Any, drawn: random.Random) -> str:
    if spec.categorical_value_spec.values:
        return drawn.choice(list(spec.categorical_value_spec.values))
    if spec.integer_value_spec.max_value:
        return str(drawn.randint(spec.integer_value_spec.min_value, spec.integer_value_spec.max_value))
    return str(drawn.uniform(spec.double_value_spec.min_value, spec.double_value_spec.max_value))


@pytest.fixture
def google(tmp_path: Path, python: Path, monkeypatch: pytest.MonkeyPatch) -> Google:
    """Google's part, which KFP's local runner asks where it would refuse a launcher."""
    from kfp.local import status, subprocess_task_handler

    found = Google(tmp_path)
    own = subprocess_task_handler.SubprocessTaskHandler

    class Handler(own):
        def validate_not_container_component(self, full_command: list[str]) -> None:
            if "google_cloud_pipeline_components" not in full_command[3]:
                super().validate_not_container_component(full_command)

        def run(self) -> status.Status:
            if "google_cloud_pipeline_components" not in self.full_command[3]:
                return super().run()
            found.launch(self.full_command)
            return status.Status.SUCCESS

    monkeypatch.setattr(subprocess_task_handler, "SubprocessTaskHandler", Handler)
    # What KFP's runner and the tuner start as `python`.
    monkeypatch.setattr(sys, "executable", str(python))
    return found


@pytest.fixture(scope="module")
def events(archive: Path) -> Path:
    """The file of the archived events."""
    (file,) = archive.glob("*.parquet")
    return file


def _run(task: Task, name: Pipeline, folder: Path, told: dict[str, str]) -> None:
    """Compile a pipeline of a task to a file, and have KFP's local runner execute what is in the file."""
    from kfp import components
    from kfp import local as runner
    from ml_pipelines.platforms import vertexai

    vertexai.write(graph(task, name), folder / "compiled.yaml")
    text = (folder / "compiled.yaml").read_text()
    for placeholder, value in VERTEX.items():
        text = text.replace(placeholder, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner.init(runner.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "runs"))
        components.load_component_from_text(text)(**told)


def _left(folder: Path, task: str, output: str) -> Path:
    (found,) = (folder / "runs").glob(f"*/{task}/{output}")
    return found


def _few(trials: int, candidates: int) -> Task:
    """Churn with few trials, of some of its candidates."""
    task = find("churn")
    few = tuple(replace(one, effort=1) for one in task.candidates[:candidates])
    return replace(task, trials=trials, candidates=few)


@pytest.fixture(scope="module")
def spoiled(everyone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The events of all with outcomes that were dealt out at random: nothing can be learned from them."""
    log = pq.read_table(everyone)
    outcomes = log["churned"].to_pylist()
    random.Random(1).shuffle(outcomes)
    file = tmp_path_factory.mktemp("spoiled") / "log.parquet"
    place = log.column_names.index("churned")
    pq.write_table(log.set_column(place, log.field("churned"), [outcomes]), file)
    return file


@pytest.fixture(scope="module")
def undecided(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same events before it is known who stayed after the last month."""
    log = pq.read_table(events)
    last = pc.equal(log["event_time"], pc.max(log["event_time"]))
    outcomes = pc.if_else(last, pa.scalar(None, log["churned"].type), log["churned"])
    file = tmp_path_factory.mktemp("undecided") / "log.parquet"
    pq.write_table(log.set_column(log.column_names.index("churned"), "churned", outcomes), file)
    return file


def test_a_model_is_trained_registered_trained_again_and_used(google, events, undecided, key, tmp_path):
    google.tables |= {"p.d.events": events, "p.d.undecided": undecided}
    models, exported = tmp_path / "models", {"table": "p.d.events", "arrival": "event_time"}
    tuned = {"network_attachment": "attachment", "tensorboard": "board", "strategy": "SPOT"}
    signed = {"key": str(key), "models": str(models)}
    task = _few(TRIALS, candidates=2)

    _run(task, Pipeline.TRAINING, tmp_path, exported | tuned | signed)
    (found,) = models.rglob("manifest.json")
    said = manifest.verify(found.parent, [manifest.private_key(key).public_key()])
    assert found.parent == models / said["name"] / said["version"]
    assert said["metrics"]["roc_auc"]["low"] > task.bounds.floor
    searches = google.asked["HyperparameterTuningJob"]
    # They run side by side.
    assert {search["display_name"] for search in searches} == {f"churn-tune-{one.name}" for one in task.candidates}
    assert len(searches) == len(task.candidates)
    assert all(search["max_trial_count"] == TRIALS for search in searches)
    assert searches[0]["trial_job_spec"]["scheduling"]["strategy"] == "SPOT"
    chosen = json.loads((_left(tmp_path, "choose", "tuning") / "tuning.json").read_text())
    assert len(chosen["trials"]) == TRIALS * len(task.candidates)
    assert chosen["candidate"] == said["name"]
    (registered,) = google.asked["UploadModel"]
    assert registered["artifact_uri"] == f"{models}/{said['name']}/{said['version']}"
    assert registered["parent_model"] is None
    assert registered["version_aliases"] == [f"{said['name']}-{said['version']}".replace(".", "-"), "newest"]

    # What came out isn't worse than itself, so that it is registered again, as a version of the same model.
    champion = {"champion": str(found.parent)}
    now = {"as_of": "2018-09-15", "parent_model": PARENT}
    _run(task, Pipeline.RETRAINING, tmp_path / "again", exported | signed | champion | now)
    verdict = json.loads((_left(tmp_path / "again", "evaluate", "evaluation") / "verdict.json").read_text())
    (compared,) = [check for check in verdict["checks"] if check["gate"] == "champion"]
    assert compared["passed"]
    assert google.asked["UploadModel"][1]["parent_model"] == PARENT

    trusted = manifest.as_word(manifest.private_key(key).public_key())
    scored = {"predictions": str(tmp_path / "predictions"), "trusted": trusted, "as_of": "2018-09-15"}
    due = exported | {"table": "p.d.undecided"}
    _run(task, Pipeline.BATCH_SCORING, tmp_path / "scores", due | champion | scored)
    (file,) = (tmp_path / "predictions").rglob("scores.parquet")
    scores = pq.read_table(file)
    assert len(scores) > 1000
    assert set(scores["model"].to_pylist()) == {f"{said['name']}/{said['version']}"}


def test_a_model_that_a_gate_refuses_is_not_registered(google, spoiled, key, tmp_path, capfd):
    google.tables["p.d.events"] = spoiled
    told = {"table": "p.d.events", "arrival": "event_time", "key": str(key), "models": str(tmp_path / "models")}
    tuned = {"network_attachment": "attachment", "tensorboard": "board"}
    with pytest.raises(RuntimeError, match="refuse"):
        _run(_few(1, candidates=1), Pipeline.TRAINING, tmp_path, told | tuned)
    assert not (tmp_path / "models").exists()
    assert "UploadModel" not in google.asked
    printed = capfd.readouterr().out
    verdict = _left(tmp_path, "evaluate", "evaluation") / "verdict.json"
    assert f"The verdict in {verdict} says no" in printed
    assert "floor" in printed
