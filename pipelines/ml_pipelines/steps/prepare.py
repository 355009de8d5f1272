"""Prepare: examples from the log of events, split into what is trained on and what is held back, with the reasons."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import DAY_MS, FOLD, checked, target
from ml_pipelines.steps.files import json_text, read_table, sha256, whole_folder
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import DECIDED_AT, ENTITY, EXAMPLE_ID, KNOWN_AT, TARGET, By, Immature, Split, Task

STEP = "prepare"
TRAIN, TEST, SPLIT = "train.parquet", "test.parquet", "split.json"
_HASHED = 1 << 32


def prepare(log: Path, labels: Path | None, task: Task, to: Path, seed: int = 1) -> dict[str, Any]:
    """Write train.parquet, test.parquet and split.json into the folder `to`; returns what split.json says.

    log: the archived events; labels: what was learned of them, where that comes apart. Features are as of the event.
    Raises StepError, and leaves `to` as it was, where a column is missing, or a part of the split would be empty.
    """
    made = examples(read_table(STEP, log), read_table(STEP, labels) if labels else None, task)
    train, test, dropped = split(made, task.split, seed)
    for name, part in (("train", train), ("test", test)):
        if not len(part):
            raise StepError(
                STEP, f"{name} of `{task.name}`", f"is empty: of {len(made):,} examples none is left for it"
            )
        target(STEP, part, task)
    sources = {file.name: sha256(file) for file in (log, labels) if file}
    with whole_folder(to) as folder:
        # No statistics of who wrote the file and when: the same examples are the same bytes.
        pq.write_table(train, folder / TRAIN)
        pq.write_table(test, folder / TEST)
        said = {
            "task": task.name,
            "by": task.split.by,
            "reason": task.split.reason,
            "seed": seed,
            "train": _about(train),
            "test": _about(test),
            "left_out": dropped,
            "sources": sources,
            "data": {name: sha256(folder / name) for name in (TRAIN, TEST)},
        }
        (folder / SPLIT).write_text(json_text(said), encoding="utf-8")
    return said


def examples(log: pa.Table, labels: pa.Table | None, task: Task) -> pa.Table:
    """The task's examples with a known outcome, in order of time. Raises StepError for a column that isn't there."""
    try:
        made = task.examples(log, labels)
    except (LookupError, ValueError, TypeError, pa.ArrowException) as error:
        missing = error.args[0] if error.args else error
        if missing == "labels":
            raise StepError(STEP, "labels", f"task `{task.name}` has its outcomes apart: give --labels") from error
        raise StepError(STEP, "log", f"no examples of `{task.name}` can be made of it: {missing}") from error
    made = checked(STEP, made, task)
    return made.sort_by([(DECIDED_AT, "ascending"), (EXAMPLE_ID, "ascending")])


def split(made: pa.Table, how: Split, seed: int) -> tuple[pa.Table, pa.Table, dict[str, int]]:
    """What is trained on (with the fold of each example), what is held back, and how many are left out and why."""
    if how.by is By.ENTITY:
        shares = _shares(made[ENTITY], seed)
        held_back = shares < how.test_share
        train = made.filter(pa.array(~held_back))
        # Entities are in one fold only, too.
        folds = (((shares - how.test_share) / (1 - how.test_share))[~held_back] * how.folds).astype(np.int32)
        return _with_folds(train, np.minimum(folds, how.folds - 1)), made.filter(pa.array(held_back)), {}
    decided, known = made[DECIDED_AT].to_numpy(), made[KNOWN_AT].to_numpy()
    test_since = int(decided.max()) + 1 - how.test_days * DAY_MS
    held_back, before = decided >= test_since, decided < test_since - how.gap_days * DAY_MS
    dropped = {"in the gap before what is held back": int((~held_back & ~before).sum())}
    train, ripe = made.filter(pa.array(before)), known[before] <= test_since
    if how.immature is Immature.LEFT_OUT:
        dropped["outcome known too late for training"] = int((~ripe).sum())
        train = train.filter(pa.array(ripe))
    else:
        outcomes = train[TARGET].to_numpy()
        dropped["trained on as negative, since known too late"] = int((~ripe & (outcomes > 0)).sum())
        place = train.column_names.index(TARGET)
        train = train.set_column(place, TARGET, pa.array(np.where(ripe, outcomes, 0.0)))
    # Fold 0 is never tested on: each later one is tested on what was learned before it.
    times = train[DECIDED_AT].to_numpy()
    edges = np.quantile(times, (np.arange(1, how.folds + 1) + 1) / (how.folds + 2)) if len(times) else np.zeros(0)
    train = _with_folds(train, np.searchsorted(edges, times, side="right").astype(np.int32))
    return train, made.filter(pa.array(held_back)), dropped


def folds(train: pa.Table, how: Split) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to train on and rows to test on, for each fold of a search of parameters."""
    number = train[FOLD].to_numpy()
    if how.by is By.ENTITY:
        return [(np.flatnonzero(number != fold), np.flatnonzero(number == fold)) for fold in range(how.folds)]
    times = train[DECIDED_AT].to_numpy()
    found = []
    for fold in range(1, how.folds + 1):
        tested = np.flatnonzero(number == fold)
        if len(tested):
            until = times[tested].min() - how.gap_days * DAY_MS
            found.append((np.flatnonzero(times < until), tested))
    return found


def _shares(entities: pa.ChunkedArray, seed: int) -> np.ndarray:
    """A number from 0 to 1 for each entity, of its name and the seed alone: the same, however many there are."""
    encoded = pc.dictionary_encode(entities).combine_chunks()
    hashed = [
        int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:4], "big") / _HASHED
        for name in encoded.dictionary.to_pylist()
    ]
    return np.array(hashed)[encoded.indices.to_numpy()]


def _with_folds(train: pa.Table, numbers: np.ndarray) -> pa.Table:
    return train.append_column(FOLD, pa.array(numbers, pa.int32()))


def _about(part: pa.Table) -> dict[str, Any]:
    outcomes = part[TARGET].to_numpy()
    return {
        "rows": len(part),
        "entities": len(pc.unique(part[ENTITY])),
        "mean_outcome": float(outcomes.mean()),
        "since": int(part[DECIDED_AT].to_numpy().min()),
        "until": int(part[DECIDED_AT].to_numpy().max()),
    }


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--log", type=Path, required=True, help="the archived events, as Parquet")
    parser.add_argument("--labels", type=Path, help="the outcomes, as Parquet, where they come apart")
    parser.add_argument("--to", type=Path, required=True, help="the folder of the examples")
    command.run(
        parser, lambda options: prepare(options.log, options.labels, find(options.task), options.to, options.seed)
    )


if __name__ == "__main__":
    main()
