"""A scheduler that starts again reads its checkpoint and what came after it, and keeps its earlier life's promises."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from muster_contracts import events as e
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoint, Checkpoints
from muster_journal.jetstream_checkpoints import JetStreamCheckpoints
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.memory_leases import MemoryLeases
from muster_journal.port import Batch, Journal
from scheduler.scene import NAMESPACE, Scene, of_type, scheduled
from scheduler.worlds import node
from servers import RunningNats
from simcluster.cluster import Cluster
from simcluster.settings import Settings

PAST = 1500
"""Events; the same holds of any number, for what is counted is what is read."""
EVERY = 100


class Counted:
    """A journal, and how many events were read from it."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.read = 0

    async def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        async for batch in self._journal.follow(after, limit=limit):
            self.read += len(batch.events)
            yield batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class Noticed:
    """Checkpoints that tell when one is saved."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self.load = checkpoints.load
        self.close = checkpoints.close
        self.positions = checkpoints.positions
        self.saved = [0]
        self._changed = asyncio.Condition()

    async def save(self, name: str, checkpoint: Checkpoint, *, most: int = 1) -> None:
        await self._checkpoints.save(name, checkpoint, most=most)
        async with self._changed:
            self.saved.append(checkpoint.position)
            self._changed.notify_all()

    @property
    def position(self) -> int:
        return self.saved[-1]

    async def reaches(self, position: int) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: self.position >= position)


@dataclass
class Stage:
    """A scene on a real NATS, its checkpoints, and the journals of the schedulers that were started."""

    scene: Scene
    checkpoints: Noticed
    journals: list[Counted]


@pytest.fixture
async def stage(nats_server: RunningNats, open_journal: Callable[[Writer], Awaitable[Journal]]) -> AsyncIterator[Stage]:
    opened = {writer: await open_journal(writer) for writer in (Writer.INTEGRATIONS, Writer.STATUS)}
    waiting = [Counted(await open_journal(Writer.SCHEDULER)) for _ in range(2)]
    started: list[Counted] = []

    def journals(writer: Writer) -> Any:
        if writer is not Writer.SCHEDULER:
            return opened[writer]
        started.append(waiting.pop())
        return started[-1]

    user = Writer.SCHEDULER.value
    password = nats_server.password_of(user)
    stored = await JetStreamCheckpoints.connect(
        [nats_server.url], Writer.SCHEDULER, user=user, password=password, name="test"
    )
    async with Cluster(Settings(seed=1)) as cluster:
        cluster.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
        scene = Scene(cluster, journals)
        scene.checkpoints = checkpoints = Noticed(stored)
        await scene.observer.append(node("pool-a-0"))
        yield Stage(scene, checkpoints, started)
        await scene.kill_schedulers()
    await stored.close()


async def _let_pass(scene: Scene, count: int) -> None:
    """Write events that change something each: a node's labels."""
    seen = (node("pool-a-1").model_copy(update={"labels": {"turn": str(number)}}) for number in range(count))
    await asyncio.gather(*(scene.observer.append(event) for event in seen))


async def test_a_new_leader_reads_the_tail_alone_and_keeps_the_promises_of_the_old_one(stage: Stage) -> None:
    scene = stage.scene
    scene.transport.gate.clear()
    scene.start_scheduler(instance="first", checkpoint_events=EVERY)
    await scene.observe("gang", 2)
    await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await _let_pass(scene, PAST)
    await stage.checkpoints.reaches(PAST - EVERY)  # after it, there may be fewer than are worth another one
    await scene.kill_schedulers()
    saved = stage.checkpoints.position
    scene.transport.gate.set()
    scene.start_scheduler(instance="first", checkpoint_events=EVERY)
    events = await scene.until(scheduled(2))
    assert len(of_type(events, e.PlanMade)) == 1
    assert len(of_type(events, e.LeadershipTaken)) == 2
    first, second = stage.journals
    assert first.read > PAST
    assert second.read <= len(events) - saved + 1  # one to see whether it is the same journal


class Withheld(MemoryLeases):
    """A lease that somebody else holds until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = False

    async def hold(self, name: str, holder: str) -> bool:
        return self.free and await super().hold(name, holder)


async def test_a_standby_saves_no_checkpoint_before_it_leads(scene: Scene) -> None:
    scene.checkpoints = checkpoints = Noticed(MemoryCheckpoints())
    leases = Withheld()
    standby = scene.start_scheduler(leases=leases, checkpoint_events=1, lease_renewal_seconds=0.02)
    await _let_pass(scene, 10)
    end = len(await scene.events())
    async with asyncio.timeout(30):
        while (standby.health.of("fold").position or 0) < end:  # noqa: ASYNC110  # a health is not to be awaited
            await asyncio.sleep(0.01)
    leases.free = True
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await _let_pass(scene, 1)
    await checkpoints.reaches(1)
    assert checkpoints.saved[1] > end
