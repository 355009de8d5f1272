"""Counting with DuckDB: one pass over Parquet files or over what the service captured, in bounded memory."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from ml_pipelines.monitoring.baseline import Baseline, Distribution
from ml_pipelines.monitoring.counting import AT, WHOLE, Counts, Window
from ml_pipelines.retraining.answers import quoted, view

MEMORY = "1GB"
# What the service captures beside the features (docs/serving.md).
_CAPTURED = (AT, "tenant", "entity", "event_id", "score", "model")
_TABLE = "asked"
_COLUMNS = 3


def count(
    baseline: Baseline,
    place: Path,
    segments: Sequence[str] = (),
    since: int | None = None,
    until: int | None = None,
    model: str | None = None,
    memory: str = MEMORY,
) -> Window:
    """The window of a Parquet file or folder, or of the folder of lines that the service captured.

    Parquet has a column for each input, `score`, and `at` (milliseconds since 1970). since, until: rows asked from then
    on and before; model: rows that this version answered, as in `boosting/1.2.0`. Raises duckdb.Error for files that
    can't be read.
    """
    with _connected(memory) as connection:
        columns = _open(connection, baseline, place)
        if columns is None:
            return Window(0, {}, unsegmented=tuple(segments))
        wanted = _wanted(columns, since, until, model)
        return _count(connection, baseline, columns, wanted, segments)


def sampled(
    baseline: Baseline,
    place: Path,
    names: Sequence[str],
    rows: int,
    since: int | None = None,
    until: int | None = None,
    model: str | None = None,
    memory: str = MEMORY,
) -> dict[str, np.ndarray]:
    """Some rows of a window, the same each time, as a model takes them: inputs by name, missing ones NaN or empty.

    names: the inputs. Empty where the window has no rows; a column that the window lacks is missing. The rest is as in
    `count`.
    """
    with _connected(memory) as connection:
        # By several threads it would be another sample each time.
        connection.execute("SET threads = 1")
        columns = _open(connection, baseline, place)
        kept = [name for name in names if columns is not None and name in columns]
        if columns is None or not kept:
            return {}
        values = []
        for name in kept:
            words = baseline.features[name].cuts is None
            column = f"coalesce({_word(name)}, '')" if words else _finite(name, columns[name])
            values.append(f"{column} AS {quoted(name)}")
        wanted = _wanted(columns, since, until, model)
        asked = f"SELECT {', '.join(values)} FROM {_TABLE} WHERE {wanted}"  # noqa: S608 (names are quoted)
        query = f"SELECT * FROM ({asked}) USING SAMPLE reservoir({rows:d} ROWS) REPEATABLE (1)"  # noqa: S608
        found = connection.execute(query).to_arrow_table()
        if not len(found):
            return {}
        return {name: _as_array(found[name], words=baseline.features[name].cuts is None) for name in kept}


def _as_array(column: pa.ChunkedArray, words: bool) -> np.ndarray:
    if words:
        return np.asarray(column.to_pylist(), dtype=object)
    return column.cast(pa.float64()).to_numpy().astype(np.float64)


def _connected(memory: str) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"memory_limit": memory, "preserve_insertion_order": False})
    # It would write on what a step prints.
    connection.execute("SET enable_progress_bar = false")
    return connection


def _open(connection: duckdb.DuckDBPyConnection, baseline: Baseline, place: Path) -> dict[str, str] | None:
    """Make the view of what was asked; its columns, with their types. None where nothing was."""
    files = [place] if place.is_file() else sorted(place.rglob("*.parquet"))
    if files:
        found = connection.read_parquet([str(file) for file in files], union_by_name=True, hive_partitioning=False)
        found.create_view(_TABLE)
        return dict(zip(found.columns, map(str, found.types), strict=True))
    if not any(place.rglob("*.jsonl")):
        return None
    view(connection, place)
    names = [name for name in baseline.features if name not in _CAPTURED]
    paths = ", ".join(_text(_pointer(name)) for name in names)
    # All paths at once, so that a line is read once.
    values = f", json_extract_string(features, [{paths}]) AS said" if names else ""
    inner = f"SELECT {', '.join(map(quoted, _CAPTURED))}{values} FROM captured"  # noqa: S608 (names are quoted)
    # A line that isn't JSON is a row of nothing.
    fields = "".join(f", said[{number}] AS {quoted(name)}" for number, name in enumerate(names, 1))
    rows = f"SELECT * EXCLUDE (said){fields} FROM ({inner}) WHERE {quoted(AT)} IS NOT NULL"  # noqa: S608
    connection.execute(f"CREATE VIEW {_TABLE} AS {rows}")
    seen = ", ".join(f"count({quoted(name)})" for name in names)
    there = connection.execute(f"SELECT {seen} FROM {_TABLE}").fetchone() or ()  # noqa: S608
    # A feature that no line has isn't captured; a column of nothing would be told as missing values.
    types = {name: "VARCHAR" for name, values in zip(names, there, strict=True) if values}
    return {**dict.fromkeys(_CAPTURED, "VARCHAR"), "score": "DOUBLE", **types}


def _wanted(columns: Mapping[str, str], since: int | None, until: int | None, model: str | None) -> str:
    conditions = []
    if AT in columns:
        conditions += [f'"{AT}" >= {since:d}'] if since is not None else []
        conditions += [f'"{AT}" < {until:d}'] if until is not None else []
    if model is not None and "model" in columns:
        conditions.append(f"model = {_text(model)}")
    return " AND ".join(conditions) or "true"


def _count(
    connection: duckdb.DuckDBPyConnection,
    baseline: Baseline,
    columns: Mapping[str, str],
    wanted: str,
    segments: Sequence[str],
) -> Window:
    there = {name: one for name, one in baseline.features.items() if name in columns}
    kept = [name for name in segments if name in columns]
    words = [f"coalesce(CAST({quoted(name)} AS VARCHAR), '') AS segment_{place}" for place, name in enumerate(kept)]
    grouped = [f"segment_{place}" for place in range(len(kept))]
    times = f'min("{AT}"), max("{AT}")' if AT in columns else "NULL, NULL"
    values = [_value(name, one, place, columns[name]) for place, (name, one) in enumerate(there.items())]
    counted = [part for place, one in enumerate(there.values()) for part in _parts(one, place)]
    at = [f'"{AT}"'] if AT in columns else []
    inner = f"SELECT {', '.join([*at, *words, *values]) or '1'} FROM {_TABLE} WHERE {wanted}"  # noqa: S608
    sets = ", ".join(f"({name})" for name in ["", *grouped])
    asked = ", ".join([*(f"grouping({name})" for name in grouped), *grouped, "count(*)", times, *counted])
    rows = connection.execute(f"SELECT {asked} FROM ({inner}) GROUP BY GROUPING SETS ({sets})").fetchall()  # noqa: S608
    found: dict[str, dict[str, Counts]] = {}
    total, since, until = 0, None, None
    for row in rows:
        left_out, names, rest = row[: len(kept)], row[len(kept) : 2 * len(kept)], row[2 * len(kept) :]
        segment = next(
            (f"{kept[place]}={name}" for place, name in enumerate(names) if not left_out[place]),
            WHOLE,
        )
        if segment == WHOLE:
            total, since, until = rest[:3]
        found[segment] = dict(_read(there, int(rest[0]), rest[3:]))
    return Window(
        total,
        found if total else {},
        since,
        until,
        absent=tuple(name for name in baseline.features if name not in there),
        unsegmented=tuple(name for name in segments if name not in columns),
    )


def _value(name: str, one: Distribution, place: int, kind: str) -> str:
    """A column as it is counted: a finite number, or the place of a word among the baseline's, from 1 on; else NULL."""
    if one.cuts is None:
        known = ", ".join(map(_text, one.words))
        word = _word(name)
        place_of = f"coalesce(list_position([{known}]::VARCHAR[], {word}), {len(one.words) + 1})"
        return f"CASE WHEN {word} <> '' THEN {place_of} END AS value_{place}, {word} AS word_{place}"
    return f"{_finite(name, kind)} AS value_{place}"


