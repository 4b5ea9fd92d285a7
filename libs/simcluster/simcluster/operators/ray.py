"""KubeRay: RayCluster, RayJob, RayService and RayCronJob.

A RayCluster owns its pods, one head and the workers of its groups. A RayJob makes a cluster (`<job>-<random>`), and
once that is ready has the job submitted: by a Job of its own name (K8sJobMode), by a container of the head
(SidecarMode), by the operator itself (HTTPMode) or by the user (InteractiveMode, who writes `spec.jobId`). A retry and
a resumed job get a new cluster under a new name. A RayService makes a second cluster when its configuration changes,
moves over when that is ready, and lets the first go a minute later.

How the job fares is written on the RayJob: its `sim.` annotations go to whatever submits it; without a submitter
`sim.run-seconds` (3) and `sim.exit-code` are obeyed by the operator. What Ray would say of the job is taken from its
submitter: Ray's own dashboard is not here, nor is its autoscaler, which only shows as a container of the head.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp, to_timestamp
from simcluster.controllers.ownership import pod_from_template
from simcluster.kube_events import EventRecorder
from simcluster.machinery import Change, Key
from simcluster.operators import cron
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator, lasting, noted_failures, with_course
from simcluster.operators.system import System
from simcluster.pods import (
    controller_of,
    is_finished,
    is_ready,
    is_terminating,
    name_of,
    namespace_of,
    phase_of,
    uid_of,
    with_condition,
)
from simcluster.resources import Object

_GROUP = "ray.io"
_VERSIONS = ("v1", "v1alpha1")
CLUSTER = CustomKind(_GROUP, "RayCluster", "rayclusters", _VERSIONS)
JOB = CustomKind(_GROUP, "RayJob", "rayjobs", _VERSIONS)
SERVICE = CustomKind(_GROUP, "RayService", "rayservices", _VERSIONS)
CRON_JOB = CustomKind(_GROUP, "RayCronJob", "raycronjobs")

_OPERATOR = "kuberay-operator"
_HASH = "ray.io/cluster-config-hash"
_SUBMITTER = "ray-job-submitter"
_SUBMISSION_MODE = "ray.io/job-submission-mode"
_LONGEST_PREFIX, _LONGEST_LABEL = 50, 63
_OVER = ("Complete", "Failed", "ValidationFailed")
_SIZES = ("replicas", "minReplicas", "maxReplicas", "scaleStrategy")


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
            conditions = with_condition(conditions, kind, _truth(holds), self.clock.now(), kind)
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
            self.create(cluster, "pods", _head(cluster, spec["template"]))
        if not self.owned(cluster, "services"):
            self.create(cluster, "services", _head_service(cluster))

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
            self.create(cluster, "pods", _worker(cluster, group))

    def _heads(self, cluster: Object) -> list[Object]:
        return [pod for pod in self.owned(cluster, "pods") if _label(pod, "ray.io/node-type") == "head"]

    def _workers(self, cluster: Object, group: str) -> list[Object]:
        pods = self.owned(cluster, "pods")
        workers = [pod for pod in pods if _label(pod, "ray.io/node-type") == "worker"]
        return [pod for pod in workers if _label(pod, "ray.io/group") == group]

    def _report(self, cluster: Object) -> None:
        pods = self.owned(cluster, "pods")
        heads = self._heads(cluster)
        head_ready = any(is_ready(head) for head in heads)
        all_ready = len(pods) == 1 + _total(cluster, _wanted) and all(is_ready(pod) for pod in pods)
        status = self._counts(cluster)
        conditions = status.get("conditions", [])
        reason = "HeadPodRunningAndReady" if head_ready else "ContainersNotReady"
        conditions = with_condition(conditions, "HeadPodReady", _truth(head_ready), self.clock.now(), reason)
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
        workers = [pod for pod in self.owned(cluster, "pods") if _label(pod, "ray.io/node-type") == "worker"]
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
            cluster = living[0] if living else self.create(job, CLUSTER.key, _cluster_of(job))
            status["rayClusterName"] = name_of(cluster)
            if job["spec"].get("submissionMode") != "InteractiveMode":
                status.setdefault("jobId", job["spec"].get("jobId") or f"{name_of(job)}-{uid_of(cluster)[:5]}")
        return self.client.get(CLUSTER.key, namespace_of(job), status["rayClusterName"])

    def _run(self, job: Object, cluster: Object, status: dict[str, Any]) -> datetime | None:
        spec, mode = job["spec"], _mode(job)
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
            self.create(job, "jobs.batch", _submitter(job, int(status.get("failed", 0))))
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
                if container["name"] == _SUBMITTER and "terminated" in container["state"]:
                    return "FAILED" if container["state"]["terminated"]["exitCode"] else "SUCCEEDED"
                if container["name"] == _SUBMITTER and "running" in container["state"]:
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


class RayServiceOperator(Operator):
    """Keeps one cluster per service, two while it moves from one configuration to the next."""

    owns = ("rayclusters.ray.io", "services")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(SERVICE, "rayservice-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the cluster the configuration asks for, and move to it once it is ready."""
        status = dict(obj.get("status", {}))
        if obj["spec"].get("suspend"):
            self._suspend(obj, status)
        else:
            self._serve(obj, status)
        self.report(obj, status | {"observedGeneration": obj["metadata"].get("generation", 1)})
        return self._forget(obj, status)

    def _suspend(self, service: Object, status: dict[str, Any]) -> None:
        for cluster in self.owned(service, CLUSTER.key):
            self.delete(service, CLUSTER.key, cluster)
        gone = not self.owned(service, CLUSTER.key)
        if gone:
            status |= {"activeServiceStatus": {}, "pendingServiceStatus": {}, "numServeEndpoints": 0}
        facts = {"Suspending": not gone, "Suspended": gone, "Ready": False, "UpgradeInProgress": False}
        self._state(status, facts)

    def _serve(self, service: Object, status: dict[str, Any]) -> None:
        wanted = self._wanted_cluster(service)
        ready = wanted.get("status", {}).get("state") == "ready"
        active = _active_name(status)
        if ready:
            status["activeServiceStatus"] = {"rayClusterName": name_of(wanted)}
            status["pendingServiceStatus"] = {}
            self._keep_services(service)
        elif name_of(wanted) != active:
            status["pendingServiceStatus"] = {"rayClusterName": name_of(wanted)}
        moving = not ready and bool(active) and name_of(wanted) != active
        status["numServeEndpoints"] = len(self._living(service)) if ready or active else 0
        status["serviceStatus"] = "Running" if ready or active else ""
        facts = {"Ready": bool(ready or active), "UpgradeInProgress": moving}
        if any(each["type"] == "Suspended" for each in status.get("conditions", [])):
            facts |= {"Suspending": False, "Suspended": False}
        self._state(status, facts)

    def _wanted_cluster(self, service: Object) -> Object:
        """Return the cluster of the current configuration, made or brought to its sizes."""
        spec = service["spec"]["rayClusterConfig"]
        digest = _digest(spec)
        for cluster in self._living(service):
            if (cluster["metadata"].get("annotations") or {}).get(_HASH) == digest:
                if cluster["spec"] != spec:
                    return self.client.update(CLUSTER.key, {**cluster, "spec": spec})
                return cluster
        made = _child_cluster(service, "RayService", spec)
        made["metadata"]["annotations"] = {_HASH: digest}
        return self.create(service, CLUSTER.key, made)

    def _living(self, service: Object) -> list[Object]:
        return [each for each in self.owned(service, CLUSTER.key) if not is_terminating(each)]

    def _keep_services(self, service: Object) -> None:
        there = {name_of(each) for each in self.owned(service, "services")}
        for name in (f"{name_of(service)}-head-svc", f"{name_of(service)}-serve-svc"):
            if name not in there:
                ports = [{"name": "serve", "port": 8000}]
                body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}
                self.create(service, "services", body)

    def _forget(self, service: Object, status: Mapping[str, Any]) -> datetime | None:
        """Delete clusters that no longer count, a while after the service left them."""
        kept = {_active_name(status), (status.get("pendingServiceStatus") or {}).get("rayClusterName")}
        left = [each for each in self._living(service) if name_of(each) not in kept]
        if not left:
            return None
        delay = timedelta(seconds=int(service["spec"].get("rayClusterDeletionDelaySeconds", 60)))
        moved = next(each for each in status["conditions"] if each["type"] == "UpgradeInProgress")
        due = from_timestamp(moved["lastTransitionTime"]) + delay
        if due > self.clock.now():
            return due
        for cluster in left:
            self.delete(service, CLUSTER.key, cluster)
        return None

    def _state(self, status: dict[str, Any], facts: Mapping[str, bool]) -> None:
        conditions = status.get("conditions", [])
        for kind, holds in facts.items():
            conditions = with_condition(conditions, kind, _truth(holds), self.clock.now(), kind)
        status["conditions"] = conditions


