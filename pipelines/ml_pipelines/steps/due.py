"""Due: which examples are to be scored as of a moment, made as those that were learned from, but for their outcomes."""

import argparse
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.features.log import ARRIVED_AT
from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import checked
from ml_pipelines.steps.files import read_table, write_table
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import DECIDED_AT, EXAMPLE_ID, Task

STEP = "due"


def due(log: Path, task: Task, as_of: int, to: Path) -> dict[str, Any]:
    """Write what is due into the Parquet file `to`, as `batch_score` reads it; returns how much it is.

    log: the archived events; as_of: milliseconds since 1970; what arrived later isn't looked at. Where nothing is due
    the file has no rows. Raises StepError, with nothing written.
    """
    found = examples_due(read_table(STEP, log), task, as_of)
    write_table(found, to)
    return {"task": task.name, "what": task.due_sentence, "as_of": as_of, "rows": len(found), "to": str(to)}


def examples_due(log: pa.Table, task: Task, as_of: int) -> pa.Table:
    """What is due, in order of time. Raises StepError for a column that isn't there."""
    if task.due is None:
        raise StepError(STEP, f"task `{task.name}`", "has no events that arrive, so that nothing is ever due")
    if ARRIVED_AT not in log.column_names:
        raise StepError(STEP, f"column `{ARRIVED_AT}`", f"is missing; the log has {', '.join(log.column_names)}")
    arrived = log.filter(pc.less_equal(log[ARRIVED_AT], as_of))
    if not len(arrived):
        raise StepError(STEP, "--as-of", "lies before the log's first event")
    try:
        found = task.due(arrived, as_of)
    except (LookupError, ValueError, TypeError, pa.ArrowException) as error:
        what = error.args[0] if error.args else error
        raise StepError(STEP, "log", f"nothing of `{task.name}` can be made of it: {what}") from error
    found = checked(STEP, found, task, outcomes=False)
    return found.sort_by([(DECIDED_AT, "ascending"), (EXAMPLE_ID, "ascending")])


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--log", type=Path, required=True, help="the archived events, as Parquet")
    parser.add_argument("--as-of", type=command.moment, default="now", help="ISO 8601, or `now` (default)")
    parser.add_argument("--to", type=Path, required=True, help="what is due, Parquet")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        return due(options.log, find(options.task), options.as_of, options.to)

    command.run(parser, step)


if __name__ == "__main__":
    main()
