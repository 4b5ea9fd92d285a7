"""What the checker knows of a snapshot and a plan, looked up once and only when a rule asks for it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from muster_contracts.events import NodeObserved
from muster_contracts.values import WHOLE_GPU, Placement, PodFacts, PoolQuota

from muster_scheduler.core.amounts import Amounts
from muster_scheduler.core.groups import Bound, GroupView
from muster_scheduler.core.plan import Plan
from muster_scheduler.core.snapshot import Snapshot

Amount = tuple[int, int, int]
"""Millionths of GPUs, thousandths of processors, bytes of memory."""
Bounds = tuple[int | None, int | None, int | None]
NO_BOUNDS: Bounds = (None, None, None)
KINDS = ("GPUs", "processors", "memory")


class Arrival(NamedTuple):
    """A pod that waits, and the node that the plan puts it on at once."""

    view: GroupView
    pod: PodFacts
    node: NodeObserved


class Facts:
    """A snapshot and a plan, by the keys that rules look for."""

    def __init__(self, snapshot: Snapshot, plan: Plan) -> None:
        self.snapshot, self.plan = snapshot, plan
        self.rows = snapshot.terrain.rows
        self.places = (*plan.placements, *plan.nominations)
        self._capacities: dict[str, Amount] = {}
        self._chains: dict[str, list[str]] = {}

    @cached_property
    def waiting(self) -> dict[UUID, tuple[GroupView, PodFacts]]:
        """Pods that want a place."""
        return {pod.facts.pod_id: (view, pod.facts) for view in self.snapshot.groups for pod in view.waiting}

    @cached_property
    def arrivals(self) -> list[Arrival]:
        """Who is placed at once, of those who wait, on nodes that are there; the rest is complained of by itself."""
        pairs = ((self.waiting.get(place.pod_id), self.rows.get(place.node)) for place in self.plan.placements)
        nodes = self.snapshot.terrain.nodes
        return [Arrival(*known, nodes[row]) for known, row in pairs if known is not None and row is not None]

    @cached_property
    def shunned(self) -> dict[UUID, tuple[str, ...]]:
        """The nodes that some of the pods which want a place keep off: their volumes were refused there."""
        pods = (pod for view in self.snapshot.groups for pod in view.waiting if pod.need.shunned)
        return {pod.facts.pod_id: pod.need.shunned for pod in pods}

    @cached_property
    def bound(self) -> dict[UUID, tuple[GroupView, Bound]]:
        """Pods that have one."""
        return {pod.facts.pod_id: (view, pod) for view in self.snapshot.views.values() for pod in view.bound}

    @cached_property
    def later(self) -> Amounts:
        """What is free when all are gone who were on their way before the plan; their group may be forgotten by now."""
        idle, releasing = self.snapshot.idle, self.snapshot.releasing
        return idle if releasing is None else idle.plus(releasing)

    @cached_property
    def leaving(self) -> dict[str, list[Bound]]:
        """The victims of the plan, by node."""
        by_node: dict[str, list[Bound]] = defaultdict(list)
        for victim in self.plan.victims:
            if victim.pod_id in self.bound:
                pod = self.bound[victim.pod_id][1]
                by_node[pod.node].append(pod)
        return by_node

    @cached_property
    def quotas(self) -> dict[str, tuple[PoolQuota, ...]]:
        """Quotas of every queue."""
        return {queue.key: queue.quotas for queue in self.snapshot.queues}

    @cached_property
    def parents(self) -> dict[str, str]:
        """The queue above each queue."""
        return {queue.key: queue.parent for queue in self.snapshot.queues}

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The queues below each queue."""
        below: dict[str, list[str]] = defaultdict(list)
        for key, above in self.parents.items():
            below[above].append(key)
        return below

    @cached_property
    def _smallest_device(self) -> int:
        """The memory of the smallest device there is, 0 if none says."""
        return min((node.gpu_memory_bytes for node in self.snapshot.terrain.nodes if node.gpu_memory_bytes), default=0)

    def pod_at(self, place: Placement) -> PodFacts | None:
        """Return the pod that a place is for: one that waits, or one that moves."""
        if (known := self.waiting.get(place.pod_id)) is not None:
            return known[1]
        return self.bound[place.pod_id][1].facts if place.pod_id in self.bound else None

    def node(self, name: str) -> NodeObserved:
        """Return a node that is there."""
        return self.snapshot.terrain.nodes[self.rows[name]]

    def pool(self, node: str) -> str:
        """Return the pool of a node."""
        return self.snapshot.terrain.pool_names[self.rows[node]]

    def nodes_of(self, pool: str) -> list[NodeObserved]:
        """Return the nodes of a pool."""
        terrain = self.snapshot.terrain
        return [node for node, name in zip(terrain.nodes, terrain.pool_names, strict=True) if name == pool]

    def capacity(self, pool: str) -> Amount:
        """Return what the ready nodes of a pool have beside what others hold."""
        if pool not in self._capacities:
            here = [node for node in self.nodes_of(pool) if node.ready]
            self._capacities[pool] = (
                sum(node.gpu_devices * WHOLE_GPU - node.others.gpu_millionths for node in here),
                sum(node.allocatable.cpu_milli - node.others.cpu_milli for node in here),
                sum(node.allocatable.memory_bytes - node.others.memory_bytes for node in here),
            )
        return self._capacities[pool]

    def above(self, key: str) -> list[str]:
        """Return a queue and all above it."""
        if key not in self._chains:
            chain = self._chains[key] = [key]
            while self.parents.get(chain[-1]) in self.parents:
                chain.append(self.parents[chain[-1]])
        return self._chains[key]

    def quota(self, key: str, pool: str) -> PoolQuota | None:
        """Return the quota of a queue in a pool; None if nothing bounds it."""
        if not self.quotas.get(key):
            return None
        return next((quota for quota in self.quotas[key] if quota.node_pool == pool), PoolQuota(node_pool=pool))

    def held(self, pool: str, *, firm: bool) -> dict[str, Amount]:
        """Sum what every queue held before the plan, or the part that may not be taken back."""
        entries = [(queue, both[firm]) for (where, queue), both in self.snapshot.holding.items() if where == pool]
        return self.summed(entries)

    def summed(self, entries: Iterable[tuple[str, Amount]]) -> dict[str, Amount]:
        """Sum amounts of projects for these and for all queues above."""
        total: dict[str, Amount] = defaultdict(lambda: (0, 0, 0))
        for queue, amount in entries:
            for key in self.above(queue):
                before = total[key]
                total[key] = (before[0] + amount[0], before[1] + amount[1], before[2] + amount[2])
        return total

    @cached_property
    def helped(self) -> dict[UUID, GroupView]:
        """The group of each workload that is nominated, for which others may have to go."""
        groups = (self.snapshot.views.get(place.pod_group_id) for place in self.plan.nominations)
        return {view.workload_id: view for view in groups if view is not None}

    @cached_property
    def groups_helped(self) -> Counter[UUID]:
        """How many groups of each workload are nominated."""
        groups = dict.fromkeys((place.workload_id, place.pod_group_id) for place in self.plan.nominations)
        return Counter(workload_id for workload_id, _ in groups)

    @cached_property
    def nominated(self) -> dict[UUID, list[PodFacts]]:
        """The pods that are nominated by the plan, by group."""
        by_group: dict[UUID, list[PodFacts]] = defaultdict(list)
        for place in self.plan.nominations:
            if place.pod_id in self.waiting:
                by_group[place.pod_group_id].append(self.waiting[place.pod_id][1])
        return by_group

    def pools_of(self, view: GroupView) -> tuple[str, ...]:
        """Return the pools a group may use: the one it is in, else those of its list."""
        here = [bound.node for bound in view.bound if not bound.releasing and bound.node in self.rows]
        return (self.pool(here[0]),) if here else view.node_pools

    def pool_of_bound(self, pod: Bound) -> str:
        """Return the pool a pod is counted in; a node that is gone counts as default."""
        return self.pool(pod.node) if pod.node in self.rows else "default"

    def deserved(self, key: str, pool: str) -> Bounds:
        """Return the quota of a queue, by resource."""
        quota = self.quota(key, pool)
        return NO_BOUNDS if quota is None else (quota.gpu_millionths, quota.cpu_milli, quota.memory_bytes)

    def limits(self, key: str, pool: str) -> Bounds:
        """Return the limit of a queue, by resource."""
        quota = self.quota(key, pool)
        if quota is None:
            return NO_BOUNDS
        return quota.gpu_limit_millionths, quota.cpu_limit_milli, quota.memory_limit_bytes

    def total(self, pods: Iterable[PodFacts]) -> Amount:
        """Sum what pods count for their queue."""
        gpu, cpu, memory = 0, 0, 0
        for pod in pods:
            amount = self.amount_of(pod)
            gpu, cpu, memory = gpu + amount[0], cpu + amount[1], memory + amount[2]
        return gpu, cpu, memory

    def amount_of(self, pod: PodFacts) -> Amount:
        """Return what a pod counts for its queue; bytes of a device as their part of the smallest there is."""
        portion = pod.gpu.portion_millionths
        if pod.gpu.memory_bytes:
            size = self._smallest_device
            portion = min(WHOLE_GPU, -(-pod.gpu.memory_bytes * WHOLE_GPU // size)) if size else WHOLE_GPU
        return pod.gpu.devices * portion, pod.requests.cpu_milli, pod.requests.memory_bytes
