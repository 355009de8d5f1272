"""Train: the chosen candidate on all data for training, exported to ONNX, with a manifest of all that it came from."""

import argparse
import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ml_pipelines.steps import command, manifest
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import Arrays, checked, inputs, rows, target
from ml_pipelines.steps.files import json_text, read_json, read_table, whole_folder
from ml_pipelines.steps.models import Model, fit
from ml_pipelines.steps.prepare import SPLIT, TRAIN, folds
from ml_pipelines.steps.scorer import MODEL, Scorer
from ml_pipelines.steps.tune import TUNING
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Kind, Predicts, Task

STEP = "train"
LIBRARIES = ("duckdb", "ibis-framework", "numpy", "onnx", "onnxruntime", "pyarrow", "scikit-learn", "scipy")
COMPARED_ROWS = 5000
# How far a score by ONNX may be from that of what was fitted, in units of the score.
TOLERANCE = 1e-9


# Where an image says which commit it was made of.
CODE = "ML_BLUEPRINTS_CODE"


@dataclass(frozen=True)
class Origin:
    """What a run is told of itself, since a step looks at no clock and no repository.

    created_at: ISO 8601, UTC; code: the commit, with `+changed` where files differ from it.
    """

    created_at: str
    code: str


def train(data: Path, tuning: Path | None, task: Task, to: Path, origin: Origin, seed: int = 1) -> dict[str, Any]:
    """Write model.onnx and manifest.json into the folder `to`; returns the manifest.

    data: the folder that `prepare` wrote; tuning: what `tune` found, or the manifest of a model whose candidate and
    parameters are taken again (without it: the first candidate, its defaults).
    Raises StepError, and leaves `to` as it was, where the data can't be learned from, or ONNX scores otherwise than
    what was fitted.
    """
    table = checked(STEP, read_table(STEP, data / TRAIN), task)
    arrays, outcomes = inputs(table, task), target(STEP, table, task)
    for item in task.inputs:
        if item.kind is not Kind.CATEGORY and np.isnan(arrays[item.name]).all():
            raise StepError(STEP, f"column `{item.name}`", f"has no value in any of {len(table):,} rows")
    chosen = read_json(STEP, tuning) if tuning else {}
    candidate = task.candidate(chosen.get("candidate", task.candidates[0].name))
    parameters = {**candidate.defaults, **chosen.get("parameters", {})}
    if unknown := set(parameters) - set(candidate.defaults):
        raise StepError(STEP, str(tuning), f"candidate `{candidate.name}` has no parameter `{min(unknown)}`")
    model = fit(candidate, parameters, task.inputs, task.predicts, arrays, outcomes, seed)
    exported = model.graph({"task": task.name, "predicts": task.predicts}).SerializeToString(deterministic=True)
    difference = compared(model, exported, arrays, seed)
    if not difference <= TOLERANCE:
        raise StepError(STEP, MODEL, f"scores differ by {difference:g} from what was fitted; {TOLERANCE:g} is allowed")
    with whole_folder(to) as folder:
        (folder / MODEL).write_bytes(exported)
        said = {
            "format": manifest.DERIVING if task.derived else manifest.FORMAT,
            "task": task.name,
            "candidate": candidate.name,
            "parameters": parameters,
            "predicts": task.predicts,
            "outcome": task.outcome,
            "inputs": [{"name": item.name, "kind": item.kind} for item in task.inputs],
            **({"derivations": task.derived} if task.derived else {}),
            "threshold": _threshold(task, table, arrays, outcomes, candidate.name, parameters, seed),
            "onnx_difference": difference,
            "data": _data(data),
            "contract": manifest.contract(task),
            "features": manifest.features(task),
            "code": origin.code,
            "seed": seed,
            "libraries": {name: _version(name) for name in LIBRARIES},
            "created_at": origin.created_at,
            "files": manifest.hashes(folder),
        }
        (folder / manifest.MANIFEST).write_text(json_text(said), encoding="utf-8")
    return said


def compared(model: Model, exported: bytes, arrays: Arrays, seed: int) -> float:
    """The largest difference of scores by ONNX Runtime from those of what was fitted.

    On examples, and on the same ones with values that are missing, unheard of, or out of all bounds.
    """
    size = len(next(iter(arrays.values())))
    generator = np.random.Generator(np.random.PCG64(seed))
    some = rows(arrays, np.sort(generator.permutation(size)[:COMPARED_ROWS]))
    spoiled = {}
    for name, values in some.items():
        changed, kind = values.copy(), generator.integers(0, 8, len(values))
        if values.dtype == object:
            changed[kind == 0], changed[kind == 1] = "", "never heard of"
        else:
            changed[kind == 0] = np.nan
            changed[kind == 1] = generator.normal(0, 1e9, int((kind == 1).sum()))
        spoiled[name] = changed
    scorer = Scorer(exported)
    worst = 0.0
    for given in (some, spoiled):
        ours, theirs = scorer.score(given), model.predict(given)
        if not np.isfinite(ours).all():
            return float("inf")
        worst = max(worst, float(np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)))))
    return worst


def _threshold(
    task: Task, table: Any, arrays: Arrays, outcomes: np.ndarray, name: str, parameters: Mapping[str, Any], seed: int
) -> float | None:
    """The score above which the task's share of cases lies, among cases that the model didn't learn from."""
    if task.predicts is not Predicts.CLASS:
        return None
    learned, tested = folds(table, task.split)[-1]
    candidate = task.candidate(name)
    model = fit(candidate, parameters, task.inputs, task.predicts, rows(arrays, learned), outcomes[learned], seed)
    return float(np.quantile(model.predict(rows(arrays, tested)), 1 - task.selected))


def _data(data: Path) -> dict[str, Any]:
    said = read_json(STEP, data / SPLIT)
    return {name: said[name] for name in ("sources", "data", "by", "seed", "train", "test", "left_out")}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that `prepare` wrote")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--tuning", type=Path, help=f"what `tune` found, {TUNING}")
    chosen.add_argument("--like", type=Path, help="the folder of a model that is trained again, with its parameters")
    parser.add_argument("--to", type=Path, required=True, help="the folder of the model")
    parser.add_argument("--created-at", help="when the run began, ISO 8601, UTC (default: now)")
    parser.add_argument("--code", help=f"the commit of the code (default: {CODE} of the environment)")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        origin = Origin(options.created_at or now, options.code or os.environ.get(CODE, "unknown"))
        tuning = options.like / manifest.MANIFEST if options.like else options.tuning
        return train(options.data, tuning, find(options.task), options.to, origin, options.seed)

    command.run(parser, step)


if __name__ == "__main__":
    main()