def _word(name: str) -> str:
    return f"CAST({quoted(name)} AS VARCHAR)"


def _finite(name: str, kind: str) -> str:
    """A column's finite numbers; kind: its type."""
    column = quoted(name)
    number = f"TRY_CAST({column} AS DOUBLE)"
    if kind == "VARCHAR":
        # Yes and no are numbers, too, which text doesn't say by itself.
        number = f"coalesce({number}, CAST(TRY_CAST({column} AS BOOLEAN) AS DOUBLE))"
    elif kind == "DOUBLE":
        number = column
    return f"CASE WHEN isfinite({number}) THEN {number} END"


def _parts(one: Distribution, place: int) -> Iterator[str]:
    """_COLUMNS of a feature: a histogram, of numbers the extremes, and of words how many are new, with the first."""
    value = f"value_{place}"
    if one.cuts is None:
        yield from (f"histogram({value})", f"min(word_{place}) FILTER ({value} = {len(one.words) + 1})", "NULL")
        return
    cuts = ", ".join(map(_number, _fine(one).tolist()))
    yield from (f"histogram({value}, [{cuts}]::DOUBLE[])", f"min({value})", f"max({value})")


def _fine(one: Distribution) -> np.ndarray:
    """The cuts, and such that what lies beyond training, or isn't plausible, has bins of its own."""
    cuts = np.zeros(0) if one.cuts is None else one.cuts
    below = [np.nextafter(low, -np.inf) for low in (one.lowest, one.low) if low is not None]
    above = [high for high in (one.highest, one.high) if high is not None]
    return np.unique(np.concatenate([cuts, below, above]))


def _read(there: Mapping[str, Distribution], rows: int, values: Sequence[Any]) -> Iterator[tuple[str, Counts]]:
    for place, (name, one) in enumerate(there.items()):
        bins, low, high = values[place * _COLUMNS : (place + 1) * _COLUMNS]
        found = bins or {}
        number = sum(found.values())
        if one.cuts is None:
            counts = [found.get(word, 0) for word in range(1, len(one.words) + 2)]
            yield name, Counts(np.array(counts, np.int64), rows - number, example=low)
            continue
        fine = _fine(one)
        narrow = np.array([found.get(cut, 0) for cut in fine.tolist()], np.int64)
        narrow = np.append(narrow, number - narrow.sum())
        # Bins end at their cuts, the last one nowhere.
        ends = np.append(fine, np.inf)
        counts = np.bincount(np.searchsorted(one.cuts, ends), narrow, len(one.cuts) + 1).astype(np.int64)
        outside, implausible = _beyond(narrow, ends, one.lowest, one.highest), _beyond(narrow, ends, one.low, one.high)
        yield name, Counts(counts, rows - number, low, high, outside, implausible)


def _beyond(counts: np.ndarray, ends: np.ndarray, low: float | None, high: float | None) -> int:
    below = int(counts[ends < low].sum()) if low is not None else 0
    return below + (int(counts[ends > high].sum()) if high is not None else 0)


def _number(value: float) -> str:
    """A number as DuckDB reads the same one again: without an exponent it would be a decimal first."""
    return f"{value:.17e}"


def _pointer(name: str) -> str:
    """A field of a JSON object, whatever its name (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
