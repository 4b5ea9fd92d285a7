"""The checker's rules about claims: who may be told to go, who may have how much, and whether every reason is sound."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from muster_contracts.values import Victim

from muster_scheduler.core.check_facts import KINDS, Amount, Facts
from muster_scheduler.core.check_places import is_whole_with
from muster_scheduler.core.groups import Bound, GroupView


def wrong_victims(facts: Facts) -> Iterator[str]:
    """List what is wrong with those who are told to go."""
    for pod_id, count in Counter(victim.pod_id for victim in facts.plan.victims).items():
        if count > 1:
            yield f"Pod {pod_id} is told to go {count} times."
    helped = {view.workload_id: view for view in _nominated(facts)}
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
    placed = [facts.waiting[place.pod_id][1] for place in facts.plan.placements if place.pod_id in facts.waiting]
    for group_id in hurt:
        view = facts.snapshot.views[group_id]
        before = [bound.facts for bound in view.bound if not bound.releasing]
        after = [pod for pod in before if pod.pod_id not in lost]
        after += [pod for pod in placed if pod.pod_group_id == group_id]
        if after and is_whole_with(view, before) and not is_whole_with(view, after):
            yield f"Group {group_id} is left with {len(after)} pods, which are too few for anything."


def _nominated(facts: Facts) -> list[GroupView]:
    groups = dict.fromkeys(place.pod_group_id for place in facts.plan.nominations)
    return [facts.snapshot.views[group_id] for group_id in groups if group_id in facts.snapshot.views]


def _against_the_rule(facts: Facts, victim: Victim, view: GroupView, pod: Bound, friend: GroupView) -> Iterator[str]:
    if victim.rule == "preempt" and (friend.queue != view.queue or friend.priority <= view.priority):
        yield f"Pod {victim.pod_id} is preempted for a group that is no more important."
    if victim.rule == "reclaim" and (friend.queue == view.queue or not _is_borrowed(facts, view, pod)):
        yield f"Pod {victim.pod_id} is reclaimed and is not borrowed."
    if victim.rule == "consolidate" and all(place.pod_id != victim.pod_id for place in facts.plan.nominations):
        yield f"Pod {victim.pod_id} is moved nowhere."


def _is_borrowed(facts: Facts, view: GroupView, pod: Bound) -> bool:
    """Say whether its project, or a department above, held more than its quota of anything before the plan."""
    pool = facts.pool(pod.node)
    held = facts.held(pool, firm=False)
    return any(_passes(held[key], _deserved(facts, key, pool)) for key in facts.above(view.queue))


def _passes(held: Amount, most: tuple[int | None, ...]) -> bool:
    return any(bound is not None and amount > bound for amount, bound in zip(held, most, strict=True))


def _deserved(facts: Facts, key: str, pool: str) -> tuple[int | None, ...]:
    quota = facts.quota(key, pool)
    return (None,) * 3 if quota is None else (quota.gpu_millionths, quota.cpu_milli, quota.memory_bytes)


def _limits(facts: Facts, key: str, pool: str) -> tuple[int | None, ...]:
    quota = facts.quota(key, pool)
    return (
        (None,) * 3 if quota is None else (quota.gpu_limit_millionths, quota.cpu_limit_milli, quota.memory_limit_bytes)
    )


def passed_bounds(facts: Facts) -> Iterator[str]:
    """List hard limits that placements pass, and quotas passed by what cannot be preempted."""
    by_pool: dict[str, list[tuple[str, bool, Amount]]] = defaultdict(list)
    for place in facts.plan.placements:
        if place.node in facts.rows and place.pod_id in facts.waiting:
            view, pod = facts.waiting[place.pod_id]
            by_pool[facts.pool(place.node)].append((view.queue, not view.preemptible, facts.amount_of(pod)))
    for pool, gifts in by_pool.items():
        yield from _passed(facts, pool, gifts, firm=False)
        yield from _passed(facts, pool, [gift for gift in gifts if gift[1]], firm=True)


def _passed(facts: Facts, pool: str, gifts: list[tuple[str, bool, Amount]], *, firm: bool) -> Iterator[str]:
    given = facts.summed((queue, amount) for queue, _, amount in gifts)
    held = facts.held(pool, firm=firm)
    for key, gift in given.items():
        bounds = (_deserved if firm else _limits)(facts, key, pool)
        for kind, more, before, bound in zip(KINDS, gift, held[key], bounds, strict=True):
            if more and bound is not None and before + more > bound:
                what = "quota with what cannot be preempted" if firm else "limit"
                yield f"{key} passes its {what}: {before + more} of {bound} {kind} in {pool}."


def wrong_reasons(facts: Facts) -> Iterator[str]:
    """List groups that wait without a reason, and reasons whose numbers contradict themselves."""
    placed = {place.pod_id for place in facts.plan.placements}
    explained = {blocked.pod_group_id for blocked in facts.plan.blocked}
    for view in facts.snapshot.groups:
        if view.id not in explained and any(pod.facts.pod_id not in placed for pod in view.waiting):
            yield f"Group {view.id} waits without a reason."
    for blocked in facts.plan.blocked:
        numbers = blocked.numbers
        if any(number < 0 for number in numbers.values()):
            yield f"The reason of {blocked.pod_group_id} has a negative number: {numbers}."
        if "best" in numbers and numbers["needed"] <= numbers["best"]:
            yield f"{blocked.pod_group_id} is said to need {numbers['needed']} where {numbers['best']} are free."
        for bound in ("bound", "fair_share"):
            if bound in numbers and numbers["needed"] + numbers["held"] <= numbers[bound]:
                yield f"{blocked.pod_group_id} is said to pass {numbers[bound]} and does not."
