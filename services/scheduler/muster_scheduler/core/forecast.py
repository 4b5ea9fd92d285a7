"""Guessing where room could be made, by adding up, before anything is tried.

Candidates are walked in the order in which they should go, and what they hold is added to their nodes until the nodes
have room for all pods of an item. Those on the nodes that gained room are the ones to try: in a large cluster a few
instead of thousands. If all of them together would not make room, there is nothing to try.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from muster_scheduler.core.draft import Draft, Item
from muster_scheduler.core.need import Need
from muster_scheduler.core.victims import Unit

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
    fits: int = 0

    def add(self, need: Need, devices: Iterable[tuple[int, int]]) -> None:
        """Add what a pod holds."""
        self.cpu += need.cpu_milli
        self.memory += need.memory_bytes
        self.pods += 1
        for index, portion in devices:
            self.devices[index] += portion
        for name, count in need.extended:
            self.extended[name] = self.extended.get(name, 0) + count

    def count(self, need: Need, portion: int) -> int:
        """Count how many such pods have room."""
        counts = [self.pods]
        for free, asked in ((self.cpu, need.cpu_milli), (self.memory, need.memory_bytes)):
            if asked:
                counts.append(free // asked)
        if need.devices:
            counts.append(sum(free // max(1, portion) for free in self.devices) // need.devices)
        counts += [self.extended.get(name, 0) // count for name, count in need.extended if count]
        return max(0, min(counts))


def foretell(draft: Draft, item: Item, pool: str, candidates: Iterable[Unit]) -> list[Unit] | None:
    """Return the candidates to try, in their order; [] if adding up says nothing, None if there is nothing to try."""
    needs = {pod.need for pod in item.pods}
    if len(needs) > 1 or item.view.tree.topology or item.view.tree.parts or draft.neighbours.matter:
        return []
    (need,) = needs
    return _Walk(draft, need, pool, len(item.pods)).walk(candidates)


class _Walk:
    """One addition."""

    def __init__(self, draft: Draft, need: Need, pool: str, wanted: int) -> None:
        self._draft, self._need, self._wanted = draft, need, wanted
        self._layer = draft.room.later
        self._fitting = self._layer.counts(need, pool)
        self._allowed = draft.terrain.admits(need) & draft.terrain.in_pool(pool)
        self._portions = draft.terrain.portions(need)
        self._rows: dict[int, _Row] = {}

    def walk(self, candidates: Iterable[Unit]) -> list[Unit] | None:
        """Walk until there is room for all."""
        fits = int(self._fitting.sum())
        if fits >= self._wanted:
            return []  # it is not room that is missing
        seen: list[Unit] = []
        for unit in candidates:
            seen.append(unit)
            fits += sum(self._gain(unit))
            if fits >= self._wanted:
                self._draft.steps += 1 + len(seen) // WALKED_PER_STEP
                return self._likely(seen)
        self._draft.steps += 1 + len(seen) // WALKED_PER_STEP
        return None

    def _likely(self, seen: list[Unit]) -> list[Unit]:
        """Return who is on the nodes that gained room; with the core of a gang all of it, for it goes whole."""
        likely = {unit for unit in seen if any(self._gained(pod.node) for pod in unit.pods)}
        whole = {unit.view.id for unit in likely if unit.is_core}
        return [unit for unit in seen if unit in likely or unit.view.id in whole]

    def _gain(self, unit: Unit) -> Iterable[int]:
        for pod in unit.pods:
            number = self._draft.terrain.rows.get(pod.node)
            if number is None or not self._allowed[number]:
                continue
            row = self._row(number)
            row.add(pod.need, ((share.index, share.portion_millionths) for share in pod.devices))
            before, row.fits = row.fits, row.count(self._need, int(self._portions[number]))
            yield row.fits - before

    def _gained(self, node: str) -> bool:
        number = self._draft.terrain.rows.get(node)
        row = self._rows.get(number) if number is not None else None
        return row is not None and number is not None and row.fits > int(self._fitting[number])

    def _row(self, number: int) -> _Row:
        if number not in self._rows:
            free = self._layer.free
            self._rows[number] = _Row(
                cpu=int(free.cpu[number]),
                memory=int(free.memory[number]),
                pods=int(free.pods[number]),
                devices=free.devices[number].tolist(),
                extended={name: int(column[number]) for name, column in free.extended.items()},
                fits=int(self._fitting[number]),
            )
        return self._rows[number]
