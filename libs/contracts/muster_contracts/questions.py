"""What may be asked of the scheduler on `muster.ask.scheduler.<cluster>`, and what it answers; nothing here is stored.

Questions change nothing and are answered by the planner that leads, from its snapshot of the moment; `position` says
where the journal stood. Amounts are integers in the units of the contracts; None as a bound is no bound.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from muster_contracts.base import Value
from muster_contracts.commands import Command, Name
from muster_contracts.phases import PriorityClass
from muster_contracts.values import WHOLE_GPU, DeviceShare

MOST_PODS = 10_000
"""Pods in one question: it costs about what a plan costs."""

MOST_NODES = 500
"""Nodes in one answer; more are asked for with `after`."""

# ---------------------------------------------------------------- questions


class WouldItFit(Command):
    """Would so many equal pods find a place together, now? GPUs: devices and the portion, or the bytes, of each."""

    type: Literal["WouldItFit.v1"] = "WouldItFit.v1"
    project: Name
    pods: int = Field(default=1, ge=1, le=MOST_PODS)
    gpu_devices: int = Field(default=0, ge=0, le=1024)
    gpu_portion_millionths: int = Field(default=WHOLE_GPU, ge=1, le=WHOLE_GPU)
    gpu_memory_bytes: int | None = Field(default=None, ge=1, le=2**50)
    cpu_milli: int = Field(default=1000, ge=1, le=4096_000)
    memory_bytes: int = Field(default=100 * 1024 * 1024, ge=1, le=2**50)
    priority_class: PriorityClass = PriorityClass.TRAIN
    node_pools: tuple[Name, ...] = ()


class WhyDoesItWait(Command):
    """Why do pods of a workload wait, who holds what they need, and what would free it?"""

    type: Literal["WhyDoesItWait.v1"] = "WhyDoesItWait.v1"
    workload_id: UUID


class WhoHoldsWhat(Command):
    """What is the due of every department and project in every node pool, and what do they hold?"""

    type: Literal["WhoHoldsWhat.v1"] = "WhoHoldsWhat.v1"


class WhatNodesHold(Command):
    """Which pods hold which GPUs, node by node in the order of names, after a name?"""

    type: Literal["WhatNodesHold.v1"] = "WhatNodesHold.v1"
    after: Annotated[str, Field(max_length=253)] = ""
    limit: int = Field(default=100, ge=1, le=MOST_NODES)


Question = WouldItFit | WhyDoesItWait | WhoHoldsWhat | WhatNodesHold
question: TypeAdapter[Question] = TypeAdapter(Annotated[Question, Field(discriminator="type")])

# ---------------------------------------------------------------- answers


class Amounts(Value):
    """GPUs in millionths, processors in thousandths, memory in bytes."""

    gpu_millionths: int = 0
    cpu_milli: int = 0
    memory_bytes: int = 0


class Bounds(Value):
    """As amounts; None is no bound."""

    gpu_millionths: int | None = None
    cpu_milli: int | None = None
    memory_bytes: int | None = None


class PlaceFound(Value):
    """So many of the pods would go to one node."""

    node: str
    pods: int


class WouldGo(Value):
    """A workload that would lose pods, and by which rule."""

    workload_id: UUID
    name: str
    pods: int
    rule: str


class Fit(Value):
    """Whether it would fit: at once, after others have made room, or not; if not at once, why."""

    type: Literal["Fit.v1"] = "Fit.v1"
    position: int
    fits: Literal["now", "after-evictions", "no"]
    node_pool: str = ""
    places: tuple[PlaceFound, ...] = ()
    victims: tuple[WouldGo, ...] = ()
    code: str = ""
    reason: str = ""
    remedy: str = ""
    numbers: dict[str, int] = {}


class Holder(Value):
    """A project, and what it holds of a node pool."""

    project: str
    allocated: Amounts
    quota: Bounds
    fair_share: Amounts


class GroupWaits(Value):
    """One pod group that waits. `queue_position` 1 is next among those left; `holders` hold most of what it needs."""

    pod_group_id: UUID
    name: str
    pods: int
    node_pools: tuple[str, ...]
    code: str
    reason: str
    remedy: str
    numbers: dict[str, int] = {}
    queue_position: int | None = None
    holders: tuple[Holder, ...] = ()


class Waits(Value):
    """The pod groups of a workload that wait, none if it waits for nothing."""

    type: Literal["Waits.v1"] = "Waits.v1"
    position: int
    groups: tuple[GroupWaits, ...] = ()


class QueueHolds(Value):
    """A department or project in one node pool. Pending is what its waiting pods ask for in the first pool they try."""

    kind: Literal["department", "project"]
    name: str
    parent: str = ""
    quota: Bounds
    limit: Bounds
    over_quota_weight: int
    priority: int
    fair_share: Amounts
    allocated: Amounts
    over_quota: Amounts
    not_preemptible: Amounts
    pending: Amounts
    pending_pods: int


class PoolHolds(Value):
    """One node pool: what its ready nodes have for workloads, and every queue in it, parents before children.

    Two parts of `allocated` are on no node that counts for `capacity`: what pods hold of nodes that are gone (the pool
    of which nobody knows, so they count for `default`), and of nodes that are not ready.
    """

    node_pool: str
    nodes: int
    ready_nodes: int
    capacity: Amounts
    allocated: Amounts
    allocated_on_gone_nodes: Amounts = Amounts()
    allocated_on_unready_nodes: Amounts = Amounts()
    queues: tuple[QueueHolds, ...] = ()


class Holdings(Value):
    """Every node pool."""

    type: Literal["Holdings.v1"] = "Holdings.v1"
    position: int
    node_pools: tuple[PoolHolds, ...] = ()


class PodHolds(Value):
    """A pod on a node, with its devices; `leaving` is one that was told to go."""

    workload_id: UUID
    workload: str
    project: str
    pod: str
    devices: tuple[DeviceShare, ...] = ()
    leaving: bool = False


class NodeHolds(Value):
    """A node: what it can give, what is free of it, and who holds its GPUs. `free_gpus` is by device, in millionths."""

    name: str
    node_pool: str
    ready: bool
    unschedulable: bool
    capacity: Amounts
    free: Amounts
    free_gpus: tuple[int, ...] = ()
    pods: tuple[PodHolds, ...] = ()


class NodeHoldings(Value):
    """Some nodes; `next` is the name to go on after, empty at the end."""

    type: Literal["NodeHoldings.v1"] = "NodeHoldings.v1"
    position: int
    nodes: tuple[NodeHolds, ...] = ()
    next: str = ""


class NotAnswered(Value):
    """The question is not answered: it makes no sense, names what does not exist, too many are open, or we failed."""

    type: Literal["NotAnswered.v1"] = "NotAnswered.v1"
    code: Literal["Invalid", "NotFound", "Busy", "Failed"]
    sentence: str


Answer = Fit | Waits | Holdings | NodeHoldings | NotAnswered
answer: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="type")])
