"""What is said of a transition, and of a workload that waits: one sentence with names and numbers, for people.

Sentences of transitions are recorded and can be derived again, so they are made from the fold alone; those of the
phases' table number 1 are these. `message_of` is for the moment and is in no record.
"""

from muster_contracts.phases import TERMINAL_PHASES, Phase

from muster_status.core.pod import clean
from muster_status.core.situation import Situation
from muster_status.core.workload import Workload


def pods(number: int) -> str:
    """Return a number of pods in words: `1 pod`, `4 pods`."""
    return f"{number} pod{'' if number == 1 else 's'}"


def reason_of(  # noqa: PLR0911  # one case per phase
    workload: Workload, situation: Situation, previous: Phase | None, current: Phase
) -> str:
    """Return why a workload left one phase for another."""
    match current:
        case Phase.CREATING:
            return _origin(workload)
        case Phase.PENDING:
            return _pending(workload, situation, previous)
        case Phase.INITIALIZING:
            return _scheduled(workload)
        case Phase.RUNNING:
            return _ready(workload)
        case Phase.DEGRADED:
            return _degraded(workload, situation)
        case Phase.STOPPED:
            by = f"{workload.stop_asked_by} asked for it, and its" if workload.stop_asked_by else "It is suspended; its"
            return f"{by} last pod is gone." if workload.seen_pods else "It is suspended and has no pods."
        case Phase.DELETING:
            return _deleting(workload, situation)
        case Phase.FAILED:
            return _failed(workload)
        case Phase.COMPLETED:
            return _completed(workload)


def message_of(workload: Workload, phase: Phase | None) -> str:
    """Return what a workload is waiting for or troubled by at the moment; empty when there is nothing to say."""
    if workload.gone:
        return "" if workload.end_seen else "It vanished while nobody was watching; how it ended is not known."
    if phase in TERMINAL_PHASES:
        return ""
    if phase is Phase.DELETING:
        return f"{pods(workload.counts.present)} still there." if workload.counts.present else ""
    if workload.suspended or workload.stop_asked_by:
        return _on_the_way_to_rest(workload, phase)
    if phase is Phase.STOPPED and workload.resume_asked_by:
        return f"It is starting again, as {workload.resume_asked_by} asked."
    said = _said(workload) if workload.says_ready is not None else ""
    return _trouble(workload) or _attempt(workload) or _blocked(workload) or said


def _origin(workload: Workload) -> str:
    if workload.submitted:
        return f"{workload.submitted_by or 'Somebody'} submitted it to project {workload.project}."
    return f"{workload.kind} {workload.name} was found in namespace {workload.namespace}."


def _pending(workload: Workload, situation: Situation, previous: Phase | None) -> str:
    if previous in {Phase.INITIALIZING, Phase.RUNNING, Phase.DEGRADED}:
        if workload.preemption:
            return workload.preemption
        if situation is Situation.QUEUED and (failure := _failure_of_attempt(workload)):
            return f"{failure} Attempt {workload.counts.failed + 1} waits to be scheduled."
    if situation is Situation.SHORT:
        return _scheduled(workload)
    if situation is Situation.BROKEN:
        return "It has no pod."
    waiting = workload.counts.live
    if situation is Situation.QUEUED and waiting:
        return f"{pods(waiting)} {'waits' if waiting == 1 else 'wait'} to be scheduled."
    return f"Its pod group is formed; it needs {pods(workload.required)}."


def _scheduled(workload: Workload) -> str:
    counts, succeeded = workload.counts, workload.succeeded
    done = f", {succeeded} succeeded" if succeeded else ""
    if workload.desired > workload.required:
        return f"{counts.scheduled} of {pods(workload.desired)} scheduled{done}; {workload.required} are enough."
    return f"{counts.scheduled} of {pods(max(workload.required, counts.live))} scheduled{done}."


