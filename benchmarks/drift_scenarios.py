"""Streams with drift that begins at a known event: 20 features, a score, a segment, and outcomes that come later."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SCENARIOS = ("none", "sudden", "gradual", "recurring", "one segment", "labels only")
EVENTS, BEGINS, WINDOW = 20_000, 10_000, 1_000
# Standard deviations that a number moves by, where it does, and what share of the events a segment has.
SHIFT, SHARE = 1.0, 0.3
GRADUAL, PERIOD = 6_000, 2_500
NUMBERS, SKEWED, WORDS, FLAGS = 10, 5, 3, 2
NAMES = [
    *(f"number_{place}" for place in range(NUMBERS)),
    *(f"skewed_{place}" for place in range(SKEWED)),
    *(f"word_{place}" for place in range(WORDS)),
    *(f"flag_{place}" for place in range(FLAGS)),
]
_SHARES = np.array([0.4, 0.3, 0.2, 0.1])
_SHIFTED = np.array([0.1, 0.2, 0.3, 0.4])
_VOCABULARY = np.array(["a", "b", "c", "d"], dtype=object)


@dataclass(frozen=True)
class Stream:
    """Columns by feature, scores, segments, and outcomes."""

    columns: dict[str, np.ndarray]
    scores: np.ndarray
    segments: np.ndarray
    outcomes: np.ndarray

    def ranks(self) -> np.ndarray:
        """All values as numbers between 0 and 1 (words by the place in their vocabulary), and the scores."""
        found = []
        for values in self.columns.values():
            if values.dtype == object:
                found.append(np.searchsorted(_VOCABULARY.astype(str), values.astype(str)) / 3)
                continue
            low, high = np.quantile(values, [0.001, 0.999])
            found.append(np.clip((values - low) / max(high - low, 1e-12), 0, 1))
        return np.column_stack([*found, self.scores])


def stream(scenario: str, seed: int, events: int = EVENTS) -> Stream:
    """A stream; the same seed gives the same values. Drift moves three numbers, two skewed ones and a word."""
    draw = np.random.default_rng([seed, SCENARIOS.index(scenario)])
    segments = np.where(draw.random(events) < SHARE, "small", "large").astype(object)
    begins = begin(seed)
    much = _much(scenario, events, begins, segments)
    columns: dict[str, np.ndarray] = {}
    for place in range(NUMBERS):
        columns[f"number_{place}"] = draw.normal(size=events) + (SHIFT * much if place < 3 else 0)
    for place in range(SKEWED):
        columns[f"skewed_{place}"] = draw.lognormal(size=events) * np.exp(SHIFT * much if place < 2 else 0)
    for place in range(WORDS):
        usual, shifted = (draw.choice(4, events, p=shares) for shares in (_SHARES, _SHIFTED))
        moved = draw.random(events) < (much if place == 0 else 0)
        columns[f"word_{place}"] = _VOCABULARY[np.where(moved, shifted, usual)]
    for place in range(FLAGS):
        columns[f"flag_{place}"] = (draw.random(events) < 0.3).astype(float)
    level = columns["number_0"] + 0.7 * columns["number_4"] - 0.5
    scores = 1 / (1 + np.exp(-level))
    turned = np.arange(events) >= begins if scenario == "labels only" else np.zeros(events, bool)
    # The sign of what told the outcome turns around.
    truth = 1 / (1 + np.exp(np.where(turned, -columns["number_0"] + 0.7 * columns["number_4"], -level)))
    truth = np.where(turned, 1 - truth, truth)
    outcomes = (draw.random(events) < truth).astype(float)
    return Stream({name: columns[name] for name in NAMES}, scores, segments, outcomes)


def _much(scenario: str, events: int, begins: int, segments: np.ndarray) -> np.ndarray:
    """How much of the drift each event has, from 0 to 1."""
    after = np.arange(events) - begins
    begun = (after >= 0).astype(float)
    if scenario == "sudden":
        return begun
    if scenario == "gradual":
        return np.clip(after / GRADUAL, 0, 1)
    if scenario == "recurring":
        return begun * (after // PERIOD % 2 == 0)
    if scenario == "one segment":
        return begun * (segments == "small")
    return np.zeros(events)


def begin(seed: int) -> int:
    """The event from which on a stream drifts: each time elsewhere in a window."""
    return BEGINS + seed * 50 % WINDOW


def told(places: Sequence[int], seed: int) -> tuple[int | None, int]:
    """The delay of the first alarm after the drift began, None where there is none, and how many came before it."""
    begins = begin(seed)
    after = [place - begins for place in places if place >= begins]
    return min(after, default=None), len(places) - len(after)
