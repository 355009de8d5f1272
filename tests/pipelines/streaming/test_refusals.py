"""What can go wrong with an event beyond its contract: it is kept with its reason, and others go on."""

import json
import threading
from collections.abc import Callable, Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ml_pipelines.features.online import Plan
from ml_pipelines.streaming.core import Processor, Record
from ml_pipelines.streaming.dead_letters import CollectedDeadLetters
from ml_pipelines.streaming.scorers import HttpScorer, RefusedError, open_scorer
from ml_pipelines.streaming.sinks import Collected, SinkError, partition_key
from ml_pipelines.streaming.state.memory import MemoryStore

from .conftest import House

MINUTE = 60_000


def outcomes(results: list[Any]) -> list[str]:
    return [f"{result.outcome} {result.reason}".strip() for result in results]


def test_a_name_that_is_too_long_for_a_key_is_out_of_range(house: House):
    results = house.processor.process([house.record(1, "ü" * 513), house.record(2, "ü" * 512), house.record(3, "")])
    assert outcomes(results) == ["dead_lettered out_of_range", "decided", "decided"]
    assert house.letters.letters[0].detail == "the entity's name has 1026 bytes; at most 1024"


@pytest.mark.parametrize("key", ["", "a" * 129, "ü" * 65])
def test_a_key_that_a_stream_does_not_take_is_stood_for(key: str):
    assert len(partition_key(key, 128)) == 64
    assert partition_key("card-1", 128) == "card-1"


def test_windows_of_another_plan_are_left_alone(make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch):
    store = MemoryStore()
    house = make_house(store)
    house.processor.process([house.record(1)])
    house.plan.fingerprint = "another"
    changed = house.another()
    (result,) = changed.process([house.record(2, at=MINUTE)])
    assert json.loads(result.decision or b"")["features"]["transactions_1h"] == 1
    assert len(store) == 2


def test_an_item_that_can_not_be_read_stops_its_entity_only(make_house: Callable[..., House]):
    store = MemoryStore()
    house = make_house(store)
    house.processor.process([house.record(1)])
    ((key, (_, version)),) = store._items.items()
    for data in (b"", b"zfoo", b"p\x00\x00\x00\x02{}[1]", b"p\x00\x00\x00\x02{}{}", b"\xff" * 40):
        version = store.put(key, data, version, MINUTE)
        results = house.another().process([house.record(2, at=MINUTE), house.record(3, "card-2")])
        assert outcomes(results)[0] == "dead_lettered state_unreadable"
        assert outcomes(results)[1] in ("decided", "repeated")
        assert store.get(key) == (data, version)


def test_old_decisions_go_before_a_store_is_full_and_their_events_stay_known(make_house: Callable[..., House]):
    store = MemoryStore()
    store.maximum_bytes = 2500
    house = make_house(store)
    for n in range(150):
        (result,) = house.processor.process([house.record(n, at=n * 1000)])
        assert outcomes([result]) == ["decided"]
    ((data, _),) = store._items.values()
    assert len(data) <= 2500
    house.scores.asked.clear()
    first, last = house.another().process([house.record(0), house.record(149, at=149_000)])
    assert (outcomes([first]), first.decision) == (["repeated"], None)
    assert last.decision == result.decision
    assert house.scores.asked == []


