"""Tune: every candidate of the task is tried with several parameters, on folds of the training data, and the best wins.

Locally Optuna searches; a platform's own tuner gets the same space (`space_json`) and calls `trial`.
"""

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import checked, inputs, rows, target
from ml_pipelines.steps.files import json_text, read_table
from ml_pipelines.steps.metrics import metric
from ml_pipelines.steps.models import fit
from ml_pipelines.steps.prepare import TRAIN, folds
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Candidate, Choice, Dimension, Parameter, Real, Task, Whole

STEP = "tune"
TUNING = "tuning.json"


def tune(
    data: Path,
    task: Task,
    to: Path,
    seed: int = 1,
    trials: int | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write the best candidate, its parameters and all trials into the file `to`; returns what it says.

    data: the folder that `prepare` wrote. Only train.parquet is read: what is held back plays no part in the choice.
    """
    train = checked(STEP, read_table(STEP, data / TRAIN), task)
    target(STEP, train, task)
    found = search(train, task, seed, task.trials if trials is None else trials, told)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json_text(found), encoding="utf-8")
    return found


def search(
    train: pa.Table, task: Task, seed: int, trials: int, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """The trials of all candidates, best first, and the best of them. The first trial of each has its defaults."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise StepError(STEP, "optuna", "isn't installed, nor in the image: install `ml-pipelines[tuning]`") from error

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("optuna").setLevel(logging.ERROR)
    attempt = Trial(train, task, seed)
    boards = []
    for candidate in task.candidates:
        tries = max(trials, 1) * candidate.effort if candidate.space else 1
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, tries // 2))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.enqueue_trial(dict(candidate.defaults))

        def objective(asked: optuna.Trial, candidate: Candidate = candidate, tries: int = tries) -> float:
            parameters = _suggested(asked, candidate)
            values = attempt(candidate, parameters)
            asked.set_user_attr("folds", values)
            told(f"{candidate.name} {asked.number + 1}/{tries}: {task.metric} {np.mean(values):.4f}")
            return float(np.mean(values))

        study.optimize(objective, n_trials=tries)
        boards.extend(
            {
                "candidate": candidate.name,
                "parameters": {**candidate.defaults, **done.params},
                "value": done.value,
                "folds": done.user_attrs["folds"],
            }
            for done in study.trials
        )
    boards.sort(key=itemgetter("value"), reverse=True)
    return chosen(task, seed, float(np.mean(attempt(task.baseline, {}))), boards)


def chosen(task: Task, seed: int, baseline: float, trials: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What tuning.json says of trials, of which the first is the best."""
    best = trials[0]
    return {
        "task": task.name,
        "metric": task.metric,
        "seed": seed,
        "candidate": best["candidate"],
        "parameters": best["parameters"],
        "value": best["value"],
        "baseline": baseline,
        "trials": list(trials),
    }


class Trial:
    """Tries a candidate with parameters on each fold of the training data."""

    def __init__(self, train: pa.Table, task: Task, seed: int) -> None:
        self._task, self._seed = task, seed
        arrays, outcomes = inputs(train, task), target(STEP, train, task)
        self._folds = []
        for learned, tested in folds(train, task.split):
            known = rows(arrays, learned)
            asked = rows(arrays, tested)
            plain = fit(task.baseline, {}, task.inputs, task.predicts, known, outcomes[learned], seed).predict(asked)
            self._folds.append((known, outcomes[learned], asked, outcomes[tested], plain))

    def __call__(self, candidate: Candidate, parameters: Mapping[str, Parameter]) -> list[float]:
        """The task's metric on each fold."""
        found = []
        for known, learned, asked, outcomes, plain in self._folds:
            model = fit(candidate, parameters, self._task.inputs, self._task.predicts, known, learned, self._seed)
            value = metric(self._task.metric, outcomes, model.predict(asked), plain)(np.ones(len(outcomes)))
            # A fold without a positive tells nothing.
            found.append(value if np.isfinite(value) else 0.0)
        return found


def _suggested(asked: Any, candidate: Candidate) -> dict[str, Parameter]:
    parameters = dict(candidate.defaults)
    for name, dimension in candidate.space.items():
        match dimension:
            case Real(low, high, log):
                parameters[name] = asked.suggest_float(name, low, high, log=log)
            case Whole(low, high, log):
                parameters[name] = asked.suggest_int(name, low, high, log=log)
            case Choice(values):
                parameters[name] = asked.suggest_categorical(name, list(values))
    return parameters


def space_json(candidate: Candidate) -> dict[str, dict[str, Any]]:
    """The search space without any library: what the platforms' tuners are written from."""
    return {name: {"kind": _KINDS[type(dimension)], **asdict(dimension)} for name, dimension in candidate.space.items()}


_KINDS: Mapping[type[Dimension], str] = {Real: "real", Whole: "whole", Choice: "choice"}


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that `prepare` wrote")
    parser.add_argument("--to", type=Path, required=True, help="the file of what was found, tuning.json")
    parser.add_argument("--trials", type=int, help="how often each candidate is tried (default: the task's own)")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        return tune(options.data, find(options.task), options.to, options.seed, options.trials)

    command.run(parser, step)


if __name__ == "__main__":
    main()
