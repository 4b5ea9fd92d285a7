"""What is to be done about a Job: a plain function from the Job, its pods and the hour to a `Decision`.

As the Job controller of Kubernetes 1.3x decides. Pods carry the finalizer `batch.kubernetes.io/job-tracking` until
they are counted, so `succeeded` and `failed` stay right even if pods are deleted at once. A Job first gets
`SuccessCriteriaMet` or `FailureTarget`; `Complete` or `Failed` follows when its last pod has ended. Not here:
`backoffLimitPerIndex`, `successPolicy` and the pod failure action `FailIndex`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from simcluster.clock import from_timestamp, to_timestamp
from simcluster.pods import (
    condition_of,
    is_active,
    is_finished,
    is_ready,
    is_terminating,
    is_true,
    name_of,
    namespace_of,
    phase_of,
    with_condition,
)
from simcluster.resources import Object

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FIRST_DELAY_SECONDS = 10
LONGEST_DELAY_SECONDS = 600
MOST_CREATED_AT_ONCE = 500


@dataclass(frozen=True)
class Setbacks:
    """Failures in a row, which delay the next pod."""

    count: int = 0
    last: datetime | None = None

    def over_at(self) -> datetime | None:
        """Return when the delay is over; None without one."""
        if not self.count or self.last is None:
            return None
        return self.last + timedelta(
            seconds=min(FIRST_DELAY_SECONDS * 2 ** min(self.count - 1, 10), LONGEST_DELAY_SECONDS)
        )


@dataclass(frozen=True)
class Told:
    """An Event about the Job."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """The new status and what to do after it is written."""

    status: Object
    setbacks: Setbacks
    release: Sequence[Object] = ()  # counted: their finalizer goes
    delete: Sequence[Object] = ()
    create: Sequence[int | None] = ()  # one entry a pod: its index, or None
    told: Sequence[Told] = ()
    again: datetime | None = None


@dataclass
class _Count:
    """The pods of a Job, counted."""

    succeeded: int
    failed: int
    completed: set[int]
    setbacks: Setbacks
    release: list[Object] = field(default_factory=list)
    failure: tuple[str, str] | None = None  # a `FailJob` rule that applied


def decide(job: Object, pods: Sequence[Object], now: datetime, setbacks: Setbacks) -> Decision:
    """Decide about a Job that is not finished yet."""
    count = _count(job, pods, now, setbacks)
    active = [pod for pod in pods if is_active(pod)]
    terminating = [pod for pod in pods if is_terminating(pod) and not is_finished(pod)]
    status = _status(job, count, active, terminating)
    target = _target(job, count, active, pods, now)
    if target is not None:
        return _finish(status, count, target, active, terminating, now)
    if job["spec"].get("suspend"):
        return _suspend(status, count, active, now)
    told = _resume(status, now)
    again = _deadline(job, status)
    decision = Decision(status, count.setbacks, count.release, told=told, again=again)
    return decision if is_terminating(job) else _manage(job, decision, count, active, terminating, now)


def is_over(job: Object) -> bool:
    """Say whether a Job is `Complete` or `Failed`."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def is_tracked(pod: Object) -> bool:
    """Say whether a pod has not been counted yet."""
    return TRACKING in pod["metadata"].get("finalizers", ())


def index_of(pod: Object) -> int | None:
    """Return a pod's completion index."""
    text = (pod["metadata"].get("annotations") or {}).get(INDEX)
    return int(text) if text is not None and text.isdecimal() else None


def _is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def _waits_for_end(job: Object) -> bool:
    return bool(job["spec"].get("podReplacementPolicy") == "Failed" or job["spec"].get("podFailurePolicy"))


def _count(job: Object, pods: Sequence[Object], now: datetime, setbacks: Setbacks) -> _Count:
    before = job.get("status", {})
    completed = read_indexes(before.get("completedIndexes", ""))
    count = _Count(before.get("succeeded", 0), before.get("failed", 0), completed, setbacks)
    for pod in sorted(filter(is_tracked, pods), key=lambda pod: (_ended_at(pod, now), name_of(pod))):
        if phase_of(pod) == "Succeeded":
            _count_success(job, pod, count)
        elif phase_of(pod) == "Failed":
            _count_failure(job, pod, count, now)
        elif is_terminating(pod) and not _waits_for_end(job):
            _add_failure(pod, count, now)
    return count


def _count_success(job: Object, pod: Object, count: _Count) -> None:
    count.release.append(pod)
    count.setbacks = Setbacks()
    index = index_of(pod)
    if not _is_indexed(job):
        count.succeeded += 1
    elif index is not None and index < job["spec"]["completions"]:
        count.completed.add(index)
        count.succeeded = len(count.completed)


