"""Fixtures of the scheduler's tests."""

from collections.abc import AsyncIterator

import pytest
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
