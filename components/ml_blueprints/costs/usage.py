"""What goes on in a month, from the workload's own words: events, requests, and how much of it is kept."""

from dataclasses import dataclass
from typing import Self

from ml_blueprints import sizing
from ml_blueprints.costs.prices import SECONDS_PER_MONTH
from ml_blueprints.workload import ArchitectureKind, Workload

# A workload says what comes at the busiest time. Its mean over a month is taken as this share of it.
MEAN_OF_PEAK = 0.5

# Size of one event on the wire, and in the lake: what is compressed there takes less.
EVENT_KB = 1.0

# In a month.
_DAYS = 365 / 12
_KB_PER_GB = 1_000_000

ASSUMPTIONS = (
    f"the mean is {MEAN_OF_PEAK:.0%} of the peak that the workload names",
    f"an event has {EVENT_KB:g} KB, on its way and where it is kept",
    "what is kept is what has come together once the retention is over",
    "fleets have their least instances; what is added at peaks isn't counted",
)


@dataclass(frozen=True, slots=True)
class Usage:
    """A month: events, requests that are answered, gigabytes of events that come, and that are kept at the end.

    A batch workload has neither events nor requests, and says nothing of how much is kept.
    """

    events_per_second: int
    events: float
    requests: float
    event_gb: float
    kept_gb: float | None

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """What a workload's words amount to."""
        if workload.architecture is ArchitectureKind.BATCH:
            return cls(0, 0, 0, 0, None)
        events_per_second = workload.data.events_per_second
        events = events_per_second * MEAN_OF_PEAK * SECONDS_PER_MONTH
        requests = sizing.peak(workload) * MEAN_OF_PEAK * SECONDS_PER_MONTH
        event_gb = events * EVENT_KB / _KB_PER_GB
        return cls(events_per_second, events, requests, event_gb, event_gb * workload.data.retention_days / _DAYS)
