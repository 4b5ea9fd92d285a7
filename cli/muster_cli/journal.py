"""Reads the journal, page by page through the HTTP API or line by line from a copy, back into the events written.

A line of a copy is an event as `GET /journal` gives it. Nothing is held: whoever needs the whole journal makes a list.
"""

import json
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure

if TYPE_CHECKING:
    from muster_contracts.wire import Recorded

PAGE = 500


def journal_of(client: Client, *, until: int | None = None) -> "Iterator[Recorded]":
    """Yield all events up to a position, or to the end as it is met."""
    wanted = takewhile(lambda event: until is None or event["position"] <= until, raw_journal(client))
    return (_recorded(event) for event in wanted)


def raw_journal(client: Client) -> Iterator[dict[str, Any]]:
    """Yield all events as the API gives them."""
    after: int | None = 0
    while after is not None:
        page = client.get("/journal", after=after, limit=PAGE)
        yield from page["events"]
        after = page["next"]


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
