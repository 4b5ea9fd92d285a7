"""Puts integrations together: the fold, the watches and the recorder, as loops of one service."""

from dataclasses import dataclass
from random import Random

from muster_chassis.clock import SystemClock
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import open_journal
from muster_chassis.service import Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.port import Cluster
from muster_contracts.subjects import Writer
from muster_journal.port import Journal

from muster_integrations.handlers import Recorder
from muster_integrations.settings import IntegrationsSettings
from muster_integrations.watching import Watches

NAME = "integrations"


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as integrations sees it."""

    journal: Journal
    cluster: Cluster
    random: Random


async def build_from_settings(settings: IntegrationsSettings) -> Service:
    """Connect to the real world and build the service on it."""
    journal = await open_journal(settings, Writer.INTEGRATIONS, SystemClock())
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    return build(settings, Ports(journal, cluster, Random()))


def build(settings: IntegrationsSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    recorder = Recorder(
        ports.journal,
        random=ports.random,
        owner_wait_seconds=settings.owner_wait_seconds,
        append_concurrency=settings.append_concurrency,
    )

    async def fold() -> None:
        await follow_into(ports.journal, recorder.follow, recorder.progress, health, "fold")

    watches = Watches(ports.cluster, recorder, health, ports.random, settings.page_size)

    async def write() -> None:
        health.waits("write", "The journal is not read, or the cluster is not listed, to the end yet.")
        await recorder.know_the_ground()
        health.runs("write")
        await recorder.write()

    return Service(
        health=health,
        loops={"fold": fold, "watches": watches.run, "write": write},
        api=make_api("Muster integrations", health),
        closers=(ports.journal.close, ports.cluster.close),
        random=ports.random,
    )
