"""The processor on Azure: real EventData through the consumer's callback, and Redis. A hub has no server here."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from azure.eventhub import EventData
from ml_pipelines.streaming.azure import EventHubPublisher, RedisFeatureStore
from ml_pipelines.streaming.azure_identity import arguments
from ml_pipelines.streaming.event_hubs import record_of, take
from ml_pipelines.streaming.redis_client import EntraCredentials

from .conftest import START, House


class Context:
    """A partition, and how far its checkpoint is."""

    partition_id = "3"

    def __init__(self) -> None:
        self.checkpoint: Any = None

    async def update_checkpoint(self, event: Any) -> None:
        self.checkpoint = event


def arrived(payload: bytes, number: int) -> EventData:
    """An event as the service delivers it: with its place and time."""
    event = EventData(payload)
    event.raw_amqp_message.annotations = {b"x-opt-sequence-number": number, b"x-opt-enqueued-time": START + 1000}
    return event


def test_an_event_says_where_and_when_it_arrived(house: House):
    event = arrived(b"x", 5)
    assert event.enqueued_time == datetime.fromtimestamp(START / 1000 + 1, UTC)
    record = record_of(event, "3")
    assert (record.payload, record.arrived_at, record.position) == (b"x", START + 1000, "3/5")


def test_a_checkpoint_moves_only_past_what_is_done(house: House):
    context = Context()
    events = [arrived(house.codec.encode(house.event(n), 1), n) for n in range(3)]
    house.scores.down = {"event-2"}

    async def run() -> None:
        task = asyncio.create_task(take(house.processor, context, events, wait=0.02))
        await asyncio.sleep(0.2)
        assert context.checkpoint is None
        house.scores.down = set()
        await task

    asyncio.run(run())
    assert context.checkpoint is events[-1]
    decisions = {json.loads(message)["event_id"] for _, message in house.out.messages}
    assert decisions == {"event-0", "event-1", "event-2"}


def test_nothing_moves_no_checkpoint(house: House):
    context = Context()
    asyncio.run(take(house.processor, context, []))
    assert context.checkpoint is None


def test_redis_holds_the_latest_features_and_never_older_ones(house: House, redis_url: str):
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.flushdb()
    house.processor.features = RedisFeatureStore(client, "fraud-detection", 3_600_000)
    house.processor.process([house.record(1, at=1000)])
    # Out of order by its own time, and the latest all the same: what the next event is scored with counts it.
    house.processor.process([house.record(2, at=0, arrived=1500)])
    house.processor.process([house.record(1, at=1000)])
    kept = client.hgetall("features:fraud-detection:card-1")
    assert kept["event_time"] == str(START)
    assert kept["transactions_1h"] == "2"
    house.processor.process([house.record(3, at=2000)])
    assert client.hgetall("features:fraud-detection:card-1")["transactions_1h"] == "3"
    assert 0 < client.pttl("features:fraud-detection:card-1") <= 3_600_000


class Producer:
    """What is sent, by key."""

    def __init__(self, refuses: str = ""):
        self.sent: dict[str, list[bytes]] = {}
        self.refuses = refuses

    def send_batch(self, events: list[EventData], partition_key: str) -> None:
        if partition_key == self.refuses:
            raise ValueError("too large")
        self.sent.setdefault(partition_key, []).extend(b"".join(event.body) for event in events)


def test_a_hub_gets_the_messages_of_a_key_together_and_says_what_it_refuses():
    producer = Producer(refuses="b")
    failed = EventHubPublisher(producer).publish([("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert producer.sent == {"a": [b"1", b"3"]}
    assert failed == {1: "too large"}


def test_redis_is_told_who_asks_by_the_token():
    import base64

    claims = base64.urlsafe_b64encode(json.dumps({"oid": "object"}).encode()).decode().rstrip("=")

    class Credential:
        def get_token(self, scope: str) -> Any:
            assert scope == "https://redis.azure.com/.default"
            return type("Token", (), {"token": f"head.{claims}.tail"})

    assert EntraCredentials(Credential()).get_credentials() == ("object", f"head.{claims}.tail")


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("1234-client", {"client_id": "1234-client"}),
        ("/subscriptions/s/x", {"identity_config": {"mi_res_id": "/subscriptions/s/x"}}),
    ],
)
def test_an_identity_is_a_client_id_or_a_resource_id(identity, expected):
    assert arguments(identity) == expected
