"""Whatever the cloud archived events as, the log is the same; what can't be read is told, and nothing is written."""

import datetime
import io
import json

import fastavro
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from ml_pipelines import datasets
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.datasets import Request
from ml_pipelines.steps.collect import collect
from ml_pipelines.steps.errors import StepError
from ml_pipelines.tasks import find

FRAUD = find("fraud-detection")
CAPTURED = {
    "type": "record",
    "name": "EventData",
    "fields": [
        {"name": "SequenceNumber", "type": "long"},
        {"name": "EnqueuedTimeUtc", "type": "string"},
        {"name": "Body", "type": ["null", "bytes"]},
    ],
}


@pytest.fixture(scope="module")
def history():
    return datasets.load("payments", Request(events=1000))


@pytest.fixture(scope="module")
def log(history):
    return history.log.sort_by("sequence")


@pytest.fixture
def collected(tmp_path):
    """Collects an archive; returns what was said and the log."""

    def run(archive, **options):
        said = collect(archive, FRAUD, tmp_path / "out" / "log.parquet", **options)
        return said, pq.read_table(tmp_path / "out" / "log.parquet")

    return run


def written(table, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def same(found, wanted):
    assert found.column_names == wanted.column_names
    assert found.to_pylist() == wanted.cast(found.schema).to_pylist()


def test_files_in_folders_by_day_make_one_log_in_order_of_arrival(collected, log, tmp_path):
    written(log.slice(600), tmp_path / "events" / "arrived_on=2026-01-01" / "b.parquet")
    written(log.slice(0, 600), tmp_path / "events" / "arrived_on=2026-01-02" / "a.parquet")
    said, found = collected(tmp_path / "events")
    assert said == {"events": 1000, "unreadable": 0, "labels": None}
    same(found, log)


def test_what_is_being_written_is_left_alone(collected, log, tmp_path):
    written(log.slice(0, 10), tmp_path / "events" / "a.parquet")
    written(log.slice(10, 10), tmp_path / "events" / "_temporary" / "b.parquet")
    written(log.slice(20, 10), tmp_path / "events" / ".staging.parquet")
    assert collected(tmp_path / "events")[0]["events"] == 10


def test_files_of_an_older_version_get_the_defaults_of_newer_fields(collected, log, tmp_path):
    contract = catalog.contract("card_transaction")
    newer = [field["name"] for field in contract.versions[contract.newest]["fields"] if "default" in field]
    old = log.slice(0, 500).drop_columns(newer)
    written(old, tmp_path / "events" / "old.parquet")
    written(log.slice(500), tmp_path / "events" / "new.parquet")
    _, found = collected(tmp_path / "events")
    same(found.slice(500), log.slice(500))
    defaults = {
        field["name"]: field["default"] for field in contract.versions[contract.newest]["fields"] if "default" in field
    }
    assert {name: set(found[name].slice(0, 500).to_pylist()) for name in newer} == {
        name: {value} for name, value in defaults.items()
    }


def test_arrivals_are_derived_from_what_a_bigquery_subscription_adds(collected, log, tmp_path):
    arrived = pc.cast(log["arrived_at"], pa.timestamp("ms")).cast(pa.timestamp("us"))
    numbers = [str(7_000_000 - place) for place in range(len(log))]
    exported = log.drop_columns(["arrived_at", "sequence"])
    exported = exported.append_column("publish_time", arrived).append_column("message_id", [numbers])
    written(exported, tmp_path / "events" / "000.parquet")
    _, found = collected(tmp_path / "events")
    arrivals = ("event_id", "arrived_at")
    assert sorted(zip(*(found[name].to_pylist() for name in arrivals), strict=True)) == sorted(
        zip(*(log[name].to_pylist() for name in arrivals), strict=True)
    )
    assert found["arrived_at"].to_pylist() == sorted(log["arrived_at"].to_pylist())
    assert found["sequence"].to_pylist() == sorted(found["sequence"].to_pylist())
    assert len(set(map(len, found["sequence"].to_pylist()))) == 1


def test_without_arrivals_events_arrive_when_they_happen(collected, log, tmp_path):
    written(log.drop_columns(["arrived_at", "sequence"]), tmp_path / "events" / "a.parquet")
    _, found = collected(tmp_path / "events")
    assert found["arrived_at"].to_pylist() == found["event_time"].to_pylist() == sorted(log["event_time"].to_pylist())


def captured(file, log, *more):
    """Events as Event Hubs captures them; `more` are bodies that follow."""
    codec = Codec(catalog.contract("card_transaction"), 2)
    bodies = [
        codec.encode({k: v for k, v in row.items() if k not in ("arrived_at", "sequence")}) for row in log.to_pylist()
    ]
    times = [
        datetime.datetime.fromtimestamp(at / 1000, datetime.UTC).strftime("%-m/%-d/%Y %-I:%M:%S %p")
        for at in log["arrived_at"].to_pylist()
    ]
    bodies, times = [*bodies, *more], [*times, *[times[-1]] * len(more)]
    records = [
        {"SequenceNumber": place, "EnqueuedTimeUtc": time, "Body": body}
        for place, (body, time) in enumerate(zip(bodies, times, strict=True))
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        fastavro.writer(stream, CAPTURED, records)


def test_captured_events_are_decoded_and_dead_letters_counted(collected, log, tmp_path):
    part = log.slice(0, 100)
    captured(tmp_path / "hub" / "0" / "2026" / "01.avro", part, b"no event", None)
    said, found = collected(tmp_path / "hub")
    assert (said["events"], said["unreadable"]) == (100, 2)
    fields = [name for name in part.column_names if name not in ("arrived_at", "sequence")]
    assert found.select(fields).sort_by("event_id").to_pylist() == part.select(fields).sort_by("event_id").to_pylist()
    # Captured times have whole seconds.
    assert sorted(found["arrived_at"].to_pylist()) == sorted(at // 1000 * 1000 for at in part["arrived_at"].to_pylist())


def test_events_that_arrived_before_are_left_out(collected, log, tmp_path):
    written(log, tmp_path / "events" / "a.parquet")
    since = log["arrived_at"][400].as_py()
    said, found = collected(tmp_path / "events", since=since)
    assert said["events"] == len(found) == sum(at >= since for at in log["arrived_at"].to_pylist())


def test_of_several_labels_of_an_event_the_newest_counts(collected, history, log, tmp_path):
    written(log, tmp_path / "events" / "a.parquet")
    labels = history.labels.slice(0, 50)
    corrected = labels.slice(0, 5)
    flipped = pc.subtract(1.0, corrected["outcome"])
    later = pc.add(corrected["labelled_at"], 1000)
    place = corrected.column_names.index
    corrected = corrected.set_column(place("outcome"), "outcome", flipped)
    corrected = corrected.set_column(place("labelled_at"), "labelled_at", later)
    written(labels, tmp_path / "labels" / "a.parquet")
    written(corrected, tmp_path / "labels" / "b.parquet")
    said, _ = collected(tmp_path / "events", labelled=tmp_path / "labels", labels_to=tmp_path / "labels.parquet")
    found = {row["event_id"]: row for row in pq.read_table(tmp_path / "labels.parquet").to_pylist()}
    assert said["labels"] == len(found) == 50
    for before, after in zip(labels.slice(0, 5).to_pylist(), corrected.to_pylist(), strict=True):
        assert found[before["event_id"]] == {name: after[name] for name in ("event_id", "outcome", "labelled_at")}


def test_the_same_archive_is_the_same_bytes(log, tmp_path):
    written(log.slice(0, 300), tmp_path / "one" / "a.parquet")
    written(log.slice(300), tmp_path / "one" / "b.parquet")
    written(log.slice(300), tmp_path / "other" / "0.parquet")
    written(log.slice(0, 300), tmp_path / "other" / "1.parquet")
    collect(tmp_path / "one", FRAUD, tmp_path / "one.parquet")
    collect(tmp_path / "other", FRAUD, tmp_path / "other.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def broken(name, log, folder):
    """An archive with something wrong about it."""
    file = folder / "events" / "a.parquet"
    if name == "column":
        written(log.drop_columns(["amount"]), file)
    elif name == "both":
        written(log, file)
        captured(folder / "events" / "b.avro", log.slice(0, 1))
    elif name == "no capture":
        buffer = io.BytesIO()
        fastavro.writer(buffer, json.loads('{"type": "record", "name": "r", "fields": []}'), [{}])
        file.parent.mkdir()
        file.with_suffix(".avro").write_bytes(buffer.getvalue())
    elif name == "no avro":
        file.parent.mkdir()
        file.with_suffix(".avro").write_bytes(b"Obj")
    elif name == "no parquet":
        file.parent.mkdir()
        file.write_bytes(b"PAR1 nothing")
    elif name == "empty":
        file.parent.mkdir()
    return folder / "events"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("column", "has no column `amount`"),
        ("both", "one kind is right"),
        ("no capture", "its records aren't those of Event Hubs' capture"),
        ("no avro", "isn't a captured file"),
        ("no parquet", "can't be read"),
        ("empty", "can't be read|holds no events"),
        ("none", "there is no such folder"),
    ],
)
def test_what_is_no_archive_is_refused_and_nothing_written(name, said, log, tmp_path):
    with pytest.raises(StepError, match=said) as error:
        collect(broken(name, log, tmp_path), FRAUD, tmp_path / "out" / "log.parquet")
    assert str(error.value).startswith("collect: ")
    assert not (tmp_path / "out").exists()


def test_labels_that_name_no_event_are_refused_and_nothing_written(log, history, tmp_path):
    written(log, tmp_path / "events" / "a.parquet")
    written(history.labels.drop_columns(["event_id"]), tmp_path / "labels" / "a.parquet")
    with pytest.raises(StepError, match="has no column `event_id`"):
        collect(
            tmp_path / "events", FRAUD, tmp_path / "out" / "log.parquet", tmp_path / "labels", tmp_path / "l.parquet"
        )
    assert not (tmp_path / "out").exists()


def test_a_task_without_a_contract_has_no_archive(tmp_path):
    with pytest.raises(StepError, match="follows no contract"):
        collect(tmp_path, find("lending_club"), tmp_path / "log.parquet")
