"""The rows of the read models, and a set of tables in memory that takes them as the database does.

A row is a value; `Changes` is what a stretch of the journal does to the tables, with at most one row per key. `Tables`
is the twin of the database: the auditor folds the journal into it and compares, and simulated worlds can live on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from muster_status.core.pod import clean

LARGEST = 2**63 - 1
"""The largest number a column holds. A pod may ask for more memory than that; it only cannot be told how much."""


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    """One workload as lists show it. Amounts are of all its pods; `version` is the last position folded into it."""

    id: UUID
    name: str
    project: str
    namespace: str
    kind: str
    workload_class: str
    workload_kind: str | None
    phase: str
    phase_reason: str
    phase_since: datetime
    message: str
    submitted_by: str
    source: str
    created_at: datetime
    completed_at: datetime | None
    deleted_at: datetime | None
    end_seen: bool
    running_pods: int
    desired_pods: int
    requested_cpu_milli: int
    requested_memory_bytes: int
    requested_gpu_millionths: int
    requested_gpu_memory_bytes: int
    allocated_cpu_milli: int
    allocated_memory_bytes: int
    allocated_gpu_millionths: int
    nodes: list[str]
    priority_class: str
    can_stop: bool
    can_activate: bool
    can_delete: bool
    parent: dict[str, str] | None
    attributes: dict[str, str]
    version: int


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """The part of a workload's row that may still change when the workload is gone."""

    id: UUID
    phase: str
    phase_reason: str
    phase_since: datetime
    completed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class PodRow:
    """One pod; it stays, with `gone_at`, when the pod is gone."""

    pod_id: UUID
    workload_id: UUID
    name: str
    namespace: str
    role: str
    phase: str
    reason: str
    message: str
    node: str
    ready: bool
    terminating: bool
    restarts: int
    created_at: datetime
    gone_at: datetime | None
    cpu_milli: int
    memory_bytes: int
    gpu_millionths: int
    gpus: str
    containers: list[dict[str, Any]]
    version: int


@dataclass(frozen=True, slots=True)
class PodEnd:
    """A pod is gone."""

    pod_id: UUID
    gone_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class PodHome:
    """A pod belongs to another workload than it seemed."""

    pod_id: UUID
    workload_id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """Something that happened to a workload. `previous` and `current` are set for changes of phase alone."""

    position: int
    workload_id: UUID
    project: str
    time: datetime
    type: str
    previous: str | None
    current: str | None
    reason: str
    cause: int | None


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """One project; it stays, with `removed_at`, when it is removed."""

    id: UUID
    name: str
    namespace: str
    department: str
    quotas: list[dict[str, Any]]
    node_pools: list[str]
    airflow_unit: str
    preempt_minimum_seconds: int
    reclaim_minimum_seconds: int
    created_at: datetime
    removed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class DepartmentRow:
    """One department; it stays, with `removed_at`, when it is removed."""

    id: UUID
    name: str
    parent: str
    quotas: list[dict[str, Any]]
    preempt_minimum_seconds: int
    reclaim_minimum_seconds: int
    removed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class NodePoolRow:
    """One node pool; it stays, with `removed_at`, when it is removed."""

    id: UUID
    name: str
    label_key: str
    label_value: str
    gpu_placement: str
    cpu_placement: str
    removed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node of the cluster, now."""

    id: UUID
    name: str
    ready: bool
    unschedulable: bool
    cpu_milli: int
    memory_bytes: int
    gpu_devices: int
    gpu_product: str
    gpu_memory_bytes: int
    max_pods: int
    labels: dict[str, str]
    taints: list[dict[str, str]]
    others: dict[str, Any]
    version: int


@dataclass(slots=True)
class Changes:
    """What some consecutive events do to the tables. A node that is None has to go."""

    workloads: dict[UUID, WorkloadRow] = field(default_factory=dict)
    phases: dict[UUID, PhaseRow] = field(default_factory=dict)
    pods: dict[UUID, PodRow] = field(default_factory=dict)
    pod_ends: dict[UUID, PodEnd] = field(default_factory=dict)
    pod_homes: dict[UUID, PodHome] = field(default_factory=dict)
    history: list[HistoryRow] = field(default_factory=list)
    projects: dict[UUID, ProjectRow] = field(default_factory=dict)
    departments: dict[UUID, DepartmentRow] = field(default_factory=dict)
    node_pools: dict[UUID, NodePoolRow] = field(default_factory=dict)
    nodes: dict[UUID, NodeRow | None] = field(default_factory=dict)

    def put_pod(self, row: PodRow) -> None:
        """Set a pod's row; it is whole, so what was said of it before is over."""
        self.pods[row.pod_id] = row
        self.pod_homes.pop(row.pod_id, None)

    def end_pod(self, end: PodEnd) -> None:
        """Mark a pod as gone."""
        row = self.pods.get(end.pod_id)
        if row is None:
            self.pod_ends[end.pod_id] = end
        else:
            self.pods[end.pod_id] = replace(row, gone_at=end.gone_at, version=end.version)

    def move_pod(self, home: PodHome) -> None:
        """Give a pod to another workload."""
        row = self.pods.get(home.pod_id)
        if row is None:
            self.pod_homes[home.pod_id] = home
        else:
            self.pods[home.pod_id] = replace(row, workload_id=home.workload_id, version=home.version)


