"""How many stars a person will give to an item, by which the items on a page are ranked."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.tasks.candidates import NUMBER_BOOSTING, RIDGE, as_it_is
from ml_pipelines.tasks.history import features_before
from ml_pipelines.tasks.task import Bounds, By, Input, Kind, Predicts, Split, Task, Together, Whole

EFFECTS = ("item_id", "user_id")


def _ratings(log: pa.Table, labels: pa.Table | None) -> pa.Table:
    """Ratings with what was known of the person's taste just before."""
    ratings = features_before("personalization", log)
    genres = ratings["genres"]
    first = pc.list_element(pc.if_else(pc.greater(pc.list_value_length(genres), 0), genres, pa.scalar([""])), 0)
    return pa.table(
        {
            "example_id": ratings["event_id"],
            "entity": ratings["user_id"],
            "decided_at": ratings["event_time"],
            "known_at": ratings["arrived_at"],
            "target": ratings["rating"],
            **{name: ratings[name] for name in (*EFFECTS, "ratings_30d", "mean_rating_30d", "days_since_last")},
            "genre": first,
            "genres": pc.list_value_length(genres),
            "favourite_genre": ratings["favourite_genre"],
            "is_favourite": pc.equal(first, ratings["favourite_genre"]),
        }
    )


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
        Input("genre", Kind.CATEGORY),
        Input("genres", low=0, high=50),
        Input("favourite_genre", Kind.CATEGORY),
        Input("is_favourite", Kind.FLAG),
    ),
    examples=_ratings,
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