class RayCronJobOperator(Operator):
    """Makes a job whenever the schedule says."""

    owns = (JOB.key,)

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(CRON_JOB, "raycronjob-controller", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Make the job that is due; return when the next one is."""
        if obj["spec"].get("suspend"):
            return None
        following, status = cron.parse(obj["spec"]["schedule"]), obj.get("status", {})
        last = status.get("lastScheduleTime") or obj["metadata"]["creationTimestamp"]
        due, now = following(from_timestamp(last)), self.clock.now()
        if due > now:
            return due
        labels = {"ray.io/cronjob-name": name_of(obj)}
        metadata: dict[str, Any] = {"name": f"{name_of(obj)}-{int(now.timestamp()) // 60}", "labels": labels}
        metadata["annotations"] = _course(obj)
        body = {"apiVersion": JOB.api_version, "kind": JOB.kind, "metadata": metadata}
        self.create(obj, JOB.key, {**body, "spec": obj["spec"]["jobTemplate"]})
        self.report(obj, {"lastScheduleTime": to_timestamp(now)})
        return following(now)


def _head(cluster: Object, template: Object) -> Object:
    pod = pod_from_template(cluster, template, f"{name_of(cluster)[:_LONGEST_PREFIX]}-head-")
    if cluster["spec"].get("enableInTreeAutoscaling"):
        image = pod["spec"]["containers"][0].get("image", "")
        pod["spec"]["containers"] = [*pod["spec"]["containers"], {"name": "autoscaler", "image": image}]
    return _ray_pod(pod, cluster, "head", "headgroup")


def _worker(cluster: Object, group: Mapping[str, Any]) -> Object:
    name = group["groupName"]
    prefix = f"{name_of(cluster)}-{name}"[:_LONGEST_PREFIX]
    pod = pod_from_template(cluster, group["template"], f"{prefix}-worker-")
    spec = pod["spec"]
    waiting = {"name": "wait-gcs-ready", "image": spec["containers"][0].get("image", "")}
    spec["initContainers"] = [*spec.get("initContainers", []), waiting]
    return with_course(_ray_pod(pod, cluster, "worker", name), "wait-gcs-ready", run_seconds="1")


def _ray_pod(pod: Object, cluster: Object, node_type: str, group: str) -> Object:
    """Return a pod with its labels; users may overwrite all but those it is known by."""
    labels = pod["metadata"]["labels"]
    pod["metadata"]["labels"] = {
        "ray.io/is-ray-node": "yes",
        "ray.io/identifier": f"{name_of(cluster)}-{node_type}"[-_LONGEST_LABEL:],
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": _OPERATOR,
        **labels,
        "ray.io/cluster": name_of(cluster),
        "ray.io/node-type": node_type,
        "ray.io/group": group,
    }
    return lasting(pod)


def _head_service(cluster: Object) -> Object:
    labels = {"ray.io/cluster": name_of(cluster), "ray.io/node-type": "head"}
    ports = [{"name": "gcs", "port": 6379}, {"name": "dashboard", "port": 8265}, {"name": "client", "port": 10001}]
    metadata = {"name": f"{name_of(cluster)}-head-svc", "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}}


def _cluster_of(job: Object) -> Object:
    """Return a new cluster of a job, with the container that submits in its head if the mode wants it so."""
    cluster = _child_cluster(job, "RayJob", job["spec"]["rayClusterSpec"])
    cluster["metadata"]["labels"][_SUBMISSION_MODE] = _mode(job)
    if _mode(job) == "SidecarMode":
        head = cluster["spec"]["headGroupSpec"]
        template = _with_submitter(job, head["template"])
        cluster["spec"] = {**cluster["spec"], "headGroupSpec": {**head, "template": template}}
    return cluster


def _with_submitter(job: Object, template: Object) -> Object:
    metadata, spec = template.get("metadata") or {}, template["spec"]
    image = spec["containers"][0].get("image", "")
    course = {f"{key}.{_SUBMITTER}": value for key, value in _course(job).items()}
    annotations = {f"sim.run-seconds.{_SUBMITTER}": "3", **course, **(metadata.get("annotations") or {})}
    annotations[f"sim.run-seconds.{spec['containers'][0]['name']}"] = "forever"
    containers = [*spec["containers"], {"name": _SUBMITTER, "image": image}]
    return {
        "metadata": {**metadata, "annotations": annotations},
        "spec": {**spec, "containers": containers, "restartPolicy": "Never"},
    }


def _child_cluster(owner: Object, kind: str, spec: Object) -> Object:
    labels = {"ray.io/originated-from-cr-name": name_of(owner), "ray.io/originated-from-crd": kind}
    metadata = {"generateName": f"{name_of(owner)}-", "labels": labels}
    return {"apiVersion": CLUSTER.api_version, "kind": "RayCluster", "metadata": metadata, "spec": dict(spec)}


def _submitter(job: Object, failures: int) -> Object:
    """Return the Job that submits: its pods fare as the RayJob's annotations say."""
    own = {
        "ray.io/originated-from-cr-name": name_of(job),
        "ray.io/originated-from-crd": "RayJob",
        "app.kubernetes.io/created-by": _OPERATOR,
    }
    spec = job["spec"]
    image = ((spec.get("rayClusterSpec") or {}).get("headGroupSpec") or {}).get("template", {}).get("spec", {})
    image = (image.get("containers") or [{}])[0].get("image", "rayproject/ray")
    plain: Object = {"spec": {"containers": [{"name": _SUBMITTER, "image": image}], "restartPolicy": "Never"}}
    template: Object = spec.get("submitterPodTemplate") or plain
    metadata = template.get("metadata") or {}
    written = {
        "metadata": {
            "labels": {**own, **(metadata.get("labels") or {})},
            "annotations": {**_course(job), **(metadata.get("annotations") or {})},
        },
        "spec": {"restartPolicy": "Never", **template["spec"]},
    }
    limit = (spec.get("submitterConfig") or {}).get("backoffLimit", 2)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name_of(job), "labels": own},
        "spec": {"backoffLimit": limit, "template": noted_failures(written, failures) if failures else written},
    }


