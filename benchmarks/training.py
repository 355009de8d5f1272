"""What models reach on data held back, beside their plain baselines, and what training them costs.

`quality`: where a task is split by entity, five-fold cross-validation over all its data, with the search of parameters
inside of each fold; where it is split by time, what comes after training. Intervals are the middle 95% of the
bootstrap. `speed`: the local pipeline of each task, and one fit on a million payments, each as a process of its own.

Alone: `python -m benchmarks.training quality churn mlc_churn`.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from ml_pipelines import datasets
from ml_pipelines.platforms import local
from ml_pipelines.steps.examples import FOLD, clusters, inputs, target
from ml_pipelines.steps.metrics import Estimate, Ranked, Weighted, estimates, mean_error, metric
from ml_pipelines.steps.models import fit
from ml_pipelines.steps.prepare import examples, split
from ml_pipelines.steps.register import newest
from ml_pipelines.steps.train import Origin
from ml_pipelines.steps.tune import search
from ml_pipelines.tasks import TASKS, Task
from ml_pipelines.tasks.task import By, Predicts
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Bench

SEED = 1
FOLDS = 5
MILLION = 1_000_000
STEP = "benchmark"
_MEBIBYTE = 1024


@dataclass(frozen=True)
class Quality:
    """What was reached: the metric of the model and of the baseline, and which candidates were chosen.

    `plain` and `plain_baseline` say the same in a unit: the average precision, or the mean absolute error.
    """

    model: Estimate
    baseline: Estimate
    plain: Estimate
    plain_baseline: Estimate
    chosen: list[str]
    rows: int


def training(console: Console, bench: Bench, runs: int) -> None:
    """Both tables, of all tasks."""
    quality_table(console, list(TASKS))
    speed_table(console, list(TASKS))


def quality_table(console: Console, names: Sequence[str]) -> None:
    """Each task's metric on data held back, beside its goal and its baseline."""
    table = _table(
        "Quality on data held back (95% interval)",
        *("task", "metric", "goal", "reached", "baseline", "in its unit", "chosen", "held back", "how"),
    )
    for name in names:
        task = TASKS[name]
        console.print(f"{name} ...", style="dim")
        found = quality(task)
        how = f"{FOLDS} folds" if task.split.by is By.ENTITY else f"last {task.split.test_days} days"
        chosen = ", ".join(f"{one} {found.chosen.count(one)}x" for one in dict.fromkeys(found.chosen))
        unit = task.outcome if task.predicts is Predicts.NUMBER else "average precision"
        plain = f"{found.plain.value:.3g}, baseline {found.plain_baseline.value:.3g} {unit}"
        reached, baseline = str(found.model), f"{found.baseline.value:.3f}"
        table.add_row(name, task.metric, f"{task.goal:g}", reached, baseline, plain, chosen, f"{found.rows:,}", how)
    console.print(table)


def quality(task: Task) -> Quality:
    """What the pipeline reaches: the search of candidates and parameters sees nothing of what is held back."""
    made = _examples(task, task.events)
    if task.split.by is By.TIME:
        train, test, _ = split(made, task.split, SEED)
        return _reached(task, [(train, test)])
    task = replace(task, split=replace(task.split, test_share=0.0))
    all_of_it, _, _ = split(made, replace(task.split, folds=FOLDS), SEED)
    parts, number = [], all_of_it[FOLD].to_numpy()
    for fold in range(FOLDS):
        rest = all_of_it.filter(pa.array(number != fold)).drop_columns([FOLD])
        # The folds of the search are drawn anew within what is left.
        train, _, _ = split(rest, task.split, SEED + 1)
        parts.append((train, all_of_it.filter(pa.array(number == fold))))
    return _reached(task, parts)


