"""Making way for the more important: inside one project and pool, preemptible groups of strictly lower priority.

A project may come to hold more of what is above its quota, or fair share, by preempting, unless one waits that could
take that back. It would do so in the next plan, and whoever was preempted could claim his place as he did before, so
that both would go on for ever. Who cannot be preempted is not held up by this, for nobody takes anything back from him.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from muster_scheduler.core.accounts import Account, Triple, added, exceeds
from muster_scheduler.core.disrupt import Disruption
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.emptied import could_ever_start, empty_layer
from muster_scheduler.core.forecast import Walk
from muster_scheduler.core.need import Need
from muster_scheduler.core.reclaim import enforceable, parting
from muster_scheduler.core.room import Layer
from muster_scheduler.core.units import Unit
from muster_scheduler.core.victims import Victims

Held = Mapping[Account, Triple]


class Rivals:
    """What is waited for in one pool by those who found no place when room began to be made."""

    def __init__(self, draft: Draft, pool: str, waiting: Iterable[Item]) -> None:
        self._draft, self._pool, self._waiting = draft, pool, waiting
        self._hopes: dict[tuple[object, ...], bool] = {}

    def gain_a_claim(self, leaf: Account, before: Held) -> bool:
        """Say whether another queue may reclaim from this one what it holds more of than before.

        It is not asked whether there would be room for its pods now, only whether there ever could be.
        """
        if not any(
            _has_risen(account, bounds, before) for account in before for bounds in (account.fair, account.deserved)
        ):
            return False
        return any(
            _gains(asking, wanted, leaf, before) and any(self._may_hope(item) for item in items)
            for (asking, wanted), items in self._wanted.items()
            if asking is not leaf
        )

    @cached_property
    def _wanted(self) -> dict[tuple[Account, Triple], list[Item]]:
        """Every queue with each amount that items of it ask for, and one item of each kind of these."""
        draft, found = self._draft, dict[tuple[Account, Triple], dict[object, Item]]()
        for item in self._waiting:
            both = draft.account(item.view, self._pool), draft.amounts(item)
            found.setdefault(both, {}).setdefault(item.likeness, item)
        return {both: list(items.values()) for both, items in found.items()}

    def _may_hope(self, item: Item) -> bool:
        if item.likeness not in self._hopes:
            draft, pool = self._draft, self._pool
            account, amounts = draft.account(item.view, pool), draft.amounts(item)
            self._hopes[item.likeness] = could_ever_start(self._emptied, pool, item, account, amounts)
        return self._hopes[item.likeness]

    @cached_property
    def _emptied(self) -> Layer:
        return empty_layer(self._draft.terrain)


def preempt(draft: Draft, item: Item, pool: str, victims: Victims, rivals: Rivals) -> bool:
    """Make room for an item at the expense of lower priorities of its project; say whether it was possible."""
    leaf = draft.account(item.view, pool)
    before = {account: account.held for account in leaf.chain()}

    def candidates() -> Iterator[Unit]:
        for unit in victims.of(leaf):
            if unit.view.priority < item.view.priority and not victims.is_protected(unit, reclaim=False):
                yield unit

    def admits(_: list[Unit]) -> bool:
        return not (item.view.preemptible and rivals.gain_a_claim(leaf, before))

    def walk_for(need: Need) -> Walk:
        return victims.walk_again(need, candidates, (leaf, item.view.priority, draft.snapshot.now))

    return Disruption(draft, item, pool).make_room_of(candidates, admits, "preempt", walk_for)


def _gains(asking: Account, wanted: Triple, leaf: Account, before: Held) -> bool:
    """Judge by the rules of `reclaim`, as if what is wanted would fit."""
    ours, theirs = parting(asking, leaf)
    with_it = added(ours.allocated, wanted)
    if exceeds(with_it, ours.fair, range(3)):
        return False
    return any(_has_risen(theirs, bounds, before) for bounds in enforceable(ours, with_it, theirs))


def _has_risen(account: Account, bounds: Iterable[int | None], before: Held) -> bool:
    """Say whether a queue is above a bound with more than it held before."""
    return any(
        bound is not None and held > max(bound, earlier)
        for held, bound, earlier in zip(account.allocated, bounds, before[account], strict=True)
    )
