"""The compiled pipelines of Azure Machine Learning on real data: each command is run as the service would run it.

The service itself can't be had here. The test plays its part with nothing but what the compiled file says: it binds
folders to the inputs and outputs of each step, draws the parameters of a sweep's trials, takes their metric by MLflow's
REST interface, keeps what the best one left, and stops where a step fails.
"""

import importlib
import json
import math
import os
import random
import re
import subprocess
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ml_pipelines.platforms.graph import Pipeline
from ml_pipelines.steps import manifest
from ml_pipelines.steps.trial import METRIC
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

pytestmark = [
    pytest.mark.xdist_group("azureml"),
    # The SDK's own use of marshmallow.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:`Number` field"),
]

TRIALS = 2
EXPRESSION = re.compile(r"\$\{\{(inputs|outputs)\.(\w+)\}\}")
PARENT = re.compile(r"\$\{\{parent\.(?:inputs\.(\w+)|jobs\.(\w+)\.outputs\.(\w+)|outputs\.(\w+))\}\}")


class StepFailedError(Exception):
    """A step that ended with another code than 0: which one, with what."""


@dataclass
class Service:
    """What a workspace does with a pipeline.

    python: where commands find it. logged: what trials reported by their run. ran: the steps, in order.
    """

    folder: Path
    python: Path
    url: str
    logged: dict[str, list[dict[str, Any]]]
    ran: list[str] = field(default_factory=list)

    def run(self, said: dict[str, Any], inputs: dict[str, str], outputs: dict[str, Path]) -> None:
        """Run a compiled pipeline. Raises StepFailedError, with nothing run of what comes after."""
        whole = said["pipeline"]
        words = {name: one["default"] for name, one in whole["inputs"].items() if "default" in one} | inputs
        assert set(words) == set(whole["inputs"])
        assert set(outputs) == set(whole["outputs"])
        left: dict[tuple[str, str], Path] = {}
        waiting = dict(whole["jobs"])
        while waiting:
            name, job = next((name, job) for name, job in waiting.items() if _needs(job) <= {one for one, _ in left})
            del waiting[name]
            self.ran.append(name)
            for output, bound in job["outputs"].items():
                match = PARENT.fullmatch(bound.get("value", ""))
                left[name, output] = outputs[match[4]] if match else self.folder / "runs" / name / output
            given = {}
            for part, bound in job["inputs"].items():
                word, other, output, _ = PARENT.fullmatch(bound["value"]).groups()
                given[part] = words[word] if word else str(left[other, output])
            mine = {output: left[name, output] for output in job["outputs"]}
            if job["type"] == "sweep":
                self._sweep(name, job, said["components"][job["trial"]["componentId"]], given, mine)
            else:
                self._command(name, said["components"][job["componentId"]], given, mine)

    def _sweep(
        self, name: str, job: dict[str, Any], part: dict[str, Any], given: dict[str, str], outputs: dict[str, Path]
    ) -> None:
        drawn, tried = random.Random(1), []
        for number in range(job["limits"]["max_total_trials"]):
            parameters = {one: _drawn(how, drawn) for one, how in job["search_space"].items()}
            mine = {output: self.folder / "trials" / f"{name}-{number}" / output for output in outputs}
            self._command(f"{name}-{number}", part, given | parameters, mine)
            (metric,) = self.logged[f"{name}-{number}"]
            assert metric["key"] == job["objective"]["primary_metric"]
            tried.append((metric["value"], mine))
        best = max(tried, key=lambda one: one[0])[1]
        for output, place in outputs.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            best[output].rename(place)

    def _command(self, run: str, part: dict[str, Any], given: dict[str, str], outputs: dict[str, Path]) -> None:
        for place in outputs.values():
            place.mkdir(parents=True, exist_ok=True)
        bound = {"inputs": given, "outputs": outputs}
        line = EXPRESSION.sub(lambda match: str(bound[match[1]][match[2]]), part["command"])
        environment = {
            **os.environ,
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_TOKEN": "token",
            "MLFLOW_RUN_ID": run,
        }
        ended = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True)
        if ended.returncode:
            raise StepFailedError(f"{run}: {ended.returncode}: {ended.stdout}{ended.stderr}")


def _needs(job: dict[str, Any]) -> set[str]:
    found = (PARENT.fullmatch(bound["value"]) for bound in job["inputs"].values())
    return {match[2] for match in found if match and match[2]}


