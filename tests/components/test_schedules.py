"""Cron schedules: what is understood, what is refused and how each of AWS's services writes it."""

import pytest
from ml_blueprints import schedules


@pytest.mark.parametrize(
    "expression",
    ["0 2 * * 0", "* * * * *", "*/15 0-23/2 * * *", "0 0 1,15 * *", "59 23 31 12 *", "0 0 * * 7", "5/10 * * * *"],
)
def test_standard_expressions_are_understood(expression):
    assert schedules.parse(expression) == tuple(expression.split())


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "has 5 fields (minute hour day-of-month month day-of-week), not 0"),
        ("0 2 * *", "not 4"),
        ("0 2 * * 0 2026", "not 6"),
        ("60 * * * *", "the minute of a cron schedule is from 0 to 59"),
        ("-1 * * * *", "the minute of a cron schedule is from 0 to 59"),
        ("0 24 * * *", "the hour of a cron schedule is from 0 to 23"),
        ("0 0 32 * *", "the day of month of a cron schedule is from 1 to 31"),
        ("0 0 * 0 *", "the month of a cron schedule is from 1 to 12"),
        ("0 0 * * 8", "the day of week of a cron schedule is from 0 to 7"),
        ("0 0 * * MON", "the day of week of a cron schedule is from 0 to 7"),
        ("0 0 * * 5-1", "not `5-1`"),
        ("*/0 * * * *", "not `*/0`"),
        ("*/90 * * * *", "not `*/90`"),
        ("1,,2 * * * *", "not `1,,2`"),
        ("٣ * * * *", "not `٣`"),
        ("0 0 ? * *", "not `?`"),
        ("0 0 1 * 1", "a day of the month or a day of the week, not both"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_field(expression, reason):
    with pytest.raises(ValueError, match="cron schedule") as refused:
        schedules.parse(expression)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "on_aws"),
    [
        ("0 3 * * *", "cron(0 3 * * ? *)"),
        ("0 1 1 * *", "cron(0 1 1 * ? *)"),
        ("*/15 8-18 * 6,7 *", "cron(*/15 8-18 * 6,7 ? *)"),
        ("0 2 * * 0", "cron(0 2 ? * SUN *)"),
        ("0 2 * * 7", "cron(0 2 ? * SUN *)"),
        ("0 2 * * 6", "cron(0 2 ? * SAT *)"),
        ("0 4 * * 1-5", "cron(0 4 ? * MON-FRI *)"),
        ("0 4 * * 1,3", "cron(0 4 ? * MON,WED *)"),
        ("0 4 * * */2", "cron(0 4 ? * */2 *)"),
        ("0 4 * * 1-5/2", "cron(0 4 ? * MON-FRI/2 *)"),
        ("0 4 * * 5-7", "cron(0 4 ? * FRI,SAT,SUN *)"),
        ("0 4 * * 2,4-7/3", "cron(0 4 ? * TUE,THU,SUN *)"),
    ],
)
def test_eventbridge_takes_six_fields_and_weekdays_by_name(expression, on_aws):
    assert schedules.aws(expression) == on_aws


@pytest.mark.parametrize(
    ("looks", "hours"), [("0 * * * *", 1), ("0 */2 * * *", 2), ("0 */12 * * *", 12), ("0 6 * * *", 24)]
)
def test_a_look_takes_in_what_came_since_the_look_before(looks, hours):
    assert schedules.hours_to_look_back(looks) == hours


@pytest.mark.parametrize(
    ("scoring", "hours"),
    [("0 3 * * *", 24), ("0 */4 * * *", 24), ("0 4 * * 1", 168), ("0 4 1 * *", 744), ("0 4 * * 1-5", 168)],
)
def test_a_batch_is_looked_at_since_the_last_scoring(scoring, hours):
    assert schedules.hours_to_look_back("0 6 * * *", scoring) == hours
