"""What the volumes of pods demand of their nodes: claims, the volumes they were given, and their storage classes.

A bound claim demands the nodes that its volume reaches. One that is not bound, of a class that waits for its first
consumer, has its volume made where the pod goes, within the topologies that the class allows and where the driver says
that it has room, if it says so; or, of a class that nobody provisions, takes a volume that lies ready within reach.
Both are told by name, for the scheduler has to select the node, or the volume. Any other that is not bound, or not seen
(yet), is told as unbound: it may be on its way.

Pitfall. Whatever takes or frees a volume, or room, concerns all pods that wait with claims of that class. Left out:
volumes that lie ready in a class that somebody provisions; another is made.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Final, TypeVar

from muster_cluster.metadata import Key
from muster_cluster.objects import Pod
from muster_cluster.storage import (
    CLAIMS,
    STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    STORAGE_DRIVERS,
    VOLUMES,
    PersistentVolume,
    PersistentVolumeClaim,
    StorageCapacity,
    StorageClass,
    StorageDriver,
)
from muster_cluster.volumes import asked_bytes, is_ready, suits
from muster_contracts.values import ClaimChoice, ReadyVolumes

from muster_integrations.recognition.index import Index
from muster_integrations.recognition.placement import NO_DEMANDS, Demands, topology_terms
from muster_integrations.recognition.reach import (
    ByClass,
    Terms,
    is_short,
    reach_of,
    reach_of_any,
    ready_for,
    room_in,
    with_room_for,
)

KINDS: Final = (CLAIMS, VOLUMES, STORAGE_CLASSES, STORAGE_DRIVERS, STORAGE_CAPACITIES)
_NOBODY: Final = "kubernetes.io/no-provisioner"
_UNKNOWN: Final = StorageClass()
StorageObject = PersistentVolumeClaim | PersistentVolume | StorageClass | StorageDriver | StorageCapacity
Name = TypeVar("Name")
Item = TypeVar("Item")


class Storage:
    """The claims, volumes and classes that are there, and which pods use which claim."""

    def __init__(self) -> None:
        self._claims: dict[Key, PersistentVolumeClaim] = {}
        self._volumes: dict[str, PersistentVolume] = {}
        self._classes: dict[str, StorageClass] = {}
        self._drivers: dict[str, StorageDriver] = {}
        self._ready: ByClass[str, PersistentVolume] = ByClass()
        self._capacities: ByClass[Key, StorageCapacity] = ByClass()
        self._open_claims: ByClass[Key, PersistentVolumeClaim] = ByClass()
        self._ready_for: dict[tuple[object, ...], tuple[ReadyVolumes, ...]] = {}
        self._rooms: dict[tuple[str, int], Terms] = {}
        self._users: Index[Key] = Index()

    def take(self, old: StorageObject | None, new: StorageObject | None) -> Iterator[str]:
        """Take one step of one object; return the UIDs of the pods that it concerns."""
        there = new is not None
        match new or old:
            case PersistentVolumeClaim() as claim:
                return self._take_claim(claim, there=there)
            case PersistentVolume() as volume:
                return self._take_volume(volume, there=there)
            case StorageClass() as storage:
                _put(self._classes, storage.metadata.name, storage if there else None)
                return self._users_of_class(storage.metadata.name)
            case StorageDriver() as driver:
                _put(self._drivers, driver.metadata.name, driver if there else None)
                made = [name for name, one in self._classes.items() if one.provisioner == driver.metadata.name]
                return chain.from_iterable(map(self._users_of_class, made))
            case StorageCapacity() as room:
                return self._take_room(room, there=there)
        raise AssertionError("a step has an object")

    def _take_claim(self, claim: PersistentVolumeClaim, *, there: bool) -> Iterator[str]:
        key, is_open = claim.metadata.key, there and not claim.spec.volume_name
        if (before := self._claims.get(key)) is not None:
            self._open_claims.put(before.spec.storage_class_name, key, None)
        _put(self._claims, key, claim if there else None)
        self._open_claims.put(claim.spec.storage_class_name, key, claim if is_open else None)
        return iter(tuple(self._users.under(key)))

    def _take_volume(self, volume: PersistentVolume, *, there: bool) -> Iterator[str]:
        """Take one step of a volume: it concerns whose it is, and all who could have had it, or could now."""
        _put(self._volumes, volume.metadata.name, volume if there else None)
        ready = volume if there and is_ready(volume) else None
        before = self._ready.put(volume.spec.storage_class_name, volume.metadata.name, ready)
        self._ready_for.clear()
        offers = [one for one in (before, ready) if one is not None]
        choosing = self._users_where(
            volume.spec.storage_class_name, lambda claim: any(suits(one, claim) for one in offers)
        )
        return iter((*self._users.under(_claim_of(volume)), *(choosing if offers else ())))

    def _take_room(self, room: StorageCapacity, *, there: bool) -> Iterator[str]:
        """Take one step of a capacity. Drivers publish often; who had room before and has it still is not concerned."""
        name, now = room.storage_class_name, room if there else None
        before = self._capacities.put(name, room.metadata.key, now)
        self._rooms.clear()
        return self._users_where(
            name, lambda claim: room_in(before, asked_bytes(claim)) != room_in(now, asked_bytes(claim))
        )

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
        found = [(name, self._claims.get((pod.metadata.namespace, name))) for name in names]
        claims = [(name, claim, self._class_of(claim)) for name, claim in found if claim is not None]
        waiting = [(name, claim, storage) for name, claim, storage in claims if _waits(claim, storage)]
        choices = {name: self._choice(claim) for name, claim, storage in waiting if storage.provisioner == _NOBODY}
        return Demands(
            volumes=tuple(terms for _, claim, storage in claims for terms in self._terms(claim, storage)),
            claims_waiting=tuple(name for name, _, _ in waiting if name not in choices),
            claims_unbound=tuple(name for name, claim in found if claim is None or self._is_on_its_way(claim)),
            claims_choosing=tuple(choices.values()),
        )

    def _class_of(self, claim: PersistentVolumeClaim) -> StorageClass:
        return self._classes.get(claim.spec.storage_class_name, _UNKNOWN)

    def _terms(self, claim: PersistentVolumeClaim, storage: StorageClass) -> Iterator[Terms]:
        """Yield terms for each thing that confines a claim to some nodes."""
        if claim.spec.volume_name:
            volume = self._volumes.get(claim.spec.volume_name)
            told = [reach_of(volume)] if volume is not None else []
        elif storage.provisioner == _NOBODY:
            told = [self._ready_reach(claim)] if _waits(claim, storage) else []
        else:
            told = [topology_terms(storage.allowed_topologies), self._room(claim, storage)]
        yield from (terms for terms in told if terms)

    def _room(self, claim: PersistentVolumeClaim, storage: StorageClass) -> Terms:
        driver = self._drivers.get(storage.provisioner)
        if driver is None or not driver.spec.storage_capacity or not _waits(claim, storage):
            return ()
        key = (storage.metadata.name, asked_bytes(claim))
        if key not in self._rooms:
            self._rooms[key] = with_room_for(claim, self._capacities.of(storage.metadata.name))
        return _told(self._rooms[key])

    def _ready_reach(self, claim: PersistentVolumeClaim) -> Terms:
        return _told(reach_of_any(self._offers(claim)))

    def _choice(self, claim: PersistentVolumeClaim) -> ClaimChoice:
        offers = self._offers(claim)
        return ClaimChoice(
            claim=claim.metadata.name,
            storage_class=claim.spec.storage_class_name,
            ready=offers if _told(reach_of_any(offers)) else (),
        )

    def _offers(self, claim: PersistentVolumeClaim) -> tuple[ReadyVolumes, ...]:
        spec = claim.spec
        asked = (spec.storage_class_name, spec.volume_mode, spec.access_modes, asked_bytes(claim))
        key = (*asked, repr(spec.selector))
        if key not in self._ready_for:
            self._ready_for[key] = ready_for(claim, self._ready.of(claim.spec.storage_class_name))
        return self._ready_for[key]

    def _is_on_its_way(self, claim: PersistentVolumeClaim) -> bool:
        return not claim.spec.volume_name and not _waits(claim, self._class_of(claim))

    def _users_of_class(self, name: str) -> Iterator[str]:
        return self._users_where(name, lambda _: True)

    def _users_where(self, name: str, concerns: Callable[[PersistentVolumeClaim], bool]) -> Iterator[str]:
        """Yield who waits with a claim of a class that is concerned."""
        for claim in self._open_claims.of(name):
            if concerns(claim):
                yield from self._users.under(claim.metadata.key)


def claims_of(pod: Pod) -> tuple[str, ...]:
    """Return the names of the claims that a pod uses; one that is made with the pod is named like both."""
    return tuple(_claims(pod))


def _claims(pod: Pod) -> Iterable[str]:
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield volume.persistent_volume_claim.claim_name
        elif volume.ephemeral is not None:
            yield f"{pod.metadata.name}-{volume.name}"


def _waits(claim: PersistentVolumeClaim, storage: StorageClass) -> bool:
    """Say whether a claim gets its volume when its first consumer has a node."""
    return not claim.spec.volume_name and storage.volume_binding_mode == "WaitForFirstConsumer"


def _told(terms: Terms) -> Terms:
    return terms if is_short(terms) else ()


def _claim_of(volume: PersistentVolume) -> Key:
    claim = volume.spec.claim_ref
    return (claim.namespace, claim.name) if claim is not None else ("", "")


def _put(known: dict[Name, Item], name: Name, item: Item | None) -> None:
    if item is None:
        known.pop(name, None)
    else:
        known[name] = item
