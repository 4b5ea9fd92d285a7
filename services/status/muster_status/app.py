"""Puts the status service together: deriver, projector, and the answers to questions, as loops of one service."""

from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from muster_chassis.checkpointing import Checkpointing
from muster_chassis.clock import SystemClock
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import login_of, open_checkpoints, open_journal
from muster_chassis.service import Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Cluster
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoints
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Journal

from muster_status.adapters.neighbours import HttpNeighbours
from muster_status.adapters.postgres import PostgresReadModels
from muster_status.adapters.scheduler import NatsScheduler
from muster_status.core.deriver import Derivation
from muster_status.core.projection import Projection
from muster_status.entrypoints.api import query_routes
from muster_status.handlers.auditor import Auditor
from muster_status.handlers.deriver import Deriver
from muster_status.handlers.earlier import Earlier
from muster_status.handlers.live import Live
from muster_status.handlers.past import Past
from muster_status.handlers.ports import Neighbours, ReadModels, Scheduler
from muster_status.handlers.projector import Projector
from muster_status.handlers.questions import Questions
from muster_status.settings import StatusSettings

NAME = "status"

CHECKPOINTS_KEPT = 64
"""Of the projector's: as many as the scheduler's, so that both halves of an answer begin as near."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as the status service sees it."""

    journal: Journal
    cluster: Cluster
    cluster_id: UUID
    tables: ReadModels
    neighbours: Neighbours
    random: Random
    scheduler: Scheduler | None = None
    """Who answers questions about scheduling; None in a world without NATS."""
    checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    """Where the folds begin when we start again; by default an earlier life left none."""
    scheduler_checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    """What the scheduler wrote down, for whoever asks about the past; we only read it."""


async def build_from_settings(settings: StatusSettings) -> Service:
    """Connect to the real world and build the service on it."""
    journal = await open_journal(settings, Writer.STATUS, SystemClock())
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    cluster_id = UUID(await cluster.cluster_id())
    tables = PostgresReadModels(settings.postgres_dsn)
    neighbours = HttpNeighbours(settings.neighbour_addresses)
    scheduler = await NatsScheduler.connect(login_of(settings, Writer.STATUS, "muster-status-asking"), cluster_id)
    checkpoints = await open_checkpoints(settings, Writer.STATUS)
    written = await open_checkpoints(settings, Writer.STATUS, of=Writer.SCHEDULER)
    return build(
        settings, Ports(journal, cluster, cluster_id, tables, neighbours, Random(), scheduler, checkpoints, written)
    )


def build(settings: StatusSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    derivation = Checkpointing(ports.checkpoints, "deriver", Derivation(), events_between=settings.checkpoint_events)
    projection = Checkpointing(
        ports.checkpoints,
        "projector",
        Projection(),
        events_between=settings.checkpoint_events,
        most=CHECKPOINTS_KEPT,  # lists of the past begin at them
    )
    deriver = Deriver(
        ports.journal,
        health,
        ports.cluster_id,
        ports.random,
        derivation,
        publish_concurrency=settings.publish_concurrency,
    )
    live, past = Live(ports.tables), Past(ports.journal, ports.scheduler_checkpoints)
    projector = Projector(ports.journal, ports.tables, health, live.tell, projection)
    questions = Questions(
        ports.tables,
        projector.progress,
        ports.cluster,
        ports.neighbours,
        health,
        ports.scheduler,
        Earlier(ports.journal, ports.tables, past, projection),
        patience_seconds=settings.patience_seconds,
    )
    auditor = Auditor(ports.journal, ports.tables, ports.cluster_id, derivation, projection)
    api = make_api("Muster status", health)
    api.include_router(query_routes(questions, live, auditor, past))
    return Service(
        health=health,
        loops={
            "deriver": deriver.fold,
            "publisher": deriver.publish,
            "projector": projector.run,
            "deriver checkpoints": derivation.run,
            "projector checkpoints": projection.run,
        },
        api=api,
        closers=(
            ports.checkpoints.close,
            ports.scheduler_checkpoints.close,
            ports.journal.close,
            ports.tables.close,
            ports.cluster.close,
            *((ports.scheduler.close,) if ports.scheduler else ()),
        ),
        random=ports.random,
    )
