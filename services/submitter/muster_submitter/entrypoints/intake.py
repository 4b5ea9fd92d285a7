"""The commands over the bus: FastStream takes them from the intake stream, one by one and in order.

The kind of error chooses the acknowledgement: judged, refused or parked is done (ack); the world's error means again
later (nack with a delay that grows); ours leaves the message unacknowledged, so that the server delivers it again. A
command that was delivered too often is parked, with what was the matter the last time.

Pitfalls. Anything but fetching one message at a time loses the order: FastStream starts all messages of a fetch at
once. Its subscriber has an inbox prefix of its own, and our NATS user may listen on its own inbox only.
"""

import asyncio
import logging

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from faststream.nats.security import NatsUserPassword
from muster_chassis.health import Health
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import EVERY_INTAKE, INTAKE_STREAM
from muster_journal.connection import Login
from muster_journal.permissions import INTAKE_CONSUMER, inbox_prefix
from nats.errors import Error as NatsError

from muster_submitter.bus import BusCommand
from muster_submitter.judging import Judge

LONGEST_DELAY_SECONDS = 30.0
FETCH_SECONDS = 2.0
"""How long one fetch waits; what a restart of the server takes away is asked for anew after this."""


class Intake:
    """Hands commands from NATS to the judge."""

    def __init__(self, login: Login, judge: Judge, health: Health, *, deliveries: int, loop: str = "intake") -> None:
        self._login = login
        self._judge = judge
        self._health = health
        self._deliveries = deliveries
        self._loop = loop
        self._last_trouble: dict[int, str] = {}

    async def run(self) -> None:
        """Take commands until cancelled. Raises Unavailable when the connection is closed for good."""
        closed = asyncio.Event()
        broker = self._broker(closed)
        self._health.waits(self._loop, "NATS has not answered yet.")
        try:
            await broker.start()
            self._health.runs(self._loop)
            await closed.wait()
        except (NatsError, OSError) as error:
            raise Unavailable(f"Commands cannot be taken: {error or type(error).__name__}.") from error
        finally:
            await broker.stop()
        raise Unavailable("The connection that commands come over was closed.")

    def _broker(self, closed: asyncio.Event) -> NatsBroker:
        async def on_close() -> None:
            closed.set()

        async def on_loss() -> None:
            self._health.waits(self._loop, "The connection to NATS is lost.")

        async def on_return() -> None:
            self._health.runs(self._loop)

        broker = NatsBroker(
            list(self._login.servers),
            security=NatsUserPassword(self._login.user, self._login.password),
            name=self._login.name,
            inbox_prefix=inbox_prefix(self._login.user),
            max_reconnect_attempts=-1,
            closed_cb=on_close,
            disconnected_cb=on_loss,
            reconnected_cb=on_return,
            graceful_timeout=5.0,
            logger=logging.getLogger(__name__),
            log_level=logging.DEBUG,
        )
        subscriber = broker.subscriber(
            EVERY_INTAKE,
            durable=INTAKE_CONSUMER,
            stream=JStream(INTAKE_STREAM, declare=False),
            pull_sub=PullSub(batch_size=1, timeout=FETCH_SECONDS),
            inbox_prefix=f"{inbox_prefix(self._login.user)}.".encode(),
            ack_policy=AckPolicy.MANUAL,
            decoder=_as_it_is,
        )
        subscriber(self._take)
        return broker

    async def _take(self, message: NatsMessage) -> None:
        raw = message.raw_message
        number, delivery = raw.metadata.sequence.stream, raw.metadata.num_delivered or 1
        command = BusCommand(raw.subject, dict(raw.headers or {}), raw.data, number)
        try:
            if delivery > self._deliveries:
                await self._judge.park(command, self._why(number, delivery - 1))
            else:
                await self._judge.take(command)
        except Unavailable as trouble:
            self._last_trouble[number] = str(trouble)
            await message.nack(delay=min(LONGEST_DELAY_SECONDS, 0.5 * 2**delivery))
            return
        self._last_trouble.pop(number, None)
        await message.ack()

    def _why(self, number: int, deliveries: int) -> str:
        trouble = self._last_trouble.get(number, "It ended the attempt each time.")
        return f"It was tried {deliveries} times and never judged. {trouble}"


async def _as_it_is(message: NatsMessage) -> bytes:
    """Leave the body alone; FastStream would guess at it."""
    return message.body
