"""What a kind of object has to answer to be recognised, and the words the answers are given in.

A system (Ray, Spark, plain Kubernetes …) is one file of pure answers and one line in `table.py`: its kinds, and the
rules by which its pods are known without their owners. A kind is a value: data where data says it, small functions for
the rest. One that names a `Watch` is watched as soon as the API server serves it; others are known from references.

Going up from a pod, the `walk` asks of each owner whether it takes the object below it into its workload:
a *step* is given up to any owner, a *workload* only to a kind that absorbs it, and a *parent* takes nothing; it is
shown beside the workload. What is *apart* (a DaemonSet, a node with its static pods) makes no workload at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from muster_cluster.metadata import Metadata
from muster_cluster.objects import AnyObject, Pod, PodSpec
from muster_contracts.phases import PriorityClass, WorkloadClass
from muster_contracts.values import Controls, ObjectRef, OwnerFacts, ParentRef, SubGroup, Supports

from muster_integrations.core.seen import IdentitySource

KindName = tuple[str, str]
"""Group (empty for the core) and kind. The version is left out: a newer one is still the same thing."""

Name = tuple[KindName, str, str]
"""Kind, namespace and name of an object."""


class Standing(StrEnum):
    """What becomes of an object of this kind when somebody owns it."""

    WORKLOAD = "workload"
    STEP = "step"
    PARENT = "parent"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Watch:
    """How objects of a kind are read: their plural, the model they are decoded into, and the versions we know.

    The version that is read is the one the API server prefers; `versions` are only for reading without a server.
    """

    plural: str
    model: type[Any] = AnyObject
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """A live object and its kind. `api_version` is the one it was read in."""

    kind: "Kind"
    api_version: str
    item: Any

    @property
    def metadata(self) -> Metadata:
        """What the object says of itself."""
        metadata: Metadata = self.item.metadata
        return metadata

    @property
    def full_name(self) -> Name:
        """By what others find it who do not know its UID."""
        return self.kind.key, self.metadata.namespace, self.metadata.name


@dataclass(frozen=True, slots=True)
class Sight:
    """All that is there of one workload: its object (None when it cannot be read), its pods, and its other parts.

    A part is an object that would be a workload if nobody had absorbed it: the RayCluster of a RayJob, the JobSet of a
    TrainJob. Pods and parts come in the order of their names, and what the kind consults after the parts. `remembered`
    are the attributes as they were last written, for what has to be known of pods that are gone; `gone` the pods that
    have just gone, of which nothing is written yet.
    """

    item: Any | None
    name: str
    namespace: str
    pods: Sequence[Pod] = ()
    parts: Sequence[Known] = ()
    remembered: Mapping[str, str] = field(default_factory=dict)
    gone: Sequence[Pod] = ()

    @property
    def spec(self) -> Any:
        """What is wanted of the object, as it is written; None when that is not read."""
        return getattr(self.item, "spec", None)

    @property
    def status(self) -> Any:
        """What its controller says of the object, as it is written; None when that is not read."""
        return getattr(self.item, "status", None)

    @property
    def deleting(self) -> bool:
        """Whether the object is there, and on its way out."""
        return self.item is not None and self.item.metadata.deletion_timestamp is not None

    def parts_of(self, name: str) -> Sequence[Any]:
        """Return the parts of one kind, by its name."""
        return [part.item for part in self.parts if part.kind.name == name]


@dataclass(frozen=True, slots=True)
class Members:
    """So many pods in one role. `minimum` of them are enough to start; each asks for what `spec` says, if known.

    `annotations` are those of the template: parts of a GPU are asked for there.
    """

    role: str
    count: int
    minimum: int
    spec: PodSpec | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Some pods of a workload that are scheduled together. `key` tells it apart from the workload's other groups.

    A pod is in the sub-group that is called as its role, if there is one.
    """

    key: str
    name: str
    min_members: int
    pods: Sequence[Pod]
    sub_groups: tuple[SubGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Handle:
    """A live object as something that can be patched or deleted: which one, and at what resource version."""

    reference: ObjectRef
    resource_version: str


def nothing_said(_sight: Sight) -> OwnerFacts:
    """Know nothing but the pods."""
    return OwnerFacts()


def unsized(_sight: Sight) -> tuple[Members, ...] | None:
    """Know no size: the pods that are there are all there is."""
    return None


def each_alone(sight: Sight) -> Sequence[Grouping]:
    """Group every pod by itself: it may start whenever it finds room. The key is its name."""
    return [Grouping(pod.metadata.name, pod.metadata.name, 1, (pod,)) for pod in sight.pods]


def together(sight: Sight) -> Sequence[Grouping]:
    """Put all pods into one group in which one is enough to start."""
    return [Grouping("all", sight.name, 1, sight.pods)]


def plain_role(_pod: Pod, _sight: Sight) -> str:
    """Call a pod a pod."""
    return "pod"


def every_container(_pod: Pod) -> frozenset[str] | None:
    """Let every main container count."""
    return None


def usual_gpus(_sight: Sight) -> frozenset[str]:
    """Know GPUs by their usual name alone."""
    return frozenset()


def no_attributes(_sight: Sight) -> Mapping[str, str]:
    """Say nothing beside."""
    return {}


def uncontrolled(_sight: Sight, _handle: Handle | None, _remembered: Controls) -> Controls:
    """Offer nothing; `sighting` says why."""
    return Controls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object, and all that is asked about it. Every answer is pure and bears odd or missing fields.

    `generic` kinds (a Job, a Deployment) also give way to an owner nobody knows. `made_by` names the kind that makes
    objects of this parent kind: where these cannot be read, a label that names their maker tells more.

    `owner` says what the object says of itself, without sizes; where that has a `quiet_outcome`, the workload is still
    there when its last pod is gone, until it has been quiet for long. `members` how many pods of which role it wants
    (None: as many as there are); `groups` which pods start together; `role` what each does; `main_containers` which of
    its containers decide how it fares (None: all); `gpu_names` which resources are GPUs under other names than the
    usual; `attributes` what else is worth knowing; `controls` how it is stopped, activated and deleted, given what was
    remembered. `refers` names an object of another kind that this one is shown with (a Model with its Server); `holds`
    names objects that are this one's, so that what belongs to them is known even if they cannot be read, and `held_as`
    says by what name an object of this kind is held, given its own and what is below it; `consults` names those that
    tell more of it and that many share (the runtime of a TrainJob).
    """

    group: str
    name: str
    standing: Standing = Standing.WORKLOAD
    workload_class: WorkloadClass = WorkloadClass.THIRD_PARTY
    generic: bool = False
    made_by: str = ""
    watch: Watch | None = None
    absorbs: frozenset[KindName] = frozenset()
    priority: PriorityClass = PriorityClass.TRAIN
    supports: Supports = Supports(stop=False, activate=False, delete=False)  # noqa: RUF009  # frozen
    refers: Callable[[Any], tuple[KindName, str] | None] = lambda _item: None
    holds: Callable[[Any], Sequence[tuple[KindName, str]]] = lambda _item: ()
    held_as: Callable[[str, Metadata], str] = lambda name, _below: name
    consults: Callable[[Any], tuple[Name, ...]] = lambda _item: ()
    owner: Callable[[Sight], OwnerFacts] = nothing_said
    members: Callable[[Sight], tuple[Members, ...] | None] = unsized
    groups: Callable[[Sight], Sequence[Grouping]] = each_alone
    role: Callable[[Pod, Sight], str] = plain_role
    main_containers: Callable[[Pod], frozenset[str] | None] = every_container
    gpu_names: Callable[[Sight], frozenset[str]] = usual_gpus
    attributes: Callable[[Sight], Mapping[str, str]] = no_attributes
    controls: Callable[[Sight, Handle | None, Controls], Controls] = uncontrolled

    key: KindName = field(init=False)
    """How the table finds it. Written once, for it is asked with every object."""

    def __post_init__(self) -> None:
        """Write the key."""
        object.__setattr__(self, "key", (self.group, self.name))


@dataclass(frozen=True, slots=True)
class Claim:
    """A workload that a pod is known by, without an owner: its kind, and a key that is unique in the namespace.

    `object_name` names the object that would be the workload if it can be read; then its UID is the identity. Empty:
    there is no such object (a DAG run). `name` is what people call the workload; the key, unless given. `finer` is the
    claim that counts instead in a project that wants smaller workloads (a task of the DAG run).
    """

    kind: Kind
    api_version: str
    key: str
    source: IdentitySource = "label"
    object_name: str = ""
    name: str = ""
    finer: "Claim | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One integration: its kinds, and what it makes of pods and objects by their labels.

    `before_walk` is asked of a pod before its owners are looked at, `by_label` when no owner can be read. `parents`
    name the parent of an object or a pod by its labels; `apart` says in a sentence why a pod belongs to no workload.
    `variants` make another kind of one, from what is inside (a Job that is an MLflow run); `attributes` add to what
    any kind says. Rules are tried in the order of the table of systems; the first that answers wins.
    """

    kinds: tuple[Kind, ...] = ()
    before_walk: tuple[Callable[[Pod], Claim | None], ...] = ()
    by_label: tuple[Callable[[Pod], Claim | None], ...] = ()
    parents: tuple[Callable[[Metadata], ParentRef | None], ...] = ()
    apart: tuple[Callable[[Pod], str], ...] = ()
    variants: tuple[Callable[[Kind, Sight], Kind | None], ...] = ()
    attributes: tuple[Callable[[Sight], Mapping[str, str]], ...] = field(default=())


def group_of(api_version: str) -> str:
    """Return the group of an `apiVersion`: empty for the core's `v1`."""
    return api_version.partition("/")[0] if "/" in api_version else ""
