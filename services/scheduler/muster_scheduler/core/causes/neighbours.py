"""Pods that are there already: whom they keep away, and near whom or apart from whom a pod has to be.

These rules are the reason only where there is room; a node that is full for a pod need not please it.
"""

from collections.abc import Iterator

import numpy as np
from muster_contracts.values import LabelRule, PodTerm

from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.groups import Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.neighbours import Demand
from muster_scheduler.core.reasons import Cause, counted, listed
from muster_scheduler.core.room import UNFIT


def others_forbid_it(inquiry: Inquiry, need: Need) -> Cause | None:
    """Find that rules about other pods exclude every node that has room."""
    pod = inquiry.pods_with(need)[0]
    with_room = inquiry.layer.scores(need, inquiry.pool) < UNFIT
    allowed = inquiry.draft.neighbours.allows(pod)
    if allowed is None or not with_room.any() or (with_room & allowed).any():
        return None
    nodes = int(with_room.sum())
    return Cause(
        "OtherPodsForbid",
        f"has room on {counted(nodes, 'node', 'nodes')}, and other pods forbid it there: "
        f"{'; '.join(sorted(_objections(inquiry, pod)))}.",
        "It starts when these pods have gone, or suitable ones have come; or change its rules, or add a node.",
        {"nodes": nodes},
    )


def _objections(inquiry: Inquiry, pod: Waiting) -> Iterator[str]:
    """Name every rule that is broken on some node with room, with the number of these nodes."""
    with_room = inquiry.layer.scores(pod.need, inquiry.pool) < UNFIT
    for demand, holds in inquiry.draft.neighbours.demands(pod):
        broken = np.flatnonzero(with_room & ~holds)
        if len(broken):
            yield f"{_told(demand)} (on {listed([inquiry.terrain.nodes[row].name for row in broken])})"


def _told(demand: Demand) -> str:
    match demand:
        case ("ports", ports):
            said = f"a host port of {listed(ports)} is taken"
        case ("volumes", claims):
            said = f"the volumes that lie ready are not enough for {listed(claims)} beside the claims of others"
        case ("spread", rule):
            said = f"spreading over {rule.topology_key} allows a skew of no more than {rule.max_skew}"
        case ("near", term):
            said = f"it has to be near pods with {_pods(term)}"
        case ("apart", term):
            said = f"it has to be apart from pods with {_pods(term)}"
        case ("kept away", term):
            said = f"pods that are there keep away pods with {_pods(term)}"
    return said


def _pods(term: PodTerm) -> str:
    return f"{listed([_rule(rule) for rule in term.rules]) or 'any labels'} in one {term.topology_key}"


def _rule(rule: LabelRule) -> str:
    if rule.operator == "In" and len(rule.values) == 1:
        return f"{rule.key}={rule.values[0]}"
    return " ".join([rule.key, rule.operator, ",".join(rule.values)]).rstrip()
