"""From switching the scheduler on to the last `PodScheduled`: 4,000 jobs of one GPU wait, 500 nodes of 8 stand empty.

The pods are real, on the simulated cluster; what integrations would say of them and of the nodes is in the journal
before the scheduler's process starts. The clock runs from that start, so it counts the process, reading the journal,
taking the lead, the plan, 4,000 bindings and as many durable reports. The ceiling: a bare client binds as many.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

from muster_contracts.subjects import Writer
from muster_scheduler.core.scenarios import facts

from benchmarks.binding import CLIENT, PATIENCE_SECONDS, Lot, Server, Told, bind_all, connected, gone, queue_of_project
from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.herd import NO_OPERATORS
from benchmarks.scenes import nodes
from benchmarks.servers import Nats, Servers

NODES = 500
GPUS = 8
FIGURE = Figure("4,000 one-GPU jobs wait, switched on to all scheduled", "s", CLIENT, more_is_better=False, target=20.0)


class SwitchedOn:
    """Runs of both sides; the scheduler runs only while its clock does."""

    def __init__(self, servers: Servers, nats: Nats, server: Server, told: Told, amount: int) -> None:
        self._servers = servers
        self._nats = nats
        self._server = server
        self._told = told
        self._amount = amount
        self._cluster = nodes(max(1, amount // GPUS), gpus=GPUS)

    async def ours(self) -> Sample:
        """Start the scheduler on what is in the journal."""
        lot = await self._server.create(self._amount, gang=1, gpus=1)
        await self._told.tell(map(facts.observed_node, self._cluster))
        await self._told.lot(lot)
        seconds = await self._seconds(lot)
        await self._told.tell(map(gone, self._cluster))
        await self._told.end(lot)
        await self._server.delete(lot.pods)
        return {FIGURE.name: seconds}

    async def _seconds(self, lot: Lot) -> float:
        end = await self._told.writing.end()
        async with asyncio.timeout(PATIENCE_SECONDS):
            began = perf_counter()
            process = await self._servers.process("scheduler", self._nats)
            await self._told.all_bound(lot.pods, end)
            seconds = perf_counter() - began
        await process.stop()
        return seconds

    async def bare(self) -> Sample:
        """Bind as many."""
        lot = await self._server.create(self._amount, gang=1, gpus=1)
        seconds = await bind_all(self._server.bind, lot.pods, [f"nowhere-{node.name}" for node in self._cluster])
        await self._server.delete(lot.pods)
        return {FIGURE.name: seconds}


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        await servers.cluster(*NO_OPERATORS)
        nats = await servers.nats()
        told = Told(await nats.journal(Writer.INTEGRATIONS), await nats.journal(Writer.SUBMITTER))
        for event in queue_of_project():
            await told.reading.append(event)
        server, _ = await connected(servers, servers.kubeconfig)
        runs = SwitchedOn(servers, nats, server, told, scaled(NODES, scale) * GPUS)
        yield Contest(runs.ours, runs.bare)


BENCHMARK = Benchmark("switched-on", [FIGURE], _open)
