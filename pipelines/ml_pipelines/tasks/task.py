"""What a model is for: what it predicts and from what, how its data are split, what is tried, and what must be reached.

A task is a declaration that holds no library of machine learning. The steps read it; so do the platforms' pipelines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import pyarrow as pa

from ml_pipelines.derivations import named

# Columns of examples that are no inputs of a model: which example, whose, when the decision is made, when its outcome
# is known (both in milliseconds since 1970), and the outcome itself.
EXAMPLE_ID = "example_id"
ENTITY = "entity"
DECIDED_AT = "decided_at"
KNOWN_AT = "known_at"
TARGET = "target"
RESERVED = (EXAMPLE_ID, ENTITY, DECIDED_AT, KNOWN_AT, TARGET)


class Predicts(StrEnum):
    """What the outcome is: one of two classes, told as the probability of the second, or a number."""

    CLASS = "class"
    NUMBER = "number"


class Kind(StrEnum):
    """What an input holds: a number (missing is NaN), a yes or no (1, 0, NaN) or a word (missing is empty)."""

    NUMBER = "number"
    FLAG = "flag"
    CATEGORY = "category"


@dataclass(frozen=True)
class Input:
    """An input of the model. `skewed` ones are looked at by their logarithm in linear models.

    `low` and `high` bound what is plausible; validation counts what lies outside. A `derived` one follows from others
    in the same row, by the derivation of its name (`ml_pipelines.derivations`).
    """

    name: str
    kind: Kind = Kind.NUMBER
    skewed: bool = False
    low: float | None = None
    high: float | None = None
    derived: bool = False


@dataclass(frozen=True)
class Real:
    """A number to be searched for, bounds included; `log` where it matters by its order of magnitude."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Whole:
    """A whole number to be searched for, bounds included; `log` where it matters by its order of magnitude."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[str | int | float, ...]


Dimension = Real | Whole | Choice
Parameter = str | int | float


class Family(StrEnum):
    """What a candidate is made of; `ml_pipelines.steps.models` says how each is fitted."""

    BOOSTING = "boosting"
    LINEAR = "linear"
    SCORECARD = "scorecard"
    CONSTANT = "constant"
    INPUT = "input"


@dataclass(frozen=True)
class Candidate:
    """A model that is tried. `space` is what is searched, and `defaults` what is tried first, for every parameter.

    `effects` are words with so many values that each stands for the mean outcome it had. `offset` names an input to
    which the model only adds, as a forecast is the difference from last week's, and inputs that stand in for it.
    `effort` is how many times as many trials it gets as the task has: what is fitted quickly is tried more often.
    """

    name: str
    family: Family
    sentence: str
    defaults: Mapping[str, Parameter] = field(default_factory=dict)
    space: Mapping[str, Dimension] = field(default_factory=dict)
    effects: tuple[str, ...] = ()
    offset: tuple[str, ...] = ()
    effort: int = 1

    def __post_init__(self) -> None:
        if unknown := set(self.space) - set(self.defaults):
            raise ValueError(f"candidate `{self.name}`: `{min(unknown)}` is searched and has no default")

    def searching(self, **space: Dimension) -> "Candidate":
        """The same with other bounds for some parameters."""
        return replace(self, space={**self.space, **space})

    def with_effects(self, *names: str) -> "Candidate":
        """The same with words that stand for the mean outcome they had."""
        return replace(self, effects=names)


class By(StrEnum):
    """What decides where an example goes: its time, or whose it is."""

    TIME = "time"
    ENTITY = "entity"


class Immature(StrEnum):
    """What is done with an example for training whose outcome is known only after the training ends."""

    LEFT_OUT = "left_out"
    NEGATIVE = "negative"


@dataclass(frozen=True)
class Split:
    """How data are held back, and why so. `reason` is printed in the report.

    By time: the last `test_days` are held back, and `gap_days` before them are left out, in which outcomes ripen. By
    entity: the share `test_share` of the entities, chosen by a hash of their names. `folds` are for the search of
    parameters: for split by time each one is tested on what comes after what it was trained on.
    """

    by: By
    reason: str
    test_days: int = 0
    gap_days: int = 0
    test_share: float = 0.2
    folds: int = 5
    immature: Immature = Immature.LEFT_OUT


class Together(StrEnum):
    """What is drawn as one in the bootstrap, since it isn't independent: examples, entities or days."""

    EXAMPLE = "example"
    ENTITY = "entity"
    DAY = "day"


