"""Puts the scheduler together: the fold, the planning loop and the deeds, as loops of one service."""

import socket
from dataclasses import dataclass
from random import Random
from uuid import UUID

from muster_chassis.clock import SystemClock
from muster_chassis.deeds import Deeds
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import open_journal
from muster_chassis.service import Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Cluster
from muster_contracts.events import PlanMade
from muster_contracts.subjects import Writer
from muster_journal.port import Batch, Journal

from muster_scheduler.execution.binding import Binder
from muster_scheduler.execution.deeds import Execution
from muster_scheduler.execution.evicting import Evictor
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings

NAME = "scheduler"


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as the scheduler sees it."""

    journal: Journal
    cluster: Cluster
    cluster_id: UUID
    random: Random


async def build_from_settings(settings: SchedulerSettings) -> Service:
    """Connect to the real world and build the service on it."""
    journal = await open_journal(settings, Writer.SCHEDULER, SystemClock())
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    return build(settings, Ports(journal, cluster, UUID(await cluster.cluster_id()), Random()))


def build(settings: SchedulerSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    planning = Planning(ports.journal, settings, ports.cluster_id, socket.gethostname())
    binder, evictor = Binder(ports.cluster), Evictor(ports.cluster)
    execution = Execution(planning, ports.journal, binder, evictor, settings.bind_concurrency)
    deeds: Deeds[UUID] = Deeds(execution.carry_out, random=ports.random, concurrency=settings.bind_concurrency)

    async def fold_and_wake(batch: Batch) -> None:
        await planning.fold(batch)
        for recorded in batch.events:
            if isinstance(recorded.event, PlanMade) and planning.leads:
                for workload_id in _workloads_of(recorded.event):
                    deeds.want(workload_id)

    async def fold() -> None:
        await follow_into(ports.journal, fold_and_wake, planning.progress, health, "fold")

    async def adopt() -> None:
        while True:
            await planning.led.wait()
            planning.led.clear()
            for workload_id in execution.open_workloads():  # what others, or an earlier life, promised
                deeds.want(workload_id)

    return Service(
        health=health,
        loops={"fold": fold, "planning": planning.run, "adoption": adopt, "execution": deeds.run},
        api=make_api("Muster scheduler", health),
        closers=(ports.journal.close, ports.cluster.close),
        random=ports.random,
    )


def _workloads_of(made: PlanMade) -> list[UUID]:
    """Return about whom there is something to do; victims go first, for others wait for their places."""
    return [victim.workload_id for victim in made.victims] + [placed.workload_id for placed in made.placements]
