"""The watch over a stream: whether features and scores change while events are processed, in little time and memory.

Each value becomes its rank, from 0 to 1, in training or among the first values that were seen, so that one bound suits
all features. Three things of a feature are watched by ADWIN: its mean rank, how far ranks lie from the middle, and the
share of missing values. A change is logged, counted, and published as an event. What differs from training, and what
changes with the time of the day by its nature, is the affair of the step `drift`: the watch sees changes alone.
"""

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml_pipelines.monitoring.adwin import Adwin
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.monitoring.report import SCORE
from ml_pipelines.streaming.sinks import Publisher, SinkError

log = logging.getLogger(__name__)

# What is watched of each feature.
ASPECTS = ("level", "spread", "missing")
# Events that are looked at together: the clock of ADWIN.
EVERY = 256
# Where there is no baseline, so many values make the ranks.
LEARNED = 1_024
# A feature that goes on changing is told once in so long.
QUIET_MS = 3_600_000
_CUTS = 100


@dataclass(frozen=True)
class Shift:
    """A change of a feature. before, after: the means of the aspect; older, newer: how many values these are of.

    at: when the last event arrived, milliseconds since 1970.
    """

    workload: str
    feature: str
    aspect: str
    before: float
    after: float
    older: int
    newer: int
    at: int

    def said(self) -> str:
        """In words."""
        what = {
            "level": "the mean rank",
            "spread": "the mean distance from the middle rank",
            "missing": "the share of missing values",
        }
        return (
            f"{self.feature} changed: {what[self.aspect]} was {self.before:.2f} of {self.older:,} values, "
            f"and is {self.after:.2f} of the {self.newer:,} after them"
        )


@dataclass(frozen=True)
class _Ranks:
    """How values of a feature become ranks: the place among cuts, or of a word, and the rank of each place."""

    ranks: np.ndarray
    cuts: np.ndarray | None = None
    words: Mapping[str, int] | None = None

    @classmethod
    def made(cls, counts: np.ndarray, cuts: np.ndarray | None, words: Sequence[str] = ()) -> "_Ranks":
        """Of how many values each bin held: its rank is the middle of those that it held."""
        ends = np.cumsum(counts) / max(1, counts.sum())
        places = None if cuts is not None else {word: place for place, word in enumerate(words)}
        return cls(ends - counts / max(1, counts.sum()) / 2, cuts, places)

    @classmethod
    def learned(cls, column: Sequence[Any], is_word: bool) -> "_Ranks":
        """Of values."""
        if is_word:
            words, counts = np.unique([str(word) for word in column if word not in (None, "")], return_counts=True)
            order = np.argsort(-counts, kind="stable")[:_CUTS]
            kept = counts[order]
            return cls.made(np.append(kept, counts.sum() - kept.sum()), None, [str(words[place]) for place in order])
        values = _numbers(column)
        values = values[np.isfinite(values)]
        if not len(values):
            return cls.made(np.zeros(1), np.zeros(0))
        cuts = np.unique(np.quantile(values, np.arange(1, _CUTS) / _CUTS, method="inverted_cdf"))
        return cls.made(np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1), cuts)

    def of(self, column: Sequence[Any]) -> np.ndarray:
        """The rank of each value, NaN where it is missing."""
        if self.words is not None:
            other = len(self.words)
            places = [-1 if word in (None, "") else self.words.get(str(word), other) for word in column]
            found = self.ranks[places]
            found[np.array(places) < 0] = np.nan
            return found
        values = _numbers(column)
        found = self.ranks[np.searchsorted(self.cuts, values)] if self.cuts is not None else values
        if not np.isfinite(values.sum()):
            found[~np.isfinite(values)] = np.nan
        return found


