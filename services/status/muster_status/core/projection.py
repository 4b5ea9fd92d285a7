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
from muster_contracts.values import ContainerFacts, PodFacts
from muster_contracts.wire import Recorded

from muster_status.core.happenings import happening
from muster_status.core.phase_table import FIRST_PHASE
from muster_status.core.pod import trouble_of
from muster_status.core.rows import (
    Changes,
    DepartmentRow,
    HistoryRow,
    NodePoolRow,
    NodeRow,
    PhaseRow,
    PodEnd,
    PodHome,
    PodRow,
    ProjectRow,
    WorkloadRow,
)
from muster_status.core.sentences import message_of
from muster_status.core.workload import Workload


@dataclass(slots=True)
class Projected:
    """What a workload's row is made of; the facts are let go when it is gone and its last whole row was made."""

    workload: Workload | None
    project: str = ""
    phase: Phase | None = None
    phase_reason: str = ""
    phase_since: datetime | None = None
    completed_at: datetime | None = None
    version: int = 0


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
                self._changes.departments[event.department_id] = _department_row(recorded, event)
            case NodePoolChanged():
                self._changes.node_pools[event.node_pool_id] = _node_pool_row(recorded, event)
            case NodeObserved():
                self._changes.nodes[event.node_id] = _node_row(recorded.position, event)
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
        event = recorded.event
        changed = event if isinstance(event, PhaseChanged) else None
        row = HistoryRow(
            position=recorded.position,
            workload_id=workload_id,
            project=project,
            time=recorded.envelope.time,
            type=type(event).__name__,
            previous=changed.previous.value if changed and changed.previous else None,
            current=changed.current.value if changed else None,
            reason=reason,
            cause=changed.cause if changed else None,
        )
        self._changes.history.append(row)

    def _render(self, workload_id: UUID, changes: Changes) -> None:
        entry = self.projected[workload_id]
        if entry.workload is None:
            changes.phases[workload_id] = _phase_row(workload_id, entry)
        elif entry.workload.known:
            changes.workloads[workload_id] = _workload_row(entry, entry.workload)
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
                        self._changes.put_pod(_pod_row(position, workload.id, facts))
            case PodGone():
                for mark in event.pods:
                    if mark.pod_id not in workload.departed:
                        self._changes.end_pod(PodEnd(mark.pod_id, time, position))
            case PodMoved():
                self._changes.move_pod(PodHome(event.pod_id, event.new_workload_id, position))
            case WorkloadGone():
                for pod_id in workload.pods:
                    self._changes.end_pod(PodEnd(pod_id, time, position))

    def _project(self, recorded: Recorded, event: ProjectChanged) -> None:
        time = recorded.envelope.time
        self._changes.projects[event.project_id] = ProjectRow(
            id=event.project_id,
            name=event.name,
            namespace=event.namespace,
            department=event.department,
            quotas=[quota.model_dump(mode="json") for quota in event.quotas],
            node_pools=list(event.node_pools),
            airflow_unit=event.airflow_unit,
            preempt_minimum_seconds=event.preempt_minimum_seconds,
            reclaim_minimum_seconds=event.reclaim_minimum_seconds,
            created_at=self.projects.setdefault(event.project_id, time),
            removed_at=time if event.removed else None,
            version=recorded.position,
        )


