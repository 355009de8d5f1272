"""The plan of the stream: which events count, what a state keeps, and that it stays small."""

import json
import math
import random
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_pipelines.features.aggregates import FloatMean, FloatSum
from ml_pipelines.features.definitions import load
from ml_pipelines.features.incremental import compile_plan
from ml_pipelines.features.online import Plan, StateError, Status

from .conftest import DAY, HOUR, MINUTE, START


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan.load("fraud-detection")


def payment(number: int, time: int, **fields) -> dict:
    event = {"event_id": f"payment-{number}", "card_id": "card", "event_time": time, "amount": 10.0, "currency": "EUR"}
    event |= {"merchant_id": "shop", "merchant_category": "5411", "country": "DE", "card_present": True}
    return {**event, "channel": "chip", **fields}


def take(plan, state, *events):
    """The last of the updates by these events, which arrive when they happen."""
    for event in events:
        update = plan.update(state, event, event["event_time"])
    return update


def test_the_first_event_of_an_entity(plan):
    update = take(plan, plan.new_state(), payment(1, START))
    assert update.status is Status.ADMITTED
    assert update.values == {
        "transactions_1h": 1,
        "amount_1h": 10.0,
        "largest_amount_1h": 10.0,
        "merchants_24h": 1,
        "seconds_since_last": None,
        "abroad_share_24h": 0.0,
    }
    assert {type(value) for value in update.values.values()} == {int, float, type(None)}


def test_both_ends_of_a_window_belong_to_it(plan):
    state = plan.new_state()
    assert take(plan, state, payment(1, START), payment(2, START + HOUR)).values["transactions_1h"] == 2
    assert take(plan, state, payment(3, START + HOUR + 1)).values["transactions_1h"] == 2


def test_an_event_that_is_out_of_order_counts_at_the_clock_of_its_entity(plan):
    state = plan.new_state()
    take(plan, state, payment(1, START), payment(2, START + 2 * HOUR))
    update = take(plan, state, payment(3, START + HOUR))
    assert update.status is Status.ADMITTED
    assert update.values["transactions_1h"] == 2
    assert update.values["seconds_since_last"] == 0.0


def test_an_event_is_late_beyond_the_allowed_lateness(plan):
    state = plan.new_state()
    take(plan, state, payment(1, START + HOUR))
    assert take(plan, state, payment(2, START)).status is Status.ADMITTED
    before = plan.dump(state)
    assert take(plan, state, payment(3, START - 1)) == (Status.LATE, {})
    assert plan.dump(state) == before


def test_an_event_of_the_far_future_does_not_move_the_clock(plan):
    state = plan.new_state()
    take(plan, state, payment(1, START))
    before = plan.dump(state)
    assert plan.update(state, payment(2, START + 5 * MINUTE + 1), START).status is Status.FAR_FUTURE
    assert plan.dump(state) == before
    assert plan.update(state, payment(2, START + 5 * MINUTE), START).status is Status.ADMITTED


def test_a_repeated_event_is_known_as_long_as_a_stream_repeats(plan):
    state = plan.new_state()
    take(plan, state, payment(1, START))
    assert take(plan, state, payment(1, START)).status is Status.DUPLICATE
    take(plan, state, payment(2, START + plan.remembered_ms))
    state = plan.load_state(plan.dump(state))
    assert take(plan, state, payment(1, START)).status is Status.DUPLICATE
    take(plan, state, payment(3, START + plan.remembered_ms + 1))
    assert take(plan, state, payment(1, START)).status is Status.LATE


def test_an_id_is_made_of_all_its_fields():
    feature_set = load("delivery-eta")
    document = compile_plan(feature_set) | {"event_id": ["order_id", "day"]}
    plan = Plan(document)
    assert plan.id_of({"order_id": 'a"b', "day": "c"}) != plan.id_of({"order_id": "a", "day": 'b"c'})
    state = plan.new_state()
    event = {"order_id": "1", "day": "Mon", "event_time": START, "distance_km": 1.0, "minutes": 30.0}
    statuses = [take(plan, state, {**event, "day": day}).status for day in ("Mon", "Tue", "Mon")]
    assert statuses == [Status.ADMITTED, Status.ADMITTED, Status.DUPLICATE]


def test_an_event_that_lacks_a_field_changes_nothing(plan):
    state = plan.new_state()
    take(plan, state, payment(1, START))
    before = plan.dump(state)
    event = payment(2, START + 1)
    del event["amount"]
    with pytest.raises(KeyError, match="amount"):
        take(plan, state, event)
    assert plan.dump(state) == before


def test_a_state_keeps_nothing_that_is_older_than_it_matters(plan):
    state, sizes = plan.new_state(), []
    for number in range(5000):
        take(plan, state, payment(number, START + number * 10 * MINUTE))
        sizes.append(len(plan.dump(state)))
        kept = plan.remembered_ms // (10 * MINUTE) + 1
        assert len(state) <= kept
        assert len(state.keys) <= 2 * kept + 64
    assert max(sizes[1000:]) < 1.1 * sizes[1000]
    assert len(state.seen) == len(state)


def test_a_state_is_the_same_after_it_was_written_down(plan):
    draws, state, time = random.Random(1), plan.new_state(), START
    for number in range(2000):
        time += draws.randint(0, HOUR)
        event = payment(number, time, amount=draws.uniform(0, 1e4), merchant_id=f"shop-{draws.randint(0, 9)}")
        restored = plan.load_state(plan.dump(state))
        assert take(plan, restored, event) == take(plan, state, event)
        assert plan.dump(restored) == plan.dump(state)


