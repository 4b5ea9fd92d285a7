"""How fast what is there is recognised after a start: 10,000 pods and their owners, listed once.

*Resolved* is the service's own watches, mirror and recognisers in this process, from the first question to the last
workload described; what the server needs to answer is subtracted, measured a moment before. *In the journal* is the
service's process on an empty journal, from its start until the last pod's `PodObserved`, its memory what it occupies
then. The ceilings: the same pages are read and thrown away; in the journal, nats-py writes the same events besides; in
memory, the pages as the bytes they are.

`recognition-large` is the same with 50,000 pods.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter

from muster_chassis.health import Health
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import PODS
from muster_cluster.transport import ClientTransport, Request
from muster_contracts.events import AnyEvent, PodObserved
from muster_contracts.subjects import Writer
from muster_integrations.handlers import Recorder
from muster_integrations.watching import Watches
from muster_journal.jetstream import JetStreamJournal
from muster_journal.memory import MemoryJournal, MemoryLog

from benchmarks.events import project
from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.herd import NO_OPERATORS, PODS_PER_OWNER, PYTORCH_JOB, RAY_CLUSTER, RAY_JOB, create_herd, objects_for
from benchmarks.servers import Nats, Servers

PAGE = 500
PATIENCE_SECONDS = 300.0
LISTS = (PODS.path(""), *(f"/apis/{kind.group}/v1/{kind.plural}" for kind in (PYTORCH_JOB, RAY_JOB, RAY_CLUSTER)))
CONTINUE = re.compile(rb'"continue":"([^"]+)"')


class Start:
    """A herd on a server, and both ways to look at it for the first time."""

    def __init__(self, servers: Servers, pods: int, size: str) -> None:
        self._servers = servers
        self._pods = pods
        self._size = size
        self._written: list[AnyEvent] = []

    async def ours(self) -> Sample:
        """Resolve, then start the service."""
        server_seconds, _ = await _read_pages(self._servers.kubeconfig)
        resolved = await _resolve(self._servers.kubeconfig, self._pods) - server_seconds
        in_journal, memory_mb = await self._start_service()
        return self._sample(resolved, in_journal, memory_mb)

    async def bare(self) -> Sample:
        """Read the pages, and write what the service wrote."""
        server_seconds, size_bytes = await _read_pages(self._servers.kubeconfig)
        written = await _publish(await self._servers.nats(), self._written)
        return self._sample(server_seconds, server_seconds + written, size_bytes / 1_000_000)

    def _sample(self, resolved: float, in_journal: float, memory_mb: float) -> Sample:
        values = (resolved, objects_for(self._pods) / resolved, in_journal, memory_mb)
        return dict(zip((figure.name for figure in figures(self._size)), values, strict=True))

    async def _start_service(self) -> tuple[float, float]:
        nats = await self._servers.nats()
        journal = await nats.journal(Writer.SUBMITTER)
        await journal.append(project(), expected=0)
        began = perf_counter()
        complete = asyncio.create_task(_follow(journal, self._pods))
        service = await self._servers.process("integrations", nats)
        async with asyncio.timeout(PATIENCE_SECONDS):
            self._written = await complete
        seconds, memory_mb = perf_counter() - began, service.memory_mb
        await service.stop()
        return seconds, memory_mb


async def _read_pages(kubeconfig: Path) -> tuple[float, int]:
    """Return the seconds and the bytes of all lists, undecoded."""
    transport = await ClientTransport.connect(kubeconfig)
    began = perf_counter()
    size_bytes = 0
    for path in LISTS:
        following: str | None = ""
        while following is not None:
            query = {"limit": str(PAGE)} | ({"continue": following} if following else {})
            body = (await transport.request(Request("GET", path, query))).body
            size_bytes += len(body)
            found = CONTINUE.search(body, 0, 1000)
            following = found[1].decode() if found else None
    seconds = perf_counter() - began
    await transport.close()
    return seconds, size_bytes


async def _resolve(kubeconfig: Path, pods: int) -> float:
    """Return the seconds until every workload is described, of which nothing is written."""
    began = perf_counter()
    async with listed(kubeconfig) as recorder:
        described = [recorder.mirror.seen_workload(workload_id) for workload_id in recorder.mirror.workload_ids]
        seconds = perf_counter() - began
    assert sum(len(seen.pods) for seen in described if seen is not None) == pods, "pods are missing"
    return seconds


@asynccontextmanager
async def listed(kubeconfig: Path) -> AsyncIterator[Recorder]:
    """List everything into a recorder that writes nothing, and watch on as long as the block lasts."""
    cluster = await KubernetesCluster.connect(kubeconfig)
    journal = MemoryJournal(MemoryLog(), Writer.INTEGRATIONS, partial(datetime.now, UTC))
    recorder = Recorder(journal, random=Random(1), owner_wait_seconds=2.0, append_concurrency=1)
    recorder.fold.follow(1, project())
    recorder.progress.advance(1, caught_up=True)
    watching = asyncio.create_task(Watches(cluster, recorder, Health("benchmark"), Random(1), PAGE).run())
    await recorder.know_the_ground()
    try:
        yield recorder
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await cluster.close()


async def _follow(journal: JetStreamJournal, pods: int) -> list[AnyEvent]:
    """Read until so many pods were observed, and return all events."""
    events: list[AnyEvent] = []
    observed: set[str] = set()
    async for batch in journal.follow(0):
        for recorded in batch.events:
            events.append(recorded.event)
            if isinstance(recorded.event, PodObserved):
                observed.update(facts.name for facts in recorded.event.pods)
        if len(observed) >= pods:
            break
    return events


async def _publish(nats: Nats, events: list[AnyEvent]) -> float:
    bodies = [event.model_dump_json().encode() for event in events]
    context = (await nats.client()).jetstream(publish_async_max_pending=512)
    began = perf_counter()
    await asyncio.gather(*[await context.publish_async("bare.event", body) for body in bodies])
    return perf_counter() - began


def figures(size: str, targets: Sequence[float | None] = (None, None, None)) -> list[Figure]:
    """Return the lines of the table for so many pods; the targets are of what is resolved, journal and memory."""
    resolved, in_journal, memory = targets
    read, written, pages = "the pages read and thrown away", "the pages, and nats-py writes", "the pages as bytes"
    start = f"cold start of {size} pods"
    return [
        Figure(f"{start}, resolved", "s", read, more_is_better=False, target=resolved),
        Figure(f"{start}, objects recognised", "objects/s", read),
        Figure(f"{start}, in the journal", "s", written, more_is_better=False, target=in_journal),
        Figure(f"memory of integrations at {size} pods", "MB", pages, more_is_better=False, target=memory),
    ]


def _opening(pods: int, size: str) -> Callable[[float], AbstractAsyncContextManager[Contest]]:
    @asynccontextmanager
    async def opened(scale: float) -> AsyncIterator[Contest]:
        amount = scaled(pods // PODS_PER_OWNER, scale, 2) * PODS_PER_OWNER
        async with Servers.open() as servers:
            await create_herd(await servers.cluster(*NO_OPERATORS), amount)
            start = Start(servers, amount, size)
            yield Contest(start.ours, start.bare)

    return opened


BENCHMARK = Benchmark("recognition", figures("10,000", targets=(5.0, 15.0, 300.0)), _opening(10_000, "10,000"))
LARGE = Benchmark("recognition-large", figures("50,000"), _opening(50_000, "50,000"), runs=1)
