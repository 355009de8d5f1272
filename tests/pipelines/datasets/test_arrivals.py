"""Disorder: events are held up and repeated at the rates that were asked for, and in nothing else changed."""

import numpy as np
import pyarrow as pa
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import DataSetError, Disorder, Request

HOUR_MS = 3_600_000
DISORDER = Disorder(out_of_order=0.05, late=0.01, duplicates=0.02)


@pytest.fixture(scope="module")
def logs():
    """The log in order, and disturbed."""
    return datasets.load("ratings").log, datasets.load("ratings", Request(disorder=DISORDER)).log


def delays(log: pa.Table) -> np.ndarray:
    return log["arrived_at"].to_numpy() - log["event_time"].to_numpy()


def test_events_are_held_up_at_the_rates_asked_for(logs):
    first = logs[1].group_by("event_id").aggregate([("arrived_at", "min"), ("event_time", "min")])
    delay = first["arrived_at_min"].to_numpy() - first["event_time_min"].to_numpy()
    assert (delay > HOUR_MS).sum() == 1000
    assert ((delay > 0) & (delay <= HOUR_MS)).sum() == 5000
    assert delay.max() <= 25 * HOUR_MS


def test_events_are_repeated_at_the_rate_asked_for(logs):
    counts = logs[1].group_by("event_id").aggregate([("arrived_at", "count")])["arrived_at_count"].to_numpy()
    assert (counts == 2).sum() == 2000
    assert counts.max() == 2
    assert len(counts) == 100_004


def test_nothing_else_changes(logs):
    plain, disturbed = (log.drop_columns(["arrived_at", "sequence"]) for log in logs)
    kept = {record["event_id"]: record for record in disturbed.to_pylist()}
    assert kept == {record["event_id"]: record for record in plain.to_pylist()}


def test_the_log_is_in_the_new_order_of_arrival(logs):
    assert (np.diff(logs[1]["arrived_at"].to_numpy()) >= 0).all()
    assert (np.diff(logs[1]["event_time"].to_numpy()) < 0).any()
    sequence = logs[1]["sequence"].to_pylist()
    assert sequence == sorted(set(sequence))


def test_without_disorder_nothing_is_held_up(logs):
    assert (delays(logs[0]) == 0).all()


def test_a_seed_decides_which(logs):
    same, other = (datasets.load("ratings", Request(seed=seed, disorder=DISORDER)).log for seed in (1, 2))
    assert same.equals(logs[1])
    assert not other.equals(logs[1])


def test_all_may_be_late():
    log = datasets.load("credit", Request(disorder=Disorder(late=1, lateness_ms=5000))).log
    assert (delays(log) > 5000).all()


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"late": -0.1}, "`late` is a share from 0 to 1, not -0.1"),
        ({"duplicates": 2}, "`duplicates` is a share from 0 to 1, not 2"),
        ({"late": 0.6, "out_of_order": 0.6}, "at most 1 together"),
        ({"lateness_ms": 10}, "`lateness_ms` is at least 1000, not 10"),
        ({"late": float("nan")}, "`late` is a share from 0 to 1, not nan"),
    ],
)
def test_rates_that_cannot_be_are_refused(shares, words):
    with pytest.raises(DataSetError, match=words):
        Disorder(**shares)
