"""When a cron schedule was due last: five fields in UTC, of numbers, ranges, lists and steps, as in workloads."""

import datetime

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
# A 29 February that is a given day of the week comes after 28 years, or 40 around a year such as 2100.
_LONGEST_DAYS = 41 * 366


def last_due(expression: str, until: datetime.datetime) -> datetime.datetime | None:
    """The last moment at or before `until` that a schedule names; None where there is none, as on 31 February.

    Raises ValueError with the field that is wrong.
    """
    words = expression.split()
    if len(words) != len(_FIELDS):
        raise ValueError(f"a cron schedule has 5 fields, not {len(words)}: `{expression}`")
    minutes, hours, days, months, weekdays = (_values(word, *field) for word, field in zip(words, _FIELDS, strict=True))
    until = until.astimezone(datetime.UTC).replace(second=0, microsecond=0)
    for back in range(_LONGEST_DAYS):
        day = until.date() - datetime.timedelta(days=back)
        # As cron has it, 0 and 7 are Sunday.
        if day.month not in months or day.day not in days or not weekdays & {day.isoweekday() % 7, day.isoweekday()}:
            continue
        latest = (until.hour, until.minute) if not back else (23, 59)
        times = [(hour, minute) for hour in hours for minute in minutes if (hour, minute) <= latest]
        if times:
            return datetime.datetime.combine(day, datetime.time(*max(times)), datetime.UTC)
    return None


def _values(word: str, name: str, lowest: int, highest: int) -> set[int]:
    found: set[int] = set()
    for term in word.split(","):
        part, _, step = term.partition("/")
        first, _, last = part.partition("-")
        low, high = (str(lowest), str(highest)) if part == "*" else (first, last or (str(highest) if step else first))
        if (
            not all(one.isdecimal() for one in (low, high, step or "1"))
            or not lowest <= int(low) <= int(high) <= highest
        ):
            raise ValueError(f"the {name} of a cron schedule is from {lowest} to {highest}; found `{word}`")
        if step == "0":
            raise ValueError(f"the {name} of a cron schedule has a step of 0: `{word}`")
        found |= set(range(int(low), int(high) + 1, int(step or 1)))
    return found
