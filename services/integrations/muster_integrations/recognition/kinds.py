"""What a kind of object has to answer to be recognised, and the words the answers are given in.

A kind is a value: data where data says it, small pure functions for the rest. One that stands in `table.py` is watched
when it names a `resource`; others are known from owner references only.

Going up from a pod, the walk (`owners`) asks of each owner whether it takes the object below it into its workload: a
*step* is given up to any owner, a *workload* only to a kind that absorbs it, and a *parent* takes nothing; it is shown
beside the workload. What is *apart* (a DaemonSet, a node with its static pods) makes no workload at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from muster_cluster.objects import Pod, PodSpec
from muster_cluster.port import Resource
from muster_contracts.values import Controls, ObjectRef, OwnerFacts, SubGroup, Supports

KindName = tuple[str, str]
"""Group (empty for the core) and kind. The version is left out: a newer one is still the same thing."""


class Standing(StrEnum):
    """What becomes of an object of this kind when somebody owns it."""

    WORKLOAD = "workload"
    STEP = "step"
    PARENT = "parent"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Grouping:
    """Some pods of a workload that are scheduled together. `key` tells it apart from the workload's other groups."""

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


def each_alone(_item: Any, _name: str, pods: Sequence[Pod]) -> Sequence[Grouping]:
    """Group every pod by itself: it may start whenever it finds room. The key is its name."""
    return [Grouping(pod.metadata.name, pod.metadata.name, 1, (pod,)) for pod in pods]


def plain_role(_pod: Pod) -> str:
    """Call a pod a pod."""
    return "pod"


def no_template(_item: Any) -> PodSpec | None:
    """Know no template: the pods that are there say what they ask for."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object. `item` below is an object of `resource`'s model, or None when only its name is known.

    `owner(item, pods)` gives what it says of itself, `controls(item, handle, remembered)` how it is stopped, activated
    and deleted, `template(item)` what each of its pods asks for, `groups(item, name, pods)` which pods start together.
    """

    group: str
    name: str
    standing: Standing = Standing.WORKLOAD
    resource: Resource[Any] | None = None
    absorbs: frozenset[KindName] = frozenset()
    supports: Supports = Supports(stop=False, activate=False, delete=False)  # noqa: RUF009  # frozen
    owner: Callable[[Any, Sequence[Pod]], OwnerFacts] = lambda _item, _pods: OwnerFacts()
    controls: Callable[[Any, Handle, Controls], Controls] = lambda _item, _handle, _remembered: Controls()
    template: Callable[[Any], PodSpec | None] = no_template
    groups: Callable[[Any, str, Sequence[Pod]], Sequence[Grouping]] = each_alone
    role: Callable[[Pod], str] = plain_role

    @property
    def key(self) -> KindName:
        """How the table finds it."""
        return self.group, self.name


def group_of(api_version: str) -> str:
    """Return the group of an `apiVersion`: empty for the core's `v1`."""
    return api_version.partition("/")[0] if "/" in api_version else ""
