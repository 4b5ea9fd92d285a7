"""What is meant by `--at`: a position of the event log, or a time, also as `muster history` prints it.

A time without a zone is local, and one without a date is the last such: of today, or of yesterday if today's is still
to come. A time without a fraction means its whole second, since that is how history prints what happened within it. The
other way, from a moment to what is printed, is `output.moment`.
"""

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from muster_cli.failure import Exit, Failure

if TYPE_CHECKING:
    from muster_cli.client import Client

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        help="A position of the event log, or a time, also as `muster history` prints it: 4711, 15:44:12, "
        "2026-03-01T10:00.",
        show_default=False,
    ),
]

REST_OF_SECOND = timedelta(microseconds=999_999)
LARGEST_POSITION = 2**63 - 1
"""The API is asked for no larger one."""
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def read_moment(text: str, *, now: datetime | None = None) -> int | datetime:
    """Return a position or the last instant that is meant. Raises Failure for what is neither, or lies ahead."""
    if text.isdecimal():
        return int(text)
    now = now or datetime.now(UTC)
    begins = _time_of_day(text, now) or _time(text)
    if begins > now:
        raise Failure(Exit.INVALID, f"{text!r} lies ahead; the event log ends now.")
    return begins if begins.microsecond else begins + REST_OF_SECOND


def position_of(client: "Client", moment: int | datetime) -> int:
    """Return the position meant. Raises Failure when the event log does not go that far."""
    from muster_cli.journal import event_at, position_at

    if isinstance(moment, datetime):
        return position_at(client, moment)
    if not moment or event_at(client, min(moment, LARGEST_POSITION)) is not None:
        return moment
    end = position_at(client, END_OF_TIME)
    raise Failure(Exit.INVALID, f"There is no position {moment} yet: the event log ends at {end}.")


def _time_of_day(text: str, now: datetime) -> datetime | None:
    """Return the last such time, None when there is a date in the text."""
    try:
        clock = time.fromisoformat(text)
    except ValueError:
        return None
    today = now.astimezone(clock.tzinfo).date()
    latest = datetime.combine(today, clock).astimezone()
    return latest if latest <= now else datetime.combine(today - timedelta(days=1), clock).astimezone()


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        sentence = f"{text!r} is neither a position nor a time."
        raise Failure(Exit.INVALID, sentence, "Write it like 4711, 15:44:12 or 2026-03-01T10:00.") from error
