"""The Kubernetes objects that services look at, as far as they look, and the `Resource` of each.

They are decoded straight from the server's bytes (`msgspec`), about five microseconds a pod. Every field has a
default: an object is never refused for what it lacks. Quantities stay as they are written (`quantities` reads them),
and so do affinities, which nobody reads but who schedules.

Pitfall: the items of a list carry neither `apiVersion` nor `kind`; the `Resource` says both.
"""

from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from muster_cluster.metadata import Metadata, Partial
from muster_cluster.port import Resource
from muster_cluster.quantities import Quantity

Raw = dict[str, Any]
"""A part of an object as plain JSON."""
Item = TypeVar("Item")


class Resources(Partial, frozen=True, gc=False):
    """What a container asks for and may use, by name of the resource."""

    requests: dict[str, Quantity] = msgspec.field(default_factory=dict)
    limits: dict[str, Quantity] = msgspec.field(default_factory=dict)


class EnvironmentVariable(Partial, frozen=True, gc=False):
    """A variable of a container; `value_from` when its value lies elsewhere."""

    name: str = ""
    value: str = ""
    value_from: Raw | None = None


class ContainerPort(Partial, frozen=True, gc=False):
    """A port of a container; `host_port` when it is taken on the node itself, 0 when it is not."""

    host_port: int = 0
    protocol: str = "TCP"


class Container(Partial, frozen=True, gc=False):
    """A container, or an init container: one that restarts always (`Always`) is a sidecar."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvironmentVariable, ...] = ()
    resources: Resources = Resources()
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""

    @property
    def is_sidecar(self) -> bool:
        """Say whether it is an init container that stays on beside the others."""
        return self.restart_policy == "Always"


class Toleration(Partial, frozen=True, gc=False):
    """Which taints a pod bears."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None


class ClaimSource(Partial, frozen=True, gc=False):
    """Which claim a volume of a pod is."""

    claim_name: str = ""


class Volume(Partial, frozen=True, gc=False):
    """A volume of a pod, as far as it is a claim: one that is named, or one that is made with the pod (`ephemeral`)."""

    name: str = ""
    persistent_volume_claim: ClaimSource | None = None
    ephemeral: Raw | None = None


class SchedulingGate(Partial, frozen=True, gc=False):
    """Something that must be taken away before a pod may be bound."""

    name: str = ""


class PodSpec(Partial, frozen=True, gc=False):
    """What a pod, or the template of one, asks for."""

    node_name: str = ""
    scheduler_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    resources: Resources = Resources()
    overhead: dict[str, Quantity] = msgspec.field(default_factory=dict)
    node_selector: dict[str, str] = msgspec.field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    affinity: Raw | None = None
    topology_spread_constraints: tuple[Raw, ...] = ()
    priority_class_name: str = ""
    priority: int | None = None
    scheduling_gates: tuple[SchedulingGate, ...] = ()
    volumes: tuple[Volume, ...] = ()
    termination_grace_period_seconds: int | None = None
    restart_policy: str = "Always"


def read_pod_spec(raw: Any) -> PodSpec | None:
    """Return what a pod template written as plain JSON asks for; None when it cannot be read as one."""
    try:
        return msgspec.convert(raw, PodSpec)
    except msgspec.ValidationError:
        return None


def read_object(raw: Raw, model: type[Item]) -> Item:
    """Return an object that is written as plain JSON. Raises ValueError with what is wrong with it."""
    try:
        return msgspec.convert(raw, model)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def read_moment(text: str) -> datetime | None:
    """Return a point in time as Kubernetes writes it; None when it is none, which it is without a zone."""
    try:
        found = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return None
    return found if found.tzinfo is not None else None


