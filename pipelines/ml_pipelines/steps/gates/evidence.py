"""What the gates look at: a model, the data it learned from and those held back, and scores for these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ml_pipelines.steps.examples import Arrays
from ml_pipelines.steps.metrics import Weighted, metric
from ml_pipelines.tasks.task import Predicts, Task


@dataclass(frozen=True)
class Part:
    """Examples: their ids, inputs and outcomes, and when each was decided and known (milliseconds since 1970)."""

    ids: np.ndarray
    entities: np.ndarray
    arrays: Arrays
    outcomes: np.ndarray
    decided_at: np.ndarray

    def __len__(self) -> int:
        return len(self.outcomes)


@dataclass(frozen=True)
class Evidence:
    """A model before the gates.

    score: the model itself, as serving has it; scores, plain, champion: what it, the baseline and the champion say of
    the examples that were held back; clusters: which of these are drawn together; threshold: above it a case is
    selected. `model_file` is what is measured for size.
    """

    task: Task
    train: Part
    test: Part
    score: Callable[[Arrays], np.ndarray]
    scores: np.ndarray
    plain: np.ndarray
    clusters: np.ndarray
    threshold: float | None
    champion: np.ndarray | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    model_file: Path | None = None
    seed: int = 1

    @property
    def is_class(self) -> bool:
        """Whether the outcome is a class."""
        return self.task.predicts is Predicts.CLASS

    def metric(self, scores: np.ndarray) -> Weighted:
        """The task's metric of scores for the examples that were held back."""
        return metric(self.task.metric, self.test.outcomes, scores, self.plain)

    @cached_property
    def value(self) -> float:
        """The task's metric of the model."""
        return self.metric(self.scores)(np.ones(len(self.test)))
