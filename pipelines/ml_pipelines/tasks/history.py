"""Features for examples, from the one definition of each workload, as they were known when a decision was made.

What works features out is imported where that is done: most steps only ask what a task is, and Ibis takes a third of
the time in which they start.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.derivations import named
from ml_pipelines.features.log import ARRIVED_AT
from ml_pipelines.tasks.task import Kind, Task

if TYPE_CHECKING:
    from ml_pipelines.features.feature_set import FeatureSet

# When an outcome arrived, which may be with the event itself.
OUTCOME_AT = "outcome_at"
_TYPES = {Kind.NUMBER: pa.float64(), Kind.FLAG: pa.bool_(), Kind.CATEGORY: pa.string()}


def own_features(workload: str, log: pa.Table) -> pa.Table:
    """The events that count, in order of arrival, with their own features beside their fields.

    For decisions that are made when the event arrives, and features that don't hold what is to be predicted.
    """
    events, computed = _admitted(workload, log)
    for name in _new(computed, log):
        events = events.append_column(name, computed[name])
    return events


def with_outcome(workload: str, log: pa.Table, outcome: str) -> pa.Table:
    """The same, with the outcome that is known by now, and when it arrived.

    An event may arrive again with its outcome. It counts as it arrived first, since a decision is made on that; its
    outcome is the last one that was told, missing where none was.
    """
    features = _definition(workload)
    events = own_features(workload, log)
    keys = list(dict.fromkeys((features.entity, *features.event_id)))
    told = log.filter(pc.is_valid(log[outcome]))
    newest = told.append_column("place", pa.array(np.arange(len(told)))).group_by(keys).aggregate([("place", "max")])
    asked = events.select(keys).append_column("event", pa.array(np.arange(len(events))))
    found = asked.join(newest, keys, join_type="left outer").sort_by("event")["place_max"].combine_chunks()
    events = events.set_column(events.column_names.index(outcome), outcome, told[outcome].take(found))
    # A log without arrivals is one in which events arrived when they happened.
    arrival = ARRIVED_AT if ARRIVED_AT in log.column_names else features.event_time
    return events.append_column(OUTCOME_AT, told[arrival].take(found))


def features_before(workload: str, log: pa.Table, asked: pa.Table | None = None) -> pa.Table:
    """Events with the features of their entity that were known just before each event happened.

    It is what the online store answers when the decision is made: the features of the last event of the entity that
    had arrived by then, strictly before `event_time`; missing where there was none. `asked` are the events that are
    asked about, with the entity and `event_time`; without it, those of the log that count, in order of arrival.
    """
    features = _definition(workload)
    events, computed = _admitted(workload, log)
    asked = events if asked is None else asked
    values = pc.unique(pa.chunked_array([*events[features.entity].chunks, *asked[features.entity].chunks], pa.string()))
    ours = pc.index_in(events[features.entity], value_set=values).to_numpy()
    theirs = pc.index_in(asked[features.entity], value_set=values).to_numpy()
    known, when = events[ARRIVED_AT].to_numpy(), asked[features.event_time].to_numpy()
    # Entity and time on one line, on which each event finds what arrived right before it.
    since = min(known.min(initial=0), when.min(initial=0))
    span = max(known.max(initial=0), when.max(initial=0)) - since + 1
    order = np.argsort(ours * span + (known - since), kind="stable")
    line = (ours * span + (known - since))[order]
    place = np.searchsorted(line, theirs * span + (when - since), side="left") - 1
    before = order[np.maximum(place, 0)] if len(order) else np.zeros(len(place), dtype=np.int64)
    there = (place >= 0) & (ours[before] == theirs) if len(order) else np.zeros(len(place), dtype=bool)
    rows = pa.array(before, mask=~there)
    for name in _new(computed, log):
        asked = asked.append_column(name, computed[name].take(rows))
    return asked


def derived(task: Task, events: pa.Table) -> dict[str, pa.Array]:
    """The inputs that follow from what the events say and their features, as they are served, too."""
    found, kinds = {}, {item.name: item.kind for item in task.inputs}
    for one in named(task.derived):
        given = {name: events[name].to_pylist() for name in one.sources}
        rows = (dict(zip(given, values, strict=True)) for values in zip(*given.values(), strict=True))
        found[one.name] = pa.array([one.of(row) for row in rows], _TYPES[kinds[one.name]])
    return found


def arrived_since(events: pa.Table, moment: int) -> pa.Table:
    """The events that arrived after a moment, in milliseconds since 1970."""
    return events.filter(pc.greater(events[ARRIVED_AT], moment))


def _definition(workload: str) -> "FeatureSet":
    from ml_pipelines.features import definitions

    return definitions.load(workload)


def _admitted(workload: str, log: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The events that count, in order of arrival, and their features, row by row."""
    from ml_pipelines.features.embedded import Embedded

    features = _definition(workload)
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
