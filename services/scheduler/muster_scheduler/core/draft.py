"""A plan in the making: what is free, what every queue holds, and what was decided so far, with a way back.

A step is one pod tried in one place, or one pod taken away to see what that helps. Steps are counted and not seconds,
so that the same snapshot gives the same plan on any machine.
"""

from collections import Counter
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from muster_contracts.values import DeviceShare, Placement, PodFacts, Victim

from muster_scheduler.core.accounts import NOTHING, Account, Accounts, Triple, added
from muster_scheduler.core.amounts import total_of
from muster_scheduler.core.groups import Bound, GroupView, Waiting
from muster_scheduler.core.neighbours import Neighbours
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.room import Room
from muster_scheduler.core.snapshot import Snapshot

Mark = tuple[tuple[int, int], int, int]

SHARED = frozenset({"limits", "terrain", "room", "neighbours", "device_bytes", "_accounts"})
"""The fields of a draft that a rehearsal has in common with it; of every other it has its own copy."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a plan, beside the cluster: steps, the grace of a gang that is short, pods moved for one group."""

    step_limit: int = 100_000
    stale_gang_seconds: int = 60
    consolidation_pods: int = 64


@dataclass(frozen=True, slots=True)
class Item:
    """Pods of one group that are placed together or not at all: its core, or some of those beyond."""

    view: GroupView
    pods: tuple[Waiting, ...]
    is_core: bool
    number: int = 0

    @property
    def key(self) -> tuple[UUID, int]:
        """Tell this item from all others."""
        return self.view.id, self.number

    @property
    def likeness(self) -> tuple[object, ...]:
        """Tell items that fare alike from others: what is in vain for one is in vain for all."""
        view = self.view
        needs = tuple(pod.need for pod in self.pods)
        return view.queue, view.priority, view.preemptible, view.tree, needs, bool(view.staying)

    @property
    def rank(self) -> tuple[int, bool, bool, datetime, int, int]:
        """Order inside a queue: priority, what makes a group whole, its first pod beyond, all others; age, id."""
        is_more = not self.is_core and (self.number > 1 or self.view.has_surplus)
        return -self.view.priority, not self.is_core, is_more, *self.view.order, self.number


@dataclass(frozen=True, slots=True)
class Seat:
    """A place found for a pod: the row of its node and its devices."""

    pod: Waiting
    row: int
    devices: tuple[DeviceShare, ...]