def test_an_entity_whose_windows_no_store_takes_is_refused_and_what_is_stored_stays(make_house: Callable[..., House]):
    store = MemoryStore()
    store.maximum_bytes = 800
    house = make_house(store)
    results = [house.processor.process([house.record(n, at=n * 1000)])[0] for n in range(300)]
    found = outcomes(results)
    assert set(found) == {"decided", "dead_lettered state_too_large"}
    assert found[0] == "decided"
    assert found[-1] == "dead_lettered state_too_large"
    assert "the store takes 800" in house.letters.letters[-1].detail
    assert outcomes(house.processor.process([house.record(1000, "card-2")])) == ["decided"]


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "in memory"])
def test_an_event_that_features_can_not_be_computed_of_is_set_aside(make_house, stored, monkeypatch):
    update = Plan.update

    def failing(plan: Plan, state: Any, event: Mapping[str, Any], arrived_at: int) -> Any:
        if event["event_id"] == "event-2":
            raise OverflowError("too much")
        return update(plan, state, event, arrived_at)

    house = make_house(MemoryStore() if stored else None)
    batch = [house.record(n, at=n * MINUTE) for n in (1, 2, 3)]
    monkeypatch.setattr(Plan, "update", failing)
    results = house.processor.process(batch)
    assert [result.reason for result in results] == ["", "not_computable", ""]
    decisions = [json.loads(result.decision)["features"]["transactions_1h"] for result in results if result.decision]
    assert decisions == [1, 2]
    assert house.letters.letters[0].detail == "OverflowError: too much"


def test_a_registry_that_is_away_leaves_its_events_and_no_others(house: House):
    decode = house.processor.decode

    def registered(record: Record) -> Mapping[str, Any]:
        if record.position == "shard-0/2":
            raise ConnectionError("no registry")
        return decode(record)

    house.processor.decode = registered
    results = house.processor.process([house.record(1), house.record(2, "card-2"), house.record(3, "card-3")])
    assert outcomes(results) == ["decided", "failed decode: ConnectionError: no registry", "decided"]
    assert house.letters.letters == []


@pytest.mark.parametrize("stored", [True, False], ids=["stored", "in memory"])
def test_an_event_is_scored_later_by_the_features_that_it_had(make_house: Callable[..., House], stored: bool):
    house = make_house(MemoryStore() if stored else None)
    house.processor.process([house.record(1)])
    house.scores.down = {"event-2"}
    house.processor.process([house.record(2, at=MINUTE)])
    house.scores.down = set()
    later, again = house.processor.process([house.record(3, at=2 * MINUTE), house.record(2, at=MINUTE)])
    counted = [json.loads(result.decision)["features"]["transactions_1h"] for result in (later, again)]
    assert counted == [3, 2]
    assert outcomes([later, again]) == ["decided", "decided"]
    assert house.out.features["card-1"]["transactions_1h"] == 3


def test_a_scorer_that_does_not_answer_is_not_waited_for_by_everybody(make_house: Callable[..., House]):
    house = make_house(MemoryStore())
    batch = [house.record(n, f"card-{n}") for n in range(20)]
    house.scores.down = {f"event-{n}" for n in range(20)}
    results = house.processor.process(batch)
    assert {result.outcome for result in results} == {"failed"}
    assert len(house.scores.asked) == 3
    house.scores.down = set()
    assert outcomes(house.processor.process(batch)) == ["decided"] * 20


def test_entities_side_by_side_give_what_one_after_the_other_gives(make_house: Callable[..., House]):
    house = make_house()
    batches = [
        [house.record(b * 40 + n, f"card-{n % 9}", at=(b * 40 + n) * 1000) for n in range(40)] for b in range(10)
    ]

    def decided(at_once: int, threads: int) -> set[bytes | None]:
        found = Collected()
        store = MemoryStore()
        processors = [
            Processor(
                house.plan,
                lambda record: house.codec.decode(record.payload),
                store,
                CollectedDeadLetters(),
                found,
                house.scores,
                found,
                at_once=at_once,
            )
            for _ in range(threads)
        ]
        results: list[Any] = []
        for batch in batches:
            # All of them get the whole batch, as when a stream is being divided anew.
            running = [
                threading.Thread(target=lambda p=processor, b=batch: results.extend(p.process(b)))
                for processor in processors
            ]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
        assert not [result for result in results if result.outcome == "failed"]
        return {result.decision for result in results}

    alone = decided(at_once=1, threads=1)
    assert len(alone) == 400
    assert decided(at_once=8, threads=1) == alone
    assert decided(at_once=4, threads=3) == alone


