"""The frozen picture a plan is made from: nodes with what is free on them, and the groups that wait.

Free is what a node can allocate less what others use, what assigned pods hold and what open promises hold. Devices are
followed one by one. Pods that hold GPUs but do not say which (another scheduler bound them) take the highest free
indices, so that what we promise from below stays clear of them as long as it can.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from muster_contracts.events import NodeObserved
from muster_contracts.names import COMPATIBLE_SCHEDULER_NAMES
from muster_contracts.values import WHOLE_GPU, DeviceShare, PodFacts, PodPhase, Resources

from muster_scheduler.core.state import Group, Pod, State


@dataclass(frozen=True, slots=True)
class FreeNode:
    """A node and what is free on it: thousandths of processors, bytes, pods, and millionths of each device."""

    node: NodeObserved
    cpu_milli: int
    memory_bytes: int
    pods: int
    devices: tuple[int, ...]
    extended: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """A pod group with pods that want a place. `missing` more are needed before any may start."""

    id: UUID
    workload_id: UUID
    name: str
    project: str
    priority_class: str
    node_pools: tuple[str, ...]
    min_members: int
    assigned: int
    pods: tuple[PodFacts, ...]

    @property
    def missing(self) -> int:
        """How many pods must be placed at once for the group to be whole."""
        return max(0, self.min_members - self.assigned)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a plan may look at. `position` is where the journal stood."""

    position: int
    nodes: tuple[FreeNode, ...]
    groups: tuple[WaitingGroup, ...]


def take_snapshot(state: State) -> Snapshot:
    """Freeze the state. Nodes by name; groups by age of their oldest waiting pod, then id."""
    used = _used_by_node(state)
    nodes = tuple(_free_node(state.nodes[name], used.get(name, [])) for name in sorted(state.nodes))
    waiting = [group for group in (_waiting(state, group) for group in state.groups.values()) if group is not None]
    waiting.sort(key=lambda group: (min(pod.created_at for pod in group.pods), group.id))
    return Snapshot(state.position, nodes, tuple(waiting))


Use = tuple[Resources, int, tuple[DeviceShare, ...]]
"""What one pod holds: its requests, how many whole devices it asked for, and which ones where that is known."""


def _used_by_node(state: State) -> dict[str, list[Use]]:
    used: dict[str, list[Use]] = {}
    for pod_id in sorted(state.pods):
        pod = state.pods[pod_id]
        if pod.live and pod.assignment is not None:
            used.setdefault(pod.assignment.node, []).append(_use(pod, pod.assignment.devices))
        elif pod.live and (promise := state.promises.get(pod_id)) is not None:
            used.setdefault(promise.placement.node, []).append(_use(pod, promise.placement.devices))
    return used


def _use(pod: Pod, devices: tuple[DeviceShare, ...]) -> Use:
    return (pod.facts.requests, pod.facts.gpu.devices, devices)


def _free_node(node: NodeObserved, uses: Iterable[Use]) -> FreeNode:
    uses = list(uses)
    requests = [node.others, *(use[0] for use in uses)]
    extended = dict(node.allocatable.extended)
    for amount in requests:
        for name, count in amount.extended.items():
            extended[name] = extended.get(name, 0) - count
    return FreeNode(
        node=node,
        cpu_milli=node.allocatable.cpu_milli - sum(amount.cpu_milli for amount in requests),
        memory_bytes=node.allocatable.memory_bytes - sum(amount.memory_bytes for amount in requests),
        pods=node.max_pods - node.other_pods - len(uses),
        devices=_free_devices(node, uses),
        extended=tuple(sorted(extended.items())),
    )


def _free_devices(node: NodeObserved, uses: list[Use]) -> tuple[int, ...]:
    free = [WHOLE_GPU] * node.gpu_devices
    for _, _, devices in uses:
        for share in devices:
            if share.index < len(free):
                free[share.index] -= share.portion_millionths
    nameless = -(-node.others.gpu_millionths // WHOLE_GPU) + sum(count for _, count, devices in uses if not devices)
    for index in reversed(range(len(free))):
        if nameless and free[index] == WHOLE_GPU:
            free[index], nameless = 0, nameless - 1
    return tuple(free)


def _waiting(state: State, group: Group) -> WaitingGroup | None:
    members = [state.pods[pod_id] for pod_id in state.members.get(group.id, ())]
    pods = sorted((pod.facts for pod in members if _wants_place(state, pod)), key=lambda pod: (pod.name, pod.pod_id))
    if not pods:
        return None
    held = sum(1 for pod in members if _holds_place(state, pod))
    workload = state.workload(group.workload_id)
    return WaitingGroup(
        id=group.id,
        workload_id=group.workload_id,
        name=workload.name or group.name,
        project=workload.project,
        priority_class=group.priority_class,
        node_pools=group.node_pools,
        min_members=group.min_members,
        assigned=held,
        pods=tuple(pods),
    )


def _holds_place(state: State, pod: Pod) -> bool:
    """Whether the pod counts for its gang: it has a place and has neither failed nor been told to go."""
    placed = pod.assignment is not None or pod.facts.pod_id in state.promises
    return placed and pod.facts.phase is not PodPhase.FAILED and not pod.facts.terminating


def _wants_place(state: State, pod: Pod) -> bool:
    facts = pod.facts
    return (
        pod.assignment is None
        and facts.pod_id not in state.promises
        and facts.phase is PodPhase.PENDING
        and not facts.terminating
        and not facts.scheduling_gates
        and facts.scheduler_name in COMPATIBLE_SCHEDULER_NAMES
    )
