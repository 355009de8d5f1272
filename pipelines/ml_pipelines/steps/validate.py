"""Validate: whether a log of events is fit to train on, before anything is made of it.

It looks at the contract, at values, at outcomes and at how recent the events are; the verdict is JSON and JUnit.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.contracts import catalog
from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import inputs
from ml_pipelines.steps.files import read_table, whole_folder
from ml_pipelines.steps.prepare import examples
from ml_pipelines.steps.verdict import Check, Verdict, failures
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import DECIDED_AT, EXAMPLE_ID, TARGET, Kind, Predicts, Task

STEP = "validate"
DAY_MS = 86_400_000
IMPLAUSIBLE = 0.01


def validate(
    log: Path, labels: Path | None, task: Task, to: Path, as_of: int | None = None, fresh_days: float = 45.0
) -> dict[str, Any]:
    """Write verdict.json and verdict.xml into the folder `to`; returns what verdict.json says.

    log, labels: as `prepare` takes them; as_of: milliseconds since 1970 at which the newest event must be at most
    `fresh_days` old (None: history is validated, and may be old).
    """
    events = read_table(STEP, log)
    verdict = Verdict(
        task.name, list(_checks(events, read_table(STEP, labels) if labels else None, task, as_of, fresh_days))
    )
    with whole_folder(to) as folder:
        verdict.write(folder)
    return verdict.as_json()


def _checks(
    events: pa.Table, labels: pa.Table | None, task: Task, as_of: int | None, fresh_days: float
) -> Iterator[Check]:
    conforms = list(_contract(events, task))
    yield from conforms
    if not all(check.passed for check in conforms):
        return
    try:
        made = examples(events, labels, task)
    except StepError as error:
        yield Check("contract", "examples", False, f"{error.where}: {error.what}", remedy="See the task's module.")
        return
    enough = len(made) >= task.bounds.rows
    yield Check(
        "rows",
        "enough examples",
        enough,
        f"{len(events):,} events make {len(made):,} examples with an outcome; at least {task.bounds.rows:,}",
        len(made),
        task.bounds.rows,
        "Take a longer time, or find out why events are missing.",
    )
    different = len(pc.unique(made[EXAMPLE_ID]))
    yield Check(
        "rows",
        "no example twice",
        different == len(made),
        f"{len(made) - different:,} examples have the id of another",
        len(made) - different,
        0,
        "Give each event an id of its own; what arrives twice has the same and is dropped before.",
    )
    if len(made):
        yield from _values(made, task)
        yield from _outcomes(made, task)
        if as_of is not None:
            yield _freshness(made, as_of, fresh_days)


def _contract(events: pa.Table, task: Task) -> Iterator[Check]:
    """Each field of the contract is there, in its type, with a value unless it may lack one; and no other field is."""
    if task.contract is None:
        yield Check("contract", "fields", True, "the data set follows no contract; its columns are those of its source")
        return
    found = catalog.contract(task.contract)
    fields = {field["name"]: field for field in found.versions[found.newest]["fields"]}
    where = f"{task.contract} version {found.newest}"
    wrong = []
    for name, field in fields.items():
        if name not in events.column_names:
            if "default" not in field:
                wrong.append(f"`{name}` is missing")
            continue
        column, avro = events[name], field["type"]
        nullable = isinstance(avro, list) and "null" in avro
        if not nullable and column.null_count:
            wrong.append(f"`{name}` has no value in {column.null_count:,} events")
        if not _fits(column.type, avro):
            wrong.append(f"`{name}` is {column.type} where {_written(avro)} is right")
    if unknown := sorted(set(events.column_names) - set(fields) - {"arrived_at", "sequence"}):
        wrong.append(f"`{unknown[0]}` is no field")
    said = f"events follow {where}" if not wrong else f"events depart from {where}: {'; '.join(wrong)}"
    remedy = "Publish a version of the contract that says so (docs/contracts.md), or mend the producer."
    yield Check("contract", "fields", not wrong, said, float(len(wrong)), 0.0, remedy)


def _fits(type_: pa.DataType, avro: Any) -> bool:
    written = _written(avro)
    if written in ("int", "long"):
        return pa.types.is_integer(type_) or pa.types.is_timestamp(type_)
    if written in ("float", "double"):
        return pa.types.is_floating(type_) or pa.types.is_integer(type_)
    if written == "boolean":
        return pa.types.is_boolean(type_)
    if written == "array":
        return pa.types.is_list(type_) or pa.types.is_large_list(type_)
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_dictionary(type_)


def _written(avro: Any) -> str:
    if isinstance(avro, list):
        return _written(next(option for option in avro if option != "null"))
    return avro["type"] if isinstance(avro, dict) else avro


def _values(made: pa.Table, task: Task) -> Iterator[Check]:
    arrays = inputs(made, task)
    for item in task.inputs:
        values = arrays[item.name]
        lacking = float(np.mean(values == "")) if item.kind is Kind.CATEGORY else float(np.mean(np.isnan(values)))
        yield Check(
            "values",
            f"{item.name}: present",
            lacking <= task.bounds.missing,
            f"`{item.name}` has no value in {lacking:.1%} of the examples; at most {task.bounds.missing:.0%}",
            lacking,
            task.bounds.missing,
            f"Find out who fills `{item.name}`, or take it from the inputs of the task.",
        )
        if item.kind is Kind.CATEGORY or (item.low is None and item.high is None):
            continue
        there = values[np.isfinite(values)]
        outside = (there < (-np.inf if item.low is None else item.low)) | (
            there > (np.inf if item.high is None else item.high)
        )
        share = float(outside.mean()) if len(there) else 0.0
        yield Check(
            "values",
            f"{item.name}: plausible",
            share <= IMPLAUSIBLE,
            f"`{item.name}` lies outside of {item.low} to {item.high} in {share:.2%} of the examples; at most 1%",
            share,
            IMPLAUSIBLE,
            f"Look for another unit of `{item.name}`, or for a placeholder that stands for a missing value.",
        )


def _outcomes(made: pa.Table, task: Task) -> Iterator[Check]:
    outcomes = made[TARGET].to_numpy(zero_copy_only=False)
    lacking = int((~np.isfinite(outcomes.astype(np.float64))).sum())
    remedy = "Leave examples out whose outcome isn't known."
    said = f"`{TARGET}` has no finite value in {lacking:,} of {len(made):,} examples"
    yield Check("labels", "present", not lacking, said, lacking, 0, remedy)
    if lacking:
        return
    different = np.unique(outcomes)
    if task.predicts is Predicts.CLASS:
        rarest = min(int(outcomes.sum()), int(len(outcomes) - outcomes.sum())) if set(different) <= {0.0, 1.0} else 0
        yield Check(
            "labels",
            "both classes",
            rarest >= task.bounds.positives,
            f"the rarer class of `{TARGET}` has {rarest:,} examples; at least {task.bounds.positives}",
            rarest,
            task.bounds.positives,
            "Check that outcomes are joined at all, and that the time is long enough to hold some.",
        )
    else:
        said = f"`{TARGET}` has {len(different):,} different values"
        yield Check("labels", "varies", len(different) > 1, said, len(different), 2, "Check how the outcome is made.")


def _freshness(made: pa.Table, as_of: int, fresh_days: float) -> Check:
    age = (as_of - pc.max(made[DECIDED_AT]).as_py()) / DAY_MS
    return Check(
        "freshness",
        "newest example",
        0 <= age <= fresh_days,
        f"the newest example is {age:.1f} days old; from 0 to {fresh_days:g}",
        age,
        fresh_days,
        "Find out since when events, or outcomes, don't arrive any more; a negative age is a wrong clock.",
    )


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--log", type=Path, required=True, help="the archived events, as Parquet")
    parser.add_argument("--labels", type=Path, help="the outcomes, as Parquet, where they come apart")
    parser.add_argument("--to", type=Path, required=True, help="the folder of the verdict")
    parser.add_argument(
        "--as-of", type=command.moment, help="when events must be fresh, ISO 8601 or `now` (default: they may be old)"
    )
    parser.add_argument("--fresh-days", type=float, default=45.0, help="how old the newest example may be then")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        task = find(options.task)
        return validate(options.log, options.labels, task, options.to, options.as_of, options.fresh_days)

    command.run(parser, step, failures)


if __name__ == "__main__":
    main()