def _reached(task: Task, parts: Sequence[tuple[pa.Table, pa.Table]]) -> Quality:
    measured: list[list[Weighted]] = [[], [], [], []]
    chosen, sizes = [], []
    for train, test in parts:
        best = search(train, task, SEED, task.trials)
        arrays, outcomes = inputs(train, task), target(STEP, train, task)
        asked, came = inputs(test, task), target(STEP, test, task)
        plain = fit(task.baseline, {}, task.inputs, task.predicts, arrays, outcomes, SEED).predict(asked)
        candidate = task.candidate(best["candidate"])
        model = fit(candidate, best["parameters"], task.inputs, task.predicts, arrays, outcomes, SEED)
        scores = model.predict(asked)
        found = [metric(task.metric, came, one, plain) for one in (scores, plain)]
        in_unit = [_in_unit(task, came, one) for one in (scores, plain)]
        for all_of_it, one in zip(measured, (*found, *in_unit), strict=True):
            all_of_it.append(one)
        chosen.append(best["candidate"])
        sizes.append(len(test))
    drawn = np.concatenate([clusters(test, task) + 10**9 * place for place, (_, test) in enumerate(parts)])
    whole = np.unique(drawn, return_inverse=True)[1]
    ours, theirs, our_unit, their_unit = estimates([_mean(one, sizes) for one in measured], whole, SEED)
    return Quality(ours, theirs, our_unit, their_unit, chosen, sum(sizes))


def _in_unit(task: Task, outcomes: np.ndarray, scores: np.ndarray) -> Weighted:
    """What a person can imagine: how many of those that are selected are right, or how far off a forecast is."""
    if task.predicts is Predicts.NUMBER:
        return mean_error(outcomes, scores)
    return Ranked(outcomes, scores).average_precision


def _mean(parts: Sequence[Weighted], sizes: Sequence[int]) -> Weighted:
    """The mean of a metric over folds, each with its own weights."""
    ends = np.cumsum(sizes)[:-1]
    return lambda weights: float(np.mean([one(part) for one, part in zip(parts, np.split(weights, ends), strict=True)]))


def _examples(task: Task, events: int | None) -> pa.Table:
    if task.contract is None:
        return examples(datasets.raw(task.data_set), None, task)
    found = datasets.load(task.data_set, datasets.Request(events=events, seed=SEED))
    return examples(found.log, found.labels, task)


def speed_table(console: Console, names: Sequence[str]) -> None:
    """Seconds and peak memory of the local pipeline, and of one fit on a million payments."""
    table = _table("Training on this machine", "what", "seconds", "processor seconds", "peak MiB", "registered")
    for name in [*names, "million"]:
        console.print(f"{name} ...", style="dim")
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.training", "one", name], capture_output=True, text=True, check=True
        )
        said = json.loads(answer.stdout.splitlines()[-1])
        seconds = (f"{said['seconds']:.1f}", f"{said['processor']:.1f}", f"{said['peak_mib']:.0f}")
        table.add_row(said["what"], *seconds, said["registered"])
    console.print(table)


def one(name: str) -> dict[str, Any]:
    """Measure one pipeline, or the fit on a million payments, in this process."""
    started = time.perf_counter()
    if name == "million":
        what, registered = f"fit on {MILLION:,} payments, data apart", "-"
        task = TASKS["fraud-detection"]
        table = _examples(task, MILLION)
        arrays, outcomes = inputs(table, task), target(STEP, table, task)
        del table
        started = time.perf_counter()
        fit(task.candidates[0], {}, task.inputs, task.predicts, arrays, outcomes, SEED)
    else:
        what, registered = name, "refused by its gates"
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            with contextlib.suppress(local.RefusedError):
                local.run(TASKS[name], local.Run(Path(folder), Origin("2026-01-01T00:00:00+00:00", "benchmark"), SEED))
            if made := newest(Path(folder) / "registry", TASKS[name]):
                registered = f"{made.parent.name} {made.name}"
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "what": what,
        "seconds": time.perf_counter() - started,
        "processor": used.ru_utime + used.ru_stime,
        "peak_mib": used.ru_maxrss / _MEBIBYTE,
        "registered": registered,
    }


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("task", "metric", "chosen", "how", "what") else "right")
    return table


def main() -> None:
    """One of the tables alone, for some tasks."""
    parser = argparse.ArgumentParser("python -m benchmarks.training", description=__doc__)
    parser.add_argument("table", choices=("quality", "speed", "one"))
    parser.add_argument("tasks", nargs="*", help="default: all")
    options = parser.parse_args()
    console = Console(width=200)
    if options.table == "one":
        print(json.dumps(one(options.tasks[0])))
    else:
        {"quality": quality_table, "speed": speed_table}[options.table](console, options.tasks or list(TASKS))


if __name__ == "__main__":
    main()
