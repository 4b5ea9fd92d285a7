"""The node lifecycle controller: what becomes of a node whose kubelet falls silent, and of the pods on it.

A kubelet is dead when its node carries `sim.down: "true"`. After `grace` the node's conditions turn `Unknown`, it is
tainted `node.kubernetes.io/unreachable` and its pods are no longer ready; pods that do not tolerate the taint, or no
longer, are marked with `DisruptionTarget` and deleted. They stay `Terminating` until the kubelet is back, or somebody
forces their deletion, or their Node object is deleted: then they are removed (in Kubernetes by the pod garbage
collector). Taints of effect `NoExecute` set by others work the same way on a node that is well.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.kubelet import is_down
from simcluster.machinery import Change, Key
from simcluster.nodes import healthy_conditions
from simcluster.placement import tolerates
from simcluster.pods import (
    condition_of,
    is_finished,
    is_terminating,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
    with_condition,
)
from simcluster.resources import Object

UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_SILENT = ("NodeStatusUnknown", "Kubelet stopped posting node status.")


class NodeLifecycleController:
    """Watches over nodes; a key is the node's name."""

    watches = ("nodes", "pods")
    grace = timedelta(seconds=50)
    quarantine = timedelta(seconds=40)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._events = events
        self._pods: dict[str, dict[tuple[str, str], None]] = {}  # on each node
        self._silent_since: dict[str, datetime] = {}
        self._gone_since: dict[str, datetime] = {}

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the node, or the node of a pod that has just come to one in trouble."""
        if change.kind == "nodes":
            return ((name_of(change.object),),)
        node = change.object["spec"].get("nodeName")
        if not node:
            return ()
        key = (namespace_of(change.object), name_of(change.object))
        here = self._pods.setdefault(node, {})
        if change.type == "DELETED" or is_finished(change.object):
            here.pop(key, None)
            return ()
        came = key not in here
        here[key] = None
        return ((node,),) if came and self._in_trouble(node) else ()

    def _in_trouble(self, name: str) -> bool:
        node = self._client.get("nodes", None, name)
        return node is None or any(taint.get("effect") == "NoExecute" for taint in spec_of(node).get("taints") or ())

    def reconcile(self, key: Key) -> datetime | None:
        """Set one node's conditions and taints, and drive out the pods that may not stay."""
        (name,) = key
        node = self._client.get("nodes", None, name)
        if node is None:
            return self._remove_pods_of(name)
        now = self._clock.now()
        self._gone_since.pop(name, None)
        if not is_down(node):
            self._silent_since.pop(name, None)
            return self._evict(self._recover(node), now)
        since = self._silent_since.setdefault(name, now)
        if since + self.grace > now and not _is_silent(node):
            return since + self.grace
        return self._evict(self._give_up(node, now), now)

    def _remove_pods_of(self, node: str) -> datetime | None:
        """Remove pods of a node that is no more, after a while, as the pod garbage collector does."""
        if not self._pods.get(node):
            return None
        instant = self._gone_since.setdefault(node, self._clock.now()) + self.quarantine
        if instant > self._clock.now():
            return instant
        for namespace, name in list(self._pods.get(node, ())):
            pod = self._client.get("pods", namespace, name)
            if pod is not None and pod["spec"].get("nodeName") == node:
                self._disrupt(pod, "DeletionByPodGC", "PodGC: node no longer exists", failed=True)
                self._delete(pod, grace_seconds=0)
        return None

    def _recover(self, node: Object) -> Object:
        if _is_silent(node):
            status = {**node["status"], "conditions": healthy_conditions(self._clock)}
            node = self._client.update_status("nodes", {**node, "status": status})
            self._events.record(
                node, "Normal", "NodeReady", f"Node {name_of(node)} status is now: NodeReady", "kubelet"
            )
        return self._with_taints(node, unreachable=False)

    def _give_up(self, node: Object, now: datetime) -> Object:
        if not _is_silent(node):
            conditions = node.get("status", {}).get("conditions", [])
            for condition in conditions:
                conditions = with_condition(conditions, condition["type"], "Unknown", now, *_SILENT)
            node = self._client.update_status(
                "nodes", {**node, "status": {**node.get("status", {}), "conditions": conditions}}
            )
            message = f"Node {name_of(node)} status is now: NodeNotReady"
            self._events.record(node, "Normal", "NodeNotReady", message, "node-controller")
            self._mark_unready(name_of(node), now)
        return self._with_taints(node, unreachable=True)

    def _mark_unready(self, node: str, now: datetime) -> None:
        for namespace, name in list(self._pods.get(node, ())):
            pod = self._client.get("pods", namespace, name)
            ready = condition_of(pod, "Ready") if pod is not None else None
            if pod is not None and ready is not None and ready["status"] == "True":
                conditions = with_condition(pod["status"]["conditions"], "Ready", "False", now)
                self._client.update_status("pods", {**pod, "status": {**pod["status"], "conditions": conditions}})

    def _with_taints(self, node: Object, *, unreachable: bool) -> Object:
        before = spec_of(node).get("taints") or []
        taints = [taint for taint in before if taint.get("key") not in {UNREACHABLE, UNSCHEDULABLE}]
        if spec_of(node).get("unschedulable"):
            taints.append(self._taint(before, UNSCHEDULABLE, "NoSchedule"))
        if unreachable:
            taints += [self._taint(before, UNREACHABLE, effect) for effect in ("NoSchedule", "NoExecute")]
        if taints == before:
            return node
        spec = {key: value for key, value in spec_of(node).items() if key != "taints"}
        return self._client.update("nodes", {**node, "spec": spec | ({"taints": taints} if taints else {})})

    def _taint(self, before: Iterable[Mapping[str, Any]], key: str, effect: str) -> Mapping[str, Any]:
        for taint in before:
            if (taint.get("key"), taint.get("effect")) == (key, effect):
                return taint
        return {"key": key, "effect": effect, "timeAdded": to_timestamp(self._clock.now())}

    def _evict(self, node: Object, now: datetime) -> datetime | None:
        """Delete the pods that no longer tolerate the node; return when the next one's patience ends."""
        taints = [taint for taint in spec_of(node).get("taints") or () if taint.get("effect") == "NoExecute"]
        if not taints:
            return None
        instants: list[datetime] = []
        for namespace, name in list(self._pods.get(name_of(node), ())):
            pod = self._client.get("pods", namespace, name)
            until = _patience(pod, taints, now) if pod is not None and not is_terminating(pod) else None
            if until is not None and until > now:
                instants.append(until)
            elif until is not None and pod is not None:
                self._events.record(
                    pod,
                    "Normal",
                    "TaintManagerEviction",
                    f"Marking for deletion Pod {namespace}/{name}",
                    "taint-eviction",
                )
                self._disrupt(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
                self._delete(pod)
        return min(instants, default=None)

    def _disrupt(self, pod: Object, reason: str, message: str, *, failed: bool = False) -> None:
        status = pod.get("status", {})
        conditions = with_condition(
            status.get("conditions", []), "DisruptionTarget", "True", self._clock.now(), reason, message
        )
        changed = {**status, "conditions": conditions} | ({"phase": "Failed"} if failed else {})
        self._client.update_status("pods", {**pod, "status": changed})

    def _delete(self, pod: Object, grace_seconds: int | None = None) -> None:
        try:
            self._client.delete("pods", namespace_of(pod), name_of(pod), uid=uid_of(pod), grace_seconds=grace_seconds)
        except ApiError as error:
            if error.code not in {404, 409}:
                raise


def _is_silent(node: Object) -> bool:
    ready = condition_of(node, "Ready")
    return ready is not None and ready["status"] == "Unknown"


def _patience(pod: Object, taints: Iterable[Mapping[str, Any]], now: datetime) -> datetime | None:
    """Return until when a pod tolerates the taints; None for ever."""
    instants: list[datetime] = []
    for taint in taints:
        tolerations = [each for each in pod["spec"].get("tolerations") or () if tolerates(each, taint)]
        if not tolerations:
            return now
        added = from_timestamp(taint["timeAdded"]) if taint.get("timeAdded") else now
        limits = [each["tolerationSeconds"] for each in tolerations if each.get("tolerationSeconds") is not None]
        if limits:
            instants.append(added + timedelta(seconds=min(limits)))
    return min(instants, default=None)
