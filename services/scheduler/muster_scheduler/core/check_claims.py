"""The checker's rules about claims: who may be told to go, and who may have how much."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from muster_contracts.values import Victim

from muster_scheduler.core.check_facts import KINDS, Amount, Bounds, Facts
from muster_scheduler.core.check_places import is_whole_with
from muster_scheduler.core.groups import Bound, GroupView


def wrong_victims(facts: Facts) -> Iterator[str]:
    """List what is wrong with those who are told to go."""
    for pod_id, count in Counter(victim.pod_id for victim in facts.plan.victims).items():
        if count > 1:
            yield f"Pod {pod_id} is told to go {count} times."
    helped = facts.helped
    yield from _crippled_gangs(facts)
    for victim in facts.plan.victims:
        if victim.pod_id not in facts.bound:
            yield f"Pod {victim.pod_id} is told to go and is nowhere."
            continue
        view, pod = facts.bound[victim.pod_id]
        if pod.releasing or not pod.ours:
            yield f"Pod {victim.pod_id} is not ours to evict, or goes already."
        if victim.rule == "stale-gang":
            continue
        friend = helped.get(victim.beneficiary_id) if victim.beneficiary_id else None
        if not view.preemptible:
            yield f"Pod {victim.pod_id} is told to go and is not preemptible."
        if friend is None:
            yield f"Pod {victim.pod_id} is told to go for nobody."
        else:
            yield from _against_the_rule(facts, victim, view, pod, friend)


def _crippled_gangs(facts: Facts) -> Iterator[str]:
    """A gang that loses pods must still be whole, with what is placed or moved, or lose all of them."""
    lost = {victim.pod_id for victim in facts.plan.victims if victim.rule != "consolidate"}
    hurt = dict.fromkeys(facts.bound[pod_id][0].id for pod_id in lost if pod_id in facts.bound)
    placed = [one.pod for one in facts.arrivals]
    for group_id in hurt:
        view = facts.snapshot.views[group_id]
        before = [bound.facts for bound in view.bound if not bound.releasing]
        after = [pod for pod in before if pod.pod_id not in lost]
        after += [pod for pod in placed if pod.pod_group_id == group_id]
        if after and is_whole_with(view, before) and not is_whole_with(view, after):
            yield f"Group {group_id} is left with {len(after)} pods, which are too few for anything."


def _against_the_rule(facts: Facts, victim: Victim, view: GroupView, pod: Bound, friend: GroupView) -> Iterator[str]:
    if victim.rule == "preempt" and (friend.queue != view.queue or friend.priority <= view.priority):
        yield f"Pod {victim.pod_id} is preempted for a group that is no more important."
    if victim.rule == "reclaim" and (friend.queue == view.queue or not _is_borrowed(facts, view, pod)):
        yield f"Pod {victim.pod_id} is reclaimed and is not borrowed."
    if victim.rule == "consolidate" and all(place.pod_id != victim.pod_id for place in facts.plan.nominations):
        yield f"Pod {victim.pod_id} is moved nowhere."


def _is_borrowed(facts: Facts, view: GroupView, pod: Bound) -> bool:
    """Say whether its project, or a department above, held more than its quota of anything before the plan.

    What is above a limit, which then was lowered, is nobody's due either, and no quota is for more than there is.
    """
    pool = facts.pool(pod.node)
    held, capacity = facts.held(pool, firm=False), facts.capacity(pool)
    return any(
        _passes(held[key], bounds)
        for key in facts.above(view.queue)
        for bounds in (facts.deserved(key, pool), facts.limits(key, pool), capacity)
    )


def _passes(held: Amount, most: Bounds) -> bool:
    return any(bound is not None and amount > bound for amount, bound in zip(held, most, strict=True))


def passed_bounds(facts: Facts) -> Iterator[str]:
    """List hard limits that placements pass, and quotas passed by what cannot be preempted."""
    by_pool: dict[str, list[tuple[str, bool, Amount]]] = defaultdict(list)
    for one in facts.arrivals:
        gift = one.view.queue, not one.view.preemptible, facts.amount_of(one.pod)
        by_pool[facts.pool(one.node.name)].append(gift)
    for pool, gifts in by_pool.items():
        yield from _passed(facts, pool, gifts, firm=False)
        yield from _passed(facts, pool, [gift for gift in gifts if gift[1]], firm=True)


def _passed(facts: Facts, pool: str, gifts: list[tuple[str, bool, Amount]], *, firm: bool) -> Iterator[str]:
    given = facts.summed((queue, amount) for queue, _, amount in gifts)
    held = facts.held(pool, firm=firm)
    for key, gift in given.items():
        bounds = (facts.deserved if firm else facts.limits)(key, pool)
        for kind, more, before, bound in zip(KINDS, gift, held[key], bounds, strict=True):
            if more and bound is not None and before + more > bound:
                what = "quota with what cannot be preempted" if firm else "limit"
                yield f"{key} passes its {what}: {before + more} of {bound} {kind} in {pool}."
