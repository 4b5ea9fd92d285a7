"""The current objects of one kind, found by name, by namespace or by owner without a look at all the others."""

import bisect

from simcluster.revisions import Key, Stored


class Shelf:
    """The objects of one kind, in order of namespace and name, and by owner."""

    def __init__(self) -> None:
        self.objects: dict[Key, Stored] = {}
        self._order: list[Key] = []
        self._by_owner: dict[str, dict[Key, Stored]] = {}

    def put(self, stored: Stored) -> None:
        """Add a revision in place of the one before."""
        previous = self.objects.get(stored.key)
        if previous is None:
            bisect.insort(self._order, stored.key)
        self._unlink(previous)
        self.objects[stored.key] = stored
        for uid in _owner_uids(stored):
            self._by_owner.setdefault(uid, {})[stored.key] = stored

    def remove(self, key: Key) -> None:
        """Take an object away."""
        self._unlink(self.objects.pop(key))
        del self._order[bisect.bisect_left(self._order, key)]

    def _unlink(self, stored: Stored | None) -> None:
        if stored is None:
            return
        for uid in _owner_uids(stored):
            owned = self._by_owner[uid]
            del owned[stored.key]
            if not owned:
                del self._by_owner[uid]

    def within(self, namespace: str) -> list[Stored]:
        """Return a namespace's objects by name."""
        start = bisect.bisect_left(self._order, (namespace, ""))
        end = bisect.bisect_left(self._order, (namespace + "\0", ""))
        return [self.objects[key] for key in self._order[start:end]]

    def owned_by(self, uid: str) -> list[Stored]:
        """Return the objects that name an owner, by namespace and name."""
        return sorted(self._by_owner.get(uid, {}).values(), key=_by_key)

    def all(self) -> list[Stored]:
        """Return every object by namespace and name."""
        return [self.objects[key] for key in self._order]


def _by_key(stored: Stored) -> Key:
    return stored.namespace, stored.name


def _owner_uids(stored: Stored) -> list[str]:
    owners = stored.body["metadata"].get("ownerReferences") or ()
    return list(dict.fromkeys(owner["uid"] for owner in owners))
