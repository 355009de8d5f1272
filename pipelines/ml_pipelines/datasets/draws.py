"""Random whole numbers that are the same on every platform: raw bits of PCG64, and integer arithmetic on them.

NumPy guarantees the bits of PCG64 for a seed, not what its distributions make of them, and logarithms differ in the
last digit from one processor to the next. So nothing here is a float: shares are whole numbers per million, amounts are
cents, times are milliseconds.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MILLION = 1_000_000

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Draws:
    """A stream of random numbers of its own for each purpose, so that a draw more in one changes nothing in another."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._bits = np.random.PCG64([seed, zlib.crc32(purpose.encode())])

    def below(self, bound: int | Integers, size: int) -> Integers:
        """Whole numbers from 0 to `bound` - 1, each as likely as another; a bound of at most 2**31, or one for each."""
        high = self._bits.random_raw(size) >> np.uint64(33)
        return (high.astype(np.int64) * bound) >> 31

    def between(self, lowest: int, highest: int, size: int) -> Integers:
        """Whole numbers from `lowest` to `highest`, both included."""
        return lowest + self.below(highest - lowest + 1, size)

    def happens(self, per_million: int | Integers, size: int) -> Mask:
        """True with this probability."""
        return self.below(MILLION, size) < per_million

    def weighted(self, weights: Sequence[int] | Integers, size: int) -> Integers:
        """Positions, each with a probability in proportion to its weight."""
        steps = np.cumsum(np.asarray(weights, dtype=np.int64))
        return np.searchsorted(steps, self.below(int(steps[-1]), size), side="right")

    def chosen(self, count: int, size: int) -> Integers:
        """The positions of `count` of `size` things, in ascending order."""
        return np.sort(np.argsort(self._bits.random_raw(size), kind="stable")[:count])

    def shaped(self, shares: Sequence[int], values: Integers, size: int) -> Integers:
        """Numbers of a distribution that is given by its quantiles, with straight lines between them.

        `shares` are the cumulated probabilities per million, from 0 to a million; `values` are the quantiles there: one
        row for all, or one row for each number.
        """
        knots = np.asarray(shares, dtype=np.int64)
        values = np.broadcast_to(values, (size, len(knots)))
        drawn = self.below(MILLION, size)
        left = np.searchsorted(knots, drawn, side="right") - 1
        each = np.arange(size)
        low, high = values[each, left], values[each, left + 1]
        return low + (high - low) * (drawn - knots[left]) // (knots[left + 1] - knots[left])
