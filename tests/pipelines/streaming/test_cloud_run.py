"""The processor on Google Cloud: a real server that is pushed to as Pub/Sub pushes, and its sinks."""

import base64
import json
import threading
from collections.abc import Generator
from datetime import UTC, datetime
from json import dumps
from typing import Any

import pytest
import requests
import uvicorn
from ml_pipelines.contracts.registries import PubSubMessages
from ml_pipelines.streaming.cloud_run import application, record_of
from ml_pipelines.streaming.gcp import BigQueryFeatureStore, PubSubPublisher

from .conftest import START, House, free_port


@pytest.fixture
def url(house: House) -> Generator[str]:
    """The service, really served."""
    messages = PubSubMessages(house.codec, None)
    house.processor.decode = lambda record: messages.decode(record.payload, record.attributes)
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application(house.processor), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        pass
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def pushed(payload: bytes, **attributes: str) -> dict[str, Any]:
    published = datetime.fromtimestamp(START / 1000 + 1, UTC).isoformat().replace("+00:00", "Z")
    message = {"data": base64.b64encode(payload).decode(), "messageId": "7", "publishTime": published}
    return {"message": message | ({"attributes": attributes} if attributes else {}), "subscription": "projects/p/s"}


def test_a_pushed_event_is_done_and_a_repeated_one_too(house: House, url: str):
    push = pushed(house.codec.encode(house.event(1), 1))
    assert requests.post(url, json=push, timeout=5).status_code == 204
    assert requests.post(url, json=push, timeout=5).status_code == 204
    assert len({message for _, message in house.out.messages}) == 1
    assert requests.get(f"{url}/health", timeout=5).json()["counts"] == {"decided": 1, "repeated": 1}


def test_poison_is_done_once_it_is_a_dead_letter(house: House, url: str):
    assert requests.post(url, json=pushed(b"poison"), timeout=5).status_code == 204
    (letter,) = house.letters.letters
    assert (letter.reason, letter.position) == ("unknown_schema", "projects/p/s/7")


def test_what_is_not_done_is_asked_for_again(house: House, url: str):
    house.scores.down = {"event-1"}
    push = pushed(house.codec.encode(house.event(1), 1))
    answer = requests.post(url, json=push, timeout=5)
    assert (answer.status_code, answer.json()) == (503, {"error": "scorer: no answer"})
    house.scores.down = set()
    assert requests.post(url, json=push, timeout=5).status_code == 204


@pytest.mark.parametrize("body", [b"", b"[]", b'{"message": 1}', b'{"message": {"data": "?"}}', b"\xff"])
def test_what_is_no_push_is_refused(url: str, body: bytes):
    answer = requests.post(url, data=body, timeout=5)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_arrival_is_when_the_message_was_published(house: House):
    record = record_of(pushed(b"x", key="value"))
    assert (record.arrived_at, record.attributes) == (START + 1000, {"key": "value"})


def test_a_topic_gets_messages_in_the_order_of_their_keys(pubsub_server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_server)
    from google.cloud import pubsub_v1

    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    client, subscriber = pubsub_v1.PublisherClient(publisher_options=options), pubsub_v1.SubscriberClient()
    topic, subscription = "projects/p/topics/decisions", "projects/p/subscriptions/decisions"
    client.create_topic(name=topic)
    subscriber.create_subscription(request={"name": subscription, "topic": topic, "enable_message_ordering": True})
    messages = [(f"card-{n % 2}", str(n).encode()) for n in range(20)]
    assert PubSubPublisher(client, topic).publish(messages) == {}
    received: dict[str, list[int]] = {}
    while sum(map(len, received.values())) < 20:
        for entry in subscriber.pull(subscription=subscription, max_messages=50, timeout=5).received_messages:
            received.setdefault(entry.message.ordering_key, []).append(int(entry.message.data))
            subscriber.acknowledge(subscription=subscription, ack_ids=[entry.ack_id])
    assert received == {"card-0": list(range(0, 20, 2)), "card-1": list(range(1, 20, 2))}


def test_a_topic_that_is_missing_is_told_by_message(pubsub_server: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_server)
    from google.cloud import pubsub_v1

    failed = PubSubPublisher(pubsub_v1.PublisherClient(), "projects/p/topics/missing", ordered=False).publish(
        [("a", b"1"), ("b", b"2")]
    )
    assert failed.keys() == {0, 1}


class Session:
    """Answers for BigQuery, which has no server here: the request is checked, the answer is given."""

    def __init__(self, answer: dict[str, Any]):
        self.answer, self.url, self.rows = answer, "", []

    def post(self, url: str, json: dict[str, Any], timeout: int) -> Any:
        self.url, self.rows = url, json["rows"]
        response = requests.Response()
        response.status_code, response._content = 200, dumps(self.answer).encode()
        return response


def test_bigquery_gets_a_row_for_each_event_and_says_which_it_refuses(house: House):
    session = Session({"insertErrors": [{"index": 1, "errors": [{"message": "no such field"}]}]})
    house.processor.features = BigQueryFeatureStore(session, "p.d.features", "card_id", "event_time", ["event_id"])
    results = house.processor.process([house.record(1), house.record(2, "card-2")])
    assert session.url.endswith("/projects/p/datasets/d/tables/features/insertAll")
    assert session.rows[0]["insertId"] == "card-1/event-1"
    row = session.rows[0]["json"]
    assert row["event_time"] == "2026-01-01T00:00:00.000+00:00"
    assert (row["event_id"], row["transactions_1h"]) == ("event-1", 1)
    assert [str(result.outcome) for result in results] == ["decided", "failed"]
    assert results[1].reason == "features: no such field"
    assert json.dumps(session.rows)
