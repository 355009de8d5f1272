"""How fast a restaurant has been lately."""

from collections.abc import Mapping
from datetime import timedelta

from ibis.expr import types as ir

from ml_pipelines.features.feature_set import FeatureSet, Windows

HOUR = timedelta(hours=1)


def define(deliveries: ir.Table, windows: Windows) -> Mapping[str, ir.Value]:
    """The features of a delivery's restaurant, this delivery included.

    A delivery is an event when it is handed over, and its minutes are what a model predicts: join it to what was known
    when it was ordered (by `arrived_at`), not to its own row.
    """
    two_hours = windows.last(2 * HOUR)
    return {
        "orders_1h": deliveries.count().over(windows.last(HOUR)),
        "mean_minutes_2h": deliveries.minutes.mean().over(two_hours),
        "mean_distance_2h": deliveries.distance_km.mean().over(two_hours),
    }


FEATURES = FeatureSet(
    workload="delivery-eta",
    contract="delivery",
    version=1,
    entity="restaurant_id",
    event_id=("order_id",),
    # Orders arrive when they are handed over, and some take hours longer than others.
    allowed_lateness=2 * HOUR,
    define=define,
    # An order that was only announced tells no pace; training leaves it out, too.
    complete="minutes",
)
