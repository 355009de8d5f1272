"""Looks at what was asked and answered: what the runtime's commands are told on every cloud, and their tables.

The commands are `ml_pipelines.steps.drift` and `ml_pipelines.retraining.feedback` (docs/monitoring.md). Each cloud adds
where things lie.
"""

from collections.abc import Mapping
from enum import StrEnum

import pulumi

from ml_blueprints import routing, schedules
from ml_blueprints.costs.prices import HOURS_PER_MONTH
from ml_blueprints.layers import Context
from ml_blueprints.settings import Settings
from ml_blueprints.workload import Model, Workload

# The folders of the curated zone in which outcomes lie, tables are written, and it is told why training began, or not.
LABELS, TABLES, TRAIL = "labels", "feedback", "trail"

# Days that are counted again where no outcomes are waited for: those of which lines may have come late.
_DAYS = 2


class Kind(StrEnum):
    """What a column of a table holds."""

    TIME = "time"
    WORD = "word"
    COUNT = "count"
    NUMBER = "number"


# The columns of the tables as the command writes them; the day is in the path.
USAGE: Mapping[str, Kind] = {
    "hour": Kind.TIME,
    "tenant": Kind.WORD,
    "model": Kind.WORD,
    "rows": Kind.COUNT,
    "entities": Kind.COUNT,
    "selected": Kind.COUNT,
    "mean_score": Kind.NUMBER,
    "usd": Kind.NUMBER,
}
PERFORMANCE: Mapping[str, Kind] = {
    "model": Kind.WORD,
    "dimension": Kind.WORD,
    "cohort": Kind.WORD,
    "rows": Kind.COUNT,
    "entities": Kind.COUNT,
    "mean_score": Kind.NUMBER,
    "mean_outcome": Kind.NUMBER,
    "metric": Kind.WORD,
    "value": Kind.NUMBER,
    "low": Kind.NUMBER,
    "high": Kind.NUMBER,
}


def drift(
    workload: Workload,
    settings: Settings,
    model: Model,
    scoring: str | None,
    alone: bool,
    labels: pulumi.Input[str],
    trail: pulumi.Input[str] | None,
) -> dict[str, pulumi.Input[str]]:
    """Options of the look for drift, by name.

    The model is loaded to see what its scores come from, and so must be signed as where it serves. model: whose
    baseline it is; scoring: when batches are scored, where nobody asks; alone: whether only what this version answered
    is looked at, since answers of others lie beside; labels: where outcomes lie, if some come; trail: the trail by
    which it is decided whether to train again, where what is looked at may be a reason.
    """
    looks, days = workload.monitoring.drift, workload.monitoring.feedback.labels_within_days
    return {
        "task": workload.name,
        "hours": str(schedules.hours_to_look_back(looks.schedule, scoring)),
        "metric": looks.metric,
        "threshold": str(looks.threshold),
        "attribution": str(looks.attribution),
        "environment": settings.environment,
        **({"trusted": ",".join(settings.trusted_keys)} if settings.trusted_keys else {}),
        **({"model": routing.artifact_path(model)} if alone else {}),
        **({"labels": labels, "labels-within-days": str(days)} if days is not None else {}),
        **(
            {"trail": trail, "cool-down-hours": str(workload.retraining.cool_down_hours)}
            if trail is not None and "drift" in workload.retraining.trigger
            else {}
        ),
    }


def feedback(context: Context, real_time: bool, labels: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Options of the command that writes the tables, by name.

    real_time: whether instances wait for requests; labels: where outcomes lie, if some come.
    """
    days = context.workload.monitoring.feedback.labels_within_days
    cost = {"usd-per-hour": f"{context.sizing.monthly_usd / HOURS_PER_MONTH:.4f}"} if real_time else {}
    return {"days": str(days or _DAYS), **({"labels": labels} if days is not None else {}), **cost}


def words(options: Mapping[str, pulumi.Input[str]]) -> list[pulumi.Input[str]]:
    """Options as a command line has them."""
    return [word for name, value in options.items() for word in (f"--{name}", value)]
