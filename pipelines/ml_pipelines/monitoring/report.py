"""What a monitor found: a finding for each thing that was looked at, with its verdict, as dataclass and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

FORMAT = 1

# What is found about the data themselves, beside distances: their names among a finding's metrics.
MISSING, OUTSIDE, UNKNOWN = "missing_share", "outside_share", "unknown_share"
CONSTANT, ROWS, COLUMN = "constant", "rows", "column"

# What a finding is of where it is of no input: all of the window, the scores, the outcomes.
WINDOW, SCORE, OUTCOME = "(window)", "score", "outcome"


class Kind(StrEnum):
    """What may differ: inputs, scores, outcomes, what scores come from, the data's quality, that there is anything."""

    DATA = "data_drift"
    PREDICTION = "prediction_drift"
    CONCEPT = "concept_drift"
    ATTRIBUTION = "attribution_drift"
    QUALITY = "data_quality"
    ABSENCE = "absence"


class Verdict(StrEnum):
    """Whether it pages somebody. `too_few`: there is too little to tell, which is neither good nor bad."""

    OK = "ok"
    ALARM = "alarm"
    TOO_FEW = "too_few"


@dataclass(frozen=True)
class Settings:
    """What counts as drift. An alarm needs a distance beyond its threshold that noise doesn't explain, too.

    metric, threshold: as the workload's `monitoring.drift` has them. alpha: how likely a whole report, with all of its
    findings, may hold an alarm that is noise. minimum: rows below which nothing is judged. missing, outside, unknown:
    by how much the shares of missing values, of values beyond those of training, and of words that training didn't
    have may grow. decay: the share of its performance that a model may lose. attribution: how alike the inputs' order
    by what they move must be to that of training, at most 1. outcomes: with labels, how many of the
    rarer class there must be at least. segments: columns by whose values the window is looked at apart.
    """

    metric: str = "population_stability_index"
    threshold: float = 0.2
    alpha: float = 0.001
    minimum: int = 200
    missing: float = 0.05
    outside: float = 0.01
    unknown: float = 0.01
    decay: float = 0.1
    attribution: float = 0.9
    outcomes: int = 20
    segments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    feature: an input, or one of the names above; segment: as in `country=DE`, empty for the whole window. found and
    threshold are in the metric's unit; low and high are the ends of the 95% interval of what was found, where there is
    one. p: how likely noise alone makes as much, corrected for how many findings the report has (`adjusted`). sample:
    rows of the window that were looked at.
    """

    kind: Kind
    feature: str
    metric: str
    verdict: Verdict
    reason: str
    sample: int
    segment: str = ""
    found: float | None = None
    threshold: float | None = None
    p: float | None = None
    adjusted: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """Which feature, and of which segment."""
        return f"{self.feature} of {self.segment}" if self.segment else self.feature


@dataclass(frozen=True)
class Report:
    """All that was found about a window of what a model was asked.

    as_of: when it was made; since, until: the first and the last moment of the window, None where it is empty or says
    no times; all in milliseconds since 1970. counts: what else was counted, such as labels of unknown events. notes:
    what couldn't be looked at, and why, in words. attributions: by input, its share of what moves the scores, in
    training and now; empty where that wasn't looked at.
    """

    task: str
    rows: int
    settings: Settings
    findings: tuple[Finding, ...]
    model: str | None = None
    since: int | None = None
    until: int | None = None
    as_of: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    attributions: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def alarms(self) -> list[Finding]:
        """What pages somebody, the surest first."""
        found = [one for one in self.findings if one.verdict is Verdict.ALARM]
        return sorted(found, key=lambda one: 0.0 if one.adjusted is None else one.adjusted)

    @property
    def alarm(self) -> bool:
        """Whether anything does."""
        return bool(self.alarms)

    @property
    def broken(self) -> list[Finding]:
        """Alarms of data of which a model would learn faults only: there are none, or values or columns are missing."""
        return [one for one in self.alarms if one.kind is Kind.ABSENCE or one.metric in (MISSING, CONSTANT, COLUMN)]

    @property
    def drifted(self) -> bool:
        """Whether training anew would help: something pages, and the data are whole."""
        return self.alarm and not self.broken

    def of(self, kind: Kind) -> list[Finding]:
        """The findings of a kind."""
        return [one for one in self.findings if one.kind is kind]

    def as_json(self) -> dict[str, Any]:
        """For files. What people ask first comes first."""
        return {
            "format": FORMAT,
            "task": self.task,
            "model": self.model,
            "as_of": self.as_of,
            "passed": not self.alarm,
            "drifted": self.drifted,
            "alarms": len(self.alarms),
            "rows": self.rows,
            "since": self.since,
            "until": self.until,
            "counts": dict(self.counts),
            "notes": list(self.notes),
            "attributions": {
                name: {"training": before, "now": now} for name, (before, now) in self.attributions.items()
            },
            "settings": asdict(self.settings) | {"segments": list(self.settings.segments)},
            "findings": [asdict(one) for one in self.findings],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """What `as_json` wrote. Raises ValueError, with the field, for what it can't have written."""
        if said.get("format") != FORMAT:
            raise ValueError(f"format: {said.get('format')} where {FORMAT} is right")
        try:
            settings: dict[str, Any] = {**said["settings"], "segments": tuple(said["settings"]["segments"])}
            return cls(
                task=said["task"],
                rows=said["rows"],
                settings=Settings(**settings),
                findings=tuple(map(_finding, said["findings"])),
                model=said["model"],
                since=said["since"],
                until=said["until"],
                as_of=said["as_of"],
                counts=said["counts"],
                notes=tuple(said["notes"]),
                # Reports of before have none.
                attributions={
                    name: (one["training"], one["now"]) for name, one in said.get("attributions", {}).items()
                },
            )
        except KeyError as error:
            raise ValueError(f"field `{error.args[0]}` is missing") from error
        except TypeError as error:
            raise ValueError(f"isn't a report of drift: {error}") from error

    def lines(self) -> list[str]:
        """What pages somebody, a line each."""
        return [f"{one.kind}, {one.name}: {one.reason}" for one in self.alarms]


def _finding(said: Mapping[str, Any]) -> Finding:
    fields: dict[str, Any] = {**said, "kind": Kind(said["kind"]), "verdict": Verdict(said["verdict"])}
    return Finding(**fields)


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities corrected for their number, by Holm's method.

    It bounds the chance that a report holds a false alarm at all, however the features depend on one another.
    Benjamini and Hochberg's bounds the share of alarms that are false, so that some people would be paged for nothing.
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    count = len(probabilities)
    adjusted, highest = [0.0] * count, 0.0
    for rank, place in enumerate(sorted(range(count), key=probabilities.__getitem__)):
        highest = max(highest, min(1.0, (count - rank) * probabilities[place]))
        adjusted[place] = highest
    return adjusted
