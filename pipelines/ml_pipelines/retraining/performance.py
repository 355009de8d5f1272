"""How good each version was, in all and in each cohort, with 95% intervals: of answers whose outcomes are known.

The bootstrap draws entities, as in the evaluation of models: answers to one entity are no independent evidence.
"""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from ml_pipelines.steps.metrics import Estimate, Ranked, Weighted, brier, estimates, mean_error, root_error

ALL = "all"
TENANT = "tenant"
# Fewer entities than these tell nothing: their metrics are left out, their number isn't.
LEAST = 30
_PARTS = 4
_MOST_WORDS = 20
_EDGE = 1e-6


@dataclass(frozen=True)
class Performance:
    """A version's answers to a cohort: `dimension` names the feature (or `tenant`, or `all`), `cohort` its value."""

    model: str
    dimension: str
    cohort: str
    rows: int
    entities: int
    mean_score: float
    mean_outcome: float
    metrics: Mapping[str, Estimate] = field(default_factory=dict)


def performance(joined: pa.Table, by: Sequence[str] = (), seed: int = 1, least: int = LEAST) -> list[Performance]:
    """The performance of each version: of all answers, then by the values of each of `by`.

    joined: what `feedback.join` gives; by: names of features, or `tenant`. Words are cohorts of their own (the twenty
    that are most frequent), numbers are divided into four of as many answers each.
    Metrics: `log_loss`, `brier` and `roc_auc` where outcomes are 0 or 1, else `mean_absolute_error` and
    `root_mean_squared_error`.
    """
    models = np.asarray(joined["model"].to_pylist(), dtype=object)
    scores, outcomes = (joined[name].to_numpy().astype(np.float64) for name in ("score", "outcome"))
    named = zip(joined["entity"].to_pylist(), joined["event_id"].to_pylist(), strict=True)
    whose = [entity or event for entity, event in named]
    clusters = np.unique(whose, return_inverse=True)[1] if whose else np.zeros(0, dtype=np.int64)
    is_class = bool(len(outcomes)) and set(np.unique(outcomes)) <= {0.0, 1.0}
    found = []
    for name, cohort, inside in _cohorts(joined, by):
        for model in sorted(set(models[inside])):
            rows = np.flatnonzero(inside & (models == model))
            who = np.unique(clusters[rows], return_inverse=True)[1]
            entities, told, came = int(who.max()) + 1, scores[rows], outcomes[rows]
            metrics = measured(told, came, who, is_class, seed) if entities >= least else {}
            means = float(told.mean()), float(came.mean())
            found.append(Performance(model, name, cohort, len(rows), entities, *means, metrics))
    return found


def measured(
    scores: np.ndarray, outcomes: np.ndarray, clusters: np.ndarray, is_class: bool, seed: int = 1
) -> dict[str, Estimate]:
    """The metrics of scores, each with its interval; one that isn't defined, as of one class only, is left out."""
    named: dict[str, Weighted] = (
        {
            "log_loss": log_loss(outcomes, scores),
            "brier": brier(outcomes, scores),
            "roc_auc": Ranked(outcomes, scores).roc_auc,
        }
        if is_class
        else {
            "mean_absolute_error": mean_error(outcomes, scores),
            "root_mean_squared_error": root_error(outcomes, scores),
        }
    )
    found = dict(zip(named, estimates(list(named.values()), clusters, seed), strict=True))
    return {name: one for name, one in found.items() if np.isfinite([one.value, one.low, one.high]).all()}


def log_loss(outcomes: np.ndarray, scores: np.ndarray) -> Weighted:
    """The mean logarithmic loss of probabilities."""
    told = np.clip(scores, _EDGE, 1 - _EDGE)
    losses = -(outcomes * np.log(told) + (1 - outcomes) * np.log(1 - told))
    return lambda weights: float(np.sum(weights * losses) / np.sum(weights))


def _cohorts(joined: pa.Table, by: Sequence[str]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Name, value and rows of each cohort."""
    yield ALL, ALL, np.ones(len(joined), dtype=bool)
    features = [json.loads(text or "{}") for text in joined["features"].to_pylist()] if set(by) - {TENANT} else []
    for name in by:
        values = joined[TENANT].to_pylist() if name == TENANT else [row.get(name) for row in features]
        numbers = np.array([_number(value) for value in values], dtype=np.float64)
        there = np.isfinite(numbers)
        if len(np.unique(numbers[there])) > _PARTS:
            yield from ((name, *part) for part in _parts(numbers, there))
            continue
        words = np.array(["missing" if value is None else str(value) for value in values], dtype=object)
        known, counts = np.unique(words.astype(str), return_counts=True)
        for word in sorted(known[np.argsort(-counts, kind="stable")[:_MOST_WORDS]]):
            yield name, str(word), words == word


def _parts(numbers: np.ndarray, there: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    edges = np.unique(np.quantile(numbers[there], np.arange(1, _PARTS) / _PARTS))
    place = np.searchsorted(edges, numbers, side="left")
    bounds = [f"up to {edges[0]:g}", *(f"{low:g} to {high:g}" for low, high in itertools.pairwise(edges))]
    for number, said in enumerate([*bounds, f"over {edges[-1]:g}"]):
        if (inside := there & (place == number)).any():
            yield said, inside
    if not there.all():
        yield "missing", ~there


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def performance_table(found: Sequence[Performance]) -> pa.Table:
    """A row for each metric of each cohort and version; a cohort of too few entities has one without a metric."""
    columns = ("model", "dimension", "cohort", "rows", "entities", "mean_score", "mean_outcome")
    types = (*(pa.string(),) * 3, *(pa.int64(),) * 2, *(pa.float64(),) * 2)
    schema = pa.schema(
        [
            *zip(columns, types, strict=True),
            ("metric", pa.string()),
            *((name, pa.float64()) for name in ("value", "low", "high")),
        ]
    )
    rows = []
    for one in found:
        said = {name: getattr(one, name) for name in columns}
        rows += [{**said, "metric": name, **estimate.as_json()} for name, estimate in one.metrics.items()] or [said]
    return pa.Table.from_pylist(rows, schema)