def _course(job: Object) -> dict[str, str]:
    annotations = job["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith("sim.")}


def _job_fault(spec: Mapping[str, Any]) -> str:
    """Return why the operator does not take a job, or nothing."""
    if spec.get("suspend") and not spec.get("shutdownAfterJobFinishes"):
        return "a RayJob with shutdownAfterJobFinishes set to false is not allowed to be suspended"
    if spec.get("suspend") and spec.get("clusterSelector"):
        return "the ClusterSelector mode doesn't support the suspend operation"
    if not spec.get("rayClusterSpec") and not spec.get("clusterSelector"):
        return "one of RayClusterSpec or ClusterSelector must be set"
    return ""


def _mode(job: Object) -> str:
    return str(job["spec"].get("submissionMode") or "K8sJobMode")


def _is_submitting(cluster: Object) -> bool:
    return _label(cluster, _SUBMISSION_MODE) == "SidecarMode"


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


def _digest(spec: Object) -> str:
    """Return what tells one configuration from another; sizes of groups are not part of it."""
    groups = [
        {name: value for name, value in group.items() if name not in _SIZES}
        for group in spec.get("workerGroupSpecs") or ()
    ]
    told = orjson.dumps({**spec, "workerGroupSpecs": groups}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(told).hexdigest()[:32]


def _active_name(status: Mapping[str, Any]) -> str:
    return str((status.get("activeServiceStatus") or {}).get("rayClusterName") or "")


def _label(obj: Object, name: str) -> str:
    return str((obj["metadata"].get("labels") or {}).get(name, ""))


def _truth(holds: bool) -> str:
    return "True" if holds else "False"


SYSTEM = System(
    kinds=(CLUSTER, JOB, SERVICE, CRON_JOB),
    operators=(RayClusterOperator, RayJobOperator, RayServiceOperator, RayCronJobOperator),
)
