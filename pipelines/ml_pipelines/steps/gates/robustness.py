"""Robustness: input that is noisy, missing, new or out of bounds costs little, and never an answer."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ml_pipelines.steps.examples import Arrays
from ml_pipelines.steps.gates.evidence import Evidence
from ml_pipelines.steps.verdict import Check

GATE = "robustness"
NOISE = 0.1
SHARE = 0.05
UNHEARD_OF = "never heard of"
_EXTREMES = (0.0, -1.0, 1e6, -1e6, 1e15, -1e15, 1.7e308, np.nan, np.inf, -np.inf)
_CASES = 200

Spoil = Callable[[Arrays, np.random.Generator], dict[str, np.ndarray]]


def check(evidence: Evidence) -> Iterator[Check]:
    """The metric after each disturbance has lost no more than the bound, and no input at all crashes the model."""
    bound, before = evidence.task.bounds.robustness, evidence.value
    for name, spoil in DISTURBANCES.items():
        generator = np.random.Generator(np.random.PCG64(evidence.seed))
        scores = evidence.score(spoil(evidence.test.arrays, generator))
        if not np.isfinite(scores).all():
            wrong = int((~np.isfinite(scores)).sum())
            yield Check(GATE, name, False, f"{wrong} scores are no finite numbers", remedy=_BUG)
            continue
        after = evidence.metric(scores)(np.ones(len(scores)))
        lost = (before - after) / max(abs(before), 1e-12)
        yield Check(
            GATE,
            name,
            lost <= bound,
            f"{evidence.task.metric} goes from {before:.3f} to {after:.3f}, a loss of {lost:.1%}; at most {bound:.0%}",
            lost,
            bound,
            "One input carries too much: find it by its importance in the report, and train with it missing at times.",
        )
    yield _anything(evidence)


_BUG = "Export the model anew: an answer must be a number, whatever is asked."


def _anything(evidence: Evidence) -> Check:
    """Values that no example has: each must be answered by a finite number, a probability for a class."""
    generator = np.random.Generator(np.random.PCG64(evidence.seed))
    given: dict[str, np.ndarray] = {}
    for name, values in evidence.test.arrays.items():
        if values.dtype == object:
            words = np.array(["", UNHEARD_OF, "\x00", "é" * 1000, "0"], dtype=object)
            given[name] = words[generator.integers(0, len(words), _CASES)]
        else:
            given[name] = np.array(_EXTREMES)[generator.integers(0, len(_EXTREMES), _CASES)]
    try:
        scores = evidence.score(given)
    except Exception as error:  # Whatever it is, the model gave no answer.
        return Check(GATE, "any input", False, f"the model failed: {error}", remedy=_BUG)
    wrong = ~np.isfinite(scores)
    if evidence.is_class:
        wrong |= (scores < 0) | (scores > 1)
    what = _ANSWERS[evidence.is_class]
    said = f"{int(wrong.sum())} of {_CASES} answers to extreme, missing or unknown input are no {what}"
    return Check(GATE, "any input", not wrong.any(), said, float(wrong.sum()), 0.0, _BUG)


_ANSWERS = {True: "probabilities", False: "finite numbers"}


def _noise(arrays: Arrays, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Numbers off by a tenth of their spread; yes and no stay as they are."""
    found = dict(arrays)
    for name, values in arrays.items():
        if values.dtype != object and not np.isin(values[np.isfinite(values)], (0.0, 1.0)).all():
            # The spread of the middle, so that a few huge values don't drown the others.
            low, high = np.nanquantile(values, (0.16, 0.84))
            found[name] = values + generator.normal(0, NOISE * max(float(high - low) / 2, 1e-12), len(values))
    return found


def _missing(arrays: Arrays, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Each value is missing with some probability."""
    return {name: _replaced(values, generator, "", np.nan) for name, values in arrays.items()}


def _out_of_range(arrays: Arrays, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Some numbers are ten times the largest one that was seen."""
    found = dict(arrays)
    for name, values in arrays.items():
        if values.dtype != object and np.isfinite(values).any():
            found[name] = _replaced(values, generator, "", 10 * max(float(np.nanmax(np.abs(values))), 1.0))
    return found


def _unknown(arrays: Arrays, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Some words are new."""
    return {
        name: _replaced(values, generator, UNHEARD_OF, np.nan) if values.dtype == object else values
        for name, values in arrays.items()
    }


def _replaced(values: np.ndarray, generator: np.random.Generator, word: str, number: float) -> np.ndarray:
    changed, chosen = values.copy(), generator.random(len(values)) < SHARE
    changed[chosen] = word if values.dtype == object else number
    return changed


DISTURBANCES: Mapping[str, Spoil] = {
    "noise": _noise,
    "missing values": _missing,
    "out of range": _out_of_range,
    "unknown words": _unknown,
}
