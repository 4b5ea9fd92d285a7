"""Fixtures of the scheduler's tests."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from muster_contracts.subjects import Writer
from muster_journal.port import Journal
from scheduler.scene import NAMESPACE, Scene
from scheduler.worlds import node
from simcluster.cluster import Cluster
from simcluster.settings import Settings


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Cluster(Settings(seed=1)) as cluster:
        cluster.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
        scene = Scene(cluster)
        for name in ("pool-a-0", "pool-a-1"):
            await scene.observer.append(node(name))
        yield scene
        await scene.kill_schedulers()


@pytest.fixture
async def on_nats(open_journal: Callable[[Writer], Awaitable[Journal]]) -> AsyncIterator[Scene]:
    """The same scene, with a real NATS between the schedulers."""
    opened = {writer: await open_journal(writer) for writer in (Writer.INTEGRATIONS, Writer.STATUS)}
    of_schedulers = [await open_journal(Writer.SCHEDULER) for _ in range(2)]

    def journals(writer: Writer) -> Journal:
        return of_schedulers.pop() if writer is Writer.SCHEDULER else opened[writer]

    async with Cluster(Settings(seed=1)) as cluster:
        cluster.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
        scene = Scene(cluster, journals)
        for name in ("pool-a-0", "pool-a-1"):
            await scene.observer.append(node(name))
        yield scene
        await scene.kill_schedulers()
