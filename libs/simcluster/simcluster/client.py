"""The in-process client controllers and kubelets use: synchronous, and under the same rules as HTTP.

A pitfall: what it hands out is the store's own. Build a new object (or copy) before changing anything.

What it writes goes past the admission webhooks, except while the machinery lends it a `caller`: then a write may raise
`Unreviewed`, which is the machinery's to catch. A reconciler that is interrupted so begins anew, and what it wrote
before stands. Statuses, finalizers and Events are therefore never shown to webhooks: to count a finished pod and to
release it, say, is one step, which must not be made by half.
"""

from collections.abc import Iterable, Mapping

from simcluster.admission import Caller
from simcluster.attempts import Write
from simcluster.deletion import DeleteOptions
from simcluster.registry import Registry
from simcluster.resources import Object
from simcluster.subscription import Subscription

_UNREVIEWED = Write()


class Client:
    """Reads and writes objects by kind (`pods`, `jobs.batch`), raising ApiError."""

    def __init__(self, registry: Registry) -> None:
        self.caller: Caller | None = None
        self._registry = registry
        self._store = registry.store

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Return an object, or None."""
        stored = self._store.get(kind, namespace, name)
        return stored.body if stored else None

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        owner_uid: str | None = None,
    ) -> list[Object]:
        """Return objects by namespace and name, narrowed to those with all the labels and naming the owner."""
        bodies = [stored.body for stored in self._store.find(kind, namespace, owner_uid)]
        return [body for body in bodies if _has_labels(body, labels)] if labels else bodies

    def create(self, kind: str, obj: Object) -> Object:
        """Create an object; 409 AlreadyExists when the name is taken."""
        return self._registry.create(kind, obj, self._write(kind)).body

    def update(self, kind: str, obj: Object) -> Object:
        """Replace everything but the status; a resourceVersion, when given, must be the current one (409 Conflict)."""
        write = _UNREVIEWED if self._changes_finalizers_alone(kind, obj) else self._write(kind)
        return self._registry.replace(kind, obj, write).body

    def update_status(self, kind: str, obj: Object) -> Object:
        """Replace the status alone."""
        return self._registry.replace(kind, obj, subresource="status").body

    def delete(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
        propagation: str | None = None,
    ) -> None:
        """Delete an object; 404 when there is none, 409 when it has another uid."""
        caller = self._write(kind).caller
        options = DeleteOptions(uid=uid, grace_seconds=grace_seconds, propagation=propagation, caller=caller)
        self._registry.delete(kind, namespace, name, options)

    def bind(self, namespace: str, name: str, node: str, *, uid: str | None = None) -> Object:
        """Bind a pod to a node, as the `binding` subresource does; 409 when it is bound."""
        target = {"kind": "Node", "name": node}
        metadata = {"name": name, "namespace": namespace} | ({"uid": uid} if uid else {})
        binding = {"metadata": metadata, "target": target}
        return self._registry.bind(namespace, name, binding, self._write("pods")).body

    def subscribe(self, kinds: Iterable[str]) -> Subscription:
        """Follow some kinds: first all existing objects as ADDED, then each change."""
        return self._store.subscribe(kinds)

    def _changes_finalizers_alone(self, kind: str, obj: Object) -> bool:
        if self.caller is None or self._registry.admission.idle:
            return False  # it makes no difference
        found = self.get(kind, obj["metadata"].get("namespace"), obj["metadata"]["name"])
        return found is not None and _without_finalizers(found) == _without_finalizers(obj)

    def _write(self, kind: str) -> Write:
        return Write(caller=self.caller) if self.caller is not None and kind != "events" else _UNREVIEWED


def _without_finalizers(obj: Object) -> Object:
    return {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "finalizers"}}


def _has_labels(body: Object, labels: Mapping[str, str]) -> bool:
    own = body["metadata"].get("labels") or {}
    return all(own.get(name) == value for name, value in labels.items())
