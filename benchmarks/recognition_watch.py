"""How fast a change of a pod is told: 500 changes a second reach the journal, and how many could be taken at most.

*Told* is the service's own process: a pod's status is patched, and the clock runs from before the patch until a reader
of the journal has its `PodObserved`, which is on the disk then. The ceiling sees the same patches in a raw watch,
publishes each line as it is, and reads it back. *Recognised* is this process alone: pods as JSON are decoded, taken
into the mirror, described, compared and folded, one change at a time; its ceiling is the decoding.

Ours and the ceiling have a cluster each, so that the service does not work for the ceiling's changes as well.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec
from muster_cluster.objects import PODS, Pod
from muster_cluster.reflector import Batch, Delta
from muster_cluster.transport import ClientTransport, Request
from muster_contracts.errors import Unavailable
from muster_contracts.events import PodObserved
from muster_contracts.subjects import Writer
from muster_integrations.handlers import Recorder, missing_events
from muster_journal.jetstream import JetStreamJournal
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from benchmarks.events import project
from benchmarks.harness import Benchmark, Contest, Figure, Sample, percentile, scaled
from benchmarks.herd import NO_OPERATORS, PODS_PER_OWNER, create_herd
from benchmarks.herd import PODS as PODS_PATH
from benchmarks.http_client import Connection, connected, request
from benchmarks.recognition import listed
from benchmarks.servers import Servers

PODS_THERE = 10_000
CHANGES = 2_000
PER_SECOND = 500
CONNECTIONS = 16
SUBJECT = "bare.pods"
RECOGNISED = "watch, pods recognised"
TOLD = "pod change to PodObserved, 500/s"
RAW = "raw watch, published and read back"
PATIENCE_SECONDS = 60.0
MERGE = "application/merge-patch+json"


class Arrivals:
    """When the changes of pods were sent, and how long each took to arrive."""

    def __init__(self) -> None:
        self._sent: dict[str, float] = {}
        self._latencies: list[float] = []
        self._all_arrived = asyncio.Event()

    def expect(self, names: Sequence[str]) -> None:
        """Begin anew, with changes of these pods."""
        self._sent = dict.fromkeys(names, 0.0)
        self._latencies = []
        self._all_arrived.clear()

    def sent(self, name: str) -> None:
        """Note that a change is sent now."""
        self._sent[name] = perf_counter()

    def arrived(self, name: str) -> None:
        """Note that a pod was told of; what was not sent, or has arrived already, is passed over."""
        if sent := self._sent.pop(name, 0.0):
            self._latencies.append((perf_counter() - sent) * 1000)
        if not self._sent:
            self._all_arrived.set()

    async def milliseconds(self) -> list[float]:
        """Wait until all have arrived, and return how long each took."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._all_arrived.wait()
        return self._latencies


class Side:
    """A cluster with a herd, where pods are changed at an even pace, and what is heard of it."""

    def __init__(self, url: str, names: Sequence[str]) -> None:
        self.arrivals = Arrivals()
        self.names = Random(1).sample(names, len(names))  # so that neighbours are of different workloads
        self._url = url
        self._ready = False

    async def run(self, amount: int) -> list[float]:
        """Let so many pods be ready, or no longer, and return after how many milliseconds each was told."""
        self._ready = not self._ready
        self.arrivals.expect(self.names[:amount])
        waiting = iter(enumerate(self.names[:amount]))
        began = perf_counter()

        async def work(connection: Connection) -> None:
            for number, name in waiting:
                await asyncio.sleep(began + number / PER_SECOND - perf_counter())
                self.arrivals.sent(name)
                answer = await connection.ask(_patch(name, ready=self._ready))
                if answer.status != 200:
                    raise Unavailable(f"A patch was answered {answer.status}: {answer.body[:200]!r}")

        async with connected(self._url, CONNECTIONS) as connections:
            await asyncio.gather(*(work(connection) for connection in connections))
        return await self.arrivals.milliseconds()


