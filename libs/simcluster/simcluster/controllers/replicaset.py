"""The ReplicaSet controller: as many pods as asked for, and a status that counts them."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from simcluster import selectors
from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp
from simcluster.controllers.ownership import PodControl, owner_reference, pod_from_template
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.pods import (
    condition_of,
    controller_of,
    is_active,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    phase_of,
    uid_of,
)
from simcluster.resources import Object

REPLICA_SETS = "replicasets.apps"
MOST_CREATED_AT_ONCE = 500


class ReplicaSetController:
    """Keeps the number of pods; a key is namespace and name of the ReplicaSet."""

    watches = (REPLICA_SETS, "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._pods = PodControl(client, events, "replicaset-controller")
        self._strays: dict[str, dict[str, None]] = {}  # names of pods nobody controls, by namespace

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the set that changed or whose pod did; for a pod nobody controls, those that could adopt it."""
        obj = change.object
        namespace, name = namespace_of(obj), name_of(obj)
        if change.kind == REPLICA_SETS:
            return [(namespace, name)]
        owner = controller_of(obj)
        strays = self._strays.setdefault(namespace, {})
        if owner is not None or change.type == "DELETED" or not is_active(obj):
            strays.pop(name, None)
        elif name not in strays:
            strays[name] = None
            return [(namespace, name_of(each)) for each in self._client.list(REPLICA_SETS, namespace)]
        return [(namespace, owner["name"])] if owner is not None and owner["kind"] == "ReplicaSet" else []

    def reconcile(self, key: Key) -> datetime | None:
        """Create or delete pods until there are as many as asked for, and report."""
        replica_set = self._client.get(REPLICA_SETS, *key)
        if replica_set is None:
            return None
        now = self._clock.now()
        pods = list(filter(is_active, self._client.list("pods", key[0], owner_uid=uid_of(replica_set))))
        if not is_terminating(replica_set):
            pods += self._adopt(replica_set)
            self._keep_number(replica_set, pods)
        self._report(replica_set, pods, now)
        return next_available(pods, replica_set["spec"].get("minReadySeconds", 0), now)

    def _adopt(self, replica_set: Object) -> list[Object]:
        namespace = namespace_of(replica_set)
        strays = [self._client.get("pods", namespace, name) for name in self._strays.get(namespace, ())]
        return [self._take(replica_set, pod) for pod in strays if pod is not None and _wants(replica_set, pod)]

    def _take(self, replica_set: Object, pod: Object) -> Object:
        self._strays[namespace_of(pod)].pop(name_of(pod), None)
        owners = [*pod["metadata"].get("ownerReferences", []), owner_reference(replica_set)]
        return self._client.update("pods", {**pod, "metadata": {**pod["metadata"], "ownerReferences": owners}})

    def _keep_number(self, replica_set: Object, pods: Sequence[Object]) -> None:
        wanted = replica_set["spec"].get("replicas", 1)
        for _ in range(min(wanted - len(pods), MOST_CREATED_AT_ONCE)):
            template = replica_set["spec"]["template"]
            self._pods.create(replica_set, pod_from_template(replica_set, template, f"{name_of(replica_set)}-"))
        for pod in sorted(pods, key=worth)[: max(0, len(pods) - wanted)]:
            self._pods.delete(replica_set, pod)

    def _report(self, replica_set: Object, pods: Sequence[Object], now: datetime) -> None:
        shortest = replica_set["spec"].get("minReadySeconds", 0)
        ready = sum(1 for pod in pods if is_ready(pod))
        available = sum(1 for pod in pods if is_available(pod, shortest, now))
        status = {
            **replica_set.get("status", {}),
            "replicas": len(pods),
            "fullyLabeledReplicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": available,
            "observedGeneration": replica_set["metadata"].get("generation", 1),
        }
        if status != replica_set.get("status"):
            self._client.update_status(REPLICA_SETS, {**replica_set, "status": status})


def _wants(replica_set: Object, pod: Object) -> bool:
    free = controller_of(pod) is None and is_active(pod)
    return free and selectors.selects(replica_set["spec"].get("selector"), pod["metadata"].get("labels") or {})


def worth(pod: Object) -> tuple[bool, bool, bool, int]:
    """Rank pods by what is lost with them, the least first."""
    annotations = pod["metadata"].get("annotations") or {}
    cost = annotations.get("controller.kubernetes.io/pod-deletion-cost", "0")
    number = int(cost) if cost.lstrip("-").isdecimal() else 0
    return bool(pod["spec"].get("nodeName")), phase_of(pod) == "Running", is_ready(pod), number


def ready_since(pod: Object) -> datetime | None:
    """Return when a pod became ready, None while it is not."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition["status"] != "True":
        return None
    return from_timestamp(condition["lastTransitionTime"])


def is_available(pod: Object, shortest_seconds: int, now: datetime) -> bool:
    """Say whether a pod has been ready for long enough."""
    since = ready_since(pod)
    return since is not None and since + timedelta(seconds=shortest_seconds) <= now


def next_available(pods: Sequence[Object], shortest_seconds: int, now: datetime) -> datetime | None:
    """Return when the next pod that is ready will have been so for long enough."""
    instants = [since + timedelta(seconds=shortest_seconds) for pod in pods if (since := ready_since(pod)) is not None]
    return min((instant for instant in instants if instant > now), default=None)
