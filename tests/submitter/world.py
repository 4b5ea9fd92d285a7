"""A submitter on real HTTP, with a journal in memory (or another one) and a simulated cluster in the same process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
import uvicorn
from cluster.in_process import InProcessTransport
from muster_chassis.clock import Clock, SystemClock
from muster_chassis.service import Service, open_port, run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts.events import AnyEvent
from muster_contracts.subjects import Writer
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.port import Journal
from muster_submitter.adapters.memory_bus import MemoryBus
from muster_submitter.app import Ports, build
from muster_submitter.settings import SubmitterSettings
from simcluster.cluster import Cluster as SimulatedCluster
from simcluster.settings import Settings as SimulatedSettings

SECONDS = 20.0


async def until(holds: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until something is truthy and return it."""
    async with asyncio.timeout(seconds):
        while True:
            if found := holds():
                return found
            await asyncio.sleep(0.01)


@dataclass
class Submitter:
    """A running submitter and what it works with."""

    client: httpx.AsyncClient
    service: Service
    tasks: list[asyncio.Task[Any]]

    async def submit(self, name: str = "hello", *, kind: str = "trainings", **fields: Any) -> httpx.Response:
        body = {"name": name, "project": "demo", "spec": {"image": "python:3.12"}} | fields
        return await self.client.post(f"/api/v1/workloads/{kind}", json=body)

    async def create_project(self, name: str = "demo", **fields: Any) -> httpx.Response:
        return await self.client.post("/api/v1/projects", json={"name": name} | fields)

    async def kill(self) -> None:
        """End everything at once, wherever it is."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def running(service: Service) -> AsyncIterator[Submitter]:
    """Run the loops of a service, and its HTTP on a free port."""
    listening = open_port("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(service.api, log_config=None, access_log=False, lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve([listening]))
    loops = asyncio.create_task(run_loops(service))
    host, port = listening.getsockname()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=30) as client:
        submitter = Submitter(client, service, [loops])
        await until(lambda: server.started)
        try:
            yield submitter
        finally:
            await submitter.kill()
            server.should_exit = server.force_exit = True  # requests that hang on a killed loop hang for ever
            await serving


class World:
    """A journal, a cluster, and any number of submitters on them one after the other."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.log = MemoryLog()
        self.simulated = cluster
        self.kubernetes = KubernetesCluster(InProcessTransport(cluster.api))
        self.clock: Clock = SystemClock()

    def journal(self, writer: Writer = Writer.SUBMITTER) -> MemoryJournal:
        return MemoryJournal(self.log, writer, self.clock.now)

    def service(self, *, journal: Journal | None = None, cluster: Any = None, **settings: Any) -> Service:
        bus = MemoryBus(self.clock)
        ports = Ports(journal or self.journal(), cluster or self.kubernetes, self.clock, Random(7), bus)
        return build(SubmitterSettings(**settings), ports)

    def job(self, name: str = "hello", namespace: str = "muster-demo") -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.simulated.client.get("jobs.batch", namespace, name)
        return found

    def namespace(self, name: str = "muster-demo") -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.simulated.client.get("namespaces", None, name)
        return found

    async def events(self, kind: type[Any] | None = None) -> list[Any]:
        """Return everything in the journal, or all of one type."""
        from muster_journal.reading import recorded

        every: list[AnyEvent] = [recorded(message).event for message in self.log.after(0, self.log.end)]
        return [event for event in every if kind is None or isinstance(event, kind)]


@contextlib.asynccontextmanager
async def new_world() -> AsyncIterator[World]:
    """Make a world with the default nodes."""
    async with SimulatedCluster(SimulatedSettings(seed=1)) as cluster:
        yield World(cluster)
