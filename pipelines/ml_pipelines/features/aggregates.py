"""Aggregates over a range of events that moves along: events enter at one end and leave at the other.

Each keeps what it needs to answer at once. Sums of floats are exact (Shewchuk 1997, "Adaptive Precision Floating-Point
Arithmetic", as `math.fsum`) and rounded once, so that events leave without a trace and a sum depends on nothing but the
events in it.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

# Beyond this, adding two floats may overflow, and what overflowed can't be taken back.
_HUGE = 2.0**1000


class Aggregate(Protocol):
    """Something computed over a range of events. Missing values take no part, as in SQL."""

    def enter(self, key: int, value: Any) -> None:
        """Take in the next event."""

    def leave(self, key: int, value: Any) -> None:
        """Let go of the oldest event."""

    def result(self, column: Sequence[Any], low: int, high: int) -> Any:
        """The value over the range, which is `column[low:high]`."""


class CountRows:
    """How many events."""

    __slots__ = ()

    def enter(self, key: int, value: Any) -> None:
        """Nothing to keep."""

    def leave(self, key: int, value: Any) -> None:
        """Nothing to keep."""

    def result(self, column: Sequence[Any], low: int, high: int) -> int:
        """The length of the range."""
        return high - low


class Count:
    """How many values that aren't missing."""

    __slots__ = ("_count",)

    def __init__(self) -> None:
        self._count = 0

    def enter(self, key: int, value: Any) -> None:
        """Count it."""
        self._count += value is not None

    def leave(self, key: int, value: Any) -> None:
        """Count it no more."""
        self._count -= value is not None

    def result(self, column: Sequence[Any], low: int, high: int) -> int:
        """The count."""
        return self._count


class IntegerSum:
    """The sum of integers; missing if there are none."""

    __slots__ = ("_count", "_sum")

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def enter(self, key: int, value: int | None) -> None:
        """Add it."""
        if value is not None:
            self._count += 1
            self._sum += value

    def leave(self, key: int, value: int | None) -> None:
        """Take it off."""
        if value is not None:
            self._count -= 1
            self._sum -= value

    def result(self, column: Sequence[Any], low: int, high: int) -> int | None:
        """The sum."""
        return self._sum if self._count else None


class IntegerMean(IntegerSum):
    """The mean of integers; missing if there are none."""

    __slots__ = ()

    def result(self, column: Sequence[Any], low: int, high: int) -> float | None:  # pyrefly: ignore[bad-override]
        """The mean."""
        return self._sum / self._count if self._count else None


class FloatSum:
    """The sum of floats, rounded once; missing if there are none or no finite float can hold it."""

    __slots__ = ("_count", "_huge", "_parts")

    def __init__(self) -> None:
        self._count = 0
        self._huge = 0
        # Floats whose bits don't overlap, smallest first: their sum is exact.
        self._parts: list[float] = []

    def enter(self, key: int, value: float | None) -> None:
        """Add it."""
        if value is not None:
            self._count += 1
            if -_HUGE < value < _HUGE:
                self._add(value)
            else:
                self._huge += 1

    def leave(self, key: int, value: float | None) -> None:
        """Take it off, exactly."""
        if value is not None:
            self._count -= 1
            if -_HUGE < value < _HUGE:
                self._add(-value)
            else:
                self._huge -= 1

    def result(self, column: Sequence[float | None], low: int, high: int) -> float | None:
        """The sum."""
        if not self._count:
            return None
        if not self._huge:
            return math.fsum(self._parts)
        try:
            return math.fsum(value for value in column[low:high] if value is not None)
        except OverflowError:
            return None

    def _add(self, value: float) -> None:
        parts = self._parts
        if not parts:
            if value:
                parts.append(value)
            return
        kept = 0
        for part in parts:
            if abs(value) < abs(part):
                value, part = part, value
            total = value + part
            rest = part - (total - value)
            if rest:
                parts[kept] = rest
                kept += 1
            value = total
        parts[kept:] = (value,) if value else ()


class FloatMean(FloatSum):
    """The mean of floats; missing if there are none."""

    __slots__ = ()

    def result(self, column: Sequence[float | None], low: int, high: int) -> float | None:
        """The mean."""
        total = super().result(column, low, high)
        return None if total is None else total / self._count


class Largest:
    """The largest value; missing if there is none. Keeps only what may still become the largest."""

    __slots__ = ("_candidates",)

    def __init__(self) -> None:
        self._candidates: deque[tuple[Any, int]] = deque()

    def enter(self, key: int, value: Any) -> None:
        """Whatever isn't larger has had its time."""
        if value is not None:
            candidates = self._candidates
            while candidates and candidates[-1][0] <= value:
                candidates.pop()
            candidates.append((value, key))

    def leave(self, key: int, value: Any) -> None:
        """The oldest goes, if it is still there."""
        if self._candidates and self._candidates[0][1] == key:
            self._candidates.popleft()

    def result(self, column: Sequence[Any], low: int, high: int) -> Any:
        """The largest value."""
        return self._candidates[0][0] if self._candidates else None


class Smallest(Largest):
    """The smallest value; missing if there is none."""

    __slots__ = ()

    def enter(self, key: int, value: Any) -> None:
        """Whatever isn't smaller has had its time."""
        if value is not None:
            candidates = self._candidates
            while candidates and candidates[-1][0] >= value:
                candidates.pop()
            candidates.append((value, key))


class LargestBy(Largest):
    """The value with the largest score, from pairs of value and score; missing if there is none."""

    __slots__ = ()

    def enter(self, key: int, value: Any) -> None:
        """Compare by score."""
        if value is not None:
            found, score = value
            candidates = self._candidates
            while candidates and candidates[-1][0][0] <= score:
                candidates.pop()
            candidates.append(((score, found), key))

    def result(self, column: Sequence[Any], low: int, high: int) -> Any:
        """The value."""
        return self._candidates[0][0][1] if self._candidates else None


class Distinct:
    """How many different values."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[Any, int] = {}

    def enter(self, key: int, value: Any) -> None:
        """Count it."""
        if value is not None:
            self._counts[value] = self._counts.get(value, 0) + 1

    def leave(self, key: int, value: Any) -> None:
        """Count it no more."""
        if value is not None:
            left = self._counts[value] - 1
            if left:
                self._counts[value] = left
            else:
                del self._counts[value]

    def result(self, column: Sequence[Any], low: int, high: int) -> int:
        """The number of values."""
        return len(self._counts)


AGGREGATES: Mapping[str, Callable[[], Aggregate]] = {
    "count_rows": CountRows,
    "count": Count,
    "integer_sum": IntegerSum,
    "integer_mean": IntegerMean,
    "float_sum": FloatSum,
    "float_mean": FloatMean,
    "max": Largest,
    "min": Smallest,
    "argmax": LargestBy,
    "distinct": Distinct,
}
