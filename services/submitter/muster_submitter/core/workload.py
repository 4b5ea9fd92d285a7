"""One workload as commands need it: what was asked of it, what was done about it, and what was seen of it.

`ask` folds what we wrote ourselves, `see` what integrations saw; `state` hands every event to the workload that it is
about. What is asked for and not yet seen done are the deeds (`muster_submitter.deeds`).

Pitfalls. A stop or an activation counts as done when the owner is *seen to change*, not when it happens to look right:
between two requests in quick succession the owner still looks as it did before the first. Only at first sight looking
right is enough, for it was made so. Once done it is forgotten, so that whoever suspends or resumes the object with
`kubectl` later is not fought. A workload that is gone keeps only what idempotency needs.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from muster_contracts.events import (
    ActivateRequested,
    DeleteRequested,
    LimitReached,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    PodGone,
    PodMoved,
    PodObserved,
    SessionClosed,
    SessionOpened,
    StopRequested,
    WorkloadDiscovered,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.values import ContainerState, Controls, Outcome, OwnerFacts, PodFacts, PodPhase, Supports
from muster_contracts.wire import Recorded

IMAGE_PULL_FAILURES = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
"""The reasons a kubelet gives for a container whose image it cannot get."""

ENDED = frozenset({PodPhase.SUCCEEDED, PodPhase.FAILED})
"""The phases in which a pod lives no more."""

Asked = (
    WorkloadSubmitted
    | ObjectsApplied
    | ObjectsRefused
    | StopRequested
    | ActivateRequested
    | DeleteRequested
    | LimitReached
    | SessionOpened
    | SessionClosed
)
"""What we wrote on a workload's subject ourselves; `SubmissionRefused` stands apart, for it makes no workload."""

Seen = WorkloadDiscovered | OwnerObserved | PodObserved | PodGone | PodMoved | WorkloadGone
"""What integrations say of a workload."""


class Wish(StrEnum):
    """What was last asked of a workload."""

    STOP = "stop"
    ACTIVATE = "activate"


@dataclass(slots=True)
class Submission:
    """An accepted submission. `event` is forgotten when the workload is gone; digest and position never."""

    event: WorkloadSubmitted | None
    digest: str
    position: int


@dataclass(slots=True)
class Sighting:
    """The workload as integrations saw it last; `position` is that of the newest controls."""

    kind: str
    controls: Controls
    supports: Supports
    owner: OwnerFacts
    position: int


@dataclass(slots=True)
class Workload:
    """One workload: what was asked, what was done about it, what was seen of it.

    `version` is the position of our own last event on its subject, 0 when there is none. The pods that live, and since
    when none does, are kept only where no object tells of the end (`quiet_outcome`).
    """

    id: UUID
    name: str = ""
    project: str = ""
    namespace: str = ""
    version: int = 0
    submission: Submission | None = None
    applied: bool = False
    refused_by_kubernetes: str = ""
    seen: Sighting | None = None
    wish: Wish | None = None
    wish_at: int = 0
    wish_open: bool = False
    delete_at: int = 0
    ended_by_limit: Outcome = Outcome.NONE
    unpullable: set[UUID] = field(default_factory=set)
    unpullable_since: datetime | None = None
    living: set[UUID] = field(default_factory=set)
    quiet_since: datetime | None = None
    finished_at: datetime | None = None
    gone_at: int = 0

    @property
    def holds_its_name(self) -> bool:
        """Whether no other may have its name: until it is gone, or nothing is left of it that could go."""
        never_was = self.refused_by_kubernetes and self.delete_at and self.seen is None
        return bool(self.name) and not (self.gone_at or never_was)

    @property
    def outcome(self) -> Outcome:
        """How it ended, as far as is known."""
        if self.refused_by_kubernetes:
            return Outcome.FAILED
        if self.ended_by_limit is not Outcome.NONE:
            return self.ended_by_limit
        return self.seen.owner.outcome if self.seen else Outcome.NONE

    @property
    def is_suspended(self) -> bool:
        """Whether its owner was last seen suspended."""
        return self.seen is not None and self.seen.owner.suspended

    @property
    def must_be_made(self) -> bool:
        """Whether its object may not exist yet.

        One that is to be deleted is made (again) until it was seen: only what was seen can be seen to go.
        """
        return (
            self.submission is not None
            and not (self.seen or self.refused_by_kubernetes or self.gone_at)
            and (not self.applied or bool(self.delete_at))
        )

    @property
    def must_be_recorded(self) -> bool:
        """Whether its object was seen, but an earlier life ended before it wrote that it had made it."""
        return self.submission is not None and self.seen is not None and not (self.applied or self.gone_at)

    @property
    def must_be_deleted(self) -> bool:
        """Whether its objects are there and should not be."""
        return bool(self.delete_at and self.seen and not self.gone_at and not self.seen.owner.deleting)

    @property
    def must_be_stopped(self) -> bool:
        """Whether it runs and should not."""
        return self._is_open(Wish.STOP) and not self.is_suspended

    @property
    def must_be_activated(self) -> bool:
        """Whether it is suspended and should not be."""
        return self._is_open(Wish.ACTIVATE) and self.is_suspended

    def _is_open(self, wish: Wish) -> bool:
        if self.seen is None or self.seen.owner.outcome is not Outcome.NONE:
            return False
        return self.wish_open and self.wish is wish and not self.delete_at and not self.gone_at

    @property
    def has_open_deed(self) -> bool:
        """Whether anything is still to be done in Kubernetes."""
        return (
            self.must_be_made
            or self.must_be_recorded
            or self.must_be_deleted
            or self.must_be_stopped
            or self.must_be_activated
        )


