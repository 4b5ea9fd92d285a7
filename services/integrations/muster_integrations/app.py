"""Puts integrations together: the fold, one reflector per kind, and the recorder, as loops of one service."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from muster_chassis.clock import SystemClock
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.journal import open_journal
from muster_chassis.service import Service
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import NODES
from muster_cluster.port import Cluster, Resource
from muster_cluster.reflector import Reflector
from muster_contracts.subjects import Writer
from muster_journal.port import Journal

from muster_integrations.handlers import Recorder
from muster_integrations.recognition.table import WATCHED
from muster_integrations.settings import IntegrationsSettings

NAME = "integrations"
KINDS: tuple[Resource[Any], ...] = (NODES, *WATCHED)
HEALTH_SECONDS = 5.0  # between looks at how the reflectors fare
FAILURES_TO_TELL = 3  # in a row; one broken watch is everyday life


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


def loop_of(resource: Resource[Any]) -> str:
    """Return the name of the loop that watches a kind."""
    return f"watch {resource.plural}"


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
        reflector = Reflector(ports.cluster, resource, random=ports.random, page_size=settings.page_size)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_report(reflector, health, loop_of(resource)))
            async with aclosing(reflector.run()) as batches:
                async for batch in batches:
                    recorder.take(resource, batch)
                    if batch.synced:
                        health.runs(loop_of(resource))

    async def write() -> None:
        health.waits("write", "The journal is not read, or the cluster is not listed, to the end yet.")
        await recorder.know_the_ground()
        health.runs("write")
        await recorder.write()

    return Service(
        health=health,
        loops={
            "fold": fold,
            **{loop_of(resource): partial(watch, resource) for resource in KINDS},
            "write": write,
        },
        api=make_api("Muster integrations", health),
        closers=(ports.journal.close, ports.cluster.close),
        random=ports.random,
    )


async def _report(reflector: Reflector[Any], health: Health, loop: str) -> None:
    """Say of a reflector's loop that it waits, while it has not listed its kind or cannot reach the API server."""
    while True:
        if reflector.failures >= FAILURES_TO_TELL:
            health.waits(
                loop, f"It failed {reflector.failures} times in a row, the last time with: {reflector.trouble}"
            )
        elif not reflector.resource_version:
            health.waits(loop, "The list is not complete.")
        else:
            health.runs(loop)
        await asyncio.sleep(HEALTH_SECONDS)
