"""Every fact that may stand in the journal, one frozen model each, in the past tense, its version in its name.

The first line of a docstring ends with the only service that may write the event; `subjects.py` has the same as a
table, and NATS permissions enforce it. A field is added with a default and keeps the version; anything else is a new
class with the next number and an upcast for the old one. No fold ever reads a clock: what happened when is the
envelope's time.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from muster_contracts.base import Event, Instant
from muster_contracts.errors import Complaint, RefusalCode
from muster_contracts.phases import Phase, WorkloadClass
from muster_contracts.values import (
    BoundPod,
    Caller,
    Controls,
    OwnerFacts,
    ParentRef,
    Placement,
    PodFacts,
    PodMark,
    PoolQuota,
    Resources,
    SubGroup,
    Supports,
    Taint,
    TopologyConstraint,
    Victim,
    WorkloadSpec,
)

# ---------------------------------------------------------------- what people and systems ask for (submitter)


class WorkloadSubmitted(Event):
    """A workload was accepted, with its full effective spec. Written by `submitter`.

    `request_digest` is the SHA-256 of what was asked, so that the same idempotency key with another body is refused.
    The object's kind, namespace and name are fixed here: recognition believes a workload id only on that object.
    """

    type: Literal["WorkloadSubmitted.v1"] = "WorkloadSubmitted.v1"
    workload_id: UUID
    name: str
    project_id: UUID
    project: str
    namespace: str
    object_api_version: str = "batch/v1"
    object_kind: str = "Job"
    object_name: str
    spec: WorkloadSpec
    submitted_by: Caller
    idempotency_key: str
    request_digest: str


class SubmissionRefused(Event):
    """A submission that came over the bus was refused, with the complaints per field. Written by `submitter`."""

    type: Literal["SubmissionRefused.v1"] = "SubmissionRefused.v1"
    workload_id: UUID
    application: str
    project: str
    code: RefusalCode
    message: str
    complaints: tuple[Complaint, ...] = ()


class ObjectsApplied(Event):
    """The Kubernetes objects of a workload exist. Written by `submitter`."""

    type: Literal["ObjectsApplied.v1"] = "ObjectsApplied.v1"
    workload_id: UUID
    object_id: UUID
    resource_version: str


class ObjectsRefused(Event):
    """Kubernetes will never take the objects of an accepted workload; it says why. Written by `submitter`."""

    type: Literal["ObjectsRefused.v1"] = "ObjectsRefused.v1"
    workload_id: UUID
    reason: str


class StopRequested(Event):
    """Somebody asked that a workload stop and keep its objects. Written by `submitter`."""

    type: Literal["StopRequested.v1"] = "StopRequested.v1"
    workload_id: UUID
    requested_by: Caller


class ActivateRequested(Event):
    """Somebody asked that a stopped workload run again. Written by `submitter`."""

    type: Literal["ActivateRequested.v1"] = "ActivateRequested.v1"
    workload_id: UUID
    requested_by: Caller


class DeleteRequested(Event):
    """Somebody asked that a workload and its objects go away. Written by `submitter`."""

    type: Literal["DeleteRequested.v1"] = "DeleteRequested.v1"
    workload_id: UUID
    requested_by: Caller


class LimitReached(Event):
    """A deadline of a workload passed: which one, and what follows. Written by `submitter`."""

    type: Literal["LimitReached.v1"] = "LimitReached.v1"
    workload_id: UUID
    limit: Literal["duration", "idle-gpu", "image-pull", "auto-deletion", "quiet"]
    limit_seconds: int
    effect: Literal["stop", "fail", "delete", "complete"]
    reason: str


class ProjectChanged(Event):
    """A project was created, changed or removed. Written by `submitter`.

    `airflow_unit` says what of Airflow is one workload in this project: a DAG run, or each of its tasks.
    """

    type: Literal["ProjectChanged.v1"] = "ProjectChanged.v1"
    project_id: UUID
    name: str
    namespace: str
    department: str = "default"
    quotas: tuple[PoolQuota, ...] = ()
    node_pools: tuple[str, ...] = ()
    airflow_unit: Literal["dag-run", "task"] = "dag-run"
    removed: bool = False
    changed_by: Caller
    preempt_minimum_seconds: int = 0
    reclaim_minimum_seconds: int = 0


class DepartmentChanged(Event):
    """A department was created, changed or removed. Written by `submitter`."""

    type: Literal["DepartmentChanged.v1"] = "DepartmentChanged.v1"
    department_id: UUID
    name: str
    parent: str = ""
    quotas: tuple[PoolQuota, ...] = ()
    removed: bool = False
    changed_by: Caller
    preempt_minimum_seconds: int = 0
    reclaim_minimum_seconds: int = 0


class NodePoolChanged(Event):
    """A node pool was created, changed or removed. Written by `submitter`."""

    type: Literal["NodePoolChanged.v1"] = "NodePoolChanged.v1"
    node_pool_id: UUID
    name: str
    label_key: str = ""
    label_value: str = ""
    gpu_placement: Literal["bin-pack", "spread"] = "bin-pack"
    cpu_placement: Literal["bin-pack", "spread"] = "bin-pack"
    removed: bool = False
    changed_by: Caller


class PolicyChanged(Event):
    """The policy of one kind of workload in one scope was set or removed. Written by `submitter`.

    `document` is the policy as YAML text, exactly as it was given, so that an auditor reads what its author wrote.
    """

    type: Literal["PolicyChanged.v1"] = "PolicyChanged.v1"
    policy_id: UUID
    workload_kind: str
    scope: Literal["cluster", "department", "project"]
    scope_name: str
    document: str
    removed: bool = False
    changed_by: Caller


class AccessRuleChanged(Event):
    """A subject was given a role in a scope, or lost it. Written by `submitter`."""

    type: Literal["AccessRuleChanged.v1"] = "AccessRuleChanged.v1"
    access_rule_id: UUID
    subject_kind: Literal["user", "group", "application"]
    subject: str
    role: str
    scope: Literal["system", "cluster", "department", "project"]
    scope_name: str = ""
    removed: bool = False
    changed_by: Caller


class AttemptRefused(Event):
    """Somebody tried what he may not. Written by `submitter`."""

    type: Literal["AttemptRefused.v1"] = "AttemptRefused.v1"
    attempt_id: UUID
    attempted_by: Caller
    action: str
    target: str
    reason: str


class SessionOpened(Event):
    """Somebody entered a container, or forwarded one of its ports. Written by `submitter`."""

    type: Literal["SessionOpened.v1"] = "SessionOpened.v1"
    workload_id: UUID
    session_id: UUID
    pod: str
    container: str
    purpose: Literal["exec", "attach", "port-forward", "terminal"]
    opened_by: Caller


class SessionClosed(Event):
    """A session ended. Written by `submitter`."""

    type: Literal["SessionClosed.v1"] = "SessionClosed.v1"
    workload_id: UUID
    session_id: UUID
    reason: str = ""


class TokenIssued(Event):
    """An application or a person was given a token; its secret is not here. Written by `submitter`."""

    type: Literal["TokenIssued.v1"] = "TokenIssued.v1"
    token_id: UUID
    holder: Caller
    expires_at: Instant | None = None
    issued_by: Caller


class TokenRevoked(Event):
    """A token holds no longer. Written by `submitter`."""

    type: Literal["TokenRevoked.v1"] = "TokenRevoked.v1"
    token_id: UUID
    revoked_by: Caller


# ---------------------------------------------------------------- what is seen, by integrations


class WorkloadDiscovered(Event):
    """A workload was recognised in the cluster: what it is and what can be done with it. Written by `integrations`.

    One submitted through Muster is discovered under its own id; a foreign one under the UID of its object, or under an
    id made from its `identity` when it has no object. `identity` is the UID, else `namespace/key`.
    """

    type: Literal["WorkloadDiscovered.v1"] = "WorkloadDiscovered.v1"
    workload_id: UUID
    kind: str
    api_version: str
    workload_class: WorkloadClass
    name: str
    namespace: str
    project: str
    object_id: UUID | None
    identity: str = ""
    identity_source: Literal["owner", "label", "annotation", "env", "pod", "name"] = "owner"
    parent: ParentRef | None = None
    attributes: dict[str, str] = {}
    owner: OwnerFacts = OwnerFacts()
    controls: Controls = Controls()
    supports: Supports = Supports()
    requests: Resources = Resources()
    created_at: Instant


class WorkloadGone(Event):
    """The last object of a workload is gone; its end was seen, or it was not. Written by `integrations`."""

    type: Literal["WorkloadGone.v1"] = "WorkloadGone.v1"
    workload_id: UUID
    end_seen: bool
    reason: str = ""


class OwnerObserved(Event):
    """The owning object says something new of itself. Written by `integrations`.

    `controls` travel along when they changed; while the workload is stopped they keep what has to be restored. So do
    `attributes`, `requests` and `parent`, which may become known after the workload.
    """

    type: Literal["OwnerObserved.v1"] = "OwnerObserved.v1"
    workload_id: UUID
    owner: OwnerFacts
    controls: Controls | None = None
    attributes: dict[str, str] | None = None
    requests: Resources | None = None
    parent: ParentRef | None = None


class PodGroupFormed(Event):
    """Some pods of a workload are scheduled together. Written by `integrations`.

    `priority` and `preemptible` follow from the class unless they are given. A group with sub-groups needs
    `min_sub_groups` of those at its top, None meaning all.
    """

    type: Literal["PodGroupFormed.v1"] = "PodGroupFormed.v1"
    workload_id: UUID
    pod_group_id: UUID
    name: str
    min_members: int
    sub_groups: tuple[SubGroup, ...] = ()
    priority_class: str = "train"
    node_pools: tuple[str, ...] = ()
    priority: int | None = None
    preemptible: bool | None = None
    topology: TopologyConstraint | None = None
    min_sub_groups: int | None = None


class PodGroupChanged(Event):
    """What a pod group needs to start, all said anew, or that it dissolved. Written by `integrations`."""

    type: Literal["PodGroupChanged.v1"] = "PodGroupChanged.v1"
    workload_id: UUID
    pod_group_id: UUID
    min_members: int
    sub_groups: tuple[SubGroup, ...] = ()
    dissolved: bool = False
    topology: TopologyConstraint | None = None
    min_sub_groups: int | None = None


class PodObserved(Event):
    """Pods of one workload, seen together, changed in a way that matters. Written by `integrations`."""

    type: Literal["PodObserved.v1"] = "PodObserved.v1"
    workload_id: UUID
    pods: tuple[PodFacts, ...]


class PodGone(Event):
    """Pods of one workload no longer exist. Written by `integrations`."""

    type: Literal["PodGone.v1"] = "PodGone.v1"
    workload_id: UUID
    pods: tuple[PodMark, ...]


class PodMoved(Event):
    """A pod turned out to belong to another workload. Written by `integrations` on the workload it left."""

    type: Literal["PodMoved.v1"] = "PodMoved.v1"
    workload_id: UUID
    pod_id: UUID
    new_workload_id: UUID
    reason: str


class NodeObserved(Event):
    """A node, whole each time something about it changed that matters. Written by `integrations`.

    `others` sums the requests of the pods on it that belong to no workload (DaemonSets, static pods, foreign
    namespaces); `gpu_devices` and `gpu_memory_bytes` are per node and per device.
    """

    type: Literal["NodeObserved.v1"] = "NodeObserved.v1"
    node_id: UUID
    name: str
    ready: bool
    unschedulable: bool = False
    allocatable: Resources
    max_pods: int = 110
    gpu_devices: int = 0
    gpu_product: str = ""
    gpu_memory_bytes: int = 0
    labels: dict[str, str] = {}
    taints: tuple[Taint, ...] = ()
    others: Resources = Resources()
    other_pods: int = 0


class NodeGone(Event):
    """A node left the cluster. Written by `integrations`."""

    type: Literal["NodeGone.v1"] = "NodeGone.v1"
    node_id: UUID
    name: str


# ---------------------------------------------------------------- what was decided (scheduler)


class LeadershipTaken(Event):
    """A scheduler leads from here on; plans of an older epoch can no longer be appended. Written by `scheduler`."""

    type: Literal["LeadershipTaken.v1"] = "LeadershipTaken.v1"
    cluster_id: UUID
    epoch: int
    instance: str


class PlanMade(Event):
    """The decision before the deed: who is placed where, and who has to go. Written by `scheduler`.

    `based_on` is the position of the journal the snapshot was folded to. A plan of several parts has the same
    `plan_id` and `based_on` in each; every part holds whole gangs with their victims. Nominations are the places that
    a group is to have once its victims are gone; nobody is bound by them, and until then nobody else gets them. `steps`
    is how much of `step_limit` was used, `settings` what else bounds a plan, by name; the digest is of both.
    """

    type: Literal["PlanMade.v1"] = "PlanMade.v1"
    cluster_id: UUID
    plan_id: UUID
    based_on: int
    epoch: int
    part: int = 1
    parts: int = 1
    planner_version: str
    settings_digest: str
    step_limit: int
    placements: tuple[Placement, ...] = ()
    victims: tuple[Victim, ...] = ()
    nominations: tuple[Placement, ...] = ()
    steps: int = 0
    settings: dict[str, int] = {}


class PodScheduled(Event):
    """Pods of one pod group are bound. Written by `scheduler`."""

    type: Literal["PodScheduled.v1"] = "PodScheduled.v1"
    workload_id: UUID
    pod_group_id: UUID
    plan_id: UUID
    pods: tuple[BoundPod, ...]


class PlacementReleased(Event):
    """A promise was given up: binding refused, pod gone, gang not whole. Written by `scheduler`.

    `misplaced` are those of the pods whose node will not do, for no volume of theirs can be there.
    """

    type: Literal["PlacementReleased.v1"] = "PlacementReleased.v1"
    workload_id: UUID
    pod_group_id: UUID
    plan_id: UUID
    pod_ids: tuple[UUID, ...]
    reason: str
    misplaced: tuple[UUID, ...] = ()


class PodPreempted(Event):
    """Pods were evicted: for whom, by which rule. Written by `scheduler`."""

    type: Literal["PodPreempted.v1"] = "PodPreempted.v1"
    workload_id: UUID
    plan_id: UUID
    pod_ids: tuple[UUID, ...]
    beneficiary_id: UUID | None = None
    rule: str
    reason: str
    final: bool = False  # the workload asked to be terminated rather than queued again


class DeadlinePassed(Event):
    """A minimum run time, a grace (of a gang that is stale, a successor), a pause is over. Written by `scheduler`.

    `at` is the moment that has passed: whatever the writers' clocks say, it is not waited for again.
    """

    type: Literal["DeadlinePassed.v1"] = "DeadlinePassed.v1"
    workload_id: UUID
    pod_group_id: UUID
    deadline: Literal[
        "minimum-run-time",
        "stale-gang",
        "refused-eviction",
        "refused-volume",
        "refused-binding",
        "awaited-successor",
        "set-aside",
    ]
    at: Instant | None = None


class WorkloadBlocked(Event):
    """Why a workload waits: one dominant reason, and what would free it. Written by `scheduler`, when it changes.

    `code` is for machines, `reason` one sentence for people, `numbers` the quantities in it.
    """

    type: Literal["WorkloadBlocked.v1"] = "WorkloadBlocked.v1"
    workload_id: UUID
    pod_group_id: UUID
    code: str
    reason: str
    numbers: dict[str, int] = {}
    remedy: str = ""


# ---------------------------------------------------------------- what follows (status)


class PhaseChanged(Event):
    """A workload left one phase for another. Written by `status`.

    `cause` is the position of the event that made it so, `step` counts the transitions from the same cause, `table`
    is the version of the phase table that decided it.
    """

    type: Literal["PhaseChanged.v1"] = "PhaseChanged.v1"
    workload_id: UUID
    previous: Phase | None
    current: Phase
    reason: str
    cause: int
    step: int = 0
    table: int


class PhaseTableAdopted(Event):
    """From this position on the named phase table holds. Written by `status`."""

    type: Literal["PhaseTableAdopted.v1"] = "PhaseTableAdopted.v1"
    cluster_id: UUID
    table: int


class GpuIdle(Event):
    """The GPUs of a workload fell idle. Written by `status`."""

    type: Literal["GpuIdle.v1"] = "GpuIdle.v1"
    workload_id: UUID
    devices: int
    idle_since: Instant


class GpuBusy(Event):
    """The GPUs of a workload work again. Written by `status`."""

    type: Literal["GpuBusy.v1"] = "GpuBusy.v1"
    workload_id: UUID
    devices: int


WorkloadEvent = (
    WorkloadSubmitted
    | SubmissionRefused
    | ObjectsApplied
    | ObjectsRefused
    | StopRequested
    | ActivateRequested
    | DeleteRequested
    | LimitReached
    | SessionOpened
    | SessionClosed
    | WorkloadDiscovered
    | WorkloadGone
    | OwnerObserved
    | PodGroupFormed
    | PodGroupChanged
    | PodObserved
    | PodGone
    | PodMoved
    | PodScheduled
    | PlacementReleased
    | PodPreempted
    | DeadlinePassed
    | WorkloadBlocked
    | PhaseChanged
    | GpuIdle
    | GpuBusy
)
"""What stands on a workload's subjects; each has a `workload_id`."""

OrganisationEvent = (
    ProjectChanged
    | DepartmentChanged
    | NodePoolChanged
    | PolicyChanged
    | AccessRuleChanged
    | AttemptRefused
    | TokenIssued
    | TokenRevoked
)
ClusterEvent = NodeObserved | NodeGone | LeadershipTaken | PlanMade | PhaseTableAdopted

AnyEvent = WorkloadEvent | OrganisationEvent | ClusterEvent
"""Every event of the current vocabulary; `match` over it ends in `assert_never`."""

any_event: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])
