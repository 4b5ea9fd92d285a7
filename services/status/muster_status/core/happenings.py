"""What the history of a workload says of an event, in one sentence; changes of phase bring their own."""

from typing import assert_never

from muster_contracts.events import (
    ActivateRequested,
    DeadlinePassed,
    DeleteRequested,
    GpuBusy,
    GpuIdle,
    LimitReached,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    PhaseChanged,
    PlacementReleased,
    PodGone,
    PodGroupChanged,
    PodGroupFormed,
    PodMoved,
    PodObserved,
    PodPreempted,
    PodScheduled,
    SessionClosed,
    SessionOpened,
    StopRequested,
    SubmissionRefused,
    WorkloadBlocked,
    WorkloadDiscovered,
    WorkloadEvent,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.values import Caller

from muster_status.core.sentences import pods
from muster_status.core.workload import why_blocked


def happening(event: WorkloadEvent) -> str | None:  # noqa: PLR0911, PLR0912  # one case per event
    """Return the sentence, None for what belongs to the facts of pods and owners and would only be noise."""
    match event:
        case WorkloadSubmitted():
            return f"{_who(event.submitted_by)} submitted it: {event.spec.kind} of {pods(event.spec.parallelism)}."
        case WorkloadDiscovered():
            return f"{event.kind} {event.name} is in namespace {event.namespace}."
        case ObjectsApplied():
            return "Its objects were applied."
        case StopRequested():
            return f"{_who(event.requested_by)} asked to stop it."
        case ActivateRequested():
            return f"{_who(event.requested_by)} asked to start it again."
        case DeleteRequested():
            return f"{_who(event.requested_by)} asked to delete it."
        case ObjectsRefused() | LimitReached() | PodPreempted() | PlacementReleased():
            return event.reason
        case WorkloadBlocked():
            return why_blocked(event)
        case PodScheduled():
            nodes = sorted({pod.node for pod in event.pods})
            return f"{pods(len(event.pods))} bound to {', '.join(nodes[:3])}{' and others' if len(nodes) > 3 else ''}."
        case SessionOpened():
            return f"{_who(event.opened_by)} entered {event.container} of {event.pod} ({event.purpose})."
        case SessionClosed():
            return event.reason or "A session ended."
        case GpuIdle():
            return f"{event.devices} GPUs are idle since {event.idle_since:%Y-%m-%d %H:%M} UTC."
        case GpuBusy():
            return f"{event.devices} GPUs work again."
        case WorkloadGone():
            return event.reason or "Its last object is gone."
        case (
            PhaseChanged()
            | SubmissionRefused()
            | OwnerObserved()
            | PodGroupFormed()
            | PodGroupChanged()
            | PodObserved()
            | PodGone()
            | PodMoved()
            | DeadlinePassed()
        ):
            return None
        case _:
            assert_never(event)


def _who(caller: Caller) -> str:
    return f"{caller.name or 'Somebody'} ({caller.source})"
