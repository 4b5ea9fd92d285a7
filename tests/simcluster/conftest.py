"""A whole simulated cluster without its HTTP server, under a clock the test advances."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from simcluster.client import Client
from simcluster.clock import ManualClock
from simcluster.controllers import ControlPlane, build_machinery
from simcluster.nodes import DEFAULT_GROUPS, NodeGroup, register_nodes
from simcluster.registry import Registry
from simcluster.resources import Object
from simcluster.store import Store

NAMESPACE = "demo"


class World:
    """Store, kubelets and controllers, driven by `advance`."""

    def __init__(self, store: Store, clock: ManualClock, seed: int) -> None:
        self.store = store
        self.clock = clock
        self.registry = Registry(store, clock, random.Random(seed))
        self.client = Client(self.registry)
        self.plane: ControlPlane = build_machinery(self.client, clock, self.registry.resources)
        if self.client.get("namespaces", None, NAMESPACE) is None:
            self.client.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})

    async def advance(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(1000):
            await asyncio.sleep(0)
            if self.plane.idle and await self._stays_idle():
                return
        raise AssertionError("the controllers do not come to rest")

    async def _stays_idle(self) -> bool:
        for _ in range(10):
            await asyncio.sleep(0)
            if not self.plane.idle:
                return False
        return True

    async def advance_until(self, holds: Callable[[], bool], most_seconds: int = 3600) -> None:
        for _ in range(most_seconds):
            await self.settle()
            if holds():
                return
            await self.clock.advance(1)
        raise AssertionError(f"not within {most_seconds} s of the cluster's time")

    def pod(self, name: str) -> Object:
        found = self.client.get("pods", NAMESPACE, name)
        assert found is not None, f"there is no pod {name}"
        return found

    def pods(self, **labels: str) -> list[Object]:
        return self.client.list(
            "pods", NAMESPACE, labels={key.replace("_", "-"): value for key, value in labels.items()}
        )

    def job(self, name: str) -> Object:
        found = self.client.get("jobs.batch", NAMESPACE, name)
        assert found is not None, f"there is no job {name}"
        return found

    def phase(self, name: str) -> str:
        return str(self.pod(name)["status"]["phase"])

    def condition(self, obj: Object, kind: str) -> Mapping[str, Any]:
        conditions = obj.get("status", {}).get("conditions", [])
        found: Mapping[str, Any] = next((each for each in conditions if each["type"] == kind), {})
        return found

    def events(self, name: str) -> list[tuple[str, str]]:
        told = [each for each in self.client.list("events") if each["involvedObject"]["name"] == name]
        return [(each["reason"], each["message"]) for each in told]

    def create_pod(self, name: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> Object:
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "annotations": {f"sim.{k}": v for k, v in (annotations or {}).items()},
        }
        spec = {"restartPolicy": "Never", "containers": [container()], **spec}
        return self.client.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def create_job(
        self, name: str, annotations: Mapping[str, str] | None = None, pod: Mapping[str, Any] | None = None, **spec: Any
    ) -> Object:
        template = {
            "metadata": {"annotations": {f"sim.{key}": value for key, value in (annotations or {}).items()}},
            "spec": {"restartPolicy": "Never", "containers": [container()], **(pod or {})},
        }
        metadata = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template, **spec}}
        return self.client.create("jobs.batch", body)

    def change(self, kind: str, obj: Object, **spec: Any) -> Object:
        return self.client.update(kind, {**obj, "spec": {**obj["spec"], **spec}})

    def annotate_node(self, name: str, **annotations: str) -> None:
        node = self.client.get("nodes", None, name)
        assert node is not None
        named = {f"sim.{key}": value for key, value in annotations.items()}
        self.client.update("nodes", {**node, "metadata": {**node["metadata"], "annotations": named}})


def container(name: str = "main", gpu: int = 0, **more: Any) -> dict[str, Any]:
    wanted = {"resources": {"requests": {"cpu": "1"}, "limits": {"nvidia.com/gpu": gpu} if gpu else {}}}
    return {"name": name, "image": "registry.example/train:1", **wanted, **more}


@asynccontextmanager
async def open_world(
    groups: tuple[NodeGroup, ...] = DEFAULT_GROUPS,
    path: Path | None = None,
    clock: ManualClock | None = None,
    seed: int = 1,
) -> AsyncIterator[World]:
    world = World(Store(path), clock or ManualClock(), seed)
    register_nodes(world.client, groups, world.clock)
    running = asyncio.create_task(world.plane.run())
    try:
        yield world
    finally:
        broke = running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=not broke)
        world.store.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with open_world() as opened:
        yield opened


@pytest.fixture
def opener() -> Any:
    """Open further worlds: other nodes, another seed, the same file after a restart."""
    return open_world
