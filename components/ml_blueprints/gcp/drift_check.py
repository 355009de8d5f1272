"""What the drift check is told on Google Cloud: of which version, in which window, beside which baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pulumi

from ml_blueprints import routing, schedules
from ml_blueprints.gcp import facts
from ml_blueprints.layers import Zone
from ml_blueprints.workload import Model, Role, Workload

# The folders of the curated zone in which outcomes lie, and what was scored in batches.
LABELS = "labels"
PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Check:
    """A look for drift. tenant: the one that has versions of its own, whose champion it is of; None: that of all.

    apart: whether only answers of this version are looked at, since others' are captured beside them.
    """

    model: Model
    tenant: str | None
    apart: bool

    @property
    def part(self) -> str:
        """How its resources are called."""
        return f"drift-{self.tenant}" if self.tenant else "drift"

    @property
    def report(self) -> str:
        """Where it leaves what it found, in the curated zone."""
        return f"drift/{self.tenant}/drift.json" if self.tenant else "drift/drift.json"

    def report_url(self, bucket: pulumi.Output[str]) -> pulumi.Output[str]:
        """Where a workflow reads that, in a bucket of this name."""
        return bucket.apply(lambda name: facts.OBJECTS_URL.format(bucket=name, path=quote(self.report, safe="")))


def of_workload(workload: Workload) -> tuple[Check, ...]:
    """A look for the champion of all, and one for that of each tenant with versions of its own.

    An ensemble answers as one, under a name that no baseline is of: what it was asked is looked at as a whole.
    """
    champions = {model.tenant: model for model in workload.models if model.role is Role.CHAMPION and model.tenant}
    apart = bool(champions) and workload.serving.ensemble is None
    theirs = (Check(model, tenant, True) for tenant, model in champions.items())
    return (Check(workload.champion, None, apart), *theirs)


def window(zones: Mapping[Zone, pulumi.Output[str]], captures: bool) -> pulumi.Output[str]:
    """Where what was asked lies: kept by the service, or left by the batch."""
    return pulumi.Output.concat(zones[Zone.CURATED], "/captured/requests" if captures else f"/{PREDICTIONS}")


def arguments(
    check: Check, workload: Workload, zones: Mapping[Zone, pulumi.Output[str]], captures: bool
) -> list[pulumi.Input[str]]:
    """The command line. By its URL only those days of the window are listed and read that are looked at."""
    looks, days = workload.monitoring.drift, workload.monitoring.feedback.labels_within_days
    told: list[pulumi.Input[str]] = [
        "--task",
        workload.name,
        "--baseline",
        pulumi.Output.concat(mounted(zones[Zone.MODELS]), f"/{routing.artifact_path(check.model)}/drift_baseline.json"),
        "--window",
        window(zones, captures),
        "--hours",
        str(schedules.hours_to_look_back(looks.schedule, None if captures else workload.serving.schedule)),
        "--metric",
        looks.metric,
        "--threshold",
        str(looks.threshold),
        "--to",
        pulumi.Output.concat(mounted(zones[Zone.CURATED]), f"/{check.report}"),
        "--branch",
    ]
    if check.apart:
        told += ["--model", f"{check.model.name}/{check.model.version}"]
    if days is not None:
        told += ["--labels", pulumi.Output.concat(zones[Zone.CURATED], f"/{LABELS}"), "--labels-within-days", str(days)]
    return told


def mounted(bucket: pulumi.Output[str]) -> pulumi.Output[str]:
    """Where jobs of Vertex AI see a bucket. https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system"""
    return bucket.apply(lambda url: f"/gcs/{url.removeprefix('gs://')}")
