"""Labels: what came of events, known late, from whoever finds it out. Training and monitoring read the same files.

They are Parquet or lines of JSON with `event_id`, `outcome` (a number; 0 or 1 of a class) and `labelled_at`
(milliseconds since 1970). Other columns are nobody's here.
"""

from pathlib import Path
from typing import Any

import duckdb

from ml_pipelines.retraining.answers import FeedbackError

EVENT, OUTCOME, LABELLED_AT = "event_id", "outcome", "labelled_at"
_COLUMNS = {EVENT: "VARCHAR", OUTCOME: "DOUBLE", LABELLED_AT: "BIGINT"}


def tables(connection: duckdb.DuckDBPyConnection, place: Path, as_of: int | None = None) -> None:
    """Make the tables `known`, of all labels of a file or folder until `as_of`, and `newest`, with a row for an event.

    Of several outcomes of an event the newest counts; where those of the same moment differ it is `undecided`. Raises
    FeedbackError for a place that holds nothing, or no such columns, and duckdb.Error for files that can't be read.
    """
    _view(connection, place)
    connection.execute(_KNOWN, {"as_of": 2**62 if as_of is None else as_of})
    connection.execute(_NEWEST)


def _view(connection: duckdb.DuckDBPyConnection, place: Path) -> None:
    files = [place]
    if place.is_dir():
        # What is still being written lies in folders and files that begin so.
        files = sorted(
            file
            for file in place.rglob("*")
            if file.suffix in (".parquet", ".jsonl")
            and not any(part[0] in "_." for part in file.relative_to(place).parts)
        )
    kinds = {file.suffix for file in files if file.exists()}
    if len(kinds) != 1:
        found = " and ".join(sorted(kinds)) or "nothing"
        raise FeedbackError(f"{place}: found {found}; files of labels, all of Parquet or all of JSON lines, are right")
    # DuckDB takes many files; its stubs say one.
    names: Any = [str(file) for file in files]
    if kinds == {".jsonl"}:
        found = connection.read_json(names, format="newline_delimited", columns=_COLUMNS, ignore_errors=True)
    else:
        found = connection.read_parquet(names, union_by_name=True)
        if missing := [name for name in _COLUMNS if name not in found.columns]:
            raise FeedbackError(f"{place}: has no column `{missing[0]}`; it has {', '.join(found.columns)}")
        found = found.project(", ".join(f"try_cast({name} AS {kind}) AS {name}" for name, kind in _COLUMNS.items()))
    found.create_view("labelled")


_KNOWN = """
CREATE TEMP TABLE known AS
SELECT *, event_id IS NOT NULL AND labelled_at IS NOT NULL AND isfinite(coalesce(outcome, 'nan'::DOUBLE)) AS readable
FROM labelled WHERE labelled_at IS NULL OR labelled_at <= $as_of
"""
_NEWEST = """
CREATE TEMP TABLE newest AS
SELECT
    event_id,
    max(labelled_at) AS labelled_at,
    arg_max(outcome, labelled_at) AS outcome,
    count(*) - count(DISTINCT outcome) AS repeated,
    count(DISTINCT outcome) > 1 AS contradicted,
    count(DISTINCT outcome) FILTER (labelled_at = latest) > 1 AS undecided
FROM (SELECT *, max(labelled_at) OVER (PARTITION BY event_id) AS latest FROM known WHERE readable)
GROUP BY event_id
"""