def _count_failure(job: Object, pod: Object, count: _Count, now: datetime) -> None:
    action, why = _rule_for(job, pod)
    if action == "Ignore":
        count.release.append(pod)
        return
    if action == "FailJob":
        count.failure = ("PodFailurePolicy", why)
    _add_failure(pod, count, now)


def _add_failure(pod: Object, count: _Count, now: datetime) -> None:
    count.release.append(pod)
    count.failed += 1
    count.setbacks = Setbacks(count.setbacks.count + 1, _ended_at(pod, now))


def _ended_at(pod: Object, now: datetime) -> datetime:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    ended = [each["state"]["terminated"].get("finishedAt") for each in statuses if "terminated" in each["state"]]
    return max((from_timestamp(text) for text in ended if text), default=now)


def _rule_for(job: Object, pod: Object) -> tuple[str, str]:
    """Return the action of the first pod failure rule that applies, `Count` when none does, and why."""
    rules: list[Object] = (job["spec"].get("podFailurePolicy") or {}).get("rules", [])
    for place, rule in enumerate(rules):
        cause = _cause(rule, pod)
        if cause:
            return rule["action"], f"{cause} matching {rule['action']} rule at index {place}"
    return "Count", ""


def _cause(rule: Mapping[str, Any], pod: Object) -> str:
    where = f"{namespace_of(pod)}/{name_of(pod)}"
    for pattern in rule.get("onPodConditions") or ():
        condition = condition_of(pod, pattern["type"])
        if condition is not None and condition["status"] == pattern.get("status", "True"):
            return f"Pod {where} has condition {pattern['type']}"
    codes: Mapping[str, Any] = rule.get("onExitCodes") or {}
    for shown in pod.get("status", {}).get("containerStatuses", []) if codes else ():
        code = shown["state"].get("terminated", {}).get("exitCode", 0)
        named = codes.get("containerName") in (None, shown["name"])
        if code and named and (code in codes["values"]) == (codes["operator"] == "In"):
            return f"Container {shown['name']} for pod {where} failed with exit code {code}"
    return ""


def _status(job: Object, count: _Count, active: Sequence[Object], terminating: Sequence[Object]) -> Object:
    status: Object = dict(job.get("status", {}))
    status |= {
        "active": len(active),
        "ready": sum(1 for pod in active if is_ready(pod)),
        "terminating": len(terminating),
        "succeeded": count.succeeded,
        "failed": count.failed,
        "uncountedTerminatedPods": {},
    }
    if _is_indexed(job):
        status["completedIndexes"] = write_indexes(count.completed)
    return status


def _target(
    job: Object, count: _Count, active: Sequence[Object], pods: Sequence[Object], now: datetime
) -> tuple[str, str, str] | None:
    """Return type, reason and message of the condition by which the Job is to end, if it is."""
    for kind in ("FailureTarget", "SuccessCriteriaMet"):
        condition = condition_of(job, kind)
        if condition is not None and condition["status"] == "True":
            return kind, condition.get("reason", ""), condition.get("message", "")
    failure = count.failure or _failure(job, count, pods, now)
    if failure is not None:
        return "FailureTarget", *failure
    if _has_succeeded(job, count, active):
        return "SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"
    return None


def _failure(job: Object, count: _Count, pods: Sequence[Object], now: datetime) -> tuple[str, str] | None:
    limit = job["spec"].get("backoffLimit", 6)
    if count.failed > limit or _restarted_too_often(job, pods, limit):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    deadline = None if job["spec"].get("suspend") else _deadline(job, job.get("status", {}))
    if deadline is not None and deadline <= now:
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    return None


def _restarted_too_often(job: Object, pods: Sequence[Object], limit: int) -> bool:
    """Say whether restarts inside the pods have used up the limit; for restartPolicy OnFailure alone."""
    if job["spec"]["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(
        shown.get("restartCount", 0)
        for pod in pods
        if phase_of(pod) in {"Running", "Pending"}
        for listed in ("containerStatuses", "initContainerStatuses")
        for shown in pod.get("status", {}).get(listed, [])
    )
    return bool(restarts > 0 if limit == 0 else restarts >= limit)


def _deadline(job: Object, status: Object) -> datetime | None:
    seconds, start = job["spec"].get("activeDeadlineSeconds"), status.get("startTime")
    return from_timestamp(start) + timedelta(seconds=seconds) if seconds is not None and start else None


