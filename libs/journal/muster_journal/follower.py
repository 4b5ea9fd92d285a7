"""Reads the whole stream from a position as fast as nats-py can: pull requests answered into an inbox with a callback.

nats-py's own ways of pulling make a future per message, which costs four to five times as much as everything else. Here
two batches are asked for ahead, and another one only when the reader has taken one: that is the back-pressure, and the
bound on memory. The consumer is ephemeral and unacknowledged; it belongs to one `Pull`, which ends at the first sign
of trouble (a new connection, a consumer gone, silence), and a new one begins after the last event that was handed out.

Pitfalls. What a consumer has sent is gone from it even if the connection died on the way, so a consumer never survives
its connection. The answer to a request carries the subject of the event, not of the request: which request a message
answers is unknown, and only the sum of what is outstanding is kept. A status message without text is a heartbeat.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Self
from uuid import uuid4

from muster_contracts.subjects import STREAM
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from muster_journal.connection import NO_MESSAGE_FOUND, STATUS, Connection, EndListening, ServerError
from muster_journal.port import Batch, Damaged
from muster_journal.reading import Message, check_position, readable

logger = logging.getLogger(__name__)

REQUEST_SECONDS = 30
HEARTBEAT_SECONDS = 2
SILENCE_SECONDS = 3 * HEARTBEAT_SECONDS
INACTIVE_SECONDS = 30
"""After which the server forgets a consumer nobody asks; a reader slower than that gets a new one."""

REQUEST_BYTES = 16 * 1024 * 1024
"""More than the largest message, or it could never be read; twice this is the most that waits in memory."""

RETRY_SECONDS = (0.05, 0.1, 0.2, 0.4, 1.0)

_NANOSECONDS = 1_000_000_000
_REQUEST_OVER = {"404", "408"}
_BATCH_OVER = {"Batch Completed", "Message Size Exceeds MaxBytes"}
"""How a request with `max_bytes` ends, both under status 409, which otherwise means that the consumer is of no use."""


class Broken(Exception):
    """A consumer will bring nothing more; the text says why. A new one may."""


class Skipped(Broken):
    """A consumer brought a later message than the next one."""


async def follow(connection: Connection, after: int, limit: int) -> AsyncIterator[Batch]:
    """Yield every event after a position; see `Journal.follow`."""
    announced = False
    failures = 0
    while not connection.closed:
        pull = Pull(connection, after, limit)
        try:
            await pull.open()
            if pull.end == after and not announced:
                yield Batch((), after)
            announced = True
            async for messages, end in pull:
                failures = 0
                events, damage = readable(messages)
                if events:
                    after = events[-1].position
                    yield Batch(events, end)
                if damage:
                    raise damage
        except (Broken, TimeoutError, ServerError) as trouble:
            await _recover(connection, after, trouble, failures)
            failures += 1
        finally:
            await pull.close()


async def _recover(connection: Connection, after: int, trouble: Exception, failures: int) -> None:
    """Wait until trying again makes sense. Raises Damaged when the next message is missing from the stream itself."""
    fields = {"position": after, "reason": str(trouble), "failures": failures}
    logger.warning("Reading the journal was interrupted", extra=fields)
    await connection.until_up()
    await asyncio.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
    if isinstance(trouble, Skipped) and not connection.closed:
        await _check_present(connection, after + 1)


async def _check_present(connection: Connection, position: int) -> None:
    try:
        await connection.request(f"$JS.API.STREAM.MSG.GET.{STREAM}", {"seq": position})
    except ServerError as error:
        if error.code == NO_MESSAGE_FOUND:
            raise Damaged(position, "it is missing from the stream, which forbids deletion.") from error
    except TimeoutError:
        return  # whoever reads on will meet it again


class Pull:
    """One consumer and what is asked of it and was not yet taken; iterate to take up to `limit` messages at a time."""

    def __init__(self, connection: Connection, after: int, limit: int) -> None:
        self._connection = connection
        self._position = after
        self._limit = limit
        self._name = f"follower-{uuid4().hex}"
        self._inbox = connection.client.new_inbox()
        self._requests = 0
        self._outstanding = 0
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._trouble: Broken | None = None
        self._forget_return: Callable[[], None] = connection.on_return(self._on_return)
        self._unsubscribe: EndListening | None = None
        self.end = 0

    async def open(self) -> None:
        """Create the consumer and ask for the first two batches. Raises TimeoutError or ServerError; try again.

        Raises Damaged when the stream ends before the position.
        """
        stream = await self._connection.request(f"$JS.API.STREAM.INFO.{STREAM}", None)
        self.end = stream["state"]["last_seq"]
        check_position(self._position, self.end)
        self._unsubscribe = await self._connection.subscribe(f"{self._inbox}.*", self._on_message)
        await self._connection.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.{self._name}", self._consumer())
        await self._ask()

    def _consumer(self) -> dict[str, object]:
        return {
            "stream_name": STREAM,
            "config": {
                "name": self._name,
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": self._position + 1,
                "ack_policy": "none",
                "replay_policy": "instant",
                "inactive_threshold": INACTIVE_SECONDS * _NANOSECONDS,
                "num_replicas": 1,
                "mem_storage": True,
            },
        }

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[list[Message], int]:
        """Return consecutive messages, at least one, and the end of the stream as known with the last of them.

        Raises Broken when this consumer brings nothing more, Skipped when it left something out: a client that is too
        slow drops messages.
        """
        if self._connection.closed:
            raise StopAsyncIteration
        await self._until_arrived()
        messages: list[Message] = []
        pending = 0
        while self._arrived and len(messages) < self._limit:
            position, pending = _position_and_pending(self._arrived[0].reply)
            if position != self._position + 1:
                self._skip(messages)
                break
            message = self._arrived.popleft()
            messages.append(Message(position, message.subject, message.headers or {}, message.data))
            self._position = position
        await self._ask()
        return messages, self._position + pending

    def _skip(self, messages: list[Message]) -> None:
        """Give what came before the gap to the reader first, and then bring nothing more."""
        self._arrived.clear()
        self._trouble = Skipped(f"{self._position + 1} was lost on the way")
        if not messages:
            raise self._trouble

    async def _until_arrived(self) -> None:
        while not self._arrived:
            if self._connection.closed:
                raise StopAsyncIteration
            if self._trouble:
                raise self._trouble
            self._wake.clear()
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                self._trouble = Broken("neither a message nor a heartbeat came")

    async def _on_message(self, message: Msg) -> None:
        if message.reply and message.reply.startswith("$JS.ACK."):
            self._arrived.append(message)
            self._outstanding -= 1
        else:
            await self._on_status(message.headers or {})
        self._wake.set()

    async def _on_status(self, headers: dict[str, str]) -> None:
        status, description = headers.get(STATUS, ""), headers.get("Description", "")
        if status == "100":
            return
        if status in _REQUEST_OVER or description in _BATCH_OVER:
            self._outstanding -= int(headers.get("Nats-Pending-Messages", "0"))
            await self._ask()
        else:
            self._trouble = Broken(f"the server says {status} {description}")

    def _on_return(self) -> None:
        self._trouble = Broken("the connection was lost")
        self._wake.set()

    async def _ask(self) -> None:
        """Ask for as many batches as there is room for: two, less what is on its way or not taken."""
        while not self._trouble and self._outstanding + len(self._arrived) <= self._limit:
            self._outstanding += self._limit
            self._requests += 1
            request = {
                "batch": self._limit,
                "max_bytes": REQUEST_BYTES,
                "expires": REQUEST_SECONDS * _NANOSECONDS,
                "idle_heartbeat": HEARTBEAT_SECONDS * _NANOSECONDS,
            }
            await self._publish(json.dumps(request).encode())

    async def _publish(self, request: bytes) -> None:
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._name}"
        try:
            await self._connection.client.publish(subject, request, reply=f"{self._inbox}.{self._requests}")
        except NatsError as error:
            self._trouble = Broken(str(error) or type(error).__name__)

    async def close(self) -> None:
        """Stop listening; the server forgets the consumer by itself."""
        self._forget_return()
        self._arrived.clear()
        if self._unsubscribe is not None:
            await self._unsubscribe()


def _position_and_pending(reply: str) -> tuple[int, int]:
    """Read what a delivered message's reply subject says: its sequence, and how many wait behind it.

    `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer sequence>.<time>.<pending>`; newer servers may put
    a domain and a hash of the account after `$JS.ACK`.
    """
    tokens = reply.split(".")
    offset = 0 if len(tokens) == 9 else 2
    return int(tokens[5 + offset]), int(tokens[8 + offset])
