"""Volumes: the controller that binds claims, and the provisioner of every storage class, in one.

A claim of a class that binds at once gets a volume as soon as it is there. One of a class that waits for its first
consumer gets it when a scheduler has written `volume.kubernetes.io/selected-node` on it: the volume is then made for
that node, and only pods on it reach it. Where it cannot be made, because of the class's `allowedTopologies` or because
the class's annotation `sim.full-on` names the node, the provisioner takes the annotation away again, by which the
scheduler learns to look elsewhere. Making a volume takes the class's `sim.provision-seconds`, one unless it says so.

A volume that somebody made beforehand is Available until it is bound: to the claim that it, or a scheduler, names in
`claimRef`, or to one that names the volume. Left out: to look among these for one that suits a claim of a class that
binds at once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.pods import is_terminating, name_of, namespace_of, spec_of, uid_of
from simcluster.resources import Object

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
FULL_ON = "sim.full-on"
PROVISION_SECONDS = "sim.provision-seconds"
HOST_NAME = "kubernetes.io/hostname"
_NO_PROVISIONER = "kubernetes.io/no-provisioner"


class VolumeController:
    """Brings claims and volumes together; a key is namespace and name of a claim, or "" and the name of a volume."""

    watches = (CLAIMS, CLASSES, VOLUMES)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._events = events
        self._due: dict[Key, datetime] = {}

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the claim that changed, or those that may go on now."""
        obj = change.object
        if change.kind == CLAIMS:
            return [(namespace_of(obj), name_of(obj))]
        claims = (claim for claim in self._client.list(CLAIMS) if not _is_bound(claim))
        volumes = [("", name_of(obj))] if change.kind == VOLUMES else []
        return [*volumes, *((namespace_of(claim), name_of(claim)) for claim in claims)]

    def reconcile(self, key: Key) -> datetime | None:
        """Bind one claim, make its volume first, or clear away what was made for one that is gone."""
        if not key[0]:
            self._offer(key[1])
            return None
        claim = self._client.get(CLAIMS, *key)
        if claim is None:
            self._due.pop(key, None)
            self._clear_away(key)
            return None
        if is_terminating(claim) or _is_bound(claim):
            return None
        name = spec_of(claim).get("volumeName")
        volume = self._client.get(VOLUMES, None, name) if name else self._reserved_for(claim)
        if volume is not None:
            self._bind(claim, volume)
        return None if name or volume else self._provision(key, claim)

    def _offer(self, name: str) -> None:
        """Say of a volume that is nobody's yet that it is to be had."""
        volume = self._client.get(VOLUMES, None, name)
        if volume is not None and not spec_of(volume).get("claimRef") and not volume.get("status", {}).get("phase"):
            self._client.update_status(VOLUMES, {**volume, "status": {"phase": "Available"}})

    def _reserved_for(self, claim: Object) -> Object | None:
        wanted = (namespace_of(claim), name_of(claim))
        for volume in self._client.list(VOLUMES):
            reference = spec_of(volume).get("claimRef") or {}
            named = (reference.get("namespace"), reference.get("name")) == wanted
            if named and reference.get("uid") in {None, uid_of(claim)}:
                return volume
        return None

    def _provision(self, key: Key, claim: Object) -> datetime | None:
        storage = self._client.get(CLASSES, None, spec_of(claim).get("storageClassName") or "")
        if storage is None or storage.get("provisioner") == _NO_PROVISIONER:
            return None
        node = _annotations(claim).get(SELECTED_NODE, "")
        if _waits(storage) and not node:
            self._due.pop(key, None)
            return None
        due = self._due.setdefault(key, self._clock.now() + _time_to_make(storage))
        if due > self._clock.now():
            return due
        del self._due[key]
        if node and not self._can_be_made(storage, node):
            self._refuse(claim, storage, node)
        else:
            self._bind(claim, self._make(claim, storage, node))
        return None

    def _can_be_made(self, storage: Object, name: str) -> bool:
        node = self._client.get("nodes", None, name)
        if node is None or name in _annotations(storage).get(FULL_ON, "").split(","):
            return False
        labels, terms = node["metadata"].get("labels") or {}, storage.get("allowedTopologies") or []
        return not terms or any(
            all(labels.get(one["key"]) in one["values"] for one in term.get("matchLabelExpressions") or ())
            for term in terms
        )

    def _refuse(self, claim: Object, storage: Object, node: str) -> None:
        annotations = {key: value for key, value in _annotations(claim).items() if key != SELECTED_NODE}
        self._client.update(CLAIMS, {**claim, "metadata": {**claim["metadata"], "annotations": annotations}})
        message = f"failed to provision volume with StorageClass {name_of(storage)!r}: no room on node {node!r}"
        self._events.record(claim, "Warning", "ProvisioningFailed", message, storage["provisioner"])

    def _make(self, claim: Object, storage: Object, node: str) -> Object:
        name = f"pvc-{uid_of(claim)}"
        found = self._client.get(VOLUMES, None, name)
        if found is not None:
            return found
        spec = {
            "capacity": {"storage": _asked(claim)},
            "accessModes": spec_of(claim).get("accessModes", ["ReadWriteOnce"]),
            "persistentVolumeReclaimPolicy": storage.get("reclaimPolicy", "Delete"),
            "storageClassName": name_of(storage),
            "volumeMode": spec_of(claim).get("volumeMode", "Filesystem"),
            "csi": {"driver": storage["provisioner"], "volumeHandle": name},
        }
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
        return self._client.create(VOLUMES, {**volume, "spec": spec | _reach(self._host_name(node))})

    def _host_name(self, name: str) -> str:
        node = self._client.get("nodes", None, name) if name else None
        return (node["metadata"].get("labels") or {}).get(HOST_NAME, name) if node else name

    def _bind(self, claim: Object, volume: Object) -> None:
        reference = {"kind": "PersistentVolumeClaim", "namespace": namespace_of(claim), "name": name_of(claim)}
        bound = {**volume, "spec": {**spec_of(volume), "claimRef": reference | {"uid": uid_of(claim)}}}
        bound = self._client.update(VOLUMES, bound)
        self._client.update_status(VOLUMES, {**bound, "status": {"phase": "Bound"}})
        annotations = _annotations(claim) | {"pv.kubernetes.io/bind-completed": "yes"}
        metadata = {**claim["metadata"], "annotations": annotations}
        spec = {**spec_of(claim), "volumeName": name_of(volume)}
        claim = self._client.update(CLAIMS, {**claim, "metadata": metadata, "spec": spec})
        capacity, modes = spec_of(volume).get("capacity", {}), spec_of(volume).get("accessModes", [])
        status = {"phase": "Bound", "capacity": capacity, "accessModes": modes}
        self._client.update_status(CLAIMS, {**claim, "status": status})

    def _clear_away(self, key: Key) -> None:
        for volume in self._client.list(VOLUMES):
            reference = spec_of(volume).get("claimRef") or {}
            if (reference.get("namespace"), reference.get("name")) != key:
                continue
            if spec_of(volume).get("persistentVolumeReclaimPolicy") == "Delete":
                self._client.delete(VOLUMES, None, name_of(volume))
            elif (volume.get("status") or {}).get("phase") != "Released":
                self._client.update_status(VOLUMES, {**volume, "status": {"phase": "Released"}})


def _is_bound(claim: Object) -> bool:
    return (claim.get("status") or {}).get("phase") == "Bound"


def _waits(storage: Object) -> bool:
    return bool(storage.get("volumeBindingMode") == "WaitForFirstConsumer")


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _time_to_make(storage: Object) -> timedelta:
    return timedelta(seconds=float(_annotations(storage).get(PROVISION_SECONDS, "1")))


def _asked(claim: Object) -> str:
    return str(((spec_of(claim).get("resources") or {}).get("requests") or {}).get("storage", "1Gi"))


def _reach(host: str) -> Object:
    """Return which nodes reach a volume that was made for one; all of them if it was made for none."""
    if not host:
        return {}
    expression = {"key": HOST_NAME, "operator": "In", "values": [host]}
    return {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}
