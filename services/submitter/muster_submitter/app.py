"""Puts the submitter together: the fold, the deeds, the timers and the doors, as loops of one service."""

from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from muster_chassis.checkpointing import Checkpointing
from muster_chassis.clock import Clock, SystemClock
from muster_chassis.deeds import Deeds
from muster_chassis.following import Progress, follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import login_of, open_checkpoints, open_journal
from muster_chassis.service import Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Cluster
from muster_contracts.events import ProjectChanged
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoints
from muster_journal.connection import Connection, Login
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Batch, Journal

from muster_submitter.adapters.jetstream_bus import JetStreamBus
from muster_submitter.bus import Bus
from muster_submitter.core.deadlines import Limits
from muster_submitter.core.state import State
from muster_submitter.deeds import ProjectDeeds, WorkloadDeeds
from muster_submitter.entrypoints.api import command_routes
from muster_submitter.entrypoints.intake import Intake
from muster_submitter.entrypoints.organisation import organisation_routes
from muster_submitter.entrypoints.parked import parked_routes
from muster_submitter.handlers import Desk
from muster_submitter.judging import Judge
from muster_submitter.settings import SubmitterSettings
from muster_submitter.timers import Timers

NAME = "submitter"
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as the submitter sees it."""

    journal: Journal
    cluster: Cluster
    clock: Clock
    random: Random
    bus: Bus
    intake: Login | None = None
    """Where commands come in over NATS; None in a world without it."""
    checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    """Where the fold begins when we start again; by default an earlier life left none."""


async def build_from_settings(settings: SubmitterSettings) -> Service:
    """Connect to the real world and build the service on it."""
    clock = SystemClock()
    journal = await open_journal(settings, Writer.SUBMITTER, clock)
    bus_login = login_of(settings, Writer.SUBMITTER, "muster-submitter-bus")
    bus = JetStreamBus(await Connection.open(bus_login, CONNECT_SECONDS), clock)
    intake = login_of(settings, Writer.SUBMITTER, "muster-submitter-intake")
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    checkpoints = await open_checkpoints(settings, Writer.SUBMITTER)
    return build(settings, Ports(journal, cluster, clock, Random(), bus, intake, checkpoints))


def build(settings: SubmitterSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    state, progress = State(), Progress()
    checkpointing = Checkpointing(ports.checkpoints, NAME, state, events_between=settings.checkpoint_events)
    desk = Desk(ports.journal, state, progress, ports.random)
    workloads = WorkloadDeeds(ports.journal, ports.cluster, state, progress)
    projects = ProjectDeeds(ports.cluster, state)
    workload_deeds: Deeds[UUID] = Deeds(workloads.keep, random=ports.random, concurrency=settings.deed_concurrency)
    project_deeds: Deeds[str] = Deeds(projects.keep, random=ports.random, concurrency=4)
    limits = Limits(settings.image_pull_limit_seconds, settings.quiet_seconds)
    timers = Timers(ports.journal, state, progress, ports.clock, limits)

    async def fold_and_wake(batch: Batch) -> None:
        for recorded in batch.events:
            state.apply(recorded)
            if progress.caught_up and isinstance(recorded.event, ProjectChanged):
                project_deeds.want(recorded.event.name)
        touched = state.take_touched()
        if progress.caught_up:  # before, the fold shows things as open that were done long ago
            timers.look_at(touched)
            for workload_id in touched:
                _want(workload_deeds, state, workload_id)

    async def fold() -> None:
        await follow_into(ports.journal, fold_and_wake, progress, health, "fold", checkpointing)

    async def do_for_workloads() -> None:
        await progress.catch_up()
        for workload_id in workloads.open():
            workload_deeds.want(workload_id)
        await workload_deeds.run()

    async def do_for_projects() -> None:
        await progress.catch_up()
        for name in state.projects:
            project_deeds.want(name)
        await project_deeds.run()

    loops = {
        "fold": fold,
        "checkpoints": checkpointing.run,
        "workloads": do_for_workloads,
        "projects": do_for_projects,
        "deadlines": timers.run,
    }
    if ports.intake is not None:
        judge = Judge(desk, ports.bus)
        loops["intake"] = Intake(ports.intake, judge, health, deliveries=settings.intake_deliveries).run
    api = make_api("Muster submitter", health)
    api.include_router(command_routes(desk))
    api.include_router(organisation_routes(desk))
    api.include_router(parked_routes(ports.bus))
    return Service(
        health=health,
        loops=loops,
        api=api,
        closers=(ports.checkpoints.close, ports.journal.close, ports.bus.close, ports.cluster.close),
        random=ports.random,
    )


def _want(deeds: Deeds[UUID], state: State, workload_id: UUID) -> None:
    workload = state.workloads.get(workload_id)
    if workload is not None and workload.has_open_deed:
        deeds.want(workload_id)
