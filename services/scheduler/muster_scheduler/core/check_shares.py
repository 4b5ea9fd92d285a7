"""The checker's own arithmetic of fair share, and its rules about taking back: never from those who hold their due.

The shares are worked out from the words of `docs/scheduling.md` with fractions, where the planner has integers: what
everybody wants of its quota, then by priority and weight what is left, then whole units of what does not divide.

Victims are judged by what is left of their queue when all have gone who go for the same workload: with each of them it
must be above its fair share, or above its quota if who asks stays within its own. Else it could have stayed. Pods of a
gang that cannot go one by one are judged at once. Where room is made for several groups of one workload it is not known
who goes for which, and this is not judged.

A group that may use several node pools wants something of each until it has a place in one, now or from an earlier
promise; when the planner divided a pool it may have had one. Then a share lies between two bounds, and only what is
wrong with both is a fault.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import groupby, takewhile
from uuid import UUID

from muster_contracts.values import WHOLE_GPU, PoolQuota, Victim

from muster_scheduler.core.check_facts import KINDS, Amount, Facts
from muster_scheduler.core.check_places import is_whole_with
from muster_scheduler.core.groups import GroupView

UNITS = (WHOLE_GPU, 1, 1)
YOUNGEST = 10**18
MEDIUM = Fraction(2)


# ------------------------------------------------------------ fair shares


@dataclass(slots=True)
class _Claim:
    """What one queue says to one resource."""

    key: str
    order: tuple[int, str]
    priority: int
    deserved: int | None
    limit: int | None
    weight: Fraction
    wanted: int
    share: int = 0
    below: list["_Claim"] = field(default_factory=list)

    @property
    def cap(self) -> int:
        """The most it can use."""
        return self.wanted if self.limit is None else min(self.wanted, self.limit)


def fair_shares(facts: Facts, pool: str, wanted: dict[str, Amount]) -> dict[str, Amount]:
    """Return the fair share of every queue in a pool. `wanted` is what projects hold and wait for."""
    found: dict[str, list[int]] = {}
    for resource in range(3):
        claims = _claims(facts, pool, wanted, resource)
        tops = [claim for key, claim in claims.items() if facts.parents.get(key) not in claims]
        for claim in tops:
            _ask_for_those_below(claim)
        _divide(max(0, facts.capacity(pool)[resource]), tops, UNITS[resource])
        for key, claim in claims.items():
            found.setdefault(key, []).append(claim.share)
    return {key: (gpu, cpu, memory) for key, (gpu, cpu, memory) in found.items()}


def _claims(facts: Facts, pool: str, wanted: dict[str, Amount], resource: int) -> dict[str, _Claim]:
    ages = {queue.key: queue.age for queue in facts.snapshot.queues}
    keys = dict.fromkeys((*ages, *wanted))
    claims = {
        key: _claim(
            facts.quota(key, pool), key, ages.get(key, YOUNGEST), wanted.get(key, (0, 0, 0))[resource], resource
        )
        for key in keys
    }
    for key, claim in claims.items():
        if (above := claims.get(facts.parents.get(key, ""))) is not None:
            above.below.append(claim)
    return claims


def _claim(quota: PoolQuota | None, key: str, age: int, wanted: int, resource: int) -> _Claim:
    if quota is None:
        return _Claim(key, (age, key), 0, None, None, MEDIUM, wanted)
    deserved = (quota.gpu_millionths, quota.cpu_milli, quota.memory_bytes)[resource]
    limit = (quota.gpu_limit_millionths, quota.cpu_limit_milli, quota.memory_limit_bytes)[resource]
    return _Claim(key, (age, key), quota.priority, deserved, limit, _weight(quota, key, resource), wanted)


def _weight(quota: PoolQuota, key: str, resource: int) -> Fraction:
    """Return a weight. A department that names none weighs what its quota is, a project that names none is medium."""
    if resource > 0:
        return Fraction((0, quota.cpu_over_quota_weight, quota.memory_over_quota_weight)[resource])
    if quota.over_quota_weight is not None:
        return Fraction(quota.over_quota_weight)
    is_weighed = key.startswith("department/") and quota.gpu_millionths is not None
    return Fraction(quota.gpu_millionths or 0, WHOLE_GPU) if is_weighed else MEDIUM


def _ask_for_those_below(claim: _Claim) -> None:
    for child in claim.below:
        _ask_for_those_below(child)
        claim.wanted += child.cap


def _divide(total: int, level: Sequence[_Claim], unit: int) -> None:
    """Divide a total among siblings, and what each gets among those below it."""
    for claim in level:
        claim.share = min(total if claim.deserved is None else claim.deserved, claim.cap)
    rest = max(0, total - sum(claim.share for claim in level))
    for priority in sorted({claim.priority for claim in level}, reverse=True):
        tier = sorted((claim for claim in level if claim.priority == priority), key=lambda claim: claim.order)
        rest = _hand_out(rest, tier, unit)
    for claim in level:
        _divide(claim.share, claim.below, unit)


def _hand_out(rest: int, tier: Sequence[_Claim], unit: int) -> int:
    """Offer the rest by weight for as long as somebody needs less than that; then unit by unit. Return what is left."""
    lost: list[tuple[Fraction, _Claim]] = []
    modest = True
    while modest and rest > 0 and (hungry := [one for one in tier if one.weight > 0 and one.cap > one.share]):
        offered, total = rest, sum((one.weight for one in hungry), Fraction(0))
        lost, modest = [], False
        for one in hungry:
            offer, need = offered * one.weight / total, one.cap - one.share
            given = need if need <= offer else int(offer // unit) * unit
            modest |= need < offer
            if need > offer:
                lost.append((offer - given, one))
            one.share += given
            rest -= given
    for fraction, one in sorted(lost, key=lambda entry: -entry[0]):  # sorting keeps the older first among equals
        given = min(unit, rest) if fraction > 0 else 0
        one.share += given
        rest -= given
    return rest


class Shares:
    """The fair shares of a plan, by pool and queue: exact, or between which bounds, if that depends on the order."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._divided: dict[tuple[str, str], dict[str, Amount]] = {}
        self._bounds: dict[tuple[str, str], tuple[Amount, Amount]] = {}
        self._wanting: dict[str, tuple[list[GroupView], list[GroupView]]] = {}

    def bounds(self, pool: str, key: str) -> tuple[Amount, Amount]:
        """Return the least and the most that may be due to a queue."""
        if (pool, key) not in self._bounds:
            self._bounds[pool, key] = self._find_bounds(pool, key)
        return self._bounds[pool, key]

    def _find_bounds(self, pool: str, key: str) -> tuple[Amount, Amount]:
        """Return the least: those below it want what they certainly want, others what they may; and the most."""
        everybody, uncertain = self._who_wants(pool)
        if not uncertain:
            share = self._divide(pool, "", everybody).get(key, (0, 0, 0))
            return share, share
        mine = {view.id for view in uncertain if key in self._facts.above(view.queue)}
        others = {view.id for view in uncertain} - mine
        least = self._divide(pool, f"least of {key}", [view for view in everybody if view.id not in mine])
        most = self._divide(pool, f"most of {key}", [view for view in everybody if view.id not in others])
        low, high = least.get(key, (0, 0, 0)), most.get(key, (0, 0, 0))
        return _plus(low, UNITS, -1), _plus(high, UNITS)  # what does not divide may go to another

    def _who_wants(self, pool: str) -> tuple[list[GroupView], list[GroupView]]:
        """Return who may want something of a pool, and who of them may not."""
        if pool not in self._wanting:
            everybody = [view for view in self._facts.snapshot.groups if pool in self._facts.pools_of(view)]
            self._wanting[pool] = everybody, [view for view in everybody if self._may_be_elsewhere(view, pool)]
        return self._wanting[pool]

    def _may_be_elsewhere(self, view: GroupView, pool: str) -> bool:
        """Say whether a group had a place in another pool, perhaps, when this one was divided."""
        return self._pools.get(view.id, pool) != pool

    @cached_property
    def _pools(self) -> dict[UUID, str]:
        """The pool in which a group has its places: those of this plan, else those that an earlier one promised."""
        facts = self._facts
        earlier = (place for places in facts.snapshot.nominations.values() for place in places)
        places = (*earlier, *facts.places)
        return {place.pod_group_id: facts.pool(place.node) for place in places if place.node in facts.rows}

    def _divide(self, pool: str, wish: str, views: Sequence[GroupView]) -> dict[str, Amount]:
        if (pool, wish) not in self._divided:
            self._divided[pool, wish] = fair_shares(self._facts, pool, _wanted(self._facts, pool, views))
        return self._divided[pool, wish]


