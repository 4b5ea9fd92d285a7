"""Puts the scheduler together: the fold, the planning loop and the deeds, as loops of one service."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from random import Random
from uuid import UUID

from muster_chassis.checkpointing import Checkpointing
from muster_chassis.clock import SystemClock
from muster_chassis.deeds import Deeds
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import login_of, open_checkpoints, open_journal, open_leases
from muster_chassis.service import Loop, Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Cluster
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoints
from muster_journal.connection import Login
from muster_journal.leases import Leases
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Batch, Journal

from muster_scheduler.answering import Answering
from muster_scheduler.entrypoints.asking import Asking
from muster_scheduler.execution.binding import Binder
from muster_scheduler.execution.deeds import Execution
from muster_scheduler.execution.evicting import Evictor
from muster_scheduler.execution.reservations import Reservations
from muster_scheduler.execution.volumes import Volumes
from muster_scheduler.leading import Leadership
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings

NAME = "scheduler"
CHECKPOINTS_KEPT = 64
"""For questions about the past: up to a million and a half events all there are, later those missed least."""
WORKLOADS_AT_ONCE = 1024
"""Many more than requests to Kubernetes: while it is written down what became of some, others are bound.

Also more than appends under way (512): while the journal syncs these, it gives out little of what it has already, so
fewer workloads would all come to wait for it, then all for Kubernetes, and so on in waves.
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as the scheduler sees it."""

    journal: Journal
    leases: Leases
    cluster: Cluster
    cluster_id: UUID
    random: Random
    asking: Login | None = None
    """Where questions come in over NATS; None in a world without it."""
    checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    """Where the fold begins when we start again; by default an earlier life left none."""


async def build_from_settings(settings: SchedulerSettings) -> Service:
    """Connect to the real world and build the service on it."""
    journal = await open_journal(settings, Writer.SCHEDULER, SystemClock())
    leases = await open_leases(settings, Writer.SCHEDULER)
    checkpoints = await open_checkpoints(settings, Writer.SCHEDULER)
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    asking = login_of(settings, Writer.SCHEDULER, "muster-scheduler-asking")
    cluster_id = UUID(await cluster.cluster_id())
    return build(settings, Ports(journal, leases, cluster, cluster_id, Random(), asking, checkpoints))


def build(settings: SchedulerSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    leadership = Leadership(ports.leases, settings.holder, settings.lease_renewal_seconds)
    planning = Planning(ports.journal, settings, ports.cluster_id, leadership, health)
    checkpointing = Checkpointing(
        ports.checkpoints,
        NAME,
        planning.state,
        events_between=settings.checkpoint_events,
        most=CHECKPOINTS_KEPT,
        active=lambda: leadership.is_ours,  # of several that fold along one saves
    )
    reservations = Reservations(ports.cluster, planning.state, settings.reservation_image)
    binder, evictor = Binder(ports.cluster, reservations, settings.bind_patience), Evictor(ports.cluster, planning)
    volumes = Volumes(ports.cluster, planning.state, settings.volume_patience_seconds)
    execution = Execution(planning, ports.journal, binder, evictor, volumes, settings.bind_concurrency)
    deeds: Deeds[UUID] = Deeds(execution.carry_out, random=ports.random, concurrency=WORKLOADS_AT_ONCE)

    async def fold_and_wake(batch: Batch) -> None:
        await planning.fold(batch)
        for recorded in batch.events:
            for workload_id in execution.due_after(recorded.event):
                deeds.want(workload_id)

    async def fold() -> None:
        await follow_into(ports.journal, fold_and_wake, planning.progress, health, "fold", checkpointing)

    async def adopt() -> None:
        while True:
            for workload_id in await execution.adopt():
                deeds.want(workload_id)

    loops: dict[str, Loop] = {
        "fold": fold,
        "checkpoints": checkpointing.run,
        "lease": leadership.run,
        "planning": planning.run,
        "telling": planning.telling.run,
        "adoption": adopt,
        "execution": deeds.run,
        "reservations": partial(_sweep, reservations, planning, settings.reservation_sweep_seconds),
    }
    if ports.asking is not None:
        loops["asking"] = Asking(ports.asking, ports.cluster_id, Answering(planning, settings)).run
    return Service(
        health=health,
        loops=loops,
        api=make_api("Muster scheduler", health),
        closers=(
            leadership.let_go,
            ports.leases.close,
            ports.checkpoints.close,
            ports.journal.close,
            ports.cluster.close,
        ),
        random=ports.random,
    )


async def _sweep(reservations: Reservations, planning: Planning, pause_seconds: float) -> None:
    while True:
        await asyncio.sleep(pause_seconds)
        if planning.leads:
            await reservations.sweep()
