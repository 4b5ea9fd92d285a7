"""A journal and a way to Kubernetes that lose, delay and break as chance decides, until the weather clears."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from uuid import UUID

from muster_cluster.transport import Answer, Request, Stream, Transport
from muster_contracts.errors import Unavailable
from muster_contracts.events import AnyEvent
from muster_contracts.subjects import Aggregate
from muster_contracts.wire import Recorded
from muster_journal.leases import Leases
from muster_journal.port import ANYTHING, Batch, Journal


@dataclass(slots=True)
class Weather:
    """How bad the world is: the chance that one step goes wrong, and the longest delay of one in seconds.

    `pauses` is the chance that who is about to bind or evict a pod falls asleep for a minute first; where
    `anybody_leads`, the lease is everybody's.
    """

    random: Random
    trouble: float = 0.0
    longest_delay_seconds: float = 0.0
    pauses: float = 0.0
    anybody_leads: bool = False

    def strikes(self) -> bool:
        """Whether something goes wrong now."""
        return self.random.random() < self.trouble

    async def delay(self) -> None:
        """Let some time pass."""
        if self.longest_delay_seconds:
            await asyncio.sleep(self.random.random() * self.longest_delay_seconds)

    async def perhaps_pause(self, request: Request) -> None:
        """Hold back a deed of the scheduler for longer than any lease lasts."""
        if self.pauses and request.path.endswith(("/binding", "/eviction")) and self.random.random() < self.pauses:
            await asyncio.sleep(60)

    def clears(self) -> None:
        """Let everything work from now on."""
        self.trouble, self.longest_delay_seconds, self.pauses, self.anybody_leads = 0.0, 0.0, 0.0, False


class FaultyJournal:
    """A journal whose connection breaks: before an append, or after it was stored and before we heard of it."""

    def __init__(self, journal: Journal, weather: Weather) -> None:
        self._journal = journal
        self._weather = weather

    async def append(
        self,
        event: AnyEvent,
        *,
        expected: int = ANYTHING,
        event_id: UUID | None = None,
        cause: UUID | None = None,
        trace_parent: str = "",
    ) -> int:
        await self._weather.delay()
        if self._weather.strikes():
            raise Unavailable("the connection broke before the event was sent")
        position = await self._journal.append(
            event, expected=expected, event_id=event_id, cause=cause, trace_parent=trace_parent
        )
        await self._weather.delay()
        if self._weather.strikes():
            raise Unavailable("the connection broke before the answer came")
        return position

    async def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        some = self._weather.random.randint(1, limit) if self._weather.trouble else limit
        async for batch in self._journal.follow(after, limit=some):
            await self._weather.delay()
            if self._weather.strikes():
                raise Unavailable("the connection broke while following")
            yield batch

    async def read(self, aggregate: Aggregate, aggregate_id: UUID) -> Sequence[Recorded]:
        return await self._journal.read(aggregate, aggregate_id)

    async def end(self) -> int:
        return await self._journal.end()

    async def close(self) -> None:
        await self._journal.close()


class FaultyLeases:
    """Leases that nobody answers for now and then, and that in some worlds are given to whoever asks."""

    def __init__(self, leases: Leases, weather: Weather) -> None:
        self._leases = leases
        self._weather = weather

    async def hold(self, name: str, holder: str) -> bool:
        await self._weather.delay()
        if self._weather.strikes():
            raise Unavailable("the lease could not be asked for")
        if self._weather.anybody_leads:
            return True
        return await self._leases.hold(name, holder)

    async def let_go(self, name: str, holder: str) -> None:
        await self._leases.let_go(name, holder)

    async def close(self) -> None:
        await self._leases.close()


class FaultyTransport:
    """A way to Kubernetes on which requests and answers get lost, and watches break off."""

    def __init__(self, transport: Transport, weather: Weather) -> None:
        self._transport = transport
        self._weather = weather

    async def request(self, request: Request) -> Answer:
        await self._weather.perhaps_pause(request)
        await self._weather.delay()
        if self._weather.strikes():
            raise Unavailable(f"{request.method} {request.path} was lost")
        answer = await self._transport.request(request)
        await self._weather.delay()
        if self._weather.strikes():
            raise Unavailable(f"the answer to {request.method} {request.path} was lost")
        return answer

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream, None]:
        await self._weather.delay()
        if self._weather.strikes():
            raise Unavailable(f"{request.method} {request.path} was lost")
        async with self._transport.stream(request) as stream:
            yield Stream(stream.status, self._chunks(stream.chunks))

    async def _chunks(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            await self._weather.delay()
            if self._weather.strikes():
                raise Unavailable("the watch broke off")
            yield chunk

    async def close(self) -> None:
        await self._transport.close()
