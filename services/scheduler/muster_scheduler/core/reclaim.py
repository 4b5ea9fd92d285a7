"""Taking back what others borrowed: between projects, between departments, never by priority.

Who asks must stay within its fair share of everything, at every level of the tree. A unit may be taken from a queue
that, before it goes, is above its fair share of anything, and has no higher priority; or above its quota, if who asks
stays within its own. Both are compared where their branches of the tree part. Below that, a project within its quota is
spared while a sibling is above its own. What only goes whole may leave a queue with less than its share, but nothing
goes beside it that the queue could have kept: with each piece by itself the queue would be above the bound again, so it
cannot come back by these rules.
"""

from collections.abc import Iterator

from muster_scheduler.core.accounts import NOTHING, Account, Bounds, Triple, added, exceeds, over_firm_quota
from muster_scheduler.core.disrupt import Disruption
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.forecast import Walk
from muster_scheduler.core.need import Need
from muster_scheduler.core.units import Unit
from muster_scheduler.core.victims import Victims


def reclaim(draft: Draft, item: Item, pool: str, victims: Victims) -> bool:
    """Make room for an item at the expense of queues that hold more than is theirs; say whether it was possible."""
    leaf, amounts = draft.account(item.view, pool), draft.amounts(item)
    if not may_reclaim(leaf, amounts) or (not item.view.preemptible and over_firm_quota(leaf, amounts)):
        return False

    def admits(lost: list[Unit]) -> bool:
        return _is_fair(draft, pool, leaf, lost)

    def candidates() -> Iterator[Unit]:
        return _candidates(leaf, amounts, victims)

    def walk_for(need: Need) -> Walk:
        return victims.walk(need, candidates)  # who goes first changes with what is held

    return Disruption(draft, item, pool).make_room_of(candidates, admits, "reclaim", walk_for)


def may_reclaim(leaf: Account, amounts: Triple) -> bool:
    """Say whether a queue would stay within its fair share. Higher levels are judged when it is known who goes."""
    return not exceeds(added(leaf.allocated, amounts), leaf.fair, range(3))


def _candidates(leaf: Account, amounts: Triple, victims: Victims) -> Iterator[Unit]:
    """Return units of queues that hold more than is theirs, in the order in which they should go."""
    lenders = [account for account in victims.accounts() if account is not leaf and _lends(account, leaf, amounts)]
    for unit in victims.last_in_line(lenders):
        if not victims.is_protected(unit, reclaim=True):
            yield unit


def _lends(account: Account, leaf: Account, amounts: Triple) -> bool:
    ours, theirs = parting(leaf, account)
    bounds = enforceable(ours, added(ours.allocated, amounts), theirs)
    return any(exceeds(theirs.settled, most, range(3)) for most in bounds)


def enforceable(ours: Account, held: Triple, theirs: Account) -> list[Bounds]:
    """Return above which bounds a queue may lose to a sibling that comes to hold so much.

    Its quota counts for who stays within its own, its fair share for those of no lower priority.
    """
    gpu, cpu, memory = theirs.fair
    bounds = [theirs.deserved] if not exceeds(held, ours.deserved, range(3)) else []
    return bounds if ours.priority < theirs.priority else [*bounds, (gpu, cpu, memory)]


def parting(ours: Account, theirs: Account) -> tuple[Account, Account]:
    """Return the siblings under which two queues lie, one on each side, where their branches part."""
    up, down = list(ours.chain())[::-1], list(theirs.chain())[::-1]
    level = 0
    while level < min(len(up), len(down)) - 1 and up[level] is down[level]:
        level += 1
    return up[level], down[level]


def _is_fair(draft: Draft, pool: str, leaf: Account, lost: list[Unit]) -> bool:
    """Judge the final set of those who go; the accounts are as they will be."""
    if any(exceeds(account.allocated, account.fair, range(3)) for account in leaf.chain()):
        return False
    losses = _Losses(draft, pool, lost)
    return all(losses.may_take(leaf, unit) for unit in lost)


class _Losses:
    """What queues would hold if one of the lost units stayed, and what they held before each went, in their order."""

    def __init__(self, draft: Draft, pool: str, lost: list[Unit]) -> None:
        self._draft, self._pool = draft, pool
        self._more: dict[Account, list[int]] = {}
        self._cores = {unit.view.id: unit.amounts for unit in lost if unit.is_core}
        for unit in lost:
            self._shift(unit, 1)

    def may_take(self, leaf: Account, unit: Unit) -> bool:
        """Say whether the next unit may go, and let it."""
        account = self._draft.account(unit.view, self._pool)
        ours, theirs = parting(leaf, account)
        kept = added(theirs.settled, self._piece(unit))
        is_due = any(exceeds(kept, bounds, range(3)) for bounds in enforceable(ours, ours.held, theirs))
        spared = any(self._is_spared(below) for below in _below(account, theirs))
        self._shift(unit, -1)
        return is_due and not spared

    def _piece(self, unit: Unit) -> Triple:
        """Return what might have stayed while the others went: a unit, and the core that it needs if that goes too."""
        return unit.amounts if unit.is_core else added(unit.amounts, self._cores.get(unit.view.id, NOTHING))

    def _is_spared(self, account: Account) -> bool:
        """Say whether a queue below the parting is within its quota while a sibling is not."""
        if self._is_above_quota(account) or account.parent is None:
            return False
        return any(self._is_above_quota(sibling) for sibling in account.parent.children)

    def _is_above_quota(self, account: Account) -> bool:
        return exceeds(self._held(account), account.deserved, range(3))

    def _held(self, account: Account) -> tuple[int, int, int]:
        more, held = self._more.get(account, (0, 0, 0)), account.settled
        return held[0] + more[0], held[1] + more[1], held[2] + more[2]

    def _shift(self, unit: Unit, sign: int) -> None:
        for account in self._draft.account(unit.view, self._pool).chain():
            more = self._more.setdefault(account, [0, 0, 0])
            for r in range(3):
                more[r] += sign * unit.amounts[r]


def _below(account: Account, top: Account) -> Iterator[Account]:
    for above in account.chain():
        if above is top:
            return
        yield above
