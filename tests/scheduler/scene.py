"""The scheduler on a journal and a simulated cluster, and what happens to both from outside."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeVar
from uuid import UUID

from cluster.in_process import InProcessTransport
from muster_chassis.service import Service, run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import PODS, Pod
from muster_cluster.transport import Answer, Request
from muster_contracts import events as e
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_contracts.values import GpuRequest, PlacementRules, PodFacts, Resources
from muster_contracts.wire import Recorded
from muster_journal.checkpoints import Checkpoints
from muster_journal.connection import Login
from muster_journal.leases import Leases
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.memory_leases import MemoryLeases
from muster_journal.port import Journal
from muster_scheduler.app import Ports, build
from muster_scheduler.settings import SchedulerSettings
from scheduler.worlds import id_of
from simcluster.api import ApiServer
from simcluster.cluster import Cluster

Kind = TypeVar("Kind", bound=e.Event)

NAMESPACE = "muster-demo"


class GatedTransport(InProcessTransport):
    """Holds bindings back while its gate is closed: the moment between the decision and the deed.

    `forbidden` counts down how often requests that hold the given text ("GET", "/binding") are still refused, `broken`
    how often they are lost, `unanswered` how often their answers are, `conflicting` how often they meet a conflict that
    passes; `asked` is what was asked for so far.
    """

    def __init__(self, api: ApiServer) -> None:
        super().__init__(api)
        self.gate = asyncio.Event()
        self.gate.set()
        self.reached = asyncio.Event()
        self.forbidden: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.conflicting: Counter[str] = Counter()
        self.asked: list[str] = []

    async def request(self, request: Request) -> Answer:
        self.asked.append(f"{request.method} {request.path}")
        if request.path.endswith("/binding"):
            self.reached.set()
            await self.gate.wait()
        if self._strikes(self.broken, request):
            raise Unavailable("the request was lost")
        if self._strikes(self.forbidden, request):
            return Answer(403, b'{"kind": "Status", "message": "not now", "code": 403}')
        if self._strikes(self.conflicting, request):
            return Answer(409, b'{"kind": "Status", "message": "just now", "code": 409}')
        answer = await super().request(request)
        if self._strikes(self.unanswered, request):
            raise Unavailable("the answer was lost")
        return answer

    def _strikes(self, troubles: Counter[str], request: Request) -> bool:
        for text in troubles:
            if text in f"{request.method} {request.path}" and troubles[text] > 0:
                troubles[text] -= 1
                return True
        return False


_PLAN = {
    "cluster_id": id_of("cluster"),
    "plan_id": id_of("plan"),
    "based_on": 1,
    "epoch": 0,
    "planner_version": "test",
    "settings_digest": "test",
    "step_limit": 1,
}


class Scene:
    """A cluster with one pending pod for each name, its facts in the journal, and schedulers to be started on it."""

    def __init__(self, cluster: Cluster, journals: Callable[[Writer], Journal] | None = None) -> None:
        self.simulated = cluster
        self.transport = GatedTransport(cluster.api)
        self.cluster = KubernetesCluster(self.transport)
        self.log = MemoryLog()
        self.leases = MemoryLeases()
        self.checkpoints: Checkpoints = MemoryCheckpoints()
        self.journal = journals or self._memory_journal
        self.observer = self.journal(Writer.INTEGRATIONS)
        self._running: list[asyncio.Task[None]] = []

    def _memory_journal(self, writer: Writer) -> Journal:
        return MemoryJournal(self.log, writer, lambda: datetime.now(UTC))

    async def observe(
        self,
        gang: str,
        size: int,
        *,
        gpus: int = 1,
        minimum: int | None = None,
        priority: str = "train",
        spec: Mapping[str, object] | None = None,
        rules: PlacementRules | None = None,
    ) -> None:
        """Create the pods of a gang, and tell of them; `rules` are the first one's."""
        for i in range(size):
            self.simulated.client.create("pods", manifest(f"{gang}-{i}", gpus, **spec or {}))
        pods = [self.facts(f"{gang}-{i}", gang, gpus=gpus) for i in range(size)]
        pods[0] = pods[0].model_copy(update={"rules": rules})
        await self.form(gang, minimum or size, pods, priority)

    async def form(self, gang: str, minimum: int, pods: list[PodFacts], priority: str = "train") -> None:
        """Tell of a gang of pods that were seen."""
        workload_id, group_id = id_of(f"workload/{gang}"), id_of(f"group/{gang}")
        await self.observer.append(
            e.PodGroupFormed(
                workload_id=workload_id,
                pod_group_id=group_id,
                name=gang,
                min_members=minimum,
                priority_class=priority,
            )
        )
        await self.observer.append(e.PodObserved(workload_id=workload_id, pods=tuple(pods)))

    def facts(self, name: str, gang: str, *, gpus: int = 1) -> PodFacts:
        """Return what is to be seen of a pod now."""
        return _facts(self.simulated.client.get("pods", NAMESPACE, name), id_of(f"group/{gang}"), gpus)

    async def run_on_a_node(
        self, gang: str, size: int, spec: Mapping[str, object] | None = None, **more: object
    ) -> list[PodFacts]:
        """Put a gang on a node as if it had always been there, and return its pods."""
        await self.observe(gang, size, spec=spec)
        for i in range(size):
            self.put_on_node(f"{gang}-{i}", "pool-a-0")
        pods = [self.facts(f"{gang}-{i}", gang).model_copy(update=more) for i in range(size)]
        await self.observer.append(e.PodObserved(workload_id=id_of(f"workload/{gang}"), pods=tuple(pods)))
        return pods

    def put_on_node(self, name: str, node_name: str) -> None:
        """Bind a pod as somebody else does."""
        binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node_name}}
        self.simulated.registry.bind(NAMESPACE, name, binding)

    async def until_ready(self, name: str) -> None:
        """Wait until the kubelet says that a pod is ready."""
        page = await self.cluster.list_page(PODS, namespace=NAMESPACE)
        pods = {pod.metadata.name: pod for pod in page.items}
        async with aclosing(self.cluster.watch(PODS, resource_version=page.resource_version)) as changes:
            while not _is_ready(pods[name]):
                pods |= {change.item.metadata.name: change.item for change in await anext(changes) if change.item}

    async def decide(self, journal: Journal | None = None, **decided: object) -> e.PlanMade:
        """Write a plan as an earlier leader, which is now gone, did."""
        made = e.PlanMade.model_validate({**_PLAN, **decided})
        await (journal or self.journal(Writer.SCHEDULER)).append(made)
        return made

    def start_scheduler(
        self,
        *,
        leases: Leases | None = None,
        cluster: KubernetesCluster | None = None,
        asking: Login | None = None,
        **settings: object,
    ) -> Service:
        ports = Ports(
            journal=self.journal(Writer.SCHEDULER),
            leases=leases or self.leases,
            cluster=cluster or self.cluster,
            cluster_id=id_of("cluster"),
            random=Random(1),
            asking=asking,
            checkpoints=self.checkpoints,
        )
        service = build(SchedulerSettings.model_validate(settings), ports)
        self._running.append(asyncio.create_task(run_loops(service)))
        return service

    async def kill_schedulers(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    async def events(self) -> list[e.AnyEvent]:
        return [recorded.event for recorded in await self.history()]

    async def history(self) -> list[Recorded]:
        """Return what is in the journal by now."""
        history: list[Recorded] = []
        async for batch in self.journal(Writer.STATUS).follow(0):
            history += batch.events
            if batch.caught_up:
                return history
        raise AssertionError("a follower never ends")

    async def until(self, holds: Callable[[list[e.AnyEvent]], bool]) -> list[e.AnyEvent]:
        async with asyncio.timeout(20):
            async for _ in self.journal(Writer.STATUS).follow(0):
                if holds(events := await self.events()):
                    return events
        raise AssertionError("a follower never ends")


def _is_ready(pod: Pod) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions)


