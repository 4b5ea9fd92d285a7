"""How many pods a second are bound on an API server: single pods, and gangs of fifty, until the journal says so.

Alone: the scheduler's process on a journal; the pods are real, what integrations would say of them is written here, the
nodes last. The clock runs from the nodes' appearance, which makes it plan, to the last pod's `PodScheduled`, on the
disk. With the whole stack integrations, submitter and status work on the same cores, and the nodes are real as well.
The ceiling: a bare client binds as many pods over as many requests at once as the scheduler allows itself. There are
two of them, for they differ by more than Muster adds: one is the scheduler's own way to the API server and nothing
else, the other the official client as everybody would use it, which looks for proxies and a `.netrc` before every
request.

`--kubeconfig FILE` binds on any Kubernetes instead of the simulated one, without the whole stack: in the namespace
`muster-demo`, which it makes and leaves, to nodes that do not exist, so that nothing ever starts. The pods are deleted.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, Self
from uuid import UUID

from kubernetes.aio import client, config
from muster_cluster.objects import NAMESPACES, NODES, PODS
from muster_cluster.transport import ClientTransport, Request
from muster_contracts.errors import Unavailable
from muster_contracts.events import AnyEvent, NodeGone, PodGone, PodObserved, PodScheduled, WorkloadGone
from muster_contracts.names import SCHEDULER_NAME
from muster_contracts.subjects import Writer
from muster_contracts.values import PodFacts, PodMark
from muster_journal.jetstream import JetStreamJournal
from muster_scheduler.core.scenarios import facts
from muster_scheduler.core.scenarios.cases import JobCase, NodeCase

from benchmarks.events import NAMESPACE, PROJECT
from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.herd import NO_OPERATORS
from benchmarks.scenes import jobs, nodes, queues
from benchmarks.servers import Servers

PODS_BOUND = 1000
GANG = 50
AT_ONCE = 32  # as the scheduler's setting `bind_concurrency`
CLIENT = "a bare client with our transport binds as many, 32 at once"
OFFICIAL_CLIENT = "Kubernetes' Python client as it comes binds as many, 32 at once"
OFFICIAL = ", beside the official client"
SHAPES = {"single": 1, f"in gangs of {GANG}": GANG}
PATIENCE_SECONDS = 120.0
_numbers = count()


@dataclass(frozen=True, slots=True)
class Lot:
    """Pods that wait on the server, and the jobs they belong to."""

    jobs: Sequence[JobCase]
    pods: Sequence[PodFacts]

    def by_job(self) -> Iterator[tuple[JobCase, Sequence[PodFacts]]]:
        """Yield each job with its pods."""
        places = iter(self.pods)
        for job in self.jobs:
            yield job, [next(places) for _ in job.tasks]


Place = tuple[PodFacts, str]
"""A pod and the name of a node."""


class Server:
    """An API server, spoken to as barely as possible."""

    def __init__(self, transport: ClientTransport) -> None:
        self._transport = transport

    async def ask(self, method: str, path: str, body: object = None, *, accept: Sequence[int] = (200, 201)) -> Any:
        """Return the answer to one request. Raises Unavailable when its status is none of those accepted."""
        answer = await self._transport.request(Request(method, path, body=body))
        if answer.status not in accept:
            raise Unavailable(f"{method} {path} was answered {answer.status}: {answer.body[:200]!r}")
        return json.loads(answer.body)

    async def make_namespace(self) -> None:
        """Make the namespace unless it is there."""
        await self.ask("POST", NAMESPACES.path(), {"metadata": {"name": NAMESPACE}}, accept=(201, 409))

    async def create(self, amount: int, gang: int, gpus: int = 0) -> Lot:
        """Create pods that wait for our scheduler; of GPUs, which the server does not look at, the lot tells."""
        turn = next(_numbers)
        lot = [
            replace(job, name=f"{job.name}-{turn}", namespace=NAMESPACE)
            for job in jobs(PROJECT, amount // gang, gang=gang, gpus=gpus)
        ]
        waiting = [facts.pending_pod(job, index, 0, facts.START) for job in lot for index in range(gang)]
        return Lot(lot, await each(self._create, waiting))

    async def _create(self, pod: PodFacts) -> PodFacts:
        container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}}}
        spec = {"schedulerName": SCHEDULER_NAME, "restartPolicy": "Never", "containers": [container]}
        body = {"metadata": {"name": pod.name}, "spec": spec}
        metadata = (await self.ask("POST", PODS.path(NAMESPACE), body))["metadata"]
        known = {"pod_id": UUID(metadata["uid"]), "resource_version": metadata["resourceVersion"]}
        return pod.model_copy(update=known)

    async def bind(self, place: Place) -> None:
        """Bind one pod."""
        pod, node = place
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        metadata = {"name": pod.name, "namespace": NAMESPACE, "uid": str(pod.pod_id)}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        await self.ask("POST", PODS.path(NAMESPACE, pod.name, "binding"), body)

    async def delete(self, pods: Iterable[PodFacts]) -> None:
        """Delete pods at once, for no kubelet will ever see them end."""
        await each(self._delete, list(pods))

    async def _delete(self, pod: PodFacts) -> None:
        await self.ask("DELETE", PODS.path(NAMESPACE, pod.name), {"gracePeriodSeconds": 0}, accept=(200, 202, 404))

    async def add_node(self, node: NodeCase) -> None:
        """Add a node that is ready."""
        room = {"cpu": f"{node.cpu_milli}m", "memory": str(node.memory_bytes), "pods": str(node.max_pods)}
        status = {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Benchmark", "message": ""}],
        }
        await self.ask("POST", NODES.path(), {"metadata": {"name": node.name}, "status": status})

    async def remove_node(self, node: NodeCase) -> None:
        """Remove a node."""
        await self.ask("DELETE", NODES.path(name=node.name))


class OfficialClient:
    """The Python client of Kubernetes as it comes, used as its documentation shows."""

    def __init__(self, configuration: Any) -> None:
        self._client = client.ApiClient(configuration)
        self._pods = client.CoreV1Api(self._client)

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Self:
        """Read a kubeconfig."""
        configuration = client.Configuration()
        await config.load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)
        return cls(configuration)

    async def bind(self, place: Place) -> None:
        """Bind one pod; its answer is not made into an object."""
        pod, node = place
        target = client.V1ObjectReference(api_version="v1", kind="Node", name=node)
        body = client.V1Binding(metadata=client.V1ObjectMeta(name=pod.name), target=target)
        answer = await self._pods.create_namespaced_pod_binding_without_preload_content(pod.name, NAMESPACE, body)
        await answer.read()

    async def close(self) -> None:
        """Let go of its connections."""
        await self._client.close()


async def bind_all(do: Callable[[Place], Awaitable[None]], pods: Iterable[PodFacts], targets: Sequence[str]) -> float:
    """Bind pods, node by node, and return the seconds."""
    places = [(pod, targets[number % len(targets)]) for number, pod in enumerate(pods)]
    began = perf_counter()
    await each(do, places)
    return perf_counter() - began


async def each(do: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Do something with every item, so many at once as the scheduler binds, and return the results in order."""
    waiting = iter(enumerate(items))  # shared, so that each is done once
    results: dict[int, Any] = {}

    async def work() -> None:
        for number, item in waiting:
            results[number] = await do(item)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return [results[number] for number in range(len(items))]


