"""A question about a moment of the past, in a journal of 250,000 events: what the command line does for an answer.

Ours: `muster why --at`, at four fifths of the journal, as the command asks: the last checkpoint before, the events from
there on, the planner. Bare is the same from the beginning of the same journal, read over the same stream. The scheduler
kept its checkpoints on its way, when it folded the past; the status service has derived the phases, a third of all.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast
from uuid import UUID

from muster_cli.client import Client
from muster_cli.journal import journal_of
from muster_cli.past import beginning_before, checkpoints_kept
from muster_cli.settings import CommandLineSettings
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.errors import Unavailable
from muster_contracts.questions import WhyDoesItWait
from muster_contracts.subjects import Writer
from muster_journal.port import Journal
from muster_scheduler.core.answers import standpoint_after
from muster_scheduler.core.scenarios.facts import id_of
from muster_status.core.deriver import Derivation

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.past import GPUS, NODES, ground, write_lives, write_together
from benchmarks.servers import Servers, until

LIVES = 13_000
EVENTS_BETWEEN = 25_000
PATIENCE_SECONDS = 600.0
NAME = "why did it wait then? 250,000 events in the journal"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        nats = await servers.nats(durable=False)
        await servers.cluster()
        postgres = await servers.postgres()
        journals: dict[Writer, Journal] = {writer: await nats.journal(writer) for writer in Writer}
        await write(journals, await cluster_id(servers), scaled(NODES * GPUS, scale), scaled(LIVES, scale))
        url = await servers.service("status", nats, postgres_dsn=postgres.dsn("muster"))
        end, between = await all_derived(journals[Writer.STATUS]), scaled(EVENTS_BETWEEN, scale)
        await servers.service("scheduler", nats, scheduler_checkpoint_events=str(between))
        with Client(CommandLineSettings(url, project="", user="benchmark")) as client:
            asker = _Asker(client, end * 4 // 5)
            await until(lambda: asker.knows_a_checkpoint(end - between), "checkpoints are kept")
            yield Contest(asker.from_a_checkpoint, asker.from_the_beginning)


async def cluster_id(servers: Servers) -> UUID:
    """Return the id of the simulated cluster."""
    cluster = await KubernetesCluster.connect(servers.kubeconfig)
    try:
        return UUID(await cluster.cluster_id())
    finally:
        await cluster.close()


async def write(journals: dict[Writer, Journal], cluster: UUID, runs: int, gone: int) -> None:
    """Write a journal of so many workloads that run at its end, and so many that are gone."""
    await write_together(journals, ground())
    await write_lives(journals, range(runs), cluster, ends=False)
    await write_lives(journals, range(runs, runs + gone), cluster, ends=True)


async def all_derived(journal: Journal) -> int:
    """Wait until every phase that follows from a journal stands in it; return where it ends."""
    derivation = Derivation()
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(cast(Any, journal.follow(0))) as batches:
        async for batch in batches:
            for recorded in batch.events:
                derivation.apply(recorded)
            if batch.caught_up and not derivation.open:
                return derivation.position
    raise Unavailable("The journal was closed.")


@dataclass(frozen=True, slots=True)
class _Asker:
    """Somebody at a terminal, who asks about a moment."""

    client: Client
    moment: int

    async def knows_a_checkpoint(self, after: int) -> bool:
        return any(position >= after for position in await asyncio.to_thread(checkpoints_kept, self.client))

    async def from_a_checkpoint(self) -> Sample:
        return await asyncio.to_thread(self._measured, checkpoints=True)

    async def from_the_beginning(self) -> Sample:
        return await asyncio.to_thread(self._measured, checkpoints=False)

    def _measured(self, *, checkpoints: bool) -> Sample:
        began = perf_counter()
        self._why(checkpoints=checkpoints)
        return {NAME: perf_counter() - began}

    def _why(self, *, checkpoints: bool) -> None:
        asked = WhyDoesItWait(workload_id=id_of("workload", "past-0"))
        begun = beginning_before(self.client, self.moment) if checkpoints else None
        assert checkpoints == (begun is not None), "the kept checkpoints are of this code"
        after, state = (begun.position, begun.state) if begun is not None else (0, None)
        standpoint = standpoint_after(journal_of(self.client, after=after, until=self.moment), state)
        if standpoint is not None:  # no plan need lie between, and the fold is what takes time
            standpoint.answer(asked)


BENCHMARK = Benchmark(
    "time-travel",
    [Figure(NAME, "s", "the same, folded from the beginning", more_is_better=False)],
    _open,
)
