"""All live objects that are watched, and the ways to find them: by UID, name, owner and namespace.

It is the `World` in which objects are resolved, so it also knows which kinds are read at all: an object of a kind that
nobody reads (it is not served, or we may not) is never waited for.
"""

from collections.abc import Collection

from muster_integrations.recognition.index import Index
from muster_integrations.recognition.kinds import KindName, Known, Name
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

    def put(self, new: Known) -> None:
        """Take an object in, or a newer state of it."""
        metadata = new.metadata
        old = self._objects.get(metadata.uid)
        if old is not None:
            self._unlink(old)
        self._objects[metadata.uid] = new
        self._names[new.full_name] = metadata.uid
        self._in_namespace.add(metadata.namespace, metadata.uid)
        for reference in metadata.owner_references:
            self._owned.add(reference.uid, metadata.uid)

    def remove(self, uid: str) -> None:
        """Forget an object that is there. Its name may be another's by now."""
        old = self._objects.pop(uid)
        self._unlink(old)
        if self._names.get(old.full_name) == uid:
            del self._names[old.full_name]

    def _unlink(self, old: Known) -> None:
        self._in_namespace.discard(old.metadata.namespace, old.metadata.uid)
        for reference in old.metadata.owner_references:
            self._owned.discard(reference.uid, old.metadata.uid)

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

    def by_name(self, name: Name) -> Known | None:
        """Return a live object."""
        return self._objects.get(self._names.get(name, ""))

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
