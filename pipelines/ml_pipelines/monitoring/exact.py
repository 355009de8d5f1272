"""Exact distances of two tables, from all of their values: column by column, so that few are held at a time.

    python -m ml_pipelines.monitoring.exact REFERENCE.parquet CURRENT.parquet [--metric wasserstein ...]

It is for tables of which no baseline was kept, such as two sets for training. Bins are of equal width over both, as
many as Sturges' rule says. The definitions are those of evidently (0.7, legacy.calculations.stattests), and so are the
numbers.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml_pipelines.monitoring import distances

# How many values are looked at together, and how many parts tell where a distance may be largest.
_CHUNK, _GRID = 2**18, 2**15
# Columns that are held at the same time.
_AT_ONCE = 2
# Numbers of fewer different values are compared value by value.
_FEW = 20


def compared(
    reference: Path, current: Path, columns: Sequence[str] | None = None, metrics: Sequence[str] = distances.METRICS
) -> Iterator[tuple[str, dict[str, float]]]:
    """The distances of each column, and `kolmogorov_smirnov_p`, how likely noise makes as large a one.

    Numbers and flags have all of the metrics, words those of counts. Missing values are left out. Raises ValueError for
    a column that one of the tables lacks, or that holds nothing.
    """
    files = [pq.ParquetFile(file) for file in (reference, current)]
    names = [name for name in files[0].schema_arrow.names if name in files[1].schema_arrow.names]
    wanted = names if columns is None else columns
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"column `{missing[0]}`: one of {reference} and {current} hasn't it")

    def one(name: str) -> dict[str, float]:
        both = pq.ParquetFile(reference), pq.ParquetFile(current)
        kind = both[0].schema_arrow.field(name).type
        if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _words(_column(both[0], name), _column(both[1], name), metrics)
        return _numbers(_sorted(both[0], name), _sorted(both[1], name), metrics)

    # NumPy and PyArrow let other threads run while they work.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from zip(wanted, pool.map(one, wanted), strict=True)


def _column(file: pq.ParquetFile, name: str) -> pa.ChunkedArray:
    column = file.read([name]).column(0).drop_null()
    if not len(column):
        raise ValueError(f"column `{name}`: holds no value")
    return column


def _sorted(file: pq.ParquetFile, name: str) -> np.ndarray:
    """A column's finite values in ascending order; row group by row group, so that it is held once."""
    values = np.empty(file.metadata.num_rows)
    used = 0
    for group in range(file.num_row_groups):
        part = file.read_row_group(group, [name], use_threads=False).column(0).drop_null()
        numbers = part.cast(pa.int8() if pa.types.is_boolean(part.type) else part.type).cast(pa.float64(), safe=False)
        found = numbers.to_numpy()
        found = found[np.isfinite(found)]
        values[used : used + len(found)] = found
        used += len(found)
    if not used:
        raise ValueError(f"column `{name}`: holds no value")
    values = values[:used]
    values.sort()
    return values


def _words(before: pa.ChunkedArray, after: pa.ChunkedArray, metrics: Sequence[str]) -> dict[str, float]:
    counted = [dict(zip(*_counted(column), strict=True)) for column in (before, after)]
    words = sorted(set(counted[0]) | set(counted[1]))
    counts = [np.array([found.get(word, 0) for word in words], np.float64) for found in counted]
    return {name: distances.OF_COUNTS[name][0](*counts) for name in metrics if name in distances.OF_COUNTS}


