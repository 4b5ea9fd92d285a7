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
    """How a container fares."""

    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()


class PodStatus(Partial, frozen=True, gc=False):
    """How a pod fares."""

    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(Partial, frozen=True, gc=False):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplate(Partial, frozen=True, gc=False):
    """From what a controller makes its pods."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


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
    suspend: bool = False
    backoff_limit: int | None = None
    template: PodTemplate = PodTemplate()


class JobStatus(Partial, frozen=True, gc=False):
    """How far a Job has come."""

    conditions: tuple[Condition, ...] = ()


class Job(Partial, frozen=True, gc=False):
    """A batch of pods that run to their end."""

    metadata: Metadata = Metadata()
    spec: JobSpec = JobSpec()
    status: JobStatus = JobStatus()


class ReplicasSpec(Partial, frozen=True, gc=False):
    """How a Deployment, ReplicaSet or StatefulSet keeps its pods."""

    replicas: int = 1
    template: PodTemplate = PodTemplate()


class Deployment(Partial, frozen=True, gc=False):
    """Pods that are kept alive and replaced step by step."""

    metadata: Metadata = Metadata()
    spec: ReplicasSpec = ReplicasSpec()


class ReplicaSet(Partial, frozen=True, gc=False):
    """One generation of a Deployment's pods."""

    metadata: Metadata = Metadata()
    spec: ReplicasSpec = ReplicasSpec()


class StatefulSet(Partial, frozen=True, gc=False):
    """Pods that are kept alive under names of their own."""

    metadata: Metadata = Metadata()
    spec: ReplicasSpec = ReplicasSpec()


class Namespace(Partial, frozen=True, gc=False):
    """A part of the cluster."""

    metadata: Metadata = Metadata()


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