def _wanted(facts: Facts, pool: str, views: Sequence[GroupView]) -> dict[str, Amount]:
    wanted = {queue: held for (where, queue), (held, _) in facts.snapshot.holding.items() if where == pool}
    for view in facts.snapshot.groups:
        wanted.setdefault(view.queue, (0, 0, 0))
    for view in views:
        for pod in view.waiting:
            wanted[view.queue] = _plus(wanted[view.queue], facts.amount_of(pod.facts))
    return wanted


def _plus(first: Amount, second: Amount, sign: int = 1) -> Amount:
    return first[0] + sign * second[0], first[1] + sign * second[1], first[2] + sign * second[2]


# ------------------------------------------------------------ taking back


def unfair_reclaims(facts: Facts) -> Iterator[str]:
    """List pods that are taken from queues that hold no more than their due."""
    by_pool: dict[str, list[Victim]] = defaultdict(list)
    for victim in facts.plan.victims:
        if victim.pod_id in facts.bound and victim.rule != "consolidate":
            by_pool[facts.pool_of_bound(facts.bound[victim.pod_id][1])].append(victim)
    for pool, victims in by_pool.items():
        if any(victim.rule == "reclaim" for victim in victims):
            yield from _Reclaims(facts, pool).complaints(victims)


@dataclass(frozen=True, slots=True)
class _Unit:
    """Victims that can only go together: one pod, or all that a gang needs to be whole."""

    victims: list[Victim]
    is_core: bool


