"""The checker's rules about reasons: everybody left has one, its sentence tells its numbers, and the numbers are true.

What a queue holds and is due is counted again, and so are nodes, places and pods. What is free on nodes is counted
again only when nobody makes room and nobody is awaited, for else the reason speaks of a moment in the middle of the
plan; and for no more than `RECOUNTED` kinds of pods, for there may be thousands, and each is a look at every node.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from uuid import UUID

from muster_contracts.events import NodeObserved
from muster_contracts.values import WHOLE_GPU, PodFacts

from muster_scheduler.core.check_facts import Amount, Bounds, Facts
from muster_scheduler.core.check_places import unsuitable
from muster_scheduler.core.check_shares import Shares
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.reasons import Blocked

RECOUNTED = 32
GIBIBYTE = 1024**3
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
TOLD: Mapping[str, tuple[str, ...]] = {
    "PodsMissing": ("present",),
    "NodePoolUnschedulable": ("nodes",),
    "OverLimit": ("needed", "held", "bound"),
    "QuotaExceededNonPreemptible": ("needed", "held", "bound"),
    "VolumeRefused": ("nodes",),
    "NodesUnsuitable": ("nodes", "ready"),
    "NoFittingNode": ("best",),
    "FragmentedGPUs": ("needed", "best"),  # of whole devices "free" is told with the parts that are free besides
    "FairShareExceeded": ("needed", "held", "fair_share"),
    "GangDoesNotFit": ("members", "fitting"),
    "RoomIsBeingMade": ("places",),
    "BudgetExhausted": ("step_limit",),
}
"""Which numbers the sentence of each code tells, if the reason has them."""


def wrong_reasons(facts: Facts) -> Iterator[str]:
    """List groups that wait without a reason, and reasons that are not true."""
    placed = {place.pod_id for place in facts.plan.placements}
    explained = {blocked.pod_group_id for blocked in facts.plan.blocked}
    for view in facts.snapshot.groups:
        if view.id not in explained and any(pod.facts.pod_id not in placed for pod in view.waiting):
            yield f"Group {view.id} waits without a reason."
    recount = _Recount(facts)
    for blocked in facts.plan.blocked:
        yield from _contradictions(blocked)
        if (known := facts.snapshot.views.get(blocked.pod_group_id)) is not None:
            yield from _untold(facts, known, blocked)
            if not recount.agrees(known, blocked):
                yield f"{blocked.pod_group_id} is told {blocked.code} with {blocked.numbers}, which is not so."


def _contradictions(blocked: Blocked) -> Iterator[str]:
    numbers = blocked.numbers
    if any(number < 0 for number in numbers.values()):
        yield f"The reason of {blocked.pod_group_id} has a negative number: {numbers}."
    if "best" in numbers and numbers["needed"] <= numbers["best"]:
        yield f"{blocked.pod_group_id} is said to need {numbers['needed']} where {numbers['best']} are free."
    for bound in ("bound", "fair_share"):
        if bound in numbers and numbers["needed"] + numbers["held"] <= numbers[bound]:
            yield f"{blocked.pod_group_id} is said to pass {numbers[bound]} and does not."


def _untold(facts: Facts, view: GroupView, blocked: Blocked) -> Iterator[str]:
    """List numbers that are not in the sentence, in any of the units in which people are told them."""
    sentence = blocked.reason.removeprefix(view.name)
    queues = (key.partition("/")[2] for key in facts.above(view.queue))
    for name in sorted({*queues, *view.node_pools}, key=len, reverse=True):
        sentence = sentence.replace(f" {name} ", " ").replace(f" {name},", " ").replace(f" {name};", " ")
    told = NUMBER.findall(sentence)
    for name in TOLD.get(blocked.code, ()):
        if (value := blocked.numbers.get(name)) is None:
            continue
        if (number := next((one for one in told if one in _written(value)), None)) is None:
            yield f"{blocked.pod_group_id} is told {blocked.reason!r}, which does not say {name}: {value}."
        else:
            told.remove(number)  # two numbers that are alike are said twice


def _written(value: int) -> set[str]:
    return {str(value), f"{value / WHOLE_GPU:g}", f"{value / 1000:g}", f"{value / GIBIBYTE:.4g}"}


class _Recount:
    """The numbers of reasons, counted again from the snapshot and what the plan does to it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._shares = Shares(facts)
        self._sums: dict[tuple[str, bool], dict[str, Amount]] = {}
        self._looked_at: dict[tuple[object, ...], bool] = {}
        self._rules: Mapping[str, Callable[[GroupView, Mapping[str, int]], bool]] = {
            "PodsMissing": self._pods_missing,
            "NodePoolUnschedulable": self._no_node_takes_pods,
            "OverLimit": self._over_limit,
            "QuotaExceededNonPreemptible": self._over_quota,
            "VolumeRefused": self._refused,
            "NodesUnsuitable": self._nodes,
            "NoFittingNode": self._best_node,
            "FragmentedGPUs": self._fragments,
            "FairShareExceeded": self._over_share,
            "GangDoesNotFit": self._gang,
            "RoomIsBeingMade": self._promised,
            "BudgetExhausted": lambda _, numbers: self._facts.plan.steps >= numbers["step_limit"],
        }

    def agrees(self, view: GroupView, blocked: Blocked) -> bool:
        """Say whether the numbers of a reason are what is counted here; codes without a rule are believed."""
        rule = self._rules.get(blocked.code)
        return rule is None or rule(view, blocked.numbers)

    def _pods_missing(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        staying = sum(1 for bound in view.bound if not bound.releasing)
        present = staying + len(view.waiting) + sum(view.finished.values())
        return (numbers["needed"], numbers["present"]) == (view.min_members, present)

    def _no_node_takes_pods(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        pools = [self._facts.nodes_of(pool) for pool in self._facts.pools_of(view)]
        return any(len(here) == numbers["nodes"] and not _open(here) for here in pools)

    def _promised(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        earlier = len(self._facts.snapshot.nominations.get(view.id, ()))
        return numbers["places"] in (self._nominations[view.id], earlier)

    @cached_property
    def _nominations(self) -> Counter[UUID]:
        return Counter(place.pod_group_id for place in self._facts.plan.nominations)

    # -------------------------------------------------------- what queues hold

    def _over_limit(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        return self._is_passed(view, numbers, self._facts.limits, firm=False)

    def _over_quota(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        return not view.preemptible and self._is_passed(view, numbers, self._facts.deserved, firm=True)

    def _is_passed(
        self, view: GroupView, numbers: Mapping[str, int], bounds: Callable[[str, str], Bounds], *, firm: bool
    ) -> bool:
        return any(
            bounds(key, pool)[r] == numbers["bound"]
            and self._is_held(pool, key, r, numbers["held"], firm=firm)
            and self._is_asked(view, r, numbers["needed"])
            for pool in self._facts.pools_of(view)
            for key in self._facts.above(view.queue)
            for r in range(3)
        )

    def _over_share(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        return any(
            least[r] <= numbers["fair_share"] <= most[r]
            and self._is_held(pool, view.queue, r, numbers["held"], firm=False)
            and self._is_asked(view, r, numbers["needed"])
            for pool in self._facts.pools_of(view)
            for least, most in [self._shares.bounds(pool, view.queue)]
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

    # -------------------------------------------------------- what nodes have

    def _nodes(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        pools = [_open(self._facts.nodes_of(pool)) for pool in self._facts.pools_of(view)]
        ready = any(len(here) == numbers["ready"] for here in pools)
        if numbers["nodes"] != len(self._facts.rows) or not ready:
            return False
        return self._looked(
            view, (view.tree.topology,), lambda pod: any(not _sharing(view, _suitable(here, pod)) for here in pools)
        )

    def _refused(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        """Say whether a pod keeps off so many nodes of a pool that would take it."""
        pools = [_open(self._facts.nodes_of(pool)) for pool in self._facts.pools_of(view)]
        return self._looked(view, (numbers["nodes"],), lambda pod: numbers["nodes"] in self._kept_off(pools, pod))

    def _kept_off(self, pools: Iterable[Iterable[NodeObserved]], pod: PodFacts) -> set[int]:
        shunned = self._facts.shunned[pod.pod_id]
        return {sum(node.name in shunned for node in _suitable(here, pod)) for here in pools}

    def _gang(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        possible = numbers["fitting"] <= numbers["members"] <= len(view.waiting)
        if not (possible and self._is_quiet):
            return possible
        free = [self._free_devices(_open(self._facts.nodes_of(pool))) for pool in self._facts.pools_of(view)]
        return any(sum(map(sum, here)) // WHOLE_GPU == numbers["free"] for here in free)

    def _best_node(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        if "best" not in numbers or not self._is_quiet:
            return True
        needed, best = numbers["needed"], numbers["best"]
        return self._looked(view, (needed, best), lambda pod: _asks_for(pod, needed) and best in self._bests(view, pod))

    def _fragments(self, view: GroupView, numbers: Mapping[str, int]) -> bool:
        free = numbers["free"]
        if not self._is_quiet:
            return numbers["needed"] <= free
        return self._best_node(view, numbers) and self._looked(
            view, ("free", free), lambda pod: self._adds_up(view, pod, free)
        )

    def _adds_up(self, view: GroupView, pod: PodFacts, told: int) -> bool:
        """Say whether so much is free on the nodes for a pod: of whole devices GPUs are told, of parts millionths."""
        unit = WHOLE_GPU if pod.gpu.portion_millionths == WHOLE_GPU else 1
        shares = [self._free_devices(self._usable(pool, pod)) for pool in self._facts.pools_of(view)]
        return told in {sum(map(sum, here)) // unit for here in shares}

    def _usable(self, pool: str, pod: PodFacts) -> list[NodeObserved]:
        shunned = self._facts.shunned[pod.pod_id]
        return [node for node in _suitable(_open(self._facts.nodes_of(pool)), pod) if node.name not in shunned]

    def _bests(self, view: GroupView, pod: PodFacts) -> set[int]:
        """Return the most that a node has free of each resource; of parts, on the last of the devices needed."""
        found: set[int] = set()
        for pool in self._facts.pools_of(view):
            here = self._usable(pool, pod)
            found.add(max((node.gpu_memory_bytes for node in here), default=0))
            rows = [self._facts.rows[node.name] for node in here]
            devices = self._free_devices(here)
            found.add(max((sum(free == WHOLE_GPU for free in one) for one in devices), default=0))
            wide = [sorted(one, reverse=True) for one in devices if len(one) >= pod.gpu.devices > 0]
            found.add(max((one[pod.gpu.devices - 1] for one in wide), default=0))
            for column in self._free_amounts:
                found.add(max((max(0, column[row]) for row in rows), default=0))
        return found

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

    def _free_devices(self, nodes: Iterable[NodeObserved]) -> list[list[int]]:
        return [self._devices[self._facts.rows[node.name]] for node in nodes]

    @cached_property
    def _devices(self) -> list[list[int]]:
        free: list[list[int]] = self._facts.snapshot.idle.devices.tolist()
        for place in self._facts.plan.placements:
            for share in place.devices if place.node in self._facts.rows else ():
                free[self._facts.rows[place.node]][share.index] -= share.portion_millionths
        return free

    @cached_property
    def _free_amounts(self) -> tuple[list[int], list[int]]:
        """Thousandths of processors and bytes of memory that are free, by row."""
        facts = self._facts
        cpu, memory = facts.snapshot.idle.cpu.tolist(), facts.snapshot.idle.memory.tolist()
        for place in facts.plan.placements:
            if place.node in facts.rows and place.pod_id in facts.waiting:
                requests = facts.waiting[place.pod_id][1].requests
                cpu[facts.rows[place.node]] -= requests.cpu_milli
                memory[facts.rows[place.node]] -= requests.memory_bytes
        return cpu, memory


def _open(nodes: Iterable[NodeObserved]) -> list[NodeObserved]:
    return [node for node in nodes if node.ready and not node.unschedulable]


def _suitable(nodes: Iterable[NodeObserved], pod: PodFacts) -> list[NodeObserved]:
    return [node for node in nodes if next(unsuitable(node, pod), None) is None]


def _sharing(view: GroupView, nodes: Iterable[NodeObserved]) -> list[NodeObserved]:
    """Return the nodes that are in a domain at the level that all pods of a group must share."""
    topology = view.tree.topology
    levels = topology.shared_levels if topology else ()
    return [node for node in nodes if node.labels.keys() >= set(levels)]


def _asks_for(pod: PodFacts, amount: int) -> bool:
    """Say whether a pod asks one node for so much; what a device's memory is of a device depends on the node."""
    asked = (pod.gpu.devices, pod.gpu.portion_millionths, pod.requests.cpu_milli, pod.requests.memory_bytes)
    return amount in asked or pod.gpu.memory_bytes is not None
