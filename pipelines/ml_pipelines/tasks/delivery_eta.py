"""How long an order will take, told when it is placed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import MEDIAN, NUMBER_BOOSTING, RIDGE
from ml_pipelines.tasks.history import arrived_since, derived, features_before
from ml_pipelines.tasks.task import Bounds, By, Input, Predicts, Split, Task, Together

MINUTE_MS, DAY_MS = 60_000, 86_400_000


def _orders(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    """Orders with the pace of their restaurant as it was known when they were placed."""
    orders = features_before("delivery-eta", _handed_over(log))
    placed, minutes = orders["event_time"].to_numpy(), orders["minutes"].to_numpy()
    # No time passes until an outcome that is no number, which validation refuses.
    known_at = placed + np.rint(np.nan_to_num(minutes, posinf=0, neginf=0) * MINUTE_MS).astype(np.int64)
    return pa.table({**_described(orders), "known_at": known_at, "target": minutes})


def _due(log: pa.Table, as_of: int) -> pa.Table:
    delivered = _handed_over(log)
    waiting = arrived_since(log.filter(pc.is_null(log["minutes"])), as_of - DAY_MS)
    waiting = waiting.filter(pc.invert(pc.is_in(waiting["order_id"], value_set=delivered["order_id"].combine_chunks())))
    firsts = waiting.append_column("place", pa.array(np.arange(len(waiting)))).group_by("order_id")
    waiting = waiting.take(firsts.aggregate([("place", "min")]).sort_by("place_min")["place_min"])
    return pa.table(_described(features_before("delivery-eta", delivered, waiting)))


def _handed_over(log: pa.Table) -> pa.Table:
    """A delivery is an event when it is handed over: an order that was only announced tells no pace."""
    return log.filter(pc.is_valid(log["minutes"]))


def _described(orders: pa.Table) -> dict[str, Any]:
    """All but the outcome."""
    return {
        "example_id": orders["order_id"],
        "entity": orders["restaurant_id"],
        "decided_at": orders["event_time"],
        **{item.name: orders[item.name] for item in DELIVERY.inputs if item.name in orders.column_names},
        **derived(DELIVERY, orders),
        "day": orders["day"],
    }


DELIVERY = Task(
    name="delivery-eta",
    workload="delivery-eta",
    contract="delivery",
    sentence="How many minutes pass from an order to its hand-over, told when it is placed.",
    data_set="deliveries",
    predicts=Predicts.NUMBER,
    outcome="minutes",
    inputs=(
        Input("distance_km", low=0, high=200),
        Input("items", low=0, high=500),
        Input("hour", low=0, high=24),
        Input("weekday", low=0, high=6, derived=True),
        Input("orders_1h", low=0, high=10_000),
        Input("mean_minutes_2h", low=0, high=600),
        Input("mean_distance_2h", low=0, high=200),
    ),
    examples=_orders,
    due=_due,
    due_sentence="The orders that were announced in the last day and aren't handed over",
    split=Split(By.TIME, "A promise is for orders to come: the last four weeks are held back.", test_days=28, folds=3),
    candidates=(
        replace(
            NUMBER_BOOSTING,
            defaults={
                **NUMBER_BOOSTING.defaults,
                "iterations": 400,
                "learning_rate": 0.05,
                "leaves": 15,
                "samples_per_leaf": 20,
                "l2": 0.1,
                "loss": "squared_error",
            },
        ),
        RIDGE,
    ),
    baseline=MEDIAN,
    metric="skill",
    goal=0.73,
    bounds=Bounds(floor=0.65, calibration=0.05, group_error=2.0, robustness=1.0),
    groups=("day",),
    together=Together.DAY,
    trials=10,
)
