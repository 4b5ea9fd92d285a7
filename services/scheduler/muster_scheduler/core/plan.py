"""The plan: a pure function from a snapshot to placements, with a reason for every group left waiting.

A group is placed whole or not at all: first the members it still needs to be whole, as one transaction, then the others
as far as there is room. Nodes are filled up (bin-packing): the fitting node with the fewest free devices, then the
least free processors, then the first by name; pods that ask for no device go to nodes that have none while they can.
The order is priority, then age, then id. Nothing here looks at a clock or at chance, and quantities are integers.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from muster_contracts.phases import PriorityClass
from muster_contracts.values import Placement, PodFacts, Victim

from muster_scheduler.core.reasons import Blocked, why_blocked
from muster_scheduler.core.room import Need, Room, need_of
from muster_scheduler.core.snapshot import Snapshot, WaitingGroup

PLANNER_VERSION = "1"

RANKS = {
    PriorityClass.INFERENCE: 0,
    PriorityClass.BUILD: 1,
    PriorityClass.INTERACTIVE_PREEMPTIBLE: 2,
    PriorityClass.TRAIN: 3,
}
"""The lower comes first, in the order of Run:ai's priorities; an unknown class ranks with training."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was decided from one snapshot. `steps` counts pods tried; at the limit the rest waits for the next plan."""

    based_on: int
    placements: tuple[Placement, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    steps: int = 0
    victims: tuple[Victim, ...] = ()
    nominations: tuple[Placement, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a plan may go: steps in all, and for how long a gang may lack members it had."""

    step_limit: int = 100_000
    stale_gang_seconds: int = 60


@dataclass(slots=True)
class _Draft:
    room: Room
    step_limit: int
    steps: int = 0
    placements: list[Placement] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    hopeless: set[Need] = field(default_factory=set)


def plan(snapshot: Snapshot, *, step_limit: int) -> Plan:
    """Decide who gets which place. The same snapshot and limit give the same plan."""
    draft = _Draft(Room(snapshot.nodes), step_limit)
    for place, group in enumerate(sorted(snapshot.groups, key=_rank), start=1):
        if draft.steps >= step_limit:
            draft.blocked.append(Blocked.for_exhausted_budget(group, step_limit))
        else:
            _place_group(draft, group, place)
    return Plan(snapshot.position, tuple(draft.placements), tuple(draft.blocked), draft.steps)


def _rank(group: WaitingGroup) -> int:
    try:
        return RANKS[PriorityClass(group.priority_class)]
    except ValueError:
        return RANKS[PriorityClass.TRAIN]


def _place_group(draft: _Draft, group: WaitingGroup, place: int) -> None:
    """Place what makes the group whole, or nothing; then whoever else fits."""
    if len(group.pods) < group.missing:
        draft.blocked.append(Blocked.for_missing_pods(group))
        return
    core, rest = group.pods[: group.missing], group.pods[group.missing :]
    mark = draft.room.mark()
    placed = _place_all(draft, group, core)
    if placed is None:
        draft.room.restore(mark)
        draft.blocked.append(why_blocked(group, draft.room, place))
        return
    draft.placements += placed
    for pod in rest:
        extra = _place_all(draft, group, (pod,))
        if extra is None:
            draft.blocked.append(why_blocked(group, draft.room, place, pods=(pod,)))
            return
        draft.placements += extra


def _place_all(draft: _Draft, group: WaitingGroup, pods: Iterable[PodFacts]) -> list[Placement] | None:
    """Place these pods, each in the best node; None as soon as one has no room."""
    placements: list[Placement] = []
    for pod in pods:
        need = need_of(pod)
        draft.steps += 1
        if need in draft.hopeless:
            return None
        row = _best_node(draft.room, need)
        if row is None:
            if not placements:
                draft.hopeless.add(need)  # room only shrinks while a plan is made: nobody alike need try again
            return None
        placements.append(_placement(draft.room, group, pod, row, need))
    return placements


def _best_node(room: Room, need: Need) -> int | None:
    rows = np.flatnonzero(room.fits(need))
    if rows.size == 0:
        return None
    first = room.whole[rows] if need.devices else room.has_devices[rows].astype(np.int64)
    order = np.lexsort((rows, room.cpu[rows], first))
    return int(rows[order[0]])


def _placement(room: Room, group: WaitingGroup, pod: PodFacts, row: int, need: Need) -> Placement:
    return Placement(
        workload_id=group.workload_id,
        pod_group_id=group.id,
        pod_id=pod.pod_id,
        namespace=pod.namespace,
        name=pod.name,
        resource_version=pod.resource_version,
        node=room.nodes[row].node.name,
        devices=room.take(row, need),
    )
