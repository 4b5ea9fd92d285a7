"""Whether one node has, or could ever have, what one pod asks for.

What a pod asks for is a list of measures: devices, or the part of its last device, processors, memory, a place among
the pods of the node, and every extended resource by its name. Each is told with the best there is. Where no single one
is short on all nodes it is the whole that no node has together, and the node that comes closest is named. Pods that
start together are told of all of them, and free GPUs are in pieces only if they would be enough for all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.amounts import Amounts
from muster_scheduler.core.causes.asking import members, needs
from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.emptied import lasting
from muster_scheduler.core.need import Need
from muster_scheduler.core.reasons import Cause, amount_of, are_free, gpus, of_devices, whole_of
from muster_scheduler.core.terrain import Integers

CODE = "NoFittingNode"
WHEN_RELEASED = "It starts when running workloads release capacity, or when a node with more is added."
IN_PIECES = "It starts when enough is free in {pieces}: when pods in the way have ended, or a node is added."
NEVER_HERE = "No node is that large: ask for less on one node, or add a larger node."
NO_SUCH_DEVICE = "No GPU is that large: ask for less memory, or add a node with larger GPUs."
ON_ONE_NODE = " on one node"
NOTHING_TOLD = "no node that would take it tells how much its GPUs have"
NO_SUCH_RESOURCE = "Check the name of the resource, and that a node offers it: its device plugin may not run."


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that a pod asks of a node: how much, and what each node has of it.

    `needs` is how it is told, `told` how an amount of it is, `none` that no node has any, `never` what to do then;
    `counted` is its place among what queues are charged for.
    """

    wanted: int
    has: Integers
    needs: str
    told: Callable[[int], str]
    never: str = NEVER_HERE
    none: str = "no node that would take it has any"
    counted: int | None = None

    @property
    def best(self) -> int:
        """The most that a node has."""
        return max(0, int(self.has.max(initial=0)))

    @property
    def is_short(self) -> bool:
        """Whether no node has enough of it."""
        return self.wanted > self.best


def measures(inquiry: Inquiry, need: Need, amounts: Amounts) -> list[Measure]:
    """Return everything a pod asks for, with what the nodes have of it that would take the pod."""
    rows = inquiry.rows(need)
    found = [_devices(inquiry, need, amounts, rows)] if need.devices else []
    found += [
        Measure(asked, column[rows], f"{amount_of(r, asked)}{ON_ONE_NODE}", _amount(r), counted=r)
        for r, asked, column in ((1, need.cpu_milli, amounts.cpu), (2, need.memory_bytes, amounts.memory))
        if asked
    ]
    found += [_extended(name, count, amounts.column(name)[rows]) for name, count in need.extended]
    found.append(Measure(1, amounts.pods[rows], f"a place for 1 pod more{ON_ONE_NODE}", _places))
    return found


def _devices(inquiry: Inquiry, need: Need, amounts: Amounts, rows: Integers) -> Measure:
    free = amounts.devices[rows]
    if need.whole:
        has = (free == WHOLE_GPU).sum(axis=1)
        return Measure(need.devices, has, f"{gpus(need.devices * WHOLE_GPU)}{ON_ONE_NODE}", _whole_gpus, counted=0)
    owned = inquiry.terrain.devices[rows]
    if int(owned.max(initial=0)) < need.devices:
        told = f"a part of each of {gpus(need.devices * WHOLE_GPU)}{ON_ONE_NODE}"
        return Measure(need.devices, owned, told, _whole_gpus, counted=0)
    last = np.sort(free, axis=1)[:, -need.devices]
    if not need.device_bytes:
        return Measure(need.portion, last, f"{_part(need.portion)} of {of_devices(need)}", _part, counted=0)
    asked, has = need.device_bytes, last * inquiry.terrain.device_bytes[rows] // WHOLE_GPU
    told = f"{amount_of(2, asked)} of {of_devices(need)}"
    return Measure(asked, has, told, _amount(2), NO_SUCH_DEVICE, NOTHING_TOLD, counted=0)


def _extended(name: str, count: int, has: Integers) -> Measure:
    return Measure(count, has, f"{count} {name}{ON_ONE_NODE}", lambda value: f"{value} {name}", NO_SUCH_RESOURCE)


def _amount(resource: int) -> Callable[[int], str]:
    return lambda value: amount_of(resource, value)


def _whole_gpus(devices: int) -> str:
    return gpus(devices * WHOLE_GPU)


def _part(millionths: int) -> str:
    return f"{millionths / WHOLE_GPU:g}"


def _places(pods: int) -> str:
    return f"{pods} places"


def no_node_is_large_enough(inquiry: Inquiry, need: Need) -> Cause | None:
    """Find that no node would have room for such a pod even if no workload ran."""
    if inquiry.ever_has_room(need):
        return None
    need = lasting(need)
    asked = measures(inquiry, need, inquiry.empty.free)
    if (short := next((one for one in asked if one.is_short), None)) is None:
        return _not_together(inquiry, need, asked, "is large enough for all of it", NEVER_HERE)
    has = f"the largest has {short.told(short.best)}" if short.best else short.none
    return Cause(
        CODE, f"{needs(inquiry, short.needs)}; {has}.", short.never, {"needed": short.wanted, "largest": short.best}
    )


