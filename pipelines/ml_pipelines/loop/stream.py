"""The stream of the demonstration: seeded applicants, drawn from real ones, with a drift whose moment is known.

Each applicant is a real one of the data set `credit` with his sums and years a little changed, so that none is there
twice. Whether he pays back is drawn by a probability that a model of the real outcomes gives: the truth of this world.
The first model learns from a history that is drawn likewise. At a known event a recession begins: incomes fall, people
ask for more, and other people than before fail to pay. When it is told to, it ends. Outcomes become known long after
the application; some never do, some are told twice, for others, or by a clock that is wrong; and once a supplier's file
is off by a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines import datasets
from ml_pipelines.datasets.history import ARRIVED_AT, SEQUENCE
from ml_pipelines.steps.examples import checked, inputs, rows, target
from ml_pipelines.steps.models import fit
from ml_pipelines.tasks.credit import CREDIT
from ml_pipelines.tasks.task import EXAMPLE_ID

STEP = "stream"
# An application comes each minute, from 1 January 2025 on: the real ones are of the two years before.
SINCE_MS, EVERY_MS = 1_735_689_600_000, 60_000
_SUMS = ("income", "expenses", "amount", "price", "assets", "debt")
# With the least of each.
_YEARS = {"seniority": 0, "age": 18}
# Outcomes are a little surer than the model of the real ones says, and more so in the recession.
_SHARPENED, _HARDER = 1.3, 1.5
_NEVER, _TWICE, _STRANGE, _SKEWED = 0.04, 0.01, 0.003, 0.003
_SKEW_MS = 3_600_000


@dataclass(frozen=True)
class Scenario:
    """What happens when, by number of the event from 0.

    drift_at: the recession begins. off_by_one: outcomes that are told between these two are those of another applicant,
    until all are told anew at the second. delay: the events that pass, in the middle, until an outcome is known.
    """

    seed: int = 1
    drift_at: int = 4_200
    off_by_one: tuple[int, int] = (5_000, 8_300)
    delay: int = 300


@dataclass(frozen=True)
class Told:
    """Outcomes that became known: of whom, what, and by how much the clock of who tells is behind.

    What is told anew is told a millisecond later than what it puts right.
    """

    number: int
    event_id: str
    bad: bool
    behind_ms: int = 0


@dataclass
class Stream:
    """The stream from its beginning. `draw` is called with one window after the other."""

    scenario: Scenario
    recovery_at: int | None = None
    at: int = 0
    _due: list[tuple[int, Told]] = field(default_factory=list)
    _wrong: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng(self.scenario.seed)
        self._real = datasets.load(CREDIT.data_set).log
        made = checked(STEP, CREDIT.examples(self._real, None), CREDIT)
        candidate = CREDIT.candidate("logistic-regression")
        arrays, outcomes = inputs(made, CREDIT), target(STEP, made, CREDIT)
        self._truth = fit(
            candidate, candidate.defaults, CREDIT.inputs, CREDIT.predicts, arrays, outcomes, self.scenario.seed
        )

    def moment(self, number: int) -> int:
        """When an event happens, in milliseconds since 1970, in the time of the stream."""
        return SINCE_MS + number * EVERY_MS

    @property
    def now(self) -> int:
        """The time of the stream."""
        return self.moment(self.at)

    def recession(self, numbers: np.ndarray) -> np.ndarray:
        """Which events fall into it."""
        ends = np.inf if self.recovery_at is None else self.recovery_at
        return (numbers >= self.scenario.drift_at) & (numbers < ends)

    def history(self, count: int) -> pa.Table:
        """Applications before the stream, with their outcomes."""
        numbers = np.arange(-count, 0)
        made = self._applications(numbers, [f"history-{self.scenario.seed}-{number:06}" for number in range(count)])
        bad = self._draw.random(count) < self.probability(self._described(made), np.zeros(count, bool))
        place = made.column_names.index("status")
        return made.set_column(place, "status", pa.array(np.where(bad, "bad", "good")))

    def draw(self, count: int) -> tuple[pa.Table, pa.Table]:
        """The next applications in the form of their contract, without outcomes, and as they are to be scored."""
        numbers = np.arange(self.at, self.at + count)
        made = self._applications(numbers, [f"stream-{self.scenario.seed}-{number:06}" for number in numbers])
        asked = self._described(made)
        self._later(asked, numbers)
        self.at += count
        return made, asked

    @staticmethod
    def _described(made: pa.Table) -> pa.Table:
        """What is asked of applications: the inputs of the model, features among them."""
        filled = made.set_column(
            made.column_names.index("status"), "status", pa.array(["good"] * len(made), pa.string())
        )
        return checked(STEP, CREDIT.examples(filled, None), CREDIT, outcomes=False)

    def _applications(self, numbers: np.ndarray, ids: list[str]) -> pa.Table:
        count, hard = len(numbers), self.recession(numbers)
        table = self._real.take(pa.array(self._draw.integers(0, len(self._real), count)))
        columns: dict[str, Any] = {name: table[name] for name in table.column_names}
        for name in _SUMS:
            values = table[name].to_numpy(zero_copy_only=False).astype(np.float64)
            values = values * self._draw.uniform(0.9, 1.1, count)
            factor = {"income": 0.7, "amount": 1.25, "assets": 0.8}.get(name, 1.0)
            columns[name] = pa.array(np.round(np.where(hard, values * factor, values), 2), from_pandas=True)
        for name, least in _YEARS.items():
            changed = table[name].to_numpy() + self._draw.integers(-1, 2, count)
            columns[name] = pa.array(np.maximum(changed, least), table[name].type)
        times = self.moment(0) + numbers * EVERY_MS
        columns |= {"application_id": pa.array(ids), "event_time": pa.array(times), ARRIVED_AT: pa.array(times)}
        columns |= {"status": pa.nulls(count, pa.string()), SEQUENCE: _sequences(times, np.arange(count))}
        return pa.table(columns)

    def _later(self, asked: pa.Table, numbers: np.ndarray) -> None:
        """Draw the outcomes of applications, and when they become known."""
        bad = self._draw.random(len(asked)) < self.probability(asked, self.recession(numbers))
        kind = self._draw.random(len(asked))
        delay = 60 + self._draw.exponential(self.scenario.delay, len(asked)).astype(np.int64)
        for place, id_ in enumerate(asked[EXAMPLE_ID].to_pylist()):
            if kind[place] < _NEVER:
                continue
            number, when = int(numbers[place]), int(numbers[place] + delay[place])
            behind = int(delay[place]) * EVERY_MS + _SKEW_MS if kind[place] > 1 - _SKEWED else 0
            self._due.append((when, Told(number, id_, bool(bad[place]), behind)))
            if _NEVER <= kind[place] < _NEVER + _TWICE:
                self._due.append((when + 50, Told(number, id_, bool(bad[place]))))
            elif _NEVER + _TWICE <= kind[place] < _NEVER + _TWICE + _STRANGE:
                self._due.append((when, Told(number, f"elsewhere-{number}", bool(bad[place]))))

    def probability(self, asked: pa.Table, hard: np.ndarray) -> np.ndarray:
        """The truth: how likely each applicant doesn't pay back."""
        arrays = inputs(asked, CREDIT)
        told = np.clip(self._truth.predict(arrays), 1e-6, 1 - 1e-6)
        height = _SHARPENED * np.log(told / (1 - told))
        height[hard] = _HARDER * (height[hard] + self._shift(rows(arrays, np.flatnonzero(hard))))
        return 1 / (1 + np.exp(-height))

    @staticmethod
    def _shift(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """Who does worse in the recession: who owns a home or has been long with his employer isn't safe any more."""
        owns, long = arrays["home"] == "owner", np.nan_to_num(arrays["seniority"]) >= 10
        rents, records = arrays["home"] == "rent", arrays["records"] == 1
        return 2.6 * owns + 2.2 * long - 1.8 * rents - 1.4 * records - 1.5

    def told(self) -> list[Told]:
        """The outcomes that became known by now, right or wrong, each once."""
        ready = sorted((one for one in self._due if one[0] <= self.at), key=lambda one: (one[0], one[1].event_id))
        self._due = [one for one in self._due if one[0] > self.at]
        first, last = self.scenario.off_by_one
        right = [said for when, said in ready if not first <= when < last]
        late = [said for when, said in ready if first <= when < last]
        # A row of the supplier's file holds the outcome of the row after it.
        wrong = [
            Told(said.number, said.event_id, late[(place + 1) % len(late)].bad, said.behind_ms)
            for place, said in enumerate(late)
        ]
        self._wrong += late
        if self.at >= last:
            right += [replace(said, behind_ms=-1) for said in self._wrong if not said.behind_ms]
            self._wrong = []
        return wrong + right


def with_outcomes(applications: pa.Table, told: list[Told], now: int) -> pa.Table:
    """Applications that arrive again, with their outcome, as their contract has it."""
    told = [one for one in told if one.behind_ms <= 0]
    place = pc.index_in(pa.array([one.event_id for one in told], pa.string()), value_set=applications["application_id"])
    kept = [one for one, there in zip(told, place.is_valid().to_pylist(), strict=True) if there]
    found = applications.take(place.drop_null())
    columns: dict[str, Any] = {name: found[name] for name in found.column_names}
    columns["status"] = pa.array(["bad" if one.bad else "good" for one in kept], pa.string())
    columns[ARRIVED_AT] = pa.array(np.full(len(kept), now))
    columns[SEQUENCE] = _sequences(np.full(len(kept), now), np.arange(len(kept)) + 1_000_000)
    return pa.table(columns)


def _sequences(times: np.ndarray, numbers: np.ndarray) -> pa.Array:
    return pa.array([f"{time:015}-{number:08}" for time, number in zip(times, numbers, strict=True)], pa.string())