def _drawn(how: dict[str, Any], drawn: random.Random) -> str:
    """https://learn.microsoft.com/azure/machine-learning/how-to-tune-hyperparameters"""
    if how["type"] == "choice":
        return drawn.choice(how["values"])
    value = drawn.uniform(how["min_value"], how["max_value"])
    value = math.exp(value) if "log" in how["type"] else value
    return str(round(value / how["q"]) * float(how["q"]) if how["type"].startswith("q") else value)


@pytest.fixture
def service(tmp_path: Path, python: Path) -> Generator[Service]:
    """A workspace whose MLflow keeps what it is told."""
    logged: dict[str, list[dict[str, Any]]] = {}

    class MLflow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            right = self.path == "/api/2.0/mlflow/runs/log-metric" and self.headers["Authorization"] == "Bearer token"
            logged.setdefault(body["run_id"], []).append(body)
            self.send_response(200 if right else 404)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), MLflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Service(tmp_path, python, f"http://127.0.0.1:{server.server_port}", logged)
    server.shutdown()


def _few(trials: int) -> Task:
    """Churn with few trials, and with candidates that are quickly fitted."""
    task = find("churn")
    return replace(task, trials=trials, candidates=tuple(replace(one, effort=1) for one in task.candidates[:2]))


def _compiled(task: Task, pipeline: Pipeline) -> dict[str, Any]:
    compiler = importlib.import_module("ml_pipelines.platforms.azureml")
    return json.loads(json.dumps(compiler.definitions(task)[pipeline].said()))


def test_a_model_is_trained_published_trained_again_and_used(service, archive, key, tmp_path):
    task, models = _few(TRIALS), tmp_path / "models"
    events, signed = {"archive": str(archive)}, {"key": str(key)}

    service.run(
        _compiled(task, Pipeline.TRAINING), events | signed, {"registered": tmp_path / "first", "published": models}
    )
    (found,) = models.rglob("manifest.json")
    said = manifest.verify(found.parent, [manifest.private_key(key).public_key()])
    assert found.parent == models / said["name"] / said["version"]
    assert {file.name for file in found.parent.iterdir()} == {file.name for file in (tmp_path / "first").iterdir()}
    assert said["metrics"]["roc_auc"]["low"] > task.bounds.floor
    assert sum(len(one) for one in service.logged.values()) == TRIALS * len(task.candidates)
    # The step's choice is that of the best of the values that the tuner was told.
    chosen = json.loads((tmp_path / "runs" / "choose" / "tuning" / "tuning.json").read_text())
    best = max(one["value"] for told in service.logged.values() for one in told)
    assert (chosen["value"], chosen["candidate"]) == (pytest.approx(best), said["name"])
    assert METRIC == "trial_value"

    # What came out isn't worse than itself, so that it is registered again, as another version.
    champion, now = {"champion": str(found.parent)}, {"as_of": "2018-09-15"}
    again = {"registered": tmp_path / "second", "published": models}
    service.run(_compiled(task, Pipeline.RETRAINING), events | signed | champion | now, again)
    assert len([*models.rglob("manifest.json")]) == 2
    verdict = json.loads((tmp_path / "runs" / "evaluate" / "evaluation" / "verdict.json").read_text())
    assert [check["passed"] for check in verdict["checks"] if check["gate"] == "champion"] == [True]

    trusted = {"trusted": manifest.as_word(manifest.private_key(key).public_key())}
    scores = {"scores": tmp_path / "predictions"}
    service.run(_compiled(task, Pipeline.BATCH_SCORING), events | champion | now | trusted, scores)
    scored = pq.read_table(tmp_path / "predictions" / "scores.parquet")
    assert set(scored["model"].to_pylist()) <= {f"{said['name']}/{said['version']}"}


def test_data_that_a_verdict_refuses_end_the_pipeline_before_anything_is_learned(service, archive, key, tmp_path):
    """A day on which the newest events are years old."""
    task, outputs = _few(1), {"registered": tmp_path / "registered", "published": tmp_path / "models"}
    given = {"archive": str(archive), "champion": str(tmp_path), "key": str(key), "as_of": "2030-01-01"}
    with pytest.raises(StepFailedError, match=r"^validate: 3: ") as failed:
        service.run(_compiled(task, Pipeline.RETRAINING), given, outputs)
    assert service.ran == ["collect", "validate"]
    verdict = json.loads((tmp_path / "runs" / "validate" / "validation" / "verdict.json").read_text())
    assert verdict["passed"] is False
    assert "fresh" in str(failed.value)
    assert not outputs["published"].exists()
