"""How many events a second the journal takes: one after the other, and many on their way at once.

Ours: `JetStreamJournal.append` with an expected sequence, encoding included. The ceiling: nats-py publishes bytes of
the same size, without headers, to a stream of the same settings on the same server, and waits for the acknowledgement.
Many at once means 512, which is what the journal allows itself; the ceiling uses nats-py's own fastest way.
The server writes to the disk before it acknowledges, as in `muster up`, except in the lines that say "not synced":
there the operating system writes when it likes, so that the cost of the client shows.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from muster_contracts.events import WorkloadSubmitted
from muster_contracts.subjects import Writer
from muster_journal.jetstream import IN_FLIGHT, JetStreamJournal
from nats.js.client import JetStreamContext

from benchmarks.events import submitted
from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.servers import Nats, Servers

SEQUENTIAL = 500
PIPELINED = 4000
ONE_BY_ONE = "journal append, one by one"
AT_ONCE = "journal append, 512 at once"
CACHED = ", not synced"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        durable = await Side.on(await servers.nats(), scale)
        cached = await Side.on(await servers.nats(durable=False), scale)

        async def ours() -> Sample:
            return await durable.ours("") | await cached.ours(CACHED)

        async def bare() -> Sample:
            return await durable.bare("") | await cached.bare(CACHED)

        yield Contest(ours, bare)


class Side:
    """One server, and both ways to write to it."""

    def __init__(self, journal: JetStreamJournal, context: JetStreamContext, scale: float) -> None:
        self._journal = journal
        self._context = context
        self._sequential = scaled(SEQUENTIAL, scale)
        self._pipelined = scaled(PIPELINED, scale)
        self._body = submitted().model_dump_json().encode()

    @classmethod
    async def on(cls, nats: Nats, scale: float) -> "Side":
        """Connect, and write a little to warm up."""
        context = (await nats.client()).jetstream(publish_async_max_pending=IN_FLIGHT)
        side = cls(await nats.journal(Writer.SUBMITTER), context, scale)
        for _ in range(scaled(50, scale)):
            await side._journal.append(submitted(), expected=0)
            await context.publish("bare.warm", side._body)
        return side

    async def ours(self, suffix: str) -> dict[str, float]:
        """Append events of new workloads, each expected to be the first of its subject."""
        events = [submitted() for _ in range(self._sequential)]
        one_by_one = await _per_second(self._append_in_turn(events), len(events))
        events = [submitted() for _ in range(self._pipelined)]
        at_once = await _per_second(self._append_at_once(events), len(events))
        return {ONE_BY_ONE + suffix: one_by_one, AT_ONCE + suffix: at_once}

    async def bare(self, suffix: str) -> dict[str, float]:
        """Publish as many bodies."""
        one_by_one = await _per_second(self._publish_in_turn(self._sequential), self._sequential)
        at_once = await _per_second(self._publish_at_once(self._pipelined), self._pipelined)
        return {ONE_BY_ONE + suffix: one_by_one, AT_ONCE + suffix: at_once}

    async def _append_in_turn(self, events: Iterable[WorkloadSubmitted]) -> None:
        for event in events:
            await self._journal.append(event, expected=0)

    async def _append_at_once(self, events: Sequence[WorkloadSubmitted]) -> None:
        waiting = iter(events)  # shared, so that 512 tasks write all of them
        await asyncio.gather(*(self._append_in_turn(waiting) for _ in range(IN_FLIGHT)))

    async def _publish_in_turn(self, count: int) -> None:
        for number in range(count):
            await self._context.publish(f"bare.{number}", self._body)

    async def _publish_at_once(self, count: int) -> None:
        futures = [await self._context.publish_async(f"bare.{number}", self._body) for number in range(count)]
        await asyncio.gather(*futures)


async def _per_second(work: Coroutine[Any, Any, None], count: int) -> float:
    began = perf_counter()
    await work
    return count / (perf_counter() - began)


BENCHMARK = Benchmark(
    "journal-append",
    [
        Figure(ONE_BY_ONE, "events/s", "nats-py publish with acknowledgement"),
        Figure(AT_ONCE, "events/s", "nats-py publish_async, 512 pending"),
        Figure(ONE_BY_ONE + CACHED, "events/s", "the same, not synced"),
        Figure(AT_ONCE + CACHED, "events/s", "the same, not synced"),
    ],
    _open,
)
