"""What the submitter has to know, folded from the whole journal: projects, and workloads as far as commands need them.

Every event is applied once, in order; a batch that is handed in again changes nothing. The fold keeps the position of
the last event *we* wrote on each subject, from which the next decision is made, and what has been asked of a workload
and is not yet seen done, from which the deeds follow (`deeds`).

Pitfalls. A stop or an activation counts as done when the owner is *seen to change*, not when it happens to look right:
between two requests in quick succession the owner still looks as it did before the first. Only at first sight looking
right is enough, for it was made so. Once done it is forgotten, so that whoever suspends or resumes the object with
`kubectl` later is not fought. A workload that is gone keeps only what idempotency needs.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never
from uuid import UUID

from muster_contracts.events import (
    AccessRuleChanged,
    ActivateRequested,
    AnyEvent,
    AttemptRefused,
    DeadlinePassed,
    DeleteRequested,
    DepartmentChanged,
    GpuBusy,
    GpuIdle,
    LeadershipTaken,
    LimitReached,
    NodeGone,
    NodeObserved,
    NodePoolChanged,
    ObjectsApplied,
    ObjectsRefused,
    OwnerObserved,
    PhaseChanged,
    PhaseTableAdopted,
    PlacementReleased,
    PlanMade,
    PodGone,
    PodGroupChanged,
    PodGroupFormed,
    PodMoved,
    PodObserved,
    PodPreempted,
    PodScheduled,
    PolicyChanged,
    ProjectChanged,
    SessionClosed,
    SessionOpened,
    StopRequested,
    SubmissionRefused,
    TokenIssued,
    TokenRevoked,
    WorkloadBlocked,
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

Seen = WorkloadGone | OwnerObserved | PodObserved | PodGone | PodMoved
"""What integrations say of a workload that is known."""

BEGINNING = datetime.min.replace(tzinfo=UTC)


class Wish(StrEnum):
    """What was last asked of a workload."""

    STOP = "stop"
    ACTIVATE = "activate"


@dataclass(slots=True)
class Project:
    """A project as it stands; `version` is the position of the last event on its subject."""

    event: ProjectChanged
    version: int


@dataclass(slots=True)
class Department:
    """A department as it stands; `version` as for a project."""

    event: DepartmentChanged
    version: int


@dataclass(slots=True)
class NodePool:
    """A node pool as it stands; `version` as for a project."""

    event: NodePoolChanged
    version: int


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


class State:
    """The fold. `now` is the greatest time of an event so far."""

    def __init__(self) -> None:
        self.position = 0
        self.now = BEGINNING
        self.projects: dict[str, Project] = {}
        self.departments: dict[str, Department] = {}
        self.node_pools: dict[str, NodePool] = {}
        self.workloads: dict[UUID, Workload] = {}
        self.refusals: dict[UUID, tuple[int, SubmissionRefused]] = {}
        self._living: dict[tuple[str, str], set[UUID]] = {}
        self._touched: list[UUID] = []

    def project_in(self, namespace: str) -> Project | None:
        """Return the project a namespace belongs to."""
        return next((p for p in self.projects.values() if p.event.namespace == namespace and not p.event.removed), None)

    def namesakes(self, project: str, name: str) -> set[UUID]:
        """Return the living workloads of a project that have this name."""
        return self._living.get((project, name), set())

    def version_of(self, workload_id: UUID) -> int:
        """Return the position of our last event on a workload's subject, 0 when there is none."""
        workload = self.workloads.get(workload_id)
        refused_at = self.refusals[workload_id][0] if workload_id in self.refusals else 0
        return max(workload.version if workload else 0, refused_at)

    def take_touched(self) -> list[UUID]:
        """Return the workloads that events were about since the last call, each once."""
        touched, self._touched = list(dict.fromkeys(self._touched)), []
        return touched

    def apply(self, recorded: Recorded) -> None:
        """Fold one event; one that was folded before changes nothing."""
        if recorded.position <= self.position:
            return
        self.now = max(self.now, recorded.envelope.time)
        self._evolve(recorded.event, recorded)
        self.position = recorded.position

    def _evolve(self, event: AnyEvent, recorded: Recorded) -> None:
        match event:
            case ProjectChanged():
                self.projects[event.name] = Project(event, recorded.position)
            case DepartmentChanged():
                self.departments[event.name] = Department(event, recorded.position)
            case NodePoolChanged():
                self.node_pools[event.name] = NodePool(event, recorded.position)
            case SubmissionRefused():
                self.refusals[event.workload_id] = (recorded.position, event)
            case WorkloadDiscovered() if event.workload_id not in self.workloads and not event.project:
                pass  # outside every project: nobody can ask anything of it
            case (
                WorkloadSubmitted()
                | ObjectsApplied()
                | ObjectsRefused()
                | StopRequested()
                | ActivateRequested()
                | DeleteRequested()
                | LimitReached()
                | SessionOpened()
                | SessionClosed()
            ):
                workload = self.workloads.setdefault(event.workload_id, Workload(event.workload_id))
                workload.version = recorded.position
                self._evolve_asked(workload, event, recorded.position)
                self._touched.append(workload.id)
            case WorkloadDiscovered():
                workload = self.workloads.setdefault(event.workload_id, Workload(event.workload_id))
                self._discover(workload, event, recorded)
                self._touched.append(workload.id)
            case WorkloadGone() | OwnerObserved() | PodObserved() | PodGone() | PodMoved():
                if event.workload_id in self.workloads:  # late news of what is gone changes nothing
                    self._touched.append(event.workload_id)
                    self._evolve_seen(self.workloads[event.workload_id], event, recorded)
            case (
                PodGroupFormed()
                | PodGroupChanged()
                | PodScheduled()
                | PlacementReleased()
                | PodPreempted()
                | DeadlinePassed()
                | WorkloadBlocked()
                | PhaseChanged()
                | GpuIdle()
                | GpuBusy()
                | PolicyChanged()
                | AccessRuleChanged()
                | AttemptRefused()
                | TokenIssued()
                | TokenRevoked()
                | NodeObserved()
                | NodeGone()
                | LeadershipTaken()
                | PlanMade()
                | PhaseTableAdopted()
            ):
                pass
            case _:
                assert_never(event)

    def _evolve_asked(self, workload: Workload, event: Asked, position: int) -> None:
        match event:
            case WorkloadSubmitted():
                workload.submission = Submission(event, event.request_digest, position)
                self._name(workload, event.name, event.project, event.namespace)
            case ObjectsApplied():
                workload.applied = True
            case ObjectsRefused():
                workload.refused_by_kubernetes = event.reason
                self._free_name_of_what_never_was(workload)
            case StopRequested():
                _wish(workload, Wish.STOP, position)
            case ActivateRequested():
                _wish(workload, Wish.ACTIVATE, position)
            case DeleteRequested():
                workload.delete_at = workload.delete_at or position
                self._free_name_of_what_never_was(workload)
            case LimitReached():
                _limit(workload, event, position)
            case SessionOpened() | SessionClosed():
                pass
            case _:
                assert_never(event)

    def _evolve_seen(self, workload: Workload, event: Seen, recorded: Recorded) -> None:
        match event:
            case OwnerObserved():
                _observe(workload, event, recorded)
            case PodObserved():
                _observe_pods(workload, event.pods, recorded.envelope.time)
            case PodGone():
                _forget_pods(workload, {pod.pod_id for pod in event.pods}, recorded.envelope.time)
            case PodMoved():
                _forget_pods(workload, {event.pod_id}, recorded.envelope.time)
            case WorkloadGone():
                self._end(workload, recorded.position)
            case _:
                assert_never(event)

    def _name(self, workload: Workload, name: str, project: str, namespace: str) -> None:
        workload.name, workload.project, workload.namespace = name, project, namespace
        self._living.setdefault((project, name), set()).add(workload.id)

    def _free_name(self, workload: Workload) -> None:
        namesakes = self._living.get((workload.project, workload.name), set())
        namesakes.discard(workload.id)
        if not namesakes:
            self._living.pop((workload.project, workload.name), None)

    def _free_name_of_what_never_was(self, workload: Workload) -> None:
        """No object will ever go away, so nobody needs to wait for that."""
        if workload.refused_by_kubernetes and workload.delete_at and workload.seen is None:
            self._free_name(workload)

    def _discover(self, workload: Workload, event: WorkloadDiscovered, recorded: Recorded) -> None:
        if workload.submission is None:
            self._name(workload, event.name, event.project, event.namespace)
        workload.seen = Sighting(event.kind, event.controls, event.supports, event.owner, recorded.position)
        workload.gone_at = 0
        if workload.wish is (Wish.STOP if event.owner.suspended else Wish.ACTIVATE):
            workload.wish_open = False  # it was made like that, and nobody has patched what was not seen
        _end_if_finished(workload, event.owner, recorded.envelope.time)
        _count_living(workload, recorded.envelope.time)

    def _end(self, workload: Workload, position: int) -> None:
        workload.gone_at = position
        workload.seen = None
        workload.unpullable, workload.unpullable_since = set(), None
        workload.living, workload.quiet_since = set(), None
        self._free_name(workload)
        if workload.submission is not None:
            workload.submission.event = None
        if not workload.version:
            del self.workloads[workload.id]


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
