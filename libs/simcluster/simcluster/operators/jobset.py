"""The JobSet operator: Jobs in groups that start, succeed, fail and start anew together.

Each replicated job becomes Jobs `<set>-<name>-<index>`, all of them at once, in order (`startupPolicy`), or each when
what it `dependsOn` is ready or complete. A Job that fails ends the set or, as `failurePolicy` allows, makes it start
anew: every Job is deleted and made again under the same name with the next `restart-attempt`.

Not here: exclusive placement, coordinators, elastic sizes, in-place restarts.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from simcluster.client import Client
from simcluster.clock import Clock, from_timestamp
from simcluster.kube_events import EventRecorder
from simcluster.kubelet import FAILED_BEFORE
from simcluster.operators.kinds import CustomKind
from simcluster.operators.operator import Operator
from simcluster.operators.system import System
from simcluster.pods import condition_of, is_terminating, is_true, name_of, namespace_of, uid_of, with_condition
from simcluster.resources import Object

JOB_SET = CustomKind("jobset.x-k8s.io", "JobSet", "jobsets", versions=("v1alpha2",))
JOBS = "jobs.batch"
ITSELF = "jobset.sigs.k8s.io/jobset-controller"
_LABELS = "jobset.sigs.k8s.io"
_ENDS = ("Completed", "Failed")

_Template = Mapping[str, Any]
_Counts = dict[str, Any]


class JobSetOperator(Operator):
    """Looks after JobSets."""

    owns = (JOBS, "services")

    def __init__(self, client: Client, clock: Clock, events: EventRecorder) -> None:
        super().__init__(JOB_SET, "jobset", client, clock, events)

    def act(self, obj: Object) -> datetime | None:
        """Bring a JobSet a step further, or clean up after it."""
        if obj["spec"].get("managedBy", ITSELF) != ITSELF:
            return None
        end = next((condition_of(obj, kind) for kind in _ENDS if is_true(obj, kind)), None)
        if end is not None:
            self._delete_jobs(obj, (job for job in self.owned(obj, JOBS) if not _has_ended(job)))
            ended = from_timestamp(end["lastTransitionTime"])
            return self.expire(obj, ended, obj["spec"].get("ttlSecondsAfterFinished"))
        self._create_service(obj)
        self._run(obj)
        return None

    def _run(self, job_set: Object) -> None:
        jobs, previous = self._jobs(job_set)
        self._delete_jobs(job_set, previous)
        if failed := [job for job in jobs if is_true(job, "Failed")]:
            self._handle_failure(job_set, failed)
        elif _has_succeeded(job_set, jobs):
            self._end(job_set, "Completed", "AllJobsCompleted", "jobset completed successfully")
        else:
            self._start_jobs(job_set, jobs, previous)

    def _jobs(self, job_set: Object) -> tuple[list[Object], list[Object]]:
        """Return the Jobs of this attempt and those of attempts before."""
        attempt = _restarts(job_set)
        jobs = self.owned(job_set, JOBS)
        return [job for job in jobs if _attempt_of(job) == attempt], [job for job in jobs if _attempt_of(job) < attempt]

    def _start_jobs(self, job_set: Object, jobs: Sequence[Object], previous: Sequence[Object]) -> None:
        suspended = bool(job_set["spec"].get("suspend"))
        taken = {name_of(job) for job in (*jobs, *previous)}
        for template in job_set["spec"]["replicatedJobs"]:
            if not _may_start(job_set, template, jobs):
                break
            if all(_is_reached(job_set, each, jobs) for each in template.get("dependsOn") or ()):
                self._suspend_or_resume((job for job in jobs if _template_of(job) == template["name"]), suspended)
                self._create_missing(job_set, template, taken, suspended)
        self._report(job_set, suspended)

    def _suspend_or_resume(self, jobs: Iterable[Object], suspended: bool) -> None:
        for job in jobs:
            if bool(job["spec"].get("suspend")) != suspended and not is_terminating(job):
                self.client.update(JOBS, {**job, "spec": {**job["spec"], "suspend": suspended}})

    def _create_missing(self, job_set: Object, template: _Template, taken: set[str], suspended: bool) -> None:
        for index in range(template.get("replicas", 1)):
            if _job_name(job_set, template, index) not in taken:
                self.create(job_set, JOBS, _job(job_set, template, index, suspended))

    def _handle_failure(self, job_set: Object, failed: Sequence[Object]) -> None:
        policy = job_set["spec"].get("failurePolicy") or {}
        action = _action_on(failed[0], policy) if policy else "FailJobSet"
        counted = (job_set.get("status") or {}).get("restartsCountTowardsMax", 0)
        message = f"jobset failed due to one or more job failures (first failed job: {name_of(failed[0])})"
        if action == "FailJobSet":
            self._end(job_set, "Failed", "FailedJobs", message)
        elif action == "RestartJobSet" and counted >= policy.get("maxRestarts", 0):
            self._end(job_set, "Failed", "ReachedMaxRestarts", message)
        else:
            self._restart(job_set, counted + (1 if action == "RestartJobSet" else 0))

    def _restart(self, job_set: Object, counted: int) -> None:
        """Begin the next attempt; the Jobs of this one are of an attempt before from now on."""
        attempt = _restarts(job_set) + 1
        status = job_set.get("status") or {}
        self.report(job_set, {**status, "restarts": attempt, "restartsCountTowardsMax": counted})
        self.tell(job_set, "Warning", "RestartingJobSet", f"restarting jobset, attempt {attempt}")

    def _delete_jobs(self, job_set: Object, jobs: Iterable[Object]) -> None:
        for job in jobs:
            # In the foreground: a Job of the same name comes only after its last pod is gone.
            self.delete(job_set, JOBS, job, propagation="Foreground")

    def _create_service(self, job_set: Object) -> None:
        network = job_set["spec"].get("network") or {}
        name = network.get("subdomain") or name_of(job_set)
        if network.get("enableDNSHostnames") is False:
            return
        if self.client.get("services", namespace_of(job_set), name) is None:
            spec = {"clusterIP": "None", "selector": {f"{_LABELS}/jobset-name": name_of(job_set)}}
            self.create(
                job_set, "services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
            )

    def _end(self, job_set: Object, kind: str, reason: str, message: str) -> None:
        status = self._counted(job_set)
        status["conditions"] = with_condition(
            status.get("conditions") or [], kind, "True", self.clock.now(), reason, message
        )
        status["terminalState"] = kind
        self.report(job_set, status)
        self.tell(job_set, "Normal" if kind == "Completed" else "Warning", reason, message)

    def _report(self, job_set: Object, suspended: bool) -> None:
        status = self._counted(job_set)
        conditions, now = status.get("conditions") or [], self.clock.now()
        was_suspended = is_true(job_set, "Suspended")
        if suspended:
            conditions = with_condition(conditions, "Suspended", "True", now, "SuspendedJobs", "jobset is suspended")
        elif was_suspended:
            conditions = with_condition(conditions, "Suspended", "False", now, "ResumeJobs", "jobset is resumed")
        if _in_order(job_set) and not suspended:
            conditions = self._with_startup(conditions, job_set)
        self.report(job_set, {**status, "conditions": conditions} if conditions else status)

    def _with_startup(self, conditions: list[dict[str, Any]], job_set: Object) -> list[dict[str, Any]]:
        jobs, _ = self._jobs(job_set)
        templates = job_set["spec"]["replicatedJobs"]
        started = all(_has_started(template, _count(template, jobs)) for template in templates)
        states = {"StartupPolicyInProgress": not started, "StartupPolicyCompleted": started}
        for kind, holds in states.items():
            if holds or any(each["type"] == kind for each in conditions):
                message = "all replicated jobs have started" if started else "replicated jobs start in order"
                conditions = with_condition(conditions, kind, str(holds), self.clock.now(), kind, message)
        return conditions

    def _counted(self, job_set: Object) -> _Counts:
        """Return the status with the Jobs of this attempt counted anew."""
        jobs, _ = self._jobs(job_set)
        templates = job_set["spec"]["replicatedJobs"]
        counts = [_count(template, jobs) for template in templates]
        return {"restarts": 0, **(job_set.get("status") or {}), "replicatedJobsStatus": counts}


def _restarts(job_set: Object) -> int:
    return int((job_set.get("status") or {}).get("restarts", 0))


def _in_order(job_set: Object) -> bool:
    order = (job_set["spec"].get("startupPolicy") or {}).get("startupPolicyOrder", "AnyOrder")
    return bool(order == "InOrder")


def _may_start(job_set: Object, template: _Template, jobs: Sequence[Object]) -> bool:
    """Say whether all that come before this one in the set have started, if the set starts in order."""
    if not _in_order(job_set) or job_set["spec"].get("suspend"):
        return True
    names = [each["name"] for each in job_set["spec"]["replicatedJobs"]]
    before = job_set["spec"]["replicatedJobs"][: names.index(template["name"])]
    return all(_has_started(each, _count(each, jobs)) for each in before)


def _is_reached(job_set: Object, dependency: Mapping[str, Any], jobs: Sequence[Object]) -> bool:
    """Say whether what a replicated job depends on is as far as it must be."""
    template = next(each for each in job_set["spec"]["replicatedJobs"] if each["name"] == dependency["name"])
    counts = _count(template, jobs)
    reached = counts["succeeded"] + (counts["ready"] if dependency["status"] == "Ready" else 0)
    return bool(reached >= template.get("replicas", 1))


def _has_started(template: _Template, counts: _Counts) -> bool:
    return bool(counts["ready"] + counts["succeeded"] + counts["failed"] >= template.get("replicas", 1))


def _count(template: _Template, jobs: Sequence[Object]) -> _Counts:
    own = [job for job in jobs if _template_of(job) == template["name"]]
    running = [job for job in own if not _has_ended(job)]
    return {
        "name": template["name"],
        "ready": sum(1 for job in running if _is_ready(job)),
        "succeeded": sum(1 for job in own if is_true(job, "Complete")),
        "failed": sum(1 for job in own if is_true(job, "Failed")),
        "active": sum(1 for job in running if (job.get("status") or {}).get("active")),
        "suspended": sum(1 for job in running if job["spec"].get("suspend")),
    }


def _is_ready(job: Object) -> bool:
    status = job.get("status") or {}
    pods = min(job["spec"].get("parallelism", 1), job["spec"].get("completions", 1))
    return bool(pods and status.get("ready", 0) + status.get("succeeded", 0) >= pods)


def _has_ended(job: Object) -> bool:
    return is_true(job, "Complete") or is_true(job, "Failed")


def _has_succeeded(job_set: Object, jobs: Sequence[Object]) -> bool:
    policy = job_set["spec"].get("successPolicy") or {}
    targets = policy.get("targetReplicatedJobs") or [each["name"] for each in job_set["spec"]["replicatedJobs"]]
    wanted = [each for each in job_set["spec"]["replicatedJobs"] if each["name"] in targets]
    counts = [(each.get("replicas", 1), _count(each, jobs)["succeeded"]) for each in wanted]
    if policy.get("operator", "All") == "Any":
        return any(succeeded for _, succeeded in counts)
    return all(succeeded >= replicas for replicas, succeeded in counts)


def _action_on(failed: Object, policy: Mapping[str, Any]) -> str:
    """Return what the failure policy's first rule that fits a failed Job says."""
    reason = (condition_of(failed, "Failed") or {}).get("reason", "")
    for rule in policy.get("rules") or ():
        targets, reasons = rule.get("targetReplicatedJobs"), rule.get("onJobFailureReasons")
        if (not targets or _template_of(failed) in targets) and (not reasons or reason in reasons):
            return str(rule["action"])
    return "RestartJobSet"


