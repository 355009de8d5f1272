"""Counting a window: what of each feature falls into which bin of the baseline, in one pass, on arrays of one machine.

`duckdb_counting` and `spark_counting` count the same of files and of clusters. Counts are whole numbers, and everything
that is compared is computed from them: no engine has numbers of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.monitoring.baseline import Baseline, Distribution

# The segment that is all of the window.
WHOLE = ""
# When a row was asked, in milliseconds since 1970.
AT = "at"


@dataclass(frozen=True)
class Counts:
    """A feature in a window. outside: beyond training's; implausible: beyond `low` and `high`; unknown: new words.

    example: the first of the new words, in alphabetical order. lowest and highest are None where nothing is there, and
    of words.
    """

    counts: np.ndarray
    missing: int = 0
    lowest: float | None = None
    highest: float | None = None
    outside: int = 0
    implausible: int = 0
    example: str | None = None

    @property
    def rows(self) -> int:
        """All values, missing ones too."""
        return int(self.counts.sum()) + self.missing

    @property
    def there(self) -> int:
        """The values that are there."""
        return int(self.counts.sum())

    def __add__(self, other: "Counts") -> "Counts":
        def least(values: Sequence[float | None]) -> float | None:
            return min((value for value in values if value is not None), default=None)

        def most(values: Sequence[float | None]) -> float | None:
            return max((value for value in values if value is not None), default=None)

        return Counts(
            self.counts + other.counts,
            self.missing + other.missing,
            least([self.lowest, other.lowest]),
            most([self.highest, other.highest]),
            self.outside + other.outside,
            self.implausible + other.implausible,
            min((word for word in (self.example, other.example) if word is not None), default=None),
        )


@dataclass(frozen=True)
class Window:
    """What was counted: by segment (WHOLE, or as in `country=DE`) and feature.

    absent: features of the baseline that no row has a column for; unsegmented: columns that were to be looked at apart
    and aren't there.
    """

    rows: int
    counts: Mapping[str, Mapping[str, Counts]]
    since: int | None = None
    until: int | None = None
    absent: tuple[str, ...] = ()
    unsegmented: tuple[str, ...] = field(default=())


def count(baseline: Baseline, table: pa.Table, segments: Sequence[str] = ()) -> Window:
    """A window that is a table in memory: a column for each input, `score`, `at`, and those of the segments."""
    there = {name: one for name, one in baseline.features.items() if name in table.column_names}
    places = {name: _places(one, table[name]) for name, one in there.items()}
    counts = {WHOLE: {name: found.counts(slice(None)) for name, found in places.items()}}
    for column in segments:
        if column not in table.column_names:
            continue
        words = pc.dictionary_encode(pc.fill_null(table[column].cast(pa.string()), "")).combine_chunks()
        indices = words.indices.to_numpy()
        for number, value in enumerate(words.dictionary.to_pylist()):
            chosen = np.flatnonzero(indices == number)
            counts[f"{column}={value}"] = {name: found.counts(chosen) for name, found in places.items()}
    times = table[AT] if AT in table.column_names and len(table) else None
    return Window(
        rows=len(table),
        counts=counts,
        since=None if times is None else pc.min(times).as_py(),
        until=None if times is None else pc.max(times).as_py(),
        absent=tuple(name for name in baseline.features if name not in there),
        unsegmented=tuple(name for name in segments if name not in table.column_names),
    )


def counted(distribution: Distribution, values: np.ndarray) -> Counts:
    """An array: numbers, of which missing ones aren't finite, or words, of which missing ones are empty."""
    if values.dtype == object:
        return _places(distribution, pa.chunked_array([pa.array(values, pa.string())])).counts(slice(None))
    return _Places(distribution, *_binned(distribution, values)).counts(slice(None))


@dataclass(frozen=True)
class _Places:
    """The bin of each value, -1 where it is missing; numbers have their values, too, words the new ones."""

    distribution: Distribution
    places: np.ndarray
    values: np.ndarray | None = None
    new: pa.ChunkedArray | None = None

    def counts(self, chosen: np.ndarray | slice) -> Counts:
        one, places = self.distribution, self.places[chosen]
        found = np.bincount(places + 1, minlength=len(one.counts) + 1)
        if self.values is None:
            example = None
            if self.new is not None and found[-1]:
                others = np.flatnonzero(self.places == len(one.counts) - 1)
                within = others if isinstance(chosen, slice) else np.intersect1d(others, chosen)
                example = pc.min(self.new.take(pa.array(within))).as_py()
            return Counts(found[1:], int(found[0]), example=example)
        values = self.values[chosen]
        values = values[places >= 0] if found[0] else values
        if not len(values):
            return Counts(found[1:], int(found[0]))
        return Counts(
            found[1:],
            int(found[0]),
            float(values.min()),
            float(values.max()),
            _beyond(values, one.lowest, one.highest),
            _beyond(values, one.low, one.high),
        )


def _places(distribution: Distribution, column: pa.ChunkedArray) -> _Places:
    if distribution.cuts is not None:
        values = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return _Places(distribution, *_binned(distribution, values))
    words = column.cast(pa.string())
    places = pc.index_in(words, value_set=pa.array(distribution.words, pa.string()))
    others = np.asarray(pc.fill_null(places, len(distribution.words)).to_numpy(), np.int64)
    others[pc.fill_null(pc.equal(words, ""), True).to_numpy()] = -1
    return _Places(distribution, others, new=words)


def _binned(distribution: Distribution, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cuts = np.zeros(0) if distribution.cuts is None else distribution.cuts
    places = np.searchsorted(cuts, values, side="left")
    there = np.isfinite(values)
    if not there.all():
        places[~there] = -1
    return places, values


def _beyond(values: np.ndarray, low: float | None, high: float | None) -> int:
    below = int(np.count_nonzero(values < low)) if low is not None else 0
    return below + (int(np.count_nonzero(values > high)) if high is not None else 0)