@dataclass(frozen=True, slots=True)
class Told:
    """The journal, as somebody who writes what integrations would, and as somebody who waits for the scheduler."""

    writing: JetStreamJournal
    reading: JetStreamJournal

    async def tell(self, events: Iterable[AnyEvent]) -> None:
        """Write events, one after the other."""
        for event in events:
            await self.writing.append(event)

    async def lot(self, lot: Lot) -> None:
        """Write what there is to know of a lot."""

        async def tell(job: JobCase, pods: Sequence[PodFacts]) -> None:
            seen = PodObserved(workload_id=facts.id_of("workload", job.name), pods=tuple(pods))
            await self.tell((facts.discovered(job, facts.START), facts.formed(job, ()), seen))

        await each(lambda one: tell(*one), list(lot.by_job()))

    async def end(self, lot: Lot) -> None:
        """Write that a lot is gone, so that nobody is on the nodes when they come again."""

        async def end(job: JobCase, pods: Sequence[PodFacts]) -> None:
            workload_id = facts.id_of("workload", job.name)
            gone = PodGone(workload_id=workload_id, pods=tuple(map(_mark, pods)))
            await self.tell((gone, WorkloadGone(workload_id=workload_id, end_seen=True)))

        await each(lambda one: end(*one), list(lot.by_job()))

    async def all_seen(self, pods: Iterable[PodFacts]) -> None:
        """Wait until integrations has told of every pod."""
        missing = {pod.pod_id for pod in pods}
        async for batch in self.reading.follow(0):
            for recorded in batch.events:
                if isinstance(recorded.event, PodObserved):
                    missing -= {pod.pod_id for pod in recorded.event.pods}
            if not missing:
                return

    async def all_bound(self, pods: Iterable[PodFacts], after: int) -> None:
        """Wait until every pod is reported as bound."""
        missing = {pod.pod_id for pod in pods}
        async for batch in self.reading.follow(after):
            for recorded in batch.events:
                if isinstance(recorded.event, PodScheduled):
                    missing -= {pod.pod_id for pod in recorded.event.pods}
            if not missing:
                return


