"""The plan: a pure function from a snapshot to placements and victims, with a reason for every group left waiting.

First everybody is placed who fits. Then, group by group in the order of the queues, room is made for those who do not,
by the gentlest way that helps: waiting for what is released already, moving others together, taking back what other
projects borrowed, preempting lower priorities of the same project. Each is tried as a transaction and kept only if the
whole group then fits; the group is nominated for its places and bound by a later plan, when they are free. Last, gangs
that have been short for too long are evicted. Nothing here looks at a clock or at chance, and quantities are integers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from muster_contracts.values import Placement, Victim

from muster_scheduler.core.allocate import Failed, allocate, everybody, honour_nominations
from muster_scheduler.core.causes.withheld import MakesRoom
from muster_scheduler.core.consolidate import consolidate
from muster_scheduler.core.disrupt import Disruption
from muster_scheduler.core.draft import Draft, Item, Limits
from muster_scheduler.core.explain import explain
from muster_scheduler.core.order import QueueOrder
from muster_scheduler.core.preempt import Rivals, preempt
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.reclaim import reclaim
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.stale import evict_stale_gangs
from muster_scheduler.core.victims import Victims

__all__ = ["Limits", "Plan", "plan"]


class Action(StrEnum):
    """One of the steps of a plan. Plans that are carried out take all; a scenario may ask what one alone would do."""

    ALLOCATE = "allocate"
    CONSOLIDATE = "consolidate"
    RECLAIM = "reclaim"
    PREEMPT = "preempt"
    EVICT_STALE = "evict stale gangs"


Actions = frozenset[Action]
EVERY_ACTION: Actions = frozenset(Action)


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided from one snapshot. At the step limit the rest waits for the next plan."""

    based_on: int
    placements: tuple[Placement, ...] = ()
    victims: tuple[Victim, ...] = ()
    nominations: tuple[Placement, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    steps: int = 0

    @property
    def decides(self) -> bool:
        """Whether there is anything to write down."""
        return bool(self.placements or self.victims or self.nominations)


def plan(snapshot: Snapshot, limits: Limits | None = None, actions: Actions = EVERY_ACTION) -> Plan:
    """Decide who gets which place, and who has to go. The same snapshot and limits give the same plan."""
    set_aside = tuple(aside.told for aside in snapshot.aside.values())
    if not snapshot.groups and not snapshot.short and not snapshot.nominations:
        return Plan(snapshot.position, blocked=set_aside)
    draft = Draft(snapshot, limits or Limits())
    honour_nominations(draft)
    draft.room.settle()
    failed = allocate(draft) if Action.ALLOCATE in actions else everybody(draft)
    left = make_room(draft, failed, actions)
    if Action.EVICT_STALE in actions:
        evict_stale_gangs(draft)
    explain(draft, left, _as_for_those(left, actions))
    return Plan(
        based_on=snapshot.position,
        placements=tuple(draft.placements),
        victims=tuple(draft.victims),
        nominations=tuple(draft.nominations),
        blocked=(*draft.blocked.values(), *set_aside),
        steps=draft.steps,
    )


def make_room(draft: Draft, failed: Failed, actions: Actions = EVERY_ACTION) -> Failed:
    """Try to make room for who found none, in their first pools before their second; return who is left, in order."""
    left: Failed = []
    by_turn: dict[tuple[int, str], list[Item]] = {}
    by_pool: dict[str, list[Item]] = {}
    for item, pool in failed:
        by_turn.setdefault((draft.pools_of(item.view).index(pool), pool), []).append(item)
        by_pool.setdefault(pool, []).append(item)
    rivals = {pool: Rivals(draft, pool, items) for pool, items in by_pool.items()}
    for turn, pool in sorted(by_turn):
        attempt = _Attempt(draft, pool, rivals[pool], actions)
        for item in QueueOrder(draft, pool, by_turn[turn, pool]):
            if not attempt.make_room(item):
                left.append((item, pool))
    return left


def _as_for_those(left: Failed, actions: Actions) -> MakesRoom:
    """Return how room would be made for those who are left, in another draft and of others."""

    def makes_room(draft: Draft, pool: str, victims: Victims) -> Callable[[Item], bool]:
        rivals = Rivals(draft, pool, [item for item, where in left if where == pool])
        return _Attempt(draft, pool, rivals, actions, victims).makes_room

    return makes_room


class _Attempt:
    """The ways of making room in one pool. Of equal items only the first is tried until something else succeeds."""

    def __init__(
        self, draft: Draft, pool: str, rivals: Rivals, actions: Actions, victims: Victims | None = None
    ) -> None:
        self._draft, self._pool, self._rivals, self._actions = draft, pool, rivals, actions
        self._victims = victims
        self._hopeless: set[tuple[object, ...]] = set()
        self._unmovable: set[tuple[object, ...]] = set()

    def make_room(self, item: Item) -> bool:
        """Try everything for an item, the gentlest first."""
        draft, view = self._draft, item.view
        if draft.exhausted or view.id in draft.settled or view.id in draft.broken or item.likeness in self._hopeless:
            return False
        if not self.makes_room(item):
            self._hopeless.add(item.likeness)
            return False
        self._hopeless.clear()
        draft.settled.add(view.id)
        return True

    def makes_room(self, item: Item) -> bool:
        """Try everything once, whatever is known of items like this one."""
        draft, pool, actions = self._draft, self._pool, self._actions
        something_leaves = draft.snapshot.releasing is not None or draft.victims
        if Action.ALLOCATE in actions and something_leaves and Disruption(draft, item, pool).wait_for_releases():
            return True
        if self._victims is None:
            self._victims = Victims(draft, pool)
        return (
            (Action.CONSOLIDATE in actions and self._consolidate(item, self._victims))
            or (Action.RECLAIM in actions and reclaim(draft, item, pool, self._victims))
            or (Action.PREEMPT in actions and preempt(draft, item, pool, self._victims, self._rivals))
        )

    def _consolidate(self, item: Item, victims: Victims) -> bool:
        """Move others; what was in vain once is so for the rest of the plan, in which room only becomes less."""
        if item.likeness in self._unmovable:
            return False
        if consolidate(self._draft, item, self._pool, victims):
            return True
        self._unmovable.add(item.likeness)
        return False
