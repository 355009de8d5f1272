"""A small task with made-up examples, in which it is known what tells the outcome."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from ml_pipelines.steps.examples import inputs
from ml_pipelines.steps.gates import Evidence, Part
from ml_pipelines.tasks.candidates import BASE_RATE, BOOSTING, LINEAR, MEDIAN, NUMBER_BOOSTING, RIDGE, SCORECARD
from ml_pipelines.tasks.task import Bounds, By, Input, Kind, Predicts, Split, Task, Whole

DAY_MS = 86_400_000


def as_examples(log, labels):
    """The log is made of examples already."""
    return log


CLASS_TASK = Task(
    name="made-up",
    sentence="Whether it happens.",
    data_set="made-up",
    predicts=Predicts.CLASS,
    inputs=(
        Input("strong", low=-10, high=10),
        Input("weak"),
        Input("skewed", skewed=True, low=0),
        Input("flag", Kind.FLAG),
        Input("word", Kind.CATEGORY),
    ),
    examples=as_examples,
    split=Split(By.ENTITY, "Made up.", folds=3),
    candidates=(
        replace(BOOSTING, defaults={**BOOSTING.defaults, "iterations": 30}).searching(iterations=Whole(20, 40)),
        LINEAR,
        SCORECARD,
    ),
    baseline=BASE_RATE,
    metric="roc_auc",
    goal=0.8,
    bounds=Bounds(floor=0.7, rows=100, positives=20, copies=0.01),
    groups=("group",),
    trials=1,
)
NUMBER_TASK = replace(
    CLASS_TASK,
    name="made-up-number",
    predicts=Predicts.NUMBER,
    candidates=(
        replace(NUMBER_BOOSTING, defaults={**NUMBER_BOOSTING.defaults, "iterations": 30}).searching(
            iterations=Whole(20, 40)
        ),
        RIDGE,
    ),
    baseline=MEDIAN,
    metric="skill",
    bounds=Bounds(floor=0.1, rows=100, robustness=1.0, calibration=0.1),
    split=Split(By.TIME, "Made up.", test_days=20, gap_days=2, folds=2),
)


def made_examples(count=1200, seed=5, number=False):
    """`strong` tells most, `word` some, `weak` nothing; a tenth of each is missing."""
    draw = np.random.default_rng(seed)
    strong, weak = draw.normal(size=count), draw.normal(size=count)
    word = draw.choice(["red", "green", "blue", "rare"], count, p=[0.4, 0.3, 0.29, 0.01])
    flag = (draw.random(count) < 0.5).astype(float)
    level = 1.6 * strong + 0.8 * (word == "red") + 0.5 * flag
    outcome = (
        level + draw.normal(size=count) if number else (draw.random(count) < 1 / (1 + np.exp(-level))).astype(float)
    )

    def gaps(values):
        return pa.array(values, mask=draw.random(count) < 0.1)

    times = np.sort(draw.integers(0, 100 * DAY_MS, count))
    return pa.table(
        {
            "example_id": [f"example-{place}" for place in range(count)],
            "entity": [f"entity-{place // 2}" for place in range(count)],
            "decided_at": times,
            "known_at": times + DAY_MS,
            "target": outcome,
            "strong": gaps(strong),
            "weak": gaps(weak),
            "skewed": gaps(np.exp(draw.normal(size=count))),
            "flag": flag,
            "word": gaps(word),
            "group": draw.choice(["a", "b"], count),
        }
    )


@pytest.fixture
def class_task():
    return CLASS_TASK


@pytest.fixture
def number_task():
    return NUMBER_TASK


def part(table, task):
    """A table of examples as the gates look at it."""
    return Part(
        ids=np.asarray(table["example_id"].to_pylist(), dtype=object),
        entities=np.asarray(table["entity"].to_pylist(), dtype=object),
        arrays=inputs(table, task),
        outcomes=table["target"].to_numpy(),
        decided_at=table["decided_at"].to_numpy(),
    )


@pytest.fixture
def evidence():
    """Makes evidence of a model that scores by `strong` and is calibrated; fields may be replaced."""

    def make(task=CLASS_TASK, **changed):
        number = task.predicts is Predicts.NUMBER
        table = made_examples(3000, number=number)
        place = np.arange(3000)
        early = table.filter(pa.array(place < 2000))
        late = table.filter(pa.array(place >= 2000))
        train, test = part(early, task), part(late, task)

        def score(arrays):
            level = 1.6 * np.nan_to_num(np.clip(arrays["strong"], -5, 5)) + 0.8 * (arrays["word"] == "red") + 0.25
            return level if number else 1 / (1 + np.exp(-level))

        scores = score(test.arrays)
        found = Evidence(
            task=task,
            train=train,
            test=test,
            score=score,
            scores=scores,
            plain=np.full(len(test), float(train.outcomes.mean())),
            clusters=np.arange(len(test)),
            threshold=None if number else 0.6,
            groups={"group": np.asarray(late["group"].to_pylist(), dtype=object)},
        )
        return replace(found, **changed)

    return make
