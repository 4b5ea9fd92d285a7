"""The ways to stop and activate an object, as exact patches: by a switch, by its size, or not at all.

A patch names the resource version it was made from. What has to be remembered while the object is stopped, such as the
number of replicas, stands in the `activate` patch that was written before the stop.
"""

from collections.abc import Callable
from typing import Any, Final

from muster_cluster.objects import PODS, Pod
from muster_contracts.values import Controls, ObjectRef, Patch

from muster_integrations.recognition.kinds import Handle, Sight
from muster_integrations.recognition.pod_facts import to_uuid

Make = Callable[[Sight, Handle | None, Controls], Controls]


def by_switch(*path: str, stopped: Any = True, running: Any = False) -> Make:
    """Stop by setting one field, activate by setting it back (None takes it away)."""

    def make(_sight: Sight, handle: Handle | None, _remembered: Controls) -> Controls:
        return switched(handle, path, stopped, running)

    return make


def switched(handle: Handle | None, path: tuple[str, ...], stopped: Any, running: Any) -> Controls:
    """Return the controls of an object with one switch; none when the object cannot be read."""
    if handle is None:
        return Controls()
    return Controls(
        stop=(patch(handle, path, stopped),),
        activate=(patch(handle, path, running),),
        delete=(handle.reference,),
    )


def by_replicas(replicas: Callable[[Any], int | None]) -> Make:
    """Stop by scaling to zero, activate by scaling to what it was; to one when nobody ever saw it larger."""

    def make(sight: Sight, handle: Handle | None, remembered: Controls) -> Controls:
        size = (replicas(sight.item) if sight.item is not None else None) or _remembered_replicas(remembered)
        return switched(handle, ("spec", "replicas"), 0, size)

    return make


MOST_PODS_AT_ONCE: Final = 100
"""So many pods are named for deletion; as they go the next are. All of a large run would be too much for one event."""


def delete_only(reason: str, warning: str = "") -> Make:
    """Offer nothing but deletion, and say why. What has no object of its own is deleted pod by pod."""

    def make(sight: Sight, handle: Handle | None, _remembered: Controls) -> Controls:
        pods = sight.pods[:MOST_PODS_AT_ONCE]
        doomed = (handle.reference,) if handle else tuple(pod_reference(pod) for pod in pods)
        return Controls(delete=doomed, reason=reason, warning=warning)

    return make


def pod_reference(pod: Pod) -> ObjectRef:
    """Return which pod it is."""
    metadata = pod.metadata
    return ObjectRef(
        api_version=PODS.api_version,
        kind=PODS.kind,
        resource=PODS.plural,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=to_uuid(metadata.uid),
    )


def patch(handle: Handle, path: tuple[str, ...], value: Any) -> Patch:
    """Return the merge patch that sets one field."""
    body: Any = value
    for name in reversed(path):
        body = {name: body}
    return Patch(object=handle.reference, resource_version=handle.resource_version, body=body)


def _remembered_replicas(remembered: Controls) -> int:
    for before in remembered.activate:
        return int(before.body["spec"]["replicas"])
    return 1
