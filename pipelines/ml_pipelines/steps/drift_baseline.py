"""Drift baseline: how each input, the scores and the outcomes are distributed in training, for the monitors.

What the model says of examples that were held back, how well, and what its scores come from, is there, too: of those
that it learned from it is surer than it will be of others.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ml_pipelines.monitoring.attribution import ROWS, attributions
from ml_pipelines.monitoring.baseline import Distribution
from ml_pipelines.monitoring.counting import counted
from ml_pipelines.monitoring.performance import performance
from ml_pipelines.monitoring.report import Kind
from ml_pipelines.steps import command
from ml_pipelines.steps.examples import checked, clusters, groups, inputs, rows, target
from ml_pipelines.steps.files import json_text, read_table
from ml_pipelines.steps.prepare import TEST, TRAIN
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

STEP = "drift_baseline"
FORMAT = 1
# Wide bins, and narrow ones that each wide one is made of.
BINS, PARTS = 20, 5
WORDS = 50
# Segments are kept of the columns that a task calls groups: so many of each, the largest, with at least so many rows.
SEGMENTS, SEGMENT_ROWS = 10, 200
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def drift_baseline(data: Path, model: Path, task: Task, to: Path) -> dict[str, Any]:
    """Write the statistics of train.parquet, and of the model's scores, into the file `to`; returns them."""
    table = checked(STEP, read_table(STEP, data / TRAIN), task)
    arrays, outcomes = inputs(table, task), target(STEP, table, task)
    scorer = Scorer.load(STEP, model)
    plausible = {item.name: {"low": item.low, "high": item.high} for item in task.inputs}
    said = {
        "format": FORMAT,
        "task": task.name,
        "rows": len(table),
        "inputs": {name: described(values) | plausible[name] for name, values in arrays.items()},
        "scores": described(scorer.score(arrays)),
        "outcomes": described(outcomes),
    }
    said["held_back"] = _held_back(data, scorer, task, said)
    said["segments"] = _segments(said["inputs"], arrays, {name: groups(table, name) for name in task.groups})
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json_text(said), encoding="utf-8")
    return said


def _held_back(data: Path, scorer: Scorer, task: Task, trained: Mapping[str, Any]) -> dict[str, Any]:
    """What the model says of test.parquet, how well, and what its scores come from beside those `trained` by."""
    table = checked(STEP, read_table(STEP, data / TEST), task)
    arrays, outcomes = inputs(table, task), target(STEP, table, task)
    scores = scorer.score(arrays)
    reached = performance(task, outcomes, scores, clusters(table, task))
    generator = np.random.Generator(np.random.PCG64(1))
    some = rows(arrays, np.sort(generator.permutation(len(table))[:ROWS]))
    features = {name: Distribution.of(name, Kind.DATA, one, trained["rows"]) for name, one in trained["inputs"].items()}
    moved = attributions(scorer.score, some, features)
    return {
        "rows": len(table),
        "scores": described(scores),
        "outcomes": described(outcomes),
        "performance": {one.metric: {"value": one.value, "error": one.error} for one in reached},
        "attributions": {name: {"value": one.value, "error": one.error} for name, one in moved.items()},
    }


def _segments(
    said: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, np.ndarray], grouped: Mapping[str, np.ndarray]
) -> dict[str, dict[str, tuple[list[int], int]]]:
    """Counts in the bins of the whole, and missing values, of each input in each segment (as in `country=DE`)."""
    found: dict[str, dict[str, tuple[list[int], int]]] = {}
    for column, values in grouped.items():
        names, rows = np.unique(values.astype(str), return_counts=True)
        for place in np.lexsort((names, -rows))[:SEGMENTS]:
            if rows[place] < SEGMENT_ROWS:
                break
            chosen = values == names[place]
            found[f"{column}={names[place]}"] = {name: _counted(said[name], arrays[name][chosen]) for name in said}
    return found


def _counted(said: Mapping[str, Any], values: np.ndarray) -> tuple[list[int], int]:
    counts = counted(Distribution.of("", Kind.DATA, said, len(values)), values)
    return counts.counts.tolist(), counts.missing


def described(values: np.ndarray) -> dict[str, Any]:
    """Statistics and histograms; bins hold as many values each, so that a shift shows wherever it is.

    `edges` are the inner bounds of the wide bins: bin i holds what is above edge i-1 and at most edge i. `shares` add
    up to 1 over the values that are there; `missing` is the share of those that aren't. `cuts` bound the narrow bins,
    edges among them, and `counts` are how many values these hold.
    """
    if values.dtype == object:
        return _described_words(values)
    there = values[np.isfinite(values)]
    missing = 1 - len(there) / len(values)
    if not len(there):
        return {"kind": "number", "missing": missing, "edges": [], "shares": []}
    narrow = np.quantile(there, np.arange(1, BINS * PARTS) / (BINS * PARTS), method="inverted_cdf")
    cuts, edges = np.unique(narrow), np.unique(narrow[PARTS - 1 :: PARTS])
    counts = np.bincount(np.searchsorted(cuts, there, side="left"), minlength=len(cuts) + 1)
    wide = np.add.reduceat(counts, np.concatenate([[0], np.searchsorted(cuts, edges) + 1]))
    return {
        "kind": "number",
        "missing": missing,
        "mean": float(there.mean()),
        "standard_deviation": float(there.std()),
        "lowest": float(there.min()),
        "highest": float(there.max()),
        "quantiles": {f"{share:g}": float(np.quantile(there, share)) for share in _QUANTILES},
        "edges": edges.tolist(),
        "shares": (wide / len(there)).tolist(),
        "cuts": cuts.tolist(),
        "counts": counts.tolist(),
    }


def _described_words(values: np.ndarray) -> dict[str, Any]:
    there = values[values != ""].astype(str)
    words, counts = np.unique(there, return_counts=True)
    order = np.lexsort((words, -counts))[:WORDS]
    shares = {str(words[place]): float(counts[place] / len(there)) for place in order}
    kept = [int(counts[place]) for place in order]
    return {
        "kind": "word",
        "missing": 1 - len(there) / len(values),
        "different": len(words),
        "shares": shares,
        "others": max(0.0, 1 - sum(shares.values())) if len(there) else 0.0,
        "counts": [*kept, len(there) - sum(kept)],
    }


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that `prepare` wrote")
    parser.add_argument("--model", type=Path, required=True, help="the folder that `train` wrote")
    parser.add_argument("--to", type=Path, required=True, help="the file of the statistics")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        return drift_baseline(options.data, options.model, find(options.task), options.to)

    command.run(parser, step)


if __name__ == "__main__":
    main()
