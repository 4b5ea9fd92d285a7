"""The StatefulSet controller: pods with a number each, made and taken in order.

`OrderedReady` waits for each pod to be ready before the next, `Parallel` does not. A template that changes is rolled
out from the highest number down, one pod at a time, as far as `partition` lets it. The claims of a pod are made before
it, named after claim template and pod, and found again by the next pod of that number: they outlive pods and set, for
no other retention is known here. Nor are ControllerRevision objects; the revision is a hash on the pods and in the
status.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.controllers.ownership import PodControl, pod_from_template
from simcluster.controllers.replicaset import is_available, next_available
from simcluster.controllers.revisions import hash_of
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.pods import (
    controller_of,
    is_finished,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    uid_of,
)
from simcluster.resources import Object

STATEFUL_SETS = "statefulsets.apps"
CLAIMS = "persistentvolumeclaims"
REVISION = "controller-revision-hash"


@dataclass(frozen=True)
class _Set:
    """A StatefulSet, its pods by number, and the revision of its template."""

    object: Object
    pods: dict[int, Object]
    revision: str

    @property
    def ordered(self) -> bool:
        return bool(self.object["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady")

    @property
    def numbers(self) -> range:
        first = (self.object["spec"].get("ordinals") or {}).get("start", 0)
        return range(first, first + self.object["spec"].get("replicas", 1))

    @property
    def standing(self) -> list[Object]:
        return [pod for pod in self.pods.values() if not is_finished(pod)]


class StatefulSetController:
    """Keeps numbered pods; a key is namespace and name of the StatefulSet."""

    watches = (STATEFUL_SETS, "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._pods = PodControl(client, events, "statefulset-controller")

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the set that changed or whose pod did."""
        obj = change.object
        if change.kind == STATEFUL_SETS:
            return [(namespace_of(obj), name_of(obj))]
        owner = controller_of(obj)
        return [(namespace_of(obj), owner["name"])] if owner is not None and owner["kind"] == "StatefulSet" else []

    def reconcile(self, key: Key) -> datetime | None:
        """Make or take the next pods, and report."""
        found = self._client.get(STATEFUL_SETS, *key)
        if found is None:
            return None
        stateful_set = self._read(found)
        if not is_terminating(found):
            self._step(stateful_set)
            stateful_set = self._read(found)
        now = self._clock.now()
        self._report(stateful_set, now)
        return next_available(stateful_set.standing, found["spec"].get("minReadySeconds", 0), now)

    def _read(self, obj: Object) -> _Set:
        pods = {
            number: pod
            for pod in self._client.list("pods", namespace_of(obj), owner_uid=uid_of(obj))
            if (number := _number_of(pod, name_of(obj))) is not None
        }
        return _Set(obj, pods, hash_of(obj["spec"]["template"]))

    def _step(self, stateful_set: _Set) -> None:
        if self._replace_ended(stateful_set) and stateful_set.ordered:
            return
        if self._create_missing(stateful_set) and stateful_set.ordered:
            return
        if not self._take_surplus(stateful_set):
            self._roll(stateful_set)

    def _replace_ended(self, stateful_set: _Set) -> bool:
        ended = [pod for pod in stateful_set.pods.values() if is_finished(pod) and not is_terminating(pod)]
        for pod in ended:
            self._pods.delete(stateful_set.object, pod)
        return bool(ended)

    def _create_missing(self, stateful_set: _Set) -> bool:
        """Create pods in order; return whether an ordered set has to wait for one of them."""
        for number in stateful_set.numbers:
            pod = stateful_set.pods.get(number)
            if pod is None:
                self._create(stateful_set, number)
            if stateful_set.ordered and (pod is None or is_terminating(pod) or not is_ready(pod)):
                return True
        return False

    def _create(self, stateful_set: _Set, number: int) -> None:
        for claim in _claims(stateful_set.object, number):
            if self._client.get(CLAIMS, namespace_of(claim), name_of(claim)) is None:
                self._client.create(CLAIMS, claim)
        self._pods.create(stateful_set.object, _pod(stateful_set, number))

    def _take_surplus(self, stateful_set: _Set) -> bool:
        """Delete pods whose number is too high, the highest first; return whether there are any."""
        surplus = sorted(set(stateful_set.pods) - set(stateful_set.numbers), reverse=True)
        if stateful_set.ordered and any(is_terminating(stateful_set.pods[number]) for number in surplus):
            return True
        for number in surplus[:1] if stateful_set.ordered else surplus:
            if not is_terminating(stateful_set.pods[number]):
                self._pods.delete(stateful_set.object, stateful_set.pods[number])
        return bool(surplus)

    def _roll(self, stateful_set: _Set) -> None:
        strategy = stateful_set.object["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for number in sorted(stateful_set.pods, reverse=True):
            pod = stateful_set.pods[number]
            old = number >= partition and _revision_of(pod) != stateful_set.revision
            if old and not is_terminating(pod):
                self._pods.delete(stateful_set.object, pod)
            if old or is_terminating(pod) or not is_ready(pod):
                return

    def _report(self, stateful_set: _Set, now: datetime) -> None:
        obj, pods = stateful_set.object, stateful_set.standing
        before = obj.get("status", {})
        updated = [pod for pod in pods if _revision_of(pod) == stateful_set.revision]
        rolled_out = len(updated) == len(pods) == len(stateful_set.numbers) and all(map(is_ready, pods))
        name = f"{name_of(obj)}-{stateful_set.revision}"
        current = name if rolled_out else before.get("currentRevision") or name
        status = {
            **before,
            "observedGeneration": obj["metadata"].get("generation", 1),
            "replicas": len(pods),
            "readyReplicas": _count_ready(pods),
            "availableReplicas": sum(
                1 for pod in pods if is_available(pod, obj["spec"].get("minReadySeconds", 0), now)
            ),
            "updatedReplicas": len(updated),
            "currentReplicas": sum(1 for pod in pods if _label_of(pod) == current),
            "currentRevision": current,
            "updateRevision": name,
            "collisionCount": 0,
        }
        if status != before:
            self._client.update_status(STATEFUL_SETS, {**obj, "status": status})


def _count_ready(pods: Sequence[Object]) -> int:
    return sum(1 for pod in pods if is_ready(pod))


def _number_of(pod: Object, name: str) -> int | None:
    stem, _, number = name_of(pod).rpartition("-")
    return int(number) if stem == name and number.isdecimal() else None


def _label_of(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))


