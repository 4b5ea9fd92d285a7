"""Which nodes would take a pod at all: labels, taints, volumes, a label that pods must share, what was refused there.

Nothing here looks at what is free, except where volumes were refused: that is the reason only where there is room.
"""

from collections.abc import Iterator

import numpy as np
from muster_contracts.events import NodeObserved
from muster_contracts.values import PlacementRules, Toleration

from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.emptied import lasting
from muster_scheduler.core.need import Need
from muster_scheduler.core.reasons import Cause, counted, listed
from muster_scheduler.core.refusals import SHUNNED_FOR
from muster_scheduler.core.terrain import Mask, tolerates

CODE = "NodesUnsuitable"
ANYTHING = (Toleration(operator="Exists"),)


def none_suits(inquiry: Inquiry, need: Need) -> Cause | None:
    """Find that labels, volumes or taints exclude every node that is ready."""
    if len(inquiry.rows(lasting(need))):
        return None
    nodes, ready = int(inquiry.terrain.in_pool(inquiry.pool).sum()), int(inquiry.open.sum())
    closed = _closed_nodes_with_its_labels(inquiry, need)
    waits = f" It would suit {listed(closed)}, not ready or cordoned." if closed else ""
    return Cause(
        CODE,
        f"is taken by no node of node pool {inquiry.pool}, which has {counted(nodes, 'node', 'nodes')}, "
        f"{ready} of them ready: {', '.join(_exclusions(inquiry, need))}.{waits}",
        f"{_more_storage(need)}Change {_what_to_change(need)}, or make a suitable node ready.",
        {"nodes": nodes, "ready": ready},
    )


def _more_storage(need: Need) -> str:
    rules = need.rules or PlacementRules()
    if rules.claims_choosing and rules.volumes:
        return "Lay a volume ready that suits the claim. "
    return "Make room in its storage. " if rules.claims_waiting and rules.volumes else ""


def _exclusions(inquiry: Inquiry, need: Need) -> Iterator[str]:
    """Say how many of the nodes that are ready are excluded by what; a node counts for the first that excludes it."""
    left = inquiry.open
    for wants, demand in _demands(need):
        excluded = left & ~inquiry.terrain.admits(demand)
        if (count := int(excluded.sum())) > 0:
            yield f"{counted(count, 'lacks', 'lack')} {wants}" if wants else _tainted(inquiry, need, excluded)
        left = left & ~excluded


def _demands(need: Need) -> Iterator[tuple[str, Need]]:
    """Yield what a pod demands of a node one by one, each with the pod that would demand nothing else."""
    rules = need.rules or PlacementRules()
    if need.selector:
        wanted = listed([f"{key}={value}" for key, value in need.selector])
        yield f"the label {wanted}", Need(selector=need.selector, tolerations=ANYTHING)
    if rules.nodes:
        keys = listed(sorted({rule.key for term in rules.nodes for rule in term.rules}))
        yield f"what its node affinity asks for ({keys})", _with_rules(PlacementRules(nodes=rules.nodes))
    if rules.volumes:
        yield _volumes(rules), _with_rules(PlacementRules(volumes=rules.volumes))
    yield "", Need(tolerations=need.tolerations)


def _volumes(rules: PlacementRules) -> str:
    if rules.claims_choosing:
        return f"a volume that lies ready for {listed([choice.claim for choice in rules.claims_choosing])}"
    return f"room for the volume of {listed(rules.claims_waiting)}" if rules.claims_waiting else "access to its volumes"


def _with_rules(rules: PlacementRules) -> Need:
    return Need(rules=rules, tolerations=ANYTHING)


def _tainted(inquiry: Inquiry, need: Need, excluded: Mask) -> str:
    rows = np.flatnonzero(excluded)
    taints = {taint for row in rows for taint in _not_tolerated(inquiry.terrain.nodes[row], need)}
    return f"{counted(len(rows), 'has', 'have')} a taint that it does not tolerate ({listed(sorted(taints))})"


def _not_tolerated(node: NodeObserved, need: Need) -> Iterator[str]:
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not tolerates(taint, need.tolerations):
            yield f"{taint.key}={taint.value}" if taint.value else taint.key


def _closed_nodes_with_its_labels(inquiry: Inquiry, need: Need) -> list[str]:
    closed = inquiry.terrain.in_pool(inquiry.pool) & ~inquiry.terrain.open
    if not (need.selector or (need.rules and need.rules.nodes)):
        return []
    suited = closed & inquiry.terrain.countable(need, by_affinity=True, by_taints=False)
    return [inquiry.terrain.nodes[row].name for row in np.flatnonzero(suited)]


def _what_to_change(need: Need) -> str:
    rules = need.rules or PlacementRules()
    asked = (("node selector", need.selector), ("node affinity", rules.nodes), ("volumes", rules.volumes))
    return f"its {' or '.join([*(name for name, value in asked if value), 'tolerations'])}"


def no_node_has_the_label(inquiry: Inquiry) -> Cause | None:
    """Find the first level that pods must share and that no node has which would take them."""
    for together in inquiry.togethers():
        levels = together.levels
        admitted = inquiry.terrain.admits(lasting(together.pods[0].need)) & inquiry.open
        for number, level in enumerate(levels if admitted.any() else (), start=1):
            if (inquiry.terrain.domains(levels[:number])[admitted] < 0).all():
                return _without_label(inquiry, level)
    return None


def _without_label(inquiry: Inquiry, level: str) -> Cause:
    nodes, ready = int(inquiry.terrain.in_pool(inquiry.pool).sum()), int(inquiry.open.sum())
    return Cause(
        CODE,
        f"has to share one value of the node label {level}, and no node it could use has that label: "
        f"node pool {inquiry.pool} has {counted(nodes, 'node', 'nodes')}, {ready} of them ready.",
        "Name a label that the nodes have, or label the nodes.",
        {"nodes": nodes, "ready": ready},
    )


def keeps_off(inquiry: Inquiry, need: Need) -> Cause | None:
    """Find that a pod would have room where its volumes were refused, or has nowhere else to go."""
    if not need.shunned or inquiry.has_room(need):
        return None
    anywhere = lasting(need)
    names = [inquiry.terrain.nodes[row].name for row in inquiry.rows(anywhere)]
    refused = [name for name in names if name in need.shunned]
    if not refused or not (len(refused) == len(names) or inquiry.has_room(anywhere)):
        return None
    minutes = int(SHUNNED_FOR.total_seconds()) // 60
    return Cause(
        "VolumeRefused",
        f"keeps off {counted(len(refused), 'node', 'nodes')} where no volume could be made for it: {listed(refused)}.",
        f"Each is tried again {minutes} minutes after it was refused; make room in its storage.",
        {"nodes": len(refused)},
    )
