"""Collect: the events of an archive as one log, whatever the cloud's stream archived them as.

An archive is a folder of Parquet files, in folders by day or not, or of the Avro files that Event Hubs captures. Files
of older versions of the contract lack its newer fields, which get their defaults. What arrived without saying when
arrived when it happened.
"""

import argparse
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec, ContractError
from ml_pipelines.features import definitions
from ml_pipelines.features.embedded import MEMORY, as_log, microseconds
from ml_pipelines.features.feature_set import DefinitionError, FeatureSet
from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE
from ml_pipelines.retraining import labels
from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import write_table
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

STEP = "collect"

# How Event Hubs writes the time of an event. https://learn.microsoft.com/azure/event-hubs/explore-captured-avro-files
_ENQUEUED = ("%m/%d/%Y %I:%M:%S %p", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)


def collect(
    archive: Path,
    task: Task,
    to: Path,
    labelled: Path | None = None,
    labels_to: Path | None = None,
    since: int | None = None,
) -> dict[str, Any]:
    """Write the log to the Parquet file `to`, and the newest label of each event to `labels_to`; returns the counts.

    labelled: labels (`ml_pipelines.retraining.labels`); since: milliseconds since 1970 before which no event arrived;
    windows that reach further back are not whole then.
    Raises StepError, with nothing written, for an archive without events, a file that can't be read, or a field that is
    missing and has no default.
    """
    if task.workload is None or task.contract is None:
        raise StepError(STEP, f"task `{task.name}`", "follows no contract: there is no archive of its events")
    features = definitions.load(task.workload)
    log, unreadable = _log(archive, features, since)
    if not len(log):
        raise StepError(STEP, str(archive), "holds no events" + ("" if since is None else " that arrived in this time"))
    known = _labels(labelled) if labelled else None
    write_table(log, to)
    if known is not None and labels_to is not None:
        write_table(known, labels_to)
    return {"events": len(log), "unreadable": unreadable, "labels": None if known is None else len(known)}


def _log(archive: Path, features: FeatureSet, since: int | None) -> tuple[pa.Table, int]:
    """The events in order of arrival, and how many no version of the contract fits: those are dead letters anyway."""
    parquet, captured = _files(archive, "*.parquet"), _files(archive, "*.avro")
    if parquet and captured:
        raise StepError(STEP, str(archive), f"holds {parquet[0].name} and {captured[0].name}: one kind is right")
    if captured:
        log, unreadable = _captured(captured, features)
        return (log if since is None else log.filter(pc.greater_equal(log[ARRIVED_AT], since))), unreadable
    if not parquet:
        raise StepError(STEP, str(archive), "holds no events")
    try:
        log = as_log(_with_defaults(_arrivals(_read(parquet)), features), features)
        # Before they are put in order, so that an archive of years isn't.
        log = log if since is None else log.filter(log[ARRIVED_AT] >= since)
        return log.order_by(SEQUENCE).to_pyarrow(), 0
    except DefinitionError as error:
        raise StepError(STEP, str(archive), str(error)) from error
    except duckdb.Error as error:
        raise StepError(STEP, str(archive), f"can't be read: {error}") from error


def _read(files: Sequence[Path]) -> ir.Table:
    """Files of which some may lack columns that others have. Folders by day say nothing that isn't in them."""
    connection = ibis.duckdb.connect(memory_limit=MEMORY, preserve_insertion_order=False)
    return connection.read_parquet([str(file) for file in files], union_by_name=True, hive_partitioning=False)


def _files(archive: Path, pattern: str) -> list[Path]:
    """The files of a folder and of those below it; what begins with `_` or `.` isn't whole, as Spark has it."""
    if not archive.is_dir():
        raise StepError(STEP, str(archive), "there is no such folder")
    return sorted(
        file
        for file in archive.rglob(pattern)
        if file.is_file() and not any(part[0] in "_." for part in file.relative_to(archive).parts)
    )


