"""A node pool as it would be if no workload ran: who finds no room there never will, whoever ends.

Pods that belong to no workload stay. Rules about other pods, and volumes that lie ready, are not looked at. So it is
certain only that there would be no room: reasons then say "never", and `preempt` waits for nobody of whom it is so.
"""

from collections import Counter
from dataclasses import replace
from functools import lru_cache

from muster_scheduler.core.accounts import Account, Triple, exceeds
from muster_scheduler.core.amounts import Amounts, devices_of_strangers, empty_node, withhold_devices
from muster_scheduler.core.draft import Item
from muster_scheduler.core.need import Need
from muster_scheduler.core.room import Layer
from muster_scheduler.core.terrain import Terrain


@lru_cache(maxsize=2)  # a terrain lasts for many plans, and drawing it takes as long as a small plan
def empty_land(terrain: Terrain) -> Amounts:
    """Return what every node has for workloads while none runs. Treat it as a constant."""
    amounts = Amounts.none(len(terrain), terrain.width)
    for row, node in enumerate(terrain.nodes):
        empty_node(amounts, terrain, row)
        withhold_devices(amounts, row, devices_of_strangers(node))
    return amounts


def empty_layer(terrain: Terrain) -> Layer:
    """Return the room that there is while no workload runs."""
    return Layer(terrain, empty_land(terrain).copy())


def lasting(need: Need) -> Need:
    """Return a need without what is so for a few minutes only."""
    return replace(need, shunned=()) if need.shunned else need


def could_ever_start(layer: Layer, pool: str, item: Item, leaf: Account, amounts: Triple) -> bool:
    """Say whether an item may hope: no bound is below it alone, and the pool has room for each kind of its pods."""
    firm = not item.view.preemptible
    for account in leaf.chain():
        if exceeds(amounts, account.limit, range(3)) or (firm and exceeds(amounts, account.deserved, range(3))):
            return False
    kinds = Counter(lasting(pod.need) for pod in item.pods)
    return all(int(layer.counts(need, pool).sum()) >= pods for need, pods in kinds.items())