def _template_of(job: Object) -> str:
    return str(job["metadata"]["labels"].get(f"{_LABELS}/replicatedjob-name", ""))


def _attempt_of(job: Object) -> int:
    return int(job["metadata"]["labels"].get(f"{_LABELS}/restart-attempt", 0))


def _job_name(job_set: Object, template: _Template, index: int) -> str:
    return f"{name_of(job_set)}-{template['name']}-{index}"


def _job(job_set: Object, template: _Template, index: int, suspended: bool) -> Object:
    marks = _marks(job_set, template, index)
    written, spec = template["template"].get("metadata") or {}, template["template"]["spec"]
    pod_metadata = spec["template"].get("metadata") or {}
    notes = {FAILED_BEFORE: str(_restarts(job_set))} if _restarts(job_set) else {}
    pod = {
        "metadata": {
            "labels": {**(pod_metadata.get("labels") or {}), **marks},
            "annotations": {**(pod_metadata.get("annotations") or {}), **marks, **notes},
        },
        "spec": {
            "restartPolicy": "OnFailure",
            "subdomain": (job_set["spec"].get("network") or {}).get("subdomain") or name_of(job_set),
            **spec["template"]["spec"],
        },
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": _job_name(job_set, template, index),
            "labels": {**(written.get("labels") or {}), **marks},
            "annotations": {**(written.get("annotations") or {}), **marks},
        },
        "spec": {"completionMode": "Indexed", "completions": spec.get("parallelism", 1), **spec}
        | {"suspend": suspended, "template": pod},
    }


