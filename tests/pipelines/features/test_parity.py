"""The same events through DuckDB, Spark and the stream give the same value of every feature."""

import random
from datetime import timedelta

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_pipelines import datasets as data_sets
from ml_pipelines.datasets import Disorder, Request
from ml_pipelines.features.definitions import WORKLOADS, load
from ml_pipelines.features.feature_set import FeatureSet
from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE
from ml_pipelines.features.online import Status

from .conftest import HOUR, MINUTE, START, Executions, difference, synthetic

# One worker starts Spark.
pytestmark = pytest.mark.xdist_group("spark")

EVENTS = 1500


def everything(deliveries, windows):
    """Every aggregate over each kind of window, and every scalar operator, with and without missing values."""
    hour = timedelta(hours=1)
    features = {}
    for name, window in {
        "last": windows.last(hour),
        "before": windows.before(hour),
        "around": windows.around(2 * hour, hour / 2),
        "longer": windows.last(3 * hour),
    }.items():
        score = ibis.ifelse(deliveries.minutes.notnull(), deliveries.key, ibis.null("int64"))
        features |= {
            f"rows_{name}": deliveries.count().over(window),
            f"count_{name}": deliveries.minutes.count().over(window),
            f"sum_{name}": deliveries.minutes.sum().over(window),
            f"mean_{name}": deliveries.minutes.mean().over(window),
            f"max_{name}": deliveries.minutes.max().over(window),
            f"min_{name}": deliveries.minutes.min().over(window),
            f"items_{name}": deliveries["items"].sum().over(window),
            f"mean_items_{name}": deliveries["items"].mean().over(window),
            f"days_{name}": deliveries.day.nunique().over(window),
            f"newest_{name}": deliveries.day.argmax(score).over(window),
        }
    minutes, items, distance = deliveries.minutes, deliveries["items"], deliveries.distance_km
    slow, far = minutes > 30.0, distance >= 0.5
    return features | {
        "difference": items - items.max().over(windows.before(hour)),
        "product": minutes * 2.0 + distance,
        "scaled": items * 2.5,
        "ratio": minutes / distance.nullif(0.0),
        "per_item": minutes / items.nullif(0),
        "dozens": items // 12,
        "rest": items % 12,
        "negated": -minutes,
        "absolute": items.abs(),
        "whole": minutes.floor(),
        "slow": slow,
        "both": slow & far,
        "either": slow | far,
        "neither": ~(slow | far),
        "equal": minutes == 5.0,
        "unequal": deliveries.day != "a",
        "less": minutes < distance,
        "at_most": minutes <= distance,
        "missing": minutes.isnull(),
        "among": deliveries.day.isin(["a", "ä{}'"]),
        "apart": deliveries.day.notin(["a"]),
        "default": ibis.coalesce(minutes, distance, 1.0),
        "chosen": ibis.ifelse(slow, deliveries.day, "none"),
        "letters": deliveries.day.substr(0, 1),
        "share": slow.cast("int64").mean().over(windows.last(hour)),
        "since_start": deliveries.clock - deliveries.event_time,
    }


EVERYTHING = FeatureSet(
    workload="everything",
    contract="delivery",
    version=1,
    entity="restaurant_id",
    event_id=("order_id",),
    allowed_lateness=timedelta(hours=1),
    define=everything,
)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_workload_has_the_same_features_everywhere(workload, all_engines):
    feature_set = load(workload)
    log = synthetic(feature_set, EVENTS, seed=7)
    replay = all_engines.online(feature_set, log)
    duckdb = all_engines.duckdb(feature_set, log)
    assert difference(feature_set, duckdb, replay.rows) is None
    assert difference(feature_set, duckdb, all_engines.spark(feature_set, log)) is None
    never = {Status.LATE} if workload == "credit-scoring" else set()
    never |= set() if feature_set.complete else {Status.ANNOUNCED}
    assert {status for status in Status if replay.statuses[status] >= EVENTS / 100} == set(Status) - never


@pytest.mark.parametrize("workload", WORKLOADS)
def test_real_events_have_the_same_features(workload, engines):
    feature_set = load(workload)
    disorder = Disorder(out_of_order=0.05, late=0.02, duplicates=0.03)
    log = data_sets.load(workload, Request(events=EVENTS, disorder=disorder)).log.to_pylist()
    replay = engines.online(feature_set, log)
    assert difference(feature_set, engines.duckdb(feature_set, log), replay.rows) is None
    assert replay.statuses[Status.ADMITTED] > 0.9 * EVENTS


