"""How long ago something was, as kubectl writes it."""

from datetime import datetime

from simcluster.clock import from_timestamp

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400

# Below so many seconds: the great unit and the small one.
_DURATIONS = (
    (2 * _MINUTE, 1, "s", 1, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 1, "s"),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", _MINUTE, "m"),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", _HOUR, "h"),
    (float("inf"), _YEAR, "y", _DAY, "d"),
)
_WITH_TWO_UNITS = (10 * _MINUTE, 8 * _HOUR, 8 * _DAY, float("inf"))


def human_duration(seconds: float) -> str:
    """Write a span of time as kubectl does: two units at most (`5m30s`, `3h`, `12d`)."""
    whole = max(0, int(seconds))
    limit, great, great_unit, small, small_unit = next(row for row in _DURATIONS if whole < row[0])
    text, rest = f"{whole // great}{great_unit}", whole % great // small
    return f"{text}{rest}{small_unit}" if rest and limit in _WITH_TWO_UNITS else text


def since(text: str, now: datetime) -> str:
    """Write the time that has gone by since a timestamp. Raises ValueError or TypeError when it is none."""
    return human_duration((now - from_timestamp(text)).total_seconds())
