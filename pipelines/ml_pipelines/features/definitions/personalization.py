"""What a person liked in the last month."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import ibis
from ibis.expr import types as ir

from ml_pipelines.features.admission import KEYS_PER_MS
from ml_pipelines.features.feature_set import FeatureSet, Windows

MONTH = timedelta(days=30)
MS_PER_DAY = 86_400_000.0

# Keys are below this until the year 2255, so that a whole number of hundredths of stars can stand above them.
_ABOVE_KEYS = 2**53


def define(ratings: ir.Table, windows: Windows) -> Mapping[str, ir.Value]:
    """The features of the person who gave a rating, this rating included.

    The favourite genre is the first one of the item that was rated highest; of equals, the latest.
    """
    month = windows.last(MONTH)
    stars: Any = ibis.ifelse(ratings.rating > 5.0, 5.0, ibis.ifelse(ratings.rating < 0.0, 0.0, ratings.rating))
    liking = (stars * 100.0).floor() * _ABOVE_KEYS + ratings.key
    clock_before = ratings.key.max().over(windows.before(MONTH)) // KEYS_PER_MS
    return {
        "ratings_30d": ratings.count().over(month),
        "mean_rating_30d": ratings.rating.mean().over(month),
        "favourite_genre": ratings.genres[0].argmax(liking).over(month),
        "days_since_last": (ratings.clock - clock_before) / MS_PER_DAY,
    }


FEATURES = FeatureSet(
    workload="personalization",
    contract="rating",
    version=1,
    entity="user_id",
    event_id=("event_id",),
    allowed_lateness=timedelta(hours=1),
    define=define,
)
