"""Placing what fits without moving anybody: whoever was nominated first, then everybody in the order of the queues.

Who does not fit now, but will once those have left who were told to, is nominated in its turn.
A group tries its node pools in the order of its list: all groups their first, then those left their second, and so on.
The core of a group is one transaction; what it would like beyond waits its turn behind other cores.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from muster_contracts.values import Placement

from muster_scheduler.core.accounts import is_forbidden
from muster_scheduler.core.amounts import Use
from muster_scheduler.core.draft import Draft, Item, Seat
from muster_scheduler.core.groups import GroupView, Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.order import QueueOrder
from muster_scheduler.core.placing import Placing
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.room import Layer
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.terrain import Terrain

Failed = list[tuple[Item, str]]
"""What found no place, with the pool it was tried in."""


def honour_nominations(draft: Draft) -> None:
    """Bind those whose places are free by now; keep the places of those whose victims are still there.

    A nomination that cannot be kept is void: its group is treated like any other.
    """
    groups = [draft.snapshot.views[one] for one in draft.snapshot.nominations if one in draft.snapshot.views]
    groups.sort(key=lambda view: view.order)
    nominees = [one for one in (_nominee(draft, view) for view in groups) if one is not None]
    left = [one for one in nominees if not one.bind(draft)]
    for one in left:
        one.keep(draft)
    draft.divide()


@dataclass(frozen=True, slots=True)
class _Nominee:
    """A group with the seats it was promised. Some of its pods may still be on their way out of their old places."""

    view: GroupView
    seats: tuple[Seat, ...]
    pool: str

    def bind(self, draft: Draft) -> bool:
        """Bind the group if all its seats are free, all its pods wait, and they are enough."""
        if not self._arrived() or not self._is_enough() or not self._take(draft, at_once=True):
            return False
        view = self.view
        draft.placements += [draft.place_of(view, seat.pod.facts, seat.row, seat.devices) for seat in self.seats]
        return True

    def keep(self, draft: Draft) -> None:
        """Keep the seats from others, if there is still something to wait for."""
        if not (self._arrived() and self._is_idle(draft)):
            self._take(draft, at_once=False)

    def _is_idle(self, draft: Draft) -> bool:
        """Say whether nobody is on the seats any more: each may have room by itself, and not all of them together."""
        mark = draft.room.mark()
        idle = all(_occupy(draft, seat) for seat in self.seats)
        draft.room.restore(mark)
        return idle

    def _arrived(self) -> bool:
        waiting = {pod.facts.pod_id for pod in self.view.waiting}
        return all(seat.pod.facts.pod_id in waiting for seat in self.seats)

    def _is_enough(self) -> bool:
        held = Counter(self.view.held)
        held.update(self.view.leaf_of(seat.pod.facts) for seat in self.seats)
        return self.view.is_whole(held)

    def _take(self, draft: Draft, *, at_once: bool) -> bool:
        """Take the seats, whole or not at all."""
        view, mark = self.view, draft.mark(self.pool)
        item = Item(view, tuple(seat.pod for seat in self.seats), is_core=True)
        amounts, leaf, firm = draft.amounts(item), draft.account(view, self.pool), not view.preemptible
        if is_forbidden(leaf, amounts, firm=firm) or not all(
            _take_exactly(draft, seat, at_once) for seat in self.seats
        ):
            draft.restore(self.pool, mark)
            return False
        draft.accounts(self.pool).charge(leaf, amounts, firm=firm)
        if not at_once:
            draft.settled.add(view.id)
        draft.seat(item, list(self.seats), self.pool, at_once=at_once)
        return True


def _nominee(draft: Draft, view: GroupView) -> _Nominee | None:
    """Match places with pods; None if a node is gone or nobody is there to sit."""
    pairs = _match(draft.snapshot, view)
    rows = [draft.terrain.rows.get(place.node) for _, place in pairs]
    seats = [Seat(pod, row, place.devices) for (pod, place), row in zip(pairs, rows, strict=True) if row is not None]
    if not seats or len(seats) < len(pairs):
        return None
    return _Nominee(view, tuple(seats), draft.terrain.pool_names[seats[0].row])


def _match(snapshot: Snapshot, view: GroupView) -> list[tuple[Waiting, Placement]]:
    """Give each place to its pod, or to one that came in its stead and wants the same of as many devices.

    For a while it is kept for who has not come yet.
    """
    now = snapshot.now
    awaited = {one.pod.facts.pod_id: one.pod for one in view.awaited if now is not None and now < one.until}
    left = {pod.facts.pod_id: pod for pod in view.waiting}
    coming = {pod.facts.pod_id: Waiting(pod.facts, pod.need) for pod in view.bound if pod.releasing}
    pairs: list[tuple[Waiting, Placement]] = []
    for place in snapshot.nominations[view.id]:
        pod = left.get(place.pod_id) or coming.get(place.pod_id)
        if pod is None:
            pod = next((one for one in left.values() if _wants(snapshot.terrain, one.need, place)), None)
        pod = pod or awaited.get(place.pod_id)
        if pod is not None:
            left.pop(pod.facts.pod_id, None)
            pairs.append((pod, place))
    return pairs


def _wants(terrain: Terrain, need: Need, place: Placement) -> bool:
    row = terrain.rows.get(place.node)
    shares = [share.portion_millionths for share in place.devices]
    return row is None or shares == [int(terrain.portions(need)[row])] * need.devices


def _take_exactly(draft: Draft, seat: Seat, at_once: bool) -> bool:
    use = (seat.pod.need, seat.devices)
    admitted = bool(draft.terrain.admits(seat.pod.need)[seat.row])
    if not admitted or not draft.room.later.has(seat.row, use):
        return False
    if at_once and not (draft.room.is_idle(seat.row, use) and draft.neighbours.permits(seat.pod, seat.row)):
        return False
    draft.room.reserve(seat.row, use, at_once=at_once)
    if at_once:
        draft.neighbours.arrive(seat.row, seat.pod.facts)
    return True


def _occupy(draft: Draft, seat: Seat) -> bool:
    """Take a seat if it is idle, whatever else is against it."""
    use = (seat.pod.need, seat.devices)
    idle = draft.room.is_idle(seat.row, use)
    draft.room.reserve(seat.row, use, at_once=True)
    return idle


def allocate(draft: Draft) -> Failed:
    """Place everybody who fits; return the rest, each with the pools it may still try.

    Where one pod of a group found a place the others may only follow: elsewhere there is nothing to try for them.
    """
    failed: Failed = []
    items = list(_first_items(draft))
    turn = 0
    while items:
        pools = {item.key: draft.pools_of(item.view)[turn] for item in items}
        left: Failed = []
        for pool in sorted(set(pools.values())):
            mine = [item for item in items if pools[item.key] == pool]
            left += [(item, pool) for item in _allocate_in(draft, pool, mine)]
        failed += left
        turn += 1
        items = [item for item, _ in left if turn < len(draft.pools_of(item.view))]
    return [one for one in failed if one[0].key not in draft.done and one[1] in draft.pools_of(one[0].view)]


def everybody(draft: Draft) -> Failed:
    """Return all who wait, with every pool they may try, as if nobody had found a place."""
    return [(item, pool) for item in _first_items(draft) for pool in draft.pools_of(item.view)]


def _first_items(draft: Draft) -> Iterator[Item]:
    for view in draft.snapshot.groups:
        if view.id in draft.settled:
            continue
        if view.id in draft.seats:
            yield from _items_beyond(view, draft.seats[view.id])
        elif view.core is None:
            draft.blocked[view.id] = Blocked.for_missing_pods(view)
        elif view.core:
            yield Item(view, view.core, is_core=True)
        else:
            yield from extra_items(view)


def _items_beyond(view: GroupView, seats: Iterable[Seat]) -> Iterator[Item]:
    """Return what is left of a group that was bound where it was nominated, and is whole with that."""
    taken = {seat.pod.facts.pod_id for seat in seats}
    batches = [*((pod,) for pod in view.core or ()), *view.extras]
    for number, batch in enumerate(batches, start=1):
        if pods := tuple(pod for pod in batch if pod.facts.pod_id not in taken):
            yield Item(view, pods, is_core=False, number=number)


def extra_items(view: GroupView) -> Iterator[Item]:
    """Return what a group would like beyond its core."""
    for number, pods in enumerate(view.extras, start=1):
        yield Item(view, pods, is_core=False, number=number)


def _allocate_in(draft: Draft, pool: str, items: list[Item]) -> list[Item]:
    order, departures = QueueOrder(draft, pool, items), _Departures(draft, pool)
    failed: list[Item] = []
    for item in order:
        if draft.exhausted:
            draft.untried.add(item.view.id)
            failed.append(item)
        elif bind(draft, item, pool):
            if item.is_core:
                for extra in extra_items(item.view):
                    order.add(extra)
        elif not departures.wait_for(item):
            failed.append(item)
    return failed


def bind(draft: Draft, item: Item, pool: str) -> bool:
    """Place an item now, whole, if its queue may have it and there is room."""
    seats = _take_places(draft, item, pool, draft.room.now, draft.room.bind)
    if seats is None:
        return False
    draft.placements += [draft.place_of(item.view, seat.pod.facts, seat.row, seat.devices) for seat in seats]
    draft.seat(item, seats, pool, at_once=True)
    draft.done.add(item.key)
    return True


class _Departures:
    """What pods that were told to go will leave behind in one pool. Of equal items only the first is tried in vain."""

    def __init__(self, draft: Draft, pool: str) -> None:
        self._draft, self._pool = draft, pool
        self._hopeless: set[tuple[object, ...]] = set()

    def wait_for(self, item: Item) -> bool:
        """Nominate an item in its turn, so that nobody behind it is bound to what is idle of its room already.

        Who has another pool to try does not wait yet.
        """
        draft = self._draft
        if draft.snapshot.releasing is None or draft.pools_of(item.view)[-1] != self._pool:
            return False
        if item.likeness in self._hopeless or not self._nominate(item):
            self._hopeless.add(item.likeness)
            return False
        draft.settled.add(item.view.id)
        draft.done.add(item.key)
        return True

    def _nominate(self, item: Item) -> bool:
        draft, before = self._draft, self._draft.neighbours.mark()
        seats = _take_places(draft, item, self._pool, draft.room.later, draft.room.promise)
        draft.neighbours.restore(before)  # who is not there yet keeps nobody company
        if seats is None:
            return False
        draft.nominations += [draft.place_of(item.view, seat.pod.facts, seat.row, seat.devices) for seat in seats]
        draft.seat(item, seats, self._pool, at_once=False)
        return True


def _take_places(
    draft: Draft, item: Item, pool: str, layer: Layer, take: Callable[[int, Use], None]
) -> list[Seat] | None:
    """Take a place for every pod of an item, or none, and charge its queue."""
    leaf, amounts = draft.account(item.view, pool), draft.amounts(item)
    firm = not item.view.preemptible
    draft.steps += 1
    if is_forbidden(leaf, amounts, firm=firm):
        return None
    mark = draft.mark(pool)
    placing = Placing(draft, layer, lambda row, seat: take(row, (seat.pod.need, seat.devices)), pool, item)
    seats = placing.place()
    if seats is None:
        draft.restore(pool, mark)
        return None
    draft.accounts(pool).charge(leaf, amounts, firm=firm)
    return seats
