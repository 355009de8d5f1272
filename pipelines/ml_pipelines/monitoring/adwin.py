"""ADWIN, a window that grows while its values stay the same and loses its old part when they change: many at once.

The second version of A. Bifet and R. Gavaldà, Learning from time-changing data with adaptive windowing (2007). All
channels share one exponential histogram, so that what is done for one value is done for all of them by one operation.
River's is the reference (its tests' numbers are ours): it takes 3 s and 115 MB to import, which a processor that starts
in a function can't afford, and looks at a single stream of values.
"""

from dataclasses import dataclass

import numpy as np

# Buckets of one size before two of them become one of twice as many values.
_BUCKETS = 5
# Sizes of buckets: the window is bounded by about _BUCKETS * 2**_LEVELS elements, older ones are dropped.
_LEVELS = 12
# Fewer values on one side of a cut tell nothing.
_LEAST = 5
_COUNT, _SUM, _SQUARES = range(3)


@dataclass(frozen=True)
class Change:
    """A channel that changed: the means before and after, of how many values, and their difference's bound."""

    channel: int
    before: float
    after: float
    older: int
    newer: int
    bound: float


class Adwin:
    """Windows of values between 0 and 1. delta: how likely a channel's look at its window finds a change by chance."""

    def __init__(self, channels: int, delta: float = 0.002):
        self.channels, self.delta = channels, delta
        # One more bucket than may stay, which is there until two become one.
        self._levels = np.zeros((_LEVELS, _BUCKETS + 1, 3, channels))
        self._used = [0] * _LEVELS

    def add(self, counts: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> None:
        """Take an element: of each channel how many values, their sum, and that of their squares."""
        self._push(0, np.stack([counts, sums, squares]))

    def _push(self, level: int, bucket: np.ndarray) -> None:
        while True:
            rows, used = self._levels[level], self._used[level]
            rows[used] = bucket
            self._used[level] = used + 1
            if used < _BUCKETS:
                return
            # The two oldest become one; where there is no larger size, they are forgotten.
            bucket = rows[0] + rows[1]
            rows[: used - 1] = rows[2 : used + 1].copy()
            self._used[level] = used - 1
            level += 1
            if level == _LEVELS:
                return

    @property
    def widths(self) -> np.ndarray:
        """How many values each channel's window holds."""
        return self._ordered()[:, _COUNT].sum(axis=0)

    @property
    def means(self) -> np.ndarray:
        """The mean of each channel's window."""
        whole = self._ordered().sum(axis=0)
        return whole[_SUM] / np.maximum(whole[_COUNT], 1)

    def _ordered(self) -> np.ndarray:
        """All buckets, oldest first."""
        parts = [self._levels[level, : self._used[level]] for level in range(_LEVELS - 1, -1, -1) if self._used[level]]
        return np.concatenate(parts) if parts else np.zeros((0, 3, self.channels))

    def changes(self) -> list[Change]:
        """What changed since it was asked last; the older part of these windows is dropped."""
        buckets = self._ordered()
        if len(buckets) < 2:
            return []
        older = np.cumsum(buckets, axis=0)
        whole = older[-1]
        older = older[:-1]
        newer = whole - older
        n0, n1, n = older[:, _COUNT], newer[:, _COUNT], whole[_COUNT]
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.abs(older[:, _SUM] / n0 - newer[:, _SUM] / n1)
            variance = np.maximum(whole[_SQUARES] / n - (whole[_SUM] / n) ** 2, 0)
            noise = np.log(2 * np.log(n) / self.delta)
            parts = 1 / (n0 - _LEAST + 1) + 1 / (n1 - _LEAST + 1)
            bound = np.sqrt(2 * parts * variance * noise) + 2 / 3 * noise * parts
            seen = (n0 > _LEAST + 1) & (n1 > _LEAST + 1) & (apart > bound)
        if not seen.any():
            return []
        found = []
        for channel in np.flatnonzero(seen.any(axis=0)):
            place = int(np.argmax(np.where(seen[:, channel], apart[:, channel] / bound[:, channel], -1)))
            found.append(
                Change(
                    int(channel),
                    float(older[place, _SUM, channel] / n0[place, channel]),
                    float(newer[place, _SUM, channel] / n1[place, channel]),
                    int(n0[place, channel]),
                    int(n1[place, channel]),
                    float(bound[place, channel]),
                )
            )
            self._drop(int(channel), place + 1)
        return found

    def _drop(self, channel: int, buckets: int) -> None:
        """Forget a channel's oldest buckets: they stay, and hold nothing of it."""
        for level in range(_LEVELS - 1, -1, -1):
            here = min(buckets, self._used[level])
            self._levels[level, :here, :, channel] = 0
            buckets -= here