class Watch:
    """Looks at each decision once. `features` are those of the plan, with their types, in their order.

    alarms: where changes are published, if anywhere. delta: how likely a look at all features finds a change by chance;
    least: changes of a mean that are smaller are nobody's concern; quiet_ms: how long a feature isn't told again.
    Several threads may use one watch.
    """

    def __init__(
        self,
        workload: str,
        features: Mapping[str, str],
        baseline: Baseline | None = None,
        alarms: Publisher | None = None,
        delta: float = 1e-4,
        least: float = 0.05,
        every: int = EVERY,
        quiet_ms: int = QUIET_MS,
    ):
        self.workload, self.alarms, self.least = workload, alarms, least
        self.every, self.quiet_ms = every, quiet_ms
        self.names = [*features, SCORE]
        self._words = [kind == "string" for kind in (*features.values(), "float")]
        self._ranks: list[_Ranks] | None = None
        if baseline is not None and all(name in baseline.features for name in self.names):
            known = [baseline.features[name] for name in self.names]
            self._ranks = [_Ranks.made(one.counts, one.cuts, one.words) for one in known]
        channels = len(self.names) * len(ASPECTS)
        self._adwin = Adwin(channels, delta / channels)
        self._told: dict[str, int] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._lock = threading.Lock()

    def see(self, decisions: Sequence[Mapping[str, Any]]) -> list[Shift]:
        """Take decisions as they are handed on; returns what was found to have changed, after it was told."""
        with self._lock:
            self._rows += [(*one["features"].values(), _score(one["answer"])) for one in decisions]
            needed = LEARNED if self._ranks is None else self.every
            if len(self._rows) < needed:
                return []
            found = self._look(decisions[-1]["arrived_at"])
        for shift in found:
            log.warning("drift: %s %s", shift.said(), json.dumps(asdict(shift)))
        if found and self.alarms is not None:
            messages = [(shift.feature, json.dumps(asdict(shift)).encode()) for shift in found]
            try:
                refused = dict(self.alarms.publish(messages))
            except SinkError as error:
                refused = {-1: str(error)}
            for reason in refused.values():
                log.error("a change can't be published: %s", reason)
        return found

    def _look(self, at: int) -> list[Shift]:
        if self._ranks is None:
            columns = zip(*self._rows, strict=True)
            self._ranks = [_Ranks.learned(column, words) for column, words in zip(columns, self._words, strict=True)]
        found = []
        whole = len(self._rows) - len(self._rows) % self.every
        rows, self._rows = self._rows[:whole], self._rows[whole:]
        ranks = np.stack([ranks.of(column) for ranks, column in zip(self._ranks, zip(*rows, strict=True), strict=True)])
        for start in range(0, whole, self.every):
            self._adwin.add(*_sums(ranks[:, start : start + self.every]))
            for change in self._adwin.changes():
                if abs(change.after - change.before) < self.least:
                    continue
                place, aspect = divmod(change.channel, len(ASPECTS))
                feature = self.names[place]
                if at - self._told.get(feature, at - self.quiet_ms) < self.quiet_ms:
                    continue
                self._told[feature] = at
                means = change.before, change.after, change.older, change.newer
                found.append(Shift(self.workload, feature, ASPECTS[aspect], *means, at))
        return found


def _sums(ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, sums and sums of squares of the three aspects of each feature, in the order of channels."""
    missing = np.isnan(ranks)
    lacking = missing.sum(axis=1)
    spread = np.abs(2 * ranks - 1)
    if lacking.any():
        ranks, spread = np.where(missing, 0, ranks), np.where(missing, 0, spread)
    size = ranks.shape[1]
    there = size - lacking
    counts = np.stack([there, there, np.full(len(ranks), size)], axis=1)
    sums = np.stack([ranks.sum(axis=1), spread.sum(axis=1), lacking], axis=1)
    squares = np.stack([(ranks**2).sum(axis=1), (spread**2).sum(axis=1), lacking], axis=1)
    return counts.ravel(), sums.ravel(), squares.ravel()


def _numbers(column: Sequence[Any]) -> np.ndarray:
    """Numbers; what is none is NaN."""
    try:
        return np.array(column, np.float64)
    except (TypeError, ValueError):
        return np.array([value if isinstance(value, int | float) else np.nan for value in column], np.float64)


def _score(answer: Any) -> float | None:
    """The score in what a scorer answers, where there is one: a number, or the field `score` of an object."""
    found = answer.get("score") if isinstance(answer, dict) else answer
    return found if isinstance(found, int | float) else None
