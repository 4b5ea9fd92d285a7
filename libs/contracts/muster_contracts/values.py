"""The parts that events are made of: quantities, references to Kubernetes objects, pods, containers, patches.

Quantities that decide anything are integers, because floating point would make two replays differ: processors in
thousandths (`cpu_milli`), memory in bytes, GPUs in millionths of one device (`gpu_millionths`).
"""

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from muster_contracts.base import Instant, Value
from muster_contracts.phases import PriorityClass, WorkloadKind

WHOLE_GPU = 1_000_000
"""One whole device, in millionths."""


class Source(StrEnum):
    """The door through which a request came."""

    CLI = "cli"
    API = "api"
    CONSOLE = "console"
    BUS = "bus"
    YAML = "yaml"


class Caller(Value):
    """Who asked: `name` of a person or an application, and through which door."""

    name: str
    kind: Literal["user", "application", "system"] = "user"
    source: Source = Source.API


class Resources(Value):
    """An amount of what a node has and a pod asks for. Extended resources are counted as Kubernetes counts them.

    `gpu_memory_bytes` is asked for instead of GPUs, or parts of them: how much of a device that is depends on the node.
    """

    cpu_milli: int = 0
    memory_bytes: int = 0
    gpu_millionths: int = 0
    gpu_memory_bytes: int = 0
    extended: dict[str, int] = {}


class GpuRequest(Value):
    """What one pod asks of GPUs: so many devices, the same share of each; or so much memory of each."""

    devices: int = 0
    portion_millionths: int = WHOLE_GPU
    memory_bytes: int | None = None


class ObjectRef(Value):
    """Which Kubernetes object; `resource` is the plural used in its URL."""

    api_version: str
    kind: str
    resource: str
    namespace: str
    name: str
    uid: UUID | None = None


class Patch(Value):
    """A change of one live object, ready to be sent: a JSON merge patch made from one resource version."""

    object: ObjectRef
    resource_version: str
    body: dict[str, Any]


class Controls(Value):
    """How this workload is stopped, activated and deleted, worked out from the live objects by `integrations`.

    `activate` is kept from before the stop, so that what was scaled to zero finds its old size again. An empty tuple
    means that the kind cannot do it; `reason` then says why in one sentence. `warning` is what to know before deleting.
    """

    stop: tuple[Patch, ...] = ()
    activate: tuple[Patch, ...] = ()
    delete: tuple[ObjectRef, ...] = ()
    reason: str = ""
    warning: str = ""


class Supports(Value):
    """What a kind of workload allows, whatever state it is in."""

    stop: bool = False
    activate: bool = False
    delete: bool = True


class ParentRef(Value):
    """The thing a workload belongs to without being part of it: a schedule, an experiment, a DAG run."""

    kind: str
    name: str


class EnvironmentVariable(Value):
    """One variable of a container's environment."""

    name: str
    value: str = ""


class WorkloadSpec(Value):
    """What a training or a workspace runs and needs; the effective spec, after every default was filled in.

    `gpu_devices` are devices per pod, of each of which it takes a portion, or so many bytes of its memory. `cpu_milli`
    and `memory_bytes` are requests per pod. `parallelism` pods run at once until `completions` have succeeded. With
    `min_members` the pods start together or not at all (one gang); without it each is scheduled alone. `backoff_limit`
    counts retries of failed pods. With `terminate_after_preemption` the first pod that is evicted ends the workload.
    """

    kind: WorkloadKind
    image: str
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: tuple[EnvironmentVariable, ...] = ()
    working_directory: str = ""
    gpu_devices: int = 0
    gpu_portion_millionths: int = WHOLE_GPU
    gpu_memory_bytes: int | None = None
    cpu_milli: int = 1000
    memory_bytes: int = 100 * 1024 * 1024
    parallelism: int = 1
    completions: int | None = None
    min_members: int | None = None
    backoff_limit: int = 6
    priority_class: PriorityClass = PriorityClass.TRAIN
    node_pools: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    auto_deletion_seconds: int | None = None
    termination_grace_period_seconds: int = 30
    terminate_after_preemption: bool = False


