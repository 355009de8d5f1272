"""Counting with Spark: the same counts of a table of any size, by expressions that run where the data are.

Each value becomes its feature's bin by a search in two steps, among every tenth cut and then among ten, so that nothing
but Spark is needed on a cluster.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_pipelines.monitoring.baseline import Baseline, Distribution
from ml_pipelines.monitoring.counting import AT, WHOLE, Counts, Window

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_STEP = 10


def count(baseline: Baseline, table: "DataFrame", segments: Sequence[str] = ()) -> Window:
    """The window that is a table of Spark: a column for each input, `score`, `at`, and those of the segments.

    It is read once for the whole and once for each column of segments.
    """
    from pyspark.sql import functions as f

    there = {name: one for name, one in baseline.features.items() if name in table.columns}
    kept = [name for name in segments if name in table.columns]
    times = [f.min(AT), f.max(AT)] if AT in table.columns else [f.lit(None), f.lit(None)]
    rows, since, until = table.agg(f.count(f.lit(1)), *times).first() or (0, None, None)
    found: dict[str, dict[str, Counts]] = {}
    for column in [None, *kept]:
        segment = f.lit(WHOLE) if column is None else f.concat(f.lit(f"{column}="), _filled(f, column))
        for key, counts in _counted(table, there, segment).items():
            found[key] = counts
    return Window(
        rows,
        found if rows else {},
        since,
        until,
        absent=tuple(name for name in baseline.features if name not in there),
        unsegmented=tuple(name for name in segments if name not in table.columns),
    )


def _filled(f: Any, column: str) -> "Column":
    return f.coalesce(f.col(f"`{column}`").cast("string"), f.lit(""))


def _counted(table: "DataFrame", there: dict[str, Distribution], segment: "Column") -> dict[str, dict[str, Counts]]:
    from pyspark.sql import functions as f

    names = list(there)
    binned = [_binned(f, place, name, there[name]) for place, name in enumerate(names)]
    long = table.select(segment.alias("segment"), f.explode(f.array(*binned)).alias("value"))
    answer = long.groupBy("segment", "value.feature", "value.bin").agg(
        f.count(f.lit(1)).alias("rows"),
        f.min("value.number").alias("low"),
        f.max("value.number").alias("high"),
        f.sum("value.outside").alias("outside"),
        f.sum("value.implausible").alias("implausible"),
        f.min("value.word").alias("word"),
    )
    found: dict[str, dict[str, Counts]] = {}
    for row in answer.collect():
        name = names[row["feature"]]
        counts, missing = np.zeros(len(there[name].counts), np.int64), 0
        if row["bin"] < 0:
            missing = row["rows"]
        else:
            counts[row["bin"]] = row["rows"]
        one = Counts(counts, missing, row["low"], row["high"], row["outside"], row["implausible"], row["word"])
        features = found.setdefault(row["segment"], {})
        features[name] = features[name] + one if name in features else one
    return found


def _binned(f: Any, feature: int, name: str, one: Distribution) -> "Column":
    """Which feature, bin (-1: missing), number, whether it lies beyond, and a word that training didn't have."""
    column, nothing = f.col(f"`{name}`"), f.lit(None)
    if one.cuts is None:
        word = column.cast("string")
        last = len(one.words)
        # Spark counts places from 1, and says 0 for what isn't there.
        words = f.array(*map(f.lit, one.words)).cast("array<string>")
        place = f.call_function("array_position", words, word).cast("int")
        bin_ = f.when(place > 0, place - 1).otherwise(f.lit(last))
        bin_ = f.when(word.isNull() | (word == ""), f.lit(-1)).otherwise(bin_)
        return f.struct(
            f.lit(feature).alias("feature"),
            bin_.cast("int").alias("bin"),
            nothing.cast("double").alias("number"),
            f.lit(0).alias("outside"),
            f.lit(0).alias("implausible"),
            f.when(bin_ == last, word).alias("word"),
        )
    number = column.cast("double")
    there = number.isNotNull() & ~f.isnan(number) & (f.abs(number) != float("inf"))
    cuts = one.cuts.tolist()
    coarse = _below(f, f.array(*map(f.lit, cuts[_STEP - 1 :: _STEP])).cast("array<double>"), number) * _STEP
    narrow = f.slice(f.array(*map(f.lit, cuts)).cast("array<double>"), coarse + 1, f.lit(_STEP))
    return f.struct(
        f.lit(feature).alias("feature"),
        f.when(there, coarse + _below(f, narrow, number)).otherwise(f.lit(-1)).cast("int").alias("bin"),
        f.when(there, number).alias("number"),
        f.when(there & _beyond(f, number, one.lowest, one.highest), 1).otherwise(0).alias("outside"),
        f.when(there & _beyond(f, number, one.low, one.high), 1).otherwise(0).alias("implausible"),
        nothing.cast("string").alias("word"),
    )


def _below(f: Any, cuts: "Column", number: "Column") -> "Column":
    return f.size(f.filter(cuts, lambda cut: cut < number))


def _beyond(f: Any, number: "Column", low: float | None, high: float | None) -> "Column":
    below = number < low if low is not None else f.lit(False)
    return below | (number > high if high is not None else f.lit(False))