def _ready(workload: Workload) -> str:
    counts, succeeded = workload.counts, workload.succeeded
    if workload.says_ready and not counts.live:
        return _said(workload) or f"{workload.kind} {workload.name} says that it runs; it has no pod at the moment."
    done = f", {succeeded} succeeded" if succeeded else ""
    if workload.desired > workload.required:
        return f"{counts.ready} of {pods(workload.desired)} ready{done}; {workload.required} are enough."
    return f"{counts.ready} of {pods(max(workload.required, counts.live))} ready{done}."


def _degraded(workload: Workload, situation: Situation) -> str:
    if situation is Situation.SHORT:
        why = workload.preemption or workload.last_failure
        return f"{_scheduled(workload)}{f' {why}' if why else ''}"
    trouble = _said(workload) if workload.says_ready is False else ""
    trouble = trouble or _trouble(workload)
    return f"{_ready(workload)}{f' {trouble}' if trouble else ''}"


def _said(workload: Workload) -> str:
    """Return the sentence with which its object explains how it fares."""
    return clean(workload.owner.reason) if workload.owner else ""


def _deleting(workload: Workload, situation: Situation) -> str:
    if situation is Situation.DELETE_ASKED:
        return f"{workload.delete_asked_by} asked to delete it."
    return f"{workload.kind or 'Object'} {workload.name} was deleted in Kubernetes."


def _failed(workload: Workload) -> str:
    if workload.refusal:
        return f"Kubernetes refused its objects: {workload.refusal}"
    said = workload.failure or (workload.owner.reason if workload.owner else "")
    whole = " ".join(filter(None, (clean(said), workload.preemption or workload.last_failure or _trouble(workload))))
    return whole or f"{workload.kind or 'Object'} {workload.name} failed."


def _completed(workload: Workload) -> str:
    if workload.completion:
        return workload.completion
    succeeded = workload.counts.succeeded
    if not succeeded:
        return f"{workload.kind} {workload.name} succeeded."
    failed = workload.counts.failed
    replaced = f", {failed} failed and were replaced" if failed else ""
    return f"{pods(succeeded)} succeeded{replaced}{_after_preemption(workload)}"


def _after_preemption(workload: Workload) -> str:
    """Tell of pods that were told to go and exited with 0: Kubernetes counts them as done, whatever they did."""
    yielded = workload.yielded
    if not yielded:
        return "."
    which = "after it was preempted" if workload.counts.succeeded == 1 else f"{len(yielded)} of them after preemption"
    return f", {which}, so the work may not be done: {min(yielded.values())}"


def _on_the_way_to_rest(workload: Workload, phase: Phase | None) -> str:
    if phase is Phase.STOPPED and workload.resume_asked_by:
        return f"It is starting again, as {workload.resume_asked_by} asked."
    if phase is Phase.STOPPED and not workload.counts.present:
        return ""
    left = f"; {pods(workload.counts.present)} still there" if workload.counts.present else ""
    return f"It is stopping{f', as {workload.stop_asked_by} asked' if workload.stop_asked_by else ''}{left}."


def _trouble(workload: Workload) -> str:
    troubled = sorted(pod.trouble for pod in workload.pods.values() if pod.trouble and not pod.finished)
    if not troubled:
        return ""
    return troubled[0] if len(troubled) == 1 else f"{troubled[0]} {len(troubled) - 1} more like it."


def _attempt(workload: Workload) -> str:
    counts, failure = workload.counts, _failure_of_attempt(workload)
    if not failure or counts.ready:
        return ""
    return f"{failure} {'It is tried again.' if workload.serving else f'Attempt {counts.failed + 1}.'}"


def _failure_of_attempt(workload: Workload) -> str:
    """Return why its last attempt failed; nothing where the owner tells of tries, for pods are none of its attempts."""
    return "" if workload.tries_are_told else workload.last_failure


def _blocked(workload: Workload) -> str:
    return next(iter(workload.blocked.values()), "")
