"""Baselines: what `drift_baseline.json` says of training, as monitors count and compare by it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from ml_pipelines.monitoring.report import OUTCOME, SCORE, Kind
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import read_json

FORMAT = 1


@dataclass(frozen=True)
class Distribution:
    """How one feature was distributed. Bins are numbered from 0: bin i holds what is above cut i-1 and at most cut i.

    cuts: of a number's bins; words: those of a word's, after which one bin holds all others. counts: of what was there
    in each bin; missing: of what wasn't. coarse: where the wide bins end, as indexes of cuts: fewer bins have less
    noise where bins are compared one by one. low and high: what is plausible at all. different: how many words.
    """

    name: str
    kind: Kind
    counts: np.ndarray
    missing: int = 0
    cuts: np.ndarray | None = None
    words: tuple[str, ...] = ()
    coarse: np.ndarray | None = None
    lowest: float | None = None
    highest: float | None = None
    low: float | None = None
    high: float | None = None
    deviation: float = 0.0
    different: int = 0

    @property
    def rows(self) -> int:
        """All values, missing ones too."""
        return int(self.counts.sum()) + self.missing

    @property
    def there(self) -> int:
        """The values that are there."""
        return int(self.counts.sum())

    @property
    def constant(self) -> bool:
        """Whether all values were the same."""
        return self.different <= 1 if self.cuts is None else self.lowest == self.highest

    def wide(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the wide bins, from those of the narrow ones."""
        if self.coarse is None:
            return counts
        return np.add.reduceat(counts, np.concatenate([[0], self.coarse + 1]))

    @classmethod
    def of(cls, name: str, kind: Kind, said: Mapping[str, Any], rows: int) -> Self:
        """What `described` says of one. Baselines of before have neither cuts nor counts: their bins are the wide ones.

        Raises KeyError, TypeError or ValueError for what it never says.
        """
        missing = round(said["missing"] * rows)
        if said["kind"] == "word":
            words = tuple(said["shares"])
            counts = said.get("counts") or [*_counts(said["shares"].values(), rows - missing), 0]
            if "counts" not in said:
                counts[-1] = max(0, rows - missing - sum(counts))
            return cls(
                name, kind, np.asarray(counts, np.int64), missing, words=words, different=said.get("different", 0)
            )
        cuts = np.asarray(said.get("cuts", said["edges"]), np.float64)
        counts = said.get("counts") or _counts(said["shares"], rows - missing) or [0]
        if len(counts) != len(cuts) + 1:
            raise ValueError(f"{len(counts)} counts where {len(cuts)} cuts make {len(cuts) + 1}")
        return cls(
            name,
            kind,
            np.asarray(counts, np.int64),
            missing,
            cuts=cuts,
            coarse=np.searchsorted(cuts, np.asarray(said["edges"], np.float64)),
            lowest=said.get("lowest"),
            highest=said.get("highest"),
            low=said.get("low"),
            high=said.get("high"),
            deviation=said.get("standard_deviation", 0.0),
        )


@dataclass(frozen=True)
class Performance:
    """How well a model did on what was held back: a metric's value, and its standard error. More is better."""

    metric: str
    value: float
    error: float


@dataclass(frozen=True)
class Attribution:
    """How much an input moves scores: the mean of its absolute Shapley values, and its standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class Baseline:
    """What a window is compared with. segments: counts, missing values by segment (as in `country=DE`) and feature.

    attributions: by input, of what was held back; empty in baselines of before.
    """

    task: str
    rows: int
    features: Mapping[str, Distribution]
    segments: Mapping[str, Mapping[str, tuple[np.ndarray, int]]] = field(default_factory=dict)
    outcomes: Distribution | None = None
    performance: tuple[Performance, ...] = ()
    held_back: int = 0
    attributions: Mapping[str, Attribution] = field(default_factory=dict)

    @property
    def segmented(self) -> tuple[str, ...]:
        """The columns by whose values segments are described."""
        return tuple(dict.fromkeys(segment.partition("=")[0] for segment in self.segments))

    @classmethod
    def read(cls, step: str, file: Path) -> Self:
        """Raises StepError, with the file, where it is none."""
        said = read_json(step, file)
        try:
            return cls.of(said)
        except (KeyError, TypeError, ValueError) as error:
            what = f"field `{error.args[0]}` is missing" if isinstance(error, KeyError) else error
            raise StepError(step, str(file), f"is no baseline that `drift_baseline` writes: {what}") from error

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """What drift_baseline.json says. Raises KeyError, TypeError or ValueError."""
        if said["format"] != FORMAT:
            raise ValueError(f"format {said['format']} where {FORMAT} is right")
        rows, held = said["rows"], said.get("held_back")
        features = {name: Distribution.of(name, Kind.DATA, one, rows) for name, one in said["inputs"].items()}
        # What a model says of examples that it learned from is surer than what it will say of others.
        whose = held or said
        features[SCORE] = Distribution.of(SCORE, Kind.PREDICTION, whose["scores"], whose["rows"])
        segments = {
            segment: {name: (np.asarray(counts, np.int64), missing) for name, (counts, missing) in found.items()}
            for segment, found in said.get("segments", {}).items()
        }
        return cls(
            task=said["task"],
            rows=rows,
            features=features,
            segments=segments,
            outcomes=Distribution.of(OUTCOME, Kind.CONCEPT, whose["outcomes"], whose["rows"]),
            performance=tuple(
                Performance(name, one["value"], one["error"])
                for name, one in (held["performance"] if held else {}).items()
            ),
            held_back=held["rows"] if held else 0,
            attributions={
                name: Attribution(one["value"], one["error"])
                for name, one in ((held or {}).get("attributions") or {}).items()
            },
        )


def _counts(shares: Any, rows: int) -> list[int]:
    return [round(share * rows) for share in shares]
