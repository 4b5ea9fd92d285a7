"""What all operators share: whom they answer to, and how they make, unmake and report.

An `Operator` looks after one custom kind. It is a `machinery.Reconciler` whose keys are the objects of that kind; a
change of an object and a change of anything it owns (of the kinds in `owns`) put it in question alike. A subclass says
in `act` what is to be done for one object, from what the store says now and from nothing it remembers: the process may
have been started anew in between.

Pitfalls. What the client hands out is the store's own: build new dicts. A running pod stays for its grace after
`delete`; a new one of the same name can be made only when it is gone, and its going asks for the owner again. What an
operator owns goes by garbage collection when the owner is deleted; an object on its way out is left alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.controllers.ownership import owner_reference, pod_from_template
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.kubelet import FAILED_BEFORE
from simcluster.machinery import Change, Key
from simcluster.operators.kinds import CustomKind
from simcluster.pods import controller_of, is_terminating, name_of, namespace_of, uid_of
from simcluster.resources import Object

_RUN_SECONDS = "sim.run-seconds"


class Operator(ABC):
    """Brings the objects of one custom kind in order; a key is namespace and name."""

    owns: tuple[str, ...] = ("pods",)

    def __init__(self, kind: CustomKind, component: str, client: Client, clock: Clock, events: EventRecorder) -> None:
        """`component` is who its Events are said to come from."""
        self.kind = kind
        self.client = client
        self.clock = clock
        self._events = events
        self._component = component

    @property
    def watches(self) -> tuple[str, ...]:
        """Its own kind and those it owns."""
        return (self.kind.key, *self.owns)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the object that changed, or the owner of what changed."""
        obj = change.object
        if change.kind == self.kind.key:
            return [(namespace_of(obj), name_of(obj))]
        owner = controller_of(obj)
        if owner is not None and self._is_of_our_kind(owner):
            return [(namespace_of(obj), owner["name"])]
        return []

    def reconcile(self, key: Key) -> datetime | None:
        """Bring one object a step further; return when to look again, if time alone will change something."""
        obj = self.client.get(self.kind.key, *key)
        if obj is None or is_terminating(obj):
            return None
        return self.act(obj)

    @abstractmethod
    def act(self, obj: Object) -> datetime | None:
        """Do what an object needs now; return when it needs more without any change."""

    def owned(self, owner: Object, kind: str) -> list[Object]:
        """Return what an object owns of a kind, by name."""
        return self.client.list(kind, namespace_of(owner), owner_uid=uid_of(owner))

    def create(self, owner: Object, kind: str, child: Object) -> Object:
        """Create something in the owner's namespace, owned by it unless the child names other owners.

        A refusal is told on the owner and raised, so that it is tried again.
        """
        metadata = {"namespace": namespace_of(owner), "ownerReferences": [owner_reference(owner)], **child["metadata"]}
        try:
            created = self.client.create(kind, {**child, "metadata": metadata})
        except ApiError as error:
            self.tell(owner, "Warning", f"FailedCreate{child['kind']}", f"Error creating: {error.message}")
            raise
        self.tell(owner, "Normal", f"SuccessfulCreate{child['kind']}", f"Created {_described(created)}")
        return created

    def delete(self, owner: Object, kind: str, child: Object, propagation: str = "Background") -> None:
        """Ask for a deletion, once; it may be gone already. `Foreground`: what the child owns goes before it."""
        if is_terminating(child):
            return
        try:
            self.client.delete(kind, namespace_of(child), name_of(child), uid=uid_of(child), propagation=propagation)
        except ApiError as error:
            if error.code not in {404, 409}:
                raise
            return
        self.tell(owner, "Normal", f"SuccessfulDelete{child['kind']}", f"Deleted {_described(child)}")

    def report(self, obj: Object, status: Mapping[str, Any]) -> None:
        """Write an object's status if it is another one; nothing is written that says the same again."""
        if status == obj.get("status", {}):
            return
        reported = {**obj, "status": dict(status)}
        if self.kind.has_status:
            self.client.update_status(self.kind.key, reported)
        else:
            self.client.update(self.kind.key, reported)

    def tell(self, obj: Object, severity: str, reason: str, message: str) -> None:
        """Write an Event about an object; the severity is `Normal` or `Warning`."""
        self._events.record(obj, severity, reason, message, self._component)

    def expire(self, obj: Object, finished: datetime, seconds: int | None) -> datetime | None:
        """Delete an object so many seconds after it finished; return when that will be, if not yet. None: never."""
        if seconds is None:
            return None
        due = finished + timedelta(seconds=seconds)
        if due > self.clock.now():
            return due
        self.delete(obj, self.kind.key, obj)
        return None

    def _is_of_our_kind(self, owner: Mapping[str, Any]) -> bool:
        group, _, _ = str(owner["apiVersion"]).rpartition("/")
        return (group, owner["kind"]) == (self.kind.group, self.kind.kind)


def pod_named(owner: Object, template: Object, name: str, labels: Mapping[str, str] | None = None) -> Object:
    """Return a pod of that name as the template says, owned, with labels beside the template's own."""
    pod = pod_from_template(owner, template, "")
    metadata = pod["metadata"]
    del metadata["generateName"]
    metadata["name"] = name
    metadata["labels"] |= labels or {}
    return pod


def noted_failures(pod: Object, failures: int) -> Object:
    """Return a pod that knows how often its work failed before in other pods, which `sim.fail-times` counts."""
    metadata = pod["metadata"]
    return {
        **pod,
        "metadata": {**metadata, "annotations": {**(metadata.get("annotations") or {}), FAILED_BEFORE: str(failures)}},
    }


def failures_noted(obj: Object) -> int:
    """Return the failures that `noted_failures` wrote, 0 when it wrote none."""
    text = (obj["metadata"].get("annotations") or {}).get(FAILED_BEFORE, "")
    return int(text) if text.isdecimal() else 0


def lasting(pod: Object) -> Object:
    """Return a pod that runs until it is told to end, unless its annotations say how long it runs.

    For what serves others (a parameter server, an MPI worker's sshd) under a restartPolicy that would let it end.
    """
    metadata = pod["metadata"]
    annotations = metadata.get("annotations") or {}
    if any(key.startswith(_RUN_SECONDS) for key in annotations):
        return pod
    return {**pod, "metadata": {**metadata, "annotations": {**annotations, _RUN_SECONDS: "forever"}}}


def with_course(pod: Object, container: str, run_seconds: str) -> Object:
    """Return a pod one of whose containers, of the operator's own making, runs so long and succeeds.

    Whatever the template's annotations say of all containers is meant for the user's.
    """
    course = {"run-seconds": run_seconds, "exit-code": "0", "fail-times": "0"}
    annotations = {f"sim.{key}.{container}": value for key, value in course.items()}
    metadata = pod["metadata"]
    return {
        **pod,
        "metadata": {**metadata, "annotations": {**annotations, **(metadata.get("annotations") or {})}},
    }


def _described(obj: Object) -> str:
    return f"{obj['kind'].lower()}: {name_of(obj)}"