class _Reclaims:
    """The victims of one pool, in their order."""

    def __init__(self, facts: Facts, pool: str) -> None:
        self._facts, self._pool = facts, pool
        self._held = facts.held(pool, firm=False)
        self._shares = Shares(facts)
        self._asked: dict[UUID, Amount] = {}

    def complaints(self, victims: Sequence[Victim]) -> Iterator[str]:
        """Judge those who go for one workload after those for another; then what those hold who asked."""
        for _, together in groupby(_units(self._facts, victims), key=lambda unit: unit.victims[0].beneficiary_id):
            units = list(together)
            if units[0].victims[0].rule == "reclaim":
                yield from self._needless(units)
                yield from self._unspared(units)
            self._shift(units, -1)
        for workload_id in dict.fromkeys(victim.beneficiary_id for victim in victims if victim.rule == "reclaim"):
            if workload_id is not None and (friend := self._facts.helped.get(workload_id)) is not None:
                yield from self._greedy(friend)

    def _needless(self, units: Sequence[_Unit]) -> Iterator[str]:
        """Complain of who could have stayed when all others had gone, with the core of his gang if that went too."""
        friend = self._friend(units)
        if friend is None or self._facts.groups_helped[friend.workload_id] > 1:
            return
        self._shift(units, -1)
        cores = {self._view(unit).id: unit for unit in units if unit.is_core}
        for unit in units:
            core = cores.get(self._view(unit).id, unit)
            piece = [unit] if core is unit else [unit, core]
            self._shift(piece, 1)
            yield from self._undue(unit, friend)
            self._shift(piece, -1)
        self._shift(units, 1)

    def _unspared(self, units: Sequence[_Unit]) -> Iterator[str]:
        """Complain of who is in a queue within its quota while, when his turn comes, one beside it is above its own."""
        friend = self._friend(units)
        for unit in units if friend is not None else ():
            assert friend is not None
            view = self._view(unit)
            _, theirs = _parting(self._facts, friend.queue, view.queue)
            for key in takewhile(theirs.__ne__, self._facts.above(view.queue)):
                if self._is_spared(key):
                    pod_id = unit.victims[0].pod_id
                    yield f"Pod {pod_id} is reclaimed from {key}, which is within its quota beside one that is not."
            self._shift([unit], -1)
        if friend is not None:
            self._shift(units, 1)

    def _shift(self, units: Iterable[_Unit], sign: int) -> None:
        """Take what units hold out of what their queues hold, or put it back."""
        for victim in (victim for unit in units for victim in unit.victims):
            view, pod = self._facts.bound[victim.pod_id]
            for key in self._facts.above(view.queue):
                self._held[key] = _plus(self._held[key], self._facts.amount_of(pod.facts), sign)

    def _view(self, unit: _Unit) -> GroupView:
        return self._facts.bound[unit.victims[0].pod_id][0]

    def _friend(self, units: Sequence[_Unit]) -> GroupView | None:
        workload_id = units[0].victims[0].beneficiary_id
        return self._facts.helped.get(workload_id) if workload_id else None

    def _greedy(self, friend: GroupView) -> Iterator[str]:
        """Complain of a group that has room made beyond what is due to its queue, or to one above."""
        asked = self._asked_by(friend)
        for key in self._facts.above(friend.queue):
            after = _plus(_plus(self._held[key], self._placed[key]), asked)
            _, most = self._shares.bounds(self._pool, key)
            if any(held > due for held, due in zip(after, most, strict=True)):
                yield f"Group {friend.id} has room made by reclaim, with which {key} holds more than its fair share."

    @cached_property
    def _placed(self) -> dict[str, Amount]:
        """What queues are given at once."""
        facts = self._facts
        places = [
            place for place in facts.plan.placements if place.pod_id in facts.waiting and place.node in facts.rows
        ]
        here = [facts.waiting[place.pod_id] for place in places if facts.pool(place.node) == self._pool]
        return facts.summed((view.queue, facts.amount_of(pod)) for view, pod in here)

    def _asked_by(self, friend: GroupView) -> Amount:
        if friend.id not in self._asked:
            self._asked[friend.id] = self._facts.total(self._facts.nominated[friend.id])
        return self._asked[friend.id]

    def _undue(self, unit: _Unit, friend: GroupView) -> Iterator[str]:
        """Complain of a unit whose queue holds no more than its due with it."""
        ours, theirs = _parting(self._facts, friend.queue, self._view(unit).queue)
        if not self._may_take(friend, ours, theirs):
            share, _ = self._shares.bounds(self._pool, theirs)
            told = [f"{self._held[theirs][r]} of {share[r]} {KINDS[r]}" for r in range(3)]
            pod_id = unit.victims[0].pod_id
            yield f"Pod {pod_id} is reclaimed from {theirs}, which with it holds {', '.join(told)} due to it."

    def _may_take(self, friend: GroupView, ours: str, theirs: str) -> bool:
        if self._is_above_quota(theirs) and self._stays_within_quota(friend, ours):
            return True
        share, _ = self._shares.bounds(self._pool, theirs)
        is_above_share = any(held > due for held, due in zip(self._held[theirs], share, strict=True))
        return is_above_share and self._priority(ours) >= self._priority(theirs)

    def _priority(self, key: str) -> int:
        quota = self._facts.quota(key, self._pool)
        return quota.priority if quota else 0

    def _stays_within_quota(self, friend: GroupView, key: str) -> bool:
        """Say whether a queue stays within its quota of everything with the group for which room is made."""
        after = _plus(self._held[key], self._asked_by(friend))
        bounds = self._facts.deserved(key, self._pool)
        return all(bound is None or held <= bound for held, bound in zip(after, bounds, strict=True))

    def _is_spared(self, key: str) -> bool:
        siblings = self._facts.children[self._facts.parents.get(key, "")]
        return not self._is_above_quota(key) and any(self._is_above_quota(one) for one in siblings)

    def _is_above_quota(self, key: str) -> bool:
        bounds = self._facts.deserved(key, self._pool)
        return any(most is not None and held > most for held, most in zip(self._held[key], bounds, strict=True))


