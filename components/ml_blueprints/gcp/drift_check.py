"""What the drift check is told on Google Cloud: of which version, in which window, beside which baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import pulumi

from ml_blueprints import looks, routing
from ml_blueprints.gcp import facts
from ml_blueprints.layers import Context, Zone
from ml_blueprints.workload import Model, Role, Workload

# The folders of the curated zone in which lies what was asked and answered, and what was scored in batches.
CAPTURED = "captured/requests"
PREDICTIONS = "predictions"


@dataclass(frozen=True)
class Check:
    """A look for drift in what the champion of all is asked, or that of a tenant.

    captured: what of it is kept, in the curated zone. apart: whether only answers of this version are looked at, since
    those of others lie beside them.
    """

    model: Model
    tenant: str | None
    captured: str
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


def of_workload(workload: Workload, captures: bool) -> tuple[Check, ...]:
    """A look for the champion of all, and one for each tenant with machines or versions of its own.

    An ensemble answers as one, under a name that no baseline is of: what it was asked is looked at as a whole.
    """
    if not captures:
        return (Check(workload.champion, None, PREDICTIONS, False),)
    dedicated = {
        tenant: Check(_champion(models), tenant, f"captured/{tenant}/requests", False)
        for tenant, models in routing.of_dedicated_tenants(workload).items()
    }
    beside = {
        model.tenant: Check(model, model.tenant, CAPTURED, True)
        for model in workload.models_in(Role.CHAMPION)
        if model.tenant and model.tenant not in dedicated
    }
    apart = bool(beside) and workload.serving.ensemble is None
    return (Check(workload.champion, None, CAPTURED, apart), *beside.values(), *dedicated.values())


def _champion(models: tuple[Model, ...]) -> Model:
    return next(model for model in models if model.role is Role.CHAMPION)


def windows(workload: Workload, zones: Mapping[Zone, pulumi.Output[str]], captures: bool) -> list[pulumi.Output[str]]:
    """All places where what was asked lies: kept by services, or left by batches."""
    places = dict.fromkeys(check.captured for check in of_workload(workload, captures))
    return [pulumi.Output.concat(zones[Zone.CURATED], f"/{place}") for place in places]


def arguments(
    check: Check, context: Context, zones: Mapping[Zone, pulumi.Output[str]], captures: bool
) -> list[pulumi.Input[str]]:
    """The command line. By its URL only those days of the window are listed and read that are looked at."""
    workload, settings = context.workload, context.settings
    scoring = None if captures else workload.serving.schedule
    labels = pulumi.Output.concat(zones[Zone.CURATED], f"/{looks.LABELS}")
    trail = pulumi.Output.concat(zones[Zone.CURATED], f"/{looks.TRAIL}") if check.tenant is None else None
    options = {
        **looks.drift(workload, settings, check.model, scoring, check.apart, labels, trail),
        "baseline": pulumi.Output.concat(mounted(zones[Zone.MODELS]), f"/{routing.artifact_path(check.model)}"),
        "window": pulumi.Output.concat(zones[Zone.CURATED], f"/{check.captured}"),
        "to": pulumi.Output.concat(mounted(zones[Zone.CURATED]), f"/{check.report}"),
    }
    return [*looks.words(options), "--branch"]


def mounted(bucket: pulumi.Output[str]) -> pulumi.Output[str]:
    """Where jobs of Vertex AI see a bucket. https://cloud.google.com/vertex-ai/docs/training/cloud-storage-file-system"""
    return bucket.apply(lambda url: f"/gcs/{url.removeprefix('gs://')}")
