"""The Job controller: reads a Job and its pods, lets `job_decision` decide, and does it.

Counting a pod and taking its finalizer away happen in one turn of the loop, so nothing is counted twice. It also
plays the TTL controller: a finished Job with `ttlSecondsAfterFinished` is deleted when its time has come.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp
from simcluster.controllers.job_decision import INDEX, TRACKING, Decision, Setbacks, decide, is_over, is_tracked
from simcluster.controllers.ownership import PodControl, pod_from_template
from simcluster.errors import ApiError
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.pods import condition_of, controller_of, is_terminating, name_of, namespace_of, uid_of
from simcluster.resources import Object

JOBS = "jobs.batch"
ITSELF = "kubernetes.io/job-controller"
_INDEX_VARIABLE = {
    "name": "JOB_COMPLETION_INDEX",
    "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}},
}
_OMITTED_WHEN_ZERO = ("active", "succeeded", "failed")


class JobController:
    """Brings Jobs to completion; a key is namespace, name and uid of the Job."""

    watches = (JOBS, "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        self._client = client
        self._clock = clock
        self._pods = PodControl(client, events, "job-controller")
        self._setbacks: dict[str, Setbacks] = {}

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the Job that changed or whose pod did; a tracked pod without a Job stands for itself, uid empty."""
        obj = change.object
        if change.kind == JOBS:
            return [(namespace_of(obj), name_of(obj), uid_of(obj))]
        owner = controller_of(obj)
        if owner is not None and owner["kind"] == "Job":
            return [(namespace_of(obj), owner["name"], owner["uid"])]
        return [(namespace_of(obj), name_of(obj), "")] if is_tracked(obj) else []

    def reconcile(self, key: Key) -> datetime | None:
        """Bring one Job a step further."""
        namespace, name, uid = key
        if not uid:
            self._release_orphan(namespace, name)
            return None
        job = self._client.get(JOBS, namespace, name)
        pods = self._client.list("pods", namespace, owner_uid=uid)
        if job is None or uid_of(job) != uid:
            self._setbacks.pop(uid, None)
            self._release(pods)
            return None
        if job["spec"].get("managedBy", ITSELF) != ITSELF:
            return None
        if is_over(job):
            self._setbacks.pop(uid, None)
            self._release(pods)
            return self._expire(job)
        return self._act(job, decide(job, pods, self._clock.now(), self._setbacks.get(uid, Setbacks())))

    def _act(self, job: Object, decision: Decision) -> datetime | None:
        self._setbacks[uid_of(job)] = decision.setbacks
        status = {key: value for key, value in decision.status.items() if value != 0 or key not in _OMITTED_WHEN_ZERO}
        if status != job.get("status"):
            self._client.update_status(JOBS, {**job, "status": status})
        for told in decision.told:
            self._pods.tell(job, told.kind, told.reason, told.message)
        self._release(decision.release)
        for pod in decision.delete:
            self._pods.delete(job, pod)
        for index in decision.create:
            self._pods.create(job, _pod(job, index))
        return decision.again

    def _release_orphan(self, namespace: str, name: str) -> None:
        pod = self._client.get("pods", namespace, name)
        if pod is not None and controller_of(pod) is None:
            self._release([pod])

    def _release(self, pods: Iterable[Object]) -> None:
        for pod in filter(is_tracked, pods):
            finalizers = [name for name in pod["metadata"]["finalizers"] if name != TRACKING]
            metadata = {**pod["metadata"], "finalizers": finalizers}
            if not finalizers:
                del metadata["finalizers"]
            self._client.update("pods", {**pod, "metadata": metadata})

    def _expire(self, job: Object) -> datetime | None:
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None or is_terminating(job):
            return None
        end = condition_of(job, "Complete") or condition_of(job, "Failed")
        assert end is not None
        instant = from_timestamp(end["lastTransitionTime"]) + timedelta(seconds=seconds)
        if instant > self._clock.now():
            return instant
        try:
            self._client.delete(JOBS, namespace_of(job), name_of(job), uid=uid_of(job), propagation="Foreground")
        except ApiError as error:
            if error.code not in {404, 409}:
                raise
        return None


def _pod(job: Object, index: int | None) -> Object:
    """Return the next pod of a Job, of an index if the Job has indexes."""
    prefix = f"{name_of(job)}-" if index is None else f"{name_of(job)}-{index}-"
    pod = pod_from_template(job, job["spec"]["template"], prefix)
    metadata = pod["metadata"]
    metadata["finalizers"] = [*metadata.get("finalizers", []), TRACKING]
    metadata["labels"] |= {
        "batch.kubernetes.io/controller-uid": uid_of(job),
        "batch.kubernetes.io/job-name": name_of(job),
        "controller-uid": uid_of(job),
        "job-name": name_of(job),
    }
    if index is not None:
        metadata["annotations"][INDEX] = metadata["labels"][INDEX] = str(index)
        spec = pod["spec"]
        spec.setdefault("hostname", f"{name_of(job)}-{index}")
        for listed in ("initContainers", "containers"):
            if listed in spec:
                spec[listed] = [_with_index(container) for container in spec[listed]]
    return pod


def _with_index(container: dict[str, Any]) -> dict[str, Any]:
    return {**container, "env": [*(container.get("env") or []), _INDEX_VARIABLE]}