class Condition(Partial, frozen=True, gc=False):
    """What is true of an object at the moment: `status` is True, False or Unknown."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Waiting(Partial, frozen=True, gc=False):
    """A container that does not run yet, or not now."""

    reason: str = ""
    message: str = ""


class Running(Partial, frozen=True, gc=False):
    """A container that runs."""

    started_at: datetime | None = None


class Terminated(Partial, frozen=True, gc=False):
    """A container that has ended."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class ContainerState(Partial, frozen=True, gc=False):
    """One of three states; none of them means waiting."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Partial, frozen=True, gc=False):
    """How a container fares; `last_state` is how it ended the time before."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    image_id: str = msgspec.field(default="", name="imageID")
    container_id: str = msgspec.field(default="", name="containerID")
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Partial, frozen=True, gc=False):
    """How a pod fares."""

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    nominated_node_name: str = ""
    start_time: datetime | None = None


class Pod(Partial, frozen=True, gc=False):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplate(Partial, frozen=True, gc=False):
    """From what a controller makes its pods."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


class Selector(Partial, frozen=True, gc=False):
    """Which objects are meant, by their labels."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[Raw, ...] = ()


class Taint(Partial, frozen=True, gc=False):
    """What keeps pods off a node that do not tolerate it."""

    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(Partial, frozen=True, gc=False):
    """How a node is meant to be used."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class NodeStatus(Partial, frozen=True, gc=False):
    """What a node has and how it fares."""

    allocatable: dict[str, Quantity] = msgspec.field(default_factory=dict)
    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


class Node(Partial, frozen=True, gc=False):
    """A machine of the cluster."""

    metadata: Metadata = Metadata()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class JobSpec(Partial, frozen=True, gc=False):
    """How a Job runs its pods."""

    parallelism: int | None = None
    completions: int | None = None
    completion_mode: str = "NonIndexed"
    suspend: bool = False
    backoff_limit: int | None = None
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    selector: Selector | None = None
    template: PodTemplate = PodTemplate()


class JobStatus(Partial, frozen=True, gc=False):
    """How far a Job has come."""

    active: int = 0
    ready: int = 0
    succeeded: int = 0
    failed: int = 0
    terminating: int = 0
    conditions: tuple[Condition, ...] = ()
    start_time: datetime | None = None
    completion_time: datetime | None = None


class Job(Partial, frozen=True, gc=False):
    """A batch of pods that run to their end."""

    metadata: Metadata = Metadata()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class ReplicasSpec(Partial, frozen=True, gc=False):
    """How a Deployment, ReplicaSet or StatefulSet keeps its pods; `paused` is a Deployment's alone."""

    replicas: int = 1
    paused: bool = False
    selector: Selector | None = None
    template: PodTemplate = PodTemplate()


class ReplicasStatus(Partial, frozen=True, gc=False):
    """How many of its pods a Deployment, ReplicaSet or StatefulSet has."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    updated_replicas: int = 0
    current_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(Partial, frozen=True, gc=False):
    """Pods that are kept alive and replaced step by step."""

    metadata: Metadata = Metadata()
    spec: ReplicasSpec = ReplicasSpec()
    status: ReplicasStatus = ReplicasStatus()


class ReplicaSet(Partial, frozen=True, gc=False):
    """One generation of a Deployment's pods."""

    metadata: Metadata = Metadata()
    spec: ReplicasSpec = ReplicasSpec()
    status: ReplicasStatus = ReplicasStatus()


class StatefulSet(Partial, frozen=True, gc=False):
    """Pods that are kept alive under names of their own."""

    metadata: Metadata = Metadata()
    spec: ReplicasSpec = ReplicasSpec()
    status: ReplicasStatus = ReplicasStatus()


class NamespaceStatus(Partial, frozen=True, gc=False):
    """Whether a namespace is `Active` or `Terminating`."""

    phase: str = ""


class Namespace(Partial, frozen=True, gc=False):
    """A part of the cluster."""

    metadata: Metadata = Metadata()
    status: NamespaceStatus = NamespaceStatus()


class DisruptionBudgetSpec(Partial, frozen=True, gc=False):
    """How many of the selected pods must stay, or may go: a count or a percentage."""

    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    selector: Selector | None = None


class DisruptionBudgetStatus(Partial, frozen=True, gc=False):
    """How many of the selected pods may go now."""

    observed_generation: int = 0
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0


