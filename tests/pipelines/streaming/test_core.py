"""The core: every event becomes one decision or one dead letter, whatever fails on the way."""

import base64
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from ml_pipelines.contracts import catalog
from ml_pipelines.contracts.codec import Codec
from ml_pipelines.contracts.errors import Reason
from ml_pipelines.features.online import Plan
from ml_pipelines.streaming.core import Outcome, Processor, Record
from ml_pipelines.streaming.dead_letters import CollectedDeadLetters
from ml_pipelines.streaming.sinks import Collected, SinkError
from ml_pipelines.streaming.state.memory import MemoryStore
from ml_pipelines.streaming.state.store import StoreError

from .conftest import START, House

MINUTE, HOUR = 60_000, 3_600_000


def outcomes(results: list[Any]) -> list[str]:
    return [f"{result.outcome}" + (f" {result.reason}" if result.reason else "") for result in results]


def test_events_are_decided_with_their_features_and_handed_on_in_order(house: House):
    results = house.processor.process([house.record(n, at=n * MINUTE) for n in range(3)])
    assert outcomes(results) == ["decided"] * 3
    decisions = [json.loads(message) for _, message in house.out.messages]
    assert [decision["event_id"] for decision in decisions] == ["event-0", "event-1", "event-2"]
    assert [decision["features"]["transactions_1h"] for decision in decisions] == [1, 2, 3]
    assert decisions[2]["features"]["amount_1h"] == 33.0
    assert decisions[2]["answer"] == {"score": 0.033}
    assert [key for key, _ in house.out.messages] == ["card-1"] * 3
    assert house.out.features["card-1"]["transactions_1h"] == 3
    assert house.processor.counts == {"decided": 3}


@pytest.mark.parametrize("states", [None, MemoryStore()], ids=["in memory", "stored"])
def test_a_repeated_event_gets_the_same_decision_and_changes_nothing(make_house: Callable[..., House], states):
    house = make_house(states)
    first, *_ = house.processor.process([house.record(1), house.record(2, at=MINUTE)])
    house.scores.asked.clear()
    again = house.processor.process([house.record(1, arrived=5 * MINUTE)])
    assert outcomes(again) == ["repeated"]
    assert again[0].decision == first.decision
    assert house.out.messages[-1] == ("card-1", first.decision)
    assert house.scores.asked == []
    assert house.out.features["card-1"]["transactions_1h"] == 2


def test_duplicates_within_a_batch_are_decided_once(house: House):
    results = house.processor.process([house.record(1), house.record(1), house.record(1)])
    assert outcomes(results) == ["decided", "repeated", "repeated"]
    assert len({result.decision for result in results}) == 1
    assert house.scores.asked == ["event-1"]


def test_without_a_scorer_events_keep_the_features_only(make_house: Callable[..., House]):
    house = make_house(score=False)
    results = house.processor.process([house.record(1)])
    assert outcomes(results) == ["decided"]
    assert house.out.messages == []
    assert house.out.features["card-1"]["transactions_1h"] == 1


def bad_payloads(house: House) -> dict[Reason, Record]:
    whole = house.record(1).payload
    event = house.event(1)

    def json_like(**fields: Any) -> bytes:
        return json.dumps(event | fields).encode()

    records = {
        Reason.TRUNCATED: whole[:-3],
        Reason.TRAILING_BYTES: whole + b"\x00",
        Reason.UNKNOWN_SCHEMA: b"\xc3\x01" + b"\x00" * 8 + whole[10:],
        Reason.INVALID_UTF8: whole.replace(b"EUR", b"\xff\xfe\xfd"),
        Reason.TOO_LARGE: whole + b"\x00" * 10 * 1024 * 1024,
        Reason.NOT_FINITE: _with_amount(house, math.inf),
    }
    return {reason: Record(payload, START + 20, f"shard-0/{reason}") for reason, payload in records.items()}


def _with_amount(house: House, amount: float) -> bytes:
    import struct

    marker = 1234.5
    payload = house.codec.encode(house.event(1, amount=marker), 1)
    return payload.replace(struct.pack("<d", marker), struct.pack("<d", amount))


