"""Events to rows: the fold behind the read models. It writes down phases as they are recorded and derives none.

Rows are a pure function of the journal up to a position, however it was cut into batches: a workload's row is made
from its folded state when a stretch ends, and depends on nothing but that state. So a projector that starts again folds
from the beginning, or from a checkpoint that is not ahead of the tables, and writes only what comes after the position
stored with them; no state has to be read back from rows, and a table that was lost is simply written again.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from muster_contracts.events import (
    AccessRuleChanged,
    ActivateRequested,
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
    WorkloadEvent,
    WorkloadGone,
    WorkloadSubmitted,
)
from muster_contracts.phases import TERMINAL_PHASES, Phase
from muster_contracts.wire import Recorded

from muster_status.core.happenings import happening
from muster_status.core.rendering import (
    Projected,
    department_row,
    history_row,
    node_pool_row,
    node_row,
    phase_row,
    pod_row,
    project_row,
    workload_row,
)
from muster_status.core.rows import Changes, PodEnd, PodHome, WorkloadRow
from muster_status.core.workload import Workload


@dataclass
class Projection:
    """Everything folded up to `position`, and the changes since they were last taken.

    The fields are all that a checkpoint keeps; it is made when the changes were taken. `origin` is the id of the
    journal's first event, by which one journal is told from another.
    """

    position: int = 0
    origin: UUID | None = None
    projected: dict[UUID, Projected] = field(default_factory=dict)
    projects: dict[UUID, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changes = Changes()
        self._touched: dict[UUID, None] = {}

    def apply(self, recorded: Recorded) -> None:
        """Fold the next event of the stream."""
        if recorded.position <= self.position:
            return
        self.position = recorded.position
        self.origin = self.origin or recorded.envelope.id
        self._apply(recorded)

    def _apply(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case PhaseChanged():
                self._phase(recorded, event)
            case PodObserved() | PodGone() | PodMoved() | WorkloadGone():
                self._pods(recorded, event)
                self._workload(recorded, event)
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
                | WorkloadDiscovered()
                | OwnerObserved()
                | PodGroupFormed()
                | PodGroupChanged()
                | PodScheduled()
                | PlacementReleased()
                | PodPreempted()
                | WorkloadBlocked()
                | GpuIdle()
                | GpuBusy()
            ):
                self._workload(recorded, event)
            case ProjectChanged():
                self._project(recorded, event)
            case DepartmentChanged():
                self._changes.departments[event.department_id] = department_row(recorded, event)
            case NodePoolChanged():
                self._changes.node_pools[event.node_pool_id] = node_pool_row(recorded, event)
            case NodeObserved():
                self._changes.nodes[event.node_id] = node_row(recorded.position, event)
            case NodeGone():
                self._changes.nodes[event.node_id] = None
            case (
                SubmissionRefused()
                | DeadlinePassed()
                | PolicyChanged()
                | AccessRuleChanged()
                | AttemptRefused()
                | TokenIssued()
                | TokenRevoked()
                | LeadershipTaken()
                | PlanMade()
                | PhaseTableAdopted()
            ):
                pass
            case _:
                assert_never(event)

    def take(self) -> Changes:
        """Return what changed since this was last asked."""
        changes, self._changes = self._changes, Changes()
        for workload_id in self._touched:
            self._render(workload_id, changes)
        self._touched.clear()
        return changes

    # ------------------------------------------------------------ workloads

    def present(self) -> dict[UUID, WorkloadRow]:
        """Return the rows of all workloads that are not gone, as they stand."""
        known = ((workload_id, entry, entry.workload) for workload_id, entry in self.projected.items())
        return {key: workload_row(entry, workload) for key, entry, workload in known if workload and workload.known}

    def gone(self) -> list[UUID]:
        """Return the workloads whose last whole row was made."""
        return [workload_id for workload_id, entry in self.projected.items() if entry.workload is None]

    def homes_of(self, workload_id: UUID) -> set[UUID]:
        """Return a workload and all those of which it has, or may have, pods."""
        found, new = set[UUID](), [workload_id]
        while new:
            found.add(one := new.pop())
            entry = self.projected.get(one)
            new += [home for home in (entry.earlier_homes if entry else ()) if home not in found]
        return found

    def _of(self, workload_id: UUID) -> Projected:
        entry = self.projected.get(workload_id)
        if entry is None:
            entry = self.projected[workload_id] = Projected(Workload(workload_id))
        return entry

    def _workload(self, recorded: Recorded, event: WorkloadEvent) -> None:
        entry = self._of(event.workload_id)
        if entry.workload is None or entry.workload.gone:
            return
        entry.workload.apply(recorded.position, recorded.envelope.time, event)
        entry.project = entry.workload.project
        entry.version = recorded.position
        self._touched[event.workload_id] = None
        said = happening(event)
        if said is not None:
            self._remember(recorded, event.workload_id, entry.project, said)

    def _phase(self, recorded: Recorded, event: PhaseChanged) -> None:
        entry = self._of(event.workload_id)
        entry.phase, entry.phase_reason = event.current, event.reason
        entry.phase_since = recorded.envelope.time
        entry.version = recorded.position
        if event.current in TERMINAL_PHASES:
            entry.completed_at = recorded.envelope.time
        elif event.current is not Phase.DELETING:
            entry.completed_at = None
        self._touched[event.workload_id] = None
        self._remember(recorded, event.workload_id, entry.project, event.reason)

    def _remember(self, recorded: Recorded, workload_id: UUID, project: str, reason: str) -> None:
        self._changes.history.append(history_row(recorded, workload_id, project, reason))

    def _render(self, workload_id: UUID, changes: Changes) -> None:
        entry = self.projected[workload_id]
        if entry.workload is None:
            changes.phases[workload_id] = phase_row(workload_id, entry)
        elif entry.workload.known:
            changes.workloads[workload_id] = workload_row(entry, entry.workload)
            if entry.workload.gone:
                entry.workload = None

    # ------------------------------------------------------------ pods, projects

    def _pods(self, recorded: Recorded, event: PodObserved | PodGone | PodMoved | WorkloadGone) -> None:
        workload = self._of(event.workload_id).workload
        if workload is None or workload.gone:
            return
        position, time = recorded.position, recorded.envelope.time
        match event:
            case PodObserved():
                for facts in event.pods:
                    if facts.pod_id not in workload.departed:
                        self._changes.put_pod(pod_row(position, workload.id, facts))
            case PodGone():
                for mark in event.pods:
                    if mark.pod_id not in workload.departed:
                        self._changes.end_pod(PodEnd(mark.pod_id, time, position))
            case PodMoved():
                self._changes.move_pod(PodHome(event.pod_id, event.new_workload_id, position))
                home = self._of(event.new_workload_id)
                home.earlier_homes = tuple(dict.fromkeys((*home.earlier_homes, workload.id)))
            case WorkloadGone():
                for pod_id in workload.pods:
                    self._changes.end_pod(PodEnd(pod_id, time, position))

    def _project(self, recorded: Recorded, event: ProjectChanged) -> None:
        created_at = self.projects.setdefault(event.project_id, recorded.envelope.time)
        self._changes.projects[event.project_id] = project_row(recorded, event, created_at)
