"""Reads the journal, through the HTTP API or line by line from a copy, back into the events written.

A line of a copy is an event as the API gives it. Nothing is held: whoever needs the whole journal makes a list.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure

if TYPE_CHECKING:
    from muster_contracts.wire import Recorded

TOLD_EVERY = 5000
"""Events, read in a fifth of a second or so."""
LAST_MOMENT = "9999-12-31T23:59:59Z"


def journal_of(client: Client, *, after: int = 0, until: int | None = None) -> "Iterator[Recorded]":
    """Yield the events after a position, up to another, or to the end as it is met."""
    return map(_recorded, raw_journal(client, after=after, until=until))


def raw_journal(client: Client, *, after: int = 0, until: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the same events as the API gives them. One that breaks off is asked for again, from there on."""
    while True:
        began = after
        try:
            with client.stream("/journal/lines", after=after, until=until) as chunks:
                for line in _lines(chunks):
                    event = json.loads(line)
                    after = event["position"]
                    yield event
            return
        except Failure as broken:
            if broken.code is not Exit.UNAVAILABLE:
                raise
            client.get("/journal", after=after, limit=1)  # says what is wrong there, or waits until all is well again
            if after == began:
                raise


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        raise Failure(Exit.UNAVAILABLE, "The event log broke off in the middle of an event.")


def end_of(client: Client) -> int:
    """Return the position at which the journal ends now."""
    found: dict[str, Any] = client.get("/journal/moment", at=LAST_MOMENT)
    return int(found["position"])


def told(
    events: "Iterable[Recorded]", sentence: str, end: int | None, tell: Callable[[str], None]
) -> "Iterator[Recorded]":
    """Yield events, and tell now and then how far that is, of how many where it is known, and how fast."""
    began, whole = time.monotonic(), f" of {end:,}" if end else ""
    for number, recorded in enumerate(events, start=1):
        if number % TOLD_EVERY == 0:
            rate = number / max(time.monotonic() - began, 1e-9)
            tell(f"{sentence} Position {recorded.position:,}{whole}, {rate:,.0f} events a second.")
        yield recorded


def event_at(client: Client, position: int) -> dict[str, Any] | None:
    """Return the event at a position as the API gives it; None when the journal ends before it."""
    events: list[dict[str, Any]] = client.get("/journal", after=position - 1, limit=1)["events"]
    return events[0] if events else None


def journal_in(file: Path) -> "Iterator[Recorded]":
    """Yield the events of a copy. Raises Failure with the line that cannot be read, or in which the copy ends."""
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _recorded_in(line, f"{file}, line {number}")
    except OSError as error:
        raise Failure(Exit.INVALID, f"{file}: The file cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Failure(Exit.INVALID, f"{file}: This is not text in UTF-8.") from error


def _recorded_in(line: str, place: str) -> "Recorded":
    try:
        return _recorded(json.loads(line))
    except (ValueError, KeyError, TypeError) as error:
        if not line.endswith("\n"):
            raise Failure(Exit.NO, f"{place}: The copy ends in the middle of an event; it was cut off.") from error
        raise Failure(Exit.INVALID, f"{place}: This is not an event of the journal.") from error


def _recorded(event: dict[str, Any]) -> "Recorded":
    from muster_contracts.wire import Recorded, Unreadable, decode

    data = {"type": event["type"], **event["data"]}
    headers = {"ce-id": event["id"], "ce-type": event["type"], "ce-time": event["time"]}
    try:
        fact, envelope = decode(headers, json.dumps(data).encode())
    except Unreadable as error:
        reason = f"The event at position {event['position']} cannot be read: {error}"
        raise Failure(Exit.UNAVAILABLE, reason, "Is this command older than the services?") from error
    return Recorded(event["position"], envelope, fact)
