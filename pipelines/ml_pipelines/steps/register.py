"""Register: a model that passed the gates becomes a version in the registry, signed; no other one does."""

import argparse
import datetime
import re
import shutil
from pathlib import Path
from typing import Any

from ml_pipelines.steps import command, manifest
from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import json_text, read_json, sha256, whole_folder
from ml_pipelines.steps.verdict import CARD, JUNIT, METRICS, REPORT, VERDICT
from ml_pipelines.tasks import find
from ml_pipelines.tasks.task import Task

STEP = "register"
BASELINE = "drift_baseline.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def register(
    model: Path,
    evaluation: Path,
    baseline: Path,
    task: Task,
    registry: Path,
    version: str | None = None,
    key: Path | str | None = None,
    environment: str = "production",
) -> dict[str, Any]:
    """Copy a model with its evaluation to `<registry>/<task>/<candidate>/<version>`; returns the manifest.

    model, evaluation, baseline: what `train`, `evaluate` and `drift_baseline` wrote; version: such as 1.2.0 (default:
    the one after the newest); key: the Ed25519 key that signs, without which only `experiment` takes a model.
    Raises StepError, with nothing written, where a gate failed, the version is taken, or a key is missing.
    """
    candidate = read_json(STEP, model / manifest.MANIFEST).get("candidate", "")
    version = version or next_version(registry / task.name / candidate)
    folder = registry / task.name / candidate / version
    if folder.exists():
        raise StepError(STEP, str(folder), "is registered already; a version never changes")
    return assemble(model, evaluation, baseline, task, folder, version, key, environment)


def assemble(
    model: Path,
    evaluation: Path,
    baseline: Path,
    task: Task,
    to: Path,
    version: str | None = None,
    key: Path | str | None = None,
    environment: str = "production",
) -> dict[str, Any]:
    """Write a version of a model into the folder `to`, for a platform's own registry; returns the manifest.

    As `register`, but that the version is by default made of the time of training, such as 2026.1231.235959: a platform
    that runs the step has no folder of all versions to count in.
    """
    verdict = read_json(STEP, evaluation / VERDICT)
    if verdict.get("passed") is not True:
        raise StepError(STEP, str(evaluation / VERDICT), f"the gates didn't let it pass:\n{_failures(verdict)}")
    said = read_json(STEP, model / manifest.MANIFEST)
    if {said.get("task"), verdict.get("subject")} != {task.name}:
        raise StepError(
            STEP,
            str(model),
            f"is of task `{said.get('task')}`, its verdict of `{verdict.get('subject')}`, not `{task.name}`",
        )
    graph = model / manifest.MODEL
    if sha256(graph) != said["files"].get(graph.name):
        raise StepError(STEP, str(graph), "was changed after training: its hash isn't that of the manifest")
    if key is None and environment != manifest.EXPERIMENT:
        raise StepError(STEP, "--key", f"is missing: environment `{environment}` takes signed models only")
    signer = manifest.private_key(key) if key else None
    version = version or version_of(said["created_at"])
    if not _VERSION.fullmatch(version):
        raise StepError(STEP, "--version", f"is three numbers, such as 1.2.0, not `{version}`")
    metrics = read_json(STEP, evaluation / METRICS)
    with whole_folder(to) as made:
        for file in (
            graph,
            *(evaluation / name for name in (VERDICT, JUNIT, METRICS, REPORT, CARD)),
            baseline,
        ):
            if not file.exists():
                raise StepError(STEP, str(file), "there is no such file")
            shutil.copyfile(file, made / (BASELINE if file == baseline else file.name))
        whole = {
            **said,
            "name": said["candidate"],
            "version": version,
            "environment": environment,
            "metrics": metrics["metrics"]["model"],
            "files": manifest.hashes(made),
        }
        (made / manifest.MANIFEST).write_text(json_text(whole), encoding="utf-8")
        if signer:
            manifest.sign(made, signer)
    return whole


def version_of(created_at: str) -> str:
    """A version from the time of training (ISO 8601, UTC): year, month and day, hour, minute and second."""
    time = datetime.datetime.fromisoformat(created_at)
    return f"{time.year}.{int(time.strftime('%m%d'))}.{int(time.strftime('%H%M%S'))}"


def versions(folder: Path) -> list[str]:
    """The versions of a model in its folder of the registry, oldest first."""
    found = [entry.name for entry in folder.glob("*") if _VERSION.fullmatch(entry.name)]
    return sorted(found, key=lambda name: tuple(map(int, name.split("."))))


def newest(registry: Path, task: Task) -> Path | None:
    """The folder of the task's model that was made last, whichever candidate it is of; None where there is none."""
    found = [
        (read_json(STEP, folder / name / manifest.MANIFEST)["created_at"], folder / name)
        for folder in sorted((registry / task.name).glob("*"))
        for name in versions(folder)
    ]
    return max(found, key=lambda one: one[0])[1] if found else None


def next_version(folder: Path) -> str:
    """The version after the newest: the same with a last number that is one more; 1.0.0 to begin with."""
    found = versions(folder)
    if not found:
        return "1.0.0"
    major, minor, patch = map(int, found[-1].split("."))
    return f"{major}.{minor}.{patch + 1}"


def _failures(verdict: dict[str, Any]) -> str:
    failed = [check for check in verdict.get("checks", []) if not check["passed"]]
    lines = []
    for check in failed:
        by = "" if check["short_by"] is None else f" Short by {check['short_by']:.4g}."
        lines.append(f"- {check['gate']}, {check['name']}: {check['said']}.{by} {check['remedy']}")
    return "\n".join(lines) or "- nothing was checked"


def main() -> None:
    """The command line."""
    parser = command.parser(STEP, __doc__)
    parser.add_argument("--model", type=Path, required=True, help="the folder that `train` wrote")
    parser.add_argument("--evaluation", type=Path, required=True, help="the folder that `evaluate` wrote")
    parser.add_argument("--baseline", type=Path, required=True, help="the file that `drift_baseline` wrote")
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--registry", type=Path, help="the folder of all models")
    place.add_argument("--to", type=Path, help="the folder of this version, for a platform's own registry")
    parser.add_argument(
        "--version", help="such as 1.2.0 (default: the one after the newest, or of the time of training)"
    )
    parser.add_argument("--key", help="the Ed25519 key that signs: a file in PEM, or a reference to a cloud's secret")
    parser.add_argument("--environment", default="production", choices=manifest.ENVIRONMENTS)

    def step(options: argparse.Namespace) -> dict[str, Any]:
        writes, place = (register, options.registry) if options.registry else (assemble, options.to)
        made = (options.model, options.evaluation, options.baseline, find(options.task), place)
        try:
            return writes(*made, options.version, options.key, options.environment)
        except manifest.ManifestError as error:
            raise StepError(STEP, "--key", str(error)) from error

    command.run(parser, step)


if __name__ == "__main__":
    main()