def _counted(column: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    found = pc.value_counts(column.cast(pa.string()))
    return found.field("values").to_pylist(), found.field("counts").to_pylist()


def _numbers(before: np.ndarray, after: np.ndarray, metrics: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    if set(metrics) & set(distances.OF_COUNTS):
        counts = _binned(before, after)
        found = {name: distances.OF_COUNTS[name][0](*counts) for name in metrics if name in distances.OF_COUNTS}
    if "kolmogorov_smirnov" in metrics:
        distance = kolmogorov_smirnov(before, after)
        found["kolmogorov_smirnov"] = distance
        found["kolmogorov_smirnov_p"] = distances.kolmogorov_noise(distance, len(before), len(after))
    if "wasserstein" in metrics:
        found["wasserstein"] = wasserstein(before, after, float(before.std()))
    return found


def _binned(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of both in the same bins; both are in ascending order."""
    different = _first(before, _FEW + 1)
    if len(different) <= _FEW:
        values = np.unique(np.concatenate([different, np.unique(after)]))
        ends = [np.searchsorted(one, values, side="right") for one in (before, after)]
        return np.diff(ends[0], prepend=0), np.diff(ends[1], prepend=0)
    low, high = min(before[0], after[0]), max(before[-1], after[-1])
    # As NumPy's `histogram_bin_edges(..., "sturges")` has them, which would have to look at all values for that.
    width = (high - low) / (np.log2(len(before) + len(after)) + 1)
    edges = np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)
    return _between(before, edges), _between(after, edges)


def _first(ascending: np.ndarray, count: int) -> np.ndarray:
    """The first different values, at most so many."""
    found = [ascending[0]]
    while len(found) < count:
        place = np.searchsorted(ascending, found[-1], side="right")
        if place == len(ascending):
            break
        found.append(ascending[place])
    return np.array(found)


def _between(ascending: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins hold their lower edge, the last one its upper edge, too."""
    places = np.searchsorted(ascending, edges, side="left")
    places[-1] = len(ascending)
    return np.diff(places)


def kolmogorov_smirnov(before: np.ndarray, after: np.ndarray) -> float:
    """The largest difference of the cumulated distributions of values in ascending order.

    Between two values of a coarse grid both distributions only grow, which bounds their difference there: most parts
    can't hold the largest one, and needn't be looked at.
    """
    grid = np.unique(before[np.linspace(0, len(before) - 1, min(len(before), _GRID)).astype(np.int64)])
    places = [np.concatenate([[0], np.searchsorted(one, grid, side="right"), [len(one)]]) for one in (before, after)]
    shares = [ends / len(one) for ends, one in zip(places, (before, after), strict=True)]
    best = float(np.abs(shares[0] - shares[1]).max())
    more, less = shares[0][1:] - shares[1][:-1], shares[1][1:] - shares[0][:-1]
    most = np.maximum(more, less)
    for part in np.argsort(-most):
        if most[part] <= best:
            break
        (first, last), (start, end) = ((ends[part], ends[part + 1]) for ends in places)
        inside = np.concatenate([before[first:last], after[start:end]])
        if inside.min() == inside.max():
            # All equal: the end of the part, which was looked at.
            continue
        values = np.unique(inside)
        own = (first + np.searchsorted(before[first:last], values, side="right")) / len(before)
        other = (start + np.searchsorted(after[start:end], values, side="right")) / len(after)
        best = max(best, float(np.abs(own - other).max(initial=0.0)))
    return best


def wasserstein(before: np.ndarray, after: np.ndarray, deviation: float) -> float:
    """The area between the distributions of values in ascending order, in standard deviations.

    It is looked at from the side: as the mean distance of the values with the same share below them. At
    which shares one of both steps is known without a search.
    """
    n, m = len(before), len(after)
    if n == m:
        chunks = range(0, n, _CHUNK)
        area = sum(float(np.abs(before[one : one + _CHUNK] - after[one : one + _CHUNK]).sum()) for one in chunks) / n
        return area / distances.scale(deviation)
    area, done = 0.0, 0
    for start in range(0, n, _CHUNK):
        # Shares in units of 1 / (n m): steps of `before` are multiples of m, those of `after` of n.
        stop = min(n, start + _CHUNK) * m
        own = np.arange(start + 1, min(n, start + _CHUNK) + 1, dtype=np.int64) * m
        other = np.arange(done // n + 1, stop // n + 1, dtype=np.int64) * n
        steps = np.concatenate([own, other])
        steps.sort()
        widths = np.diff(steps, prepend=done)
        area += float(np.sum(np.abs(before[(steps - 1) // m] - after[(steps - 1) // n]) * widths))
        done = stop
    return area / (n * m) / distances.scale(deviation)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; prints the distances of each column as JSON."""
    parser = argparse.ArgumentParser(prog="python -m ml_pipelines.monitoring.exact", description=__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("current", type=Path)
    parser.add_argument("--column", action="append", help="default: all that both have")
    parser.add_argument("--metric", action="append", choices=distances.METRICS, help="default: all")
    options = parser.parse_args(arguments)
    try:
        found = dict(compared(options.reference, options.current, options.column, options.metric or distances.METRICS))
    except (OSError, ValueError, pa.ArrowException) as error:
        print(f"exact: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
