"""What the components of a pipeline on Vertex AI do beside running a step: verdicts, metrics, lineage, publishing.

The components themselves are written by `ml_pipelines.platforms.vertexai`; they find this module in their image.
"""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_pipelines.steps.errors import StepError
from ml_pipelines.steps.files import mounted, read_json, read_table
from ml_pipelines.steps.manifest import MANIFEST, copy
from ml_pipelines.steps.verdict import VERDICT

STEP = "vertexai"
# Points of a ROC curve that are kept: as many as a screen tells apart.
_POINTS = 200


class Published(NamedTuple):
    """Where a version is, and what the registry says of it."""

    uri: str
    description: str
    aliases: list[str]
    labels: dict[str, str]


def run(module: str, arguments: Sequence[str], leaves: Sequence[str]) -> None:
    """Run a step in a process of its own, so that its memory is given back; its words go to the log as they come.

    leaves: the folders that it fills, which are emptied of what an attempt before left. They are there when it begins:
    Cloud Storage can't rename a folder, as a step would that makes its own.
    """
    for folder in map(Path, leaves):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", f"ml_pipelines.steps.{module}", *arguments], check=True)


def verdict(folder: str) -> tuple[bool, str]:
    """Whether a verdict lets the pipeline go on, and what failed, a line for each."""
    said = read_json(STEP, Path(folder) / VERDICT)
    failed = [f"- {one['gate']}, {one['name']}: {one['said']}" for one in said["checks"] if not one["passed"]]
    return said["passed"] is True, "\n".join(failed)


def refuse(folder: str, failed: str) -> None:
    """End the pipeline, with what failed and where the verdict is."""
    sys.exit(f"The verdict in {folder}/{VERDICT} says no, so that the pipeline ends here:\n{failed}")


def describe(artifact: Any) -> None:
    """Say in an artifact's metadata, which Vertex AI's lineage shows, what the manifest of a model says."""
    said = read_json(STEP, Path(artifact.path) / MANIFEST)
    kept = ("task", "name", "candidate", "version", "created_at", "code", "seed", "environment")
    artifact.metadata.update({name: said[name] for name in kept if name in said})


def tell_metrics(evaluation: str, metrics: Any, report: Any) -> None:
    """Log the metrics of the model, with their intervals, and of what it is compared with; show the report."""
    from ml_pipelines.steps.verdict import METRICS, REPORT

    said = read_json(STEP, Path(evaluation) / METRICS)
    for who, found in said["metrics"].items():
        for name, one in found.items():
            metrics.log_metric(f"{who}_{name}", one["value"])
            if who == "model":
                metrics.log_metric(f"{name}_low", one["low"])
                metrics.log_metric(f"{name}_high", one["high"])
    shutil.copyfile(Path(evaluation) / REPORT, report.path)


def tell_curve(task_name: str, data: str, model: str, curve: Any) -> None:
    """Log the ROC curve and the confusion matrix on data held back, as Vertex AI draws them."""
    import numpy as np
    from sklearn.metrics import confusion_matrix, roc_curve

    from ml_pipelines.steps.examples import inputs, target
    from ml_pipelines.steps.prepare import TEST
    from ml_pipelines.steps.scorer import Scorer
    from ml_pipelines.tasks import find

    task, table = find(task_name), read_table(STEP, Path(data) / TEST)
    outcomes, scores = target(STEP, table, task), Scorer.load(STEP, Path(model)).score(inputs(table, task))
    rates = np.stack(roc_curve(outcomes, scores))[:, 1:]
    kept = rates[:, np.unique(np.linspace(0, rates.shape[1] - 1, _POINTS).astype(int))]
    curve.log_roc_curve(*kept.tolist())
    threshold = read_json(STEP, Path(model) / MANIFEST)["threshold"]
    if threshold is not None:
        selected = confusion_matrix(outcomes.astype(int), (scores > threshold).astype(int), labels=[0, 1])
        curve.log_confusion_matrix(["no", "yes"], selected.tolist())


def publish(registered: str, models: str) -> Published:
    """Copy a version to `<models>/<name>/<version>`, where serving and the next training find it.

    Versions never change: one that is there already must be the same. Raises StepError where it isn't.
    """
    said = read_json(STEP, Path(registered) / MANIFEST)
    name, version = said["name"], said["version"]
    folder = Path(mounted(models)) / name / version
    if not (folder / MANIFEST).exists():
        copy(Path(registered), folder)
    elif read_json(STEP, folder / MANIFEST) != said:
        raise StepError(STEP, str(folder), "is another model of this version; a version never changes")
    # Aliases have letters, digits and `-`, labels lower case letters, digits, `_` and `-`.
    dashed = f"{name}-{version}".replace(".", "-")
    return Published(
        uri=f"{models}/{name}/{version}",
        description=f"{name} {version} of code {said['code']}",
        aliases=[dashed, "newest"],
        labels={"task": said["task"], "model": name, "version": version.replace(".", "-")},
    )
