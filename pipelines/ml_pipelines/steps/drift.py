"""Drift: whether what a model is asked, answers, goes by, and is right about differs from what it was trained on.

Writes drift.json. Exit code 3, unless `--branch` is given, where something pages people; so does a window without rows.
"""

import argparse
import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_pipelines.monitoring import duckdb_counting
from ml_pipelines.monitoring.attribution import ROWS, Attributed, compared
from ml_pipelines.monitoring.baseline import Baseline
from ml_pipelines.monitoring.compare import compare, silent
from ml_pipelines.monitoring.distances import METRICS
from ml_pipelines.monitoring.performance import Decay, decays
from ml_pipelines.monitoring.report import OUTCOME, Finding, Kind, Report, Settings, Verdict
from ml_pipelines.retraining import audit
from ml_pipelines.retraining.answers import FeedbackError
from ml_pipelines.retraining.captured import DAY_MS, brought, holds
from ml_pipelines.retraining.events import What, runs
from ml_pipelines.retraining.feedback import join
from ml_pipelines.retraining.policy import Decision, Policy, Situation, decide
from ml_pipelines.steps import command, manifest, trust
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import json_text, sha256
from ml_pipelines.steps.register import BASELINE
from ml_pipelines.steps.scorer import Scorer
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

STEP = "drift"
DRIFT = "drift.json"
LABELS = "labels"
# Of so many answers, the newest whose outcomes are known, the performance is told.
LABELLED = 5_000
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000


@dataclass(frozen=True)
class Asked:
    """What is looked at. place: the folder that the service captured into, or Parquet; labels: outcomes by event id;
    answered: where answers are whose outcomes are known by now, which may be older (default: place).

    since, until: when the rows were asked, milliseconds since 1970; model: the version that answered, as in
    `boosting/1.2.0`, whose baseline it is; silence: ms without a row before `as_of` that are an alarm. scorer: the
    model itself, where what its scores come from is looked at, too.
    """

    place: Path
    labels: Path | None = None
    since: int | None = None
    until: int | None = None
    model: str | None = None
    silence: int | None = None
    labelled: int = LABELLED
    as_of: int | None = None
    answered: Path | None = None
    scorer: Scorer | None = None


def drift(baseline: Path, asked: Asked, task: Task, settings: Settings) -> Report:
    """The report of a window.

    Raises StepError for a baseline or a window that can't be read. A window without rows is an alarm, no error.
    """
    before = Baseline.read(STEP, baseline)
    if before.task != task.name:
        raise StepError(STEP, str(baseline), f"is of task `{before.task}`, not `{task.name}`")
    as_of = round(time.time() * 1000) if asked.as_of is None else asked.as_of
    try:
        window = duckdb_counting.count(before, asked.place, settings.segments, asked.since, asked.until, asked.model)
    except duckdb.Error as error:
        raise StepError(STEP, str(asked.place), f"can't be read: {error}") from error
    labels = _labelled(before, asked, task, settings, as_of) if asked.labels else _Labels()
    attributed, notes = _attributed(before, asked, asked.scorer) if asked.scorer else (None, ())
    report = compare(
        before, window, settings, labels.decays, asked.model, labels.counts, (*labels.notes, *notes), attributed
    )
    report = replace(report, as_of=as_of, findings=(*report.findings, *labels.findings))
    if asked.silence is not None:
        report = silent(report, as_of, asked.silence)
    return report


def _attributed(before: Baseline, asked: Asked, scorer: Scorer) -> tuple[Attributed | None, Sequence[str]]:
    """What the window's scores come from, or why that can't be told."""
    if not before.attributions:
        return None, ("the baseline has no attributions of what was held back: `drift_baseline` writes them now",)
    # Those that it was attributed to in training, of which a model may take some only.
    names = list(before.attributions)
    rows = duckdb_counting.sampled(before, asked.place, names, ROWS, asked.since, asked.until, asked.model)
    if not rows:
        return None, ()
    if absent := [name for name in names if name not in rows]:
        return None, (f"what scores come from wasn't looked at: the window has no column `{absent[0]}`",)
    return compared(before.attributions, scorer.score, rows, before.features), ()


@dataclass(frozen=True)
class _Labels:
    """What labels say, and what was counted of them."""

    decays: Sequence[Decay] = ()
    counts: dict[str, int] | None = None
    notes: Sequence[str] = ()
    findings: Sequence[Finding] = ()