class PodDisruptionBudget(Partial, frozen=True, gc=False):
    """A limit on evictions."""

    metadata: Metadata = Metadata()
    spec: DisruptionBudgetSpec = DisruptionBudgetSpec()
    status: DisruptionBudgetStatus = DisruptionBudgetStatus()


class ClaimSpec(Partial, frozen=True, gc=False):
    """What a claim asks for; `volume_name` is what it was given."""

    storage_class_name: str = ""
    volume_name: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    resources: Resources = Resources()
    selector: Raw | None = None


class PersistentVolumeClaim(Partial, frozen=True, gc=False):
    """A pod's claim to a volume."""

    metadata: Metadata = Metadata()
    spec: ClaimSpec = ClaimSpec()


class VolumeReach(Partial, frozen=True, gc=False):
    """From which nodes a volume can be used, as it is written."""

    required: Raw | None = None


class ClaimReference(Partial, frozen=True, gc=False):
    """Whose a volume is."""

    namespace: str = ""
    name: str = ""


class PersistentVolumeSpec(Partial, frozen=True, gc=False):
    """Of a volume what it is, where it can be used, and whose it is."""

    storage_class_name: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    capacity: dict[str, Quantity] = msgspec.field(default_factory=dict)
    node_affinity: VolumeReach | None = None
    claim_ref: ClaimReference | None = None


class PersistentVolumeStatus(Partial, frozen=True, gc=False):
    """How a volume stands: Available while it is nobody's."""

    phase: str = ""


class PersistentVolume(Partial, frozen=True, gc=False):
    """A volume."""

    metadata: Metadata = Metadata()
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()


class StorageClass(Partial, frozen=True, gc=False):
    """How volumes of a class are made: at once, or for their first consumer; and on which nodes."""

    metadata: Metadata = Metadata()
    provisioner: str = ""
    volume_binding_mode: str = "Immediate"
    allowed_topologies: tuple[Raw, ...] = ()


class StorageDriverSpec(Partial, frozen=True, gc=False):
    """What a driver says of itself; `storage_capacity` when it publishes how much room it has, and where."""

    storage_capacity: bool = False


class StorageDriver(Partial, frozen=True, gc=False):
    """A CSIDriver; its name is what storage classes call their provisioner."""

    metadata: Metadata = Metadata()
    spec: StorageDriverSpec = StorageDriverSpec()


class StorageCapacity(Partial, frozen=True, gc=False):
    """How much room there is for volumes of a class on the nodes that `node_topology` selects; without one, on none."""

    metadata: Metadata = Metadata()
    storage_class_name: str = ""
    node_topology: Raw | None = None
    capacity: Quantity | None = None
    maximum_volume_size: Quantity | None = None


class Described(Partial, frozen=True, gc=False):
    """An object of which only the metadata are read."""

    metadata: Metadata = Metadata()


class AnyObject(Partial, frozen=True, gc=False):
    """An object of any kind, read no further than its metadata: for custom resources.

    `spec` and `status` are whatever was written there: one object in an odd shape must not spoil the list it is in.
    """

    api_version: str = ""
    kind: str = ""
    metadata: Metadata = Metadata()
    spec: Any = None
    status: Any = None


PODS: Final = Resource("", "v1", "pods", "Pod", Pod)
NODES: Final = Resource("", "v1", "nodes", "Node", Node, namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", Namespace, namespaced=False)
JOBS: Final = Resource("batch", "v1", "jobs", "Job", Job)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment", Deployment)
REPLICA_SETS: Final = Resource("apps", "v1", "replicasets", "ReplicaSet", ReplicaSet)
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet", StatefulSet)
CLAIMS: Final = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", PersistentVolumeClaim)
VOLUMES: Final = Resource("", "v1", "persistentvolumes", "PersistentVolume", PersistentVolume, namespaced=False)
STORAGE_CLASSES: Final = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", StorageClass, namespaced=False
)
STORAGE_DRIVERS: Final = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", StorageDriver, namespaced=False)
STORAGE_CAPACITIES: Final = Resource(
    "storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", StorageCapacity
)
DISRUPTION_BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", PodDisruptionBudget)
