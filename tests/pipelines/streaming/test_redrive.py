"""Dead letters back into the stream: from a real queue to a real stream on moto, and from a file to Pub/Sub."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_pipelines.streaming import redrive
from ml_pipelines.streaming.aws import SqsPublisher
from ml_pipelines.streaming.core import Record
from ml_pipelines.streaming.dead_letters import DeadLetter

from .conftest import START, House


def letter(payload: bytes, reason: str = "unknown_schema", workload: str = "fraud-detection") -> bytes:
    return DeadLetter.of(Record(payload, START, "shard-0/1"), workload, reason, "why").document()


def letters(house: House) -> list[bytes]:
    """One of each kind: two that are good by now, and five that aren't."""
    good = [house.codec.encode(house.event(n, f"card-{n}"), 1) for n in range(5)]
    return [
        letter(good[0]),
        letter(good[1], "state_unreadable"),
        letter(b"poison"),
        letter(good[2], "late"),
        letter(good[3] + bytes(800_000), "too_large"),
        letter(good[4], workload="churn"),
        letter(good[0]).replace(b'"sha256":"', b'"sha256":"0'),
    ]


@pytest.fixture
def queue(aws: Callable[[str], Any], house: House) -> str:
    """A queue with all kinds of letters, and a message that is none."""
    url = aws("sqs").create_queue(QueueName=f"dead-{id(house)}")["QueueUrl"]
    assert SqsPublisher(aws("sqs"), url).publish([("", text) for text in letters(house)]) == {}
    aws("sqs").send_message(QueueUrl=url, MessageBody="no letter")
    return url


def test_letters_that_are_good_by_now_leave_the_queue_for_the_stream(
    aws: Callable[[str], Any], house: House, queue: str, capsys: pytest.CaptureFixture[str]
):
    kinesis, stream = aws("kinesis"), f"events-{id(house)}"
    kinesis.create_stream(StreamName=stream, ShardCount=1)
    where = ["--workload", "fraud-detection", "--from", f"sqs:{queue}", "--to", f"kinesis:{stream}"]
    assert redrive.main(where) == 1
    printed = capsys.readouterr().out.splitlines()
    assert "sent: 2" in printed
    assert "others: 1" in printed
    assert sum(int(line.rpartition(": ")[2]) for line in printed if line.startswith("left")) == 5
    iterator = kinesis.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [(record["PartitionKey"], house.codec.decode(record["Data"])["event_id"]) for record in records] == [
        ("card-0", "event-0"),
        ("card-1", "event-1"),
    ]
    attributes = aws("sqs").get_queue_attributes(
        QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessagesNotVisible"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "6"


def test_letters_of_one_reason_go_from_a_file_to_a_topic(
    house: House,
    tmp_path: Path,
    pubsub_server: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_server)
    from google.cloud import pubsub_v1

    topic, subscription = "projects/p/topics/events", "projects/p/subscriptions/events"
    pubsub_v1.PublisherClient().create_topic(name=topic)
    subscriber = pubsub_v1.SubscriberClient()
    subscriber.create_subscription(request={"name": subscription, "topic": topic})
    file = tmp_path / "letters"
    file.write_bytes(b"\n".join(letters(house)[:4]))
    where = ["--workload", "fraud-detection", "--from", str(file), "--to", f"pubsub:{topic}"]
    assert redrive.main([*where, "--reason", "state_unreadable"]) == 0
    assert capsys.readouterr().out.splitlines() == ["others: 3", "sent: 1"]
    (received,) = subscriber.pull(subscription=subscription, max_messages=5, timeout=5).received_messages
    assert (received.message.ordering_key, house.codec.decode(received.message.data)["event_id"]) == (
        "card-1",
        "event-1",
    )


class Refusing:
    """A stream that doesn't take the first message."""

    def publish(self, messages: Any) -> dict[int, str]:
        self.messages = list(messages)
        return {0: "no room"}


def test_what_the_stream_does_not_take_stays(house: House):
    removed: list[str] = []
    found = [
        redrive.Letter(json.loads(text), lambda n=n: removed.append(n)) for n, text in enumerate(letters(house)[:2])
    ]
    refusing = Refusing()
    stream = redrive.Stream(lambda data, _: house.codec.decode(data), False, refusing)
    counts = redrive.redrive(iter(found), [], house.plan, house.codec, stream)
    assert counts == {"left: no room": 1, "sent": 1}
    assert removed == [1]
    # Written anew, by the version that is read.
    assert house.codec.decode(refusing.messages[1][1])["channel"] == "unknown"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--workload", "nothing", "--from", "x", "--to", "kinesis:a"], "workload `nothing` has no features"),
        (["--workload", "churn", "--from", "x", "--to", "kafka:a"], "--to is `kafka:a`; it is kinesis:<name>"),
        (["--workload", "churn", "--from", "x", "--to", "kinesis:a"], "No such file"),
    ],
)
def test_wrong_arguments_are_told(arguments, said, capsys: pytest.CaptureFixture[str], aws):
    assert redrive.main(arguments) == 1
    assert said in capsys.readouterr().err


def test_a_line_that_is_no_json_is_named(tmp_path: Path, aws, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "letters"
    file.write_text("{}\n?\n")
    assert redrive.main(["--workload", "churn", "--from", str(file), "--to", "kinesis:a"]) == 1
    assert f"{file}, line 2" in capsys.readouterr().err
