"""The whole service on a simulated cluster under virtual time, while answers get lost, watches break and it is killed.

When the weather has cleared the journal must say what the cluster says, worked out here by other means: every pod at
home with the object that the owner references lead to, every fact of it, every workload discovered once.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
import structlog
from cluster.in_process import InProcessTransport
from integrations.kube import NAMESPACE, project
from muster_chassis.clock import LoopClock
from muster_chassis.service import run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import DEPLOYMENTS, JOBS, NAMESPACES, NODES, PODS, REPLICA_SETS, STATEFUL_SETS
from muster_cluster.port import ClusterError, Resource
from muster_contracts import names
from muster_contracts.events import AnyEvent, PodGone, PodObserved, WorkloadDiscovered, WorkloadGone
from muster_contracts.subjects import Writer
from muster_integrations.app import Ports, build
from muster_integrations.core.fold import Fold
from muster_integrations.settings import IntegrationsSettings
from muster_journal.memory import MemoryJournal, MemoryLog
from simcluster.clock import LoopClock as ClusterClock
from simcluster.cluster import Cluster
from simcluster.settings import Settings as ClusterSettings
from simulation.faults import FaultyJournal, FaultyTransport, Weather
from simulation.virtual_time import run_in_virtual_time

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
KINDS: tuple[Resource[Any], ...] = (JOBS, DEPLOYMENTS, STATEFUL_SETS, PODS)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.disable(logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


class World:
    """A cluster with its users, a journal, and the service in one of its lives."""

    def __init__(self, simulated: Cluster, random: Random) -> None:
        self.random = random
        self.weather = Weather(random, trouble=0.05, longest_delay_seconds=0.5)
        self.log = MemoryLog()
        self.user = KubernetesCluster(InProcessTransport(simulated.api))
        self._simulated = simulated
        self._clock = LoopClock(START)
        self._service: asyncio.Task[None] | None = None
        self.created: list[tuple[Resource[Any], str]] = []

    def start(self) -> None:
        journal = FaultyJournal(MemoryJournal(self.log, Writer.INTEGRATIONS, self._clock.now), self.weather)
        cluster = KubernetesCluster(FaultyTransport(InProcessTransport(self._simulated.api), self.weather))
        self.service = build(IntegrationsSettings(), Ports(journal, cluster, self.random))
        self._service = asyncio.create_task(run_loops(self.service))

    async def kill(self) -> None:
        assert self._service is not None
        self._service.cancel()
        await asyncio.gather(self._service, return_exceptions=True)

    async def create(self) -> None:
        resource = self.random.choice(KINDS)
        name = f"w{len(self.created)}"
        await self.user.create(resource, self._manifest(resource, name))
        self.created.append((resource, name))

    def _manifest(self, resource: Resource[Any], name: str) -> dict[str, Any]:
        seconds = {"sim.run-seconds": str(self.random.choice([2, 20, 200]))}
        spec: dict[str, Any] = {"containers": [{"name": "main", "image": "image:1"}]}
        metadata: dict[str, Any] = {"name": name, "namespace": NAMESPACE}
        if resource is PODS:
            return {"metadata": metadata | {"annotations": seconds}, "spec": spec | {"restartPolicy": "Never"}}
        labels, size = {"app": name}, self.random.randint(1, 3)
        template = {"metadata": {"labels": labels, "annotations": seconds}, "spec": spec}
        if resource is JOBS:
            template["spec"] = spec | {"restartPolicy": "Never"}
            gang = {"annotations": {names.MIN_MEMBERS: str(size)}} if self.random.random() < 0.5 else {}
            return {
                "metadata": metadata | gang,
                "spec": {"parallelism": size, "completions": size, "template": template},
            }
        selector = {"matchLabels": labels}
        return {
            "metadata": metadata,
            "spec": {"replicas": size, "selector": selector, "template": template, "serviceName": name},
        }

    async def change(self) -> None:
        """Scale, suspend or delete something."""
        if not self.created:
            return
        resource, name = self.random.choice(self.created)
        try:
            if self.random.random() < 0.4:
                how = self.random.choice(["Background", "Foreground"])
                await self.user.delete(resource, NAMESPACE, name, propagation=how)
            elif resource is JOBS:
                await self.user.patch(resource, NAMESPACE, name, {"spec": {"suspend": self.random.random() < 0.5}})
            elif resource is not PODS:
                await self.user.patch(resource, NAMESPACE, name, {"spec": {"replicas": self.random.randint(0, 3)}})
        except ClusterError:
            return  # it is gone, or it may not be changed any more

    async def events(self) -> list[tuple[int, AnyEvent]]:
        found: list[tuple[int, AnyEvent]] = []
        async for batch in MemoryJournal(self.log, Writer.STATUS, self._clock.now).follow(0):
            found += [(recorded.position, recorded.event) for recorded in batch.events]
            if batch.caught_up:
                break
        return found


async def a_bad_day(world: World) -> None:
    world.start()
    await world.user.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    project_at = world.random.randint(0, 20)
    for hour in range(60):
        if hour == project_at:
            await MemoryJournal(world.log, Writer.SUBMITTER, LoopClock(START).now).append(project())
        action = world.random.choice([world.create, world.create, world.change, world.kill])
        await action()
        await asyncio.sleep(world.random.random() * world.random.choice([0.1, 1, 20]))
        if action == world.kill:
            world.start()
    world.weather.clears()
    await asyncio.sleep(1800)
    assert world.service.health.well, world.service.health.report()


async def check(world: World) -> None:
    fold = Fold()
    events = await world.events()
    for position, event in events:
        fold.follow(position, event)
    pods = {p.metadata.uid: p for p in (await world.user.list_page(PODS, namespace=NAMESPACE)).items}
    owners = {
        item.metadata.uid: item
        for resource in (*KINDS, REPLICA_SETS)
        for item in (await world.user.list_page(resource, namespace=NAMESPACE)).items
    }

    def home(item: Any) -> str:
        references = item.metadata.owner_references
        return home(owners[references[0].uid]) if references else item.metadata.uid

    assert {str(pod): str(workload) for pod, workload in fold.homes.items()} == {u: home(p) for u, p in pods.items()}
    assert {str(key) for key in fold.workloads} == {home(item) for item in owners.values()}
    for workload in fold.workloads.values():
        for facts in workload.pods.values():
            pod = pods[str(facts.pod_id)]
            ready = any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)
            assert (facts.phase, facts.node, facts.ready) == (pod.status.phase, pod.spec.node_name, ready)
            assert facts.pod_group_id in workload.groups
        check_owner(workload, owners[str(workload.workload_id)])
    assert set(fold.nodes) == {node.metadata.name for node in (await world.user.list_page(NODES)).items}
    assert_told_once([event for _, event in events])


def check_owner(workload: Any, item: Any) -> None:
    owner = workload.discovered.owner
    if workload.discovered.kind == "Job":
        assert (owner.suspended, owner.desired_pods) == (item.spec.suspend, item.spec.parallelism)
        done = {c.type for c in item.status.conditions if c.status == "True"} & {"Complete", "Failed"}
        assert (owner.outcome != "none") == bool(done)
    elif workload.discovered.kind != "Pod":
        assert (owner.suspended, owner.desired_pods) == (item.spec.replicas == 0, item.spec.replicas)


def assert_told_once(events: list[AnyEvent]) -> None:
    discovered = Counter(event.workload_id for event in events if isinstance(event, WorkloadDiscovered))
    gone = Counter(event.workload_id for event in events if isinstance(event, WorkloadGone))
    pods_gone = Counter(mark.pod_id for event in events if isinstance(event, PodGone) for mark in event.pods)
    assert set(discovered.values()) <= {1}
    assert set(gone.values()) <= {1}
    assert set(pods_gone.values()) <= {1}
    assert gone.keys() <= discovered.keys()
    ends: dict[UUID, int] = {event.workload_id: n for n, event in enumerate(events) if isinstance(event, WorkloadGone)}
    for number, event in enumerate(events):
        if isinstance(event, PodObserved):
            assert number < ends.get(event.workload_id, len(events)), "a pod was seen after the end of its workload"


def in_a_world(seed: int, *story: Callable[[World], Awaitable[None]]) -> World:
    async def main() -> World:
        async with Cluster(ClusterSettings(seed=seed), ClusterClock(START)) as simulated:
            world = World(simulated, Random(seed))
            for part in story:
                await part(world)
            await world.kill()
            return world

    return run_in_virtual_time(main)


@pytest.mark.parametrize("seed", range(1, 5))
def test_when_the_weather_has_cleared_the_journal_says_what_the_cluster_says(seed: int) -> None:
    world = in_a_world(seed, a_bad_day, check)
    assert world.log.end > 50
