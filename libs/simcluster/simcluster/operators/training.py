"""Kubeflow's training operator, v1: PyTorchJob, TFJob, XGBoostJob, JAXJob, PaddleJob and MPIJob v1.

The kinds differ in data (`Framework`) alone: where the replica specs are, which type leads, which container's exit
code counts. Pods are owned by the job itself and are called `<job>-<type>-<index>`; each has a headless Service of its
own name. Suspending deletes the pods, resuming makes them again under the same names.

A failed replica is made again under restartPolicy `OnFailure`, `Always` or, when its exit code is 128 or more,
`ExitCode`; otherwise the job fails. A running pod that is being deleted counts as failed, as the operator counts it.

MPIJob v1 is a system of its own (`mpi-v1`), since a cluster can serve MPIJobs in one way only and `mpi` is the newer.

Not here: the environment by which replicas find each other, the gang scheduler's PodGroups, autoscaling, adoption.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.kube_events import EventRecorder
from simcluster.operators.job_status import JobStatus
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, failures_noted, lasting, noted_failures, pod_named, with_course
from simcluster.operators.system import System
from simcluster.pods import is_finished, is_terminating, name_of, namespace_of, phase_of
from simcluster.resources import Object, ScalePaths

_LABELS = "training.kubeflow.org"
_ITSELF = "kubeflow.org/training-operator"
_FIRST_RETRYABLE_EXIT_CODE = 128
_RESTARTED_BY_THE_KUBELET = ("OnFailure", "Always")


@dataclass(frozen=True)
class Framework:
    """What one kind of job has of its own."""

    kind: CustomKind
    specs: str  # the field of the job's spec that holds the replica specs
    container: str  # whose exit code counts
    restart_policy: str = "Never"  # where a replica spec names none
    leaders: tuple[str, ...] = ("Master",)  # the first of them that the job has decides; without any, the workers do
    lasting: tuple[str, ...] = ()  # types that serve until they are told to end
    first_worker_decides: bool = False  # without a leader, unless the job's successPolicy is AllWorkers
    numbered_leader: bool = True  # `<job>-master-0`; an MPI launcher is called `<job>-launcher`
    waiting_container: str = ""  # the init container in which workers wait for their master's name

    @property
    def component(self) -> str:
        """What the operator calls itself in labels and Events."""
        return f"{self.kind.kind.lower()}-controller"


def _kind(name: str, plural: str) -> CustomKind:
    return CustomKind("kubeflow.org", name, plural)


PYTORCH = Framework(
    kind=CustomKind(
        "kubeflow.org",
        "PyTorchJob",
        "pytorchjobs",
        scale=ScalePaths("spec.pytorchReplicaSpecs.Worker.replicas", "status.replicaStatuses.Worker.active"),
    ),
    specs="pytorchReplicaSpecs",
    container="pytorch",
    restart_policy="OnFailure",
    waiting_container="init-pytorch",
)
FRAMEWORKS = (
    PYTORCH,
    Framework(
        kind=_kind("TFJob", "tfjobs"),
        specs="tfReplicaSpecs",
        container="tensorflow",
        leaders=("Chief", "Master"),
        lasting=("PS",),
        first_worker_decides=True,
    ),
    Framework(kind=_kind("XGBoostJob", "xgboostjobs"), specs="xgbReplicaSpecs", container="xgboost"),
    Framework(kind=_kind("JAXJob", "jaxjobs"), specs="jaxReplicaSpecs", container="jax", leaders=()),
    Framework(
        kind=_kind("PaddleJob", "paddlejobs"),
        specs="paddleReplicaSpecs",
        container="paddle",
        restart_policy="OnFailure",
    ),
)
MPI = Framework(
    kind=_kind("MPIJob", "mpijobs"),
    specs="mpiReplicaSpecs",
    container="mpi",
    leaders=("Launcher",),
    lasting=("Worker",),
    numbered_leader=False,
)


@dataclass(frozen=True)
class _Replicas:
    """The replicas of one type: what was asked for, and the pods there are by index."""

    type: str
    spec: Mapping[str, Any]
    restart_policy: str
    pods: Mapping[int, Object]

    @property
    def wanted(self) -> int:
        return int(self.spec.get("replicas", 1))

    def count(self, phase: str) -> int:
        return sum(1 for pod in self.pods.values() if _counted_as(pod) == phase)


class TrainingOperator(Operator):
    """Looks after the jobs of one framework."""

    owns = ("pods", "services")

    def __init__(self, framework: Framework, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(framework.kind, framework.component, client, clock, events)
        self._framework = framework

    def act(self, obj: Object) -> datetime | None:
        """Bring a job a step further, or clean up after it."""
        policy = _run_policy(obj)
        if policy.get("managedBy", _ITSELF) != _ITSELF:
            return None
        status = JobStatus(obj, self.clock.now())
        if status.is_over:
            return self._clean_up(obj, policy, status)
        if not policy.get("suspend"):
            return self._run(obj, policy, status)
        self._suspend(obj, status)
        return None

    def _suspend(self, job: Object, status: JobStatus) -> None:
        self._delete_all(job, self.owned(job, "pods"))
        status.count_none_active()
        message = f"{self.kind.kind} {name_of(job)} is suspended."
        if status.is_true("Running"):
            status.set("Running", message, f"{self.kind.kind}Suspended", holds=False)
        if not status.is_true("Suspended"):
            status.set("Suspended", message)
            self._say(job, "Normal", "Suspended", message)
        self.report(job, status.to_dict())

    def _run(self, job: Object, policy: Mapping[str, Any], status: JobStatus) -> datetime | None:
        self._start_or_resume(job, status)
        if verdict := self._limit_reached(job, policy, status):
            self._delete_all(job, self.owned(job, "pods"))
            self._end(job, status, "Failed", verdict)
        else:
            for replicas in self._replicas(job):
                self._reconcile_replicas(job, replicas, status)
            self._judge(job, status)
        self.report(job, status.to_dict())
        return self._deadline(policy, status)

    def _start_or_resume(self, job: Object, status: JobStatus) -> None:
        if status.is_true("Suspended"):
            message = f"{self.kind.kind} {name_of(job)} is resumed."
            status.set("Suspended", message, f"{self.kind.kind}Resumed", holds=False)
            status.start()
            self._say(job, "Normal", "Resumed", message)
        if status.started is None:
            status.start()

    def _limit_reached(self, job: Object, policy: Mapping[str, Any], status: JobStatus) -> str:
        """Return why the job may not go on, or nothing."""
        limit = policy.get("backoffLimit")
        if limit is not None and self._restarts(job) >= max(limit, 1):
            return f"Job {name_of(job)} has failed because it has reached the specified backoff limit"
        deadline = self._deadline(policy, status)
        if deadline is not None and deadline <= self.clock.now():
            return f"Job {name_of(job)} has failed because it was active longer than specified deadline"
        return ""

    def _restarts(self, job: Object) -> int:
        """Return how often replicas were restarted: in their pods, and by new pods in place of failed ones."""
        pods = [pod for pod in self.owned(job, "pods") if not is_finished(pod)]
        return sum(failures_noted(pod) + _restarts_within(pod) for pod in pods)

    def _deadline(self, policy: Mapping[str, Any], status: JobStatus) -> datetime | None:
        seconds = policy.get("activeDeadlineSeconds")
        if seconds is None or status.started is None or status.is_over:
            return None
        return status.started + timedelta(seconds=seconds)

    def _replicas(self, job: Object) -> list[_Replicas]:
        pods = self.owned(job, "pods")
        return [
            _Replicas(kind, spec, spec.get("restartPolicy", self._framework.restart_policy), _by_index(pods, kind))
            for kind, spec in job["spec"][self._framework.specs].items()
        ]

    def _reconcile_replicas(self, job: Object, replicas: _Replicas, status: JobStatus) -> None:
        for index in range(replicas.wanted):
            pod = replicas.pods.get(index)
            if pod is None:
                self._create_replica(job, replicas, index)
            elif phase_of(pod) == "Failed" and not is_terminating(pod):
                self._handle_failure(job, replicas, index, pod, status)
        self._delete_all(job, (pod for index, pod in replicas.pods.items() if index >= replicas.wanted))

    def _handle_failure(self, job: Object, replicas: _Replicas, index: int, pod: Object, status: JobStatus) -> None:
        code = self._exit_code(pod)
        if _is_retryable(replicas.restart_policy, code):
            message = f"job {name_of(job)} is restarting because {replicas.type} replica(s) failed."
            self._say(job, "Warning", "Restarting", message)
            status.set("Restarting", message)
            self.delete(job, "pods", pod)
            if self.client.get("pods", namespace_of(job), name_of(pod)) is None:
                self._create_replica(job, replicas, index, failures=failures_noted(pod) + 1)
        elif replicas.restart_policy == "ExitCode":
            self._end(
                job, status, "Failed", f'job "{name_of(job)}" is failing because "{replicas.type}" replica(s) failed.'
            )

    def _exit_code(self, pod: Object) -> int | None:
        for container in pod.get("status", {}).get("containerStatuses", []):
            if container["name"] == self._framework.container and "terminated" in container["state"]:
                return int(container["state"]["terminated"]["exitCode"])
        return None

    def _create_replica(self, job: Object, replicas: _Replicas, index: int, failures: int = 0) -> None:
        labels = self._labels(job, replicas.type, index)
        number = f"-{index}" if self._is_numbered(replicas.type) else ""
        name = f"{name_of(job)}-{replicas.type.lower()}{number}"
        pod = pod_named(job, replicas.spec["template"], name, labels)
        pod["spec"]["restartPolicy"] = "Never" if replicas.restart_policy == "ExitCode" else replicas.restart_policy
        if self._framework.waiting_container and replicas.type != self._leader(job):
            pod = _waiting(pod, self._framework.waiting_container)
        if replicas.type in self._framework.lasting:
            pod = lasting(pod)
        self.create(job, "pods", noted_failures(pod, failures) if failures else pod)
        if self.client.get("services", namespace_of(job), name) is None:
            self.create(job, "services", _headless_service(name, labels))

    def _labels(self, job: Object, kind: str, index: int) -> dict[str, str]:
        labels = self._type_labels(job, kind)
        if self._is_numbered(kind):
            labels[f"{_LABELS}/replica-index"] = str(index)
        if kind == self._leader(job) and (kind != "Worker" or index == 0):
            labels[f"{_LABELS}/job-role"] = "master"
        return labels

    def _type_labels(self, job: Object, kind: str) -> dict[str, str]:
        return {
            f"{_LABELS}/job-name": name_of(job),
            f"{_LABELS}/operator-name": self._framework.component,
            f"{_LABELS}/replica-type": kind.lower(),
        }

    def _is_numbered(self, kind: str) -> bool:
        return self._framework.numbered_leader or kind not in self._framework.leaders

    def _leader(self, job: Object) -> str:
        specs = job["spec"][self._framework.specs]
        return next((kind for kind in self._framework.leaders if kind in specs), "Worker")

    def _judge(self, job: Object, status: JobStatus) -> None:
        """Count the pods there are now and say what follows from them."""
        every = self._replicas(job)
        status.count({replicas.type: self._counts(job, replicas) for replicas in every})
        name, leader = f"{self.kind.kind} {name_of(job)}", self._leader(job)
        for replicas in every:
            if replicas.type == leader:
                if replicas.count("Running"):
                    status.set("Running", f"{name} is running.")
                if self._has_succeeded(job, replicas):
                    self._end(job, status, "Succeeded", f"{name} is successfully completed.")
            failed = replicas.count("Failed")
            if failed and replicas.wanted > replicas.count("Succeeded") + replicas.count("Running"):
                self._tell_failure(job, replicas, failed, status)

    def _tell_failure(self, job: Object, replicas: _Replicas, failed: int, status: JobStatus) -> None:
        name = f"{self.kind.kind} {name_of(job)}"
        if replicas.restart_policy == "Never":
            self._end(job, status, "Failed", f"{name} is failed because {failed} {replicas.type} replica(s) failed.")
        else:
            status.set("Restarting", f"{name} is restarting because {failed} {replicas.type} replica(s) failed.")

    def _has_succeeded(self, job: Object, leading: _Replicas) -> bool:
        succeeded = leading.count("Succeeded")
        if leading.type == "Worker" and succeeded:
            if job["spec"].get("elasticPolicy") is not None:
                return True
            if self._framework.first_worker_decides and job["spec"].get("successPolicy") != "AllWorkers":
                return phase_of(leading.pods.get(0, {})) == "Succeeded"
        return succeeded == leading.wanted

    def _counts(self, job: Object, replicas: _Replicas) -> dict[str, Any]:
        counts = {
            "active": replicas.count("Running"),
            "succeeded": replicas.count("Succeeded"),
            "failed": replicas.count("Failed"),
        }
        labels = self._type_labels(job, replicas.type)
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        return {name: number for name, number in counts.items() if number} | {"selector": selector}

    def _end(self, job: Object, status: JobStatus, kind: str, message: str) -> None:
        if not status.is_over:
            status.end(kind, message)
            self._say(job, "Normal", kind, message)

    def _say(self, job: Object, severity: str, reason: str, message: str) -> None:
        self.tell(job, severity, f"{self.kind.kind}{reason}", message)

    def _clean_up(self, job: Object, policy: Mapping[str, Any], status: JobStatus) -> datetime | None:
        kept = policy.get("cleanPodPolicy") or "None"
        if kept != "None":
            pods = self.owned(job, "pods")
            self._delete_all(job, (pod for pod in pods if kept == "All" or not is_finished(pod)))
        if status.is_true("Succeeded"):
            status.count_none_active(as_succeeded=True)
        self.report(job, status.to_dict())
        return self.expire(job, status.completed or self.clock.now(), policy.get("ttlSecondsAfterFinished"))

    def _delete_all(self, job: Object, pods: Iterable[Object]) -> None:
        """Delete pods with their Services, which have their names."""
        services = {name_of(service): service for service in self.owned(job, "services")}
        for pod in pods:
            self.delete(job, "pods", pod)
            if name_of(pod) in services:
                self.delete(job, "services", services[name_of(pod)])


def _run_policy(job: Object) -> dict[str, Any]:
    spec = job["spec"]
    older = {"cleanPodPolicy": spec["cleanPodPolicy"]} if spec.get("cleanPodPolicy") else {}
    return older | (spec.get("runPolicy") or {})


def _is_retryable(restart_policy: str, exit_code: int | None) -> bool:
    if restart_policy == "ExitCode":
        return exit_code is not None and exit_code >= _FIRST_RETRYABLE_EXIT_CODE
    return restart_policy in _RESTARTED_BY_THE_KUBELET


def _counted_as(pod: Object) -> str:
    phase = phase_of(pod)
    return "Failed" if phase == "Running" and is_terminating(pod) else phase


def _restarts_within(pod: Object) -> int:
    if pod["spec"].get("restartPolicy") not in _RESTARTED_BY_THE_KUBELET:
        return 0
    status = pod.get("status", {})
    every = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    return sum(container.get("restartCount", 0) for container in every)


def _by_index(pods: Iterable[Object], kind: str) -> dict[int, Object]:
    found = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        if labels.get(f"{_LABELS}/replica-type") == kind.lower():
            found[int(labels.get(f"{_LABELS}/replica-index", 0))] = pod
    return found


def _waiting(pod: Object, name: str) -> Object:
    """Return a pod that first waits, in a container of the operator's own, until its master can be found."""
    spec = pod["spec"]
    container = {
        "name": name,
        "image": "alpine:3.10",
        "command": ["sh", "-c", "until nslookup $MASTER_ADDR; do :; done"],
    }
    waiting = {**pod, "spec": {**spec, "initContainers": [*spec.get("initContainers", []), container]}}
    return with_course(waiting, name, run_seconds="1")


def _headless_service(name: str, labels: Mapping[str, str]) -> Object:
    spec = {"clusterIP": "None", "selector": dict(labels), "ports": [{"name": "job-port", "port": 23456}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": dict(labels)}, "spec": spec}


SYSTEM = System(
    kinds=tuple(framework.kind for framework in FRAMEWORKS),
    operators=tuple(partial(TrainingOperator, framework) for framework in FRAMEWORKS),
)
MPI_SYSTEM = System(kinds=(MPI.kind,), operators=(partial(TrainingOperator, MPI),))
