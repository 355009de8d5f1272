"""How many people enter a station on a day, told the day before."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import NUMBER_BOOSTING, RIDGE, as_it_is
from ml_pipelines.tasks.history import derived, own_features
from ml_pipelines.tasks.task import Bounds, By, Input, Kind, Predicts, Split, Task, Together

DAY_MS = 86_400_000
# Where the day of the week before isn't known, or can't be true, the last four weeks stand in for it.
USUAL = ("ridership_lag_7d", "ridership_mean_28d")


def _days(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    days = own_features("demand-forecasting", _counted(log))
    days = days.filter(pc.is_valid(days["ridership_lag_7d"]))
    known_at = pc.add(days["event_time"], DAY_MS)
    return pa.table({**_described(days, log), "known_at": known_at, "target": days["ridership"]})


def _due(log: pa.Table, as_of: int) -> pa.Table:
    """The day stands at the end of the log, with no ridership of its own, so that its features are those of any day."""
    day, known = (as_of // DAY_MS + 1) * DAY_MS, _counted(log)
    stations, holiday = pc.unique(known["station_id"]), _is_holiday(log, np.array([day]))[0]
    given = {
        "station_id": stations,
        "event_time": pa.array(np.full(len(stations), day)),
        "is_holiday": pa.repeat(holiday, len(stations)),
        "arrived_at": pa.array(np.full(len(stations), day)),
        "sequence": pa.repeat("~", len(stations)),
    }
    asked = pa.table(
        [given.get(field.name, pa.nulls(len(stations), field.type)) for field in known.schema], known.schema
    )
    days = own_features("demand-forecasting", pa.concat_tables([known, asked]))
    days = days.filter(pc.and_(pc.equal(days["event_time"], day), pc.is_valid(days["ridership_lag_7d"])))
    return pa.table(_described(days, log))


def _counted(log: pa.Table) -> pa.Table:
    """A day is an event when its people are counted: one that was only announced, with its calendar, tells nothing."""
    return log.filter(pc.is_valid(log["ridership"]))


def _described(days: pa.Table, log: pa.Table) -> dict[str, Any]:
    """All but the outcome. The calendar is that of the log, announced days included."""
    times = days["event_time"].to_numpy()
    return {
        "example_id": pc.binary_join_element_wise(days["station_id"], days["event_time"].cast("string"), "/"),
        "entity": days["station_id"],
        # The day before, when the calendar of the day and the ridership up to then are known.
        "decided_at": times - 1,
        **derived(DEMAND, days),
        "ridership_lag_7d": days["ridership_lag_7d"],
        "ridership_mean_28d": days["ridership_mean_28d"],
        "is_holiday": days["is_holiday"],
        "weekday": days["weekday"],
        "holiday_yesterday": _is_holiday(log, times - DAY_MS),
        "holiday_tomorrow": _is_holiday(log, times + DAY_MS),
        "holiday_week_before": _is_holiday(log, times - 7 * DAY_MS),
    }


def _is_holiday(log: pa.Table, times: np.ndarray) -> pa.Array:
    """Whether days are holidays by the calendar that the log's events tell; missing where none tells of the day."""
    all_days, holidays = log["event_time"].to_numpy(), log.filter(log["is_holiday"])["event_time"].to_numpy()
    return pa.array(np.isin(times, holidays), mask=~np.isin(times, all_days))


DEMAND = Task(
    name="demand-forecasting",
    workload="demand-forecasting",
    contract="station_day",
    sentence="How many thousand people enter a station on a day, told the day before.",
    data_set="ridership",
    predicts=Predicts.NUMBER,
    outcome="thousands of people",
    inputs=(
        Input("ridership_lag_7d", low=0, high=1000),
        Input("ridership_mean_28d", low=0, high=1000),
        Input("station", Kind.CATEGORY, derived=True),
        Input("weekday", low=0, high=6),
        Input("day_of_year", low=1, high=366, derived=True),
        Input("is_holiday", Kind.FLAG),
        Input("holiday_yesterday", Kind.FLAG),
        Input("holiday_tomorrow", Kind.FLAG),
        Input("holiday_week_before", Kind.FLAG),
    ),
    examples=_days,
    due=_due,
    due_sentence="The next day that begins, for each station whose day of the week before is known",
    split=Split(
        By.TIME, "A forecast is for days to come: the last year is held back.", test_days=365, gap_days=1, folds=2
    ),
    candidates=(
        replace(
            NUMBER_BOOSTING,
            name="seasonal-boosting",
            offset=USUAL,
            # Holidays are rare and large: squares would chase them, and the mean error would suffer.
            space={name: NUMBER_BOOSTING.space[name] for name in ("leaves", "learning_rate", "samples_per_leaf", "l2")},
        ),
        replace(RIDGE, offset=USUAL),
    ),
    baseline=as_it_is("seasonal-naive", "The same weekday of the week before", "ridership_lag_7d"),
    metric="skill",
    goal=0.40,
    bounds=Bounds(floor=0.30, calibration=0.05, group_error=2.5, robustness=1.0),
    groups=("station",),
    together=Together.DAY,
    trials=3,
)
