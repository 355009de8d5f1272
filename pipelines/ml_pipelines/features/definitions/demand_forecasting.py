"""How many people entered a station lately, and what day it is."""

from collections.abc import Mapping
from datetime import timedelta

from ibis.expr import types as ir

from ml_pipelines.features.feature_set import FeatureSet, Windows

DAY = timedelta(days=1)
MS_PER_DAY = 86_400_000


def define(days: ir.Table, windows: Windows) -> Mapping[str, ir.Value]:
    """The features of a station's day. Its own ridership, which a model predicts, is in none of them."""
    week_before = windows.around(7 * DAY, DAY / 2)
    # 1970-01-01 was a Thursday. The second remainder brings days before it to 0 to 6, too.
    weekday = (days.event_time // MS_PER_DAY % 7 + 10) % 7
    return {
        "ridership_lag_7d": days.ridership.max().over(week_before),
        "ridership_mean_28d": days.ridership.mean().over(windows.before(28 * DAY)),
        "is_holiday": days.is_holiday,
        "weekday": weekday,
    }


FEATURES = FeatureSet(
    workload="demand-forecasting",
    contract="station_day",
    version=1,
    entity="station_id",
    event_id=("event_time",),
    allowed_lateness=DAY,
    define=define,
)
