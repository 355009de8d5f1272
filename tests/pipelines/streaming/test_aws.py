"""The processor on AWS: the handler on records of a real Kinesis API, its sinks and its scorer, and the archive."""

import base64
import json
from typing import Any

import pytest
import requests
from ml_pipelines.streaming import aws_firehose, aws_lambda
from ml_pipelines.streaming.aws import KinesisPublisher, SageMakerFeatureStore, SqsPublisher
from ml_pipelines.streaming.core import Processor
from ml_pipelines.streaming.environment import SettingError, Settings
from ml_pipelines.streaming.scorers import SageMakerScorer
from ml_pipelines.streaming.sinks import Collected, SinkError

from .conftest import House


def kinesis_event(client: Any, stream: str) -> dict[str, Any]:
    """What Lambda hands over of a stream with one shard."""
    shard = client.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    position = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = client.get_records(ShardIterator=position["ShardIterator"])["Records"]
    return {
        "Records": [
            {
                "eventID": f"{shard}:{record['SequenceNumber']}",
                "kinesis": {
                    "data": base64.b64encode(record["Data"]).decode(),
                    "sequenceNumber": record["SequenceNumber"],
                    "partitionKey": record["PartitionKey"],
                    "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
                },
            }
            for record in records
        ]
    }


class Recorded:
    """Stands for the runtime of SageMaker's feature store, which the local server doesn't have."""

    def __init__(self) -> None:
        self.records: list[dict[str, str]] = []

    def put_record(self, FeatureGroupName: str, Record: list[dict[str, str]]) -> None:  # noqa: N803
        self.records.append({part["FeatureName"]: part["ValueAsString"] for part in Record})