def _marks(job_set: Object, template: _Template, index: int) -> dict[str, str]:
    """Return what stands as labels and as annotations on a Job and on its pods."""
    templates = job_set["spec"]["replicatedJobs"]
    name = _job_name(job_set, template, index)
    before = templates[: [each["name"] for each in templates].index(template["name"])]
    group = template.get("groupName", "default")
    members = [each for each in templates if each.get("groupName", "default") == group]
    earlier = [each for each in before if each.get("groupName", "default") == group]
    values = {
        "jobset-name": name_of(job_set),
        "jobset-uid": uid_of(job_set),
        "replicatedjob-name": template["name"],
        "replicatedjob-replicas": template.get("replicas", 1),
        "restart-attempt": _restarts(job_set),
        "job-index": index,
        "job-key": hashlib.sha1(f"{namespace_of(job_set)}/{name}".encode(), usedforsecurity=False).hexdigest(),
        "global-replicas": _total(templates),
        "job-global-index": _total(before) + index,
        "group-name": group,
        "group-replicas": _total(members),
        "job-group-index": _total(earlier) + index,
    }
    return {f"{_LABELS}/{key}": str(value) for key, value in values.items()}


def _total(templates: Sequence[_Template]) -> int:
    return sum(each.get("replicas", 1) for each in templates)


SYSTEM = System(kinds=(JOB_SET,), operators=(JobSetOperator,))
