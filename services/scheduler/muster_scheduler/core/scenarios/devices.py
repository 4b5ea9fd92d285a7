"""Which devices the pods hold that already run when a scenario begins; the file names them by labels, or not at all.

A label is one device of the node, whoever bears it. Without labels a pod gets whole devices that nobody has, and one
that shares gets a device of its own while there is one, else the first with room.
"""

from muster_contracts.values import WHOLE_GPU, DeviceShare, GpuRequest


class Devices:
    """The devices of one node, and what is left of each."""

    def __init__(self, count: int, memory_bytes: int) -> None:
        self.count = count
        self._memory_bytes = memory_bytes
        self._free = [WHOLE_GPU] * count
        self._labelled: dict[str, int] = {}

    def take(self, request: GpuRequest, labels: tuple[str, ...]) -> tuple[DeviceShare, ...]:
        """Give a pod its devices. Raises ValueError when there are too few."""
        if not request.devices:
            return ()
        portion = self._portion(request)
        taken = []
        for number in range(request.devices):
            index = self._index(labels[number : number + 1], portion)
            self._free[index] -= portion
            taken.append(DeviceShare(index=index, portion_millionths=portion))
        return tuple(taken)

    def _portion(self, request: GpuRequest) -> int:
        if request.memory_bytes is None:
            return request.portion_millionths
        return -(-request.memory_bytes * WHOLE_GPU // self._memory_bytes)

    def _index(self, label: tuple[str, ...], portion: int) -> int:
        if label and label[0] in self._labelled:
            index = self._labelled[label[0]]
            if self._free[index] < portion:
                raise ValueError(f"has no room left for it on the device that is labelled {label[0]}")
            return index
        spare = [index for index, free in enumerate(self._free) if free == WHOLE_GPU]
        shared = [index for index, free in enumerate(self._free) if free >= portion]
        if not spare and (label or not shared):
            raise ValueError("has no device left for it")
        index = (spare or shared)[0]
        if label:
            self._labelled[label[0]] = index
        return index