def _mark(pod: PodFacts) -> PodMark:
    return PodMark(pod_id=pod.pod_id, name=pod.name, last_phase=pod.phase)


def gone(node: NodeCase) -> NodeGone:
    """Return the event that a node is gone."""
    return NodeGone(node_id=facts.id_of("node", node.name), name=node.name)


class Alone:
    """The scheduler on a journal; we are everybody else."""

    def __init__(self, told: Told, cluster: Sequence[NodeCase]) -> None:
        self._told = told
        self.cluster = cluster

    async def seconds(self, lot: Lot) -> float:
        """Let the scheduler know the pods, then the nodes, and return how long it takes from there."""
        await self._told.lot(lot)
        end = await self._told.writing.end()
        async with asyncio.timeout(PATIENCE_SECONDS):
            began = perf_counter()
            await each(self._told.writing.append, [facts.observed_node(node) for node in self.cluster])
            await self._told.all_bound(lot.pods, end)
            seconds = perf_counter() - began
        await self._told.tell(gone(node) for node in self.cluster)
        await self._told.end(lot)
        return seconds


class Whole:
    """All services; integrations sees the pods and the nodes by itself."""

    def __init__(self, server: Server, told: Told, cluster: Sequence[NodeCase]) -> None:
        self._server = server
        self._told = told
        self.cluster = cluster

    async def seconds(self, lot: Lot) -> float:
        """Wait until the pods are known, add the nodes, and return how long it takes from there."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._told.all_seen(lot.pods)
            end = await self._told.writing.end()
            began = perf_counter()
            await each(self._server.add_node, self.cluster)
            await self._told.all_bound(lot.pods, end)
            seconds = perf_counter() - began
        await each(self._server.remove_node, self.cluster)
        return seconds


class Rounds:
    """Runs of one side; every lot is made before its clock starts and deleted afterwards."""

    def __init__(self, side: Alone | Whole, server: Server, official: OfficialClient, name: str, scale: float) -> None:
        self._side = side
        self._server = server
        self._official = official
        self._targets = [f"nowhere-{node.name}" for node in side.cluster]
        self._name = name
        self._amount = scaled(PODS_BOUND // GANG, scale) * GANG

    async def ours(self) -> Sample:
        """Let the scheduler bind; one run stands beside both clients."""
        sample: dict[str, float] = {}
        for shape, gang in SHAPES.items():
            rate = await self._rate(gang, self._side.seconds)
            sample |= dict.fromkeys((_figure(self._name, shape), _figure(self._name, shape, OFFICIAL)), rate)
        return sample

    async def bare(self) -> Sample:
        """Bind ourselves. The scheduler, which is not told of these pods or finds them bound, has nothing to do."""
        sample: dict[str, float] = {}
        for shape, gang in SHAPES.items():
            sample[_figure(self._name, shape)] = await self._rate(gang, self._by(self._server.bind))
            sample[_figure(self._name, shape, OFFICIAL)] = await self._rate(gang, self._by(self._official.bind))
        return sample

    def _by(self, bind: Callable[[Place], Awaitable[None]]) -> Callable[[Lot], Awaitable[float]]:
        return lambda lot: bind_all(bind, lot.pods, self._targets)

    async def _rate(self, gang: int, seconds: Callable[[Lot], Awaitable[float]]) -> float:
        lot = await self._server.create(self._amount, gang)
        rate = self._amount / await seconds(lot)
        await self._server.delete(lot.pods)
        return rate


def _figure(name: str, shape: str, against: str = "") -> str:
    return f"bound, {shape}, {name}{against}"


def _cluster() -> list[NodeCase]:
    return nodes(PODS_BOUND // 50, gpus=0)


async def connected(servers: Servers, kubeconfig: Path) -> tuple[Server, OfficialClient]:
    """Connect, and make the namespace."""
    transport = await ClientTransport.connect(kubeconfig)
    servers.cleanup.push_async_callback(transport.close)
    official = await OfficialClient.connect(kubeconfig)
    servers.cleanup.push_async_callback(official.close)
    server = Server(transport)
    await server.make_namespace()
    return server, official


def queue_of_project() -> Iterator[AnyEvent]:
    """Return the events that make the project known whose pods are bound."""
    return facts.organisation(queues({PROJECT: None}))


@asynccontextmanager
async def _alone(servers: Servers, kubeconfig: Path, scale: float) -> AsyncIterator[Contest]:
    nats = await servers.nats()
    told = Told(await nats.journal(Writer.INTEGRATIONS), await nats.journal(Writer.SUBMITTER))
    for event in queue_of_project():
        await told.reading.append(event)
    server, official = await connected(servers, kubeconfig)
    await servers.service("scheduler", nats, kubeconfig=str(kubeconfig))
    rounds = Rounds(Alone(told, _cluster()), server, official, "scheduler and journal", scale)
    yield Contest(rounds.ours, rounds.bare)


@asynccontextmanager
async def _on_simulated(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        await servers.cluster(*NO_OPERATORS)
        async with _alone(servers, servers.kubeconfig, scale) as contest:
            yield contest


def on(kubeconfig: Path) -> Benchmark:
    """Return the benchmark of the scheduler alone, on a Kubernetes of somebody's."""

    @asynccontextmanager
    async def opened(scale: float) -> AsyncIterator[Contest]:
        async with Servers.open() as servers, _alone(servers, kubeconfig, scale) as contest:
            yield contest

    return replace(BENCHMARK, open=opened)


