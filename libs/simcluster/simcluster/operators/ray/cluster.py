"""RayCluster: one head and the workers of its groups, brought to the numbers that are wanted.

What its pods look like is in `pods`. A cluster is `ready` once all its pods were, and says so from then on.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, to_timestamp
from simcluster.kube_events import EventRecorder
from simcluster.operators.operator import Operator
from simcluster.operators.ray.kinds import CLUSTER, SUBMISSION_MODE, label, truth
from simcluster.operators.ray.pods import head_pod, head_service, worker_pod
from simcluster.pods import is_finished, is_ready, is_terminating, name_of, phase_of, with_condition
from simcluster.resources import Object


class RayClusterOperator(Operator):
    """Keeps the pods of clusters."""

    owns = ("pods", "services")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(CLUSTER, "raycluster-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring a cluster's pods to the numbers its groups want, or to none while it is suspended."""
        if obj["spec"].get("suspend"):
            self._suspend(obj)
            return None
        self._keep_head(obj)
        for group in obj["spec"].get("workerGroupSpecs") or ():
            self._keep_group(obj, group)
        self._report(obj)
        return None

    def _suspend(self, cluster: Object) -> None:
        pods = self.owned(cluster, "pods")
        for pod in pods:
            self.delete(cluster, "pods", pod)
        gone = not self.owned(cluster, "pods")
        conditions = cluster.get("status", {}).get("conditions", [])
        for kind, holds in (("RayClusterSuspending", not gone), ("RayClusterSuspended", gone)):
            conditions = with_condition(conditions, kind, truth(holds), self.clock.now(), kind)
        conditions = with_condition(
            conditions, "RayClusterProvisioned", "False", self.clock.now(), "RayClusterSuspended"
        )
        status = self._counts(cluster) | {"conditions": conditions}
        self._write(cluster, status | ({"state": "suspended"} if gone else {}))

    def _keep_head(self, cluster: Object) -> None:
        head = self._heads(cluster)
        if head and is_finished(head[0]) and not _is_submitting(cluster):
            self.delete(cluster, "pods", head[0])
            head = self._heads(cluster)
        if not head:
            spec = cluster["spec"]["headGroupSpec"]
            self.create(cluster, "pods", head_pod(cluster, spec["template"]))
        if not self.owned(cluster, "services"):
            self.create(cluster, "services", head_service(cluster))

    def _keep_group(self, cluster: Object, group: Mapping[str, Any]) -> None:
        pods = self._workers(cluster, group["groupName"])
        for pod in pods:
            if is_finished(pod):
                self.delete(cluster, "pods", pod)
        active = [pod for pod in pods if not is_finished(pod) and not is_terminating(pod)]
        wanted = _wanted(group)
        for pod in active[wanted:]:
            self.delete(cluster, "pods", pod)
        for _ in range(wanted - len(active)):
            self.create(cluster, "pods", worker_pod(cluster, group))

    def _heads(self, cluster: Object) -> list[Object]:
        return [pod for pod in self.owned(cluster, "pods") if label(pod, "ray.io/node-type") == "head"]

    def _workers(self, cluster: Object, group: str) -> list[Object]:
        pods = self.owned(cluster, "pods")
        workers = [pod for pod in pods if label(pod, "ray.io/node-type") == "worker"]
        return [pod for pod in workers if label(pod, "ray.io/group") == group]

    def _report(self, cluster: Object) -> None:
        pods = self.owned(cluster, "pods")
        heads = self._heads(cluster)
        head_ready = any(is_ready(head) for head in heads)
        all_ready = len(pods) == 1 + _total(cluster, _wanted) and all(is_ready(pod) for pod in pods)
        status = self._counts(cluster)
        conditions = status.get("conditions", [])
        reason = "HeadPodRunningAndReady" if head_ready else "ContainersNotReady"
        conditions = with_condition(conditions, "HeadPodReady", truth(head_ready), self.clock.now(), reason)
        status["conditions"] = self._provisioned(conditions, all_ready)
        if all_ready:
            status["state"] = "ready"
        elif status.get("state") == "suspended":
            del status["state"]
        if heads:
            address = heads[0].get("status", {}).get("podIP", "")
            service = f"{name_of(cluster)}-head-svc"
            status["head"] = {"podName": name_of(heads[0]), "podIP": address, "serviceName": service}
        self._write(cluster, status)

    def _provisioned(self, conditions: list[dict[str, Any]], all_ready: bool) -> list[dict[str, Any]]:
        now = self.clock.now()
        if any(each["type"] == "RayClusterSuspended" for each in conditions):
            for kind in ("RayClusterSuspending", "RayClusterSuspended"):
                conditions = with_condition(conditions, kind, "False", now, kind)
        provisioned = any(each["type"] == "RayClusterProvisioned" and each["status"] == "True" for each in conditions)
        if all_ready:
            return with_condition(conditions, "RayClusterProvisioned", "True", now, "AllPodRunningAndReadyFirstTime")
        if provisioned:
            return conditions  # it says that all were ready once
        return with_condition(conditions, "RayClusterProvisioned", "False", now, "RayClusterPodsProvisioning")

    def _counts(self, cluster: Object) -> dict[str, Any]:
        workers = [pod for pod in self.owned(cluster, "pods") if label(pod, "ray.io/node-type") == "worker"]
        return dict(cluster.get("status", {})) | {
            "desiredWorkerReplicas": _total(cluster, _wanted),
            "minWorkerReplicas": _total(cluster, lambda group: _hosts(group) * int(group.get("minReplicas") or 0)),
            "maxWorkerReplicas": _total(cluster, lambda group: _hosts(group) * int(group.get("maxReplicas") or 0)),
            "availableWorkerReplicas": sum(1 for pod in workers if phase_of(pod) == "Running"),
            "readyWorkerReplicas": sum(1 for pod in workers if is_ready(pod)),
            "observedGeneration": cluster["metadata"].get("generation", 1),
        }

    def _write(self, cluster: Object, status: dict[str, Any]) -> None:
        if status != cluster.get("status"):
            self.report(cluster, status | {"lastUpdateTime": to_timestamp(self.clock.now())})


def _is_submitting(cluster: Object) -> bool:
    return label(cluster, SUBMISSION_MODE) == "SidecarMode"


def _hosts(group: Mapping[str, Any]) -> int:
    return int(group.get("numOfHosts") or 1)


def _wanted(group: Mapping[str, Any]) -> int:
    """Return how many pods a group wants: its replicas within their limits, times the hosts of each."""
    if group.get("suspend"):
        return 0
    least = int(group.get("minReplicas") or 0)
    most = int(group["maxReplicas"]) if group.get("maxReplicas") is not None else None
    replicas = int(group["replicas"]) if group.get("replicas") is not None else least
    replicas = max(replicas, least)
    return _hosts(group) * (replicas if most is None else min(replicas, most))


def _total(cluster: Object, count: Any) -> int:
    return sum(count(group) for group in cluster["spec"].get("workerGroupSpecs") or ())
