"""Guessing where room could be made, by adding up, before anything is tried.

Candidates are walked in the order in which they should go, and what they hold is added to their nodes until the nodes
have room for all pods of an item. Those on the nodes that gained room are the ones to try: in a large cluster a few
instead of thousands. If all of them together would not make room, there is nothing to try.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from muster_contracts.values import DeviceShare

from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.need import Need
from muster_scheduler.core.units import Unit

WALKED_PER_STEP = 16
"""Adding up is so much cheaper than trying."""


@dataclass(slots=True)
class _Row:
    """What would be free on one node."""

    cpu: int
    memory: int
    pods: int
    devices: list[int]
    extended: dict[str, int]

    def add_all(self, unit: Unit, node: str) -> None:
        """Add what pods of a unit hold here."""
        for pod in unit.pods:
            if pod.node == node:
                self._add(pod.need, pod.devices)

    def _add(self, need: Need, devices: Iterable[DeviceShare]) -> None:
        self.cpu += need.cpu_milli
        self.memory += need.memory_bytes
        self.pods += 1
        for share in devices:
            self.devices[share.index] += share.portion_millionths
        for name, count in need.extended:
            self.extended[name] = self.extended.get(name, 0) + count

    def count(self, need: Need, portion: int) -> int:
        """Count how many such pods have room."""
        counts = [self.pods]
        for free, asked in ((self.cpu, need.cpu_milli), (self.memory, need.memory_bytes)):
            if asked:
                counts.append(free // asked)
        if need.devices:
            counts.append(_count_on_distinct([free // max(1, portion) for free in self.devices], need.devices))
        counts += [self.extended.get(name, 0) // count for name, count in need.extended if count]
        return max(0, min(counts))


def _count_on_distinct(shares: list[int], devices: int) -> int:
    """Count as `room` does for all nodes at once; for one, arrays cost ten times as much as they save."""
    count = sum(shares) // devices
    while (fewer := sum(min(share, count) for share in shares) // devices) < count:
        count = fewer
    return count


def foretell(draft: Draft, item: Item, walk_for: Callable[[Need], "Walk"]) -> list[Unit] | None:
    """Return the candidates to try, in their order; [] if adding up says nothing, None if there is nothing to try."""
    needs = {pod.need for pod in item.pods}
    if len(needs) > 1 or item.view.tree.topology or item.view.tree.parts or draft.neighbours.matter:
        return []
    (need,) = needs
    return walk_for(need).until_room_for(len(item.pods))


class Walk:
    """One addition. It may be asked again by those who want the same of the same candidates, and goes on from there.

    Who has gone meanwhile (`gone` tells, who went first first) is left out, and nodes that changed are added up anew.
    """

    def __init__(
        self,
        draft: Draft,
        need: Need,
        pool: str,
        gone: Callable[[], Sequence[Unit]],
        candidates: Callable[[], Iterable[Unit]],
    ) -> None:
        self._draft, self._need, self._pool, self._all_gone = draft, need, pool, gone
        self._layer, self._candidates = draft.room.later, candidates
        self._allowed = draft.terrain.admits(need) & draft.terrain.in_pool(pool)
        self._portions = draft.terrain.portions(need)
        self._fitting = self._layer.counts(need, pool)
        self._begin()

    def _begin(self) -> None:
        self._ahead = iter(self._candidates())
        self._changes, self._departures = self._layer.changes, len(self._all_gone())
        self._places = itertools.count()
        self._seen: dict[Unit, int] = {}  # with the place of each in the order
        self._gone: set[Unit] = set()
        self._units_of: dict[UUID, list[Unit]] = {}
        self._units_on: dict[int, list[Unit]] = {}
        self._rows: dict[int, _Row] = {}
        self._gains: dict[int, int] = {}  # for how many more pods there would be room, by row

    def until_room_for(self, wanted: int) -> list[Unit] | None:
        """Walk until there is room for so many pods."""
        self._fitting = self._layer.counts(self._need, self._pool)
        missing = wanted - int(self._fitting.sum())
        if missing <= 0:
            return []  # it is not room that is missing
        self._catch_up()
        if sum(self._gains.values()) >= missing:
            self._begin()  # fewer may be enough by now
        walked = self._go_on(missing)
        self._draft.steps += 1 + walked // WALKED_PER_STEP
        return self._likely() if sum(self._gains.values()) >= missing else None

    def _go_on(self, missing: int) -> int:
        """Add unit after unit until that is enough; return how many."""
        gained, walked = sum(self._gains.values()), 0
        for unit in self._ahead:
            if unit in self._gone:
                continue
            walked += 1
            gained += self._add(unit)
            if gained >= missing:
                break
        return walked

    def _likely(self) -> list[Unit]:
        """Return who is on the nodes that gained room; with the core of a gang all of it, for it goes whole."""
        likely = {unit for number in self._gains for unit in self._units_on[number]}
        likely |= {one for unit in likely if unit.is_core for one in self._units_of[unit.view.id] if one in self._seen}
        return sorted(likely, key=lambda unit: self._seen[unit])

    def _add(self, unit: Unit) -> int:
        """Add what a unit holds; return for how many more pods there is room."""
        self._seen[unit] = next(self._places)
        self._units_of.setdefault(unit.view.id, []).append(unit)
        gained = 0
        for number in self._rows_of(unit):
            self._units_on.setdefault(number, []).append(unit)
            row = self._row(number)
            row.add_all(unit, self._draft.terrain.nodes[number].name)
            gained += self._count(number, row)
        return gained

    def _rows_of(self, unit: Unit) -> Iterable[int]:
        rows = (self._draft.terrain.rows.get(pod.node) for pod in unit.pods)
        return dict.fromkeys(row for row in rows if row is not None and self._allowed[row])

    def _count(self, number: int, row: _Row) -> int:
        """Count anew what one row gains; return by how much that is more."""
        before = self._gains.pop(number, 0)
        gain = row.count(self._need, int(self._portions[number])) - int(self._fitting[number])
        if gain > 0:
            self._gains[number] = gain
        return gain - before

    def _catch_up(self) -> None:
        """Leave out who has gone, and look again at the rows that changed."""
        gone = self._all_gone()[self._departures :]
        changed = {*self._layer.changed_since(self._changes), *(row for unit in gone for row in self._rows_of(unit))}
        self._changes, self._departures = self._layer.changes, self._departures + len(gone)
        self._gone.update(gone)
        for unit in gone:
            self._seen.pop(unit, None)
        for number in changed & self._rows.keys():
            del self._rows[number]
            self._units_on[number] = [unit for unit in self._units_on[number] if unit in self._seen]
            row = self._row(number)
            for unit in self._units_on[number]:
                row.add_all(unit, self._draft.terrain.nodes[number].name)
            self._count(number, row)

    def _row(self, number: int) -> _Row:
        if number not in self._rows:
            free = self._layer.free
            self._rows[number] = _Row(
                cpu=int(free.cpu[number]),
                memory=int(free.memory[number]),
                pods=int(free.pods[number]),
                devices=free.devices[number].tolist(),
                extended={name: int(column[number]) for name, column in free.extended.items()},
            )
        return self._rows[number]
