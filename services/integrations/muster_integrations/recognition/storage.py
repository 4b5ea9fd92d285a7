"""What the volumes of pods demand of their nodes: claims, the volumes they were given, and their storage classes.

A bound claim demands the nodes that its volume reaches. One that is not bound, of a class that waits for its first
consumer, has its volume made where the pod goes, within the topologies that the class allows; the scheduler is told
its name, for it has to select the node. Any other that is not bound, or not seen (yet), is told as unbound: it may be
on its way. Which nodes have room for a volume is not told: who makes it knows.

Left out are claims of a class that nobody provisions, whose volumes lie ready on some nodes: to choose among these
takes more than to choose a node.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from muster_cluster.metadata import Key
from muster_cluster.objects import (
    CLAIMS,
    STORAGE_CLASSES,
    VOLUMES,
    PersistentVolume,
    PersistentVolumeClaim,
    Pod,
    StorageClass,
)
from muster_contracts.values import NodeTerm

from muster_integrations.recognition.index import Index
from muster_integrations.recognition.placement import NO_DEMANDS, Demands, node_terms, topology_terms

KINDS: Final = (CLAIMS, VOLUMES, STORAGE_CLASSES)
_NOBODY: Final = "kubernetes.io/no-provisioner"
StorageObject = PersistentVolumeClaim | PersistentVolume | StorageClass
Name = TypeVar("Name")
Item = TypeVar("Item")


class Storage:
    """The claims, volumes and classes that are there, and which pods use which claim."""

    def __init__(self) -> None:
        self._claims: dict[Key, PersistentVolumeClaim] = {}
        self._volumes: dict[str, PersistentVolume] = {}
        self._classes: dict[str, StorageClass] = {}
        self._users: Index[Key] = Index()

    def take(self, old: StorageObject | None, new: StorageObject | None) -> Iterator[str]:
        """Take one step of one object; return the UIDs of the pods that it concerns."""
        match new or old:
            case PersistentVolumeClaim() as claim:
                _put(self._claims, claim.metadata.key, claim if new else None)
                return iter(tuple(self._users.under(claim.metadata.key)))
            case PersistentVolume() as volume:
                _put(self._volumes, volume.metadata.name, volume if new else None)
                return iter(tuple(self._users.under(_claim_of(volume))))
            case StorageClass() as storage:
                _put(self._classes, storage.metadata.name, storage if new else None)
                return self._users_of_class(storage.metadata.name)
        raise AssertionError("a step has an object")

    def uses(self, pod: Pod) -> None:
        """Note whose claims a pod uses."""
        for name in claims_of(pod):
            self._users.add((pod.metadata.namespace, name), pod.metadata.uid)

    def forget(self, pod: Pod) -> None:
        """Forget a pod that is gone."""
        for name in claims_of(pod):
            self._users.discard((pod.metadata.namespace, name), pod.metadata.uid)

    def demands_of(self, pod: Pod) -> Demands:
        """Return what the volumes of a pod demand now."""
        names = claims_of(pod) if pod.spec.volumes else ()
        if not names:
            return NO_DEMANDS
        claims = {name: self._claims.get((pod.metadata.namespace, name)) for name in names}
        volumes = [self._terms(claim) for claim in claims.values() if claim is not None]
        return Demands(
            volumes=tuple(terms for terms in volumes if terms),
            claims_waiting=tuple(name for name, claim in claims.items() if claim is not None and self._waits(claim)),
            claims_unbound=tuple(name for name, claim in claims.items() if claim is None or self._is_on_its_way(claim)),
        )

    def _terms(self, claim: PersistentVolumeClaim) -> tuple[NodeTerm, ...]:
        return self._reach(claim) if claim.spec.volume_name else self._choice(claim)

    def _reach(self, claim: PersistentVolumeClaim) -> tuple[NodeTerm, ...]:
        volume = self._volumes.get(claim.spec.volume_name)
        affinity = volume.spec.node_affinity if volume is not None else None
        return node_terms(affinity.required) if affinity is not None else ()

    def _choice(self, claim: PersistentVolumeClaim) -> tuple[NodeTerm, ...]:
        storage = self._classes.get(claim.spec.storage_class_name)
        return topology_terms(storage.allowed_topologies) if storage is not None else ()

    def _waits(self, claim: PersistentVolumeClaim) -> bool:
        storage = self._classes.get(claim.spec.storage_class_name)
        return not claim.spec.volume_name and storage is not None and _waits_for_consumers(storage)

    def _is_on_its_way(self, claim: PersistentVolumeClaim) -> bool:
        storage = self._classes.get(claim.spec.storage_class_name)
        is_chosen = storage is not None and (_waits_for_consumers(storage) or storage.provisioner == _NOBODY)
        return not claim.spec.volume_name and not is_chosen

    def _users_of_class(self, name: str) -> Iterator[str]:
        for key, claim in self._claims.items():
            if claim.spec.storage_class_name == name and not claim.spec.volume_name:
                yield from self._users.under(key)


def claims_of(pod: Pod) -> tuple[str, ...]:
    """Return the names of the claims that a pod uses; one that is made with the pod is named like both."""
    return tuple(_claims(pod))


def _claims(pod: Pod) -> Iterable[str]:
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}"


def _waits_for_consumers(storage: StorageClass) -> bool:
    return storage.volume_binding_mode == "WaitForFirstConsumer" and storage.provisioner != _NOBODY


def _claim_of(volume: PersistentVolume) -> Key:
    claim = volume.spec.claim_ref
    return (claim.namespace, claim.name) if claim is not None else ("", "")


def _put(known: dict[Name, Item], name: Name, item: Item | None) -> None:
    if item is None:
        known.pop(name, None)
    else:
        known[name] = item
