"""Finding places for pods that start together: one node pool, the domains they ask for, then the best node for each.

Without a topology each pod goes to the node with the lowest score. With a required level all pods of a part go to one
domain of it, the fullest that has room for all; with a preferred level the same is tried for narrower domains first,
and where none is wide enough the pods fill up as few as they can.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from muster_contracts.values import TopologyConstraint

from muster_scheduler.core.draft import Draft, Item, Seat
from muster_scheduler.core.gang import Part
from muster_scheduler.core.groups import Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.room import UNFIT, Layer
from muster_scheduler.core.terrain import Integers, Mask

MANY = 8
"""From so many equal pods on it pays to count the room before trying."""


class Placing:
    """One attempt to place an item in one layer of the room. Undoing it is the caller's business."""

    def __init__(self, draft: Draft, layer: Layer, take: Callable[[int, Seat], None], pool: str, item: Item) -> None:
        self._draft, self._layer, self._take = draft, layer, take
        self._pool, self._item = pool, item

    def place(self) -> list[Seat] | None:
        """Take a place for every pod, or return None with some taken."""
        return self._place_part(self._item.view.tree, list(self._item.pods), None)

    def _place_part(self, part: Part, pods: list[Waiting], within: Mask | None) -> list[Seat] | None:
        if part.topology is None or not (part.topology.levels or part.topology.required):
            return self._place_parts(part, pods, within)
        for domain in self._domains(part, part.topology, pods, within):
            mark = self._mark()
            if (seats := self._place_parts(part, pods, domain)) is not None:
                return seats
            self._restore(mark)
        return None

    def _place_parts(self, part: Part, pods: list[Waiting], within: Mask | None) -> list[Seat] | None:
        if not part.parts:
            return self._place_each(pods, within)
        seats: list[Seat] = []
        for below in part.parts:
            leaves = {leaf.name for leaf in below.leaves()}
            theirs = [pod for pod in pods if pod.facts.sub_group in leaves]
            found = self._place_part(below, theirs, within) if theirs else []
            if found is None:
                return None
            seats += found
        named = {leaf.name for leaf in part.leaves()}
        others = self._place_each([pod for pod in pods if pod.facts.sub_group not in named], within)
        return None if others is None else seats + others

    def _place_each(self, pods: Sequence[Waiting], within: Mask | None) -> list[Seat] | None:
        if len(pods) >= MANY and not self._has_room(pods, within):
            return None
        seats: list[Seat] = []
        for pod in pods:
            seat = self._best(pod, within)
            if seat is None:
                return None
            seats.append(seat)
        return seats

    def _has_room(self, pods: Sequence[Waiting], within: Mask | None) -> bool:
        """Count whether so many of the most frequent need fit at all."""
        need, number = _commonest(pods)
        counts = self._layer.counts(need, self._pool)
        self._draft.steps += 1
        return int(counts.sum() if within is None else counts[within].sum()) >= number

    def _best(self, pod: Waiting, within: Mask | None) -> Seat | None:
        self._draft.steps += 1
        scores = self._layer.scores(pod.need, self._pool)
        allowed = self._draft.neighbours.allows(pod)
        if allowed is not None:
            within = allowed if within is None else within & allowed
        if within is not None:
            scores = np.where(within, scores, UNFIT)
        if (dislikes := self._draft.neighbours.dislikes(pod.need)) is not None and (scores < UNFIT).any():
            scores = np.where(dislikes == dislikes[scores < UNFIT].min(), scores, UNFIT)
        row = int(scores.argmin()) if len(scores) else 0
        if len(scores) == 0 or scores[row] >= UNFIT:
            return None
        seat = Seat(pod, row, self._layer.choose_devices(row, pod.need, self._pool))
        self._take(row, seat)
        self._draft.neighbours.arrive(row, pod.facts)
        return seat

    def _domains(
        self, part: Part, topology: TopologyConstraint, pods: Sequence[Waiting], within: Mask | None
    ) -> Iterator[Mask]:
        """Offer masks of nodes, the most wanted first."""
        for required in self._required(part, topology, pods, within):
            for level in _narrower(topology):
                yield from self._fitting(topology.levels[: level + 1], pods, required)
            if topology.preferred in topology.levels:
                level = topology.levels.index(topology.preferred)
                yield self._fewest(topology.levels[: level + 1], pods, required)
            else:
                yield required

    def _required(
        self, part: Part, topology: TopologyConstraint, pods: Sequence[Waiting], within: Mask | None
    ) -> Iterable[Mask]:
        everywhere = np.ones(len(self._draft.terrain), dtype=np.bool_) if within is None else within
        levels = topology.shared_levels
        if not levels:
            return [everywhere]
        domains = self._draft.terrain.domains(levels)
        leaves = {leaf.name for leaf in part.leaves()}
        view = self._item.view
        there = [self._draft.terrain.rows.get(p.node) for p in view.staying if view.leaf_of(p.facts) in leaves]
        seats = self._draft.seats.get(view.id, ())
        rows = [seat.row for seat in seats if view.leaf_of(seat.pod.facts) in leaves] or there
        held = sorted({int(domains[row]) for row in rows if row is not None and domains[row] >= 0})
        # More than one, or none, is held where pods ran already when the level was asked for, or a label changed.
        return [everywhere & (domains == one) for one in held] or self._fitting(levels, pods, everywhere)

    def _fitting(self, levels: tuple[str, ...], pods: Sequence[Waiting], within: Mask) -> Iterator[Mask]:
        """Offer the domains with room for all, the fullest first."""
        domains = self._draft.terrain.domains(levels)
        need, number = _commonest(pods)
        room = self._room_by_domain(domains, need, within)
        for domain in np.lexsort((np.arange(len(room)), room)).tolist():
            if room[domain] >= number:
                yield within & (domains == domain)

    def _fewest(self, levels: tuple[str, ...], pods: Sequence[Waiting], within: Mask) -> Mask:
        """Return the nodes of the roomiest domains that have room for all together."""
        domains = self._draft.terrain.domains(levels)
        need, number = _commonest(pods)
        room = self._room_by_domain(domains, need, within)
        order = np.lexsort((np.arange(len(room)), -room))
        enough = int(np.searchsorted(np.cumsum(room[order]), number)) + 1
        chosen = within & np.isin(domains, order[:enough])
        return chosen if enough <= len(room) else within

    def _room_by_domain(self, domains: Integers, need: Need, within: Mask) -> Integers:
        counts = np.where(within & (domains >= 0), self._layer.counts(need, self._pool), 0)
        summed = np.bincount(np.maximum(domains, 0), weights=counts, minlength=int(domains.max(initial=-1)) + 1)
        return summed.astype(np.int64)

    def _mark(self) -> tuple[tuple[int, int], int]:
        return self._draft.room.mark(), self._draft.neighbours.mark()

    def _restore(self, mark: tuple[tuple[int, int], int]) -> None:
        self._draft.room.restore(mark[0])
        self._draft.neighbours.restore(mark[1])


def _narrower(topology: TopologyConstraint) -> list[int]:
    """Return the levels to try before the required one, from the preferred one outwards."""
    if topology.preferred not in topology.levels:
        return []
    widest = topology.levels.index(topology.required) if topology.required in topology.levels else -1
    return list(range(topology.levels.index(topology.preferred), widest, -1))


def _commonest(pods: Sequence[Waiting]) -> tuple[Need, int]:
    counts: dict[Need, int] = {}
    for pod in pods:
        counts[pod.need] = counts.get(pod.need, 0) + 1
    need = max(counts, key=lambda one: counts[one])
    return need, counts[need]
