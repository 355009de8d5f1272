"""Trial: one try of a candidate with parameters, on folds of the training data, for the platforms' own tuners.

Each parameter that is searched is an option of its name, as in `--learning_rate 0.05`; those that aren't given have
their defaults. A tuner learns of the value as its platform has it: SageMaker reads it in the log, Vertex AI from a
file, Azure Machine Learning from MLflow.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import checked, target
from ml_pipelines.steps.files import json_text, mounted, read_json, read_table, whole_folder
from ml_pipelines.steps.prepare import TRAIN
from ml_pipelines.steps.tune import Trial
from ml_pipelines.tasks import TASKS, find
from ml_pipelines.tasks.task import Candidate, Choice, Parameter, Real, Task, Whole

STEP = "trial"
FILE = "trial.json"
# What a tuner looks for: `trial_value=0.8464` in the log, and the name of the metric elsewhere.
METRIC = "trial_value"

# Where Vertex AI's tuner reads from. https://github.com/GoogleCloudPlatform/cloudml-hypertune
_HYPERTUNE = "CLOUD_ML_HP_METRIC_FILE"
_HYPERTUNE_DEFAULT = "/tmp/hypertune/output.metrics"  # noqa: S108 (the service's own path)
# Where it tells a trial to leave its model, a folder of its own.
# https://cloud.google.com/vertex-ai/docs/training/code-requirements#environment-variables
_MODEL_DIR = "AIP_MODEL_DIR"

# Where Azure Machine Learning has the metrics of a job, and which job this is.
_MLFLOW = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_RUN_ID")


def trial(
    data: Path, task: Task, candidate: Candidate, to: Path, parameters: Mapping[str, Parameter], seed: int = 1
) -> dict[str, Any]:
    """Write trial.json into the folder `to`; returns what it says: the candidate, its parameters, what they reached.

    data: the folder that `prepare` wrote, of which train.parquet alone is read.
    """
    table = checked(STEP, read_table(STEP, data / TRAIN), task)
    target(STEP, table, task)
    attempt = Trial(table, task, seed)
    whole = {**candidate.defaults, **parameters}
    values = attempt(candidate, whole)
    said = {
        "task": task.name,
        "metric": task.metric,
        "seed": seed,
        "candidate": candidate.name,
        "parameters": whole,
        "value": float(np.mean(values)),
        "folds": values,
        "baseline": float(np.mean(attempt(task.baseline, {}))),
    }
    with whole_folder(to) as folder:
        (folder / FILE).write_text(json_text(said), encoding="utf-8")
    return said


def parameters(candidate: Candidate, found: Mapping[str, str]) -> dict[str, Parameter]:
    """Parameters from the words of a tuner, in their types. Raises StepError for one that is no such thing."""
    return {name: _value(candidate, name, word) for name, word in found.items()}


def _value(candidate: Candidate, name: str, word: str) -> Parameter:
    where = f"parameter `{name}` of `{candidate.name}`"
    match candidate.space.get(name):
        case None:
            raise StepError(STEP, where, f"isn't searched for; {', '.join(candidate.space) or 'nothing'} is")
        case Choice(values):
            by_word = {str(value): value for value in values}
            if word not in by_word:
                raise StepError(STEP, where, f"is one of {', '.join(by_word)}, not `{word}`")
            return by_word[word]
        case Real(low, high) | Whole(low, high) as dimension:
            try:
                number = float(word)
            except ValueError:
                raise StepError(STEP, where, f"is a number, not `{word}`") from None
            if not low <= number <= high:
                raise StepError(STEP, where, f"is from {low} to {high}, not {word}")
            return round(number) if isinstance(dimension, Whole) else number


def report(how: str, value: float) -> None:
    """Tell a platform's tuner of the value."""
    if how == "hypertune":
        file = Path(os.environ.get(_HYPERTUNE, _HYPERTUNE_DEFAULT))
        file.parent.mkdir(parents=True, exist_ok=True)
        line = {"timestamp": time.time(), "trial": os.environ.get("CLOUD_ML_TRIAL_ID", "0"), METRIC: str(value)}
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line | {"global_step": "0", "checkpoint_path": ""}) + "\n")
    elif how == "mlflow":
        _log_metric(value)
    print(f"{METRIC}={value!r}", flush=True)


def _log_metric(value: float) -> None:
    """Log the value by MLflow's REST interface, where and as whom the job's environment says.

    The vendor's plugin for MLflow takes no current `cryptography` and brings a hundred megabytes for this one call.
    https://learn.microsoft.com/azure/machine-learning/how-to-track-experiments-mlflow, https://mlflow.org/docs/latest/rest-api.html
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    if missing := [name for name in _MLFLOW if name not in os.environ]:
        raise StepError(STEP, missing[0], "isn't set, as it is in jobs of Azure Machine Learning: use another --report")
    address, token, run = (os.environ[name] for name in _MLFLOW)
    # Whoever has the vendor's plugin is told its scheme; the service behind it is the same.
    address = address.replace("azureml://", "https://", 1).rstrip("/")
    body = {"run_id": run, "key": METRIC, "value": value, "timestamp": int(time.time() * 1000), "step": 0}
    again = Retry(total=5, backoff_factor=1, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=["POST"])
    with requests.Session() as session:
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        try:
            answer = session.post(
                f"{address}/api/2.0/mlflow/runs/log-metric",
                json=body,
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
            )
            answer.raise_for_status()
        except requests.RequestException as error:
            raise StepError(STEP, "MLFLOW_TRACKING_URI", f"the tuner can't be told of the value: {error}") from error


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--candidate", required=True, help="which of the task's candidates")
    parser.add_argument("--data", type=Path, required=True, help="the folder that `prepare` wrote")
    given = os.environ.get(_MODEL_DIR)
    parser.add_argument(
        "--to",
        type=Path,
        default=Path(mounted(given)) if given else None,
        required=given is None,
        help="the folder of what was found (default: where Vertex AI tells a trial to leave its model)",
    )
    parser.add_argument("--hyperparameters", type=Path, help="parameters as SageMaker hands them over, JSON")
    parser.add_argument("--report", choices=("log", "hypertune", "mlflow"), default="log", help="how a tuner is told")
    searched = sorted({name for task in TASKS.values() for item in task.candidates for name in item.space})
    for name in searched:
        parser.add_argument(f"--{name}", metavar="VALUE", help="a parameter of a candidate")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        task = find(options.task)
        candidate = task.candidate(options.candidate)
        words = {name: getattr(options, name) for name in searched if getattr(options, name) is not None}
        if options.hyperparameters:
            found = read_json(STEP, options.hyperparameters)
            # What begins with `_` is SageMaker's own, such as the name of the metric.
            words |= {name: str(word) for name, word in found.items() if not name.startswith("_")}
        if given and options.to == Path(mounted(given)):
            # Cloud Storage can't rename a folder: one that is there is filled.
            options.to.mkdir(parents=True, exist_ok=True)
        said = trial(options.data, task, candidate, options.to, parameters(candidate, words), options.seed)
        report(options.report, said["value"])
        return said

    command.run(parser, step)


if __name__ == "__main__":
    main()
