"""The journal in memory: the twin that whole simulated worlds run on, under a loop with virtual time.

A `MemoryLog` is the stream that the journals of all writers of one world share. It stores what would travel, encoded
headers and bytes, so that damage can be put into it and what is read was decoded like anything else. It reads no clock
and draws no random number: an event without an id of its own gets one derived from its position.

Pitfall. Ids are remembered for ever here; a NATS server forgets them after two minutes, and then recognises a repeat
by its place on the subject alone.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from muster_contracts.events import AnyEvent
from muster_contracts.subjects import EVENTS, Aggregate, Writer, derived_id, subject_of
from muster_contracts.wire import MESSAGE_ID, Envelope, Recorded, encode

from muster_journal.port import ANYTHING, Batch, Conflict
from muster_journal.reading import Message, check_position, readable, recorded


class MemoryLog:
    """The stream of one world: every message in order, and where the messages of each subject stand."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._by_subject: dict[str, list[int]] = {}
        self._by_id: dict[str, Message] = {}
        self._waiting: dict[asyncio.Future[None], None] = {}  # in order, for worlds that are replayed

    @property
    def end(self) -> int:
        """The position of the last message, 0 when there is none."""
        return len(self._messages)

    def put(self, subject: str, headers: Mapping[str, str], body: bytes) -> int:
        """Store a message whatever it holds, and return its position; damaged ones for tests come in here as well."""
        message = Message(self.end + 1, subject, dict(headers), body)
        self._messages.append(message)
        self._by_subject.setdefault(subject, []).append(message.position)
        self._by_id.setdefault(message.headers.get(MESSAGE_ID, ""), message)
        self.wake()
        return message.position

    def after(self, position: int, limit: int) -> Sequence[Message]:
        """Return up to `limit` messages after a position."""
        return self._messages[position : position + limit]

    def on(self, subject: str) -> Sequence[Message]:
        """Return all messages of one subject."""
        return [self._messages[position - 1] for position in self._by_subject.get(subject, ())]

    def last_on(self, subject: str) -> int:
        """Return the position of the last message of a subject, 0 when there is none."""
        return self._by_subject.get(subject, [0])[-1]

    def following_on(self, subject: str, position: int) -> int:
        """Return the position of the first message of a subject after a position, 0 when there is none."""
        positions = self._by_subject.get(subject, [])
        index = bisect_right(positions, position)
        return positions[index] if index < len(positions) else 0

    def with_id(self, message_id: str) -> Message | None:
        """Return the message with an id; ids are unique in the whole stream."""
        return self._by_id.get(message_id)

    def id_at(self, position: int) -> str:
        """Return the message id at a position, empty for position 0."""
        return self._messages[position - 1].headers.get(MESSAGE_ID, "") if position else ""

    async def grown(self) -> None:
        """Wait until something is stored, or somebody calls `wake`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        try:
            await future
        finally:
            self._waiting.pop(future, None)

    def wake(self) -> None:
        """Let everybody who waits look again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


class MemoryJournal:
    """The log in the hands of one writer."""

    def __init__(self, log: MemoryLog, writer: Writer, now: Callable[[], datetime]) -> None:
        self._log = log
        self._writer = writer
        self._now = now
        self._closed = False

    async def append(
        self,
        event: AnyEvent,
        *,
        expected: int = ANYTHING,
        event_id: UUID | None = None,
        cause: UUID | None = None,
        trace_parent: str = "",
    ) -> int:
        """Append one event; see the port. Others may come in between the call and the deed, as on a real bus."""
        subject = subject_of(event)
        assert subject.writer is self._writer, f"{event.type} is written by {subject.writer}, not by {self._writer}"
        assert not self._closed, "the journal is closed"
        envelope = Envelope(event_id or UUID(int=0), self._now(), cause, trace_parent)
        await asyncio.sleep(0)
        if event_id is None:
            envelope = Envelope(derived_id("event", str(self._log.end + 1)), envelope.time, cause, trace_parent)
            self._check(str(subject), expected)
        elif present := self._present(str(subject), expected, str(event_id)):
            return present
        return self._log.put(str(subject), *encode(event, envelope))

    def _present(self, subject: str, expected: int, event_id: str) -> int:
        """Return where the event already stands, 0 when it is to be appended; raise Conflict as JetStream does.

        A repeat is recognised although its expectation is stale when the event stands last on its subject, or right
        after the one it was decided from; when the expectation holds, wherever it stands.
        """
        following = 0 if expected == ANYTHING else self._log.following_on(subject, expected)
        for position in (following, self._log.last_on(subject)):
            if self._log.id_at(position) == event_id:
                return position
        self._check(subject, expected)
        known = self._log.with_id(event_id)
        if known is None:
            return 0
        assert known.subject == subject, f"event {event_id} already stands on {known.subject}"
        return known.position

    def _check(self, subject: str, expected: int) -> None:
        actual = self._log.last_on(subject)
        if expected not in {ANYTHING, actual}:
            raise Conflict(subject, expected, actual)

    async def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        """Yield every event after a position; see the port."""
        check_position(after, self._log.end)
        if after == self._log.end:
            yield Batch((), self._log.end)
        while not self._closed:
            events, damage = readable(self._log.after(after, limit))
            if events:
                after = events[-1].position
                yield Batch(events, self._log.end)
            if damage:
                raise damage
            if after == self._log.end and not self._closed:
                await self._log.grown()
            else:
                await asyncio.sleep(0)  # who reads a long log lets the others live

    async def read(self, aggregate: Aggregate, aggregate_id: UUID) -> Sequence[Recorded]:
        """Return all events of one aggregate in order; see the port."""
        prefix = f"{EVENTS}.{aggregate}.{aggregate_id}"
        messages = [message for writer in Writer for message in self._log.on(f"{prefix}.{writer}")]
        return [recorded(message) for message in sorted(messages, key=lambda message: message.position)]

    async def end(self) -> int:
        """Return the position of the last event of the whole stream."""
        return self._log.end

    async def close(self) -> None:
        """End whoever follows through this journal."""
        self._closed = True
        self._log.wake()
