"""Whether pods that start together find room together: in the pool, or in one domain of the level they must share.

Equal pods are counted, node by node. Pods that differ, or that look at their neighbours, are tried: the largest
beginning of the gang that finds places says how many would. What the pool could hold if no workload ran is counted for
each kind of pods by itself, so that "never" is only said where it is certain.
"""

from muster_contracts.values import WHOLE_GPU

from muster_scheduler.core.causes.asking import at_once, total
from muster_scheduler.core.causes.inquiry import Inquiry, Together
from muster_scheduler.core.causes.room import WHEN_RELEASED
from muster_scheduler.core.draft import Item
from muster_scheduler.core.emptied import lasting
from muster_scheduler.core.groups import Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.placing import Placing
from muster_scheduler.core.reasons import Cause, are_free, counted, gpus
from muster_scheduler.core.room import Layer

CODE = "GangDoesNotFit"
NEVER = "It can never start here as it is: let fewer pods start together, let each ask for less, or add nodes."
WIDER = " A level with wider domains would help, too."
NOTHING = "Nothing has to be done."
TOO_STRICT = "It starts when other pods have gone or a node is added; or relax its rules about other pods."


def never_large_enough(inquiry: Inquiry) -> Cause | None:
    """Find that so many pods would not fit together even if no workload ran."""
    for together in inquiry.togethers():
        for need in inquiry.needs:
            pods = tuple(pod for pod in together.pods if pod.need == need)
            most = _most_at_once(inquiry, inquiry.empty, together.levels, lasting(need), None)
            if len(pods) > most:
                return inquiry.about(need, _never(inquiry, Together(together.part, pods), most))
    return None


def _never(inquiry: Inquiry, wanted: Together, most: int) -> Cause:
    levels, members = wanted.levels, len(wanted.pods)
    place = f"the largest value of {levels[-1]}" if levels else f"node pool {inquiry.pool}"
    return Cause(
        CODE,
        f"needs room for {at_once(inquiry, wanted)}; "
        f"{place} has room for no more than {most} of them, even when it is empty.",
        NEVER + (WIDER if levels else ""),
        {"members": members, "largest": most},
    )


def too_few_fit(inquiry: Inquiry) -> Cause:
    """Say how many of the pods would fit; or, if all would by now, that they are only waiting for others to leave."""
    fitting = _fitting(inquiry)
    if fitting >= len(inquiry.item.pods):
        return _has_room_by_now(inquiry)
    together, *parts = inquiry.togethers()
    where = " where its other pods are" if together.levels and _held(inquiry, together) else ""
    free, numbers = _devices(inquiry, together.pods)
    resource = 0 if numbers else 1
    cause = Cause(
        CODE,
        f"needs room for {at_once(inquiry, together, where)}{free}. {fitting} of them would fit.",
        TOO_STRICT if _has_amounts_for_all(inquiry) else WHEN_RELEASED + inquiry.holders(resource),
        {"members": len(together.pods), "fitting": fitting, **numbers},
    )
    for part in parts:
        cause = cause.adding(f"All of its part {part.part.name} have to be within one value of {part.levels[-1]}.")
    return cause


def _devices(inquiry: Inquiry, pods: tuple[Waiting, ...]) -> tuple[str, dict[str, int]]:
    """Say how much of GPUs is free, of whole ones only those that nobody has a part of; nothing if none is wanted."""
    if not any(pod.need.devices for pod in pods):
        return "", {}
    free, needs = inquiry.layer.free.devices[inquiry.open], [pod.need for pod in pods if pod.need.devices]
    unit = WHOLE_GPU if all(need.whole for need in needs) else 1
    there = int((free == WHOLE_GPU).sum() if unit == WHOLE_GPU else free.sum())
    numbers = {"needed": total(inquiry, pods)[0] // unit, "free": there}
    if any(need.device_bytes or need.extended for need in needs):
        del numbers["needed"]  # it is told in other words
    return f"; {are_free(gpus(there * unit))}", numbers


def _has_room_by_now(inquiry: Inquiry) -> Cause:
    """Say that all would fit when others have left, or that whom they have to be near has come with this plan."""
    members = len(inquiry.item.pods)
    if inquiry.draft.victims or inquiry.draft.snapshot.releasing is not None:
        code, sentence = "RoomIsBeingMade", "when those have gone who were told to go for others"
    else:
        code, sentence = "ItsTurn", "in the next plan, beside those whom this one has placed"
    return Cause(code, f"has room for {counted(members, 'pod', 'pods')} {sentence}.", NOTHING, {"members": members})


def _has_amounts_for_all(inquiry: Inquiry) -> bool:
    """Say whether it is not room that is missing, but what rules about other pods allow."""
    counts = {need: int(inquiry.layer.counts(need, inquiry.pool).sum()) for need in inquiry.needs}
    return inquiry.draft.neighbours.matter and all(counts[need] >= inquiry.counts[need] for need in inquiry.needs)


def _fitting(inquiry: Inquiry) -> int:
    """Return how many of the pods would find a place now."""
    togethers = inquiry.togethers()
    if len(inquiry.needs) > 1 or len(togethers) > 1 or inquiry.draft.neighbours.matter:
        return _tried(inquiry)
    held = _held(inquiry, togethers[0])
    most = _most_at_once(inquiry, inquiry.layer, togethers[0].levels, inquiry.needs[0], held)
    return min(len(inquiry.item.pods), most)


def _tried(inquiry: Inquiry) -> int:
    """Halve between a beginning of the gang that finds places and one that does not."""
    enough, too_many = 0, len(inquiry.item.pods) + 1
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        if _finds_places(inquiry, middle):
            enough = middle
        else:
            too_many = middle
    return enough


def _finds_places(inquiry: Inquiry, pods: int) -> bool:
    draft, pool, item = inquiry.draft, inquiry.pool, inquiry.item
    part, mark = Item(item.view, item.pods[:pods], item.is_core, item.number), draft.mark(pool)
    room = draft.room
    seats = Placing(
        draft, room.now, lambda row, seat: room.bind(row, (seat.pod.need, seat.devices)), pool, part
    ).place()
    draft.restore(pool, mark)
    return seats is not None


def _most_at_once(inquiry: Inquiry, layer: Layer, levels: tuple[str, ...], need: Need, within: set[int] | None) -> int:
    """Return how many such pods fit into the pool, or into the roomiest domain, of some or of all."""
    room = layer.counts(need, inquiry.pool)
    if not levels:
        return int(room.sum())
    domains = inquiry.terrain.domains(levels)
    return max((int(room[domains == one].sum()) for one in within or set(domains[domains >= 0].tolist())), default=0)


def _held(inquiry: Inquiry, together: Together) -> set[int]:
    """Return the domains in which pods are already that these have to join."""
    view, rows = inquiry.item.view, inquiry.terrain.rows
    leaves = {leaf.name for leaf in together.part.leaves()}
    there = [rows.get(pod.node) for pod in view.staying if view.leaf_of(pod.facts) in leaves]
    there += [seat.row for seat in inquiry.draft.seats.get(view.id, ()) if view.leaf_of(seat.pod.facts) in leaves]
    domains = inquiry.terrain.domains(together.levels)
    return {int(domains[row]) for row in there if row is not None and domains[row] >= 0}
