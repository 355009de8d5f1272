"""A baseline of made-up training data, and windows drawn from the same source, or from another."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.steps.drift_baseline import described

ROWS = 20_000


def drawn(seed: int, rows: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Inputs: numbers, a number with gaps, one that is always the same, a flag, words of which many are rare."""
    draw = np.random.default_rng(seed)
    gaps = draw.exponential(size=rows)
    gaps[draw.random(rows) < 0.1] = np.nan
    words = draw.choice(["red", "green", "blue", ""], rows, p=[0.5, 0.3, 0.15, 0.05]).astype(object)
    return {
        "level": draw.normal(shift, 1, rows),
        "gaps": gaps,
        "fixed": np.full(rows, 7.0),
        "flag": (draw.random(rows) < 0.3).astype(float),
        "word": words,
        "many": np.array([f"shop-{place}" for place in draw.integers(0, 200, rows)], dtype=object),
    }


def said_of(inputs: dict[str, np.ndarray], scores: np.ndarray) -> dict:
    """What drift_baseline.json says, with what is plausible of one input."""
    described_inputs = {name: described(values) for name, values in inputs.items()}
    described_inputs["level"] |= {"low": -6.0, "high": 6.0}
    return {
        "format": 1,
        "task": "made-up",
        "rows": len(scores),
        "inputs": described_inputs,
        "scores": described(scores),
        "outcomes": described((scores > 0.5).astype(float)),
    }


def table_of(inputs: dict[str, np.ndarray], seed: int = 9, **columns: object) -> pa.Table:
    """A window: the inputs, a score, when, and whose."""
    rows = len(inputs["level"])
    draw = np.random.default_rng(seed)
    whole = {
        **{name: pa.array(values, from_pandas=True) for name, values in inputs.items()},
        "score": draw.random(rows),
        "at": np.arange(rows) + 1_767_225_600_000,
        "country": draw.choice(["DE", "FR"], rows),
    }
    return pa.table({**whole, **columns})


@pytest.fixture(scope="session")
def baseline() -> Baseline:
    """Of 20,000 rows."""
    return Baseline.of(said_of(drawn(1, ROWS), np.random.default_rng(2).random(ROWS)))


@pytest.fixture
def window() -> Callable[..., pa.Table]:
    """Makes a window of some rows; columns may be replaced."""

    def make(rows: int = 2000, seed: int = 3, shift: float = 0.0, **columns: object) -> pa.Table:
        inputs = drawn(seed, rows, shift)
        replaced = {name: columns.pop(name) for name in list(columns) if name in inputs}
        return table_of(inputs | replaced, **columns)

    return make
