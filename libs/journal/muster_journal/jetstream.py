"""The journal on NATS JetStream.

Appending sends the event with its id and, when the caller expects something, the sequence it expects on the subject.
An answer that never comes says nothing: the event is sent again, with the same id and expectation, until the server
says what became of it. If it was stored the first time, the server calls the repeat "wrong last sequence" (10071), for
it looks at the sequence before the id; so on 10071 the message that follows the expected one is read back, and only if
it is not ours it is a conflict.

Neighbours: `connection` (comes back after a restart), `follower` (reads everything), `provision` and `permissions`
(what must exist and who may do what).

Pitfalls. Read-back asks the leader of the stream (`STREAM.MSG.GET`); a direct get may be answered by a replica that is
behind. A server that cannot store (disk full) answers with an error, which is the world's, not a conflict.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID, uuid4

from muster_contracts.errors import Unavailable
from muster_contracts.events import AnyEvent
from muster_contracts.subjects import EVENTS, STREAM, Aggregate, Writer, subject_of
from muster_contracts.wire import MESSAGE_ID, Envelope, Recorded, encode
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from muster_journal.aggregate import read_all
from muster_journal.connection import (
    EXPECTED,
    NO_MESSAGE_FOUND,
    NO_RESPONDERS,
    STATUS,
    WRONG_LAST_SEQUENCE,
    Connection,
    Login,
    ServerError,
)
from muster_journal.follower import follow
from muster_journal.port import ANYTHING, Batch, Conflict
from muster_journal.reading import recorded

IN_FLIGHT = 512
"""Appends sent and not yet answered; more would only queue in the server."""

ANSWER_SECONDS = 2.0
"""After which an event is sent again. Far above the slowest fsync, and a repeat does no harm."""

RETRY_SECONDS = 0.05

HEADER_BYTES = 4096
"""Room for headers in the largest message the server takes; it closes the connection of who sends a larger one."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event on its way: where to, what, and what must be the last sequence there."""

    subject: str
    headers: dict[str, str]
    body: bytes
    expected: int

    @property
    def id(self) -> str:
        """The id by which a repeat is recognised."""
        return self.headers[MESSAGE_ID]


@dataclass(frozen=True, slots=True)
class Standing:
    """A message as the leader of the stream has it; position 0 for none."""

    position: int = 0
    subject: str = ""
    id: str = ""


