"""Finding the dominant reason of every group that is left: questions in order, of which the first that holds is told.

What no passing of time changes comes first: a pool without nodes, a limit, labels, a size that nothing has. Then who
may not be told to go yet, whom others keep away, and what is free, in pieces or not at all. Where codes are decided:

| module | codes |
| --- | --- |
| `causes.pools` | NodePoolUnschedulable |
| `causes.queues` | OverLimit, QuotaExceededNonPreemptible, FairShareExceeded |
| `causes.nodes` | NodesUnsuitable, VolumeRefused |
| `causes.room` | NoFittingNode, FragmentedGPUs |
| `causes.gangs` | GangDoesNotFit; RoomIsBeingMade where others leave enough, ItsTurn where nobody has to |
| `causes.withheld` | MinimumRunTime, EvictionRefused |
| `causes.neighbours` | OtherPodsForbid |
| `causes.turns` | BudgetExhausted, RoomIsBeingMade where places are promised |
| `reasons` | PodsMissing, SchedulingGated, BindingRefused |
| `aside` | PlanningFailed |
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

from muster_contracts.values import Placement

from muster_scheduler.core.allocate import Failed
from muster_scheduler.core.causes import gangs, neighbours, nodes, pools, queues, room, turns
from muster_scheduler.core.causes.inquiry import Inquiry, Question, each_need
from muster_scheduler.core.causes.withheld import MakesRoom, Withheld
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.reasons import Blocked, Cause, counted

LASTING: tuple[Question, ...] = (
    pools.nobody_made_it,
    pools.no_node_is_open,
    queues.limit_is_passed,
    queues.quota_is_used_up,
    each_need(nodes.none_suits),
    nodes.no_node_has_the_label,
    each_need(room.no_node_is_large_enough),
    gangs.never_large_enough,
    each_need(nodes.keeps_off),
)
FLEETING: tuple[Question, ...] = (
    each_need(neighbours.others_forbid_it),
    each_need(room.devices_are_in_pieces),
    queues.share_is_passed,
    each_need(room.too_little_is_free),
)


def explain(draft: Draft, left: Failed, makes_room: MakesRoom) -> None:
    """Write a reason for every group with pods that found no place; `makes_room` is how the plan makes room."""
    for one in _by_group(draft, left, _Causes(draft, makes_room)):
        draft.blocked[one.view.id] = _tell(draft, one)
    _explain_promises(draft)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A cause, whether it lasts until somebody changes something, and the place in the queue."""

    cause: Cause
    lasts: bool
    place: int = 0


@dataclass(slots=True)
class _Left:
    """A group of which something is left, and the answer to its first item in each pool."""

    view: GroupView
    pools: dict[str, _Answer] = field(default_factory=dict)


def _by_group(draft: Draft, left: Failed, causes: "_Causes") -> list[_Left]:
    """Find the causes in the order of the queue of each pool, for who is before a group is a part of its reason."""
    found: dict[UUID, _Left] = {}
    lengths: Counter[str] = Counter()
    for item, pool in left:
        view = item.view
        if view.id in draft.blocked or view.id in draft.settled:
            continue
        pools = found.setdefault(view.id, _Left(view)).pools
        if pool not in pools:
            lengths[pool] += 1
            pools[pool] = replace(causes.of(item, pool), place=lengths[pool])
    return list(found.values())


def _tell(draft: Draft, left: _Left) -> Blocked:
    """Tell a group what it waits for in the first pool where it may hope; pods that run are told besides."""
    main = min(left.pools, key=lambda pool: left.pools[pool].lasts)
    cause = left.pools[main].cause
    for pool, other in left.pools.items():
        if pool != main:
            cause = cause.adding(f"That is node pool {main}; in node pool {pool} it {other.cause.sentence}")
    staying = sum(pod.facts.pod_id not in draft.evicted for pod in left.view.staying)
    running = staying + draft.placed.get(left.view.id, Counter()).total()
    if running:
        cause = cause.adding(f"It runs with {counted(running, 'pod', 'pods')} meanwhile.")
    return cause.of(left.view, left.pools[main].place)


def _explain_promises(draft: Draft) -> None:
    """Tell groups that have been promised places, in this plan or an earlier one, where they are."""
    placed = {place.pod_id for place in draft.placements}
    promised: dict[UUID, list[Placement]] = {}
    for place in draft.nominations:
        promised.setdefault(place.pod_group_id, []).append(place)
    for view in draft.snapshot.groups:
        if view.id in draft.settled and any(pod.facts.pod_id not in placed for pod in view.waiting):
            places = promised.get(view.id) or draft.snapshot.nominations.get(view.id, ())
            draft.blocked[view.id] = turns.places_are_promised(places).of(view, 1)


class _Causes:
    """The causes of items, found out once for all that fare alike in a pool."""

    def __init__(self, draft: Draft, makes_room: MakesRoom) -> None:
        self._draft, self._makes_room = draft, makes_room
        self._known: dict[tuple[object, ...], _Answer] = {}
        self._withheld: dict[str, Withheld] = {}

    def of(self, item: Item, pool: str) -> _Answer:
        """Return why an item waits in a pool, after those who were asked about before it."""
        answer = self._alike(item, pool)
        return replace(answer, cause=self._in(pool).behind(answer.cause)) if answer.cause.awaited else answer

    def _alike(self, item: Item, pool: str) -> _Answer:
        view = item.view
        is_placed = bool(view.staying) or view.id in self._draft.seats
        joins = view.id if is_placed and _is_tied(view.tree) else None
        key = pool, item.likeness, joins, view.id in self._draft.untried
        if key not in self._known:
            self._known[key] = self._ask(Inquiry(self._draft, item, pool))
        return self._known[key]

    def _ask(self, inquiry: Inquiry) -> _Answer:
        if (lasting := _first(LASTING, inquiry)) is not None:
            return _Answer(lasting, lasts=True)
        if inquiry.item.view.id in self._draft.untried:
            return _Answer(turns.turn_did_not_come(self._draft), lasts=False)
        fleeting = _first((self._in(inquiry.pool).cause, *FLEETING), inquiry)
        return _Answer(fleeting or gangs.too_few_fit(inquiry), lasts=False)

    def _in(self, pool: str) -> Withheld:
        if pool not in self._withheld:
            self._withheld[pool] = Withheld(self._draft, pool, self._makes_room)
        return self._withheld[pool]


def _is_tied(part: Part) -> bool:
    """Say whether pods of a part, or of one below, have to join others where these are."""
    return part.topology is not None or any(_is_tied(below) for below in part.parts)


def _first(questions: Iterable[Question], inquiry: Inquiry) -> Cause | None:
    """Return the first cause that holds."""
    causes = (question(inquiry) for question in questions)
    return next((cause for cause in causes if cause is not None), None)
