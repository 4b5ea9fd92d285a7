"""Why a group waits: one dominant reason with its numbers, in words a person can act on.

The code is for machines and stays; the sentence may be improved. Numbers are those the sentence names.
"""

from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from muster_contracts.values import PodFacts

from muster_scheduler.core.essence import essence
from muster_scheduler.core.room import Need, Room, need_of
from muster_scheduler.core.snapshot import WaitingGroup

GIBIBYTE = 1024**3


@dataclass(frozen=True, slots=True)
class Blocked:
    """A group that stays waiting, and why. What would free it is `remedy`."""

    workload_id: UUID
    pod_group_id: UUID
    code: str
    reason: str
    remedy: str = ""
    numbers: dict[str, int] = field(default_factory=dict)

    @property
    def essence(self) -> str:
        """What makes it another reason."""
        return essence(self.code, self.numbers)

    @classmethod
    def for_missing_pods(cls, group: WaitingGroup) -> "Blocked":
        """The gang is not complete: too few of its pods exist."""
        present = group.assigned + len(group.pods)
        return cls(
            group.workload_id,
            group.id,
            "PodsMissing",
            f"{group.name} needs {group.min_members} pods to start together; {present} exist.",
            "The owner of the pods has to create the missing ones.",
            {"needed": group.min_members, "present": present},
        )

    @classmethod
    def for_exhausted_budget(cls, group: WaitingGroup, step_limit: int) -> "Blocked":
        """The plan ran out of steps before it came to this group."""
        return cls(
            group.workload_id,
            group.id,
            "BudgetExhausted",
            f"The plan stopped after {step_limit} steps before it came to {group.name}.",
            "It is considered again in the next plan.",
            {"step_limit": step_limit},
        )


def why_blocked(group: WaitingGroup, room: Room, place: int, *, pods: tuple[PodFacts, ...] = ()) -> Blocked:
    """Name the dominant reason why a group, or these of its pods, found no room; `place` is its rank."""
    wanted = pods or group.pods[: max(1, group.missing)]
    need = max((need_of(pod) for pod in wanted), key=lambda n: (n.devices, n.cpu_milli, n.memory_bytes))
    admitted = room.admits(need)
    if not admitted.any():
        return _blocked(group, "NodesUnsuitable", *_unsuitable(group, room), {"nodes": len(room.nodes)})
    if not room.fits(need).any():
        return _no_fitting_node(group, room, need, admitted, place)
    return _gang_does_not_fit(group, room, need, len(wanted), place)


def _blocked(group: WaitingGroup, code: str, reason: str, remedy: str, numbers: dict[str, int]) -> Blocked:
    return Blocked(group.workload_id, group.id, code, reason, remedy, numbers)


def _unsuitable(group: WaitingGroup, room: Room) -> tuple[str, str]:
    ready = sum(1 for free in room.nodes if free.node.ready and not free.node.unschedulable)
    return (
        f"None of {len(room.nodes)} nodes takes {group.name}: {ready} are ready; labels or taints exclude it.",
        "Change its node selector or tolerations, or make a suitable node ready.",
    )


def _no_fitting_node(group: WaitingGroup, room: Room, need: Need, admitted: np.ndarray, place: int) -> Blocked:
    rows = np.flatnonzero(admitted)
    numbers = {"queue_position": place}
    for resource, wanted, free in (
        ("GPU", need.devices, room.whole),
        ("CPU", need.cpu_milli, room.cpu),
        ("memory", need.memory_bytes, room.memory),
    ):
        best = int(free[rows].max())
        if wanted > best:
            numbers |= {"needed": wanted, "best": max(0, best)}
            needs, has = _amount(resource, wanted), _amount(resource, best)
            sentence = f"{group.name} needs {needs} on one node; the best has {has} free."
            return _blocked(group, "NoFittingNode", sentence, _remedy(resource), numbers)
    sentence = f"{group.name} needs {_whole_need(need)} on one node; no node has all of that free at once."
    return _blocked(group, "NoFittingNode", sentence, _remedy("capacity"), numbers)


def _gang_does_not_fit(group: WaitingGroup, room: Room, need: Need, members: int, place: int) -> Blocked:
    free_devices = int(room.whole[np.flatnonzero(room.admits(need))].sum())
    if need.devices:
        detail = f"{members * need.devices} GPUs in pieces of {need.devices}; {free_devices} are free"
    else:
        detail = f"{_whole_need(need)} for each"
    return _blocked(
        group,
        "GangDoesNotFit",
        f"{group.name} needs room for {members} pods at once: {detail}.",
        _remedy("capacity"),
        {"members": members, "needed": members * need.devices, "free": free_devices, "queue_position": place},
    )


def _amount(resource: str, value: int) -> str:
    value = max(0, value)
    match resource:
        case "GPU":
            return f"{value} GPU" if value == 1 else f"{value} GPUs"
        case "CPU":
            return f"{value / 1000:g} CPUs"
        case _:
            return f"{value / GIBIBYTE:.4g} GiB of memory"


def _whole_need(need: Need) -> str:
    parts = [_amount("CPU", need.cpu_milli), _amount("memory", need.memory_bytes)]
    return ", ".join(([_amount("GPU", need.devices)] if need.devices else []) + parts)


def _remedy(resource: str) -> str:
    return f"It starts when running workloads release {resource}, or when a node with more is added."
