"""The cluster may be listed before a checkpoint is read: what it holds is looked at again once that is known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from cluster.in_process import InProcessTransport
from integrations.kube import NAMESPACE, project
from muster_chassis.clock import LoopClock
from muster_chassis.service import run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import JOBS, NAMESPACES
from muster_contracts.events import AnyEvent, WorkloadDiscovered, WorkloadGone
from muster_contracts.subjects import Writer
from muster_integrations.app import NAME, Ports, build
from muster_integrations.settings import IntegrationsSettings
from muster_journal.checkpoints import Checkpoint
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from simcluster.clock import LoopClock as ClusterClock
from simcluster.cluster import Cluster
from simcluster.settings import Settings as ClusterSettings
from simulation.virtual_time import run_in_virtual_time

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = 60.0
ENOUGH_FOR_A_CHECKPOINT = 40


class LateCheckpoints(MemoryCheckpoints):
    """Checkpoints that take a minute to read; by then everything in the cluster is listed."""

    async def load(self, name: str, until: int | None = None) -> Checkpoint | None:
        await asyncio.sleep(MINUTE)
        return await super().load(name, until)


@dataclass
class Ground:
    """A journal, checkpoints and a cluster, on which one life of the service follows another."""

    simulated: Cluster
    log: MemoryLog = field(default_factory=MemoryLog)
    checkpoints: MemoryCheckpoints = field(default_factory=LateCheckpoints)

    @property
    def cluster(self) -> KubernetesCluster:
        return KubernetesCluster(InProcessTransport(self.simulated.api))

    def journal(self, writer: Writer) -> MemoryJournal:
        return MemoryJournal(self.log, writer, LoopClock(START).now)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Let the service live until it has done what there is to do, and until the end of the block."""
        ports = Ports(self.journal(Writer.INTEGRATIONS), self.cluster, Random(1), checkpoints=self.checkpoints)
        loops = asyncio.create_task(run_loops(build(IntegrationsSettings(checkpoint_events=1), ports)))
        await asyncio.sleep(3 * MINUTE)
        yield
        await asyncio.sleep(MINUTE)
        loops.cancel()
        await asyncio.gather(loops, return_exceptions=True)

    async def tell(self, event: AnyEvent) -> None:
        await self.journal(Writer.SUBMITTER).append(event)

    async def make_job(self) -> None:
        container = {"name": "main", "image": "train:1"}
        spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
        metadata = {"name": "train", "namespace": NAMESPACE}
        await self.cluster.create(JOBS, {"metadata": metadata, "spec": spec})

    async def events(self) -> list[AnyEvent]:
        batch = await anext(self.journal(Writer.STATUS).follow(0, limit=1000))
        return [recorded.event for recorded in batch.events]


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    async with Cluster(ClusterSettings(seed=1), ClusterClock(START)) as simulated:
        new = Ground(simulated)
        await new.cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        await new.tell(project())
        yield new


async def made_while_nobody_was_there() -> tuple[Checkpoint | None, list[AnyEvent]]:
    async with ground() as here:
        async with here.life():
            pass
        await here.make_job()
        checkpoint = await here.checkpoints.load(NAME)
        async with here.life():
            pass
        return checkpoint, await here.events()


async def in_a_project_that_was_removed() -> tuple[Checkpoint | None, list[AnyEvent]]:
    async with ground() as here:
        await here.make_job()
        async with here.life():
            await here.tell(project(removed=True))
            for _ in range(ENOUGH_FOR_A_CHECKPOINT):
                await here.tell(project("other"))
        checkpoint = await here.checkpoints.load(NAME)
        async with here.life():
            pass
        return checkpoint, await here.events()


@pytest.mark.parametrize("story", [made_while_nobody_was_there, in_a_project_that_was_removed])
def test_what_was_listed_before_the_checkpoint_was_read_has_its_row(story: Any) -> None:
    checkpoint, events = run_in_virtual_time(story)
    assert checkpoint is not None
    assert len([event for event in events if isinstance(event, WorkloadDiscovered)]) == 1
    assert not [event for event in events if isinstance(event, WorkloadGone)]