def _labelled(before: Baseline, asked: Asked, task: Task, settings: Settings, as_of: int) -> _Labels:
    if asked.labels is None or not holds(asked.labels):
        said = f"{asked.labels} holds no labels: whoever sends them has stopped"
        missing = Finding(Kind.ABSENCE, OUTCOME, LABELS, Verdict.ALARM, said, 0, found=0.0, threshold=1.0)
        return _Labels(findings=(missing,))
    answered = asked.answered or asked.place
    if not holds(answered):
        return _Labels(notes=("labels weren't joined: nothing was answered",))
    try:
        joined, counted = join(answered, asked.labels, as_of)
    except FeedbackError as error:
        raise StepError(STEP, str(asked.labels), str(error)) from error
    if asked.model is not None:
        joined = joined.filter(pc.equal(joined["model"], asked.model))
    joined = joined.slice(max(0, len(joined) - asked.labelled))
    counts = {f"labels_{name}": count for name, count in counted.faults.items()}
    counts |= {"answers": counted.answers, "labels": counted.labels, "labels_joined": counted.joined}
    notes = [counted.said()]
    if not before.performance:
        notes.append("the baseline has no performance on what was held back: `drift_baseline` writes it now")
    return _Labels(tuple(_decays(before, joined, task, settings)), counts, notes)


def _decays(before: Baseline, joined: pa.Table, task: Task, settings: Settings) -> Sequence[Decay]:
    if not len(joined) or not before.performance:
        return ()
    whose = [
        entity or event
        for entity, event in zip(joined["entity"].to_pylist(), joined["event_id"].to_pylist(), strict=True)
    ]
    clusters = np.unique(np.asarray(whose, dtype=str), return_inverse=True)[1]
    return tuple(
        decays(
            task,
            before.performance,
            joined["outcome"].to_numpy().astype(np.float64),
            joined["score"].to_numpy().astype(np.float64),
            clusters,
            _segments(joined, settings.segments),
        )
    )


