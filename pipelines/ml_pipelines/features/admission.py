"""Which events count, and in which order: the part that all features have in common.

Events of one entity are taken in order of arrival (`sequence`). For each, in this order:

0. Announced: it lacks the field that its feature set calls `complete`. It is left out; it counts when it comes with it.
1. Far in the future: `event_time` is more than five minutes after `arrived_at`. It is left out, so that it can't push
   the clock.
2. Duplicate: an event with this id was there before. It is left out.
3. Late: `event_time` is before the entity's clock by more than the allowed lateness. It is left out.
4. Out of order, within that lateness: it counts, at the entity's clock.

The clock is the newest `event_time` so far, in milliseconds. Windows go over the clock and never over a time that later
arrivals could still change: what is computed of the log is what was known when the event arrived. The key makes it a
total order: it is the clock in microseconds, but always at least one more than the key before, so that it is unique,
and a window in keys holds no event that came later. Several events in one millisecond thus lie a microsecond apart;
more than a thousand of them push the key ahead of the clock, for as long as it takes the clock to catch up.
"""

import ibis
from ibis.expr import types as ir

from ml_pipelines.features.log import ARRIVED_AT, SEQUENCE

FUTURE_TOLERANCE_MS = 300_000
KEYS_PER_MS = 1000
CLOCK = "clock"
KEY = "key"

_POSITION = "position"


def admitted(
    log: ir.Table, entity: str, event_time: str, event_id: tuple[str, ...], allowed_lateness_ms: int
) -> ir.Table:
    """The events of a log that count, with the `clock` and the `key` at which they do."""
    so_far = ibis.window(group_by=entity, order_by=SEQUENCE, rows=(None, 0))
    alike = ibis.window(group_by=list(dict.fromkeys((entity, *event_id))), order_by=SEQUENCE)
    events = log.filter(log[event_time] <= log[ARRIVED_AT] + FUTURE_TOLERANCE_MS)
    events = events.mutate(**{_POSITION: ibis.row_number().over(alike)})
    events = events.filter(events[_POSITION] == 0)
    events = events.mutate(**{CLOCK: events[event_time].max().over(so_far)})
    events = events.filter(events[event_time] >= events[CLOCK] - allowed_lateness_ms)
    # k(i) = max(time(i), k(i-1) + 1) is max over j <= i of (time(j) - j), plus i.
    events = events.mutate(**{_POSITION: ibis.row_number().over(so_far)})
    ahead = (events[event_time] * KEYS_PER_MS - events[_POSITION]).max().over(so_far)
    return events.select(*log.columns, CLOCK, **{KEY: ahead + events[_POSITION]})
