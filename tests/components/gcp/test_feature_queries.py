"""The views of the table of features, run by DuckDB on a table as the job and the processor write it."""

import re
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
import sqlglot
from ml_blueprints.gcp import feature_queries
from ml_blueprints.workload import Workload

WORKLOAD = Workload.load(Path(__file__).parents[3] / "stacks" / "workloads" / "fraud_detection.yaml")
FEATURES = [feature.name for feature in WORKLOAD.features.definitions]
TABLE = "house.fraud.card_activity"
NOW = datetime(2026, 11, 25, 12)


@pytest.fixture
def table() -> duckdb.DuckDBPyConnection:
    """Two events of card `a`, of which the newer one came first, one of `b`, and one of `c` from three days ago."""
    connection = duckdb.connect()
    features = ", ".join(f"{name} DOUBLE" for name in FEATURES)
    connection.execute(f"CREATE TABLE rows (card_id TEXT, event_time TIMESTAMP, arrived_at TIMESTAMP, {features})")
    rows = [("a", 1, 3, 10.0), ("a", 2, 1, 20.0), ("b", 5, 5, 30.0), ("c", 72, 72, 40.0)]
    for card, happened, arrived, value in rows:
        times = [NOW - timedelta(hours=happened), NOW - timedelta(hours=arrived)]
        places = ", ".join("?" * (3 + len(FEATURES)))
        connection.execute(f"INSERT INTO rows VALUES ({places})", [card, *times, *[value] * len(FEATURES)])  # noqa: S608
    return connection


def run(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict]:
    """What a query of BigQuery finds, at the time of the tests."""
    (translated,) = sqlglot.transpile(query, read="bigquery", write="duckdb")
    translated = re.sub(r'"?house"?\."?fraud"?\."?card_activity"?', "rows", translated)
    translated = translated.replace("CURRENT_TIMESTAMP", f"TIMESTAMP '{NOW}'")
    return connection.execute(translated).to_arrow_table().to_pylist()


def test_the_history_has_every_row_since_it_was_known(table):
    found = run(table, feature_queries.history(WORKLOAD, TABLE))
    assert list(found[0]) == ["card_id", "feature_timestamp", *FEATURES]
    assert len(found) == 4
    # An event counts as known from when it arrived, whatever time it says.
    assert found[0]["feature_timestamp"] == NOW - timedelta(hours=3)


def test_the_latest_is_what_arrived_last_and_may_still_be_served(table):
    found = {row["card_id"]: row for row in run(table, feature_queries.latest(WORKLOAD, TABLE))}
    assert set(found) == {"a", "b"}
    assert found["a"]["amount_1h"] == 20.0
    assert list(found["a"]) == ["card_id", *FEATURES]


@pytest.mark.parametrize("query", [feature_queries.history, feature_queries.latest])
def test_entities_are_text(query):
    assert "CAST(`card_id` AS STRING) AS `card_id`" in query(WORKLOAD, TABLE)
