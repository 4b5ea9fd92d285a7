"""The scheduler on a journal and a simulated cluster: it binds what it promised, whatever happens in between."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from cluster.in_process import InProcessTransport
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_chassis.service import Service, run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import PODS
from muster_cluster.transport import Answer, Request
from muster_contracts import events as e
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_contracts.values import GpuRequest, Placement, PodFacts, Resources
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_scheduler.app import Ports, build
from muster_scheduler.core.plan import Plan
from muster_scheduler.planning import ENTRIES_PER_PART, Planning, _parts
from muster_scheduler.settings import SchedulerSettings
from scheduler.worlds import id_of, node
from simcluster.api import ApiServer
from simcluster.cluster import Cluster
from simcluster.settings import Settings

NAMESPACE = "muster-demo"


class GatedTransport(InProcessTransport):
    """Holds bindings back while its gate is closed: the moment between the decision and the deed."""

    def __init__(self, api: ApiServer) -> None:
        super().__init__(api)
        self.gate = asyncio.Event()
        self.gate.set()
        self.forbidden_reads = 0

    async def request(self, request: Request) -> Answer:
        if request.path.endswith("/binding"):
            await self.gate.wait()
        if request.method == "GET" and self.forbidden_reads:
            self.forbidden_reads -= 1
            return Answer(403, b'{"kind": "Status", "message": "not now", "code": 403}')
        return await super().request(request)


class Scene:
    """A cluster with one pending pod for each name, its facts in the journal, and schedulers to be started on it."""

    def __init__(self, cluster: Cluster) -> None:
        self.simulated = cluster
        self.transport = GatedTransport(cluster.api)
        self.cluster = KubernetesCluster(self.transport)
        self.log = MemoryLog()
        self.observer = self._journal(Writer.INTEGRATIONS)
        self._running: list[asyncio.Task[None]] = []

    def _journal(self, writer: Writer) -> MemoryJournal:
        return MemoryJournal(self.log, writer, lambda: datetime.now(UTC))

    async def observe(self, gang: str, size: int, *, gpus: int = 1) -> None:
        for i in range(size):
            self.simulated.client.create("pods", _manifest(f"{gang}-{i}", gpus))
        workload_id, group_id = id_of(f"workload/{gang}"), id_of(f"group/{gang}")
        await self.observer.append(
            e.PodGroupFormed(workload_id=workload_id, pod_group_id=group_id, name=gang, min_members=size)
        )
        pods = [
            _facts(self.simulated.client.get("pods", NAMESPACE, f"{gang}-{i}"), group_id, gpus) for i in range(size)
        ]
        await self.observer.append(e.PodObserved(workload_id=workload_id, pods=tuple(pods)))

    def start_scheduler(self) -> Service:
        ports = Ports(self._journal(Writer.SCHEDULER), self.cluster, id_of("cluster"), Random(1))
        service = build(SchedulerSettings(), ports)
        self._running.append(asyncio.create_task(run_loops(service)))
        return service

    async def kill_schedulers(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()

    async def events(self) -> list[e.AnyEvent]:
        journal = self._journal(Writer.STATUS)
        async for batch in journal.follow(0):
            return [recorded.event for recorded in batch.events]
        raise AssertionError("a follower always gets a first batch")

    async def until(self, holds: Callable[[list[e.AnyEvent]], bool]) -> list[e.AnyEvent]:
        async with asyncio.timeout(20):
            async for _ in self._journal(Writer.STATUS).follow(0):
                if holds(events := await self.events()):
                    return events
        raise AssertionError("a follower never ends")


def _manifest(name: str, gpus: int) -> dict[str, object]:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}, "requests": {"cpu": "1", "memory": "1Gi"}}
    container = {"name": "main", "image": "x", "resources": resources}
    spec = {"schedulerName": "muster-scheduler", "restartPolicy": "Never", "containers": [container]}
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
        requests=Resources(cpu_milli=1000, memory_bytes=1024**3, gpu_millionths=gpus * 1_000_000),
        gpu=GpuRequest(devices=gpus),
    )


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Cluster(Settings(seed=1)) as cluster:
        cluster.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
        scene = Scene(cluster)
        for name in ("pool-a-0", "pool-a-1"):
            await scene.observer.append(node(name))
        yield scene
        await scene.kill_schedulers()


def of_type(events: list[e.AnyEvent], kind: type[e.AnyEvent]) -> list[e.AnyEvent]:
    return [event for event in events if isinstance(event, kind)]


def scheduled(count: int) -> Callable[[list[e.AnyEvent]], bool]:
    return lambda events: sum(len(event.pods) for event in events if isinstance(event, e.PodScheduled)) == count


async def test_a_gang_is_planned_in_the_journal_before_it_is_bound(scene: Scene) -> None:
    await scene.observe("gang", 4, gpus=2)
    scene.start_scheduler()
    events = await scene.until(scheduled(4))
    (made,) = of_type(events, e.PlanMade)
    assert isinstance(made, e.PlanMade)
    assert len(made.placements) == 4
    assert events.index(made) < min(events.index(one) for one in of_type(events, e.PodScheduled))
    pod = await scene.cluster.get(PODS, NAMESPACE, "gang-0")
    assert pod.metadata.annotations["muster.dev/gpus"] == ",".join(str(d.index) for d in made.placements[0].devices)
    assert pod.spec.node_name == made.placements[0].node


async def test_a_scheduler_that_starts_keeps_what_an_earlier_life_promised(scene: Scene) -> None:
    await scene.observe("gang", 2)
    scene.transport.gate.clear()
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await scene.kill_schedulers()
    scene.transport.gate.set()
    scene.start_scheduler()
    events = await scene.until(scheduled(2))
    assert len(of_type(events, e.PlanMade)) == 1
    assert [one.epoch for one in events if isinstance(one, e.LeadershipTaken)] == [1, 2]


async def test_a_pod_bound_before_the_answer_was_lost_is_reported_not_bound_again(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.start_scheduler()
    events = await scene.until(scheduled(1))
    await scene.kill_schedulers()
    without_report = MemoryLog()
    for message in scene.log.after(0, 1000):
        if not message.headers["ce-type"].startswith("PodScheduled"):
            without_report.put(message.subject, message.headers, message.body)
    scene.log = without_report
    scene.start_scheduler()
    again = await scene.until(scheduled(1))
    first, second = (one for one in (of_type(events, e.PodScheduled) + of_type(again, e.PodScheduled)))
    assert first.pods == second.pods  # type: ignore[union-attr]
    assert not of_type(again, e.PlacementReleased)


async def test_a_pod_that_changed_since_it_was_seen_is_released_and_planned_anew(scene: Scene) -> None:
    await scene.observe("gang", 1)
    await scene.cluster.patch(PODS, NAMESPACE, "gang-0", {"metadata": {"labels": {"touched": "yes"}}})
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)
    pod = await scene.cluster.get(PODS, NAMESPACE, "gang-0")
    assert pod.spec.node_name == ""
    assert "muster.dev/epoch" in pod.metadata.annotations


async def test_a_pod_that_is_gone_releases_its_promise(scene: Scene) -> None:
    await scene.observe("gang", 1)
    await scene.cluster.delete(PODS, NAMESPACE, "gang-0")
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    (released,) = of_type(events, e.PlacementReleased)
    assert isinstance(released, e.PlacementReleased)
    assert released.reason == "Pod gang-0 is gone."


async def test_a_promise_to_a_workload_that_is_gone_is_released(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.transport.gate.clear()
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await scene.cluster.delete(PODS, NAMESPACE, "gang-0")
    await scene.observer.append(e.WorkloadGone(workload_id=id_of("workload/gang"), end_seen=True))
    scene.transport.gate.set()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)


async def test_a_read_that_is_refused_for_a_while_neither_stops_the_deeds_nor_releases_the_promise(
    scene: Scene,
) -> None:
    await scene.observe("gang", 1)
    await scene.cluster.patch(PODS, NAMESPACE, "gang-0", {"metadata": {"labels": {"touched": "yes"}}})
    scene.transport.forbidden_reads = 3
    service = scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert scene.transport.forbidden_reads == 0
    assert service.health.loops["execution"].condition == "running"


async def test_a_scheduler_that_lost_the_lead_unknowingly_cannot_write_a_plan(scene: Scene) -> None:
    settings, cluster_id = SchedulerSettings(), id_of("cluster")
    first = Planning(scene._journal(Writer.SCHEDULER), settings, cluster_id, "first")
    second = Planning(scene._journal(Writer.SCHEDULER), settings, cluster_id, "second")
    await scene.observe("gang", 1)
    await lead(first, scene)
    await lead(second, scene)
    with pytest.raises(Unavailable, match="took the lead"):
        await first.cycle()
    assert not of_type(await scene.events(), e.PlanMade)


async def lead(planning: Planning, scene: Scene) -> None:
    """Take the lead, and then read no further."""
    fold = follow_into(scene._journal(Writer.SCHEDULER), planning.fold, planning.progress, Health("scheduler"), "fold")
    reading = asyncio.ensure_future(fold)
    await planning.take_leadership()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def test_a_large_plan_is_cut_between_gangs() -> None:
    placements = tuple(_placement(number // 3, number) for number in range(3 * ENTRIES_PER_PART))
    parts = [part.placements for part in _parts(Plan(1, placements))]
    assert len(parts) > 1
    assert tuple(placement for part in parts for placement in part) == placements
    gangs = [{placement.pod_group_id for placement in part} for part in parts]
    assert not any(one & other for one, other in itertools.combinations(gangs, 2))


def _placement(gang: int, number: int) -> Placement:
    return Placement(
        workload_id=id_of(f"workload/{gang}"),
        pod_group_id=id_of(f"group/{gang}"),
        pod_id=id_of(f"pod/{number}"),
        namespace=NAMESPACE,
        name=f"p{number}",
        resource_version="1",
        node="a",
    )


async def test_a_reason_to_wait_is_written_once(scene: Scene) -> None:
    await scene.observe("big", 1, gpus=9)
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.WorkloadBlocked)))
    for number in range(5):
        await scene.observer.append(node("pool-a-0", cpu=32 + number))
    await scene.observe("small", 1)
    events = await scene.until(scheduled(1))
    assert len(of_type(events, e.WorkloadBlocked)) == 1


async def test_two_schedulers_at_once_place_every_pod_once_under_growing_epochs(scene: Scene) -> None:
    scene.start_scheduler()
    await scene.until(lambda events: len(of_type(events, e.LeadershipTaken)) == 1)
    scene.start_scheduler()
    await scene.until(lambda events: len(of_type(events, e.LeadershipTaken)) >= 2)
    await scene.observe("gang", 2)
    events = await scene.until(scheduled(2))
    epochs = [one.epoch for one in events if isinstance(one, e.LeadershipTaken)]
    assert epochs == sorted(set(epochs))
    placements = [p.pod_id for one in events if isinstance(one, e.PlanMade) for p in one.placements]
    assert len(placements) == len(set(placements))
