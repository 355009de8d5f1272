"""What the scoring service, or batch scoring, wrote of its answers, as a view for DuckDB."""

from pathlib import Path
from typing import Any

import duckdb

from ml_pipelines.tasks.task import EXAMPLE_ID, RESERVED

# What the service captures of each row (docs/serving.md).
_CAPTURED = {
    "at": "BIGINT",
    "tenant": "VARCHAR",
    "entity": "VARCHAR",
    "event_id": "VARCHAR",
    "features": "JSON",
    "score": "DOUBLE",
    "selected": "BOOLEAN",
    "model": "VARCHAR",
}


class FeedbackError(Exception):
    """What can't be joined or counted at all; the message names the file or column."""


def view(connection: duckdb.DuckDBPyConnection, requests: Path) -> None:
    """Make the view `captured` of the lines in a folder; a line that isn't JSON is a row of nothing.

    Where there are none, of the Parquet files that `batch_score` writes: an example's id is its event's. Raises
    FeedbackError where there are neither.
    """
    # DuckDB takes many files; its stubs say one.
    files: Any = sorted(str(file) for file in requests.rglob("*.jsonl"))
    if files:
        found = connection.read_json(files, format="newline_delimited", columns=_CAPTURED, ignore_errors=True)
        found.create_view("captured")
    elif files := sorted(str(file) for file in requests.rglob("*.parquet")):
        scored = connection.read_parquet(files, union_by_name=True, hive_partitioning=False)
        _batch(scored).create_view("captured")
    else:
        raise FeedbackError(
            f"{requests}: holds no lines of the service (*.jsonl), and no scores of a batch (*.parquet)"
        )


def _batch(scored: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    named = {"event_id": EXAMPLE_ID} | {name: name for name in _CAPTURED if name not in ("features", "event_id")}
    inputs = [name for name in scored.columns if name not in (*named.values(), *RESERVED)]
    columns = [
        f"CAST({quoted(column) if column in scored.columns else 'NULL'} AS {_CAPTURED[name]}) AS {quoted(name)}"
        for name, column in named.items()
    ]
    packed = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in inputs)
    features = f"to_json(struct_pack({packed}))" if inputs else "NULL"
    return scored.project(f"{', '.join(columns)}, {features} AS features")


def quoted(name: str) -> str:
    """A name as DuckDB takes any."""
    return '"' + name.replace('"', '""') + '"'
