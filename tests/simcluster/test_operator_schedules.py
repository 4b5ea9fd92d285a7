"""Schedules as cron writes them, beside dates worked out by hand."""

from datetime import UTC, datetime

import pytest
from simcluster.operators import cron

NOW = datetime(2026, 11, 24, 7, 30, 20, tzinfo=UTC)  # a Tuesday


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("* * * * *", (2026, 11, 24, 7, 31)),
        ("0 1 * * *", (2026, 11, 25, 1, 0)),
        ("*/20 * * * *", (2026, 11, 24, 7, 40)),
        ("15 8-10 * * *", (2026, 11, 24, 8, 15)),
        ("0 0 1 * *", (2026, 12, 1, 0, 0)),
        ("0 0 * * 0", (2026, 11, 29, 0, 0)),
        ("0 0 * * 7", (2026, 11, 29, 0, 0)),
        ("0 0 1 * 5", (2026, 11, 27, 0, 0)),
        ("0 0 29 2 *", (2028, 2, 29, 0, 0)),
        ("10/20 * * * *", (2026, 11, 24, 7, 50)),
        ("@hourly", (2026, 11, 24, 8, 0)),
        ("@every 1h30m", (2026, 11, 24, 9, 0, 20)),
    ],
)
def test_the_next_time_of_a_schedule(schedule, following):
    assert cron.parse(schedule)(NOW) == datetime(*following, tzinfo=UTC)


@pytest.mark.parametrize(
    "schedule", ["", "0 0 * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "@every 0s"]
)
def test_what_is_no_schedule(schedule):
    with pytest.raises(ValueError, match=r"."):
        cron.parse(schedule)


def test_a_time_that_never_comes():
    with pytest.raises(ValueError, match="never comes"):
        cron.parse("0 0 31 2 *")(NOW)
