"""What is meant by `--at`: a position of the event log, or a time, also as `muster history` prints it.

A time without a zone is local, and one without a date is the last such: of today, or of yesterday if today's is still
to come. A time without a fraction means its whole second, since that is how history prints what happened within it. The
other way, from a moment to what is printed, is `output.moment`.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated, Any

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
PAST_SECONDS = 3600.0
"""How long an answer about the past may take: where no checkpoint can be read, the whole event log is folded for it."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A position of the event log, the time of the event there, and the time that was asked for, as ISO 8601.

    Where a position was asked for, `as_of` is the time of its event. Both are None at position 0. On a quiet cluster
    the event may be hours older than the time asked for, so ages are counted to `as_of`.
    """

    position: int
    time: str | None
    as_of: str | None

    @property
    def instant(self) -> datetime | None:
        """The time for ages to be counted to."""
        return None if self.as_of is None else datetime.fromisoformat(self.as_of)

    @property
    def shown(self) -> dict[str, Any]:
        """What an answer for programs says of it."""
        return asdict(self)


def read_moment(text: str, *, now: datetime | None = None) -> int | datetime:
    """Return a position or the last instant that is meant. Raises Failure for what is neither, or lies ahead."""
    if text.isascii() and text.isdecimal():
        return int(text)
    now = now or datetime.now(UTC)
    begins = _time_of_day(text, now) or _time(text)
    if begins > now:
        raise Failure(Exit.INVALID, f"{text!r} lies ahead; the event log ends now.")
    return begins if begins.microsecond else begins + REST_OF_SECOND


def moment_of(client: "Client", text: str) -> Moment:
    """Return the moment meant. Raises Failure for what is none, and when the event log does not go that far."""
    meant = read_moment(text)
    asked = None if isinstance(meant, int) else meant.astimezone(UTC).isoformat().replace("+00:00", "Z")
    found = client.get("/journal/moment", at=asked or meant)
    return Moment(found["position"], found["time"], asked or found["time"])


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