def _has_succeeded(job: Object, count: _Count, active: Sequence[Object]) -> bool:
    completions = job["spec"].get("completions")
    if completions is None:
        return count.succeeded > 0 and not active
    return bool(count.succeeded >= completions)


def _finish(
    status: Object,
    count: _Count,
    target: tuple[str, str, str],
    active: Sequence[Object],
    terminating: Sequence[Object],
    now: datetime,
) -> Decision:
    kind, reason, message = target
    told: list[Told] = []
    conditions = with_condition(status.get("conditions", []), kind, "True", now, reason, message)
    status |= {"conditions": conditions, "active": 0, "ready": 0, "terminating": len(terminating) + len(active)}
    status.setdefault("startTime", to_timestamp(now))
    if not active and not terminating:
        final = "Failed" if kind == "FailureTarget" else "Complete"
        status["conditions"] = with_condition(conditions, final, "True", now, reason, message)
        if final == "Complete":
            status["completionTime"] = to_timestamp(now)
            told.append(Told("Normal", "Completed", "Job completed"))
        else:
            told.append(Told("Warning", reason, message))
    return Decision(status, count.setbacks, count.release, delete=active, told=told)


def _suspend(status: Object, count: _Count, active: Sequence[Object], now: datetime) -> Decision:
    told = []
    if not is_true({"status": status}, "Suspended"):
        told.append(Told("Normal", "Suspended", "Job suspended"))
    status["conditions"] = with_condition(
        status.get("conditions", []), "Suspended", "True", now, "JobSuspended", "Job suspended"
    )
    status |= {"active": 0, "ready": 0, "terminating": status["terminating"] + sum(1 for pod in active if _runs(pod))}
    # Pods that a suspension takes away did not fail: their finalizer goes before they do.
    return Decision(status, Setbacks(), [*count.release, *active], delete=active, told=told)


def _runs(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName"))


def _resume(status: Object, now: datetime) -> list[Told]:
    """Start the Job's time, anew after a suspension; return what to tell."""
    if is_true({"status": status}, "Suspended"):
        status["conditions"] = with_condition(
            status["conditions"], "Suspended", "False", now, "JobResumed", "Job resumed"
        )
        status["startTime"] = to_timestamp(now)
        return [Told("Normal", "Resumed", "Job resumed")]
    status.setdefault("startTime", to_timestamp(now))
    return []


def _manage(
    job: Object,
    decision: Decision,
    count: _Count,
    active: Sequence[Object],
    terminating: Sequence[Object],
    now: datetime,
) -> Decision:
    wanted = _wanted(job, count, active)
    if len(active) > wanted:
        surplus = sorted(active, key=_worth)[: len(active) - wanted]
        status = decision.status | {"active": wanted}
        return replace(decision, status=status, release=[*count.release, *surplus], delete=surplus)
    standing = [*active, *terminating] if _waits_for_end(job) else list(active)
    missing = min(wanted - len(standing), MOST_CREATED_AT_ONCE)
    if missing <= 0:
        return decision
    pause = count.setbacks.over_at()
    if pause is not None and pause > now:
        return replace(decision, again=min(filter(None, (pause, decision.again))))
    indexes = _free_indexes(job, count, standing, missing) if _is_indexed(job) else [None] * missing
    status = decision.status | {"active": len(active) + len(indexes)}
    return replace(decision, status=status, create=indexes)


def _wanted(job: Object, count: _Count, active: Sequence[Object]) -> int:
    parallelism, completions = job["spec"].get("parallelism", 1), job["spec"].get("completions")
    if completions is None:
        return len(active) if count.succeeded else int(parallelism)
    return max(0, min(int(completions) - count.succeeded, int(parallelism)))


def _worth(pod: Object) -> tuple[bool, bool, bool]:
    """Rank pods by how much is lost with them, the least first."""
    return _runs(pod), phase_of(pod) == "Running", is_ready(pod)


def _free_indexes(job: Object, count: _Count, standing: Iterable[Object], missing: int) -> list[int | None]:
    taken = count.completed | {index_of(pod) for pod in standing}
    free: list[int | None] = []
    for index in range(job["spec"]["completions"]):
        if len(free) == missing:
            break
        if index not in taken:
            free.append(index)
    return free


def read_indexes(text: str) -> set[int]:
    """Read `0-2,5`."""
    indexes: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        indexes.update(range(int(first), int(last or first) + 1))
    return indexes


def write_indexes(indexes: Iterable[int]) -> str:
    """Write indexes as Kubernetes does: `0-2,5`."""
    spans: list[list[int]] = []
    for index in sorted(indexes):
        if spans and spans[-1][1] == index - 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    return ",".join(_span(first, last) for first, last in spans)


def _span(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"
