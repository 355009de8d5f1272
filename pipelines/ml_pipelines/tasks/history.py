"""Features for examples, from the one definition of each workload, as they were known when a decision was made."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.features import definitions
from ml_pipelines.features.embedded import Embedded
from ml_pipelines.features.log import ARRIVED_AT


def own_features(workload: str, log: pa.Table) -> pa.Table:
    """The events that count, in order of arrival, with their own features beside their fields.

    For decisions that are made when the event arrives, and features that don't hold what is to be predicted.
    """
    events, computed = _admitted(workload, log)
    for name in _new(computed, log):
        events = events.append_column(name, computed[name])
    return events


def features_before(workload: str, log: pa.Table) -> pa.Table:
    """The same events, with the features of their entity that were known just before each event happened.

    It is what the online store answers when the decision is made: the features of the last event of the entity that
    had arrived by then, strictly before `event_time`; missing where there was none.
    """
    features = definitions.load(workload)
    events, computed = _admitted(workload, log)
    entity = pc.index_in(events[features.entity], value_set=pc.unique(events[features.entity])).to_numpy()
    known, asked = events[ARRIVED_AT].to_numpy(), events[features.event_time].to_numpy()
    # Entity and time on one line, on which each event finds what arrived right before it.
    since = min(known.min(initial=0), asked.min(initial=0))
    span = max(known.max(initial=0), asked.max(initial=0)) - since + 1
    order = np.argsort(entity * span + (known - since), kind="stable")
    line = (entity * span + (known - since))[order]
    place = np.searchsorted(line, entity * span + (asked - since), side="left") - 1
    before = order[np.maximum(place, 0)] if len(order) else place
    rows = pa.array(before, mask=(place < 0) | (entity[before] != entity))
    for name in _new(computed, log):
        events = events.append_column(name, computed[name].take(rows))
    return events


def _admitted(workload: str, log: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The events that count, in order of arrival, and their features, row by row."""
    features = definitions.load(workload)
    computed = Embedded().compute(features, log)
    keys = list(dict.fromkeys((features.entity, *features.event_id)))
    # What arrives again is the first one of its id.
    first = (
        log.select(keys).append_column("log", pa.array(np.arange(len(log)))).group_by(keys).aggregate([("log", "min")])
    )
    places = computed.select(keys).append_column("computed", pa.array(np.arange(len(computed))))
    found = places.join(first, keys, join_type="inner").sort_by("log_min")
    return log.take(found["log_min"]), computed.take(found["computed"])


def _new(computed: pa.Table, log: pa.Table) -> list[str]:
    """The features that aren't fields of the event anyway."""
    return [name for name in computed.column_names if name not in log.column_names]