class Scoring(BaseHTTPRequestHandler):
    """Answers with what the test has put into `answers`, the last one for good."""

    protocol_version = "HTTP/1.1"
    answers: list[tuple[int, bytes]]
    asked: list[tuple[str | None, Any]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.headers["Authorization"], json.loads(body)))
        status, answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def scoring() -> Generator[type[Scoring]]:
    """A scoring service by HTTP."""
    handler = type("Handler", (Scoring,), {"answers": [(200, b'{"score": 0.5}')], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    handler.url = f"http://127.0.0.1:{server.server_port}/score"
    yield handler
    server.shutdown()


def test_a_scoring_service_is_asked_with_a_token_and_again_if_it_fails(scoring: Any):
    scoring.answers = [(503, b""), (429, b""), (200, b'{"score": 0.25}')]
    scorer = HttpScorer(scoring.url, lambda: "token")
    assert scorer.score("card-1", "event-1", {"amount_1h": 1.5}) == {"score": 0.25}
    assert (
        scoring.asked
        == [("Bearer token", {"event_id": "event-1", "entity": "card-1", "features": {"amount_1h": 1.5}})] * 3
    )


@pytest.mark.parametrize(
    ("answers", "times", "error"),
    [
        ([(500, b"")], 3, SinkError),
        ([(401, b"")], 1, SinkError),
        ([(404, b"")], 1, SinkError),
        ([(200, b"no json")], 1, SinkError),
        ([(422, b"amount_1h is missing")], 1, RefusedError),
    ],
)
def test_what_a_scoring_service_does_not_answer(scoring: Any, answers, times, error):
    scoring.answers = answers
    with pytest.raises(error):
        HttpScorer(scoring.url).score("card-1", "event-1", {})
    assert len(scoring.asked) == times


def test_vertex_ai_is_asked_for_lists(scoring: Any):
    url = scoring.url.replace("/score", "/v1/projects/p/locations/l/endpoints/1:predict")
    scoring.answers = [
        (200, b'{"predictions": [{"score": 0.25}], "deployedModelId": "7"}'),
        (200, b'{"predictions": []}'),
    ]
    assert HttpScorer(url).score("card-1", "event-1", {"amount": 1.5}) == {"score": 0.25}
    assert scoring.asked[0][1] == {
        "instances": [{"event_id": "event-1", "entity": "card-1", "features": {"amount": 1.5}}]
    }
    with pytest.raises(SinkError, match="isn't one to 1 rows"):
        HttpScorer(url).score("card-1", "event-1", {})


def test_an_endpoint_that_can_not_be_one_is_refused():
    with pytest.raises(ValueError, match="SCORING_ENDPOINT: found `ftp://x`"):
        open_scorer("ftp://x")


def test_a_token_that_can_not_be_had_is_no_answer():
    def token() -> str:
        raise RuntimeError("no metadata server")

    with pytest.raises(SinkError, match="no metadata server"):
        HttpScorer("http://127.0.0.1:1", token).score("card-1", "event-1", {})


def test_what_a_scorer_refuses_is_a_dead_letter_and_its_event_counts(scoring: Any, make_house: Callable[..., House]):
    house = make_house(MemoryStore())
    scoring.answers = [(422, b"no"), (200, b"1")]
    house.processor.scorer = HttpScorer(scoring.url)
    results = house.processor.process([house.record(1), house.record(2, at=MINUTE)])
    assert [result.reason for result in results] == ["scorer_refused", ""]
    assert json.loads(results[1].decision or b"")["features"]["transactions_1h"] == 2
    assert house.letters.letters[0].detail.endswith("422 Unprocessable Entity: no")
    again = house.processor.process([house.record(1)])
    assert json.loads(again[0].decision or b"")["answer"] == 1
