"""How events arrive: in their order, or held up and repeated at stated rates."""

import numpy as np
import pyarrow as pa

from ml_pipelines.datasets.draws import Draws, Integers
from ml_pipelines.datasets.history import Disorder, in_order_of_arrival

_REPEATED_WITHIN_MS = 600_000
_DAY_MS = 86_400_000


def arrive(events: pa.Table, arrived_at: Integers, disorder: Disorder, seed: int) -> pa.Table:
    """The log of the events, with their arrivals disturbed: rows in order of arrival, some of them twice."""
    count = len(arrived_at)
    draws = Draws(seed, "arrivals")
    arrived_at = arrived_at.copy()
    late = round(disorder.late * count)
    held_up = draws.chosen(late + round(disorder.out_of_order * count), count)
    is_late = np.zeros(len(held_up), dtype=bool)
    is_late[draws.chosen(late, len(held_up))] = True
    within = draws.between(1, disorder.lateness_ms * 9 // 10, len(held_up))
    after = disorder.lateness_ms + draws.between(1, _DAY_MS, len(held_up))
    arrived_at[held_up] += np.where(is_late, after, within)
    again = draws.chosen(round(disorder.duplicates * count), count)
    repeated = arrived_at[again] + draws.between(1, _REPEATED_WITHIN_MS, len(again))
    rows = np.concatenate([np.arange(count), again])
    return in_order_of_arrival(events.take(pa.array(rows)), np.concatenate([arrived_at, repeated]))