def _arrivals(found: ir.Table) -> ir.Table:
    """Arrival and sequence from what a BigQuery subscription adds, unless they are there."""
    if ARRIVED_AT in found.columns or "publish_time" not in found.columns:
        return found
    published: Any = microseconds(found["publish_time"])
    message: Any = found["message_id"].cast("string").lpad(20, "0")
    return found.mutate(
        **{ARRIVED_AT: published // 1000, SEQUENCE: published.cast("string").lpad(17, "0") + "-" + message}
    )


def _with_defaults(found: ir.Table, features: FeatureSet) -> ir.Table:
    """With a value for each field that an older version of the contract hasn't."""
    filled = {}
    for field in catalog.contract(features.contract).versions[features.version]["fields"]:
        name = field["name"]
        if "default" not in field or isinstance(field["default"], list | dict):
            continue
        default = ibis.literal(field["default"], type=features.log_schema[name])
        filled[name] = default if name not in found.columns else ibis.coalesce(found[name], default)
        if field["default"] is None and name in found.columns:
            del filled[name]
    return found.mutate(**filled) if filled else found


def _captured(files: Sequence[Path], features: FeatureSet) -> tuple[pa.Table, int]:
    codec = Codec(catalog.contract(features.contract), features.version)
    unreadable, events = 0, []
    for file in files:
        for record in _records(file):
            try:
                event = codec.decode(record["Body"] or b"")
            except ContractError:
                unreadable += 1
                continue
            arrived_at = _enqueued(file, record["EnqueuedTimeUtc"])
            # A partition numbers its events, and numbers begin anew if an entity moves to another one.
            sequence = f"{arrived_at // 1000:013}-{record['SequenceNumber']:020}"
            events.append({**event, ARRIVED_AT: arrived_at, SEQUENCE: sequence})
    schema = ibis.schema(features.log_schema).to_pyarrow()
    return pa.Table.from_pylist(events, schema).sort_by(SEQUENCE), unreadable


def _records(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as stream:
        try:
            for record in fastavro.reader(stream):
                if not isinstance(record, dict) or not {"Body", "EnqueuedTimeUtc", "SequenceNumber"} <= set(record):
                    raise ValueError("its records aren't those of Event Hubs' capture")
                yield record
        except (ValueError, EOFError) as error:
            raise StepError(STEP, str(file), f"isn't a captured file: {error}") from error


def _enqueued(file: Path, text: str) -> int:
    for pattern in _ENQUEUED:
        try:
            found = datetime.datetime.strptime(text, pattern).replace(tzinfo=datetime.UTC)
        except ValueError:
            continue
        return (found - _EPOCH) // _MILLISECOND
    raise StepError(STEP, str(file), f"holds an event of `{text}`, which is no time as in `1/31/2026 1:05:00 PM`")


def _labels(place: Path) -> pa.Table:
    """The newest label of each event, in order of the events' ids."""
    try:
        with duckdb.connect(config={"memory_limit": MEMORY}) as connection:
            labels.tables(connection, place)
            return connection.execute(
                f"SELECT {labels.EVENT}, {labels.OUTCOME}, {labels.LABELLED_AT} FROM newest "  # noqa: S608 (constants)
                f"WHERE NOT undecided ORDER BY {labels.EVENT}"
            ).to_arrow_table()
    except FeedbackError as error:
        raise StepError(STEP, "labels", str(error)) from error
    except duckdb.Error as error:
        raise StepError(STEP, str(place), f"can't be read: {error}") from error


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--archive", type=Path, required=True, help="the folder of the archived events")
    parser.add_argument("--labels", type=Path, help="the folder of the outcomes, where they come apart")
    parser.add_argument("--since", type=command.moment, help="when the first event may have arrived, ISO 8601")
    parser.add_argument("--to", type=Path, required=True, help="the log, Parquet")
    parser.add_argument("--labels-to", type=Path, help="the outcomes, Parquet")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        task = find(options.task)
        return collect(options.archive, task, options.to, options.labels, options.labels_to, options.since)

    command.run(parser, step)


if __name__ == "__main__":
    main()
