"""The daily ridership of twenty stations in Chicago, for demand forecasting."""

import datetime

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets import sources
from ml_pipelines.datasets.history import DataSet, Events, Request

LAG_DAYS = 14
MM_PER_INCH = 25.4
DAY_MS = 86_400_000
STATION = "Clark_Lake"


def _make(request: Request) -> Events:
    """The source has a row per day, with the ridership of all stations 14 days before, and of one station that day."""
    frame = sources.read("modeldata", "Chicago")
    columns = list(frame.columns)
    stations = columns[columns.index("ridership") + 1 : columns.index("temp_min")]
    first = datetime.date.fromisoformat(min(frame["date"])) - datetime.timedelta(days=LAG_DAYS)
    days = np.array([(datetime.date.fromisoformat(day) - first).days for day in frame["date"]])
    count = int(days.max()) + 1
    riders = np.full((count, len(stations)), np.nan)
    riders[days - LAG_DAYS] = frame[stations].to_numpy()
    riders[days, stations.index(STATION)] = frame["ridership"].to_numpy()
    temperature, rain = np.full(count, np.nan), np.full(count, np.nan)
    temperature[days] = (frame["temp"].to_numpy() - 32) * 5 / 9
    rain[days] = frame["percip"].to_numpy() * MM_PER_INCH
    day, station = np.nonzero(np.isfinite(riders))
    times = ((first - datetime.date(1970, 1, 1)).days + day) * DAY_MS
    table = pa.table(
        {
            "station_id": np.array(stations)[station],
            "event_time": times,
            "ridership": riders[day, station],
            "temperature": pa.array(temperature[day], from_pandas=True),
            "precipitation": pa.array(rain[day], from_pandas=True),
            "is_holiday": _holidays(first, count)[day],
        }
    )
    return Events(table, times)


def _holidays(first: datetime.date, count: int) -> np.ndarray:
    """Whether each day is a federal holiday of the United States, on the day on which it is observed."""
    from pandas.tseries.holiday import USFederalHolidayCalendar

    start = datetime.datetime.combine(first, datetime.time())
    observed = USFederalHolidayCalendar().holidays(start, start + datetime.timedelta(days=count))
    dates = {moment.date() for moment in observed}
    return np.array([first + datetime.timedelta(days=day) in dates for day in range(count)])


RIDERSHIP = DataSet(
    name="ridership",
    sentence="How many people entered 20 stations of Chicago's trains each day, 2001 to 2016.",
    workload="demand-forecasting",
    contract="station_day",
    event_id=("station_id", "event_time"),
    source="modeldata.Chicago (Kuhn and Johnson 2020, Chicago Transit Authority)",
    license="None is stated for the data; the R package modeldata is under the MIT license.",
    rows=113_974,
    mapping="The source has the stations' ridership as of 14 days before each row's date: each is brought back to its "
    "own day. Fahrenheit becomes Celsius; precipitation, inches in the source as its values suggest, becomes "
    "millimetres.",
    made_up="Holidays: the federal ones of the United States, computed. The first 14 days have no weather.",
    limits="The last 14 days are known of Clark/Lake alone. Precipitation is mostly 0 in the source. Sports and the "
    "rest of the weather have no field in the contract.",
    make=_make,
)