class Draft:
    """Everything a plan changes while it is made."""

    def __init__(self, snapshot: Snapshot, limits: Limits) -> None:
        self.snapshot = snapshot
        self.limits = limits
        self.terrain = snapshot.terrain
        self.room = Room(snapshot.terrain, snapshot.idle, snapshot.releasing)
        self.neighbours = Neighbours(snapshot)
        self.steps = 0
        self.placements: list[Placement] = []
        self.nominations: list[Placement] = []
        self.victims: list[Victim] = []
        self.blocked: dict[UUID, Blocked] = {}
        self.evicted: set[UUID] = set()
        self.settled: set[UUID] = set()
        self.broken: set[UUID] = set()  # groups whose core is told to go: what is beyond it is good for nothing alone
        self.done: set[tuple[UUID, int]] = set()
        self.untried: set[UUID] = set()
        self.seated: dict[UUID, Counter[str]] = {}
        self.placed: dict[UUID, Counter[str]] = {}
        self.seats: dict[UUID, list[Seat]] = {}
        self.device_bytes = snapshot.terrain.least_device_bytes()
        self._accounts: dict[str, Accounts] = {}

    @property
    def exhausted(self) -> bool:
        """Whether the steps are used up."""
        return self.steps >= self.limits.step_limit

    def accounts(self, pool: str) -> Accounts:
        """Return the accounts of a pool, with fair shares from what is held and wanted there."""
        if pool not in self._accounts:
            self._accounts[pool] = self._open_accounts(pool)
        return self._accounts[pool]

    def account(self, view: GroupView, pool: str) -> Account:
        """Return the account a group is charged to."""
        return self.accounts(pool).leaf(view.queue)

    def amounts(self, item: Item) -> Triple:
        """Return what the pods of an item count for their queue."""
        return total_of((pod.need for pod in item.pods), self.device_bytes)

    def mark(self, pool: str) -> Mark:
        """Return a point to which `restore` can go back."""
        return self.room.mark(), self.accounts(pool).mark(), self.neighbours.mark()

    def restore(self, pool: str, mark: Mark) -> None:
        """Undo everything in the room and the accounts since the mark."""
        self.room.restore(mark[0])
        self.accounts(pool).restore(mark[1])
        self.neighbours.restore(mark[2])

    def seat(self, item: Item, seats: list[Seat], pool: str, *, at_once: bool) -> None:
        """Note that pods of a group have been placed (`at_once`) or nominated, and charged for."""
        self.account(item.view, pool).add_fresh(self.amounts(item))
        leaves = [item.view.leaf_of(seat.pod.facts) for seat in seats]
        for counts in (self.seated, self.placed) if at_once else (self.seated,):
            counts.setdefault(item.view.id, Counter()).update(leaves)
        self.seats.setdefault(item.view.id, []).extend(seats)

    def stays(self, view: GroupView) -> None:
        """Note that the core of a group must not go in this plan, for a pod of it moves and has to find it again."""
        self.seated.setdefault(view.id, Counter())

    def place_of(self, view: GroupView, facts: PodFacts, row: int, devices: tuple[DeviceShare, ...]) -> Placement:
        """Write down a place for a pod."""
        return Placement(
            workload_id=view.workload_id,
            pod_group_id=view.id,
            pod_id=facts.pod_id,
            namespace=facts.namespace,
            name=facts.name,
            resource_version=facts.resource_version,
            node=self.terrain.nodes[row].name,
            devices=devices,
        )

    def name_victim(self, view: GroupView, pod: Bound, rule: str, beneficiary: UUID | None) -> None:
        """Tell a pod to go."""
        facts = pod.facts
        self.evicted.add(facts.pod_id)
        self.victims.append(
            Victim(
                workload_id=view.workload_id,
                pod_id=facts.pod_id,
                namespace=facts.namespace,
                name=facts.name,
                beneficiary_id=beneficiary,
                rule=rule,
            )
        )

    def pools_of(self, view: GroupView) -> tuple[str, ...]:
        """Return the pools a group may use, in its order; one that has a place stays in its pool."""
        if seats := self.seats.get(view.id):
            return (self.terrain.pool_names[seats[0].row],)
        for pod in view.staying:
            if (row := self.terrain.rows.get(pod.node)) is not None:
                return (self.terrain.pool_names[row],)
        return view.node_pools

    def divide(self) -> None:
        """Work out anew what is due in the pools looked at so far: who has a place in one wants nothing of others."""
        for pool, accounts in self._accounts.items():
            accounts.divide(self._requests(pool))

    def _open_accounts(self, pool: str) -> Accounts:
        accounts = Accounts(pool, self.snapshot.queues, self.terrain.capacity(pool))
        for (where, queue), (held, firm) in self.snapshot.holding.items():
            if where == pool:
                accounts.fill(accounts.leaf(queue), held, firm)
        for view in self.snapshot.groups:
            accounts.leaf(view.queue)
        accounts.divide(self._requests(pool))
        return accounts

    def _requests(self, pool: str) -> dict[str, Triple]:
        """Return what queues held before the plan, and what those want who may use the pool."""
        requests = {queue: held for (where, queue), (held, _) in self.snapshot.holding.items() if where == pool}
        for view in self.snapshot.groups:
            if pool in self.pools_of(view):
                wanted = total_of((pod.need for pod in view.waiting), self.device_bytes)
                requests[view.queue] = added(requests.get(view.queue, NOTHING), wanted)
        return requests


class Rehearsal(Draft):
    """A draft that tries what another might do. It shares room, accounts and neighbours, and keeps its decisions.

    Whoever rehearses sets back what is shared (`mark`, `restore`).
    """

    def __init__(self, draft: Draft, snapshot: Snapshot) -> None:
        own = {name: _copied(value) for name, value in vars(draft).items() if name not in SHARED}
        vars(self).update(vars(draft), **own)
        self.snapshot = snapshot

    def seat(self, item: Item, seats: list[Seat], pool: str, *, at_once: bool) -> None:
        """Seat nobody: the next item is tried as if this one had not been."""

    def stays(self, view: GroupView) -> None:
        """Keep nobody."""


def _copied(value: object) -> object:
    """Copy what a draft notes; by group it notes counts and seats, which grow as well."""
    return {key: copy(one) for key, one in value.items()} if isinstance(value, dict) else copy(value)