def manifest(name: str, gpus: int, **more: object) -> dict[str, object]:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}, "requests": {"cpu": "1", "memory": "1Gi"}}
    container = {"name": "main", "image": "x", "resources": resources}
    spec = {"schedulerName": "muster-scheduler", "restartPolicy": "Never", "containers": [container], **more}
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def _facts(pod: dict[str, dict[str, str]] | None, group_id: UUID, gpus: int) -> PodFacts:
    assert pod is not None
    return PodFacts(
        pod_id=UUID(pod["metadata"]["uid"]),
        name=pod["metadata"]["name"],
        namespace=NAMESPACE,
        pod_group_id=group_id,
        scheduler_name="muster-scheduler",
        resource_version=pod["metadata"]["resourceVersion"],
        created_at=datetime.now(UTC) - timedelta(seconds=1),
        node=pod["spec"].get("nodeName", ""),
        requests=Resources(cpu_milli=1000, memory_bytes=1024**3, gpu_millionths=gpus * 1_000_000),
        gpu=GpuRequest(devices=gpus),
    )


def of_type(events: list[e.AnyEvent], kind: type[Kind]) -> list[Kind]:
    return [event for event in events if isinstance(event, kind)]


def scheduled(count: int) -> Callable[[list[e.AnyEvent]], bool]:
    return lambda events: sum(len(event.pods) for event in events if isinstance(event, e.PodScheduled)) == count
