"""Lists what is wrong with a plan. Shares no code with the planner: plain loops over plain facts, slow and obvious.

Runs on every plan in tests, and in production before a plan is written: a plan with a fault is never appended.
"""

from collections import Counter
from uuid import UUID

from muster_contracts.values import WHOLE_GPU, Placement

from muster_scheduler.core.snapshot import Snapshot


def faults(snapshot: Snapshot, placements: tuple[Placement, ...]) -> list[str]:
    """Return one sentence for each fault: strangers, doubles, over-commitment, and gangs that are not whole."""
    return [
        *_strangers(snapshot, placements),
        *_overcommitted(snapshot, placements),
        *_broken_gangs(snapshot, placements),
    ]


def _strangers(snapshot: Snapshot, placements: tuple[Placement, ...]) -> list[str]:
    waiting = {pod.pod_id: group.id for group in snapshot.groups for pod in group.pods}
    counts = Counter(placement.pod_id for placement in placements)
    doubles = [f"Pod {pod_id} is placed {count} times." for pod_id, count in counts.items() if count > 1]
    strangers = [
        f"Pod {placement.pod_id} does not wait in group {placement.pod_group_id}."
        for placement in placements
        if waiting.get(placement.pod_id) != placement.pod_group_id
    ]
    return doubles + strangers


def _overcommitted(snapshot: Snapshot, placements: tuple[Placement, ...]) -> list[str]:
    pods = {pod.pod_id: pod for group in snapshot.groups for pod in group.pods}
    found: list[str] = []
    by_name = {free.node.name: free for free in snapshot.nodes}
    found += [f"There is no node {p.node}." for p in placements if p.node not in by_name]
    for name, free in by_name.items():
        here = [placement for placement in placements if placement.node == name and placement.pod_id in pods]
        asked = [pods[placement.pod_id] for placement in here]
        if not here:
            continue
        if not free.node.ready or free.node.unschedulable:
            found.append(f"Node {name} takes no pods.")
        for what, used, available in (
            ("thousandths of CPUs", sum(pod.requests.cpu_milli for pod in asked), free.cpu_milli),
            ("bytes of memory", sum(pod.requests.memory_bytes for pod in asked), free.memory_bytes),
            ("pods", len(asked), free.pods),
        ):
            if used > available:
                found.append(f"Node {name} is given {used} {what} and has {available} free.")
        found += _device_faults(name, free.devices, here)
        found += [
            f"Pod {placement.pod_id} asks for {pod.gpu.devices} devices and gets {len(placement.devices)}."
            for placement, pod in zip(here, asked, strict=True)
            if len(placement.devices) != pod.gpu.devices
        ]
        found += [
            f"Pod {pod.pod_id} wants a node labelled {key}={value}, which {name} is not."
            for pod in asked
            for key, value in pod.node_selector.items()
            if free.node.labels.get(key) != value
        ]
    return found


def _device_faults(name: str, devices: tuple[int, ...], here: list[Placement]) -> list[str]:
    used: dict[int, int] = {}
    for placement in here:
        for share in placement.devices:
            used[share.index] = used.get(share.index, 0) + share.portion_millionths
    free = dict(enumerate(devices))
    return [
        f"Device {index} of {name} is given {amount} of {WHOLE_GPU} and has {free.get(index, 0)}."
        for index, amount in used.items()
        if amount > free.get(index, 0)
    ]


def _broken_gangs(snapshot: Snapshot, placements: tuple[Placement, ...]) -> list[str]:
    placed: dict[UUID, int] = {}
    for placement in placements:
        placed[placement.pod_group_id] = placed.get(placement.pod_group_id, 0) + 1
    return [
        f"Group {group.id} needs {group.missing} pods at once and gets {placed[group.id]}."
        for group in snapshot.groups
        if group.id in placed and placed[group.id] < group.missing
    ]
