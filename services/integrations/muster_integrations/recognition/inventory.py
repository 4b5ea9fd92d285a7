"""All live objects that are watched, and the ways to find them: by UID, name, owner and namespace.

It is the `World` in which objects are resolved, so it also knows which kinds are read at all: an object of a kind that
nobody reads (it is not served, or we may not) is never waited for. Of such an object two things may be known all the
same: its UID, from whoever names it as the owner, and whose it is, from whoever *holds* it.
"""

from collections.abc import Collection, Iterator

from muster_cluster.metadata import OwnerReference

from muster_integrations.recognition.index import Index
from muster_integrations.recognition.kinds import KindName, Known, Name, group_of
from muster_integrations.recognition.knowledge import Knowledge
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import TABLE


class Inventory:
    """The objects as they are now. `discovers`: the kinds of owners that nobody knows will be read as well."""

    def __init__(self, knowledge: Knowledge, *, discovers: bool) -> None:
        self._knowledge = knowledge
        self._discovers = discovers
        self._readings: dict[KindName, Reading] = {}
        self._objects: dict[str, Known] = {}
        self._names: dict[Name, str] = {}
        self._owned: Index[str] = Index()
        self._in_namespace: Index[str] = Index()
        self._referring: Index[tuple[Name, str]] = Index()
        self._uids: Index[Name] = Index()
        self._holders: Index[Name] = Index()

    def put(self, new: Known) -> list[Name]:
        """Take an object in, or a newer state of it; return the names of others of which more is known now, or less."""
        uid = new.metadata.uid
        old = self._objects.get(uid)
        self._objects[uid] = new
        if old is not None:
            return [] if _links(old) == _links(new) else [*self._unlink(old), *self._link(new)]
        self._names[new.full_name] = uid
        self._in_namespace.add(new.metadata.namespace, uid)
        return [*self._link(new)]

    def remove(self, uid: str) -> list[Name]:
        """Forget an object that is there; return the names of which something else is known. Its may be another's."""
        old = self._objects.pop(uid)
        self._in_namespace.discard(old.metadata.namespace, uid)
        if self._names.get(old.full_name) == uid:
            del self._names[old.full_name]
        return [old.full_name, *self._unlink(old)]

    def _link(self, new: Known) -> Iterator[Name]:
        uid = new.metadata.uid
        for reference in new.metadata.owner_references:
            name = _name_of(reference, new)
            self._owned.add(reference.uid, uid)
            if self._referring.add((name, reference.uid), uid):
                self._uids.add(name, reference.uid)
                yield name
        for name in _held(new):
            self._holders.add(name, uid)
            yield name

    def _unlink(self, old: Known) -> Iterator[Name]:
        uid = old.metadata.uid
        for reference in old.metadata.owner_references:
            name = _name_of(reference, old)
            self._owned.discard(reference.uid, uid)
            if self._referring.discard((name, reference.uid), uid):
                self._uids.discard(name, reference.uid)
                yield name
        for name in _held(old):
            self._holders.discard(name, uid)
            yield name

    def reads(self, kind: KindName, reading: Reading) -> bool:
        """Note whether objects of a kind are seen. Return whether that is news."""
        news = self._readings.get(kind) is not reading
        self._readings[kind] = reading
        return news

    def reading_of(self, kind: KindName) -> Reading | None:
        """Return whether objects of a kind are seen; None when nobody has said so yet."""
        return self._readings.get(kind)

    def by_uid(self, uid: str) -> Known | None:
        """Return a live object."""
        return self._objects.get(uid)

    @property
    def uids(self) -> Collection[str]:
        """The UIDs of all live objects."""
        return self._objects.keys()

    def by_name(self, name: Name) -> Known | None:
        """Return a live object."""
        return self._objects.get(self._names.get(name, ""))

    def uid_of(self, name: Name) -> str:
        """Return the UID by which others name an object as their owner; empty when none does.

        Of several, for it was made anew under its name, the smallest: the same whoever came first.
        """
        return min(self._uids.under(name), default="")

    def holder_of(self, name: Name) -> Known | None:
        """Return the live object that says of another, which need not be there, that it is its own."""
        return self._objects.get(min(self._holders.under(name), default=""))

    def owned_by(self, uid: str) -> Collection[str]:
        """Return the objects that have an owner of this UID, which need not be there."""
        return self._owned.under(uid)

    def in_namespace(self, namespace: str) -> Collection[str]:
        """Return the objects of a namespace."""
        return self._in_namespace.under(namespace)

    def finer(self, namespace: str) -> bool:
        """Say whether the project of a namespace wants smaller workloads than usual."""
        return self._knowledge.airflow_unit_of(namespace) == "task"

    def may_come(self, kind: KindName) -> bool:
        """Say whether objects of this kind are read, or will be."""
        reading = self._readings.get(kind)
        if reading is None:
            return self._discovers or (kind in TABLE and TABLE[kind].watch is not None)
        return reading is Reading.READ


def _links(known: Known) -> tuple[object, object]:
    return known.metadata.owner_references, known.kind.holds(known.item)


def _name_of(reference: OwnerReference, owned: Known) -> Name:
    return (group_of(reference.api_version), reference.kind), owned.metadata.namespace, reference.name


def _held(known: Known) -> Iterator[Name]:
    return ((kind, known.metadata.namespace, name) for kind, name in known.kind.holds(known.item))
