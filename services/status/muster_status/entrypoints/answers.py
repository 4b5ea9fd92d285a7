"""The shapes of answers, for the OpenAPI document and the clients made from it. A test holds them to the views."""

from datetime import datetime
from typing import Any
from uuid import UUID

from muster_contracts.phases import Phase, WorkloadClass, WorkloadKind
from pydantic import BaseModel, Field


class Issue(BaseModel):
    """What is wrong with one field."""

    field: str
    details: str


class Problem(BaseModel):
    """Every error has this shape; `message` is one sentence for people."""

    code: int
    message: str
    details: str
    compliance_issues: list[Issue]


class Amounts(BaseModel):
    """Processors in thousandths, memory in bytes, GPUs in millionths of one device."""

    cpu_milli: int
    memory_bytes: int
    gpu_millionths: int


class Asked(Amounts):
    """What is asked for. `gpu_memory_bytes` are asked for in place of GPUs, or beside them for other pods."""

    gpu_memory_bytes: int


class Actions(BaseModel):
    """What can be done with a kind of workload, whatever state it is in."""

    stop: bool
    activate: bool
    delete: bool


class Parent(BaseModel):
    """The thing a workload belongs to without being part of it."""

    kind: str
    name: str


class Workload(BaseModel):
    """A workload. `version` is the position of the last event folded into it; amounts are of all its pods."""

    id: UUID
    name: str
    project: str
    namespace: str
    kind: str
    workload_class: WorkloadClass = Field(alias="class")
    workload_kind: WorkloadKind | None
    phase: Phase
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
    requests: Asked
    allocated: Amounts
    nodes: list[str]
    priority_class: str
    actions_supported: Actions
    parent: Parent | None
    attributes: dict[str, str]
    version: int


class Found(BaseModel):
    """A moment: a position of the journal, and the time of the event there, null at 0."""

    position: int
    time: datetime | None


class WorkloadList(BaseModel):
    """A page; `next` is the offset of the following one, null at the end.

    It was like that at `position`: asked for again with `at`, it is the same. `time` is of the event there, where `at`
    was given.
    """

    workloads: list[Workload]
    next: int | None
    position: int
    time: datetime | None


class Counted(BaseModel):
    """How many there are."""

    count: int


class HistoryRecord(BaseModel):
    """Something that happened. A change of phase is a `PhaseChanged`; `previous` and `current` are its phases."""

    position: int
    time: datetime
    type: str
    previous: Phase | None
    current: Phase | None
    reason: str
    cause: int | None


class HistoryList(BaseModel):
    """What happened, oldest first; `next` is the position after which it goes on."""

    records: list[HistoryRecord]
    next: int | None


class Pod(BaseModel):
    """A pod of a workload; `containers` as they were last seen."""

    id: UUID
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
    requests: Amounts
    gpus: str
    containers: list[dict[str, Any]]
    version: int


class PodList(BaseModel):
    """The pods of a workload, by name."""

    pods: list[Pod]


class Project(BaseModel):
    """A project; `workloads` counts those that exist."""

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
    workloads: int | None
    version: int


class ProjectList(BaseModel):
    """All projects, by name."""

    projects: list[Project]


class Department(BaseModel):
    """A department; `parent` is the one above, empty at the top."""

    id: UUID
    name: str
    parent: str
    quotas: list[dict[str, Any]]
    preempt_minimum_seconds: int
    reclaim_minimum_seconds: int
    version: int


class DepartmentList(BaseModel):
    """All departments that were described, by name."""

    departments: list[Department]


class NodePool(BaseModel):
    """A node pool: the nodes with its label, and how pods are placed on them."""

    id: UUID
    name: str
    label_key: str
    label_value: str
    gpu_placement: str
    cpu_placement: str
    version: int


class NodePoolList(BaseModel):
    """All node pools that were described, by name; `default` takes the other nodes whether it is here or not."""

    node_pools: list[NodePool]


class Allocatable(BaseModel):
    """What a node has for pods."""

    cpu_milli: int
    memory_bytes: int


class Held(Amounts):
    """What pods of workloads hold of a node."""

    pods: int


class Node(BaseModel):
    """A node of the cluster; `others` is what pods of no workload hold."""

    id: UUID
    name: str
    ready: bool
    unschedulable: bool
    gpu_devices: int
    gpu_product: str
    gpu_memory_bytes: int
    max_pods: int
    allocatable: Allocatable
    allocated: Held | None
    labels: dict[str, str]
    taints: list[dict[str, str]]
    others: dict[str, Any]
    version: int


class NodeList(BaseModel):
    """All nodes, by name."""

    nodes: list[Node]


class LoopHealth(BaseModel):
    """One loop of a service."""

    condition: str
    reason: str = ""
    position: int | None = None
    end: int | None = None


class ServiceHealth(BaseModel):
    """One service."""

    service: str
    well: bool
    loops: dict[str, LoopHealth]


class System(BaseModel):
    """All services."""

    well: bool
    services: list[ServiceHealth]


class Verified(BaseModel):
    """What an audit found; at most 100 differences are told."""

    ok: bool
    events: int
    phases_checked: int
    rows_checked: int
    checkpoints_checked: int
    position: int
    differences_found: int
    differences: list[str]


class RecordedEvent(BaseModel):
    """An event as it stands in the journal."""

    position: int
    id: UUID
    type: str
    subject: str
    time: datetime
    cause: UUID | None
    data: dict[str, Any]


class CheckpointList(BaseModel):
    """The positions at which the scheduler's fold was written down and is kept, in order."""

    positions: list[int]


class WrittenDown(BaseModel):
    """A fold at the event of a position: `code` names what folded it, `digest` is the SHA-256 of the decoded `body`."""

    position: int
    event_id: UUID
    code: str
    digest: str
    body: str


class EventList(BaseModel):
    """Some events; `next` is the position after which to go on, null when there were none."""

    events: list[RecordedEvent]
    next: int | None