@dataclass(frozen=True)
class Bounds:
    """What the gates hold a model to. Each is the worst value that passes.

    `floor`: the lower end of the 95% interval of the task's metric. `regression`: the share of the metric by which the
    lower end of the interval may be below the champion. `calibration`: the mean difference of what was told and what
    came, in probability (as a share of the mean outcome for numbers). `parity` and `odds`: the largest differences
    between groups in who is selected, and in the rates of right and wrong selections; for numbers `group_error`: the
    mean error of a group over that of all, each as a share of its mean outcome. Groups of less than `group_rows` are
    not judged. `robustness`: the share of the metric that a disturbance may cost. `leakage`: the ROC AUC (or
    correlation) that one input alone may reach; `copies`: the share of examples held back that equal one that was
    learned from. `rows` and `positives`: how many examples there must be at least; `missing`: the share of values that
    an input may lack.
    """

    floor: float
    regression: float = 0.01
    calibration: float = 0.05
    parity: float = 0.3
    odds: float = 0.3
    group_error: float = 2.0
    group_rows: int = 50
    robustness: float = 0.1
    latency_ms: float = 5.0
    megabytes: float = 20.0
    leakage: float = 0.97
    copies: float = 0.01
    rows: int = 500
    positives: int = 50
    missing: float = 0.95


@dataclass(frozen=True)
class Task:
    """What a model is for.

    `examples` makes a table with the RESERVED columns, the inputs and the `groups` of a log of events and its labels.
    `due` makes the same, without outcomes, of what is to be scored as of a moment (milliseconds since 1970), from a log
    of what had arrived by then; `due_sentence` says what that is.
    `metric` is what candidates are compared by (more is better), `goal` what it should reach on data held back:
    `roc_auc`, `precision_lift` (average precision over the share of the outcome) or `skill` (how much smaller the mean
    absolute error is than that of the baseline, as a share). `selected` is the share of cases that are acted upon: it
    sets the threshold of decisions. `labels`: outcomes come apart from the events. `ranked_within` names the column
    within which scores order examples.
    """

    name: str
    sentence: str
    data_set: str
    predicts: Predicts
    inputs: tuple[Input, ...]
    examples: Callable[[pa.Table, pa.Table | None], pa.Table]
    split: Split
    candidates: tuple[Candidate, ...]
    baseline: Candidate
    metric: str
    goal: float
    bounds: Bounds
    workload: str | None = None
    contract: str | None = None
    due: Callable[[pa.Table, int], pa.Table] | None = None
    due_sentence: str = ""
    outcome: str = "outcome"
    labels: bool = False
    groups: tuple[str, ...] = ()
    together: Together = Together.EXAMPLE
    selected: float = 0.1
    events: int | None = None
    trials: int = 8
    ranked_within: str | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = {item.name for item in self.inputs}
        if taken := names & set(RESERVED):
            raise ValueError(f"task `{self.name}`: input `{min(taken)}` has the name of a column of our own")
        named(self.derived)
        for candidate in (*self.candidates, self.baseline):
            for name in (*candidate.effects, *candidate.offset):
                if name not in names:
                    raise ValueError(f"task `{self.name}`: candidate `{candidate.name}` asks for no input `{name}`")

    @property
    def derived(self) -> tuple[str, ...]:
        """The inputs that follow from others in the same row."""
        return tuple(item.name for item in self.inputs if item.derived)

    def candidate(self, name: str) -> Candidate:
        """The candidate of this name. Raises LookupError with those that there are."""
        for candidate in (*self.candidates, self.baseline):
            if candidate.name == name:
                return candidate
        raise LookupError(
            f"task `{self.name}` has no candidate `{name}`; it has {', '.join(item.name for item in self.candidates)}"
        )