def test_all_operations_give_the_same_everywhere(all_engines):
    log = synthetic(EVERYTHING, EVENTS, seed=3)
    duckdb = all_engines.duckdb(EVERYTHING, log)
    assert difference(EVERYTHING, duckdb, all_engines.online(EVERYTHING, log).rows) is None
    assert difference(EVERYTHING, duckdb, all_engines.spark(EVERYTHING, log)) is None


@pytest.mark.parametrize("workload", WORKLOADS)
def test_it_makes_no_difference_when_states_are_written_down(workload, engines):
    feature_set = load(workload)
    log = synthetic(feature_set, EVENTS, seed=11)
    assert engines.online(feature_set, log, restarts=random.Random(5)).rows == engines.online(feature_set, log).rows


def test_what_is_late_depends_on_the_events_before_alone(engines):
    """Features of the first half of a log are the same without its second half: nothing leaks back."""
    feature_set = load("fraud-detection")
    log = synthetic(feature_set, EVENTS, seed=13)
    whole, half = (engines.duckdb(feature_set, part) for part in (log, log[: EVENTS // 2]))
    assert difference(feature_set, half, {key: whole[key] for key in half}) is None


@pytest.mark.parametrize(
    "name", ["transactions_1h", "amount_1h", "largest_amount_1h", "merchants_24h", "seconds_since_last"]
)
def test_the_comparison_finds_a_single_wrong_value(name, engines):
    feature_set = load("fraud-detection")
    log = synthetic(feature_set, 200, seed=17)
    right = engines.duckdb(feature_set, log)
    key = next(key for key, row in right.items() if row[name])
    wrong = right[key][name] + 1 if isinstance(right[key][name], int) else right[key][name] * (1 + 2e-9)
    changed = {**right, key: {**right[key], name: wrong}}
    assert name in difference(feature_set, right, changed)
    assert "in one of them only" in difference(feature_set, right, {k: v for k, v in right.items() if k != key})


def test_the_comparison_finds_another_policy(engines):
    """One that takes windows over event time, as a naive definition would, has other features."""
    feature_set = load("fraud-detection")
    log = synthetic(feature_set, 400, seed=19)
    in_order = sorted(log, key=lambda event: event["event_time"])
    resequenced = [{**event, SEQUENCE: f"{number:012}"} for number, event in enumerate(in_order)]
    online, naive = engines.online(feature_set, log).rows, engines.duckdb(feature_set, resequenced)
    shared = online.keys() & naive.keys()
    assert difference(feature_set, {k: online[k] for k in shared}, {k: naive[k] for k in shared}) is not None


# Sums of numbers that cancel one another out depend on the order of additions: see docs/features.md.
amounts = st.one_of(
    st.none(),
    st.sampled_from([0.0, 5.0, 30.0, 1e-300, 1.7e308]),
    st.floats(0, 1e6),
)
events = st.fixed_dictionaries(
    {
        "order_id": st.sampled_from([*(f"order-{number}" for number in range(30))]),
        "restaurant_id": st.sampled_from(["here", "there"]),
        "event_time": st.sampled_from(
            [0, 1, 2, MINUTE, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR, 2 * HOUR + 1, 3 * HOUR, 5 * HOUR]
        ),
        "distance_km": st.floats(0, 1e3),
        "items": st.integers(-40, 40),
        "hour": st.just(1.0),
        "day": st.sampled_from(["a", "b", "", "ä{}'"]),
        "minutes": amounts,
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=25), st.integers(0, 2**31))
def test_small_logs_of_any_kind_have_the_same_features(log, seed):
    arrived_at = START
    first_time = {}
    for number, event in enumerate(log):
        # An id stands for one event, whose time is the same whenever it is sent.
        identity = (event["restaurant_id"], event["order_id"])
        event["event_time"] = first_time.setdefault(identity, START + event["event_time"])
        arrived_at = max(arrived_at, event["event_time"] - 2 * MINUTE)
        event |= {ARRIVED_AT: arrived_at, SEQUENCE: f"{number:012}"}
    engines = Executions()
    online = engines.online(EVERYTHING, log, random.Random(seed)).rows
    assert difference(EVERYTHING, engines.duckdb(EVERYTHING, log), online) is None
