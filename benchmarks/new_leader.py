"""How soon a scheduler leads that starts on a long past: from its checkpoint and the tail of the journal.

250,000 events, a tenth of them after the checkpoint: the most that a leader leaves to its successor. 4,000 pods run.
The clock runs from the start of the process to its `LeadershipTaken` in the journal. Besides, a successor of another
name waits for the lease of the dead one, 3 s, which run out while it starts. The ceiling is none here, but what is
saved: the same process without a checkpoint, which folds everything.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, cast
from uuid import UUID

from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.events import LeadershipTaken
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoint
from muster_journal.jetstream_checkpoints import JetStreamCheckpoints
from muster_journal.port import Journal

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.past import EVENTS_OF_A_LIFE, GPUS, NODES, ground, write_lives, write_together
from benchmarks.servers import Nats, Servers

BEFORE = 225_000
AFTER = 25_000
NEVER = 10**9
FOLD = "scheduler"
NAME = "a scheduler leads, 250,000 events in the journal"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        nats = await servers.nats(durable=False)
        await servers.cluster()
        stage = _Stage(servers, nats, await nats.journal(Writer.STATUS), await _checkpoints(nats))
        saved = await _past(stage, scale)
        spoiled = replace(saved, code="of other code")

        async def ours() -> Sample:
            return {NAME: await stage.seconds_until_it_leads(saved)}

        async def bare() -> Sample:
            return {NAME: await stage.seconds_until_it_leads(spoiled)}

        yield Contest(ours, bare)


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where schedulers start, and what they leave behind."""

    servers: Servers
    nats: Nats
    journal: Journal
    checkpoints: JetStreamCheckpoints

    async def seconds_until_it_leads(self, checkpoint: Checkpoint) -> float:
        """Start a scheduler that finds this checkpoint, and end it when it leads."""
        await self.checkpoints.save(FOLD, checkpoint)
        async with self._leading(checkpoint_events=NEVER) as seconds:
            return seconds

    async def first_checkpoint(self) -> Checkpoint:
        """Let a scheduler save a checkpoint of all there is."""
        async with self._leading(checkpoint_events=1):
            while (saved := await self.checkpoints.load(FOLD)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # nobody tells that one is saved
        return saved

    @asynccontextmanager
    async def _leading(self, *, checkpoint_events: int) -> AsyncIterator[float]:
        """Run a scheduler; give the seconds from its start until it leads."""
        leads = asyncio.create_task(self._until_led(await self.journal.end()))
        began = perf_counter()
        settings = {"scheduler_checkpoint_events": str(checkpoint_events), "scheduler_instance": "benchmark"}
        process = await self.servers.process("scheduler", self.nats, **settings)
        yield await leads - began
        await process.stop()

    async def _until_led(self, end: int) -> float:
        """Return when somebody took the lead after a position."""
        async with aclosing(cast(Any, self.journal.follow(end))) as batches:
            async for batch in batches:
                if any(isinstance(recorded.event, LeadershipTaken) for recorded in batch.events):
                    return perf_counter()
        raise AssertionError("a follower never ends")


async def _past(stage: _Stage, scale: float) -> Checkpoint:
    """Write the past, and return the checkpoint that a first leader saves before its last tenth."""
    journals: dict[Writer, Journal] = {writer: await stage.nats.journal(writer) for writer in Writer}
    cluster = await KubernetesCluster.connect(stage.servers.kubeconfig)
    cluster_id = UUID(await cluster.cluster_id())
    await cluster.close()
    gone, later = (scaled(events // EVENTS_OF_A_LIFE, scale) for events in (BEFORE, AFTER))
    runs = scaled(NODES * GPUS, scale)
    await write_together(journals, ground())
    await write_lives(journals, range(gone), cluster_id, ends=True)
    await write_lives(journals, range(gone, gone + runs), cluster_id, ends=False)
    saved = await stage.first_checkpoint()
    await write_lives(journals, range(gone + runs, gone + runs + later), cluster_id, ends=True)
    return saved


async def _checkpoints(nats: Nats) -> JetStreamCheckpoints:
    user = Writer.SCHEDULER.value
    password = nats.server.settings.service_passwords[Writer.SCHEDULER]
    checkpoints = await JetStreamCheckpoints.connect(
        [nats.server.url], Writer.SCHEDULER, user=user, password=password, name="benchmark"
    )
    nats.cleanup.push_async_callback(checkpoints.close)
    return checkpoints


BENCHMARK = Benchmark(
    "new-leader",
    [Figure(NAME, "s", "the same without a checkpoint folds everything", more_is_better=False, target=5.0)],
    _open,
)