def too_little_is_free(inquiry: Inquiry, need: Need) -> Cause | None:
    """Find that no node has enough free at once."""
    if inquiry.has_room(need):
        return None
    asked = measures(inquiry, need, inquiry.layer.free)
    if (short := next((one for one in asked if one.is_short), None)) is None:
        return _not_together(inquiry, need, asked, "has all of it free at once", WHEN_RELEASED)
    remedy = WHEN_RELEASED + (inquiry.holders(short.counted) if short.counted is not None else "")
    sentence, numbers = needs(inquiry, short.needs), {**members(inquiry), "needed": short.wanted, "best": short.best}
    if short.counted == 0 and (held := _all_held(inquiry, need)):
        sentence = f"{sentence}; nothing is free: all that it could have, {gpus(held)}, is held."
        return Cause(CODE, sentence, remedy, {**numbers, "held": held})
    return Cause(CODE, f"{sentence}; the best has {short.told(short.best)} free.", remedy, numbers)


def _all_held(inquiry: Inquiry, need: Need) -> int:
    """Return the GPUs of the nodes that would take a pod, in millionths, if all are held; 0 if anything is free."""
    rows = inquiry.rows(need)
    something_is_free = bool((inquiry.layer.free.devices[rows] > 0).any())
    return 0 if something_is_free else int(inquiry.empty.free.devices[rows].sum())


def _not_together(inquiry: Inquiry, need: Need, asked: list[Measure], what: str, remedy: str) -> Cause:
    node, short, has = _closest(inquiry, need, asked)
    lacking = f"it has {short.told(has)}, too little for {short.needs.removesuffix(ON_ONE_NODE)}"
    return Cause(
        CODE,
        f"{needs(inquiry, whole_of(need))}{ON_ONE_NODE}, and no node {what}; {node} comes closest: {lacking}.",
        remedy,
        {**members(inquiry), "needed": short.wanted, "closest": has},
    )


def _closest(inquiry: Inquiry, need: Need, asked: list[Measure]) -> tuple[str, Measure, int]:
    """Return the node that lacks the fewest things, and of these the smallest part, with what it lacks most of."""
    lacks = np.array([1 - np.minimum(1, np.maximum(0, one.has) / one.wanted) for one in asked])
    row = int(np.lexsort((lacks.sum(axis=0), (lacks > 0).sum(axis=0)))[0])
    short = asked[int(lacks[:, row].argmax())]
    node = inquiry.terrain.nodes[inquiry.rows(need)[row]]
    return node.name, short, max(0, int(short.has[row]))


def lacks_only_what_nobody_counts(inquiry: Inquiry) -> bool:
    """Say whether what is short are places of pods and extended resources, which no share is about."""
    lacking = [need for need in inquiry.needs if not inquiry.has_room(need)]
    asked = (measures(inquiry, need, inquiry.layer.free) for need in lacking)
    short = [one for each in asked for one in each if one.is_short]
    return bool(short) and all(one.counted is None for one in short)


def devices_are_in_pieces(inquiry: Inquiry, need: Need) -> Cause | None:
    """Find that enough of the GPUs is free for all pods, but not on one node, or not in one piece, for any of them."""
    if not need.devices or need.device_bytes or inquiry.has_room(need):
        return None
    free = inquiry.layer.free.devices[inquiry.rows(need)]
    return _whole_ones_apart(inquiry, need, free) if need.whole else _parts_apart(inquiry, need, free)


def _whole_ones_apart(inquiry: Inquiry, need: Need, free: Integers) -> Cause | None:
    """Count whole devices; where only parts make up for what is missing, count in parts."""
    untouched = (free == WHOLE_GPU).sum(axis=1)
    wanted, best, parts = inquiry.amounts[0], int(untouched.max(initial=0)), int(free.sum())
    if best >= need.devices or parts < wanted:
        return None
    whole = int(untouched.sum()) * WHOLE_GPU
    unit = WHOLE_GPU if whole >= wanted and wanted % WHOLE_GPU == 0 else 1
    together = whole if whole >= wanted else parts
    lacking = f"but at most {_whole_gpus(best)} on one"
    if together != whole:
        lacking = f"but of some only a part: at most {_whole_gpus(best)} whole on one"
    return _in_pieces(
        inquiry,
        f"{needs(inquiry, f'{_whole_gpus(need.devices)} on one node')}; {are_free(gpus(together))}, {lacking}.",
        {"needed": wanted // unit, "free": together // unit, "best": best * WHOLE_GPU // unit},
    )


def _parts_apart(inquiry: Inquiry, need: Need, free: Integers) -> Cause | None:
    (devices, *_) = measures(inquiry, need, inquiry.layer.free)
    together, several = int(free.sum()), len(inquiry.item.pods) > 1
    if not devices.is_short or together < inquiry.amounts[0]:
        return None
    return _in_pieces(
        inquiry,
        f"{needs(inquiry, devices.needs)}; {are_free(gpus(together))}, but in pieces of at most {_part(devices.best)}.",
        {"needed": inquiry.amounts[0] if several else need.portion, "free": together, "best": devices.best},
    )


def _in_pieces(inquiry: Inquiry, sentence: str, numbers: dict[str, int]) -> Cause:
    pods = len(inquiry.item.pods)
    remedy = IN_PIECES.format(pieces="one piece" if pods == 1 else f"{pods} pieces at once")
    return Cause("FragmentedGPUs", sentence, remedy + inquiry.holders(0), {**members(inquiry), **numbers})
