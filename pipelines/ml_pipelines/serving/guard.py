"""Withdraws a canary that fails or is slow: its entities go back to the champion, without anybody's doing.

A canary's failures are counted in a window of its latest requests. It goes when the lower end of the 95% interval of
its share of failures (Wilson's) is above what is allowed, so that one failure among a few is no reason. What it answers
wrongly isn't seen here: that is what shadows and labels are for (`comparison.py`).
"""

import math
from collections import deque

from ml_pipelines.serving.table import Guard

WINDOW = 1000
LEAST = 20
_Z = 1.96


class Watch:
    """What is known of one canary."""

    def __init__(self, guard: Guard):
        self._guard = guard
        self._latest: deque[tuple[bool, float]] = deque(maxlen=WINDOW)
        self._failures, self._seconds = 0, 0.0
        self.withdrawn: str | None = None

    def note(self, failed: bool, seconds: float) -> str | None:
        """Count a request; returns why the canary is withdrawn, at the request that decides it."""
        latest = self._latest
        if len(latest) == WINDOW:
            gone, took = latest[0]
            self._failures -= gone
            self._seconds -= took
        latest.append((failed, seconds))
        self._failures += failed
        self._seconds += seconds
        if self.withdrawn is None and len(latest) >= LEAST:
            self.withdrawn = self._reason(len(latest))
            return self.withdrawn
        return None

    def _reason(self, count: int) -> str | None:
        allowed, slowest = self._guard.error_rate, self._guard.latency_ms
        if self._failures and (low := lower_end(self._failures, count)) > allowed:
            return f"{self._failures} of its last {count} requests failed: more than {low:.2%}, {allowed:.2%} may"
        mean = 1000 * self._seconds / count
        if slowest is not None and mean > slowest:
            return f"its last {count} requests took {mean:.1f} ms in the mean, {slowest:g} ms are allowed"
        return None


def lower_end(failures: int, count: int) -> float:
    """The lower end of Wilson's 95% interval of a share."""
    share, square = failures / count, _Z**2 / count
    spread = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return (share + square / 2 - spread) / (1 + square)
