"""How controllers make and unmake the pods they own, with the Events that tell of it."""

from typing import Any

from simcluster.client import Client
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.pods import name_of, namespace_of, uid_of
from simcluster.resources import Object


def owner_reference(owner: Object) -> dict[str, Any]:
    """Return the reference a controller puts on what it owns."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def pod_from_template(owner: Object, template: Object, name_prefix: str) -> Object:
    """Return a pod as the template says, owned, its name to be generated from the prefix."""
    written = template.get("metadata") or {}
    metadata: dict[str, Any] = {
        "generateName": name_prefix,
        "namespace": namespace_of(owner),
        "labels": dict(written.get("labels") or {}),
        "annotations": dict(written.get("annotations") or {}),
        "ownerReferences": [owner_reference(owner)],
    }
    if written.get("finalizers"):
        metadata["finalizers"] = list(written["finalizers"])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(template["spec"])}


class PodControl:
    """Creates and deletes pods for one controller."""

    def __init__(self, client: Client, events: EventRecorder, component: str) -> None:
        self.client = client
        self._events = events
        self._component = component

    def tell(self, owner: Object, kind: str, reason: str, message: str) -> None:
        """Write an Event about the owner."""
        self._events.record(owner, kind, reason, message, self._component)

    def create(self, owner: Object, pod: Object) -> Object:
        """Create a pod; a refusal is told on the owner and raised."""
        try:
            created = self.client.create("pods", pod)
        except ApiError as error:
            self.tell(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self.tell(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return created

    def delete(self, owner: Object, pod: Object) -> None:
        """Ask for a pod's deletion; it may be gone already."""
        try:
            self.client.delete("pods", namespace_of(pod), name_of(pod), uid=uid_of(pod))
        except ApiError as error:
            if error.code not in {404, 409}:
                raise
            return
        self.tell(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name_of(pod)}")
