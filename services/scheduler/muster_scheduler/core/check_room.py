"""What the checker counts of one node: what it has free, or had if no workload ran, and what a pod asks of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from muster_contracts.events import NodeObserved
from muster_contracts.values import WHOLE_GPU, Placement, PodFacts

from muster_scheduler.core.check_facts import Facts


@dataclass(slots=True)
class Lot:
    """What one node has: of its devices in millionths, and the bytes of each of them."""

    devices: list[int]
    device_bytes: int
    cpu: int
    memory: int
    pods: int
    extended: dict[str, int]

    @property
    def whole(self) -> int:
        """How many of its devices nobody has a part of."""
        return sum(portion == WHOLE_GPU for portion in self.devices)

    @staticmethod
    def asked(pod: PodFacts) -> dict[str, int]:
        """Return what a pod asks for, by name, in the units in which reasons count it."""
        gpu, requests = pod.gpu, pod.requests
        asked = {"cpu": requests.cpu_milli, "memory": requests.memory_bytes, "pods": 1, **requests.extended}
        if gpu.devices:
            asked["devices"] = gpu.devices
            asked["part"] = gpu.memory_bytes or gpu.portion_millionths
        return asked

    def has(self, pod: PodFacts) -> dict[str, int]:
        """Return what the node has of each of these; `part` is of the last device that the pod needs."""
        extended = {name: max(0, self.extended.get(name, 0)) for name in pod.requests.extended}
        has = {"cpu": max(0, self.cpu), "memory": max(0, self.memory), "pods": max(0, self.pods), **extended}
        if pod.gpu.devices:
            has["devices"] = self.whole if _is_whole(pod) else len(self.devices)
            portion = self._portion_of_the_last(pod.gpu.devices)
            has["part"] = portion * self.device_bytes // WHOLE_GPU if pod.gpu.memory_bytes else portion
        return has

    def _portion_of_the_last(self, devices: int) -> int:
        """Return how much the last of so many devices has left, those with the most first; nothing if it has fewer."""
        return sorted(self.devices, reverse=True)[devices - 1] if devices <= len(self.devices) else 0

    def room_for(self, pod: PodFacts) -> int:
        """Count how many such pods the node has room for, by itself."""
        asked, has = self.asked(pod), self.has(pod)
        names = [name for name in asked if name not in {"devices", "part"} and asked[name]]
        counts = [has[name] // asked[name] for name in names]
        if pod.gpu.devices:
            counts.append(_pods_on([self._parts_in(portion, pod) for portion in self.devices], pod.gpu.devices))
        return max(0, min(counts))

    def _parts_in(self, portion: int, pod: PodFacts) -> int:
        """Count how often what a pod wants of a device is in what is left of one."""
        if not pod.gpu.memory_bytes:
            return portion // pod.gpu.portion_millionths
        if not self.device_bytes:
            return 0
        return portion // min(10 * WHOLE_GPU, -(-pod.gpu.memory_bytes * WHOLE_GPU // self.device_bytes))

    def take(self, pod: PodFacts, place: Placement) -> None:
        """Take out what a pod gets."""
        self.cpu -= pod.requests.cpu_milli
        self.memory -= pod.requests.memory_bytes
        self.pods -= 1
        for share in place.devices:
            self.devices[share.index] -= share.portion_millionths
        for name, count in pod.requests.extended.items():
            self.extended[name] = self.extended.get(name, 0) - count

    @staticmethod
    def pieces(lots: list["Lot"], pod: PodFacts) -> list[tuple[int, int, int]]:
        """Return what is free in all and in the best piece, with the unit: whole devices, and parts in millionths."""
        free, whole = sum(sum(lot.devices) for lot in lots), sum(lot.whole for lot in lots)
        if not _is_whole(pod):
            return [(1, free, max((lot.has(pod)["part"] for lot in lots), default=0))]
        best = max((lot.whole for lot in lots), default=0)
        return [(WHOLE_GPU, whole, best), *((1, there, best * WHOLE_GPU) for there in (free, whole * WHOLE_GPU))]


def _pods_on(parts: list[int], devices: int) -> int:
    """Count how many pods get a part of so many devices each: one after the other takes those with the most left."""
    if devices == 1:
        return sum(parts)
    count, left = 0, sorted(parts, reverse=True)
    while len(left) >= devices and left[devices - 1] > 0:
        left = sorted([*(part - 1 for part in left[:devices]), *left[devices:]], reverse=True)
        count += 1
    return count


def _is_whole(pod: PodFacts) -> bool:
    return pod.gpu.portion_millionths == WHOLE_GPU and not pod.gpu.memory_bytes


def free_lots(facts: Facts) -> dict[str, Lot]:
    """Return what every node has free when the plan is carried out, as long as nobody goes."""
    lots = {node.name: _idle(facts, node) for node in facts.snapshot.terrain.nodes}
    for place in facts.plan.placements:
        if place.node in lots and place.pod_id in facts.waiting:
            lot, requests = lots[place.node], facts.waiting[place.pod_id][1].requests
            lot.cpu, lot.memory, lot.pods = (
                lot.cpu - requests.cpu_milli,
                lot.memory - requests.memory_bytes,
                lot.pods - 1,
            )
            for share in place.devices:
                lot.devices[share.index] -= share.portion_millionths
            for name, count in requests.extended.items():
                lot.extended[name] = lot.extended.get(name, 0) - count
    return lots


def _idle(facts: Facts, node: NodeObserved) -> Lot:
    idle, row = facts.snapshot.idle, facts.rows[node.name]
    extended = {name: int(column[row]) for name, column in idle.extended.items()}
    devices = idle.devices[row, : node.gpu_devices].tolist()
    return Lot(devices, node.gpu_memory_bytes, int(idle.cpu[row]), int(idle.memory[row]), int(idle.pods[row]), extended)


def empty_lots(facts: Facts) -> dict[str, Lot]:
    """Return what every node would have if no workload ran: what others use stays used."""
    return {node.name: _empty(node) for node in facts.snapshot.terrain.nodes}


def _empty(node: NodeObserved) -> Lot:
    there, others = node.allocatable, node.others
    left = node.gpu_devices - -(-others.gpu_millionths // WHOLE_GPU)
    devices = [WHOLE_GPU if number < left else 0 for number in range(node.gpu_devices)]
    names: Iterable[str] = {*there.extended, *others.extended}
    return Lot(
        devices,
        node.gpu_memory_bytes,
        there.cpu_milli - others.cpu_milli,
        there.memory_bytes - others.memory_bytes,
        node.max_pods - node.other_pods,
        {name: there.extended.get(name, 0) - others.extended.get(name, 0) for name in names},
    )
