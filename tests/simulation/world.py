"""A whole Muster in one process under virtual time: services, journal and cluster, one clock, one source of chance.

A seed decides everything that happens: what people submit, stop and delete, which requests get lost, which service is
killed when. `live` plays the disturbed part; `settle` lets the weather clear and waits until nothing is left to do.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import httpx
from muster_chassis.checkpointing import Checkpointing
from muster_chassis.clock import LoopClock
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.service import Service, run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.events import AnyEvent
from muster_contracts.subjects import Writer
from muster_contracts.wire import Recorded
from muster_integrations.app import Ports as IntegrationsPorts
from muster_integrations.app import build as build_integrations
from muster_integrations.settings import IntegrationsSettings
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.memory_leases import MemoryLeases
from muster_scheduler.app import Ports as SchedulerPorts
from muster_scheduler.app import build as build_scheduler
from muster_scheduler.settings import SchedulerSettings
from muster_status.core.deriver import Derivation
from muster_status.handlers.deriver import Deriver
from muster_submitter.adapters.memory_bus import MemoryBus
from muster_submitter.app import Ports as SubmitterPorts
from muster_submitter.app import build as build_submitter
from muster_submitter.settings import SubmitterSettings
from simcluster.clock import LoopClock as ClusterClock
from simcluster.cluster import Cluster
from simcluster.settings import Settings as ClusterSettings
from simulation.faults import FaultyJournal, FaultyLeases, FaultyTransport, Weather
from simulation.witness import Witness

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CLUSTER_ID = UUID("00000000-0000-4000-8000-00000000c105")
PROJECT = "demo"
NAMESPACE = "muster-demo"
CHECKPOINT_EVENTS = 25
"""So few that every life of a service begins at a checkpoint of the one before."""
SETTLING_SECONDS = 2 * 3600.0


@dataclass
class World:
    """One world. `log` is its journal, `simulated` its cluster; `evicted` are the pods that evictions told to go."""

    random: Random
    weather: Weather
    log: MemoryLog
    simulated: Cluster
    clock: LoopClock
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    checkpoints: MemoryCheckpoints = field(default_factory=MemoryCheckpoints)
    services: dict[str, Service] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    submitted: dict[UUID, str] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    evicted: list[UUID] = field(default_factory=list)

    def journal(self, writer: Writer) -> FaultyJournal:
        return FaultyJournal(MemoryJournal(self.log, writer, self.clock.now), self.weather)

    def cluster(self) -> KubernetesCluster:
        return KubernetesCluster(FaultyTransport(Witness(self.simulated, self.evicted), self.weather))

    def start(self, name: str) -> None:
        """Start a service with an empty memory, as a new process has it."""
        service = self.services[name] = BUILDERS[name](self)
        self.tasks[name] = asyncio.create_task(run_loops(service), name=name)

    async def kill(self, name: str) -> None:
        """End a service wherever it is; none of its loops may have stopped by itself before."""
        _refuse_stopped_loops(self.services[name])
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Send a command as a client does: again when it is not clear what became of it."""
        while True:
            service = self.services["submitter"]
            transport = httpx.ASGITransport(service.api, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://muster") as client:
                answer = await client.request(method, f"/api/v1{path}", json=body)
            if answer.status_code < 500:
                return answer
            await asyncio.sleep(self.random.random())

    async def events(self) -> list[Recorded]:
        """Return the whole journal."""
        journal = MemoryJournal(self.log, Writer.STATUS, self.clock.now)
        events: list[Recorded] = []
        async for batch in journal.follow(0):
            events += batch.events
            if batch.caught_up:
                return events
        raise AssertionError("a follower never ends")

    async def until(self, holds: Callable[[list[AnyEvent]], bool], *, patience_seconds: float = 60.0) -> None:
        """Wait until something holds of the events in the journal."""
        async with asyncio.timeout(patience_seconds):
            while not holds([recorded.event for recorded in await self.events()]):
                await self.log.grown()

    def digest(self) -> str:
        """Return what tells two histories apart."""
        messages = self.log.after(0, self.log.end)
        text = "\n".join(f"{m.subject} {sorted(m.headers.items())} {m.body!r}" for m in messages)
        return hashlib.sha256(text.encode()).hexdigest()


def _submitter(world: World) -> Service:
    bus = MemoryBus(world.clock)
    journal, checkpoints = world.journal(Writer.SUBMITTER), world.checkpoints
    ports = SubmitterPorts(journal, world.cluster(), world.clock, world.random, bus, checkpoints=checkpoints)
    return build_submitter(SubmitterSettings(checkpoint_events=CHECKPOINT_EVENTS), ports)


def _integrations(world: World) -> Service:
    journal, checkpoints = world.journal(Writer.INTEGRATIONS), world.checkpoints
    ports = IntegrationsPorts(journal, world.cluster(), world.random, checkpoints=checkpoints)
    return build_integrations(IntegrationsSettings(checkpoint_events=CHECKPOINT_EVENTS), ports)


def _scheduler(world: World) -> Service:
    return _build_scheduler(world, "scheduler")


def _standby(world: World) -> Service:
    return _build_scheduler(world, "standby")


def _build_scheduler(world: World, instance: str) -> Service:
    ports = SchedulerPorts(
        journal=world.journal(Writer.SCHEDULER),
        leases=FaultyLeases(world.leases, world.weather),
        cluster=world.cluster(),
        cluster_id=CLUSTER_ID,
        random=world.random,
        checkpoints=world.checkpoints,
    )
    return build_scheduler(SchedulerSettings(instance=instance, checkpoint_events=CHECKPOINT_EVENTS), ports)


def _status(world: World) -> Service:
    """Build the part of the status service that writes to the journal; rows need a real database."""
    health = Health("status")
    journal = world.journal(Writer.STATUS)
    checkpointing = Checkpointing(world.checkpoints, "deriver", Derivation(), events_between=CHECKPOINT_EVENTS)
    deriver = Deriver(journal, health, CLUSTER_ID, world.random, checkpointing, publish_concurrency=16)
    loops = {"deriver": deriver.fold, "publish": deriver.publish, "checkpoints": checkpointing.run}
    return Service(health=health, loops=loops, api=make_api("Status", health), random=world.random)


BUILDERS: dict[str, Callable[[World], Service]] = {
    "submitter": _submitter,
    "integrations": _integrations,
    "scheduler": _scheduler,
    "standby": _standby,
    "status": _status,
}


async def play(
    seed: int, story: Callable[[World], Awaitable[None]], services: Collection[str] = BUILDERS.keys()
) -> World:
    """Make the world of a seed and let a story happen in it; where services are missing, the story does their work."""
    random = Random(seed)
    async with Cluster(ClusterSettings(seed=seed), ClusterClock(START)) as simulated:
        world = World(random, Weather(random), MemoryLog(), simulated, LoopClock(START))
        for name in services:
            world.start(name)
        await story(world)
        for name in list(world.tasks):
            await world.kill(name)
        return world


def _refuse_stopped_loops(service: Service) -> None:
    stopped = {name: entry.reason for name, entry in service.health.loops.items() if entry.condition == "stopped"}
    assert not stopped, f"Loops of {service.health.service} have stopped: {stopped}"
