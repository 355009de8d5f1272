"""What was captured, by us and by SageMaker, in folders and in object stores, is read for the days asked for."""

import base64
import datetime
import json

import boto3
import moto
import pytest
from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.retraining.captured import brought, from_sagemaker
from ml_pipelines.retraining.feedback import main
from ml_pipelines.retraining.usage import usage

NOON = round(datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC).timestamp() * 1000)
DAY = 86_400_000


def envelope(asked, answered, encoding="JSON", at="2026-01-31T12:00:00Z"):
    """A line of SageMaker's data capture."""

    def part(mode, body):
        data = json.dumps(body)
        data = base64.b64encode(data.encode()).decode() if encoding == "BASE64" else data
        return {"observedContentType": "application/json", "mode": mode, "data": data, "encoding": encoding}

    said = {
        "captureData": {"endpointInput": part("INPUT", asked), "endpointOutput": part("OUTPUT", answered)},
        "eventMetadata": {"eventId": "1", "inferenceTime": at},
        "eventVersion": "0",
    }
    return json.dumps(said, separators=(",", ":")).encode()


def answer(score):
    return {"score": score, "selected": score > 0.5, "model": "trees/1.0.0", "event_id": "ignored"}


ONE = ({"features": {"amount": 12}, "entity": "c", "event_id": "e"}, answer(0.75))


@pytest.mark.parametrize("encoding", ["JSON", "BASE64"])
def test_a_request_that_sagemaker_captured_is_a_row_of_ours(encoding):
    (row,) = from_sagemaker(envelope(*ONE, encoding))
    expected = {"at": NOON, "tenant": None, "entity": "c", "event_id": "e", "features": {"amount": 12}}
    assert row == {**expected, "score": 0.75, "selected": True, "model": "trees/1.0.0"}


def test_several_rows_have_a_tenant_and_inputs_that_follow_from_others():
    rows = [{"features": {"event_time": 7_200_000, "genres": 5}}, {"features": {"event_time": None}}]
    asked = {"instances": rows, "parameters": {"tenant": "shop"}}
    first, second = from_sagemaker(envelope(asked, {"predictions": [answer(0.25), answer(0.75)]}))
    assert (first["tenant"], first["score"], first["entity"], second["score"]) == ("shop", 0.25, None, 0.75)
    # A source of another type derives nothing, and stays to be seen.
    assert first["features"] == {"event_time": 7_200_000, "genres": 5, "hour_of_day": 2.0, "day_of_year": 1.0}
    assert second["features"] == {"event_time": None}


@pytest.mark.parametrize(
    "line",
    [
        b'{"captureData":{"endpointInput":',
        envelope({"instances": [{}, {}]}, {"predictions": [answer(1)]}),
        envelope({"features": {}}, {"error": "no"}),
        envelope([1], answer(1)),
        envelope(*ONE, at="yesterday"),
    ],
    ids=["cut", "fewer answers", "a refusal", "another body", "no time"],
)
def test_a_line_that_is_no_answer_is_a_row_of_nothing(line):
    assert from_sagemaker(line) == [{}]


def captured(folder):
    """Three days of ours, two of SageMaker's, and what has no date."""
    for day in ("29", "30", "31"):
        file = folder / "requests" / f"day=2026-01-{day}" / "a.jsonl"
        file.parent.mkdir(parents=True)
        line = {"at": NOON - (31 - int(day)) * DAY, "score": 0.5, "selected": True, "model": "ours/1.0.0"}
        file.write_text(json.dumps(line) + "\n")
    for day in ("30", "31"):
        file = folder / "variant" / "2026" / "01" / day / "12" / "a.jsonl"
        file.parent.mkdir(parents=True)
        file.write_bytes(envelope(*ONE, at=f"2026-01-{day}T12:00:00Z") + b"\n")
    (folder / "other").mkdir()
    (folder / "other" / "a.jsonl").write_text('{"at": 5, "model": "undated/1.0.0"}\n')
    return folder


def days(place, since=None, until=None):
    """Which versions answered on which days."""
    with brought(place, since, until) as folder:
        found = usage(folder).to_pylist()
    return sorted((row["model"].partition("/")[0], row["hour"].day) for row in found)


