"""MovieLens: 100,004 ratings of films with their real times, for personalization."""

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets import sources
from ml_pipelines.datasets.history import DataSet, Events, Request

NO_GENRES = "(no genres listed)"


def _make(request: Request) -> Events:
    frame = sources.read("dslabs", "movielens").sort_values(["timestamp", "rownames"], kind="stable")
    times = frame["timestamp"].to_numpy(dtype=np.int64) * 1000
    users, items = frame["userId"].astype(str), frame["movieId"].astype(str)
    genres = [[] if text == NO_GENRES else text.split("|") for text in frame["genres"]]
    table = pa.table(
        {
            "event_id": pa.array("rating-" + users + "-" + items),
            "user_id": pa.array("user-" + users),
            "event_time": times,
            "item_id": pa.array("movie-" + items),
            "genres": pa.array(genres, pa.list_(pa.string())),
            "rating": pa.array(frame["rating"].to_numpy()),
        }
    )
    return Events(table, times)


RATINGS = DataSet(
    name="ratings",
    sentence="Ratings of 9,066 films by 671 people, 1995 to 2016.",
    workload="personalization",
    contract="rating",
    event_id=("event_id",),
    source="dslabs.movielens (MovieLens latest small, GroupLens)",
    license="For research, with acknowledgement; commercial use needs GroupLens' permission (Harper and Konstan 2015).",
    rows=100_004,
    mapping="One event per rating at its real time; genres split at `|`, none where the source lists none.",
    made_up="The event id, from person and film: nobody rates a film twice here. An event arrives when it happens.",
    limits="People rate many films in one sitting, often within a second, when they join; the title and year are left "
    "out.",
    make=_make,
)
