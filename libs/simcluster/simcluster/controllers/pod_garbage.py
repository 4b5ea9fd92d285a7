"""The pod garbage collector: a pod that is being deleted and never had a node has no kubelet to end it.

Without finalizers such a pod is gone at once. One with a finalizer, a Job's for one, is marked `Failed` here, so that
whoever waits for its end sees it. Pods of nodes that are no more are `node_lifecycle`'s.
"""

from collections.abc import Iterable
from datetime import datetime

from simcluster.client import Client
from simcluster.machinery import Change, Key
from simcluster.pods import is_finished, is_terminating, name_of, namespace_of
from simcluster.resources import Object


class PodGarbageCollector:
    """Ends pods that never began; a key is namespace and name of the pod."""

    watches = ("pods",)

    def __init__(self, client: Client) -> None:
        self._client = client

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the pod if nobody else will end it."""
        pod = change.object
        return [(namespace_of(pod), name_of(pod))] if change.type != "DELETED" and _is_left_over(pod) else []

    def reconcile(self, key: Key) -> datetime | None:
        """Mark one pod as failed."""
        pod = self._client.get("pods", *key)
        if pod is not None and _is_left_over(pod):
            self._client.update_status("pods", {**pod, "status": {**pod.get("status", {}), "phase": "Failed"}})
        return None


def _is_left_over(pod: Object) -> bool:
    return is_terminating(pod) and not is_finished(pod) and not pod["spec"].get("nodeName")