def test_only_the_days_that_are_asked_for_are_read(tmp_path):
    place = captured(tmp_path)
    ours = [("ours", 29), ("ours", 30), ("ours", 31)]
    assert days(place) == [*ours, ("trees", 30), ("trees", 31), ("undated", 1)]
    # The day after is looked at too, since lines of an evening may be written in it.
    assert days(place, NOON - 2 * DAY, NOON - 2 * DAY + 1) == [
        ("ours", 29),
        ("ours", 30),
        ("trees", 30),
        ("undated", 1),
    ]
    assert days(place, NOON) == [("ours", 31), ("trees", 31), ("undated", 1)]
    # What was captured stays as it was.
    assert b"captureData" in (place / "variant/2026/01/31/12/a.jsonl").read_bytes()


def test_answers_of_an_asynchronous_endpoint_hold_the_rows(tmp_path):
    def row(score):
        return {"at": NOON, "tenant": None, "entity": "c", "event_id": "e", "features": {}, **answer(score)}

    (tmp_path / "one.out").write_text(json.dumps(answer(0.25) | {"row": row(0.25)}))
    (tmp_path / "two.out").write_text(
        json.dumps({"predictions": [answer(score) | {"row": row(score)} for score in (0.5, 0.75)]})
    )
    for place, content in enumerate((answer(0.5), [], {"row": 5}, {"predictions": [5]})):
        (tmp_path / f"{place}.out").write_text(json.dumps(content))
    (tmp_path / "broken.out").write_text("{")
    with brought(tmp_path) as folder:
        rows = [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.open()]
    # What can't be read is a row of nothing, which is counted.
    assert [one.get("score") for one in rows] == [None] * 5 + [0.25, 0.5, 0.75]
    assert days(tmp_path) == [("trees", 31)]


def test_a_file_is_itself_and_nothing_is_an_empty_folder(tmp_path):
    (tmp_path / "a.parquet").touch()
    with brought(tmp_path / "a.parquet") as file:
        assert file == tmp_path / "a.parquet"
    with brought(tmp_path / "nowhere") as place:
        assert not place.exists()


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A bucket with what `captured` has, at `captured/` and a URL of it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        folder = captured(tmp_path / "captured")
        for file in folder.rglob("*.jsonl"):
            client.put_object(Bucket="lake", Key=f"captured/{file.relative_to(folder)}", Body=file.read_bytes())
        yield client


def test_an_object_store_is_read_for_the_days_alone(bucket):
    assert days("s3://lake/captured", NOON) == [("ours", 31), ("trees", 31), ("undated", 1)]
    assert days("s3://lake/captured/variant") == [("trees", 30), ("trees", 31)]
    # What lies beside folders is read, too.
    bucket.put_object(Bucket="lake", Key="captured/requests/b.jsonl", Body=b'{"at": 5, "model": "beside/1.0.0"}\n')
    assert days("s3://lake/captured/requests", NOON) == [("beside", 1), ("ours", 31)]
    # What was written before cannot hold what was asked since.
    assert days("s3://lake/captured/other", NOON) == [("undated", 1)]
    with brought("s3://lake/captured/other", round(datetime.datetime.now().timestamp() * 1000) + DAY) as place:
        assert list(place.rglob("*.jsonl")) == []


def test_feedback_is_written_to_an_object_store(bucket):
    told = ["--requests", "s3://lake/captured/requests", "--to", "s3://lake/feedback", "--as-of", "2026-01-31T13:00"]
    assert main([*told, "--days", "1"]) == 0
    found = [one["Key"] for one in bucket.list_objects_v2(Bucket="lake", Prefix="feedback/")["Contents"]]
    assert found == [f"feedback/usage/day=2026-01-{day}/usage.parquet" for day in (30, 31)]


def test_a_store_that_cant_be_read_is_named(bucket):
    with pytest.raises(FeedbackError, match="s3://nowhere/captured can't be read: NoSuchBucket"):
        days("s3://nowhere/captured")