def _segments(joined: pa.Table, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Which rows are of which segment; columns are those of what was captured, or features."""
    found = {}
    features = [json.loads(text or "{}") for text in joined["features"].to_pylist()] if columns else []
    for column in columns:
        captured = column in joined.column_names
        if not captured and not any(column in row for row in features):
            continue
        values = joined[column].to_pylist() if captured else [row.get(column) for row in features]
        words = np.array(["" if value is None else str(value) for value in values], dtype=object)
        found |= {f"{column}={word}": words == word for word in np.unique(words.astype(str))}
    return found


def _version(options: argparse.Namespace) -> tuple[Path, Scorer | None]:
    """The baseline and, of a version's folder, the model, after its signature and every hash were checked."""
    if not options.baseline.is_dir():
        return options.baseline, None
    try:
        manifest.verify(options.baseline, trust.keys(STEP, options), trust.unsigned(options))
    except manifest.ManifestError as error:
        raise StepError(STEP, "baseline", str(error)) from error
    return options.baseline / BASELINE, Scorer.load(STEP, options.baseline)


@contextlib.contextmanager
def _brought(
    options: argparse.Namespace, since: int | None, until: int | None, now: int
) -> Iterator[tuple[Path, Path | None, Path | None]]:
    """The window, the labels, and the answers that these may be of, as files of this machine."""
    with contextlib.ExitStack() as stack:
        try:
            window = stack.enter_context(brought(options.window, since, until))
            if options.labels is None:
                yield window, None, None
                return
            labels = stack.enter_context(brought(options.labels))
            days = options.labels_within_days
            answered = stack.enter_context(brought(options.window, now - days * DAY_MS, now)) if days else None
        except FeedbackError as error:
            raise StepError(STEP, "window, labels", str(error)) from error
        yield window, labels, answered


def _decided(report: Report, baseline: Path, trail: str, cool_down_hours: float) -> Decision:
    """Whether to train again by what was found; what was found and decided, and that a training begins, is told.

    Outcomes are the gates' to count, and what trainings cost is the budget's to bound. Raises StepError.
    """
    policy = Policy("drift", outcomes=0, cool_down_hours=cool_down_hours)
    try:
        decision = decide(policy, Situation(report.as_of or 0, [report], runs=runs(audit.kept(trail))))
        tell = audit.writer(trail).append
        whose = {"subject": report.model or report.task, "hashes": {"baseline": sha256(baseline)}}
        if report.alarm:
            tell(
                audit.Event(
                    STEP, What.DRIFT, f"{len(report.alarms)} alarms.", details={"alarms": report.lines()}, **whose
                )
            )
        if decision.reasons:
            tell(audit.Event(STEP, What.DECIDED, decision.said, details=decision.as_json(), **whose))
        if decision.retrain:
            tell(audit.Event(STEP, What.STARTED, decision.said, details={"run": str(uuid.uuid4())}, **whose))
    except audit.AuditError as error:
        raise StepError(STEP, "trail", str(error)) from error
    return decision


def main() -> None:
    """The command line."""
    usual = Settings()
    parser = command.parser(STEP, __doc__)
    parser.add_argument(
        "--baseline",
        type=Path,
        required=True,
        help=f"{BASELINE} of the model's version, or the version's folder: what its scores come from is looked at, too",
    )
    trust.add_options(parser)
    parser.add_argument("--window", required=True, help="what the service captured, or Parquet; a folder or its URL")
    parser.add_argument("--labels", help="outcomes: `event_id`, `outcome`, `labelled_at`; a file, a folder or its URL")
    parser.add_argument("--labels-within-days", type=int, help="how old their answers may be (default: the window's)")
    parser.add_argument("--to", type=Path, required=True, help=f"the file of the report, such as {DRIFT}")
    parser.add_argument("--trail", help="the audit trail, a file or a URL: with it, whether to train again is decided")
    parser.add_argument("--retrain", type=Path, help="another file of the report, where it is decided to train again")
    parser.add_argument(
        "--cool-down-hours",
        type=float,
        default=Policy.cool_down_hours,
        help=f"between the beginnings of two trainings ({Policy.cool_down_hours:g})",
    )
    parser.add_argument("--since", type=command.moment, help="when the first row was asked, ISO 8601")
    parser.add_argument("--until", type=command.moment, help="when the first row after it was, ISO 8601, or `now`")
    parser.add_argument("--hours", type=float, help="instead of --since: so many hours before --until, or before now")
    parser.add_argument("--model", help="rows that this version answered, as in boosting/1.2.0 (default: all)")
    parser.add_argument("--segment", action="append", help="a feature or `tenant`, by value (default: the baseline's)")
    parser.add_argument("--metric", choices=METRICS, default=usual.metric, help=f"default: {usual.metric}")
    parser.add_argument("--threshold", type=float, default=usual.threshold, help=f"default: {usual.threshold}")
    parser.add_argument("--alpha", type=float, default=usual.alpha, help=f"chance of a false report ({usual.alpha})")
    parser.add_argument("--minimum", type=int, default=usual.minimum, help=f"rows to judge by ({usual.minimum})")
    parser.add_argument("--decay", type=float, default=usual.decay, help=f"performance that may go ({usual.decay})")
    parser.add_argument(
        "--attribution", type=float, default=usual.attribution, help=f"NDCG of inputs at least ({usual.attribution})"
    )
    parser.add_argument("--silence-minutes", type=float, help="an alarm, if the last row is older than that")

    def step(options: argparse.Namespace) -> dict[str, Any]:
        now = command.moment("now")
        since, until = options.since, options.until
        if options.hours is not None:
            since = round((now if until is None else until) - options.hours * _HOUR_MS)
        silence = None if options.silence_minutes is None else round(options.silence_minutes * _MINUTE_MS)
        baseline, scorer = _version(options)
        settings = replace(
            usual,
            metric=options.metric,
            threshold=options.threshold,
            alpha=options.alpha,
            minimum=options.minimum,
            decay=options.decay,
            attribution=options.attribution,
            segments=Baseline.read(STEP, baseline).segmented if options.segment is None else options.segment,
        )
        with _brought(options, since, until, now) as (window, labels, answered):
            asked = Asked(
                window, labels, since, until, options.model, silence, as_of=now, answered=answered, scorer=scorer
            )
            report = drift(baseline, asked, find(options.task), settings)
        said = report.as_json() | {"retrain": False, "decision": None}
        if options.trail is not None:
            decision = _decided(report, baseline, options.trail, options.cool_down_hours)
            said |= {"retrain": decision.retrain, "decision": decision.said}
        files = [options.to, *([options.retrain] if options.retrain is not None and said["retrain"] else [])]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json_text(said), encoding="utf-8")
        return said

    command.run(parser, step, lambda said: Report.from_json(said).lines())


if __name__ == "__main__":
    main()
