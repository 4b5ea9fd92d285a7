"""The append-only log as everybody else sees it: append one event, read one aggregate, follow everything.

Two implementations stand behind it, `muster_journal.jetstream` and `muster_journal.memory`, and one conformance suite
judges both (`tests/journal`). A journal belongs to one writer: it stamps the time, and refuses (assert) events of
others.

Pitfalls. Idempotence rests on the expected sequence of the writer's *own* subject, never on a window of message ids.
A time-out is ambiguous: `append` finds out by reading back what became of it and never reports a conflict with itself.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from muster_contracts.events import AnyEvent
from muster_contracts.subjects import Aggregate
from muster_contracts.wire import Recorded

ANYTHING = -1
"""As `expected`: append whatever stands on the subject. For facts that are the same whenever they are written."""


class Conflict(Exception):
    """Somebody (an earlier life of the same service, or a rival) wrote on the subject since the expected sequence."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        super().__init__(f"{subject} stands at {actual}, not at {expected}")
        self.subject = subject
        self.expected = expected
        self.actual = actual


class Damaged(Exception):
    """The message at a position cannot be read; whoever follows stops there and says so."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"The event at position {position} cannot be read: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Some consecutive events, in order. `end` is the position of the stream's last event as known then.

    An empty batch is given once when there is nothing to read at the start, so that a reader knows it is at the end.
    """

    events: Sequence[Recorded]
    end: int

    @property
    def caught_up(self) -> bool:
        """Whether nothing was left to read when this batch was made."""
        return not self.events or self.events[-1].position >= self.end


class Journal(Protocol):
    """The log, in the hands of one writer."""

    async def append(
        self,
        event: AnyEvent,
        *,
        expected: int = ANYTHING,
        event_id: UUID | None = None,
        cause: UUID | None = None,
        trace_parent: str = "",
    ) -> int:
        """Append one event on its subject and return its position, once it is stored.

        `expected` is the position of the last event on that subject that the decision was made from; 0 when there must
        be none yet. `event_id` makes the append repeatable: if the last event on the subject has this id, its position
        is returned. Raises Conflict when another event came between, Unavailable when it cannot be known what became
        of it (repeat with the same `event_id`).
        """
        ...

    def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        """Yield every event after a position, in order and without end, in batches of at most `limit`.

        Survives a restart of the server; holds at most a few batches in memory however slow the reader is. Raises
        Damaged at a message that cannot be read, after yielding everything before it.
        """
        ...

    async def read(self, aggregate: Aggregate, aggregate_id: UUID) -> Sequence[Recorded]:
        """Return all events of one aggregate, of all writers, in order. For tools; services fold the whole stream."""
        ...

    async def end(self) -> int:
        """Return the position of the last event of the whole stream, 0 when it is empty."""
        ...

    async def close(self) -> None:
        """Let go of the connection; whoever still follows is ended."""
        ...
