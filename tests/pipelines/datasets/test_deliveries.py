"""Deliveries and flights: what is made of weekdays, hours and delays."""

from collections import Counter

import numpy as np
from ml_pipelines import datasets

DAY_MS = 86_400_000


def test_the_date_has_the_weekday_and_hour_of_the_source():
    log = datasets.load("delivery-eta").log
    times = log["event_time"].to_numpy()
    weekday = (times // DAY_MS + 3) % 7
    assert [("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day] for day in weekday] == log["day"].to_pylist()
    assert np.allclose(times % DAY_MS / 3_600_000, log["hour"].to_numpy(), atol=1e-6)


def test_the_weeks_are_alike():
    weeks = Counter((datasets.load("deliveries").log["event_time"].to_numpy() // DAY_MS - 4) // 7)
    assert len(weeks) == 20
    assert max(weeks.values()) - min(weeks.values()) <= 7


def test_orders_that_take_long_arrive_after_later_ones():
    assert (np.diff(datasets.load("deliveries").log["event_time"].to_numpy()) < 0).sum() > 1000


def test_a_flight_arrives_after_its_minutes_or_without_any_at_its_departure():
    log = datasets.load("flights").log
    minutes = log["minutes"].fill_null(0).to_numpy()
    assert log["minutes"].null_count == 9430
    assert (log["arrived_at"].to_numpy() - log["event_time"].to_numpy() == minutes * 60_000).all()
