"""The same window counted on arrays, by DuckDB and by Spark: whole numbers, so that nothing may differ at all."""

import json

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines.monitoring import counting, duckdb_counting, spark_counting
from ml_pipelines.monitoring.compare import compare
from ml_pipelines.monitoring.report import Settings
from tests.pipelines.features.conftest import spark_session  # noqa: F401 (a fixture)

from .conftest import drawn, table_of

SEGMENTS = ("country", "tenant")


@pytest.fixture(scope="module")
def crooked():
    """A window with all that may be wrong with values."""
    inputs = drawn(3, 3000, 0.5)
    inputs["level"][:5] = [np.inf, -np.inf, 99, -7, np.nan]
    inputs["word"][:3], inputs["word"][5] = "zebra", "ape"
    countries = pa.array(["DE", None, "FR"] * 1000)
    return table_of(inputs, country=countries).drop_columns(["flag"])


def plain(window):
    """A window that can be compared with ==."""
    features = {
        (segment, name): (
            *(one.counts.tolist(), one.missing, one.lowest, one.highest),
            *(one.outside, one.implausible, one.example),
        )
        for segment, counts in window.counts.items()
        for name, one in counts.items()
    }
    return window.rows, window.since, window.until, window.absent, window.unsegmented, features


def test_arrays_are_counted(baseline, crooked):
    found = counting.count(baseline, crooked, SEGMENTS)
    level, word = (found.counts[counting.WHOLE][name] for name in ("level", "word"))
    assert (level.missing, level.outside, level.implausible, level.lowest, level.highest) == (3, 2, 2, -7, 99)
    assert (word.counts[-1], word.example, word.rows) == (4, "ape", 3000)
    assert (found.absent, found.unsegmented) == (("flag",), ("tenant",))
    assert set(found.counts) == {"", "country=", "country=DE", "country=FR"}
    parts = [found.counts[f"country={name}"]["level"] for name in ("", "DE", "FR")]
    assert (parts[0] + parts[1] + parts[2]).counts.tolist() == level.counts.tolist()


def test_duckdb_counts_the_same(baseline, crooked, tmp_path):
    pq.write_table(crooked, tmp_path / "window.parquet")
    found = duckdb_counting.count(baseline, tmp_path, SEGMENTS)
    assert plain(found) == plain(counting.count(baseline, crooked, SEGMENTS))


def test_spark_counts_the_same_and_so_reports_the_same(baseline, crooked, tmp_path, spark_session):  # noqa: F811
    pq.write_table(crooked, tmp_path / "window.parquet")
    found = spark_counting.count(baseline, spark_session.read.parquet(str(tmp_path)), SEGMENTS)
    here = counting.count(baseline, crooked, SEGMENTS)
    assert plain(found) == plain(here)
    assert compare(baseline, found) == compare(baseline, here)


def lines(table, to, model="boosting/1.0.0"):
    """A window as the service captures it."""
    to.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, row in enumerate(table.to_pylist()):
        features = {name: value for name, value in row.items() if name not in ("score", "at", "country")}
        features["flag"] = bool(features["flag"])
        features = {name: None if value != value else value for name, value in features.items()}
        rows.append(
            {
                **{
                    "at": row["at"],
                    "tenant": row["country"],
                    "entity": f"card-{number}",
                    "event_id": f"event-{number}",
                },
                **{"features": features, "score": row["score"], "selected": None, "model": model},
            }
        )
    (to / "lines.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_what_the_service_captured_is_counted(baseline, window, tmp_path):
    table = window(1000)
    lines(table, tmp_path / "requests" / "day=2026-01-01")
    found = duckdb_counting.count(baseline, tmp_path / "requests", ["tenant"])
    named = table.rename_columns([{"country": "tenant"}.get(name, name) for name in table.column_names])
    assert plain(found) == plain(counting.count(baseline, named, ["tenant"]))


def test_a_part_of_what_was_captured_is_counted(baseline, window, tmp_path):
    table = window(1000)
    start = table["at"][0].as_py()
    lines(table, tmp_path / "one")
    lines(table, tmp_path / "two", "linear/1.0.0")
    every = duckdb_counting.count(baseline, tmp_path)
    part = duckdb_counting.count(baseline, tmp_path, since=start + 10, until=start + 20, model="linear/1.0.0")
    assert (every.rows, part.rows, part.since, part.until) == (2000, 10, start + 10, start + 19)


def test_what_is_no_number_is_missing(baseline, window, tmp_path):
    table = window(300, level=np.array(["much"] * 300, dtype=object))
    pq.write_table(table, tmp_path / "window.parquet")
    assert duckdb_counting.count(baseline, tmp_path).counts[""]["level"].missing == 300


def test_nothing_is_an_empty_window(baseline, window, tmp_path):
    assert duckdb_counting.count(baseline, tmp_path).rows == 0
    pq.write_table(window(10).slice(0, 0), tmp_path / "window.parquet")
    found = duckdb_counting.count(baseline, tmp_path, ["country"])
    assert (found.rows, found.counts, found.since) == (0, {}, None)
    assert counting.count(baseline, window(10).slice(0, 0)).rows == 0


def test_names_and_words_may_hold_quotes(tmp_path, window):
    from ml_pipelines.monitoring.baseline import Baseline

    from .conftest import said_of

    inputs = drawn(1, 500)
    inputs["o\"d.d's"] = np.array(["it's", '"so"'] * 250, dtype=object)
    made = Baseline.of(said_of(inputs, np.random.default_rng(2).random(500)))
    table = table_of(inputs)
    pq.write_table(table, tmp_path / "window.parquet")
    assert plain(duckdb_counting.count(made, tmp_path)) == plain(counting.count(made, table))
    (tmp_path / "window.parquet").unlink()
    lines(table, tmp_path)
    assert duckdb_counting.count(made, tmp_path).counts[""]["o\"d.d's"].counts.tolist()[:2] == [250, 250]


def test_a_file_that_is_no_parquet_is_refused(baseline, tmp_path):
    (tmp_path / "window.parquet").write_text("no")
    with pytest.raises(duckdb.Error, match=r"window\.parquet"):
        duckdb_counting.count(baseline, tmp_path)


def test_many_rows_are_counted_in_little_memory(baseline, window, tmp_path):
    """A window of more bytes than may be held."""
    table = window(100_000)
    with pq.ParquetWriter(tmp_path / "window.parquet", table.schema) as writer:
        for _ in range(20):
            writer.write_table(table, row_group_size=50_000)
    found = duckdb_counting.count(baseline, tmp_path, memory="100MB")
    assert found.rows == 2_000_000
    once = counting.count(baseline, table)
    assert found.counts[""]["level"].counts.tolist() == (once.counts[""]["level"].counts * 20).tolist()
    assert compare(baseline, found, Settings()).alarms == []
