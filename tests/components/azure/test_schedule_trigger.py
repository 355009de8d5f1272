"""When Azure Machine Learning starts jobs: cron where it knows what the expression says, a recurrence for dates."""

from types import SimpleNamespace

import pytest
from ml_blueprints.azure import schedule_trigger
from ml_blueprints.errors import BlueprintError


def context(expires_on=None):
    """What a trigger needs to know of a platform."""
    experiment = SimpleNamespace(expires_on=expires_on) if expires_on else None
    return SimpleNamespace(settings=SimpleNamespace(experiment=experiment))


@pytest.mark.parametrize("expression", ["15 2 * * *", "0 */2 * * *", "0 2 * * 0", "0 4 * * 1-5"])
def test_hours_and_weekdays_are_cron(expression):
    found = schedule_trigger.trigger(context(), expression)
    assert (found.trigger_type, found.expression, found.time_zone) == ("Cron", expression, "UTC")


def test_a_date_is_a_recurrence_since_azures_cron_would_run_every_day():
    found = schedule_trigger.trigger(context(), "0,30 1 1,15 * *")
    assert (found.trigger_type, found.frequency, found.interval) == ("Recurrence", "Month", 1)
    assert found.schedule.month_days == [1, 15]
    assert (found.schedule.hours, found.schedule.minutes) == ([1], [0, 30])
    assert found.time_zone == "UTC"


@pytest.mark.parametrize("expression", ["15 2 * * *", "0 1 1 * *"])
def test_no_job_runs_when_its_schedule_is_made(expression):
    assert schedule_trigger.trigger(context(), expression).start_time == "2026-01-01T00:00:00"


@pytest.mark.parametrize("expression", ["15 2 * * *", "0 1 1 * *"])
def test_schedules_of_an_experiment_end_with_its_last_day_and_others_never(expression):
    assert schedule_trigger.trigger(context("2027-01-31"), expression).end_time == "2027-01-31T23:59:59"
    assert schedule_trigger.trigger(context(), expression).end_time is None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("*", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("3", [3]),
        ("2-4", [2, 3, 4]),
        ("*/4", [0, 4, 8]),
        ("1-7/3", [1, 4, 7]),
        ("5/2", [5, 7, 9]),
        ("8,1,1-2", [1, 2, 8]),
    ],
)
def test_a_field_stands_for_numbers(field, expected):
    assert schedule_trigger.values(field, 0, 9) == expected


def workload(**retraining):
    """A workload with a schedule for each of its jobs."""
    return SimpleNamespace(
        name="w",
        features=SimpleNamespace(schedule="0 1 * * *"),
        serving=SimpleNamespace(schedule=None),
        monitoring=SimpleNamespace(
            drift=SimpleNamespace(schedule="0 6 * * *"), feedback=SimpleNamespace(schedule="0 5 * * *")
        ),
        retraining=SimpleNamespace(schedule="0 1 1 * *", **retraining),
    )


def test_dates_and_hours_are_taken():
    schedule_trigger.refuse(workload())


def test_a_schedule_that_names_months_is_refused_by_its_field():
    wanted = workload()
    wanted.retraining.schedule = "0 1 1 1,7 *"
    with pytest.raises(BlueprintError, match=r"retraining\.schedule: found `0 1 1 1,7 \*`"):
        schedule_trigger.refuse(wanted)