def test_a_long_state_is_compressed(plan):
    state = plan.new_state()
    for number in range(1000):
        take(plan, state, payment(number, START + number))
    data = plan.dump(state)
    assert len(data) < 16_384
    assert len(plan.load_state(data)) == 1000


def test_more_events_in_a_millisecond_than_it_has_keys_stay_in_order(plan):
    state = plan.new_state()
    for number in range(3000):
        update = take(plan, state, payment(number, START))
        assert update.values["transactions_1h"] == number + 1
    assert take(plan, state, payment(3000, START + 1)).values["transactions_1h"] == 3001


@pytest.mark.parametrize("data", [b"", b"[]", b"[1,2]", b"{}", b"\x00\x01", b'["x"', b"[" * 100_000, b"7"])
def test_bytes_that_are_no_state_are_refused(plan, data):
    with pytest.raises(StateError, match="no state of `fraud-detection`"):
        plan.load_state(data)


def test_a_state_of_another_plan_is_refused_with_what_to_do(plan):
    document = compile_plan(load("fraud-detection"))
    document["frames"][0]["since"] *= 2
    other = Plan(document)
    with pytest.raises(
        StateError, match=f"plan {plan.fingerprint}.*now has plan {other.fingerprint}.*replay the last 49 hours"
    ):
        other.load_state(plan.dump(plan.new_state()))


def test_a_state_outlives_a_change_of_what_is_computed_of_it(plan):
    document = compile_plan(load("fraud-detection"))
    document["features"]["doubled"] = {"type": "float", "value": ["multiply", ["aggregate", 1], ["literal", 2.0]]}
    state = plan.new_state()
    take(plan, state, payment(1, START))
    changed = Plan(document)
    update = take(changed, changed.load_state(plan.dump(state)), payment(2, START + 1))
    assert update.values["doubled"] == 40.0


def test_a_plan_of_another_format_is_refused():
    with pytest.raises(ValueError, match="format 2, this version reads 1: compile it again"):
        Plan({**compile_plan(load("churn")), "format": 2})


def test_a_workload_without_features_is_refused():
    with pytest.raises(LookupError, match=r"`cooking` has no features.*churn, .*fraud-detection"):
        Plan.load("cooking")


def test_the_horizon_covers_windows_lateness_and_the_delay_of_a_stream(plan):
    assert plan.horizon_ms == DAY + HOUR + DAY
    assert Plan.load("personalization").horizon_ms == 30 * DAY + HOUR + DAY
    assert Plan.load("credit-scoring").horizon_ms == DAY + DAY + DAY


def test_the_stream_needs_no_engine():
    program = "import sys, ml_pipelines.features.online as o; o.Plan.load('fraud-detection'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"ibis", "duckdb", "pyspark", "pandas", "pyarrow", "numpy", "fastavro"} & set(loaded)


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | numbers, max_size=40), st.integers(1, 10))
def test_a_running_sum_is_exact_whatever_came_and_went(values, width):
    total, mean = FloatSum(), FloatMean()
    low = 0
    for high, value in enumerate(values, 1):
        total.enter(high, value)
        mean.enter(high, value)
        if high - low > width:
            total.leave(low, values[low])
            mean.leave(low, values[low])
            low += 1
        present = [number for number in values[low:high] if number is not None]
        try:
            expected = math.fsum(present) if present else None
        except OverflowError:
            expected = None
        assert total.result(values, low, high) == expected
        assert mean.result(values, low, high) == (None if expected is None else expected / len(present))


def test_a_literal_can_not_become_code():
    document = compile_plan(load("churn"))
    document["features"]["is_monthly"]["value"] = ["equal", ["field", "contract"], ["literal", "' + exit() + '"]]
    plan = Plan(json.loads(json.dumps(document)))
    event = {"customer_id": "c", "event_time": START, "tenure": 1, "contract": "' + exit() + '", "monthly_charges": 1.0}
    assert take(plan, plan.new_state(), event).values["is_monthly"] is True


def test_an_event_that_was_announced_counts_when_it_comes_complete_in_the_stream_as_in_training(engines):
    feature_set = load("delivery-eta")
    plan = Plan.load("delivery-eta")

    def order(number: int, at: int, minutes: float | None) -> dict:
        event = {"order_id": f"order-{number}", "restaurant_id": "inn", "event_time": START + number * MINUTE}
        event |= {"distance_km": 2.0, "items": 3, "hour": 12.0, "day": "Mon", "minutes": minutes}
        return event | {"arrived_at": START + at * MINUTE, "sequence": f"{at:09}"}

    log = [order(1, 1, None), order(2, 2, None), order(1, 31, 30.0), order(2, 42, 40.0), order(2, 43, 41.0)]
    state, updates = plan.new_state(), []
    for event in log:
        updates.append(plan.update(state, event, event["arrived_at"]))
    announced, admitted = Status.ANNOUNCED, Status.ADMITTED
    assert [update.status for update in updates] == [announced, announced, admitted, admitted, Status.DUPLICATE]
    assert updates[3].values == {"orders_1h": 2, "mean_minutes_2h": 35.0, "mean_distance_2h": 2.0}
    computed = engines.duckdb(feature_set, log)
    assert len(computed) == 2
    (last,) = (row for row in computed.values() if row["order_id"] == "order-2")
    assert updates[3].values.items() <= last.items()
