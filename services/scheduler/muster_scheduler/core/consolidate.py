"""Moving pods together so that a waiting group fits: nobody loses a place, some only change it.

Nodes are emptied in turn, those that hold the least first and among these the one with the youngest pods. What this
plan has put on a node already counts: emptying it of the others would not help. When the item would then take the
place that those of another node need, single nodes are emptied. There is nothing to try when the free amounts together
would not be enough, nor when a limit is in the way: who moves is charged as before.
"""

from collections.abc import Iterator
from itertools import groupby

from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.accounts import is_forbidden
from muster_scheduler.core.amounts import total_of
from muster_scheduler.core.disrupt import Disruption
from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.units import Unit
from muster_scheduler.core.victims import Victims

NODES_ALONE = 8
"""How many nodes are tried each by itself; every one of them costs as much as a small search."""


def consolidate(draft: Draft, item: Item, pool: str, victims: Victims) -> bool:
    """Make room for an item by moving others; say whether it was possible."""
    leaf, amounts = draft.account(item.view, pool), draft.amounts(item)
    if is_forbidden(leaf, amounts, firm=not item.view.preemptible) or not _is_enough_in_all(draft, item, pool):
        return False
    movable = list(_movable(draft, item, victims))[: draft.limits.consolidation_pods]
    disruption = Disruption(draft, item, pool)
    return any(disruption.make_room(units, _nobody, "consolidate") for units in (movable, *_single_nodes(movable)))


def _nobody(lost: list[Unit]) -> bool:
    return not lost


def _single_nodes(movable: list[Unit]) -> list[list[Unit]]:
    """Return the pods of the first nodes, by node; nothing when there is but one node."""
    nodes = [list(units) for _, units in groupby(movable, lambda unit: unit.pods[0].node)]
    return nodes[:NODES_ALONE] if len(nodes) > 1 else []


def _is_enough_in_all(draft: Draft, item: Item, pool: str) -> bool:
    mask = draft.terrain.in_pool(pool) & draft.terrain.open
    free = draft.room.later.free
    gpu, cpu, memory = draft.amounts(item)
    return bool(free.devices[mask].sum() >= gpu and free.cpu[mask].sum() >= cpu and free.memory[mask].sum() >= memory)


def _movable(draft: Draft, item: Item, victims: Victims) -> Iterator[Unit]:
    """Return pods one by one, node after node."""
    asks_for_gpus = any(pod.need.devices for pod in item.pods)
    by_node: dict[str, list[Unit]] = {}
    for account in victims.accounts():
        for unit in victims.of(account):
            if unit.view is item.view or victims.is_protected(unit, reclaim=False):
                continue
            for pod in unit.pods:
                if pod.node in draft.terrain.rows and (pod.need.devices or not asks_for_gpus):
                    single = Unit(unit.view, (pod,), total_of((pod.need,), draft.device_bytes))
                    by_node.setdefault(pod.node, []).append(single)
    for units in by_node.values():
        units.sort(key=lambda unit: (unit.view.order, unit.pods[0].facts.pod_id), reverse=True)
    ordered = sorted(by_node, key=lambda node: by_node[node][0].view.order, reverse=True)
    ordered.sort(key=lambda node: _held(draft, node, gpus=asks_for_gpus))
    for node in ordered:
        yield from by_node[node]


def _held(draft: Draft, node: str, *, gpus: bool) -> int:
    """Return how much of its GPUs, or of its processors, a node has given away."""
    terrain, free, row = draft.terrain, draft.room.later.free, draft.terrain.rows[node]
    if gpus:
        return int(terrain.devices[row]) * WHOLE_GPU - int(free.devices[row].sum())
    return terrain.nodes[row].allocatable.cpu_milli - int(free.cpu[row])
