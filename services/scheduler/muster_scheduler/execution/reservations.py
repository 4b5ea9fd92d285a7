"""Reservation pods: one for each GPU that pods share, so that the device plugin and other schedulers see it taken.

A pod that has a part of a GPU asks Kubernetes for none. In its stead a pod of ours, pinned to the node, asks for one
whole GPU: it is made before the first sharer is bound, and is gone before the device is given to anybody whole. Which
devices are shared is folded state; this makes the cluster agree with it, device by device, never two hands on one.
Whatever was missed, by a scheduler that died or by a sharer that left, is found by `sweep`.

Pitfalls. A name says which device a pod reserves, so it cannot be made twice, and another pod of that name may be one
that is on its way out. The index is Muster's own count: which device the plugin gives to the reservation, and that
sharers stay inside their part, is the driver's business.
"""

import asyncio
from collections.abc import Iterator
from uuid import uuid5

from muster_cluster.objects import NAMESPACES, PODS, Pod
from muster_cluster.port import Cluster, ClusterError, Conflicted, NotFound, Page
from muster_contracts.errors import Unavailable
from muster_contracts.names import GPU_INDEX, GPU_RESOURCE, RESERVATIONS_NAMESPACE
from muster_contracts.subjects import NAMESPACE as IDS
from muster_contracts.values import WHOLE_GPU, Placement

from muster_scheduler.core.state import State

Device = tuple[str, int]
"""A node's name and the index of one of its GPUs."""

ENDED = frozenset({"Succeeded", "Failed"})


class Reservations:
    """The reservation pods of a cluster. `known` are their UIDs by device, changed under the device's lock alone."""

    def __init__(self, cluster: Cluster, state: State, image: str) -> None:
        self._cluster = cluster
        self._state = state
        self._image = image
        self._known: dict[Device, str] = {}
        self._locks: dict[Device, asyncio.Lock] = {}
        self._looking = asyncio.Lock()
        self._has_looked = False

    def forget(self) -> None:
        """Look anew before the next deed, for another scheduler may have led since."""
        self._has_looked = False

    async def prepare(self, placement: Placement) -> None:
        """Reserve what a pod is to share, and free what it is to have whole. Raises Unavailable when that fails."""
        if not placement.devices:
            return
        async with self._looking:
            if not self._has_looked:
                await self.sweep()
        for share in placement.devices:
            device = placement.node, share.index
            await self._settle(device, self._known.get(device))

    async def sweep(self) -> None:
        """Make every device right that is shared or reserved; those that nobody shares any more are let go."""
        listed = await self._list()
        for device in sorted({*listed, *self._known, *_shared(self._state)}):  # one seed replays a world
            await self._settle(device, listed.get(device))
        self._has_looked = True

    async def _settle(self, device: Device, seen: str | None) -> None:
        """Reserve a device or let it go. `seen` is its pod as last seen: if it is another one than known, we look."""
        async with self._locks.setdefault(device, asyncio.Lock()):
            try:
                if self._known.get(device) != seen:
                    self._note(device, await self._read(device))
                uid = self._known.get(device)
                if _is_shared(self._state, device) and uid is None:
                    self._note(device, await self._make(device))
                elif uid is not None and not _is_shared(self._state, device):
                    await self._remove(device, uid)
                    self._note(device, None)
            except ClusterError as error:
                raise Unavailable(f"GPU {device[1]} of {device[0]} cannot be reserved: {error.message}") from error

    def _note(self, device: Device, uid: str | None) -> None:
        if uid is None:
            self._known.pop(device, None)
        else:
            self._known[device] = uid

    async def _read(self, device: Device) -> str | None:
        """Return the UID of a device's pod; one that has ended holds no GPU any more and is taken away."""
        try:
            pod = await self._cluster.get(PODS, RESERVATIONS_NAMESPACE, _name(device))
        except NotFound:
            return None
        if pod.status.phase in ENDED:
            await self._remove(device, pod.metadata.uid)
            return None
        return pod.metadata.uid if pod.metadata.deletion_timestamp is None else None

    async def _list(self) -> dict[Device, str]:
        """Return the UIDs of the pods there are, empty for those that are on their way out."""
        found: dict[Device, str] = {}
        following = ""
        while True:
            page = await self._page(following)
            for pod in page.items:
                if (index := pod.metadata.labels[GPU_INDEX]).isdecimal():
                    lasts = pod.metadata.deletion_timestamp is None and pod.status.phase not in ENDED
                    found[pod.spec.node_name, int(index)] = pod.metadata.uid if lasts else ""
            if not (following := page.next):
                return found

    async def _page(self, following: str) -> Page[Pod]:
        try:
            return await self._cluster.list_page(
                PODS, namespace=RESERVATIONS_NAMESPACE, label_selector=GPU_INDEX, continue_from=following
            )
        except ClusterError as error:
            raise Unavailable(f"Reservations of GPUs cannot be looked at: {error.message}") from error

    async def _make(self, device: Device) -> str:
        """Create the pod of a device and return its UID, also that of one that is there already."""
        try:
            return (await self._cluster.create(PODS, self._manifest(device))).metadata.uid
        except NotFound:
            await self._make_namespace()
            return (await self._cluster.create(PODS, self._manifest(device))).metadata.uid
        except Conflicted:
            if (uid := await self._read(device)) is None:
                raise  # it is on its way out, and its name will be free in a moment
            return uid

    async def _make_namespace(self) -> None:
        try:
            await self._cluster.create(NAMESPACES, {"metadata": {"name": RESERVATIONS_NAMESPACE}})
        except Conflicted:
            return  # somebody made it just now

    async def _remove(self, device: Device, uid: str) -> None:
        """Delete a reservation at once: nothing in it needs time to stop, and somebody may wait for the GPU."""
        try:
            await self._cluster.delete(PODS, RESERVATIONS_NAMESPACE, _name(device), uid=uid, grace_period_seconds=0)
        except (NotFound, Conflicted):
            return  # it is gone; what has its name now is another's

    def _manifest(self, device: Device) -> dict[str, object]:
        node, index = device
        gpu = {GPU_RESOURCE: "1"}
        container = {"name": "reservation", "image": self._image, "resources": {"requests": gpu, "limits": gpu}}
        return {
            "metadata": {
                "name": _name(device),
                "namespace": RESERVATIONS_NAMESPACE,
                "labels": {GPU_INDEX: str(index)},
            },
            "spec": {
                "nodeName": node,
                "containers": [container],
                "tolerations": [{"operator": "Exists"}],
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
            },
        }


def _name(device: Device) -> str:
    return f"gpu-{uuid5(IDS, f'reservation/{device[0]}/{device[1]}')}"


def _is_shared(state: State, device: Device) -> bool:
    node, index = device
    shares = (share for pod_id in state.tenants.get(node, ()) for share in state.devices_of(pod_id))
    return any(share.index == index and share.portion_millionths < WHOLE_GPU for share in shares)


def _shared(state: State) -> Iterator[Device]:
    for node, tenants in state.tenants.items():
        for pod_id in tenants:
            for share in state.devices_of(pod_id):
                if share.portion_millionths < WHOLE_GPU:
                    yield node, share.index
