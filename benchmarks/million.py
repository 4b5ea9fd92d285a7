"""A journal of a million events: what it costs to begin with it, to prove it, and to ask about its middle.

Ours: a status service with nothing but the journal, until its tables are full; the audit of all phases and rows; a
scheduler that folds from the beginning; and, with the checkpoints that these left, `muster list` and `muster why` of
the middle. Beside them stands reading the journal once, without folding; beside memory, what the services have in
memory when they have just started. Not part of `make bench`: it takes a quarter of an hour.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import aiohttp
import asyncpg
from muster_cli.client import Client
from muster_cli.past import checkpoints_kept, waiting_then
from muster_cli.settings import CommandLineSettings
from muster_contracts.subjects import Writer
from muster_journal.port import Journal
from muster_local.postgres_server import PostgresServer
from muster_scheduler.core.scenarios.facts import id_of

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.past import GPUS, NODES
from benchmarks.servers import Nats, Process, Servers, until
from benchmarks.time_travel import EVENTS_BETWEEN, PATIENCE_SECONDS, all_derived, cluster_id, write

LIVES = 60_000
FILLED = "the tables are filled from nothing: 1,000,000 events"
FILLED_MEMORY = "memory of the status service then"
PROVEN = "every phase and row is proven"
FOLDED = "a scheduler has folded everything"
FOLDED_MEMORY = "memory of the scheduler then"
LISTED = "what ran in the middle? (list)"
WAITED = "why did it wait in the middle?"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        nats = await servers.nats(durable=False)
        await servers.cluster()
        postgres = await servers.postgres()
        journals: dict[Writer, Journal] = {writer: await nats.journal(writer) for writer in Writer}
        first = await servers.process("status", nats, postgres_dsn=postgres.dsn("muster"))
        await write(journals, await cluster_id(servers), scaled(NODES * GPUS, scale), scaled(LIVES, scale))
        end = await all_derived(journals[Writer.STATUS])
        await first.stop()
        long = _Long(servers, nats, postgres, journals[Writer.STATUS], end, scale)
        yield Contest(long.measured, long.bare)


@dataclass
class _Long:
    """The journal, and who reads it. `started` is what was in memory of each service when it had just started."""

    servers: Servers
    nats: Nats
    postgres: PostgresServer
    journal: Journal
    end: int
    scale: float

    def __post_init__(self) -> None:
        self.started: dict[str, float] = {}

    async def measured(self) -> Sample:
        """Do one after the other, each alone."""
        await self._empty_tables()
        began = perf_counter()
        status = await self._start("status", postgres_dsn=self.postgres.dsn("muster"))
        await self._has_read(status, "projector")
        filled, memory = perf_counter() - began, status.memory_mb
        proven = await _seconds_of(f"{status.url}/api/v1/audit/verify")
        began = perf_counter()
        scheduler = await self._start("scheduler", scheduler_checkpoint_events=str(scaled(EVENTS_BETWEEN, self.scale)))
        await self._has_read(scheduler, "fold")
        folded, scheduler_memory = perf_counter() - began, scheduler.memory_mb
        questions = await asyncio.to_thread(self._asked, status.url)
        return {
            FILLED: filled,
            FILLED_MEMORY: memory,
            PROVEN: proven,
            FOLDED: folded,
            FOLDED_MEMORY: scheduler_memory,
            **questions,
        }

    async def bare(self) -> Sample:
        """Read the journal once."""
        began = perf_counter()
        async with aclosing(cast(Any, self.journal.follow(0))) as batches:
            async for batch in batches:
                if batch.caught_up:
                    break
        seconds = dict.fromkeys((FILLED, PROVEN, FOLDED, LISTED, WAITED), perf_counter() - began)
        return seconds | {FILLED_MEMORY: self.started["status"], FOLDED_MEMORY: self.started["scheduler"]}

    async def _start(self, name: str, **settings: str) -> Process:
        process = await self.servers.process(name, self.nats, **settings)
        self.started[name] = process.memory_mb
        return process

    async def _empty_tables(self) -> None:
        connection = await asyncpg.connect(self.postgres.dsn("muster"))
        await connection.execute("DROP SCHEMA IF EXISTS muster CASCADE")
        await connection.close()

    async def _has_read(self, process: Process, loop: str) -> None:
        async with aiohttp.ClientSession() as session:

            async def at_the_end() -> bool:
                async with session.get(f"{process.url}/healthz") as answer:
                    loops = (await answer.json())["loops"]
                return int(loops.get(loop, {}).get("position") or 0) >= self.end

            await until(at_the_end, f"{loop} has read everything", timeout_seconds=PATIENCE_SECONDS)

    def _asked(self, url: str) -> Sample:
        middle, settings = self.end // 2, CommandLineSettings(url, project="", user="benchmark")
        with Client(settings, timeout_seconds=PATIENCE_SECONDS) as client:
            began = perf_counter()
            assert client.get("/workloads", at=middle)["workloads"], "something ran"
            listed = perf_counter() - began
            assert checkpoints_kept(client)[0] <= middle, "the scheduler kept checkpoints on its way"
            began = perf_counter()
            waiting_then(client, str(id_of("workload", "past-0")), middle)
            return {LISTED: listed, WAITED: perf_counter() - began}


async def _seconds_of(url: str) -> float:
    began = perf_counter()
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
        found = await answer.json()
    assert found["ok"], found
    return perf_counter() - began


def _figure(name: str, unit: str) -> Figure:
    ceiling = "reading the journal once" if unit == "s" else "just started"
    return Figure(name, unit, ceiling, more_is_better=False)


BENCHMARK = Benchmark(
    "time-travel-million",
    [
        _figure(FILLED, "s"),
        _figure(FILLED_MEMORY, "MB"),
        _figure(PROVEN, "s"),
        _figure(FOLDED, "s"),
        _figure(FOLDED_MEMORY, "MB"),
        _figure(LISTED, "s"),
        _figure(WAITED, "s"),
    ],
    _open,
    runs=1,
)
