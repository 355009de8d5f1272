"""The stations of Chicago: what is brought back by fourteen days, and holidays."""

from collections import Counter

import numpy as np
import pyarrow.compute as pc
import pytest
from ml_pipelines import datasets
from ml_pipelines.datasets import sources

DAY_MS = 86_400_000


def test_a_known_day():
    log = datasets.load("demand-forecasting").log
    day = (np.datetime64("2001-01-22") - np.datetime64("1970-01-01")).astype(int) * DAY_MS
    (found,) = log.filter(
        pc.and_(pc.equal(log["station_id"], "Clark_Lake"), pc.equal(log["event_time"], int(day)))
    ).to_pylist()
    assert found["ridership"] == 15.732
    assert found["temperature"] == pytest.approx((19.45 - 32) * 5 / 9)


def test_the_two_columns_of_one_station_agree_where_both_know_it():
    frame = sources.read("modeldata", "Chicago")
    assert (frame["Clark_Lake"].to_numpy()[14:] == frame["ridership"].to_numpy()[:-14]).all()


def test_holidays():
    log = datasets.load("ridership").log
    days = {
        str(np.datetime64(time, "ms"))[:10]
        for time in log.filter(log["is_holiday"])["event_time"].to_pylist()
    }  # fmt: skip
    assert {"2001-01-15", "2004-07-05", "2010-12-24", "2015-11-26", "2016-07-04"} <= days
    assert Counter(day[:4] for day in days)["2015"] == 10