def test_bad_events_are_counted_and_kept_with_their_reason_while_the_batch_goes_on(house: House):
    bad = bad_payloads(house)
    records = [house.record(1)]
    for number, record in enumerate(bad.values(), start=2):
        records += [record, house.record(number, at=number * 1000)]
    results = house.processor.process(records)
    assert outcomes(results[::2]) == ["decided"] * (len(bad) + 1)
    assert outcomes(results[1::2]) == [f"dead_lettered {reason}" for reason in bad]
    assert {letter.reason: letter.position for letter in house.letters.letters} == {
        str(reason): f"shard-0/{reason}" for reason in bad
    }
    for reason in bad:
        assert house.processor.counts[f"dead_lettered.{reason}"] == 1
    for letter, record in zip(house.letters.letters, bad.values(), strict=True):
        document = json.loads(letter.document())
        assert len(letter.document()) < 1024 * 1024
        assert document["whole"] is (len(record.payload) < 700 * 1024)
        assert record.payload.startswith(base64.b64decode(document["payload"]))
        assert document["size"] == len(record.payload)
        assert document["detail"]


@pytest.mark.parametrize("amount", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_dead_letters(house: House, amount):
    record = Record(_with_amount(house, amount), START, "shard-0/1")
    assert outcomes(house.processor.process([record])) == ["dead_lettered not_finite"]


def test_times_in_the_future_and_late_events_are_dead_letters_and_move_no_clock(house: House):
    results = house.processor.process(
        [
            house.record(1, at=10 * HOUR),
            house.record(2, at=20 * HOUR, arrived=10 * HOUR),
            house.record(3, at=8 * HOUR, arrived=10 * HOUR),
            house.record(4, at=10 * HOUR - 30 * MINUTE, arrived=10 * HOUR + 1),
            house.record(5, at=10 * HOUR + 2),
        ]
    )
    assert outcomes(results) == ["decided", "dead_lettered far_future", "dead_lettered late", "decided", "decided"]
    assert json.loads(results[4].decision or b"")["features"]["transactions_1h"] == 3
    details = [letter.detail for letter in house.letters.letters]
    assert "36000000 ms after its arrival; 300000 ms are allowed" in details[0]
    assert "more than 3600000 ms before" in details[1]


def test_an_event_without_an_answer_waits_and_those_after_it_too(make_house: Callable[..., House]):
    house = make_house(MemoryStore())
    house.scores.down = {"event-2"}
    batch = [house.record(n, at=n * MINUTE) for n in (1, 2, 3)] + [house.record(9, "card-2", at=MINUTE)]
    results = house.processor.process(batch)
    assert outcomes(results) == ["decided", *["failed scorer: no answer"] * 2, "decided"]
    house.scores.down = set()
    again = house.processor.process(batch)
    assert outcomes(again) == ["repeated", "decided", "decided", "repeated"]
    assert again[0].decision == results[0].decision
    undisturbed = make_house(MemoryStore())
    expected = undisturbed.processor.process(batch)
    assert [result.decision for result in again] == [result.decision for result in expected]


class Failing:
    """A sink or store of which some calls fail, before or after the work is done."""

    def __init__(self, inner: Any, method: str, error: Exception, after: bool = False):
        self._inner, self._method, self._error, self._after = inner, method, error, after
        self.broken = True

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._method or not self.broken:
            return found

        def fail(*arguments: Any) -> Any:
            if self._after:
                found(*arguments)
            raise self._error

        return fail


@pytest.mark.parametrize(
    ("part", "method", "error"),
    [
        ("features", "write", SinkError("away")),
        ("decisions", "publish", SinkError("away")),
        ("dead_letters", "bury", SinkError("away")),
        ("states", "put", StoreError("away")),
        ("states", "get", StoreError("away")),
    ],
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_whatever_is_away_is_made_up_for_with_the_same_decisions(make_house, part, method, error, after):
    house = make_house(MemoryStore())
    batch = [house.record(n, f"card-{n % 2}", at=n * MINUTE) for n in range(4)] + [Record(b"?", START, "shard-0/9")]
    failing = Failing(getattr(house.processor, part), method, error, after)
    setattr(house.processor, part, failing)
    first = house.processor.process(batch)
    assert any(result.outcome is Outcome.FAILED for result in first)
    failing.broken = False
    again = house.processor.process(batch)
    assert not any(result.outcome is Outcome.FAILED for result in again)
    expected = make_house(MemoryStore()).processor.process(batch)
    assert [result.decision for result in again] == [result.decision for result in expected]
    decided = {message for _, message in house.out.messages}
    assert decided == {result.decision for result in expected if result.decision}
    assert house.letters.letters[-1].payload == b"?"


def test_a_race_for_an_entity_is_run_again_on_what_the_other_wrote(make_house: Callable[..., House]):
    house = make_house(MemoryStore())
    other = house.another()
    house.processor.process([house.record(1)])
    other.process([house.record(2, at=MINUTE)])
    results = house.processor.process([house.record(3, at=2 * MINUTE)])
    assert outcomes(results) == ["decided"]
    assert house.processor.counts["races"] == 1
    assert json.loads(results[0].decision or b"")["features"]["transactions_1h"] == 3
    assert outcomes(other.process([house.record(3, at=2 * MINUTE)])) == ["repeated"]


def test_a_race_that_is_lost_again_and_again_leaves_the_event(make_house: Callable[..., House]):
    class Contested(MemoryStore):
        def put(self, entity: str, data: bytes, expected: int | None, ttl_ms: int) -> int | None:
            return None

    house = make_house(Contested())
    assert outcomes(house.processor.process([house.record(1)])) == [
        "failed another processor changed `card-1` 5 times meanwhile"
    ]
    assert house.out.messages == []


def test_memory_stays_bounded_in_entities_and_in_what_is_kept_of_each(make_house: Callable[..., House]):
    house = make_house(MemoryStore())
    house.processor.cached_entities = 10
    for n in range(200):
        house.processor.process([house.record(n, f"card-{n}", at=n * 1000)])
    assert len(house.processor._cache) == 10
    for n in range(1000, 1400):
        house.processor.process([house.record(n, "hot", at=n * HOUR)])
    assert len(house.processor._cache["hot"].decided) < 60
    alone = make_house()
    for n in range(200):
        alone.processor.process([alone.record(n, f"card-{n}", at=n * HOUR)])
    assert len(alone.processor._cache) < 60


def test_a_scorer_is_asked_with_what_the_event_says_and_its_features(make_house: Callable[..., House]):
    house = make_house()
    asked: list[dict[str, Any]] = []

    class Asked:
        def score(self, entity: str, event_id: str, features: dict[str, Any]) -> Any:
            asked.append(features)
            return {"score": 0.5}

    house.processor.scorer = Asked()
    (result,) = house.processor.process([house.record(1, amount=12.5, country="FR")])
    own = {"amount": 12.5, "merchant_category": "5411", "country": "FR", "card_present": True, "channel": "unknown"}
    # The hour follows from the time.
    own |= {"event_time": START}
    assert own.items() <= asked[0].items()
    # Neither key nor id, and the feature store gets features alone.
    assert asked[0].keys() == own.keys() | house.plan.features.keys()
    assert json.loads(result.decision or b"")["features"].keys() == house.plan.features.keys()


@pytest.mark.parametrize(
    ("workload", "inputs"),
    [("delivery-eta", ("distance_km", "items", "hour", "day")), ("personalization", ("user_id", "item_id", "genres"))],
)
def test_an_outcome_is_never_an_input(workload, inputs):
    # Neither the minutes of a delivery nor the stars of a rating, which the events have.
    assert Plan.load(workload).inputs == inputs


def test_an_order_that_was_announced_counts_when_it_comes_again_with_its_outcome():
    plan = Plan.load("delivery-eta")
    codec = Codec(catalog.contract(plan.contract), plan.version)
    out, letters = Collected(), CollectedDeadLetters()
    processor = Processor(plan, lambda record: codec.decode(record.payload), MemoryStore(), letters, out)
    order = {"order_id": "order-1", "restaurant_id": "inn", "event_time": START, "distance_km": 2.0, "items": 3}
    order |= {"hour": 12.0, "day": "Mon"}

    def arrives(minutes: float | None) -> str:
        payload = codec.encode(order | {"minutes": minutes})
        return str(processor.process([Record(payload, START + 60_000, "0/1")])[0].outcome)

    assert [arrives(None), arrives(None)] == ["announced", "announced"]
    assert (out.features, letters.letters) == ({}, [])
    assert [arrives(30.0), arrives(31.0), arrives(None)] == ["decided", "repeated", "repeated"]
    kept = {name: out.features["inn"][name] for name in plan.features}
    assert kept == {"orders_1h": 1, "mean_minutes_2h": 30.0, "mean_distance_2h": 2.0}
