"""One simulated cluster: store, API server, controllers and kubelets on one event loop.

`async with Cluster(settings, clock) as cluster` runs it without sockets: `cluster.api.handle` answers requests,
`cluster.client` reads and writes directly. `__main__` puts HTTP around it.
"""

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Self

from simcluster.api import ApiServer
from simcluster.authorization import Authorizer, create_default_roles
from simcluster.client import Client
from simcluster.clock import Clock, LoopClock
from simcluster.controllers import build_machinery
from simcluster.nodes import read_node_groups, register_nodes
from simcluster.operators import install_kinds, operators_of
from simcluster.registry import Registry
from simcluster.settings import Settings
from simcluster.store import Store

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_FILE = "objects.sqlite3"


class Cluster:
    """A cluster that lives as long as its `async with`."""

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        """Prepare a cluster; without a clock it follows the event loop."""
        self._settings = settings or Settings()
        self._clock = clock
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        clock = self._clock or LoopClock()
        groups = read_node_groups(settings.nodes)
        path = settings.data / _FILE if settings.data else None
        self.store = Store(path, history=settings.history_changes)
        self.registry = Registry(self.store, clock, random.Random(settings.seed))
        self.client = Client(self.registry)
        _create_namespaces(self.client)
        _create_storage_class(self.client)
        register_nodes(self.client, groups, clock)
        install_kinds(self.client, settings.operators)
        plane = build_machinery(self.client, clock, self.registry.resources, operators_of(settings.operators))
        self.api = ApiServer(self.registry, plane.kubelet, self._authorizer())
        self._running = asyncio.create_task(plane.machinery.run(), name="controllers and kubelets")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._running is not None
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running
        await self.registry.admission.close()
        self.store.close()

    def _authorizer(self) -> Authorizer | None:
        if not self._settings.rbac:
            return None
        create_default_roles(self.client)
        return Authorizer(self.registry)

    async def run(self) -> None:
        """Wait for the controllers, which end only by a fault of ours: it is raised here."""
        assert self._running is not None
        await asyncio.shield(self._running)


def _create_namespaces(client: Client) -> None:
    for name in _NAMESPACES:
        if client.get("namespaces", None, name) is None:
            client.create("namespaces", {"metadata": {"name": name}})


def _create_storage_class(client: Client) -> None:
    """Serve claims that name no class, as most clusters do."""
    if client.get("storageclasses.storage.k8s.io", None, "standard") is None:
        annotations = {"storageclass.kubernetes.io/is-default-class": "true", "sim.provision-seconds": "0.2"}
        storage = {"provisioner": "sim.csi", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}
        metadata = {"name": "standard", "annotations": annotations}
        client.create("storageclasses.storage.k8s.io", {"metadata": metadata, **storage})
