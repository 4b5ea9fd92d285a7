"""Puts integrations together: the fold, the watches, the recorder and the webhook, as loops of one service."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random

from muster_chassis.checkpointing import Checkpointing
from muster_chassis.clock import Clock, SystemClock
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import open_checkpoints, open_journal
from muster_chassis.service import Loop, Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Cluster
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoints
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Journal

from muster_integrations.admission.configurations import read_target
from muster_integrations.entrypoints.webhook import LOOP, Serving, Webhook
from muster_integrations.handlers import Recorder
from muster_integrations.reviewing import Reviewer
from muster_integrations.settings import IntegrationsSettings
from muster_integrations.watching import Watches

NAME = "integrations"


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as integrations sees it."""

    journal: Journal
    cluster: Cluster
    random: Random
    clock: Clock = field(default_factory=SystemClock)
    checkpoints: Checkpoints = field(default_factory=MemoryCheckpoints)
    """Where the fold begins when we start again; by default an earlier life left none."""


async def build_from_settings(settings: IntegrationsSettings) -> Service:
    """Connect to the real world and build the service on it."""
    journal = await open_journal(settings, Writer.INTEGRATIONS, SystemClock())
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    checkpoints = await open_checkpoints(settings, Writer.INTEGRATIONS)
    return build(settings, Ports(journal, cluster, Random(), checkpoints=checkpoints))


def build(settings: IntegrationsSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    recorder = Recorder(
        ports.journal,
        random=ports.random,
        owner_wait_seconds=settings.owner_wait_seconds,
        append_concurrency=settings.append_concurrency,
    )
    watches = Watches(ports.cluster, recorder, health, ports.random, settings.page_size)
    loops: dict[str, Loop] = {
        **_folding(settings, ports, recorder, health),
        "watches": watches.run,
        "write": partial(_write, recorder, health),
        **_admission(settings, ports, recorder, health),
    }
    return Service(
        health=health,
        loops=loops,
        api=make_api("Muster integrations", health),
        closers=(ports.checkpoints.close, ports.journal.close, ports.cluster.close),
        random=ports.random,
    )


def _folding(settings: IntegrationsSettings, ports: Ports, recorder: Recorder, health: Health) -> dict[str, Loop]:
    """Return the loops that follow the journal and write the fold down."""
    checkpointing = Checkpointing(
        ports.checkpoints,
        NAME,
        recorder.fold,
        events_between=settings.checkpoint_events,
        restored=recorder.begin_at_checkpoint,
    )

    async def fold() -> None:
        await follow_into(ports.journal, recorder.follow, recorder.progress, health, "fold", checkpointing)

    return {"fold": fold, "checkpoints": checkpointing.run}


async def _write(recorder: Recorder, health: Health) -> None:
    health.waits("write", "The journal is not read, or the cluster is not listed, to the end yet.")
    await recorder.know_the_ground()
    health.runs("write")
    await recorder.write()


def _admission(settings: IntegrationsSettings, ports: Ports, recorder: Recorder, health: Health) -> dict[str, Loop]:
    """Return the loop of the webhook; none when the API server is not to ask."""
    if not settings.admission_target:
        return {}
    serving = Serving(
        host=settings.admission_host,
        port=settings.admission_port,
        target=read_target(settings.admission_target),
        policy=settings.admission_failure_policy,
        lifetime=timedelta(hours=settings.admission_certificate_hours),
    )
    reviewer = Reviewer(recorder, ports.journal, ports.cluster, ports.random, settings.submitter_user)
    return {LOOP: Webhook(reviewer, ports.cluster, ports.clock, health, serving).run}
