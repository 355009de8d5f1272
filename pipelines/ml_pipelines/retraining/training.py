"""One run of training, from the archive to a registered challenger, each step of it an event of the audit trail.

The steps are those of the retraining pipeline (`ml_pipelines.platforms.graph`), in its order, on this machine.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ml_pipelines.platforms.graph import LABELS, LOG
from ml_pipelines.retraining.audit import Event, Trail
from ml_pipelines.retraining.events import What
from ml_pipelines.steps import manifest
from ml_pipelines.steps.collect import collect
from ml_pipelines.steps.drift_baseline import drift_baseline
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.evaluate import evaluate
from ml_pipelines.steps.files import sha256
from ml_pipelines.steps.prepare import prepare
from ml_pipelines.steps.register import BASELINE, register
from ml_pipelines.steps.train import Origin, train
from ml_pipelines.steps.validate import validate
from ml_pipelines.steps.verdict import failures
from ml_pipelines.tasks.task import Task

WHO = "retraining loop"


@dataclass(frozen=True)
class Training:
    """What a run is made of.

    archive, labels: as `collect` takes them; since: what arrived before isn't learned from; champion: the folder of the
    version in use, whose parameters are taken again and which must be reached; trusted: the keys by one of which that
    version is signed; key: signs the new one, without which it is for experiments; usd: what the run costs.
    """

    name: str
    task: Task
    archive: Path
    folder: Path
    registry: Path
    code: str
    labels: Path | None = None
    since: int | None = None
    champion: Path | None = None
    trusted: tuple[Ed25519PublicKey, ...] = ()
    key: Path | None = None
    seed: int = 1
    usd: float = 0.0


@dataclass(frozen=True)
class Trained:
    """What came out: the folder of the registered version, or why there is none."""

    version: Path | None
    stopped: tuple[str, ...]
    metrics: dict[str, Any]

    @property
    def key(self) -> str:
        """Name and version in one word, as the service has it."""
        return "" if self.version is None else f"{self.version.parent.name}/{self.version.name}"


def run(how: Training, trail: Trail, why: str, now: datetime.datetime) -> Trained:
    """Train, judge and register; what stops it is an event like all else, and so is a step that can't do its work.

    Raises StepError where a step fails, after the trail was told. now: when the run begins, which the manifest says.
    """
    details = {"run": how.name, "usd": how.usd, "since": how.since}
    trail.append(Event(WHO, What.STARTED, why, how.task.name, details=details))
    try:
        return _run(how, trail, now)
    except (StepError, manifest.ManifestError) as error:
        failed = {"run": how.name, "failed": [str(error)]}
        trail.append(Event(WHO, What.STOPPED, f"A step failed: {error}", how.task.name, details=failed))
        raise


def _run(how: Training, trail: Trail, now: datetime.datetime) -> Trained:
    task, folder = how.task, how.folder / how.name
    log, known = folder / LOG, folder / LABELS if how.labels else None
    if how.champion is not None:
        manifest.verify(how.champion, how.trusted, unsigned=how.key is None)
    collect(how.archive, task, log, how.labels, known, how.since)
    data = {"log": sha256(log)} | ({"labels": sha256(known)} if known else {})
    said = validate(log, known, task, folder / "validation")
    if not said["passed"]:
        return _stopped(how, trail, "The data isn't fit to train on", failures(said), data)
    split = prepare(log, known, task, folder / "data", how.seed)
    data |= split["data"]
    like = how.champion / manifest.MANIFEST if how.champion else None
    made = train(
        folder / "data",
        like,
        task,
        folder / "model",
        Origin(now.isoformat(timespec="seconds"), how.code),
        how.seed,
    )
    rows = f"{split['train']['rows']:,} examples to learn from, {split['test']['rows']:,} held back"
    model = {"model": made["files"][manifest.MODEL]}
    details = {"run": how.name, "candidate": made["candidate"], "parameters": made["parameters"], "code": made["code"]}
    trail.append(Event(WHO, What.TRAINED, f"{rows}.", task.name, {**data, **model}, details))
    found = evaluate(folder / "data", folder / "model", task, folder / "evaluation", how.champion, seed=how.seed)
    if not found["passed"]:
        return _stopped(how, trail, "Gates say no", found["failed"], {**data, **model}, found)
    best = found["metrics"]["model"][task.metric]
    measured = f"{task.metric} {best['value']:.3f} ({best['low']:.3f} to {best['high']:.3f})"
    details = {"run": how.name, "metrics": found["metrics"]}
    trail.append(Event(WHO, What.PASSED, f"All gates passed: {measured} on data held back.", task.name, model, details))
    drift_baseline(folder / "data", folder / "model", task, folder / BASELINE)
    whole = register(
        *(folder / "model", folder / "evaluation", folder / BASELINE, task, how.registry),
        key=how.key,
        environment="production" if how.key else manifest.EXPERIMENT,
    )
    version = how.registry / task.name / whole["name"] / whole["version"]
    trained = Trained(version, (), found)
    said = {**model, "manifest": sha256(version / manifest.MANIFEST)}
    why = "Signed, as a challenger." if how.key else "Unsigned, as a challenger in an experiment."
    trail.append(Event(WHO, What.REGISTERED, why, trained.key, said, {"run": how.name}))
    return trained


def _stopped(
    how: Training,
    trail: Trail,
    why: str,
    failed: list[str],
    hashes: dict[str, str],
    metrics: dict[str, Any] | None = None,
) -> Trained:
    details = {"run": how.name, "failed": failed}
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    trail.append(
        Event(WHO, What.STOPPED, f"{why[0].upper()}{why[1:]}: {failed[0]}{more}.", how.task.name, hashes, details)
    )
    return Trained(None, tuple(failed), metrics or {})
