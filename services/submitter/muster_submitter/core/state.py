"""What the submitter has to know, folded from the whole journal: the organisation, and workloads as commands need them.

Every event is applied once, in order; a batch that is handed in again changes nothing. The fold keeps the position of
the last event *we* wrote on each subject, from which the next decision is made. How one workload stands is folded in
`workload`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from muster_contracts.wire import Recorded

from muster_submitter.core.workload import Asked, Seen, Workload, ask, see

DEFAULT = "default"
"""The department of whom none is named for, and the pool of nodes that belong to no other; both are always there."""

BEGINNING = datetime.min.replace(tzinfo=UTC)


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


@dataclass
class State:
    """The fold. `now` is the greatest time of an event so far. The fields are all that a checkpoint keeps."""

    position: int = 0
    now: datetime = BEGINNING
    projects: dict[str, Project] = field(default_factory=dict)
    departments: dict[str, Department] = field(default_factory=dict)
    node_pools: dict[str, NodePool] = field(default_factory=dict)
    workloads: dict[UUID, Workload] = field(default_factory=dict)
    refusals: dict[UUID, tuple[int, SubmissionRefused]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._namesakes: dict[tuple[str, str], set[UUID]] = {}
        self._touched: dict[UUID, None] = {}
        for workload in self.workloads.values():
            self._keep_name(workload)

    def project_in(self, namespace: str) -> Project | None:
        """Return the project a namespace belongs to."""
        return next((p for p in self.projects.values() if p.event.namespace == namespace and not p.event.removed), None)

    @property
    def node_pool_names(self) -> set[str]:
        """The node pools there are; `default` needs nobody to make it."""
        return {DEFAULT, *(name for name, pool in self.node_pools.items() if not pool.event.removed)}

    def living_in(self, project: str) -> list[str]:
        """Return the names of the workloads of a project that are not gone."""
        return sorted({name for home, name in self._namesakes if home == project})

    def namesakes(self, project: str, name: str) -> set[UUID]:
        """Return the living workloads of a project that have this name."""
        return self._namesakes.get((project, name), set())

    def version_of(self, workload_id: UUID) -> int:
        """Return the position of our last event on a workload's subject, 0 when there is none."""
        workload = self.workloads.get(workload_id)
        refused_at = self.refusals[workload_id][0] if workload_id in self.refusals else 0
        return max(workload.version if workload else 0, refused_at)

    def take_touched(self) -> list[UUID]:
        """Return the workloads that events were about since the last call, each once."""
        touched, self._touched = list(self._touched), {}
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
                self._evolve_workload(self._of(event.workload_id), event, recorded)
            case WorkloadDiscovered() if event.project or event.workload_id in self.workloads:
                self._evolve_workload(self._of(event.workload_id), event, recorded)
            case OwnerObserved() | PodObserved() | PodGone() | PodMoved() | WorkloadGone():
                if (workload := self.workloads.get(event.workload_id)) is not None:
                    self._evolve_workload(workload, event, recorded)
            case (
                WorkloadDiscovered()  # outside every project: nobody can ask anything of it
                | PodGroupFormed()
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

    def _of(self, workload_id: UUID) -> Workload:
        return self.workloads.setdefault(workload_id, Workload(workload_id))

    def _evolve_workload(self, workload: Workload, event: Asked | Seen, recorded: Recorded) -> None:
        self._free_name(workload)
        match event:
            case WorkloadDiscovered() | OwnerObserved() | PodObserved() | PodGone() | PodMoved() | WorkloadGone():
                see(workload, event, recorded)
            case _:
                ask(workload, event, recorded.position)
        self._keep_name(workload)
        self._touched[workload.id] = None
        if workload.gone_at and not workload.version:
            del self.workloads[workload.id]  # a foreign one of which nothing was asked

    def _keep_name(self, workload: Workload) -> None:
        if workload.holds_its_name:
            self._namesakes.setdefault((workload.project, workload.name), set()).add(workload.id)

    def _free_name(self, workload: Workload) -> None:
        key = (workload.project, workload.name)
        if (namesakes := self._namesakes.get(key)) is not None:
            namesakes.discard(workload.id)
            if not namesakes:
                del self._namesakes[key]
