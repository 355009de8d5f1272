"""Cron schedules: five standard fields in UTC (minute, hour, day of month, month, day of week), and AWS's own six."""

import re

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_TERM = re.compile(r"(?:\*|(?P<low>\d+)(?:-(?P<high>\d+))?)(?:/(?P<step>\d+))?", re.ASCII)
_DAY, _WEEK, _MONTH = 24, 7 * 24, 31 * 24
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def parse(expression: str) -> tuple[str, str, str, str, str]:
    """The five fields of a cron expression.

    Numbers, ranges, lists and steps are understood, since these are what EventBridge, Cloud Scheduler and Azure ML
    schedules have in common. Raises ValueError with the field that is wrong and the values that it may have.
    """
    fields = expression.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"a cron schedule has 5 fields (minute hour day-of-month month day-of-week), not {len(fields)}"
        )
    for text, (name, lowest, highest) in zip(fields, _FIELDS, strict=True):
        for term in text.split(","):
            match = _TERM.fullmatch(term)
            numbers = [int(match[group]) for group in ("low", "high") if match[group]] if match else []
            if (
                match is None
                or not all(lowest <= number <= highest for number in numbers)
                or numbers != sorted(numbers)
                or (match["step"] is not None and not 1 <= int(match["step"]) <= highest)
            ):
                raise ValueError(
                    f"the {name} of a cron schedule is from {lowest} to {highest}, `*`, a range, a list or a step; "
                    f"not `{text}`"
                )
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ValueError(
            "a cron schedule names a day of the month or a day of the week, not both: EventBridge takes only one"
        )
    return minute, hour, day, month, weekday


def aws(expression: str) -> str:
    """The same schedule as EventBridge writes it: `cron(minute hour day month weekday year)`.

    One of the two day fields must be `?`, and weekdays are counted from 1 = Sunday, so names are used
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html).
    """
    minute, hour, day, month, weekday = parse(expression)
    if weekday == "*":
        return f"cron({minute} {hour} {day} {month} ? *)"
    named = re.sub(r"(?<!/)\b\d\b", lambda match: _WEEKDAYS[int(match[0])], ",".join(map(_week, weekday.split(","))))
    return f"cron({minute} {hour} ? {month} {named} *)"


def _week(term: str) -> str:
    """A range that ends on 7 = Sunday, day by day: AWS's weeks begin on Sunday, and its ranges don't go round."""
    days, _, step = term.partition("/")
    low, _, high = days.partition("-")
    if high != "7":
        return term
    return ",".join(str(day) for day in range(int(low), 8, int(step or 1)))


def hours_to_look_back(looks: str, scoring: str | None = None) -> int:
    """How many hours a look at what was asked takes in: those since the look before, or since the last scoring.

    Both are cron expressions; looks are hourly, every n hours, or daily.
    """
    hour = parse(looks)[1]
    since = 1 if hour == "*" else int(hour.removeprefix("*/")) if hour.startswith("*/") else _DAY
    if scoring is None:
        return since
    _, _, day, month, weekday = parse(scoring)
    if day != "*" or month != "*":
        return max(since, _MONTH)
    return max(since, _DAY if weekday == "*" else _WEEK)
