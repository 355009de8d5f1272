"""How many stars a person will give to an item, by which the items on a page are ranked."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import NUMBER_BOOSTING, RIDGE, as_it_is
from ml_pipelines.tasks.history import arrived_since, derived, features_before
from ml_pipelines.tasks.task import Bounds, By, Input, Kind, Predicts, Split, Task, Together, Whole

EFFECTS = ("item_id", "user_id")
DAY_MS = 86_400_000
# How many of the items that are rated most each person may be shown, and in how many days they were rated.
POPULAR, POPULAR_DAYS = 100, 30


def _ratings(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    """Ratings with what was known of the person's taste just before."""
    ratings = features_before("personalization", log)
    described = _described(ratings, ratings["event_id"])
    return pa.table({**described, "known_at": ratings["arrived_at"], "target": ratings["rating"]})


def _due(log: pa.Table, as_of: int) -> pa.Table:
    """Pairs of people and items. Of others nothing is known anew, so that their scores of before still hold."""
    people, items = pc.unique(arrived_since(log, as_of - DAY_MS)["user_id"]), _popular(log, as_of)
    item = pa.array(np.tile(np.arange(len(items)), len(people)))
    pairs = pa.table(
        {
            "user_id": people.take(pa.array(np.repeat(np.arange(len(people)), len(items)))),
            "item_id": items["item_id"].take(item),
            "item": item,
        }
    )
    rated = log.select(["user_id", "item_id"])
    pairs = pairs.join(rated, ["user_id", "item_id"], join_type="left anti").sort_by(
        [("user_id", "ascending"), ("item_id", "ascending")]
    )
    # Asked just after what is known.
    asked = pairs.append_column("genres", items["genres"].take(pairs["item"]))
    asked = asked.append_column("event_time", pa.array(np.full(len(pairs), as_of + 1)))
    ratings = features_before("personalization", log, asked)
    return pa.table(_described(ratings, pc.binary_join_element_wise(ratings["user_id"], ratings["item_id"], "/")))


def _popular(log: pa.Table, as_of: int) -> pa.Table:
    """The items with the most ratings of late, each as it was last rated."""
    recent = arrived_since(log, as_of - POPULAR_DAYS * DAY_MS)
    recent = recent.append_column("place", pa.array(np.arange(len(recent))))
    counted = recent.group_by("item_id").aggregate([("place", "count"), ("place", "max")])
    counted = counted.sort_by([("place_count", "descending"), ("item_id", "ascending")]).slice(0, POPULAR)
    return recent.take(counted["place_max"])


def _described(ratings: pa.Table, ids: Any) -> dict[str, Any]:
    """All but the outcome."""
    return {
        "example_id": ids,
        "entity": ratings["user_id"],
        "decided_at": ratings["event_time"],
        **{name: ratings[name] for name in (*EFFECTS, "ratings_30d", "mean_rating_30d", "days_since_last")},
        "favourite_genre": ratings["favourite_genre"],
        **derived(PERSONALIZATION, ratings),
    }


PERSONALIZATION = Task(
    name="personalization",
    workload="personalization",
    contract="rating",
    sentence="How many stars a person will give to an item.",
    data_set="ratings",
    predicts=Predicts.NUMBER,
    outcome="stars",
    inputs=(
        Input("item_id", Kind.CATEGORY),
        Input("user_id", Kind.CATEGORY),
        Input("mean_rating_30d", low=0, high=5),
        Input("ratings_30d", skewed=True, low=0, high=100_000),
        Input("days_since_last", skewed=True, low=0, high=31),
        Input("genre", Kind.CATEGORY, derived=True),
        Input("genre_count", low=0, high=50, derived=True),
        Input("favourite_genre", Kind.CATEGORY),
        Input("is_favourite", Kind.FLAG, derived=True),
    ),
    examples=_ratings,
    due=_due,
    due_sentence="The popular items that are new to those who rated in the last day",
    split=Split(
        By.TIME,
        "A page is ranked for whoever opens it next, so the ratings of the last 18 months are held back. Most of these "
        "people had rated nothing before: what is known of them is what they rated within the sitting.",
        test_days=548,
        folds=3,
    ),
    candidates=(
        replace(
            NUMBER_BOOSTING,
            defaults={**NUMBER_BOOSTING.defaults, "iterations": 100, "leaves": 10, "loss": "squared_error"},
            effects=EFFECTS,
            offset=("mean_rating_30d",),
        ).searching(leaves=Whole(6, 24, log=True), iterations=Whole(60, 200, log=True)),
        replace(RIDGE, effects=EFFECTS, offset=("mean_rating_30d",)),
    ),
    baseline=as_it_is("person-mean", "The mean of the person's ratings of the last 30 days so far", "mean_rating_30d"),
    metric="skill",
    goal=0.03,
    bounds=Bounds(floor=0.0, calibration=0.05, group_error=2.0, robustness=1.0),
    groups=("favourite_genre",),
    together=Together.ENTITY,
    trials=5,
    ranked_within="entity",
)
