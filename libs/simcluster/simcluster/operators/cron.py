"""Schedules as cron writes them: `0 1 * * *`, `*/15 8-18 * * 1-5`, `@daily`, `@every 10m`; always in UTC.

Five fields: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday). As in cron, a day counts when
either of its two fields names it, if both are restricted.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_MOST_DAYS = 8 * 366  # the 29th of February may be eight years away

Schedule = Callable[[datetime], datetime]
"""Returns the first instant of a schedule after another instant."""


def parse(text: str) -> Schedule:
    """Read a schedule; raises ValueError when it is none, or when its time never comes."""
    every = re.fullmatch(r"@every ((?:\d+[smh])+)", text.strip())
    if every is not None:
        seconds = sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([smh])", every[1]))
        if not seconds:
            raise ValueError(f"the schedule {text!r} leaves no time between its runs")
        return lambda instant: instant + timedelta(seconds=seconds)
    fields = _SHORT.get(text.strip(), text).split()
    if len(fields) != len(_RANGES):
        raise ValueError(f"the schedule {text!r} has not five fields")
    sets = [_values(field, *limits) for field, limits in zip(fields, _RANGES, strict=True)]
    both = not fields[2].startswith("*") and not fields[4].startswith("*")
    return lambda instant: _next(text, sets, instant, either_day=both)


def _values(field: str, lowest: int, highest: int) -> frozenset[int]:
    values: set[int] = set()
    for part in field.split(","):
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None:
            raise ValueError(f"{part!r} is no field of a schedule")
        first = lowest if match[1] is None else int(match[1])
        open_ended = match[1] is None or (match[2] is None and match[3] is not None)
        last = highest if open_ended else int(match[2] or first)
        if not lowest <= first <= last <= highest or match[3] == "0":
            raise ValueError(f"{part!r} is out of the range {lowest} to {highest}")
        values.update(range(first, last + 1, int(match[3] or 1)))
    return frozenset(values)


def _next(text: str, sets: list[frozenset[int]], after: datetime, *, either_day: bool) -> datetime:
    minutes, hours, days, months, weekdays = sets
    start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    midnight = start.replace(hour=0, minute=0)
    for number in range(_MOST_DAYS):
        day = midnight + timedelta(days=number)
        by_date = day.day in days
        by_weekday = bool(weekdays & {day.isoweekday() % 7, day.isoweekday()})
        if day.month not in months or not (by_date or by_weekday if either_day else by_date and by_weekday):
            continue
        times = (day.replace(hour=hour, minute=minute) for hour in sorted(hours) for minute in sorted(minutes))
        found = next((each for each in times if each >= start), None)
        if found is not None:
            return found
    raise ValueError(f"the time of the schedule {text!r} never comes")