@pytest.fixture
def platform(aws, aws_server, monkeypatch, request) -> dict[str, Any]:
    """Streams, queue, table and endpoint, and the environment that names them."""
    name = request.node.name[:40].replace("[", "-").replace("]", "")
    kinesis, sqs, dynamodb = aws("kinesis"), aws("sqs"), aws("dynamodb")
    for stream in (f"{name}-events", f"{name}-decisions"):
        kinesis.create_stream(StreamName=stream, ShardCount=1)
    queue = sqs.create_queue(QueueName=f"{name}-letters")["QueueUrl"]
    dynamodb.create_table(
        TableName=f"{name}-state",
        KeySchema=[{"AttributeName": "entity", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "entity", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    answers = [{"Body": json.dumps({"score": 0.5}), "ContentType": "application/json"}] * 20
    requests.post(
        f"{aws_server}/moto-api/static/sagemaker/endpoint-results",
        json={"account_id": "123456789012", "region": "eu-west-1", "results": answers},
        timeout=10,
    ).raise_for_status()
    variables = {
        "WORKLOAD": "fraud-detection",
        "STATE": f"dynamodb://{name}-state",
        "FEATURE_STORE": "card-activity",
        "DEAD_LETTERS": queue,
        "SCORING_ENDPOINT": "fraud",
        "DECISIONS": f"{name}-decisions",
    }
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    store = Recorded()
    make = aws_lambda.boto3.client
    monkeypatch.setattr(
        aws_lambda.boto3,
        "client",
        lambda service, **options: store if service == "sagemaker-featurestore-runtime" else make(service, **options),
    )
    aws_lambda.processor.cache_clear()
    yield {"kinesis": kinesis, "sqs": sqs, "queue": queue, "name": name, "store": store}
    aws_lambda.processor.cache_clear()


def test_a_batch_is_decided_scored_and_kept_and_poison_goes_to_the_dead_letters(platform, house: House):
    kinesis, name = platform["kinesis"], platform["name"]
    payloads = [house.codec.encode(house.event(n), version) for n, version in ((1, 1), (2, 2))]
    payloads.insert(1, b"poison")
    for payload in payloads:
        kinesis.put_record(StreamName=f"{name}-events", PartitionKey="card-1", Data=payload)
    event = kinesis_event(kinesis, f"{name}-events")
    assert aws_lambda.handler(event, None) == {"batchItemFailures": []}
    decisions = kinesis_event(kinesis, f"{name}-decisions")["Records"]
    documents = [json.loads(base64.b64decode(entry["kinesis"]["data"])) for entry in decisions]
    assert [document["features"]["transactions_1h"] for document in documents] == [1, 2]
    assert [document["answer"] for document in documents] == [{"score": 0.5}] * 2
    (letter,) = platform["sqs"].receive_message(QueueUrl=platform["queue"])["Messages"]
    assert json.loads(letter["Body"])["reason"] == "unknown_schema"
    (record,) = platform["store"].records
    assert record["card_id"] == "card-1"
    assert record["transactions_1h"] == "2"
    # A cold start knows what was decided: the same decisions come again.
    aws_lambda.processor.cache_clear()
    assert aws_lambda.handler(event, None) == {"batchItemFailures": []}
    again = kinesis_event(kinesis, f"{name}-decisions")["Records"][2:]
    assert [entry["kinesis"]["data"] for entry in again] == [entry["kinesis"]["data"] for entry in decisions]


def test_records_that_are_not_done_are_reported_one_by_one(platform, house: House, monkeypatch):
    kinesis, name = platform["kinesis"], platform["name"]
    for number, card in ((1, "card-1"), (2, "card-2")):
        kinesis.put_record(
            StreamName=f"{name}-events", PartitionKey=card, Data=house.codec.encode(house.event(number, card), 1)
        )
    event = kinesis_event(kinesis, f"{name}-events")

    def score(self: Any, entity: str, event_id: str, features: Any) -> Any:
        if entity == "card-2":
            raise SinkError("away")
        return {"score": 0.1}

    monkeypatch.setattr(SageMakerScorer, "score", score)
    number = event["Records"][1]["kinesis"]["sequenceNumber"]
    assert aws_lambda.handler(event, None) == {"batchItemFailures": [{"itemIdentifier": number}]}


def test_features_alone_need_neither_endpoint_nor_decisions(platform, monkeypatch):
    monkeypatch.delenv("SCORING_ENDPOINT")
    with pytest.raises(SettingError, match="SCORING_ENDPOINT: found nothing; SCORING_ENDPOINT and DECISIONS are set"):
        Settings.read()
    monkeypatch.delenv("DECISIONS")
    processor = aws_lambda.processor()
    assert isinstance(processor, Processor)
    assert processor.scorer is processor.decisions is None
    monkeypatch.delenv("STATE")
    monkeypatch.delenv("WORKLOAD")
    with pytest.raises(SettingError, match="WORKLOAD, STATE: found nothing"):
        Settings.read()


def test_streams_and_queues_take_more_than_one_call_holds(aws):
    kinesis, sqs = aws("kinesis"), aws("sqs")
    kinesis.create_stream(StreamName="wide", ShardCount=1)
    messages = [(f"card-{n}", b"x" * 100) for n in range(1100)]
    assert KinesisPublisher(kinesis, "wide").publish(messages) == {}
    assert len(kinesis_event(kinesis, "wide")["Records"]) == 1100
    queue = sqs.create_queue(QueueName="wide")["QueueUrl"]
    assert SqsPublisher(sqs, queue).publish(messages[:25]) == {}
    count = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert count == {"ApproximateNumberOfMessages": "25"}


def test_what_a_service_refuses_is_an_error_of_the_sink(aws):
    with pytest.raises(SinkError, match="ResourceNotFound"):
        KinesisPublisher(aws("kinesis"), "missing").publish([("a", b"b")])
    with pytest.raises(SinkError):
        SqsPublisher(aws("sqs"), "http://127.0.0.1:1/queue").publish([("a", b"b")])


def test_a_feature_group_gets_the_newest_values_of_each_entity(house: House):
    store = Recorded()
    house.processor.features = SageMakerFeatureStore(store, "group", "card_id", "event_time")
    house.processor.process([house.record(1, at=1000), house.record(2, at=500), house.record(3, "card-2", at=0)])
    assert [(record["card_id"], record["event_time"]) for record in store.records] == [
        # The second one counts when it comes, a microsecond after the first: an earlier time would not be taken.
        ("card-1", "1767225601.000001"),
        ("card-2", "1767225600.000000"),
    ]
    assert isinstance(house.out, Collected)


def firehose(*payloads: bytes) -> dict[str, Any]:
    return {
        "records": [
            {
                "recordId": f"r{number}",
                "data": base64.b64encode(payload).decode(),
                "kinesisRecordMetadata": {
                    "sequenceNumber": f"4961{number}",
                    "approximateArrivalTimestamp": 1_767_225_600_123,
                },
            }
            for number, payload in enumerate(payloads)
        ]
    }


def test_the_archive_gets_rows_with_their_arrival_and_reports_what_it_cannot_read(aws, monkeypatch, house: House):
    monkeypatch.setenv("WORKLOAD", "fraud-detection")
    aws_firehose._frames.cache_clear()
    whole = house.codec.encode(house.event(1, at=1234), 1)
    answer = aws_firehose.handler(firehose(whole, whole[:-1]), None)["records"]
    assert [entry["result"] for entry in answer] == ["Ok", "ProcessingFailed"]
    line = base64.b64decode(answer[0]["data"])
    assert line.endswith(b"\n")
    row = json.loads(line)
    assert row["event_time"] == "2026-01-01 00:00:01.234"
    assert row["arrived_at"] == 1_767_225_600_123
    assert row["sequence"] == "49610".rjust(56, "0")
    assert row["channel"] == "unknown"
    assert base64.b64decode(answer[1]["data"]) == whole[:-1]