def _patch(name: str, *, ready: bool) -> bytes:
    """Return the request that says of a pod whether it is ready."""
    condition = {"type": "Ready", "status": str(ready)}
    return request("PATCH", f"{PODS_PATH}/{name}/status", {"status": {"conditions": [condition]}}, MERGE)


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    pods = scaled(PODS_THERE // PODS_PER_OWNER, scale, 4) * PODS_PER_OWNER
    changes = min(scaled(CHANGES, scale, 20), pods)
    async with Servers.open() as servers, Servers.open() as bare_servers:
        told, raw = await _told(servers, pods), await _raw(bare_servers, pods)
        async with listed(bare_servers.kubeconfig) as recorder:
            bodies = await _bodies(bare_servers)
        recognition = Recognition(recorder)  # which nobody shows anything any more but we

        async def ours() -> Sample:
            return _sample(await recognition.per_second(bodies), await told.run(changes))

        async def bare() -> Sample:
            return _sample(_decoded_per_second(bodies), await raw.run(changes))

        yield Contest(ours, bare)


def _sample(per_second: float, latencies: Sequence[float]) -> Sample:
    return {RECOGNISED: per_second} | {f"{TOLD}, p{percent}": percentile(latencies, percent) for percent in (50, 99)}


# ------------------------------------------------------------ told


async def _told(servers: Servers, pods: int) -> Side:
    """Start the service on a herd, and wait until it has told of every pod."""
    url = await servers.cluster(*NO_OPERATORS)
    side = Side(url, await create_herd(url, pods))
    side.arrivals.expect(side.names)
    nats = await servers.nats()
    journal = await nats.journal(Writer.SUBMITTER)
    await journal.append(project(), expected=0)
    hearing = asyncio.create_task(_hear_events(journal, side.arrivals))
    servers.cleanup.callback(hearing.cancel)
    await servers.process("integrations", nats)
    await side.arrivals.milliseconds()
    return side


async def _hear_events(journal: JetStreamJournal, arrivals: Arrivals) -> None:
    async for batch in journal.follow(0):
        for recorded in batch.events:
            if isinstance(recorded.event, PodObserved):
                for facts in recorded.event.pods:
                    arrivals.arrived(facts.name)


class _Named(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    metadata: _Named


class _Line(msgspec.Struct):
    object: _Object


async def _raw(servers: Servers, pods: int) -> Side:
    """Watch a herd, publish what is seen as it is, and read it back."""
    url = await servers.cluster(*NO_OPERATORS)
    side = Side(url, await create_herd(url, pods))
    context = (await (await servers.nats()).client()).jetstream(publish_async_max_pending=512)

    async def hear(message: Msg) -> None:
        side.arrivals.arrived(msgspec.json.decode(message.data, type=_Line).object.metadata.name)

    await context.subscribe(SUBJECT, cb=hear, ordered_consumer=True)
    transport, opened = await ClientTransport.connect(servers.kubeconfig), asyncio.Event()
    servers.cleanup.push_async_callback(transport.close)
    watching = asyncio.create_task(_publish_lines(transport, context, opened))
    servers.cleanup.callback(watching.cancel)
    await opened.wait()
    return side


async def _publish_lines(transport: ClientTransport, context: JetStreamContext, opened: asyncio.Event) -> None:
    begin = json.loads((await transport.request(Request("GET", PODS.path(""), {"limit": "1"}))).body)
    query = {"watch": "true", "resourceVersion": begin["metadata"]["resourceVersion"]}
    rest = b""
    async with transport.stream(Request("GET", PODS.path(""), query, timeout_seconds=None)) as stream:
        opened.set()
        async for chunk in stream.chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await context.publish_async(SUBJECT, line)


# ------------------------------------------------------------ recognised


class Recognition:
    """The service's mirror and fold, to which pods are shown again and again."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._positions = count(2)  # after the project
        self._versions = count(10**9)  # after whatever the server has given
        for workload_id in list(recorder.mirror.workload_ids):
            self._write(workload_id)

    async def per_second(self, bodies: Sequence[bytes]) -> float:
        """Show every pod at another version, and return how many were recognised in a second."""
        seconds, events = 0.0, 0
        for body in bodies:
            shown = _changed(body, next(self._versions))
            began = perf_counter()
            events += self._show(msgspec.json.decode(shown, type=Pod))
            seconds += perf_counter() - began
            await asyncio.sleep(0)  # whoever reads the journal must not starve meanwhile
        assert events == len(bodies), f"{events} events came of {len(bodies)} changes"
        return len(bodies) / seconds

    def _show(self, pod: Pod) -> int:
        mirror = self._recorder.mirror
        old = mirror.by_uid(pod.metadata.uid)
        assert old is not None, "the pod was listed"
        self._recorder.take(PODS, Batch([Delta(old.item, pod)]))
        place = mirror.place_of(pod.metadata.uid)
        assert isinstance(place, UUID), f"the pod is {place}"
        return self._write(place)

    def _write(self, workload_id: UUID) -> int:
        events = missing_events(self._recorder.fold, self._recorder.mirror, workload_id)
        for event in events:
            self._recorder.fold.apply(next(self._positions), event)
        return len(events)


def _changed(body: bytes, version: int) -> bytes:
    pod: dict[str, Any] = json.loads(body)
    pod["metadata"]["resourceVersion"] = str(version)
    return json.dumps(pod).encode()


async def _bodies(servers: Servers) -> list[bytes]:
    """Return the pods of the cluster, each as JSON."""
    transport = await ClientTransport.connect(servers.kubeconfig)
    answer = await transport.request(Request("GET", PODS.path("")))
    await transport.close()
    return [json.dumps(item).encode() for item in json.loads(answer.body)["items"]]


def _decoded_per_second(bodies: Sequence[bytes]) -> float:
    began = perf_counter()
    for body in bodies:
        msgspec.json.decode(body, type=Pod)
    return len(bodies) / (perf_counter() - began)


BENCHMARK = Benchmark(
    "recognition-watch",
    [
        Figure(RECOGNISED, "pods/s", "msgspec decodes the same pods"),
        Figure(f"{TOLD}, p50", "ms", RAW, more_is_better=False),
        Figure(f"{TOLD}, p99", "ms", RAW, more_is_better=False, target=150.0),
    ],
    _open,
)