def ask(workload: Workload, event: Asked, position: int) -> None:
    """Fold what was asked of a workload, or done about it."""
    workload.version = position
    match event:
        case WorkloadSubmitted():
            workload.submission = Submission(event, event.request_digest, position)
            _name(workload, event)
        case ObjectsApplied():
            workload.applied = True
        case ObjectsRefused():
            workload.refused_by_kubernetes = event.reason
        case StopRequested():
            _wish(workload, Wish.STOP, position)
        case ActivateRequested():
            _wish(workload, Wish.ACTIVATE, position)
        case DeleteRequested():
            workload.delete_at = workload.delete_at or position
        case LimitReached():
            _limit(workload, event, position)
        case SessionOpened() | SessionClosed():
            pass
        case _:
            assert_never(event)


def see(workload: Workload, event: Seen, recorded: Recorded) -> None:
    """Fold what was seen of a workload."""
    match event:
        case WorkloadDiscovered():
            _discover(workload, event, recorded)
        case OwnerObserved():
            _observe(workload, event, recorded)
        case PodObserved():
            _observe_pods(workload, event.pods, recorded.envelope.time)
        case PodGone():
            _forget_pods(workload, {pod.pod_id for pod in event.pods}, recorded.envelope.time)
        case PodMoved():
            _forget_pods(workload, {event.pod_id}, recorded.envelope.time)
        case WorkloadGone():
            _end(workload, recorded.position)
        case _:
            assert_never(event)


def _name(workload: Workload, event: WorkloadSubmitted | WorkloadDiscovered) -> None:
    workload.name, workload.project, workload.namespace = event.name, event.project, event.namespace


def _wish(workload: Workload, wish: Wish, position: int) -> None:
    workload.wish, workload.wish_at, workload.wish_open = wish, position, True


def _limit(workload: Workload, event: LimitReached, position: int) -> None:
    match event.effect:
        case "delete":
            workload.delete_at = workload.delete_at or position
        case "fail":
            workload.ended_by_limit = Outcome.FAILED
            if event.limit != "quiet":  # what is quiet has nothing left to stop
                _wish(workload, Wish.STOP, position)
        case "stop":
            _wish(workload, Wish.STOP, position)
        case "complete":
            workload.ended_by_limit = Outcome.SUCCEEDED
        case _:
            assert_never(event.effect)


def _discover(workload: Workload, event: WorkloadDiscovered, recorded: Recorded) -> None:
    if workload.submission is None:
        _name(workload, event)
    workload.seen = Sighting(event.kind, event.controls, event.supports, event.owner, recorded.position)
    workload.gone_at = 0
    if workload.wish is (Wish.STOP if event.owner.suspended else Wish.ACTIVATE):
        workload.wish_open = False  # it was made like that, and nobody has patched what was not seen
    _end_if_finished(workload, event.owner, recorded.envelope.time)
    _count_living(workload, recorded.envelope.time)


def _observe(workload: Workload, event: OwnerObserved, recorded: Recorded) -> None:
    if workload.seen is None:
        return  # its end was recorded before; what arrives late changes nothing
    before, now = workload.seen.owner.suspended, event.owner.suspended
    workload.seen.owner = event.owner
    if event.controls is not None:
        workload.seen.controls, workload.seen.position = event.controls, recorded.position
    if before != now and workload.wish is (Wish.STOP if now else Wish.ACTIVATE):
        workload.wish_open = False
    _end_if_finished(workload, event.owner, recorded.envelope.time)


def _end_if_finished(workload: Workload, owner: OwnerFacts, time: datetime) -> None:
    if owner.outcome is Outcome.NONE:
        workload.finished_at = None
    else:
        workload.finished_at = workload.finished_at or owner.finished_at or time


def _observe_pods(workload: Workload, pods: tuple[PodFacts, ...], time: datetime) -> None:
    for pod in pods:
        if _cannot_pull(pod):
            workload.unpullable.add(pod.pod_id)
            workload.unpullable_since = workload.unpullable_since or time
        elif not _waits(pod):  # between two attempts a container may say something else and still have no image
            workload.unpullable.discard(pod.pod_id)
    if not workload.unpullable:
        workload.unpullable_since = None
    workload.living |= {pod.pod_id for pod in pods if pod.phase not in ENDED}
    workload.living -= {pod.pod_id for pod in pods if pod.phase in ENDED}
    _count_living(workload, time)


def _count_living(workload: Workload, time: datetime) -> None:
    """Note since when no pod lives, of a workload that ends by nothing else."""
    if workload.seen is None or workload.seen.owner.quiet_outcome is Outcome.NONE:
        workload.living.clear()
    elif workload.living:
        workload.quiet_since = None
    else:
        workload.quiet_since = workload.quiet_since or time


def _cannot_pull(pod: PodFacts) -> bool:
    return any(c.state is ContainerState.WAITING and c.reason in IMAGE_PULL_FAILURES for c in pod.containers)


def _waits(pod: PodFacts) -> bool:
    return any(container.state is ContainerState.WAITING for container in pod.containers)


def _forget_pods(workload: Workload, gone: set[UUID], time: datetime) -> None:
    workload.unpullable -= gone
    if not workload.unpullable:
        workload.unpullable_since = None
    workload.living -= gone
    _count_living(workload, time)


def _end(workload: Workload, position: int) -> None:
    workload.gone_at = position
    workload.seen = None
    workload.unpullable, workload.unpullable_since = set(), None
    workload.living, workload.quiet_since = set(), None
    if workload.submission is not None:
        workload.submission.event = None