class JetStreamJournal:
    """The log in the hands of one writer."""

    def __init__(
        self, connection: Connection, writer: Writer, now: Callable[[], datetime], patience_seconds: float
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._now = now
        self._patience_seconds = patience_seconds
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._answers: dict[str, asyncio.Future[Msg | None]] = {}
        self._inbox = ""
        self._listening_on: object = None
        self._sent = 0
        connection.on_return(self._send_again)

    @classmethod
    async def connect(
        cls,
        servers: Sequence[str],
        writer: Writer,
        *,
        user: str,
        password: str,
        now: Callable[[], datetime],
        name: str = "",
        patience_seconds: float = 10.0,
    ) -> Self:
        """Connect as the user of one writer. Raises Unavailable when the server does not let us in.

        `patience_seconds` bounds the connecting and every append: a restart of the server fits in.
        """
        login = Login(tuple(servers), user, password, name or f"muster-{writer}")
        return cls(await Connection.open(login, patience_seconds), writer, now, patience_seconds)

    @property
    def is_connected(self) -> bool:
        """Whether the server can be reached right now; for health checks."""
        return self._connection.is_up

    async def append(
        self,
        event: AnyEvent,
        *,
        expected: int = ANYTHING,
        event_id: UUID | None = None,
        cause: UUID | None = None,
        trace_parent: str = "",
    ) -> int:
        """Append one event; see the port. Up to 512 may be on their way at once."""
        subject = subject_of(event)
        assert subject.writer is self._writer, f"{event.type} is written by {subject.writer}, not by {self._writer}"
        assert not self._connection.closed, "the journal is closed"
        headers, body = encode(event, Envelope(event_id or uuid4(), self._now(), cause, trace_parent))
        message = Outgoing(str(subject), headers, body, expected)
        async with self._slots:
            deadline = asyncio.get_running_loop().time() + self._patience_seconds
            if event_id is not None and expected == ANYTHING:
                return await self._append_unless_last(message, deadline)
            return await self._append(message, deadline)

    async def _append_unless_last(self, message: Outgoing, deadline: float) -> int:
        """Append unless the last event on the subject is this one: the server forgets ids after two minutes."""
        while self._may_try(deadline):
            try:
                last = await self._last_on(message)
                if last.id == message.id:
                    return last.position
                return await self._append(replace(message, expected=last.position), deadline)
            except Conflict:
                continue
            except TimeoutError:
                await self._wait_a_little(deadline)
        raise self._unavailable(message)

    async def _append(self, message: Outgoing, deadline: float) -> int:
        while self._may_try(deadline):
            try:
                position = await self._attempt(message, deadline)
            except TimeoutError:
                await self._wait_a_little(deadline)
            else:
                if position:
                    return position
        raise self._unavailable(message)

    def _may_try(self, deadline: float) -> bool:
        return not self._connection.closed and asyncio.get_running_loop().time() < deadline

    async def _wait_a_little(self, deadline: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(RETRY_SECONDS)
                await self._connection.until_up()

    def _unavailable(self, message: Outgoing) -> Unavailable:
        return Unavailable(
            f"It is not known whether {message.subject} took event {message.id}: NATS did not answer within "
            f"{self._patience_seconds:g} seconds; {self._connection.last_error}."
        )

    async def _attempt(self, message: Outgoing, deadline: float) -> int:
        """Send once and return the position; 0 when nothing is known and it must be sent again at once.

        Raises TimeoutError when it should be sent again in a little while.
        """
        if not self._connection.is_up:
            raise TimeoutError("NATS is not connected")
        room = self._connection.client.max_payload - HEADER_BYTES
        assert len(message.body) <= room, f"an event on {message.subject} is larger than {room} bytes"
        if self._listening_on is not self._connection.client:
            await self._listen()
        answer = await self._send(message, deadline)
        return await self._position_from(answer, message) if answer is not None else 0

    async def _listen(self) -> None:
        """Listen for acknowledgements on the client of the moment; nats-py keeps that up across reconnections."""
        self._listening_on = self._connection.client
        self._inbox = self._connection.client.new_inbox()
        await self._connection.subscribe(f"{self._inbox}.*", self._on_answer)

    async def _send(self, message: Outgoing, deadline: float) -> Msg | None:
        """Send, and return the server's answer, None when it does not come in time or the connection was lost."""
        loop = asyncio.get_running_loop()
        self._sent += 1
        token = f"{self._inbox}.{self._sent}"
        future: asyncio.Future[Msg | None] = loop.create_future()
        self._answers[token] = future
        timer = loop.call_at(min(loop.time() + ANSWER_SECONDS, deadline), _give_up, future)
        headers = message.headers
        if message.expected != ANYTHING:
            headers = headers | {EXPECTED: str(message.expected)}
        try:
            await self._connection.client.publish(message.subject, message.body, reply=token, headers=headers)
            return await future
        except NatsError as error:
            raise TimeoutError(str(error)) from error
        finally:
            timer.cancel()
            del self._answers[token]

    async def _on_answer(self, answer: Msg) -> None:
        future = self._answers.get(answer.subject)
        if future is not None and not future.done():
            future.set_result(answer)

    def _send_again(self) -> None:
        """Let everything that waits for an answer be sent again; the answers went down with the connection."""
        for future in self._answers.values():
            _give_up(future)

    async def _position_from(self, answer: Msg, message: Outgoing) -> int:
        if answer.headers and answer.headers.get(STATUS) == NO_RESPONDERS:
            raise TimeoutError("JetStream is not there yet")
        content = json.loads(answer.data)
        if content.get("duplicate"):
            return await self._repeated(content["seq"], message)
        if "error" not in content:
            return int(content["seq"])
        if content["error"].get("err_code") == WRONG_LAST_SEQUENCE:
            return await self._own_or_conflict(message)
        raise Unavailable(f"NATS does not store {message.subject}: {content['error'].get('description')}.")

    async def _repeated(self, position: int, message: Outgoing) -> int:
        """Return the position of the event the server knows under this id; ids are unique in the whole stream."""
        known = await self._look({"seq": position})
        assert known.subject == message.subject, f"event {message.id} already stands on {known.subject}"
        return position

    async def _own_or_conflict(self, message: Outgoing) -> int:
        """Return where our event already stands, 0 when the server contradicts itself; raise Conflict otherwise.

        If it was stored under this expectation it is the very next one on the subject.
        """
        following = await self._following_on(message)
        if following.id == message.id:
            return following.position
        last = await self._last_on(message)
        if last.id == message.id:
            return last.position
        if last.position == message.expected:  # another append was on its way and failed, or a leader just changed
            return 0
        raise Conflict(message.subject, message.expected, last.position)

    async def _following_on(self, message: Outgoing) -> Standing:
        return await self._look({"seq": message.expected + 1, "next_by_subj": message.subject})

    async def _last_on(self, message: Outgoing) -> Standing:
        return await self._look({"last_by_subj": message.subject})

    async def _look(self, request: dict[str, object]) -> Standing:
        try:
            answer = await self._connection.request(f"$JS.API.STREAM.MSG.GET.{STREAM}", request)
        except ServerError as error:
            if error.code == NO_MESSAGE_FOUND:
                return Standing()
            raise TimeoutError(str(error)) from error
        found = answer["message"]
        return Standing(found["seq"], found["subject"], _message_id(found.get("hdrs", "")))

    def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        """Yield every event after a position; see the port and `follower`."""
        return follow(self._connection, after, limit)

    async def read(self, aggregate: Aggregate, aggregate_id: UUID) -> Sequence[Recorded]:
        """Return all events of one aggregate in order; see the port."""
        try:
            messages = await read_all(self._connection, f"{EVENTS}.{aggregate}.{aggregate_id}.*")
        except TimeoutError as error:
            raise Unavailable(f"NATS did not say what stands on {aggregate} {aggregate_id}: {error}.") from error
        return [recorded(message) for message in messages]

    async def end(self) -> int:
        """Return the position of the last event of the whole stream."""
        try:
            answer = await self._connection.request(f"$JS.API.STREAM.INFO.{STREAM}", None)
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"NATS did not say where the journal ends: {error}.") from error
        return int(answer["state"]["last_seq"])

    async def close(self) -> None:
        """Let go of the connection; whoever follows is ended."""
        await self._connection.close()


def _give_up(future: "asyncio.Future[Msg | None]") -> None:
    if not future.done():
        future.set_result(None)


def _message_id(encoded_headers: str) -> str:
    """Read the message id from headers as JetStream's API returns them: base64 of the block as it travelled."""
    for line in base64.b64decode(encoded_headers).decode(errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name == MESSAGE_ID:
            return value.strip()
    return ""
