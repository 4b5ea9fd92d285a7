"""Puts integrations together: the fold, one reflector per kind, and the recorder, as loops of one service."""

from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from muster_chassis.clock import SystemClock
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.service import Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NODES
from muster_cluster.port import Cluster, Resource
from muster_cluster.reflector import Reflector
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal
from muster_journal.port import Journal

from muster_integrations.handlers import Recorder
from muster_integrations.recognition.table import WATCHED
from muster_integrations.settings import IntegrationsSettings

NAME = "integrations"
KINDS: tuple[Resource[Any], ...] = (NODES, *WATCHED)


@dataclass(frozen=True, slots=True)
class Ports:
    """The world as integrations sees it."""

    journal: Journal
    cluster: Cluster
    random: Random


async def build_from_settings(settings: IntegrationsSettings) -> Service:
    """Connect to the real world and build the service on it."""
    journal = await JetStreamJournal.connect(
        settings.nats_url.split(","),
        Writer.INTEGRATIONS,
        user=settings.nats_user or NAME,
        password=settings.nats_password,
        now=SystemClock().now,
    )
    cluster = await KubernetesCluster.connect(settings.kubeconfig)
    return build(settings, Ports(journal, cluster, Random()))


def build(settings: IntegrationsSettings, ports: Ports) -> Service:
    """Build the service on given ports."""
    health = Health(NAME)
    recorder = Recorder(
        ports.journal,
        KINDS,
        random=ports.random,
        owner_wait_seconds=settings.owner_wait_seconds,
        append_concurrency=settings.append_concurrency,
    )

    async def fold() -> None:
        await follow_into(ports.journal, recorder.follow, recorder.progress, health, "fold")

    async def watch(resource: Resource[Any]) -> None:
        loop = f"watch {resource.plural}"
        health.waits(loop, "The first list is not complete.")
        reflector = Reflector(ports.cluster, resource, random=ports.random, page_size=settings.page_size)
        async with aclosing(reflector.run()) as batches:
            async for batch in batches:
                recorder.take(resource, batch)
                if batch.synced:
                    health.runs(loop)

    return Service(
        health=health,
        loops={
            "fold": fold,
            **{f"watch {resource.plural}": partial(watch, resource) for resource in KINDS},
            "write": recorder.write,
        },
        api=make_api("Muster integrations", health),
        closers=(ports.journal.close, ports.cluster.close),
        random=ports.random,
    )
