"""What queries take over HTTP: positions, moments, sizes of pages, text."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from muster_contracts.errors import Complaint, RefusalCode, Refused

LARGEST = 2**63 - 1
MOST_ROWS = 500

Position = Annotated[int, Query(ge=0, le=LARGEST)]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
At = Annotated[
    str | None,
    Query(max_length=40, description="As it was at a position of the journal, or at a time: 2026-01-31T12:00:00Z."),
]
Text = Annotated[str, Query(max_length=1000)]


def read_at(text: str) -> int | datetime:
    """Return the position or the time that is meant; a time without a zone is UTC. Raises Refused for other text."""
    if text.isascii() and text.isdecimal():
        return int(text)
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        details = "must be a position or a time like 2026-01-31T12:00:00Z"
        raise Refused(RefusalCode.INVALID, f"at {details}.", [Complaint(field="at", details=details)]) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
