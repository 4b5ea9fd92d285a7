"""The garbage collector: what belongs to nobody any more goes.

An object whose owners are all gone is deleted. An owner deleted in the foreground keeps its finalizer
`foregroundDeletion` until the dependents that block it are gone; one deleted with `orphan` first has its name taken
off its dependents. Owners are looked up in the store by kind, name and uid: a reference to a kind nobody serves is
left alone, for nothing can be known about it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.errors import ApiError
from simcluster.machinery import Change, Key
from simcluster.pods import is_terminating, name_of, namespace_of, uid_of
from simcluster.resources import Object, ResourceTable

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


class GarbageCollector:
    """Follows ownership over all kinds; a key is kind, namespace and name."""

    watches = None

    def __init__(self, client: Client, resources: ResourceTable) -> None:
        self._client = client
        self._resources = resources
        self._owners: dict[Key, tuple[str, ...]] = {}
        self._dependents: dict[str, dict[Key, None]] = {}  # by the owner's uid
        self._blocked: dict[str, Key] = {}  # owners in the course of a foreground deletion, by uid

    def keys(self, change: Change) -> Iterable[Key]:
        """Keep the books of ownership; return what may have become garbage or may go on being deleted."""
        if change.kind == "events":
            return ()
        obj = change.object
        key = (change.kind, namespace_of(obj), name_of(obj))
        if change.type == "DELETED":
            return self._note_gone(key, obj)
        changed = self._note_owners(key, _owner_uids(obj))
        if is_terminating(obj) and _waits_for(obj):
            self._blocked[uid_of(obj)] = key
            return (key,)
        return (key,) if changed and key in self._owners else ()

    def _note_gone(self, key: Key, obj: Object) -> Iterable[Key]:
        owners = self._owners.get(key, ())
        self._note_owners(key, ())
        self._blocked.pop(uid_of(obj), None)
        unblocked = [self._blocked[uid] for uid in owners if uid in self._blocked]
        return [*self._dependents.get(uid_of(obj), ()), *unblocked]

    def _note_owners(self, key: Key, owners: tuple[str, ...]) -> bool:
        before = self._owners.get(key, ())
        if owners == before:
            return False
        for uid in before:
            self._dependents[uid].pop(key, None)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in owners:
            self._dependents.setdefault(uid, {})[key] = None
        if owners:
            self._owners[key] = owners
        else:
            self._owners.pop(key, None)
        return True

    def reconcile(self, key: Key) -> datetime | None:
        """Collect one object, or carry on with its deletion."""
        obj = self._get(key)
        if obj is None:
            return None
        finalizer = _waits_for(obj) if is_terminating(obj) else ""
        if finalizer == ORPHAN:
            self._orphan(key, obj)
        elif finalizer == FOREGROUND:
            self._go_on_with_foreground(key, obj)
        elif not is_terminating(obj):
            self._collect(key, obj)
        return None

    def _get(self, key: Key) -> Object | None:
        kind, namespace, name = key
        return self._client.get(kind, namespace or None, name)

    def _dependents_of(self, owner: Object) -> list[tuple[Key, Object]]:
        found = [(key, self._get(key)) for key in self._dependents.get(uid_of(owner), ())]
        return [(key, obj) for key, obj in found if obj is not None]

    def _orphan(self, key: Key, owner: Object) -> None:
        for dependent_key, dependent in self._dependents_of(owner):
            self._disown(dependent_key, dependent, {uid_of(owner)})
        self._drop_finalizer(key, owner, ORPHAN)

    def _go_on_with_foreground(self, key: Key, owner: Object) -> None:
        blocking = False
        for dependent_key, dependent in self._dependents_of(owner):
            if not is_terminating(dependent):
                self._collect(dependent_key, dependent)
            blocking = blocking or (_blocks(dependent, uid_of(owner)) and self._get(dependent_key) is not None)
        if not blocking:
            self._drop_finalizer(key, owner, FOREGROUND)

    def _collect(self, key: Key, obj: Object) -> None:
        """Delete an object none of whose owners stands, or take from it the names of those that do not."""
        standing, leaving, gone = self._sorted_owners(obj)
        if standing:
            if leaving or gone:
                self._disown(key, obj, leaving | gone)
        elif leaving and self._dependents.get(uid_of(obj)):
            self._delete(key, obj, "Foreground")
        elif leaving or gone:
            finalizers = obj["metadata"].get("finalizers") or ()
            policy = "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"
            self._delete(key, obj, policy)

    def _sorted_owners(self, obj: Object) -> tuple[set[str], set[str], set[str]]:
        """Return the uids of owners that stand, that are deleted in the foreground, and that are gone."""
        standing: set[str] = set()
        leaving: set[str] = set()
        gone: set[str] = set()
        for reference in obj["metadata"].get("ownerReferences") or ():
            owner = self._owner(obj, reference)
            if owner is None:
                gone.add(reference["uid"])
            elif owner and is_terminating(owner) and _waits_for(owner) == FOREGROUND and _is_blocking(reference):
                leaving.add(reference["uid"])
            else:
                standing.add(reference["uid"])
        return standing, leaving, gone

    def _owner(self, obj: Object, reference: Mapping[str, Any]) -> Object | None:
        """Return the owner, None when it is gone, an empty object when nobody can know."""
        resource = self._resources.of_kind(reference["apiVersion"], reference["kind"])
        if resource is None:
            return {}
        namespace = namespace_of(obj) if resource.namespaced else None
        owner = self._client.get(resource.key, namespace, reference["name"])
        return owner if owner is not None and uid_of(owner) == reference["uid"] else None

    def _delete(self, key: Key, obj: Object, propagation: str) -> None:
        kind, namespace, name = key
        try:
            self._client.delete(kind, namespace or None, name, uid=uid_of(obj), propagation=propagation)
        except ApiError as error:
            if error.code not in {404, 409}:
                raise

    def _disown(self, key: Key, obj: Object, uids: set[str]) -> None:
        kept = [owner for owner in obj["metadata"]["ownerReferences"] if owner["uid"] not in uids]
        self._client.update(key[0], _with_metadata(obj, "ownerReferences", kept))

    def _drop_finalizer(self, key: Key, obj: Object, finalizer: str) -> None:
        kept = [name for name in obj["metadata"].get("finalizers", []) if name != finalizer]
        self._client.update(key[0], _with_metadata(obj, "finalizers", kept))


def _owner_uids(obj: Object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()))


def _waits_for(obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers") or ()
    return next((name for name in (ORPHAN, FOREGROUND) if name in finalizers), "")


def _is_blocking(reference: Mapping[str, Any]) -> bool:
    return bool(reference.get("blockOwnerDeletion"))


def _blocks(dependent: Object, owner_uid: str) -> bool:
    references: Sequence[Mapping[str, Any]] = dependent["metadata"].get("ownerReferences") or ()
    return any(reference["uid"] == owner_uid and _is_blocking(reference) for reference in references)


def _with_metadata(obj: Object, field: str, value: Sequence[Any]) -> Object:
    metadata = {name: each for name, each in obj["metadata"].items() if name != field}
    return {**obj, "metadata": metadata | ({field: value} if value else {})}
