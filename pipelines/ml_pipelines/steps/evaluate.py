"""Evaluate: what the model does with examples that were held back, before the gates, in a report for people.

Writes metrics.json, verdict.json, verdict.xml (JUnit), report.html and model_card.md.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ml_pipelines.steps import command
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.examples import Arrays, checked, clusters, groups, inputs, rows, target
from ml_pipelines.steps.files import json_text, read_json, read_table, whole_folder
from ml_pipelines.steps.gates import Evidence, Part, judge
from ml_pipelines.steps.manifest import MANIFEST
from ml_pipelines.steps.metrics import (
    Estimate,
    Ranked,
    Weighted,
    brier,
    calibration_error,
    estimates,
    mean_error,
    ndcg,
    root_error,
)
from ml_pipelines.steps.models import fit
from ml_pipelines.steps.prepare import SPLIT, TEST, TRAIN
from ml_pipelines.steps.report import card, page
from ml_pipelines.steps.scorer import MODEL, Scorer
from ml_pipelines.steps.verdict import CARD, METRICS, REPORT, Verdict
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import DECIDED_AT, ENTITY, EXAMPLE_ID, Task

STEP = "evaluate"
_SHUFFLES = 3
_SHUFFLED_ROWS = 8000


@dataclass(frozen=True)
class Evaluation:
    """What was found: metrics with intervals by who scored, importances of inputs, and the verdict of the gates."""

    task: Task
    evidence: Evidence
    metrics: Mapping[str, Mapping[str, Estimate]]
    importance: Mapping[str, float]
    verdict: Verdict
    manifest: Mapping[str, Any]
    split: Mapping[str, Any]
    tuning: Mapping[str, Any]


def evaluate(
    data: Path,
    model: Path,
    task: Task,
    to: Path,
    champion: Path | None = None,
    tuning: Path | None = None,
    seed: int = 1,
) -> dict[str, Any]:
    """Write the evaluation into the folder `to`; returns what metrics.json says.

    data: the folder that `prepare` wrote; model: that of `train`; champion: the folder of the model in use, if any.
    A verdict that says no is written all the same, and stops `register`.
    """
    parts = [checked(STEP, read_table(STEP, data / name), task) for name in (TRAIN, TEST)]
    manifest = read_json(STEP, model / MANIFEST)
    if manifest.get("task") != task.name:
        raise StepError(STEP, str(model), f"is a model of task `{manifest.get('task')}`, not `{task.name}`")
    train, test = (part_of(table, task) for table in parts)
    scorer = Scorer.load(STEP, model)
    plain = fit(task.baseline, {}, task.inputs, task.predicts, train.arrays, train.outcomes, seed)
    evidence = Evidence(
        task=task,
        train=train,
        test=test,
        score=scorer.score,
        scores=scorer.score(test.arrays),
        plain=plain.predict(test.arrays),
        clusters=clusters(parts[1], task),
        threshold=manifest["threshold"],
        champion=_champion(champion, test.arrays) if champion else None,
        groups={name: groups(parts[1], name) for name in task.groups},
        model_file=model / MODEL,
        seed=seed,
    )
    found = Evaluation(
        task=task,
        evidence=evidence,
        metrics=measured(evidence),
        importance=importances(evidence),
        verdict=judge(evidence),
        manifest=manifest,
        split=read_json(STEP, data / SPLIT),
        tuning=read_json(STEP, tuning) if tuning else {},
    )
    said = summary(found)
    with whole_folder(to) as folder:
        found.verdict.write(folder)
        (folder / METRICS).write_text(json_text(said), encoding="utf-8")
        (folder / REPORT).write_text(page.html(found), encoding="utf-8")
        (folder / CARD).write_text(card.markdown(found), encoding="utf-8")
    return said


def part_of(table: pa.Table, task: Task) -> Part:
    """A part of the split as the gates look at it."""
    return Part(
        ids=np.asarray(table[EXAMPLE_ID].to_pylist(), dtype=object),
        entities=np.asarray(table[ENTITY].to_pylist(), dtype=object),
        arrays=inputs(table, task),
        outcomes=target(STEP, table, task),
        decided_at=table[DECIDED_AT].to_numpy(),
    )


def _champion(folder: Path, arrays: Arrays) -> np.ndarray:
    """What the champion says. Raises StepError where it asks for an input that there is no more."""
    scorer = Scorer.load(STEP, folder)
    if missing := set(scorer.takes_words) - set(arrays):
        raise StepError(STEP, str(folder), f"the champion asks for `{min(missing)}`, which the examples have no more")
    return scorer.score(arrays)


def measured(evidence: Evidence) -> dict[str, dict[str, Estimate]]:
    """All metrics that fit the outcome, for the model, the baseline and the champion, from the same draws."""
    scored = {"model": evidence.scores, "baseline": evidence.plain}
    if evidence.champion is not None:
        scored["champion"] = evidence.champion
    named: dict[tuple[str, str], Weighted] = {}
    for who, scores in scored.items():
        for name, one in _metrics(evidence, scores).items():
            named[who, name] = one
    found = estimates(list(named.values()), evidence.clusters, evidence.seed)
    by_who: dict[str, dict[str, Estimate]] = {who: {} for who in scored}
    for (who, name), one in zip(named, found, strict=True):
        by_who[who][name] = one
    if evidence.task.ranked_within:
        within = np.unique(evidence.test.entities.astype(str), return_inverse=True)[1]
        for who, scores in scored.items():
            by_who[who]["ndcg_10"] = _mean(ndcg(evidence.test.outcomes, scores, within), evidence.seed)
    return by_who


def _mean(values: np.ndarray, seed: int) -> Estimate:
    """The mean of values of groups, with its interval."""
    if not len(values):
        return Estimate(0.0, 0.0, 0.0)
    (found,) = estimates([lambda w: float(np.sum(w * values) / np.sum(w))], np.arange(len(values)), seed)
    return found


def _metrics(evidence: Evidence, scores: np.ndarray) -> dict[str, Weighted]:
    outcomes = evidence.test.outcomes
    if evidence.is_class:
        ranked = Ranked(outcomes, scores)
        return {
            "roc_auc": ranked.roc_auc,
            "average_precision": ranked.average_precision,
            "precision_lift": ranked.precision_lift,
            "brier": brier(outcomes, scores),
        }
    return {
        "skill": evidence.metric(scores),
        "mean_absolute_error": mean_error(outcomes, scores),
        "root_mean_squared_error": root_error(outcomes, scores),
    }


def importances(evidence: Evidence) -> dict[str, float]:
    """How much of the metric is lost when an input is shuffled, largest first."""
    generator = np.random.Generator(np.random.PCG64(evidence.seed))
    chosen = np.sort(generator.permutation(len(evidence.test))[:_SHUFFLED_ROWS])
    if evidence.is_class:
        # Of a rare class, all positives: without them nothing would be lost.
        chosen = np.union1d(chosen, np.flatnonzero(evidence.test.outcomes == 1))
    arrays, outcomes, plain = rows(evidence.test.arrays, chosen), evidence.test.outcomes[chosen], evidence.plain[chosen]
    even = np.ones(len(chosen))

    def value(scores: np.ndarray) -> float:
        from ml_pipelines.steps.metrics import metric

        return metric(evidence.task.metric, outcomes, scores, plain)(even)

    whole, found = value(evidence.scores[chosen]), {}
    for name, values in arrays.items():
        lost = [
            whole - value(evidence.score({**arrays, name: values[generator.permutation(len(values))]}))
            for _ in range(_SHUFFLES)
        ]
        found[name] = float(np.mean(lost))
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def summary(found: Evaluation) -> dict[str, Any]:
    """What metrics.json says."""
    evidence = found.evidence
    return {
        "task": found.task.name,
        "candidate": found.manifest["candidate"],
        "passed": found.verdict.passed,
        "metric": found.task.metric,
        "goal": found.task.goal,
        "rows": len(evidence.test),
        "mean_outcome": float(evidence.test.outcomes.mean()),
        "calibration_error": calibration_error(evidence.test.outcomes, evidence.scores),
        "metrics": {who: {name: one.as_json() for name, one in all_.items()} for who, all_ in found.metrics.items()},
        "importance": dict(found.importance),
        "failed": [f"{check.gate}, {check.name}: {check.said}" for check in found.verdict.failures],
    }


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that `prepare` wrote")
    parser.add_argument("--model", type=Path, required=True, help="the folder that `train` wrote")
    parser.add_argument("--champion", type=Path, help="the folder of the model in use")
    parser.add_argument("--tuning", type=Path, help="what `tune` found, for the report")
    parser.add_argument("--to", type=Path, required=True, help="the folder of the evaluation")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        task = find(options.task)
        return evaluate(options.data, options.model, task, options.to, options.champion, options.tuning, options.seed)

    command.run(parser, step, lambda said: said["failed"])


if __name__ == "__main__":
    main()
