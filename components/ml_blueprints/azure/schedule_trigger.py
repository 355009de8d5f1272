"""When Azure Machine Learning starts a job, from a cron expression: its own cron knows hours and weekdays, no dates.

Days of the month and months of its cron expressions are ignored, so that what is to run once a month would run every
day. A recurrence knows days of the month; months neither of them does.
https://learn.microsoft.com/azure/machine-learning/how-to-schedule-pipeline-job#limitations
"""

from pulumi_azure_native import machinelearningservices

from ml_blueprints import schedules
from ml_blueprints.errors import BlueprintError, Problem
from ml_blueprints.layers import Context
from ml_blueprints.workload import Workload

# A schedule without a beginning runs its job at once; one that began in the past waits for its next time.
# https://learn.microsoft.com/azure/machine-learning/reference-yaml-schedule
BEGINNING = "2026-01-01T00:00:00"

Trigger = machinelearningservices.CronTriggerArgs | machinelearningservices.RecurrenceTriggerArgs


def trigger(context: Context, expression: str) -> Trigger:
    """The times of a cron expression, in UTC; in an experiment they end with its last day."""
    minute, hour, day, *_ = schedules.parse(expression)
    experiment = context.settings.experiment
    bounds = {
        "start_time": BEGINNING,
        "end_time": f"{experiment.expires_on}T23:59:59" if experiment else None,
        "time_zone": "UTC",
    }
    if day == "*":
        return machinelearningservices.CronTriggerArgs(trigger_type="Cron", expression=expression, **bounds)
    return machinelearningservices.RecurrenceTriggerArgs(
        trigger_type="Recurrence",
        frequency=machinelearningservices.RecurrenceFrequency.MONTH,
        interval=1,
        schedule=machinelearningservices.RecurrenceScheduleArgs(
            month_days=values(day, 1, 31), hours=values(hour, 0, 23), minutes=values(minute, 0, 59)
        ),
        **bounds,
    )


def values(field: str, lowest: int, highest: int) -> list[int]:
    """The numbers that a field of a cron expression stands for."""
    found: set[int] = set()
    for term in field.split(","):
        numbers, _, step = term.partition("/")
        low, _, high = numbers.partition("-")
        first = lowest if low == "*" else int(low)
        last = int(high) if high else highest if low == "*" or step else first
        found.update(range(first, last + 1, int(step or 1)))
    return sorted(found)


def refuse(workload: Workload) -> None:
    """Raise BlueprintError for a schedule of a workload that names months, before anything is registered."""
    found = {
        "features.schedule": workload.features.schedule,
        "serving.schedule": workload.serving.schedule,
        "monitoring.drift.schedule": workload.monitoring.drift.schedule,
        "monitoring.feedback.schedule": workload.monitoring.feedback.schedule,
        "retraining.schedule": workload.retraining.schedule,
    }
    problems = [
        Problem(field, f"`{expression}`", "Azure Machine Learning knows no months in schedules: `*` is expected")
        for field, expression in found.items()
        if expression and schedules.parse(expression)[3] != "*"
    ]
    if problems:
        raise BlueprintError(f"workload {workload.name}", problems)
