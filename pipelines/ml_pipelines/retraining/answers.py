"""What the scoring service wrote of its answers, as a view for DuckDB."""

from pathlib import Path
from typing import Any

import duckdb

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

    Raises FeedbackError where there are no lines.
    """
    # DuckDB takes many files; its stubs say one.
    files: Any = sorted(str(file) for file in requests.rglob("*.jsonl"))
    if not files:
        raise FeedbackError(f"{requests}: holds no lines of the service (*.jsonl)")
    found = connection.read_json(files, format="newline_delimited", columns=_CAPTURED, ignore_errors=True)
    found.create_view("captured")