@asynccontextmanager
async def _whole(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        (servers.folder / "nodes.yaml").write_text("- {name: none, count: 0}", encoding="utf-8")
        await servers.cluster(*NO_OPERATORS, "--nodes", str(servers.folder / "nodes.yaml"))
        nats, postgres = await servers.nats(), await servers.postgres()
        journal = await nats.journal(Writer.SUBMITTER)
        for event in queue_of_project():
            await journal.append(event)
        server, official = await connected(servers, servers.kubeconfig)
        for name in ("submitter", "integrations", "scheduler"):
            await servers.service(name, nats)
        await servers.service("status", nats, postgres_dsn=postgres.dsn("muster"))
        side = Whole(server, Told(journal, journal), _cluster())
        rounds = Rounds(side, server, official, "whole stack", scale)
        yield Contest(rounds.ours, rounds.bare)


def _figures(name: str, target_ratio: float) -> list[Figure]:
    ours = [Figure(_figure(name, shape), "pods/s", CLIENT) for shape in SHAPES]
    beside = [
        Figure(_figure(name, shape, OFFICIAL), "pods/s", OFFICIAL_CLIENT, target_ratio=target_ratio) for shape in SHAPES
    ]
    return ours + beside


BENCHMARK = Benchmark("binding", _figures("scheduler and journal", target_ratio=0.7), _on_simulated)
WHOLE = Benchmark("binding-whole-stack", _figures("whole stack", target_ratio=0.35), _whole)
