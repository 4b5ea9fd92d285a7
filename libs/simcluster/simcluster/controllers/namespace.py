"""The namespace controller: a namespace that is to go is emptied first, whatever kinds are in it."""

from collections.abc import Iterable
from datetime import datetime

from simcluster.client import Client
from simcluster.errors import ApiError
from simcluster.machinery import Change, Key
from simcluster.pods import is_terminating, name_of, namespace_of
from simcluster.resources import Object, ResourceTable

NAMESPACES = "namespaces"


class NamespaceController:
    """Empties namespaces that are `Terminating`; a key is the namespace's name."""

    watches = None

    def __init__(self, client: Client, resources: ResourceTable) -> None:
        self._client = client
        self._resources = resources
        self._going: set[str] = set()

    def keys(self, change: Change) -> Iterable[Key]:
        """Return a namespace that is to go, or one that has just lost an object on its way out."""
        if change.kind != NAMESPACES:
            namespace = namespace_of(change.object)
            return ((namespace,),) if namespace in self._going and change.type != "MODIFIED" else ()
        name = name_of(change.object)
        if change.type == "DELETED":
            self._going.discard(name)
        elif is_terminating(change.object):
            self._going.add(name)
            return ((name,),)
        return ()

    def reconcile(self, key: Key) -> datetime | None:
        """Delete what is left; let the namespace go when nothing is."""
        (name,) = key
        namespace = self._client.get(NAMESPACES, None, name)
        if namespace is None or not is_terminating(namespace):
            return None
        left = [(kind, obj) for kind in self._kinds() for obj in self._client.list(kind, name)]
        for kind, obj in left:
            if not is_terminating(obj):
                self._delete(kind, obj)
        if not any(self._client.list(kind, name) for kind in self._kinds()):
            self._client.update(NAMESPACES, {**namespace, "spec": {**namespace["spec"], "finalizers": []}})
        return None

    def _kinds(self) -> list[str]:
        return [resource.key for resource in self._resources if resource.namespaced]

    def _delete(self, kind: str, obj: Object) -> None:
        try:
            self._client.delete(kind, namespace_of(obj), name_of(obj), propagation="Background")
        except ApiError as error:
            if error.code != 404:
                raise
