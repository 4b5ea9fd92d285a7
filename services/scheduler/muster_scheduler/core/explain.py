"""Finding the dominant reason of every group that is left, in the order in which they would be asked.

Rules come before room: a quota or a limit that forbids a group is the reason even in an empty cluster. Then whether it
keeps off nodes where its volumes were refused, whether any node would ever take it, whether one has room, and last what
its project could still claim.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.accounts import Account, exceeds, involved_in, over_firm_quota, over_limit
from muster_scheduler.core.allocate import Failed
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.need import Need
from muster_scheduler.core.reasons import Cause, amount_of, gpus
from muster_scheduler.core.room import UNFIT
from muster_scheduler.core.refusals import SHUNNED_FOR
from muster_scheduler.core.terrain import DEFAULT_POOL, Integers

WHEN_RELEASED = "It starts when running workloads release capacity, or when a node with more is added."
NEVER_HERE = "No node is that large: ask for less on one node, or add a larger node."
NO_SUCH_DEVICE = "No GPU is that large: ask for less memory, or add a node with larger GPUs."
IN_ONE_PIECE = "It starts when enough is free in one piece: when pods in the way have ended, or a node is added."
NAMED = 3
"""Nodes that a sentence names at most."""


def explain(draft: Draft, left: Failed) -> None:
    """Write a reason for every group with pods that found no place."""
    known: dict[tuple[object, ...], Cause] = {}
    for place, (item, pool) in enumerate(left, start=1):
        view = item.view
        if view.id in draft.blocked or view.id in draft.settled:
            continue
        if view.id in draft.untried:
            draft.blocked[view.id] = _budget(draft).of(view, place)
            continue
        key = (pool, item.likeness)
        if key not in known:
            known[key] = next(_Inquiry(draft, item, pool).causes())
        draft.blocked[view.id] = known[key].of(view, place)
    placed = {place.pod_id for place in draft.placements}
    promised = Counter(place.pod_group_id for place in draft.nominations)
    for view in draft.snapshot.groups:
        if view.id in draft.settled and any(pod.facts.pod_id not in placed for pod in view.waiting):
            places = promised[view.id] or len(draft.snapshot.nominations.get(view.id, ()))
            draft.blocked[view.id] = _nominated(places).of(view, 1)


def _budget(draft: Draft) -> Cause:
    limit = draft.limits.step_limit
    return Cause(
        "BudgetExhausted",
        f"was not considered: the plan stopped after {limit} steps before its turn came.",
        "It is considered again in the next plan.",
        {"step_limit": limit},
    )


def _nominated(places: int) -> Cause:
    noun = "place" if places == 1 else "places"
    return Cause(
        "RoomIsBeingMade",
        f"is promised {places} {noun}; it starts when the pods that are there have gone.",
        "Nothing has to be done: evicted pods are given their grace period to end.",
        {"places": places},
    )


def _refused(nodes: list[str]) -> Cause:
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    named = ", ".join([*nodes[:NAMED], *(["…"] if len(nodes) > NAMED else [])])
    minutes = int(SHUNNED_FOR.total_seconds()) // 60
    return Cause(
        "VolumeRefused",
        f"keeps off {count} where no volume could be made for it: {named}.",
        f"Each is tried again {minutes} minutes after it was refused; make room in its storage.",
        {"nodes": len(nodes)},
    )


class _Inquiry:
    """One item and the pool it failed in."""

    def __init__(self, draft: Draft, item: Item, pool: str) -> None:
        self._draft, self._item, self._pool = draft, item, pool
        self._leaf = draft.account(item.view, pool)
        self._amounts = draft.amounts(item)
        self._layer = draft.room.now
        self._need = max((pod.need for pod in item.pods), key=_size)
        self._open = draft.terrain.in_pool(pool) & draft.terrain.open

    def causes(self) -> Iterator[Cause]:
        """Offer causes, the dominant one first; the last always holds."""
        yield from self._by_pool()
        yield from self._by_rule()
        yield from self._by_volume()
        yield from self._by_label()
        yield from self._by_node()
        yield from self._by_share()
        yield self._gang()

    def _by_pool(self) -> Iterator[Cause]:
        terrain = self._draft.terrain
        nodes = int(terrain.in_pool(self._pool).sum())
        if self._pool not in {DEFAULT_POOL, *terrain.pools}:
            yield Cause(
                "NodePoolUnschedulable",
                f"waits for node pool {self._pool}, which nobody has made: {nodes} nodes belong to it.",
                "Make the node pool, or name another.",
                {"nodes": nodes},
            )
        if not self._open.any():
            yield Cause(
                "NodePoolUnschedulable",
                f"waits for node pool {self._pool}, of whose {nodes} nodes none is ready and takes pods.",
                "Make a node of the pool ready, or name another pool.",
                {"nodes": nodes},
            )

    def _by_rule(self) -> Iterator[Cause]:
        if (account := over_limit(self._leaf, self._amounts)) is not None:
            yield self._against(account, account.limit, account.allocated, "OverLimit")
        if not self._item.view.preemptible and (account := over_firm_quota(self._leaf, self._amounts)) is not None:
            yield self._against(account, account.deserved, account.firm, "QuotaExceededNonPreemptible")

    def _against(self, account: Account, bounds: tuple[int | None, ...], held: list[int], code: str) -> Cause:
        involved = involved_in(self._amounts)
        r = next(r for r in involved if exceeds([held[i] + self._amounts[i] for i in range(3)], bounds, [r]))
        most = bounds[r] or 0
        wanted, has, bound = (amount_of(r, value) for value in (self._amounts[r], held[r], most))
        if code == "OverLimit":
            sentence = f"needs {wanted}; {account.queue.name} holds {has} and is limited to {bound}."
            remedy = f"Raise the limit of {account.queue.name}, or end workloads of it.{self._quota_besides()}"
        else:
            sentence = (
                f"cannot be preempted and needs {wanted}; {account.queue.name} has a quota of {bound}, "
                f"of which such workloads hold {has}."
            )
            remedy = f"Submit it as preemptible, or raise the quota of {account.queue.name}."
        return Cause(code, sentence, remedy, {"needed": self._amounts[r], "held": held[r], "bound": most})

    def _quota_besides(self) -> str:
        """Say that a higher limit would not be enough, if that is so."""
        account = None if self._item.view.preemptible else over_firm_quota(self._leaf, self._amounts)
        return f" Raise the quota of {account.queue.name}, too: it cannot be preempted." if account else ""

    def _by_volume(self) -> Iterator[Cause]:
        """Offer the nodes that a pod keeps off for a while, if it had room there, or has nowhere else to go."""
        for need in dict.fromkeys(pod.need for pod in self._item.pods if pod.need.shunned):
            anywhere = replace(need, shunned=())
            admitted = self._draft.terrain.admits(anywhere) & self._open
            names = [self._draft.terrain.nodes[row].name for row in np.flatnonzero(admitted)]
            refused = [name for name in names if name in need.shunned]
            excluded = len(refused) == len(names)
            if refused and not self._has_room(need) and (excluded or self._has_room(anywhere)):
                yield _refused(refused)

    def _has_room(self, need: Need) -> bool:
        return bool((self._layer.scores(need, self._pool) < UNFIT).any())

    def _by_label(self) -> Iterator[Cause]:
        """Offer the first level that the pods must share and that no node has which would take them."""
        terrain = self._draft.terrain
        admitted = terrain.admits(self._need) & self._open
        levels = self._shared_levels()
        for number, level in enumerate(levels if admitted.any() else (), start=1):
            if (terrain.domains(levels[:number])[admitted] < 0).all():
                total, ready = len(terrain), int(self._open.sum())
                yield Cause(
                    "NodesUnsuitable",
                    f"has to share one value of the node label {level}, and no node it could use has that label: "
                    f"there are {total} nodes, {ready} of them ready.",
                    "Name a label that the nodes have, or label the nodes.",
                    {"nodes": total, "ready": ready},
                )

    def _shared_levels(self) -> tuple[str, ...]:
        """Return the levels at which all pods must be in one domain; none if they may be anywhere."""
        topology = self._item.view.tree.topology
        return topology.shared_levels if topology else ()

    def _by_node(self) -> Iterator[Cause]:
        terrain, need = self._draft.terrain, self._need
        admitted = terrain.admits(need) & self._open
        if not admitted.any():
            total, ready = len(terrain), int(self._open.sum())
            yield Cause(
                "NodesUnsuitable",
                f"is taken by none of {total} nodes: {ready} are ready; labels or taints exclude it.",
                "Change its node selector or tolerations, or make a suitable node ready.",
                {"nodes": total, "ready": ready},
            )
            return
        if self._has_room(need):
            return
        rows = np.flatnonzero(admitted)
        yield from self._fragmented(need, rows)
        yield from self._too_small(need, rows)

    def _fragmented(self, need: Need, rows: np.ndarray) -> Iterator[Cause]:
        if not need.devices or need.device_bytes:
            return
        free = self._layer.free.devices[rows]
        together = int(free.sum())
        could = bool((self._draft.terrain.devices[rows] >= need.devices).any())
        if not could or together < need.devices * need.portion:
            return
        if need.whole:
            wanted, best, unit = (
                need.devices * WHOLE_GPU,
                int((free == WHOLE_GPU).sum(axis=1).max()) * WHOLE_GPU,
                WHOLE_GPU,
            )
            sentence = f"needs {gpus(wanted)} on one node; {gpus(together)} are free, but at most {gpus(best)} on one."
        else:
            wanted, best, unit = need.portion, self._best_part(need, rows), 1
            sentence = (
                f"needs {wanted / WHOLE_GPU:g} of {_devices(need)}; {gpus(together)} are free, "
                f"but in pieces of at most {best / WHOLE_GPU:g}."
            )
        if best < wanted:
            numbers = {"needed": wanted // unit, "free": together // unit, "best": best // unit}
            yield Cause("FragmentedGPUs", sentence, IN_ONE_PIECE, numbers)

    def _too_small(self, need: Need, rows: np.ndarray) -> Iterator[Cause]:
        if self._share_is_why():
            return
        free = self._layer.free
        if need.devices and not need.whole:
            yield from self._no_parts(need, rows)
        whole = (free.devices[rows] == WHOLE_GPU).sum(axis=1) * WHOLE_GPU
        asked = (need.devices * WHOLE_GPU if need.whole else 0, need.cpu_milli, need.memory_bytes)
        for resource, column in enumerate((whole, free.cpu[rows], free.memory[rows])):
            wanted, best = asked[resource], max(0, int(column.max(initial=0)))
            if wanted > best:
                unit = WHOLE_GPU if resource == 0 else 1
                fits_when_empty = wanted <= self._largest(resource, rows)
                yield Cause(
                    "NoFittingNode",
                    f"needs {amount_of(resource, wanted)} on one node; the best has {amount_of(resource, best)} free.",
                    WHEN_RELEASED if fits_when_empty else NEVER_HERE,
                    {"needed": wanted // unit, "best": best // unit},
                )
        yield Cause(
            "NoFittingNode",
            f"finds no node with all of {_whole(need)} free at once.",
            WHEN_RELEASED,
            {"needed": need.devices, "cpu_milli": need.cpu_milli},
        )

    def _largest(self, resource: int, rows: np.ndarray) -> int:
        """Return how much of a resource the largest of these nodes has when it is empty."""
        nodes = (self._draft.terrain.nodes[row] for row in rows)
        sizes = ((n.gpu_devices * WHOLE_GPU, n.allocatable.cpu_milli, n.allocatable.memory_bytes) for n in nodes)
        return max((size[resource] for size in sizes), default=0)

    def _no_parts(self, need: Need, rows: np.ndarray) -> Iterator[Cause]:
        """Compare what is asked of each device with the largest there is, and with what is free."""
        best = self._best_part(need, rows)
        wanted = int(self._draft.terrain.portions(need)[rows].min())
        if wanted > WHOLE_GPU:
            asked, largest = need.device_bytes, int(self._draft.terrain.device_bytes[rows].max())
            yield Cause(
                "NoFittingNode",
                f"needs {amount_of(2, asked)} of {_devices(need)}; the largest has {amount_of(2, largest)}.",
                NO_SUCH_DEVICE,
                {"needed": asked, "best": largest},
            )
        elif wanted > best:
            yield Cause(
                "NoFittingNode",
                f"needs {wanted / WHOLE_GPU:g} of {_devices(need)}; the best there is has {best / WHOLE_GPU:g} free.",
                WHEN_RELEASED,
                {"needed": wanted, "best": best},
            )

    def _best_part(self, need: Need, rows: np.ndarray) -> int:
        """Return what is free of the best node's device that is the last to be needed."""
        ordered = np.sort(self._layer.free.devices[rows], axis=1)
        return int(ordered[:, -need.devices].max()) if ordered.shape[1] >= need.devices else 0

    def _share_is_why(self) -> bool:
        """Say whether the project has what is its due, and the pool would be large enough."""
        leaf, amounts = self._leaf, self._amounts
        involved = involved_in(amounts)
        after = [leaf.allocated[r] + amounts[r] for r in range(3)]
        capacity = self._draft.accounts(self._pool).capacity
        mine = all(leaf.deserved[r] is None for r in range(3))
        return not mine and exceeds(after, leaf.fair, involved) and not exceeds(amounts, capacity, involved)

    def _by_share(self) -> Iterator[Cause]:
        if not self._share_is_why() or self._has_room(self._need):
            return
        leaf, amounts = self._leaf, self._amounts
        r = next(r for r in involved_in(amounts) if leaf.allocated[r] + amounts[r] > leaf.fair[r])
        wanted, has, share = (amount_of(r, value) for value in (amounts[r], leaf.allocated[r], leaf.fair[r]))
        free = self._free(r)
        rest = leaf.fair[r] - amounts[r]
        within = f", or when {leaf.queue.name} holds no more than {amount_of(r, rest)}" if rest >= 0 else ""
        yield Cause(
            "FairShareExceeded",
            f"needs {wanted}; {leaf.queue.name} holds {has} of its fair share of {share}, "
            f"and {f'no more than {amount_of(r, free)} are' if free else 'nothing is'} free.",
            f"It starts when enough is free that nobody with a better claim wants{within}. {self._holders(r)}",
            {"needed": amounts[r], "held": leaf.allocated[r], "fair_share": leaf.fair[r]},
        )

    def _free(self, resource: int) -> int:
        """Return how much of a resource nobody has on the nodes that take pods."""
        free = self._layer.free
        column = (free.devices.sum(axis=1), free.cpu, free.memory)[resource]
        return max(0, int(column[self._open].sum()))

    def _holders(self, resource: int) -> str:
        """Name who holds the most."""
        accounts = [account for account in self._draft.accounts(self._pool).by_key.values() if not account.children]
        most = max(accounts, key=lambda account: (account.allocated[resource], -account.queue.age))
        return f"Most is held by {most.queue.name}: {amount_of(resource, most.allocated[resource])}."

    def _gang(self) -> Cause:
        need, members = self._need, len(self._item.pods)
        room = self._layer.counts(need, self._pool)
        free = int(self._layer.free.devices[self._open].sum())
        if need.devices:
            wanted = members * need.devices * (need.portion if not need.device_bytes else WHOLE_GPU)
            detail = f"{gpus(wanted)} in pieces of {gpus(need.devices * need.portion)}; {gpus(free)} are free"
        else:
            wanted, detail = 0, f"{_whole(need)} for each"
        levels = self._shared_levels()
        fitting = min(members, self._most_in_a_domain(levels, room) if levels else int(room.sum()))
        where = f" within one value of the node label {levels[-1]}" if levels else ""
        return Cause(
            "GangDoesNotFit",
            f"needs room for {members} pods at once{where}: {detail}. {fitting} of them would fit.",
            WHEN_RELEASED,
            {"members": members, "needed": wanted // WHOLE_GPU, "free": free // WHOLE_GPU, "fitting": fitting},
        )

    def _most_in_a_domain(self, levels: tuple[str, ...], room: Integers) -> int:
        """Return how many pods fit into the roomiest domain, or into that where others of the group are."""
        terrain = self._draft.terrain
        domains = terrain.domains(levels)
        rows = (terrain.rows.get(pod.node) for pod in self._item.view.staying)
        held = {int(domains[row]) for row in rows if row is not None and domains[row] >= 0}
        possible = held or set(domains[domains >= 0].tolist())
        return max((int(room[domains == domain].sum()) for domain in possible), default=0)


def _size(need: Need) -> tuple[int, int, int]:
    return need.devices, need.cpu_milli, need.memory_bytes


def _devices(need: Need) -> str:
    return "a GPU" if need.devices == 1 else f"{need.devices} GPUs of one node"


def _whole(need: Need) -> str:
    amounts = [gpus(need.devices * need.portion)] if need.devices else []
    return ", ".join([*amounts, amount_of(1, need.cpu_milli), amount_of(2, need.memory_bytes)])
