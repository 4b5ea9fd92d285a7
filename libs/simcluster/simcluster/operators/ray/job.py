"""RayJob: a cluster of its own (or a chosen one), a job submitted to it, and its end, retry, suspension or deadline.

`submission` says how the job gets into the cluster. The job's deployment status says which step is next; each change
of the job, of its cluster, of its submitter and of the head's pod takes one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.operator import Operator
from simcluster.operators.ray.kinds import CLUSTER, JOB
from simcluster.operators.ray.submission import SUBMITTER, cluster_of, mode_of, submitter_of
from simcluster.pods import controller_of, is_terminating, name_of, namespace_of, uid_of
from simcluster.resources import Object

_OVER = ("Complete", "Failed", "ValidationFailed")


class RayJobOperator(Operator):
    """Leads jobs from a cluster of their own to their end."""

    owns = ("rayclusters.ray.io", "jobs.batch", "pods")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(JOB, "rayjob-controller", client, clock, events)

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the job itself, the owner of its cluster or submitter or of a head, and who chose the cluster."""
        obj, owner = change.object, controller_of(change.object)
        if change.kind == CLUSTER.key:
            return [*super().keys(change), *self._choosers(obj)]
        if change.kind == "pods" and owner is not None and owner["kind"] == "RayCluster":
            cluster = self.client.get(CLUSTER.key, namespace_of(obj), owner["name"])
            over = controller_of(cluster) if cluster is not None else None
            return [(namespace_of(obj), over["name"])] if over and over["kind"] == "RayJob" else []
        return super().keys(change)

    def _choosers(self, cluster: Object) -> Iterable[Key]:
        """Return the jobs that run on a cluster without owning it."""
        for job in self.client.list(JOB.key, namespace_of(cluster)):
            selector = (job.get("spec") or {}).get("clusterSelector") or {}
            if selector.get("ray.io/cluster") == name_of(cluster):
                yield namespace_of(job), name_of(job)

    def act(self, obj: Object) -> datetime | None:
        """Take the step that the job's deployment status calls for."""
        status = dict(obj.get("status", {}))
        state = status.get("jobDeploymentStatus", "")
        fault = _job_fault(obj["spec"])
        if fault and state not in _OVER:
            state, status["message"], status["reason"] = "ValidationFailed", fault, "ValidationFailed"
            status["jobDeploymentStatus"] = state
        again = self._step(obj, state, status)
        if status != obj.get("status"):
            self.report(obj, status | {"observedGeneration": obj["metadata"].get("generation", 1)})
        return again

    def _step(self, job: Object, state: str, status: dict[str, Any]) -> datetime | None:
        if job["spec"].get("suspend") and state in ("", "Initializing", "Running", "Waiting"):
            state = status["jobDeploymentStatus"] = "Suspending"
        match state:
            case "" | "Initializing" | "Waiting" | "Running":
                return self._go_on(job, state, status)
            case "Suspending" | "Retrying":
                self._take_down(job, state, status)
            case "Suspended" if not job["spec"].get("suspend"):
                status["jobDeploymentStatus"] = ""
                return self.clock.now()
            case "Complete" | "Failed":
                return self._shut_down(job, status)
        return None

    def _go_on(self, job: Object, state: str, status: dict[str, Any]) -> datetime | None:
        status.setdefault("startTime", to_timestamp(self.clock.now()))
        cluster = self._cluster(job, status)
        if not state:
            status |= {"jobDeploymentStatus": "Initializing", "jobStatus": ""}
        if self._is_overdue(job, status):
            self._end(job, status, "FAILED", "DeadlineExceeded")
        elif cluster is not None and (state == "Running" or cluster.get("status", {}).get("state") == "ready"):
            return self._run(job, cluster, status)
        return self._deadline(job, status)

    def _cluster(self, job: Object, status: dict[str, Any]) -> Object | None:
        """Return the job's cluster, chosen or made; the status is told its name and the job's identity."""
        selector = job["spec"].get("clusterSelector")
        if selector:
            status["rayClusterName"] = selector["ray.io/cluster"]
        else:
            living = [each for each in self.owned(job, CLUSTER.key) if not is_terminating(each)]
            cluster = living[0] if living else self.create(job, CLUSTER.key, cluster_of(job))
            status["rayClusterName"] = name_of(cluster)
            if job["spec"].get("submissionMode") != "InteractiveMode":
                status.setdefault("jobId", job["spec"].get("jobId") or f"{name_of(job)}-{uid_of(cluster)[:5]}")
        return self.client.get(CLUSTER.key, namespace_of(job), status["rayClusterName"])

    def _run(self, job: Object, cluster: Object, status: dict[str, Any]) -> datetime | None:
        spec, mode = job["spec"], mode_of(job)
        if mode == "InteractiveMode" and not spec.get("jobId"):
            status["jobDeploymentStatus"] = "Waiting"
            return self._deadline(job, status)
        status["jobDeploymentStatus"] = "Running"
        if spec.get("jobId"):
            status["jobId"] = spec["jobId"]
        again = None
        if mode == "K8sJobMode":
            said = self._ask_submitter(job, status)
        elif mode == "SidecarMode":
            said = self._ask_head(cluster)
        else:
            said, again = self._play(job, status)
        status["jobStatus"] = said
        if said in ("SUCCEEDED", "FAILED"):
            self._end(job, status, said, "AppFailed" if said == "FAILED" else "")
            return self.clock.now()
        return min(filter(None, (again, self._deadline(job, status))), default=None)

    def _ask_submitter(self, job: Object, status: Mapping[str, Any]) -> str:
        submitters = [each for each in self.owned(job, "jobs.batch") if not is_terminating(each)]
        if not submitters:
            self.create(job, "jobs.batch", submitter_of(job, int(status.get("failed", 0))))
            return "PENDING"
        counts = submitters[0].get("status", {})
        if counts.get("succeeded"):
            return "SUCCEEDED"
        if counts.get("failed"):
            return "FAILED"
        return "RUNNING" if counts.get("ready") else "PENDING"

    def _ask_head(self, cluster: Object) -> str:
        for pod in self.owned(cluster, "pods"):
            for container in pod.get("status", {}).get("containerStatuses", []):
                if container["name"] == SUBMITTER and "terminated" in container["state"]:
                    return "FAILED" if container["state"]["terminated"]["exitCode"] else "SUCCEEDED"
                if container["name"] == SUBMITTER and "running" in container["state"]:
                    return "RUNNING"
        return "PENDING"

    def _play(self, job: Object, status: dict[str, Any]) -> tuple[str, datetime | None]:
        """Return what Ray says of a job nobody in the cluster submits, and when it will say something else."""
        started = status.setdefault("rayJobInfo", {"startTime": to_timestamp(self.clock.now())})["startTime"]
        annotations = job["metadata"].get("annotations") or {}
        length = annotations.get("sim.run-seconds", "3")
        if length == "forever":
            return "RUNNING", None
        end = from_timestamp(started) + timedelta(seconds=float(length))
        if self.clock.now() < end:
            return "RUNNING", end
        fails = int(status.get("failed", 0)) < int(annotations.get("sim.fail-times", "0"))
        return ("FAILED" if fails or annotations.get("sim.exit-code", "0") != "0" else "SUCCEEDED"), None

    def _end(self, job: Object, status: dict[str, Any], said: str, reason: str) -> None:
        status |= {"jobStatus": said, "endTime": to_timestamp(self.clock.now())}
        if said == "SUCCEEDED":
            status |= {"jobDeploymentStatus": "Complete", "succeeded": 1, "message": "Job finished successfully."}
            return
        status["failed"] = int(status.get("failed", 0)) + 1
        retried = reason == "AppFailed" and status["failed"] <= int(job["spec"].get("backoffLimit") or 0)
        status |= {"jobDeploymentStatus": "Retrying" if retried else "Failed", "reason": reason}
        status["message"] = f"Job failed: {reason}."
        self.tell(job, "Warning", "RayJobFailed", status["message"])

    def _take_down(self, job: Object, state: str, status: dict[str, Any]) -> None:
        """Delete cluster and submitter; when both are gone the job is suspended, or begins anew."""
        for kind in (CLUSTER.key, "jobs.batch"):
            for child in self.owned(job, kind):
                self.delete(job, kind, child)
        if self.owned(job, CLUSTER.key) or self.owned(job, "jobs.batch"):
            return
        kept: dict[str, Any] = {name: status[name] for name in ("failed", "succeeded") if name in status}
        status.clear()
        status |= {**kept, "jobStatus": "", "jobDeploymentStatus": "Suspended" if state == "Suspending" else ""}

    def _shut_down(self, job: Object, status: Mapping[str, Any]) -> datetime | None:
        """Delete the cluster of a job that is over, if and when its spec says so; the submitter stays to be read."""
        spec = job["spec"]
        if not spec.get("shutdownAfterJobFinishes") or spec.get("clusterSelector"):
            return None
        due = from_timestamp(status["endTime"]) + timedelta(seconds=int(spec.get("ttlSecondsAfterFinished") or 0))
        if due > self.clock.now():
            return due
        for cluster in self.owned(job, CLUSTER.key):
            self.delete(job, CLUSTER.key, cluster)
        return None

    def _deadline(self, job: Object, status: Mapping[str, Any]) -> datetime | None:
        seconds = job["spec"].get("activeDeadlineSeconds")
        return None if seconds is None else from_timestamp(status["startTime"]) + timedelta(seconds=int(seconds))

    def _is_overdue(self, job: Object, status: Mapping[str, Any]) -> bool:
        deadline = self._deadline(job, status)
        return deadline is not None and deadline <= self.clock.now()


def _job_fault(spec: Mapping[str, Any]) -> str:
    """Return why the operator does not take a job, or nothing."""
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        return "a RayJob with shutdownAfterJobFinishes set to false is not allowed to be suspended"
    if spec.get("suspend") and spec.get("clusterSelector"):
        return "the ClusterSelector mode doesn't support the suspend operation"
    if not spec.get("rayClusterSpec") and not spec.get("clusterSelector"):
        return "one of RayClusterSpec or ClusterSelector must be set"
    return ""