def _revision_of(pod: Object) -> str:
    """Return the hash of the template a pod was made from."""
    return _label_of(pod).rpartition("-")[2]


def _pod(stateful_set: _Set, number: int) -> Object:
    obj = stateful_set.object
    name = f"{name_of(obj)}-{number}"
    pod = pod_from_template(obj, obj["spec"]["template"], f"{name_of(obj)}-")
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"] |= {
        "apps.kubernetes.io/pod-index": str(number),
        "statefulset.kubernetes.io/pod-name": name,
        REVISION: f"{name_of(obj)}-{stateful_set.revision}",
    }
    claimed = {name_of(claim).removesuffix(f"-{name}"): name_of(claim) for claim in _claims(obj, number)}
    volumes = [one for one in pod["spec"].get("volumes") or () if one["name"] not in claimed]
    volumes += [{"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in claimed.items()]
    pod["spec"] |= {"hostname": name, "subdomain": obj["spec"].get("serviceName", "")}
    pod["spec"] |= {"volumes": volumes} if volumes else {}
    return pod


def _claims(obj: Object, number: int) -> Sequence[Object]:
    """Return the claims of the pod of a number, one per template; the labels that select its pods are theirs, too."""
    selected = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return [_claim(obj, template, number, selected) for template in obj["spec"].get("volumeClaimTemplates") or ()]


def _claim(obj: Object, template: Object, number: int, selected: Mapping[str, str]) -> Object:
    written = template["metadata"]
    metadata = {
        "name": f"{name_of(template)}-{name_of(obj)}-{number}",
        "namespace": namespace_of(obj),
        "labels": {**(written.get("labels") or {}), **selected},
        "annotations": dict(written.get("annotations") or {}),
    }
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": dict(template["spec"])}