class ContainerState(StrEnum):
    """The three states Kubernetes knows for a container."""

    WAITING = "waiting"
    RUNNING = "running"
    TERMINATED = "terminated"


class ContainerFacts(Value):
    """One container of a pod. `role` tells apart those that count from those that only help (init, sidecar)."""

    name: str
    role: Literal["main", "init", "sidecar"] = "main"
    state: ContainerState = ContainerState.WAITING
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    ready: bool = False
    restarts: int = 0


class PodPhase(StrEnum):
    """The phase Kubernetes gives a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class Toleration(Value):
    """A taint that a pod can live with, as in Kubernetes; an empty `key` with `Exists` tolerates everything."""

    key: str = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: str = ""


class Taint(Value):
    """What keeps pods off a node."""

    key: str
    value: str = ""
    effect: str


class LabelRule(Value):
    """What a label must be, as in Kubernetes' selectors; `Gt` and `Lt` compare integers."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = "In"
    values: tuple[str, ...] = ()


class NodeTerm(Value):
    """Nodes of which every rule holds; with `names`, only the nodes of these names."""

    rules: tuple[LabelRule, ...] = ()
    names: tuple[str, ...] = ()


class NodePreference(Value):
    """Nodes that are better than others, by how much (1 to 100)."""

    weight: int
    term: NodeTerm


class PodTerm(Value):
    """Pods that a pod wants, or does not want, in its own domain of `topology_key`. No namespaces: those of the pod."""

    topology_key: str
    rules: tuple[LabelRule, ...] = ()
    namespaces: tuple[str, ...] = ()


class SpreadRule(Value):
    """By how much the domains of a label may differ in pods that match; `required` or merely better.

    Domains count by their nodes: those that the pod's selector and affinity admit (`honours_affinity`), whether or not
    it tolerates their taints (`honours_taints`). While they are fewer than `min_domains`, the emptiest counts as empty.
    """

    topology_key: str
    max_skew: int = 1
    rules: tuple[LabelRule, ...] = ()
    required: bool = True
    min_domains: int = 1
    honours_affinity: bool = True
    honours_taints: bool = False


class ReadyVolumes(Value):
    """So many volumes that suit a claim lie ready on each node of which one of the terms holds."""

    free: int
    nodes: tuple[NodeTerm, ...]


class ClaimChoice(Value):
    """A claim that takes one of the volumes of its class that lie ready. `ready` is empty where too many do to tell."""

    claim: str
    storage_class: str
    ready: tuple[ReadyVolumes, ...] = ()


class PlacementRules(Value):
    """What a pod demands of its node beside room: one of `nodes`, `near` and not `near` other pods, spread.

    `volumes` holds, for each claim whose volume is, or can be, within reach of some nodes only, the terms of which one
    must hold. `host_ports` are written as `TCP/8080`. `claims_waiting` names the claims whose volume is made for the
    first pod that uses them, on its node; `claims_choosing` are those that then take one that lies ready there;
    `claims_unbound` those that have none yet, wherever it will be, or are not there.
    """

    nodes: tuple[NodeTerm, ...] = ()
    preferred_nodes: tuple[NodePreference, ...] = ()
    near: tuple[PodTerm, ...] = ()
    apart: tuple[PodTerm, ...] = ()
    spread: tuple[SpreadRule, ...] = ()
    volumes: tuple[tuple[NodeTerm, ...], ...] = ()
    host_ports: tuple[str, ...] = ()
    claims_waiting: tuple[str, ...] = ()
    claims_unbound: tuple[str, ...] = ()
    claims_choosing: tuple[ClaimChoice, ...] = ()


