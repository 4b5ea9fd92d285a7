"""The MPI operator: MPIJob v2beta1, workers that wait and a launcher that does the work.

Workers are pods of the MPIJob, the launcher is the pod of a batch Job it owns. The launcher's Job decides: its pods'
failures count against `backoffLimit`, its end is the MPIJob's, and the workers go then as `cleanPodPolicy` says.
Suspending deletes the workers and suspends the launcher's Job.

Not here: the contents of the hostfile and of the SSH keys, and PodGroups.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators.job_status import JobStatus
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, lasting, pod_named
from simcluster.operators.system import System
from simcluster.pods import (
    condition_of,
    is_finished,
    is_ready,
    is_terminating,
    is_true,
    name_of,
    namespace_of,
    phase_of,
)
from simcluster.resources import Object

MPI_JOB = CustomKind("kubeflow.org", "MPIJob", "mpijobs", versions=("v2beta1",))
JOBS = "jobs.batch"
_LABELS = "training.kubeflow.org"


class MpiOperator(Operator):
    """Looks after MPIJobs."""

    owns = ("pods", JOBS, "services", "configmaps", "secrets")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(MPI_JOB, "mpi-job-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring an MPIJob a step further, or clean up after it."""
        status = JobStatus(obj, self.clock.now())
        suspended = bool(_run_policy(obj).get("suspend"))
        if status.is_over:
            self._clean_up(obj, status)
        else:
            self._start_or_suspend(obj, status, suspended)
            self._create_surroundings(obj)
            self._reconcile_workers(obj, suspended)
            self._reconcile_launcher(obj, suspended)
            self._judge(obj, status)
        self.report(obj, status.to_dict())
        return None

    def keys(self, change: Change) -> Iterable[Key]:
        """Return the MPIJob in question; between it and a launcher's pod there is a Job."""
        labels = change.object["metadata"].get("labels") or {}
        if change.kind == "pods" and labels.get(f"{_LABELS}/job-role") == "launcher":
            return [(namespace_of(change.object), labels.get(f"{_LABELS}/job-name", ""))]
        return super().keys(change)

    def _start_or_suspend(self, job: Object, status: JobStatus, suspended: bool) -> None:
        if suspended and not status.is_true("Suspended"):
            if status.is_true("Running"):
                status.set("Running", "MPIJob suspended", "MPIJobSuspended", holds=False)
            status.set("Suspended", "MPIJob suspended")
            self.tell(job, "Normal", "MPIJobSuspended", "MPIJob suspended")
        elif not suspended and status.is_true("Suspended"):
            status.set("Suspended", "MPIJob resumed", "MPIJobResumed", holds=False)
            status.start()
            self.tell(job, "Normal", "MPIJobResumed", "MPIJob resumed")
        elif not suspended and status.started is None:
            status.start()

    def _create_surroundings(self, job: Object) -> None:
        name = name_of(job)
        service = {"clusterIP": "None", "selector": _identity(job), "publishNotReadyAddresses": True}
        wanted: dict[str, Object] = {
            "services": {"kind": "Service", "metadata": {"name": name, "labels": {"app": name}}, "spec": service},
            "configmaps": {"kind": "ConfigMap", "metadata": {"name": f"{name}-config", "labels": {"app": name}}},
            "secrets": {"kind": "Secret", "metadata": {"name": f"{name}-ssh", "labels": {"app": name}}},
        }
        for kind, child in wanted.items():
            if self.client.get(kind, namespace_of(job), child["metadata"]["name"]) is None:
                self.create(job, kind, {"apiVersion": "v1", **child})

    def _reconcile_workers(self, job: Object, suspended: bool) -> None:
        wanted = 0 if suspended else _workers_wanted(job)
        pods = {name_of(pod): pod for pod in self.owned(job, "pods")}
        names = [_worker_name(job, index) for index in range(wanted)]
        for index, name in enumerate(names):
            if name not in pods:
                self.create(job, "pods", _worker(job, index))
        for name, pod in pods.items():
            if name not in names:
                self.delete(job, "pods", pod)

    def _reconcile_launcher(self, job: Object, suspended: bool) -> None:
        launcher = self._launcher(job)
        if launcher is not None:
            if bool(launcher["spec"].get("suspend")) != suspended:
                self.client.update(JOBS, {**launcher, "spec": {**launcher["spec"], "suspend": suspended}})
        elif self._may_launch(job):
            self.create(job, JOBS, _launcher_job(job, suspended))

    def _may_launch(self, job: Object) -> bool:
        if job["spec"].get("launcherCreationPolicy", "AtStartup") != "WaitForWorkersReady":
            return True
        workers = self.owned(job, "pods")
        return len(workers) == _workers_wanted(job) and all(map(is_ready, workers))

    def _launcher(self, job: Object) -> Object | None:
        return next(iter(self.owned(job, JOBS)), None)

    def _judge(self, job: Object, status: JobStatus) -> None:
        name = f"MPIJob {namespace_of(job)}/{name_of(job)}"
        launcher, workers = self._launcher(job), self.owned(job, "pods")
        launching = self._launcher_pods(launcher)
        status.count({"Launcher": _launcher_counts(launcher, launching), "Worker": _counts(workers)})
        if launcher is not None and is_true(launcher, "Complete"):
            self._end(job, status, "Succeeded", f"{name} successfully completed.")
        elif launcher is not None and is_true(launcher, "Failed"):
            failure = condition_of(launcher, "Failed") or {}
            self._end(job, status, "Failed", failure.get("message", ""), failure.get("reason", ""))
        elif not status.is_true("Suspended") and _running(launching) and len(_running(workers)) == _workers_wanted(job):
            status.set("Running", f"{name} is running.")

    def _launcher_pods(self, launcher: Object | None) -> list[Object]:
        return [] if launcher is None else self.owned(launcher, "pods")

    def _end(self, job: Object, status: JobStatus, kind: str, message: str, reason: str = "") -> None:
        status.end(kind, message, reason)
        self.tell(job, "Normal" if kind == "Succeeded" else "Warning", reason or f"MPIJob{kind}", message)
        self._clean_up(job, status)

    def _clean_up(self, job: Object, status: JobStatus) -> None:
        kept = _run_policy(job).get("cleanPodPolicy") or job["spec"].get("cleanPodPolicy") or "None"
        if kept == "None":
            return
        for pod in self.owned(job, "pods"):
            if kept == "All" or not is_finished(pod):
                self.delete(job, "pods", pod)
        status.count({**status.replicas, "Worker": {}})


