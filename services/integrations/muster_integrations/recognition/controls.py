"""The ways to stop and activate an object, as exact patches: by a switch, by its size, or not at all.

A patch names the resource version it was made from. What has to be remembered while the object is stopped, such as the
number of replicas, stands in the `activate` patch that was written before the stop.
"""

from collections.abc import Callable
from typing import Any

from muster_contracts.values import Controls, Patch

from muster_integrations.recognition.kinds import Handle

Make = Callable[[Any, Handle, Controls], Controls]


def by_switch(*path: str, stopped: Any = True, running: Any = False) -> Make:
    """Stop by setting one field, activate by setting it back."""

    def make(_item: Any, handle: Handle, _remembered: Controls) -> Controls:
        return Controls(
            stop=(_patch(handle, path, stopped),),
            activate=(_patch(handle, path, running),),
            delete=(handle.reference,),
        )

    return make


def by_replicas(item: Any, handle: Handle, remembered: Controls) -> Controls:
    """Stop by scaling to zero, activate by scaling to what it was; to one when nobody ever saw it larger."""
    replicas = item.spec.replicas or _remembered_replicas(remembered)
    return Controls(
        stop=(_patch(handle, ("spec", "replicas"), 0),),
        activate=(_patch(handle, ("spec", "replicas"), replicas),),
        delete=(handle.reference,),
    )


def delete_only(reason: str) -> Make:
    """Offer nothing but deletion, and say why."""

    def make(_item: Any, handle: Handle, _remembered: Controls) -> Controls:
        return Controls(delete=(handle.reference,), reason=reason)

    return make


def _remembered_replicas(remembered: Controls) -> int:
    for patch in remembered.activate:
        return int(patch.body["spec"]["replicas"])
    return 1


def _patch(handle: Handle, path: tuple[str, ...], value: Any) -> Patch:
    body: Any = value
    for name in reversed(path):
        body = {name: body}
    return Patch(object=handle.reference, resource_version=handle.resource_version, body=body)