class PodFacts(Value):
    """The facts of one pod that matter to anybody, whole each time, so that the last one seen is the truth.

    `resource_version` is a fact only while the pod is unbound (the scheduler binds against it); a bound pod's is that
    of the last change that mattered. `node` is empty until the pod is bound. `sub_group` names its part of the pod
    group; of two pods of one group the higher `order_priority` starts first and goes last. `labels` are those that
    rules of pods may ask for.
    """

    pod_id: UUID
    name: str
    namespace: str
    pod_group_id: UUID | None = None
    role: str = "pod"
    scheduler_name: str = ""
    resource_version: str = ""
    created_at: Instant
    phase: PodPhase = PodPhase.PENDING
    reason: str = ""
    message: str = ""
    node: str = ""
    ready: bool = False
    initialized: bool = False
    terminating: bool = False
    containers: tuple[ContainerFacts, ...] = ()
    requests: Resources = Resources()
    gpu: GpuRequest = GpuRequest()
    gpus: str = ""  # what the scheduler wrote with the binding: device indices and portions
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    scheduling_gates: tuple[str, ...] = ()
    sub_group: str = ""
    order_priority: int = 0
    labels: dict[str, str] = {}
    rules: PlacementRules | None = None


class PodMark(Value):
    """Which pod went away, and how it stood when it was last seen."""

    pod_id: UUID
    name: str
    last_phase: PodPhase
    node: str = ""
    exit_seen: bool = False


class TopologyConstraint(Value):
    """How near to one another pods must, or should, be. `levels` are node labels, the widest first."""

    levels: tuple[str, ...] = ()
    required: str = ""
    preferred: str = ""

    @property
    def shared_levels(self) -> tuple[str, ...]:
        """The labels that all pods must share; a required one that is no level of the topology stands below them."""
        if not self.required:
            return ()
        levels = (*self.levels, self.required)
        return levels[: levels.index(self.required) + 1]


class SubGroup(Value):
    """A part of a pod group that has a minimum of its own, for example Ray's worker groups.

    Parts nest by `parent` (empty: the group itself). One that has parts holds no pods; it needs `min_sub_groups` of
    them, None meaning all.
    """

    name: str
    min_members: int
    parent: str = ""
    min_sub_groups: int | None = None
    topology: TopologyConstraint | None = None


class Outcome(StrEnum):
    """What an owning object says of its end."""

    NONE = "none"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class OwnerFacts(Value):
    """What the owning object says of itself, whole each time.

    `desired_pods` is how many pods should exist at once; `min_pods` how many are enough to start: smaller only for
    elastic kinds. `serving` kinds never complete. `ready` is what the object itself says of its health: True when it is
    well (even without a pod, as what is scaled to zero), False when something is wrong, None when only pods can tell.
    `quiet_outcome` is what has become of it if no pod of it ever comes again; NONE where an object tells of the end.
    """

    suspended: bool = False
    deleting: bool = False
    outcome: Outcome = Outcome.NONE
    reason: str = ""
    desired_pods: int = 1
    min_pods: int = 1
    serving: bool = False
    finished_at: Instant | None = None
    ready: bool | None = None
    quiet_outcome: Outcome = Outcome.NONE


class DeviceShare(Value):
    """A part of one GPU: its index on the node and the portion in millionths."""

    index: int
    portion_millionths: int = WHOLE_GPU


class Placement(Value):
    """A promise that one pod will be bound to one node, with these devices, if it is still what it was."""

    workload_id: UUID
    pod_group_id: UUID
    pod_id: UUID
    namespace: str
    name: str
    resource_version: str
    node: str
    devices: tuple[DeviceShare, ...] = ()


class Victim(Value):
    """A pod that has to go, for whose sake, and by which rule (reclaim, preempt, consolidate, stale gang)."""

    workload_id: UUID
    pod_id: UUID
    namespace: str
    name: str
    beneficiary_id: UUID | None = None
    rule: str


class BoundPod(Value):
    """A pod that is bound: where, with which devices."""

    pod_id: UUID
    name: str
    node: str
    devices: tuple[DeviceShare, ...] = ()


class PoolQuota(Value):
    """What a project or department may use of one node pool. None means no limit.

    `over_quota_weight` is that of GPUs; unused processors and memory are divided by weights of their own. Without one a
    project's is Medium (2), and a department weighs what its GPU quota is.
    """

    node_pool: str = "default"
    gpu_millionths: int | None = 0
    cpu_milli: int | None = None
    memory_bytes: int | None = None
    gpu_limit_millionths: int | None = None
    cpu_limit_milli: int | None = None
    memory_limit_bytes: int | None = None
    over_quota_weight: int | None = None
    priority: int = 0
    cpu_over_quota_weight: int = 1
    memory_over_quota_weight: int = 1
