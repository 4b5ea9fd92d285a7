"""One item that waits, in one node pool, and all that may be asked about it.

What is free is what the plan left, its placements taken out. `empty` is the land without any workload, though with the
pods that belong to none: who has no room there will never have any, whoever ends.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from muster_scheduler.core.accounts import Account
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.emptied import empty_layer, lasting
from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.reasons import Cause, amount_of, counted, whole_of
from muster_scheduler.core.room import UNFIT, Layer
from muster_scheduler.core.terrain import Integers

OPTIONS = ("--gpu", "--cpu", "--memory")
"""How the command line names the quota of each resource."""

Question = Callable[["Inquiry"], Cause | None]


@dataclass(frozen=True, slots=True)
class Together:
    """Pods of one part of a gang; if there are any levels, they must share a domain of the last."""

    part: Part
    pods: tuple[Waiting, ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """Return the levels at which the pods must be in one domain."""
        return self.part.topology.shared_levels if self.part.topology else ()


class Inquiry:
    """An item and the pool it failed in. `needs` are those of its pods, the largest first, each once."""

    def __init__(self, draft: Draft, item: Item, pool: str) -> None:
        self.draft, self.item, self.pool = draft, item, pool
        self.terrain = draft.terrain
        self.leaf = draft.account(item.view, pool)
        self.amounts = draft.amounts(item)
        self.layer = draft.room.now
        self.open = self.terrain.in_pool(pool) & self.terrain.open
        self.counts = Counter(pod.need for pod in item.pods)
        self.needs = tuple(sorted(self.counts, key=_size, reverse=True))

    @cached_property
    def empty(self) -> Layer:
        """The pool as it would be if no workload ran."""
        return empty_layer(self.terrain)

    def rows(self, need: Need) -> Integers:
        """Return the rows of the nodes that would take such a pod if they had room."""
        return np.flatnonzero(self.terrain.admits(need) & self.open)

    def has_room(self, need: Need) -> bool:
        """Say whether any node has room for such a pod, whoever its neighbours are."""
        return bool((self.layer.scores(need, self.pool) < UNFIT).any())

    def ever_has_room(self, need: Need) -> bool:
        """Say whether any node would have room for such a pod if no workload ran."""
        return bool((self.empty.scores(lasting(need), self.pool) < UNFIT).any())

    def pods_with(self, need: Need) -> list[Waiting]:
        """Return the pods that need this."""
        return [pod for pod in self.item.pods if pod.need == need]

    def togethers(self) -> list[Together]:
        """Return which pods must be together where: all of them, and besides those of every part that says so."""
        pods, tree = self.item.pods, self.item.view.tree
        return [Together(tree, pods), *self._of_parts(tree, pods)]

    def _of_parts(self, part: Part, pods: tuple[Waiting, ...]) -> list[Together]:
        found = []
        for below in part.parts:
            leaves = {leaf.name for leaf in below.leaves()}
            theirs = tuple(pod for pod in pods if pod.facts.sub_group in leaves)
            together = Together(below, theirs)
            found += [together] if theirs and together.levels else []
            found += self._of_parts(below, theirs)
        return found

    def holders(self, resource: int) -> str:
        """Name who holds the most of a resource, how much of it stays, and whether it could be claimed back at all."""
        accounts = [one for one in self.draft.accounts(self.pool).by_key.values() if not one.children]
        most = max(accounts, key=lambda one: (one.allocated[resource], -one.queue.age), default=None)
        if most is None or not most.allocated[resource]:
            return ""
        firm = most.firm[resource]
        stays = f", of which {amount_of(resource, firm)} cannot be preempted" if firm else ""
        name = most.queue.name or "workloads of no project"
        held = f" Most is held by {name}: {amount_of(resource, most.allocated[resource])}{stays}."
        return held + self._unbounded(most, resource)

    def _unbounded(self, holder: Account, resource: int) -> str:
        """Say that nothing of another project can be claimed back while no quota bounds it, and what helps."""
        name, option = holder.queue.name, OPTIONS[resource]
        if not name or holder is self.leaf or holder.deserved[resource] is not None:
            return ""
        if holder.firm[resource] >= holder.allocated[resource]:
            return ""
        return (
            f" No quota bounds {name}, so nothing of it can be claimed back; "
            f"`muster project set {name} --node-pool {self.pool} {option} N` gives it one."
        )

    def about(self, need: Need, cause: Cause) -> Cause:
        """Say of which pods a cause is true, if they ask for different things."""
        if len(self.needs) == 1:
            return cause
        pods = f"{self.counts[need]} of its {counted(len(self.item.pods), 'pod', 'pods')}"
        return cause.adding(f"That is so for {pods}, of {whole_of(need)} each.")


def each_need(question: Callable[[Inquiry, Need], Cause | None]) -> Question:
    """Return the question that asks about every need of an item, the largest first."""

    def ask(inquiry: Inquiry) -> Cause | None:
        for need in inquiry.needs:
            if (cause := question(inquiry, need)) is not None:
                return inquiry.about(need, cause)
        return None

    return ask


def _size(need: Need) -> tuple[int, int, int]:
    return need.devices, need.cpu_milli, need.memory_bytes