def _run_policy(job: Object) -> dict[str, Any]:
    return job["spec"].get("runPolicy") or {}


def _spec_of(job: Object, kind: str) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["mpiReplicaSpecs"].get(kind) or {}
    return spec


def _workers_wanted(job: Object) -> int:
    return int(_spec_of(job, "Worker").get("replicas", 0))


def _identity(job: Object, role: str = "") -> dict[str, str]:
    labels = {f"{_LABELS}/operator-name": "mpi-operator", f"{_LABELS}/job-name": name_of(job)}
    return labels | ({f"{_LABELS}/job-role": role} if role else {})


def _worker_name(job: Object, index: int) -> str:
    return f"{name_of(job)}-worker-{index}"


def _worker(job: Object, index: int) -> Object:
    """Return a worker; its number is one more when the launcher works as number 0."""
    spec, name = _spec_of(job, "Worker"), _worker_name(job, index)
    number = index + (1 if job["spec"].get("runLauncherAsWorker") else 0)
    labels = _identity(job, "worker") | {f"{_LABELS}/replica-index": str(number)}
    pod = pod_named(job, spec["template"], name, labels)
    pod["spec"] |= {
        "hostname": name,
        "subdomain": name_of(job),
        "restartPolicy": spec.get("restartPolicy", "Never"),
    }
    return lasting(pod)


def _launcher_job(job: Object, suspended: bool) -> Object:
    spec, policy = _spec_of(job, "Launcher"), _run_policy(job)
    name, template = f"{name_of(job)}-launcher", spec["template"]
    labels = {**((template.get("metadata") or {}).get("labels") or {}), **_identity(job, "launcher")}
    if job["spec"].get("runLauncherAsWorker"):
        labels[f"{_LABELS}/replica-index"] = "0"
    limits = ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished")
    pod_spec = {
        **template["spec"],
        "hostname": name,
        "subdomain": name_of(job),
        "restartPolicy": spec.get("restartPolicy", "OnFailure"),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": {"app": name_of(job)}},
        "spec": {
            **{limit: policy[limit] for limit in limits if policy.get(limit) is not None},
            "suspend": suspended,
            "template": {"metadata": {**(template.get("metadata") or {}), "labels": labels}, "spec": pod_spec},
        },
    }


def _running(pods: list[Object]) -> list[Object]:
    return [pod for pod in pods if phase_of(pod) == "Running" and not is_terminating(pod)]


def _counts(pods: list[Object]) -> Mapping[str, int]:
    phases = [phase_of(pod) for pod in pods]
    names = {"active": "Running", "succeeded": "Succeeded", "failed": "Failed"}
    return {name: phases.count(phase) for name, phase in names.items() if phase in phases}


def _launcher_counts(launcher: Object | None, pods: list[Object]) -> Mapping[str, int]:
    """Return the launcher's pods that run now; what ended is what its Job counted."""
    status = (launcher or {}).get("status", {})
    counted = {"active": len(_running(pods)), "succeeded": status.get("succeeded"), "failed": status.get("failed")}
    return {name: number for name, number in counted.items() if number}


SYSTEM = System(kinds=(MPI_JOB,), operators=(MpiOperator,))