def _parting(facts: Facts, ours: str, theirs: str) -> tuple[str, str]:
    """Return the two queues, one above each, where the branches part."""
    mine, others = facts.above(ours), facts.above(theirs)
    while len(mine) > 1 and len(others) > 1 and mine[-1] == others[-1]:
        mine, others = mine[:-1], others[:-1]
    return mine[-1], others[-1]


def _units(facts: Facts, victims: Sequence[Victim]) -> list[_Unit]:
    """Put together who cannot go alone: what a gang needs to be whole. Who is beyond that is judged alone."""
    gone: dict[UUID, set[UUID]] = defaultdict(set)
    cores: dict[UUID, _Unit] = {}
    units: list[_Unit] = []
    for victim in victims:
        view, _ = facts.bound[victim.pod_id]
        gone[view.id].add(victim.pod_id)
        if _stands_without(view, gone[view.id]):
            units.append(_Unit([victim], is_core=False))
        elif view.id in cores:
            cores[view.id].victims.append(victim)
        else:
            units.append(cores.setdefault(view.id, _Unit([victim], is_core=True)))
    return units


def _stands_without(view: GroupView, gone: set[UUID]) -> bool:
    left = [bound.facts for bound in view.bound if not bound.releasing and bound.facts.pod_id not in gone]
    return bool(left) and is_whole_with(view, left)
