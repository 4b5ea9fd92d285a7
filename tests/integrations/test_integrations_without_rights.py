"""What integrations says of itself while the API server does not let it look, and that it goes on once it may."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import msgspec
from cluster.in_process import InProcessTransport
from muster_chassis.clock import LoopClock
from muster_chassis.health import Condition, LoopHealth
from muster_chassis.service import run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.transport import Answer, Request, Stream, Transport
from muster_contracts.subjects import Writer
from muster_integrations.app import Ports, build
from muster_integrations.settings import IntegrationsSettings
from muster_journal.memory import MemoryJournal, MemoryLog
from simcluster.clock import LoopClock as ClusterClock
from simcluster.cluster import Cluster
from simcluster.settings import Settings as ClusterSettings
from simulation.virtual_time import run_in_virtual_time

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTES = 60.0


class WithoutRights:
    """A transport whose user may look at no pods until `rights` are given."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.rights = False

    async def request(self, request: Request) -> Answer:
        if request.path.endswith("/pods") and not self.rights:
            return Answer(403, msgspec.json.encode({"code": 403, "message": "pods is forbidden"}))
        return await self._inner.request(request)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream, None]:
        async with self._inner.stream(request) as stream:
            yield stream

    async def close(self) -> None:
        await self._inner.close()


async def without_and_with_rights() -> tuple[LoopHealth, bool]:
    """Return how the loop of the pods fares after ten minutes without rights, and whether all is well with them."""
    async with Cluster(ClusterSettings(seed=1), ClusterClock(START)) as simulated:
        transport = WithoutRights(InProcessTransport(simulated.api))
        journal = MemoryJournal(MemoryLog(), Writer.INTEGRATIONS, LoopClock(START).now)
        service = build(IntegrationsSettings(), Ports(journal, KubernetesCluster(transport), Random(1)))
        loops = asyncio.create_task(run_loops(service))
        await asyncio.sleep(10 * MINUTES)
        pods = replace(service.health.loops["watch pods"])
        transport.rights = True
        await asyncio.sleep(2 * MINUTES)
        well = service.health.well
        loops.cancel()
        await asyncio.gather(loops, return_exceptions=True)
        return pods, well


def test_a_reader_that_lacks_rights_says_so_and_goes_on_once_it_has_them() -> None:
    pods, well_in_the_end = run_in_virtual_time(without_and_with_rights)
    assert pods.condition is Condition.WAITING
    assert pods.reason.endswith("times in a row, the last time with: pods is forbidden")
    assert well_in_the_end
