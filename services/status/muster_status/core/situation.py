"""How a workload stands, in one word. The phase table says what each word means in each phase.

The words are tried in the order of the enumeration: whatever ends a workload comes before what its pods do, and a pod
is only looked at when nobody has asked for its end.

What the object says of its own health is heard where pods cannot tell: that it is well while it has no living pod
(scaled to zero, between two steps) or serves; that something is wrong once its pods have started, or while it has none
that could tell. Pods that wait to be scheduled are heard before it.
"""

from enum import StrEnum

from muster_contracts.values import Outcome

from muster_status.core.workload import Workload


class Situation(StrEnum):
    """What the facts come to. Each is described as `docs/lifecycle.md` prints it."""

    DELETED = "deleted"
    VANISHED = "vanished"
    DELETE_ASKED = "delete asked"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    OWNER_DELETING = "owner deleting"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    BROKEN = "broken"
    UNGROUPED = "ungrouped"
    IDLE = "idle"
    QUEUED = "queued"
    SHORT = "short"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    NEXT_WAVE = "next wave"
    STARTING = "starting"


MEANINGS: dict[Situation, str] = {
    Situation.DELETED: "its last object is gone, and its end was seen",
    Situation.VANISHED: "its last object is gone, and nobody saw how",
    Situation.DELETE_ASKED: "somebody, or a limit, asked that it be deleted",
    Situation.FAILED: "its object says so, Kubernetes refused it, a limit failed it, or it was preempted for good",
    Situation.SUCCEEDED: "its object says so, or a limit completed it",
    Situation.OWNER_DELETING: "somebody else deletes its object",
    Situation.SUSPENDED: "it is told to have no pods, and has none",
    Situation.STOPPING: "it is told to have no pods, or somebody asked for it, and the last one is not gone yet",
    Situation.BROKEN: "its object says that something is wrong, and no pod of it lives",
    Situation.UNGROUPED: "it has no pod group yet",
    Situation.IDLE: "it had pods and has none that lives: between the end of the last and what comes of it",
    Situation.QUEUED: "none of its pods is scheduled",
    Situation.SHORT: "some of its pods are scheduled, but fewer than it needs",
    Situation.READY: "as many pods as it needs are ready, or have succeeded, or its object says so without them",
    Situation.UNHEALTHY: "every pod it needs has started, but some crashed for now, or its object says so",
    Situation.NEXT_WAVE: "as many pods as run at once have succeeded, and the next are starting",
    Situation.STARTING: "enough pods are scheduled, and not enough of them are ready",
}


def situation_of(workload: Workload) -> Situation:
    """Return the one situation of a workload."""
    return _by_end(workload) or _by_rest(workload) or _by_pods(workload)


def _by_end(workload: Workload) -> Situation | None:
    owner_deleting = workload.owner is not None and workload.owner.deleting
    if workload.gone:
        return Situation.DELETED if workload.end_seen else Situation.VANISHED
    if workload.delete_asked_by:
        return Situation.DELETE_ASKED
    if workload.refusal or workload.failure or workload.outcome is Outcome.FAILED:
        return Situation.FAILED
    if workload.completion or (workload.outcome is Outcome.SUCCEEDED and not workload.serving):
        return Situation.SUCCEEDED
    return Situation.OWNER_DELETING if owner_deleting else None


def _by_rest(workload: Workload) -> Situation | None:
    if workload.suspended and not workload.counts.present:
        return Situation.SUSPENDED
    return Situation.STOPPING if workload.suspended or workload.stop_asked_by else None


def _by_pods(workload: Workload) -> Situation:  # noqa: PLR0911  # one way out per situation
    counts, required, succeeded = workload.counts, workload.required, workload.succeeded
    if workload.says_ready is True and (workload.serving or not counts.live):
        return Situation.READY
    if workload.says_ready is False and not counts.live:
        return Situation.BROKEN
    if not workload.grouped and not workload.seen_pods:
        return Situation.UNGROUPED
    if not counts.live and workload.seen_pods:
        return Situation.SHORT if workload.serving else Situation.IDLE  # a service without pods serves nobody
    if not counts.scheduled:
        return Situation.QUEUED
    if not workload.has_enough_scheduled:
        return Situation.SHORT
    if workload.says_ready is False and counts.started:
        return Situation.UNHEALTHY
    if counts.ready and counts.ready + succeeded >= required:
        return Situation.READY
    if counts.unhealthy and counts.started + succeeded >= required:
        return Situation.UNHEALTHY
    return Situation.NEXT_WAVE if succeeded >= required else Situation.STARTING
