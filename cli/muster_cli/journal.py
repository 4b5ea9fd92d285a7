"""Reads the journal through the HTTP API, page by page, back into the events that were written."""

import json
from collections.abc import Iterator
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure

if TYPE_CHECKING:
    from muster_contracts.wire import Recorded

PAGE = 500


def read_journal(client: Client, *, until: int | None) -> "list[Recorded]":
    """Return all events up to a position, or to the end as it is met."""
    wanted = takewhile(lambda event: until is None or event["position"] <= until, _pages(client))
    return [_recorded(event) for event in wanted]


def _pages(client: Client) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = client.get("/journal", after=after, limit=PAGE)
        yield from page["events"]
        after = page["next"]


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
