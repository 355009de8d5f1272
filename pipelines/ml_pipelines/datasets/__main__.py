"""`python -m ml_pipelines.datasets`: lists the data sets, and writes the history of a workload as a Parquet file."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from ml_pipelines.datasets import DATA_SETS, DataSetError, Disorder, Request, find, load, raw


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _list() if options.command == "list" else _write(options)
    except (DataSetError, OSError) as error:
        print(f"datasets: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m ml_pipelines.datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the data sets, what workload each is for, and its events")
    write = commands.add_parser("write", help="write the events of a data set, in order of arrival")
    write.add_argument("name", help="a workload or a data set")
    write.add_argument("--to", type=Path, required=True, help="the Parquet file of the events")
    write.add_argument("--labels", type=Path, help="the Parquet file of the labels, where they are apart")
    write.add_argument("--events", type=int, help="how many events; all there are, if not told")
    write.add_argument("--seed", type=int, default=1, help="of what is generated, and of the disorder")
    write.add_argument("--out-of-order", type=float, default=0, help="share of events held up within the lateness")
    write.add_argument("--late", type=float, default=0, help="share of events held up longer, up to a day")
    write.add_argument("--lateness", type=int, default=60, help="how late events may be, in minutes")
    write.add_argument("--duplicates", type=float, default=0, help="share of events that arrive twice")
    write.add_argument("--drift-at", type=_moment, help="when generated payments drift, such as 2025-02-01 (UTC)")
    return parser


def _moment(text: str) -> int:
    """Milliseconds since 1970 of an ISO date or time."""
    moment = datetime.datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp() * 1000)


def _list() -> None:
    for data_set in DATA_SETS.values():
        rows = "any" if data_set.rows is None else f"{data_set.rows:,}"
        print(f"{data_set.name:<12} {data_set.workload or '-':<20} {rows:>8}  {data_set.sentence}")


def _write(options: argparse.Namespace) -> None:
    disorder = Disorder(options.out_of_order, options.late, options.duplicates, options.lateness * 60_000)
    request = Request(options.events, options.seed, disorder, options.drift_at)
    if find(options.name).contract is None:
        if options.labels or request != Request(seed=options.seed):
            raise DataSetError(f"data set `{options.name}` is written as it comes: leave --events and the others out")
        pq.write_table(raw(options.name), options.to)
        return
    history = load(options.name, request)
    if options.labels and history.labels is None:
        raise DataSetError(f"data set `{options.name}` has its labels in the events: leave --labels out")
    pq.write_table(history.log, options.to)
    if options.labels:
        pq.write_table(history.labels, options.labels)


if __name__ == "__main__":
    sys.exit(main())