def _workload_row(entry: Projected, workload: Workload) -> WorkloadRow:
    allocated, requests, supports = workload.allocated(), workload.requests, workload.supports
    assert workload.created_at is not None, "a workload that is known was created some time"
    phase = entry.phase or FIRST_PHASE  # until its first record comes, which says the same
    return WorkloadRow(
        id=workload.id,
        name=workload.name,
        project=workload.project,
        namespace=workload.namespace,
        kind=workload.kind,
        workload_class=workload.workload_class.value,
        workload_kind=workload.workload_kind or None,
        phase=phase.value,
        phase_reason=entry.phase_reason,
        phase_since=entry.phase_since or workload.created_at,
        message=message_of(workload, phase),
        submitted_by=workload.submitted_by,
        source=workload.source,
        created_at=workload.created_at,
        completed_at=entry.completed_at,
        deleted_at=workload.gone_at or workload.deletable_at,
        end_seen=workload.end_seen,
        running_pods=workload.counts.running,
        desired_pods=workload.desired,
        requested_cpu_milli=requests.cpu_milli,
        requested_memory_bytes=requests.memory_bytes,
        requested_gpu_millionths=requests.gpu_millionths,
        allocated_cpu_milli=allocated.cpu_milli,
        allocated_memory_bytes=allocated.memory_bytes,
        allocated_gpu_millionths=allocated.gpu_millionths,
        nodes=list(workload.nodes()),
        priority_class=workload.priority_class,
        can_stop=supports.stop,
        can_activate=supports.activate,
        can_delete=supports.delete,
        parent=workload.parent.model_dump() if workload.parent else None,
        attributes=dict(workload.attributes),
        version=entry.version,
    )


def _phase_row(workload_id: UUID, entry: Projected) -> PhaseRow:
    assert entry.phase is not None, "only a phase touches what is gone"
    assert entry.phase_since is not None, "a phase has a beginning"
    return PhaseRow(
        workload_id, entry.phase.value, entry.phase_reason, entry.phase_since, entry.completed_at, entry.version
    )


def _pod_row(position: int, workload_id: UUID, facts: PodFacts) -> PodRow:
    return PodRow(
        pod_id=facts.pod_id,
        workload_id=workload_id,
        name=facts.name,
        namespace=facts.namespace,
        role=facts.role,
        phase=facts.phase.value,
        reason=facts.reason or _first_reason(facts.containers),
        message=facts.message or trouble_of(facts),
        node=facts.node,
        ready=facts.ready,
        terminating=facts.terminating,
        restarts=sum(container.restarts for container in facts.containers),
        created_at=facts.created_at,
        gone_at=None,
        cpu_milli=facts.requests.cpu_milli,
        memory_bytes=facts.requests.memory_bytes,
        gpu_millionths=facts.requests.gpu_millionths,
        gpus=facts.gpus,
        containers=[container.model_dump(mode="json") for container in facts.containers],
        version=position,
    )


def _first_reason(containers: tuple[ContainerFacts, ...]) -> str:
    return next((container.reason for container in containers if container.reason), "")


def _department_row(recorded: Recorded, event: DepartmentChanged) -> DepartmentRow:
    return DepartmentRow(
        id=event.department_id,
        name=event.name,
        parent=event.parent,
        quotas=[quota.model_dump(mode="json") for quota in event.quotas],
        preempt_minimum_seconds=event.preempt_minimum_seconds,
        reclaim_minimum_seconds=event.reclaim_minimum_seconds,
        removed_at=recorded.envelope.time if event.removed else None,
        version=recorded.position,
    )


def _node_pool_row(recorded: Recorded, event: NodePoolChanged) -> NodePoolRow:
    return NodePoolRow(
        id=event.node_pool_id,
        name=event.name,
        label_key=event.label_key,
        label_value=event.label_value,
        gpu_placement=event.gpu_placement,
        cpu_placement=event.cpu_placement,
        removed_at=recorded.envelope.time if event.removed else None,
        version=recorded.position,
    )


def _node_row(position: int, event: NodeObserved) -> NodeRow:
    return NodeRow(
        id=event.node_id,
        name=event.name,
        ready=event.ready,
        unschedulable=event.unschedulable,
        cpu_milli=event.allocatable.cpu_milli,
        memory_bytes=event.allocatable.memory_bytes,
        gpu_devices=event.gpu_devices,
        gpu_product=event.gpu_product,
        gpu_memory_bytes=event.gpu_memory_bytes,
        max_pods=event.max_pods,
        labels=dict(event.labels),
        taints=[taint.model_dump() for taint in event.taints],
        others={**event.others.model_dump(), "pods": event.other_pods},
        version=position,
    )
