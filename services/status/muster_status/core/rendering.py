"""Makes the rows of the read models, each from folded state or from one whole event. `projection` says when.

A row depends on nothing but what it is made from, so a table that was lost can be written again.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from muster_contracts.events import DepartmentChanged, NodeObserved, NodePoolChanged, PhaseChanged, ProjectChanged
from muster_contracts.phases import Phase
from muster_contracts.values import ContainerFacts, PodFacts
from muster_contracts.wire import Recorded

from muster_status.core.phase_table import FIRST_PHASE
from muster_status.core.pod import trouble_of
from muster_status.core.rows import (
    DepartmentRow,
    HistoryRow,
    NodePoolRow,
    NodeRow,
    PhaseRow,
    PodRow,
    ProjectRow,
    WorkloadRow,
)
from muster_status.core.sentences import message_of
from muster_status.core.workload import Workload


@dataclass(slots=True)
class Projected:
    """What a workload's row is made of; the facts are let go when it is gone and its last whole row was made.

    `earlier_homes` are workloads of which pods turned out to be this one's: what is told of them there is theirs here.
    """

    workload: Workload | None
    project: str = ""
    phase: Phase | None = None
    phase_reason: str = ""
    phase_since: datetime | None = None
    completed_at: datetime | None = None
    version: int = 0
    earlier_homes: tuple[UUID, ...] = ()


def workload_row(entry: Projected, workload: Workload) -> WorkloadRow:
    """Return the whole row of a workload that is known."""
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
        requested_gpu_memory_bytes=requests.gpu_memory_bytes,
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


def phase_row(workload_id: UUID, entry: Projected) -> PhaseRow:
    """Return what may still change in the row of a workload that is gone."""
    assert entry.phase is not None, "only a phase touches what is gone"
    assert entry.phase_since is not None, "a phase has a beginning"
    return PhaseRow(
        workload_id, entry.phase.value, entry.phase_reason, entry.phase_since, entry.completed_at, entry.version
    )


def history_row(recorded: Recorded, workload_id: UUID, project: str, reason: str) -> HistoryRow:
    """Return what is remembered of an event, in the words of `reason`."""
    event = recorded.event
    changed = event if isinstance(event, PhaseChanged) else None
    return HistoryRow(
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


def pod_row(position: int, workload_id: UUID, facts: PodFacts) -> PodRow:
    """Return the row of a pod that exists."""
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


def project_row(recorded: Recorded, event: ProjectChanged, created_at: datetime) -> ProjectRow:
    """Return the row of a project; `created_at` is when it was first heard of."""
    return ProjectRow(
        id=event.project_id,
        name=event.name,
        namespace=event.namespace,
        department=event.department,
        quotas=[quota.model_dump(mode="json") for quota in event.quotas],
        node_pools=list(event.node_pools),
        airflow_unit=event.airflow_unit,
        preempt_minimum_seconds=event.preempt_minimum_seconds,
        reclaim_minimum_seconds=event.reclaim_minimum_seconds,
        created_at=created_at,
        removed_at=recorded.envelope.time if event.removed else None,
        version=recorded.position,
    )


def department_row(recorded: Recorded, event: DepartmentChanged) -> DepartmentRow:
    """Return the row of a department."""
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


def node_pool_row(recorded: Recorded, event: NodePoolChanged) -> NodePoolRow:
    """Return the row of a node pool."""
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


def node_row(position: int, event: NodeObserved) -> NodeRow:
    """Return the row of a node."""
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