@dataclass(slots=True)
class Tables:
    """All rows, in memory."""

    workload: dict[UUID, WorkloadRow] = field(default_factory=dict)
    pod: dict[UUID, PodRow] = field(default_factory=dict)
    history: dict[int, HistoryRow] = field(default_factory=dict)
    project: dict[UUID, ProjectRow] = field(default_factory=dict)
    department: dict[UUID, DepartmentRow] = field(default_factory=dict)
    node_pool: dict[UUID, NodePoolRow] = field(default_factory=dict)
    node: dict[UUID, NodeRow] = field(default_factory=dict)

    def apply(self, changes: Changes) -> None:
        """Take changes, as the database does."""
        self.workload.update(changes.workloads)
        for phase in changes.phases.values():
            _change(self.workload, phase.id, phase)
        self.pod.update(changes.pods)
        for end in changes.pod_ends.values():
            _change(self.pod, end.pod_id, end)
        for home in changes.pod_homes.values():
            _change(self.pod, home.pod_id, home)
        self.history.update((row.position, row) for row in changes.history)
        self.project.update(changes.projects)
        self.department.update(changes.departments)
        self.node_pool.update(changes.node_pools)
        for node_id, node in changes.nodes.items():
            if node is None:
                self.node.pop(node_id, None)
            else:
                self.node[node_id] = node

    def by_name(self) -> Iterator[tuple[str, Mapping[Any, Any]]]:
        """Yield every table with its name."""
        return ((each.name, getattr(self, each.name)) for each in fields(self))


@dataclass(frozen=True, slots=True)
class Then:
    """What rows were at a position of the past: `tables` has those that may have changed since; the others still stand.

    `gone` are the workloads that were gone by then. Of one whose row changed all the same, `tables` has to have it.
    """

    position: int
    tables: Tables
    gone: Sequence[UUID] = ()


def values(row: Any) -> dict[str, Any]:
    """Return the columns of a row, with texts and numbers that a database takes."""
    return {each.name: _clean(getattr(row, each.name)) for each in fields(row)}


def _change(table: dict[UUID, Any], key: UUID, part: Any) -> None:
    if key in table:
        table[key] = replace(table[key], **{each.name: getattr(part, each.name) for each in fields(part)})


def _clean(value: Any) -> Any:
    match value:
        case str():
            return clean(value)
        case bool():
            return value
        case int():
            return max(-LARGEST, min(LARGEST, value))
        case list():
            return [_clean(each) for each in value]
        case dict():
            return {_clean(key): _clean(each) for key, each in value.items()}
        case _:
            return value
