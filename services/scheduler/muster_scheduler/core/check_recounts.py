"""The numbers of reasons, counted again from the snapshot and what the plan does to it, in the checker's own way.

What a queue holds and is due is counted again, and so are nodes, places, pods, and what nodes have when no workload
runs. What is free on nodes is counted again only when nobody makes room and nobody is awaited, for else the reason
speaks of a moment in the middle of the plan; and what nodes have for no more than `RECOUNTED` kinds of pods, for there
may be thousands, and each is a look at every node.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import UUID

from muster_contracts.events import NodeObserved
from muster_contracts.values import WHOLE_GPU, PodFacts

from muster_scheduler.core.check_facts import Amount, Bounds, Facts
from muster_scheduler.core.check_places import unsuitable
from muster_scheduler.core.check_room import Lot, empty_lots, free_lots
from muster_scheduler.core.check_shares import Shares
from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.reasons import Blocked

RECOUNTED = 32
Numbers = Mapping[str, int]


class Recount:
    """The numbers of every code, counted again."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._queues = _Queues(facts)
        self._nodes = _Nodes(facts)
        self._rules: Mapping[str, Callable[[GroupView, Numbers], bool]] = {
            "PodsMissing": _pods_missing,
            "SchedulingGated": lambda view, numbers: numbers["pods"] == len(view.gates),
            "BindingRefused": lambda view, numbers: numbers["pods"] == len(view.rests),
            "NodePoolUnschedulable": self._nodes.none_takes_pods,
            "OverLimit": self._queues.over_limit,
            "QuotaExceededNonPreemptible": self._queues.over_quota,
            "FairShareExceeded": self._queues.over_share,
            "VolumeRefused": self._nodes.refused,
            "NodesUnsuitable": self._nodes.unsuitable,
            "NoFittingNode": self._nodes.best,
            "FragmentedGPUs": self._nodes.in_pieces,
            "GangDoesNotFit": self._nodes.gang,
            "OtherPodsForbid": self._nodes.with_room,
            "MinimumRunTime": self._protected,
            "EvictionRefused": self._refused,
            "RoomIsBeingMade": self._promised,
            "BudgetExhausted": lambda _, numbers: facts.plan.steps >= numbers["step_limit"],
        }

    def agrees(self, view: GroupView, blocked: Blocked) -> bool:
        """Say whether the numbers of a reason are what is counted here; codes without a rule are believed."""
        rule = self._rules.get(blocked.code)
        return rule is None or rule(view, blocked.numbers)

    def _promised(self, view: GroupView, numbers: Numbers) -> bool:
        if "places" not in numbers:
            return bool(self._facts.plan.victims) or self._facts.snapshot.releasing is not None
        earlier = len(self._facts.snapshot.nominations.get(view.id, ()))
        return numbers["places"] in (self._nominations[view.id], earlier)

    @cached_property
    def _nominations(self) -> Counter[UUID]:
        return Counter(place.pod_group_id for place in self._facts.plan.nominations)

    def _refused(self, _: GroupView, numbers: Numbers) -> bool:
        refusals = self._facts.snapshot.refusals.values()
        return any(_is_over(refusal.until, numbers["until"]) for refusal in refusals)

    def _protected(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether anybody else's minimum run time is over then, and so many before it may wait for that."""
        if numbers.get("before", 0) not in range(numbers["queue_position"]):
            return False
        others = (other for other in self._facts.snapshot.views.values() if other.preemptible and other.started_at)
        return any(
            _is_over(other.started_at + timedelta(seconds=seconds), numbers["until"])
            for other in others
            if other.started_at is not None and other.id != view.id
            for seconds in self._granted(other)
        )

    def _granted(self, view: GroupView) -> Iterator[int]:
        """Yield what the nearest queue grants that grants any: when it is preempted, and when it is reclaimed from."""
        queues = {queue.key: queue for queue in self._facts.snapshot.queues}
        above = [queues[key] for key in self._facts.above(view.queue) if key in queues]
        yield next((queue.preempt_minimum_seconds for queue in above if queue.preempt_minimum_seconds), 0)
        yield next((queue.reclaim_minimum_seconds for queue in above if queue.reclaim_minimum_seconds), 0)


def _is_over(moment: datetime, told: int) -> bool:
    """Say whether a moment is the told one, in seconds since 1970, or less than a second before it."""
    return timedelta() <= datetime.fromtimestamp(told, UTC) - moment < timedelta(seconds=1)


def _pods_missing(view: GroupView, numbers: Numbers) -> bool:
    """Say whether so few pods exist of the group, or of one of its parts."""
    there = [bound.facts for bound in view.bound if not bound.releasing] + [pod.facts for pod in view.waiting]
    if (numbers["needed"], numbers["present"]) == (view.min_members, len(there) + sum(view.finished.values())):
        return True
    parts = Counter(facts.sub_group for facts in there) + Counter(view.finished)
    return any(
        (leaf.minimum, parts[leaf.name]) == (numbers["needed"], numbers["present"]) for leaf in view.tree.leaves()
    )


class _Queues:
    """What queues hold and are due."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._shares = Shares(facts)
        self._sums: dict[tuple[str, bool], dict[str, Amount]] = {}

    def over_limit(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether a limit would be passed."""
        return self._is_passed(view, numbers, self._facts.limits, firm=False)

    def over_quota(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether a quota is too small for what cannot be preempted."""
        return not view.preemptible and self._is_passed(view, numbers, self._facts.deserved, firm=True)

    def _is_passed(
        self, view: GroupView, numbers: Numbers, bounds: Callable[[str, str], Bounds], *, firm: bool
    ) -> bool:
        return any(
            bounds(key, pool)[r] == numbers["bound"]
            and self._is_held(pool, key, r, numbers["held"], firm=firm)
            and self._is_asked(view, r, numbers["needed"])
            for pool in self._facts.pools_of(view)
            for key in self._facts.above(view.queue)
            for r in range(3)
        )

    def over_share(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether the share of its queue, or of one above, would be passed."""
        return any(
            least[r] <= numbers["fair_share"] <= most[r]
            and self._is_held(pool, key, r, numbers["held"], firm=False)
            and self._is_asked(view, r, numbers["needed"])
            for pool in self._facts.pools_of(view)
            for key in self._facts.above(view.queue)
            for least, most in [self._shares.bounds(pool, key)]
            for r in range(3)
        )

    def _is_held(self, pool: str, key: str, resource: int, told: int, *, firm: bool) -> bool:
        """Say whether a queue holds so much when the plan is made; who was nominated earlier may count, too."""
        held = self._held(pool, firm=firm).get(key, (0, 0, 0))[resource]
        return told >= held if self._facts.snapshot.nominations else told == held

    def _is_asked(self, view: GroupView, resource: int, told: int) -> bool:
        """Say whether so much may be asked at once: all of a gang, or some of the pods of a group that may grow."""
        asked = self._facts.total(pod.facts for pod in view.waiting)[resource]
        all_or_none = not view.bound and not view.finished and len(view.waiting) == view.min_members
        return told == asked if all_or_none else 0 < told <= asked

    def _held(self, pool: str, *, firm: bool) -> dict[str, Amount]:
        """Sum what every queue holds with what the plan gives it, less what it takes."""
        if (pool, firm) not in self._sums:
            facts = self._facts
            entries = [(queue, both[firm]) for (where, queue), both in facts.snapshot.holding.items() if where == pool]
            entries += [(view.queue, amount) for view, amount in self._given(pool) if not (firm and view.preemptible)]
            self._sums[pool, firm] = facts.summed(entries)
        return self._sums[pool, firm]

    def _given(self, pool: str) -> Iterator[tuple[GroupView, Amount]]:
        facts = self._facts
        for place in facts.places:
            if place.pod_id in facts.waiting and place.node in facts.rows and facts.pool(place.node) == pool:
                view, pod = facts.waiting[place.pod_id]
                yield view, facts.amount_of(pod)
        for victim in facts.plan.victims:
            if victim.pod_id in facts.bound and victim.rule != "consolidate":
                view, bound = facts.bound[victim.pod_id]
                if facts.pool_of_bound(bound) == pool:
                    gpu, cpu, memory = facts.amount_of(bound.facts)
                    yield view, (-gpu, -cpu, -memory)


class _Nodes:
    """What nodes take, have, and would have if no workload ran."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._looked_at: dict[tuple[object, ...], bool] = {}

    def none_takes_pods(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether a pool has so many nodes, and none that takes pods."""
        pools = [self._facts.nodes_of(pool) for pool in self._facts.pools_of(view)]
        return any(len(here) == numbers["nodes"] and not _open(here) for here in pools)

    def unsuitable(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether a pool has so many nodes, so many of them ready, and none that suits a pod."""
        told = numbers["nodes"], numbers["ready"]
        pools = [self._facts.nodes_of(pool) for pool in self._facts.pools_of(view)]
        meant = [_open(here) for here in pools if (len(here), len(_open(here))) == told]
        return bool(meant) and self._looked(
            view,
            ("unsuitable", view.tree),
            lambda pod: any(not _sharing(view, _suitable(here, pod)) for here in meant),
        )

    def refused(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether a pod keeps off so many nodes of a pool that would take it."""
        pools = [_open(self._facts.nodes_of(pool)) for pool in self._facts.pools_of(view)]
        return self._looked(
            view, ("refused", *numbers.values()), lambda pod: numbers["nodes"] in self._kept_off(pools, pod)
        )

    def _kept_off(self, pools: Iterable[Iterable[NodeObserved]], pod: PodFacts) -> set[int]:
        shunned = self._facts.shunned.get(pod.pod_id, ())
        return {sum(node.name in shunned for node in _suitable(here, pod)) for here in pools}

    def best(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether a pod asks for so much of something, and the best node, or one that comes close, has so much."""
        if not numbers.keys() & {"largest", "best", "closest"} or not _are_members(view, numbers):
            return False
        if "largest" not in numbers and not self._is_quiet:
            return True
        return self._looked(view, ("best", *_unplaced(numbers)), lambda pod: self._is_best(view, pod, numbers))

    def _is_best(self, view: GroupView, pod: PodFacts, numbers: Numbers) -> bool:
        key = next(key for key in ("largest", "best", "closest") if key in numbers)
        lots = self._empty if key == "largest" else self._free
        for pool in self._facts.pools_of(view):
            usable = self._usable(pool, pod)
            if "held" in numbers and not self._is_all_held(usable, numbers["held"]):
                continue
            here = [lots[node.name].has(pod) for node in usable]
            for name, asked in Lot.asked(pod).items():
                values = [one[name] for one in here]
                found = numbers[key] in values if key == "closest" else numbers[key] == max(values, default=0)
                if asked == numbers["needed"] and found:
                    return True
        return key == "closest" and self._is_closest_when_empty(view, pod, numbers)

    def _is_all_held(self, nodes: Iterable[NodeObserved], told: int) -> bool:
        """Say whether nodes have so much of GPUs, in millionths, and nothing of it is free."""
        names = [node.name for node in nodes]
        is_free = any(portion > 0 for name in names for portion in self._free[name].devices)
        return not is_free and told == sum(sum(self._empty[name].devices) for name in names)

    def _is_closest_when_empty(self, view: GroupView, pod: PodFacts, numbers: Numbers) -> bool:
        nodes = [node for pool in self._facts.pools_of(view) for node in self._usable(pool, pod)]
        has = [self._empty[node.name].has(pod) for node in nodes]
        asked = Lot.asked(pod)
        return any(
            asked[name] == numbers["needed"] and one[name] == numbers["closest"] for one in has for name in asked
        )

    def in_pieces(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether so much of the GPUs is free, and so much in the best piece, counted whole or in millionths."""
        if not _are_members(view, numbers) or numbers["needed"] > numbers["free"]:
            return False
        if not self._is_quiet:
            return True
        which = view.id if "members" in numbers else None
        return self._looked(
            view, ("pieces", which, *_unplaced(numbers)), lambda pod: self._are_pieces(view, pod, numbers)
        )

    def _are_pieces(self, view: GroupView, pod: PodFacts, numbers: Numbers) -> bool:
        told = [numbers["free"], numbers["best"]]
        pools = [[self._free[node.name] for node in self._usable(pool, pod)] for pool in self._facts.pools_of(view)]
        found = (one for lots in pools for one in Lot.pieces(lots, pod))
        return any(pieces == told and self._is_wanted(view, pod, numbers, unit) for unit, *pieces in found)

    def _is_wanted(self, view: GroupView, pod: PodFacts, numbers: Numbers, unit: int) -> bool:
        """Say whether so much of GPUs is asked for: by a pod of each of its devices, or by all that start together."""
        wanted, one, portion = numbers["needed"] * unit, self._facts.amount_of(pod)[0], pod.gpu.portion_millionths
        if "members" not in numbers:
            return wanted == (one if portion == WHOLE_GPU else portion)
        if len({other.need for other in view.waiting}) == 1:
            return wanted == one * numbers["members"]
        return one <= wanted <= self._facts.total(other.facts for other in view.waiting)[0]

    def gang(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether so many pods wait, and so many of them would fit, now or ever; the rest is believed."""
        if numbers["members"] > len(view.waiting):
            return False
        if "largest" in numbers:
            told = numbers["largest"]
            return self._looked(view, ("largest", view.tree, told), lambda pod: self._is_largest(view, pod, told))
        if numbers["fitting"] > numbers["members"]:
            return False
        return "free" not in numbers or not self._is_quiet or self._is_free(view, numbers["free"])

    def _is_largest(self, view: GroupView, pod: PodFacts, told: int) -> bool:
        return any(
            told == self._most_at_once(pool, pod, levels)
            for pool in self._facts.pools_of(view)
            for levels in _levels(view.tree)
        )

    def _most_at_once(self, pool: str, pod: PodFacts, levels: tuple[str, ...]) -> int:
        """Count how many such pods the pool, or the largest domain of a level, has room for when no workload runs."""
        domains: Counter[tuple[str, ...]] = Counter()
        for node in _suitable(_open(self._facts.nodes_of(pool)), pod):
            if node.labels.keys() >= set(levels):
                domains[tuple(node.labels[level] for level in levels)] += self._empty[node.name].room_for(pod)
        return max(domains.values(), default=0)

    def _is_free(self, view: GroupView, told: int) -> bool:
        pools = [_open(self._facts.nodes_of(pool)) for pool in self._facts.pools_of(view)]
        free = [[self._free[node.name] for node in here] for here in pools]
        return any(told in (sum(lot.whole for lot in here), sum(sum(lot.devices) for lot in here)) for here in free)

    def with_room(self, view: GroupView, numbers: Numbers) -> bool:
        """Say whether so many nodes have room for a pod, whoever its neighbours are."""
        if not self._is_quiet:
            return True
        return self._looked(view, ("room", numbers["nodes"]), lambda pod: self._have_room(view, pod, numbers["nodes"]))

    def _have_room(self, view: GroupView, pod: PodFacts, told: int) -> bool:
        pools = [self._usable(pool, pod) for pool in self._facts.pools_of(view)]
        return told in [sum(self._free[node.name].room_for(pod) > 0 for node in here) for here in pools]

    def _usable(self, pool: str, pod: PodFacts) -> list[NodeObserved]:
        shunned = self._facts.shunned.get(pod.pod_id, ())
        return [node for node in _suitable(_open(self._facts.nodes_of(pool)), pod) if node.name not in shunned]

    def _looked(self, view: GroupView, more: tuple[object, ...], holds: Callable[[PodFacts], bool]) -> bool:
        """Ask about every kind of pod of a group until it holds of one; believe it once enough has been looked at."""
        kinds = {(self._facts.pools_of(view), pod.need, *more): pod.facts for pod in view.waiting}
        for kind, pod in kinds.items():
            if kind not in self._looked_at:
                if len(self._looked_at) >= RECOUNTED:
                    return True
                self._looked_at[kind] = holds(pod)
        return any(self._looked_at[kind] for kind in kinds)

    @property
    def _is_quiet(self) -> bool:
        plan, snapshot = self._facts.plan, self._facts.snapshot
        return not (plan.nominations or plan.victims or snapshot.nominations or snapshot.releasing is not None)

    @cached_property
    def _free(self) -> dict[str, Lot]:
        return free_lots(self._facts)

    @cached_property
    def _empty(self) -> dict[str, Lot]:
        return empty_lots(self._facts)


def _are_members(view: GroupView, numbers: Numbers) -> bool:
    """Say whether so many pods may have to start at once: all of a gang, or some of a group that may grow."""
    told, all_or_none = numbers.get("members", 1), not view.bound and not view.finished
    if all_or_none and len(view.waiting) == view.min_members and "largest" not in numbers:
        return told == view.min_members
    return 1 <= told <= len(view.waiting)


def _unplaced(numbers: Numbers) -> tuple[object, ...]:
    return tuple(item for item in numbers.items() if item[0] != "queue_position")


def _levels(part: Part) -> Iterator[tuple[str, ...]]:
    """Yield the levels that the whole, or a part, must share; none for pods that may be anywhere in the pool."""
    yield part.topology.shared_levels if part.topology else ()
    for below in part.parts:
        yield from _levels(below)


def _open(nodes: Iterable[NodeObserved]) -> list[NodeObserved]:
    return [node for node in nodes if node.ready and not node.unschedulable]


def _suitable(nodes: Iterable[NodeObserved], pod: PodFacts) -> list[NodeObserved]:
    return [node for node in nodes if next(unsuitable(node, pod), None) is None]


def _sharing(view: GroupView, nodes: Iterable[NodeObserved]) -> list[NodeObserved]:
    """Return the nodes that are in a domain at every level that pods of a group must share."""
    levels = {level for shared in _levels(view.tree) for level in shared}
    return [node for node in nodes if node.labels.keys() >= levels]
