"""What is free while a plan is being made: one array per resource over all nodes, changed by every placement.

Arrays instead of objects, because a filter over 10,000 nodes is then one comparison per resource (35 µs against 1.6 ms
measured for a loop over dictionaries). All arrays hold 64-bit integers in the units of the contracts.
"""

from dataclasses import dataclass

import numpy as np
from muster_contracts.values import WHOLE_GPU, DeviceShare, PodFacts, Taint, Toleration
from numpy.typing import NDArray

from muster_scheduler.core.snapshot import FreeNode

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Need:
    """What one pod asks for, hashable, so that identical pods are filtered once."""

    cpu_milli: int
    memory_bytes: int
    devices: int
    extended: tuple[tuple[str, int], ...]
    node_selector: tuple[tuple[str, str], ...]
    tolerations: tuple[Toleration, ...]


def need_of(pod: PodFacts) -> Need:
    """Return what a pod asks for."""
    return Need(
        cpu_milli=pod.requests.cpu_milli,
        memory_bytes=pod.requests.memory_bytes,
        devices=pod.gpu.devices,
        extended=tuple(sorted(pod.requests.extended.items())),
        node_selector=tuple(sorted(pod.node_selector.items())),
        tolerations=tuple(sorted(pod.tolerations, key=lambda toleration: toleration.model_dump_json())),
    )


class Room:
    """The free resources of all nodes; `take` uses some, `mark` and `restore` undo what a failed gang took."""

    def __init__(self, nodes: tuple[FreeNode, ...]) -> None:
        self.nodes = nodes
        self.cpu: Integers = np.array([node.cpu_milli for node in nodes], dtype=np.int64)
        self.memory: Integers = np.array([node.memory_bytes for node in nodes], dtype=np.int64)
        self.pods: Integers = np.array([node.pods for node in nodes], dtype=np.int64)
        width = max((len(node.devices) for node in nodes), default=0)
        self.devices: Integers = np.zeros((len(nodes), width), dtype=np.int64)
        for row, node in enumerate(nodes):
            self.devices[row, : len(node.devices)] = node.devices
        self.whole: Integers = (self.devices == WHOLE_GPU).sum(axis=1)
        self.has_devices: Mask = np.array([len(node.devices) > 0 for node in nodes], dtype=np.bool_)
        self._extended = [dict(node.extended) for node in nodes]
        self._open = np.array([node.node.ready and not node.node.unschedulable for node in nodes], dtype=np.bool_)
        self._static: dict[tuple[object, ...], Mask] = {}
        self._taken: list[tuple[int, Need, tuple[int, ...]]] = []

    def admits(self, need: Need) -> Mask:
        """Return which nodes would take such a pod if they were empty of others: selector, taints, readiness."""
        key = (need.node_selector, need.tolerations)
        if key not in self._static:
            admitted = [_admits(free, need) for free in self.nodes]
            self._static[key] = self._open & np.array(admitted, dtype=np.bool_)
        return self._static[key]

    def fits(self, need: Need) -> Mask:
        """Return which nodes take such a pod now."""
        fits: Mask = (
            self.admits(need)
            & (self.cpu >= need.cpu_milli)
            & (self.memory >= need.memory_bytes)
            & (self.pods >= 1)
            & (self.whole >= need.devices)
        )
        if need.extended:
            fits = fits & np.array([_has(free, need.extended) for free in self._extended], dtype=np.bool_)
        return fits

    def take(self, row: int, need: Need) -> tuple[DeviceShare, ...]:
        """Use a node for one pod and return its devices, the lowest free ones."""
        indices = tuple(int(index) for index in np.flatnonzero(self.devices[row] == WHOLE_GPU)[: need.devices])
        self._change(row, need, indices, -1)
        self._taken.append((row, need, indices))
        return tuple(DeviceShare(index=index) for index in indices)

    def mark(self) -> int:
        """Return a point to which `restore` can go back."""
        return len(self._taken)

    def restore(self, mark: int) -> None:
        """Undo everything taken since the mark."""
        while len(self._taken) > mark:
            self._change(*self._taken.pop(), 1)

    def _change(self, row: int, need: Need, indices: tuple[int, ...], sign: int) -> None:
        self.cpu[row] += sign * need.cpu_milli
        self.memory[row] += sign * need.memory_bytes
        self.pods[row] += sign
        self.whole[row] += sign * len(indices)
        for index in indices:
            self.devices[row, index] += sign * WHOLE_GPU
        for name, count in need.extended:
            self._extended[row][name] = self._extended[row].get(name, 0) + sign * count


def _has(free: dict[str, int], wanted: tuple[tuple[str, int], ...]) -> bool:
    return all(free.get(name, 0) >= count for name, count in wanted)


def _admits(free: FreeNode, need: Need) -> bool:
    labels = free.node.labels
    if any(labels.get(key) != value for key, value in need.node_selector):
        return False
    return all(taint.effect == "PreferNoSchedule" or _tolerated(taint, need.tolerations) for taint in free.node.taints)


def _tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    return any(
        (not toleration.effect or toleration.effect == taint.effect)
        and (toleration.key in {"", taint.key})
        and (toleration.operator == "Exists" or (toleration.key == taint.key and toleration.value == taint.value))
        for toleration in tolerations
    )
