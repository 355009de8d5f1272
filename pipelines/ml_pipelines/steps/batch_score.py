"""Batch score: a registered model's scores for a table of inputs, after its signature and every hash were checked."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ml_pipelines.steps import command, manifest, trust
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import inputs
from ml_pipelines.steps.files import read_table, write_table
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import DECIDED_AT, ENTITY, EXAMPLE_ID, Kind, Task

STEP = "batch_score"


def batch_score(
    model: Path,
    asked: Path,
    task: Task,
    to: Path,
    trusted: Sequence[Ed25519PublicKey] = (),
    unsigned: bool = False,
    at: int | None = None,
) -> dict[str, Any]:
    """Write a Parquet file with a row for each of the inputs: whose, score, whether selected, and the model's version.

    Beside them are the inputs, and when they were scored (`at`, milliseconds since 1970; default: now), as the `drift`
    step reads a window.

    model: a folder of the registry; asked: Parquet with the task's inputs, as `due` writes them, which may be none;
    trusted: the keys that may have signed. Raises StepError, with nothing written.
    """
    try:
        said = manifest.verify(model, trusted, unsigned)
    except manifest.ManifestError as error:
        raise StepError(STEP, "model", str(error)) from error
    if said["task"] != task.name:
        raise StepError(STEP, str(model), f"is a model of task `{said['task']}`, not `{task.name}`")
    table = read_table(STEP, asked, may_be_empty=True)
    for item in task.inputs:
        if item.name not in table.column_names:
            raise StepError(STEP, f"column `{item.name}`", f"is missing in {asked}")
        holds_words = pa.types.is_string(table[item.name].type)
        if holds_words != (item.kind is Kind.CATEGORY) and table[item.name].type != pa.null():
            raise StepError(STEP, f"column `{item.name}`", f"is {table[item.name].type} where a {item.kind} is right")
    scores = Scorer.load(STEP, model).score(inputs(table, task))
    kept = {name: table[name] for name in (EXAMPLE_ID, ENTITY, DECIDED_AT) if name in table.column_names}
    columns = {**kept, "score": pa.array(scores)}
    if said["threshold"] is not None:
        columns["selected"] = pa.array(scores > said["threshold"])
    version = f"{said['candidate']}/{said.get('version', 'unregistered')}"
    columns["model"] = pa.repeat(version, len(table)).dictionary_encode()
    columns["at"] = pa.repeat(round(time.time() * 1000) if at is None else at, len(table))
    columns |= {item.name: table[item.name] for item in task.inputs}
    write_table(pa.table(columns), to)
    mean = float(np.mean(scores)) if len(scores) else None
    return {"rows": len(table), "mean_score": mean, "model": version, "to": str(to)}


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--model", type=Path, required=True, help="a folder of the registry")
    parser.add_argument("--inputs", type=Path, required=True, help="what to score, Parquet")
    parser.add_argument("--to", type=Path, required=True, help="the scores, Parquet")
    trust.add_options(parser)

    def step(options: argparse.Namespace) -> dict[str, Any]:
        keys = trust.keys(STEP, options)
        return batch_score(options.model, options.inputs, find(options.task), options.to, keys, trust.unsigned(options))

    command.run(parser, step)


if __name__ == "__main__":
    main()
