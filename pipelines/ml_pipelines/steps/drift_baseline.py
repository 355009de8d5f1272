"""Drift baseline: how each input, the scores and the outcomes are distributed in training, for the monitors."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ml_pipelines.steps import command
from ml_pipelines.steps.examples import checked, inputs, target
from ml_pipelines.steps.files import json_text, read_table
from ml_pipelines.steps.prepare import TRAIN
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

STEP = "drift_baseline"
FORMAT = 1
BINS = 20
WORDS = 50
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def drift_baseline(data: Path, model: Path, task: Task, to: Path) -> dict[str, Any]:
    """Write the statistics of train.parquet, and of the model's scores for it, into the file `to`; returns them."""
    table = checked(STEP, read_table(STEP, data / TRAIN), task)
    arrays, outcomes = inputs(table, task), target(STEP, table, task)
    said = {
        "format": FORMAT,
        "task": task.name,
        "rows": len(table),
        "inputs": {name: described(values) for name, values in arrays.items()},
        "scores": described(Scorer.load(STEP, model).score(arrays)),
        "outcomes": described(outcomes),
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json_text(said), encoding="utf-8")
    return said


def described(values: np.ndarray) -> dict[str, Any]:
    """Statistics and a histogram; bins hold as many values each, so that a shift shows wherever it is.

    `edges` are the inner bounds of the bins: bin i holds what is above edge i-1 and at most edge i. `shares` add up to
    1 over the values that are there; `missing` is the share of those that aren't.
    """
    if values.dtype == object:
        return _described_words(values)
    there = values[np.isfinite(values)]
    missing = 1 - len(there) / len(values)
    if not len(there):
        return {"kind": "number", "missing": missing, "edges": [], "shares": []}
    edges = np.unique(np.quantile(there, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    counts = np.bincount(np.searchsorted(edges, there, side="left"), minlength=len(edges) + 1)
    return {
        "kind": "number",
        "missing": missing,
        "mean": float(there.mean()),
        "standard_deviation": float(there.std()),
        "lowest": float(there.min()),
        "highest": float(there.max()),
        "quantiles": {f"{share:g}": float(np.quantile(there, share)) for share in _QUANTILES},
        "edges": edges.tolist(),
        "shares": (counts / len(there)).tolist(),
    }


def _described_words(values: np.ndarray) -> dict[str, Any]:
    there = values[values != ""].astype(str)
    words, counts = np.unique(there, return_counts=True)
    order = np.lexsort((words, -counts))[:WORDS]
    shares = {str(words[place]): float(counts[place] / len(there)) for place in order}
    return {
        "kind": "word",
        "missing": 1 - len(there) / len(values),
        "different": len(words),
        "shares": shares,
        "others": max(0.0, 1 - sum(shares.values())) if len(there) else 0.0,
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
