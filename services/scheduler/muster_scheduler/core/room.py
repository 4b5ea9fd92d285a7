"""What is free while a plan is being made, changed by every placement, with a way back for what did not work out.

There are two layers. `now` is what a pod may be bound to; `later` is that and what is released by pods that have been
told to go, less what was promised to those they went for. A binding uses both, a nomination only the later one, and
nothing is bound that would eat into a nomination, because `now` begins as the smaller of the two. Without releases the
two are one and the same layer.

For every class of pods (need and pool) a layer keeps one score per node, lower is better, and works out again only the
rows that changed since it was last asked; that makes placing one of many equal pods a matter of finding a minimum.
"""

from dataclasses import dataclass

import numpy as np
from muster_contracts.values import WHOLE_GPU, DeviceShare

from muster_scheduler.core.amounts import Amounts, Use
from muster_scheduler.core.devices import share_of
from muster_scheduler.core.need import Need
from muster_scheduler.core.terrain import Integers, Mask, Terrain

UNFIT = np.int64(2**62)
"""The score of a node without room."""
CPU_BITS, GPU_BITS = 22, 20
MOST_CPU, MOST_GPU = 2**CPU_BITS - 1, 2**GPU_BITS - 1


@dataclass(slots=True)
class _Scores:
    """The scores of one class, how far along the changes they are, and what no change of the room touches.

    `standing` is the part of each score that goes before the room: what the pod likes and, for one that asks for no
    devices, that nodes without any come first.
    """

    values: Integers
    seen: int
    allowed: Mask
    portions: Integers
    standing: Integers
    spreads: bool


class Layer:
    """Free amounts, with scores by class, and a record of what was done so that it can be undone."""

    def __init__(self, terrain: Terrain, free: Amounts) -> None:
        self.terrain = terrain
        self.free = free
        self._scores: dict[tuple[Need, str], _Scores] = {}
        self._changed: list[int] = []
        self._done: list[tuple[int, Use, int]] = []

    def scores(self, need: Need, pool: str) -> Integers:
        """Return the score of every node for such a pod; `UNFIT` where it has no room."""
        known = self._scores.get((need, pool))
        if known is None:
            known = self._scores[need, pool] = self._first_scores(need, pool)
        elif known.seen < len(self._changed):
            rows = np.array(list(dict.fromkeys(self._changed[known.seen :])))
            known.values[rows] = self._score(need, known, rows)
            known.seen = len(self._changed)
        return known.values

    def counts(self, need: Need, pool: str) -> Integers:
        """Return how many such pods each node has room for, by itself."""
        fits = np.flatnonzero(self.scores(need, pool) < UNFIT)
        counts = np.zeros(len(self.terrain), dtype=np.int64)
        known = self._scores[need, pool]
        room = [self.free.pods[fits]]
        for column, amount in ((self.free.cpu, need.cpu_milli), (self.free.memory, need.memory_bytes)):
            if amount:
                room.append(column[fits] // amount)
        for name, amount in need.extended:
            room.append(self.free.column(name)[fits] // max(1, amount))
        if need.devices:
            shares = self.free.devices[fits] // np.maximum(1, known.portions[fits])[:, None]
            room.append(_count_on_distinct(np.minimum(shares, MOST_GPU), need.devices))
        counts[fits] = np.minimum.reduce(room)
        return counts

    def choose_devices(self, row: int, need: Need, pool: str) -> tuple[DeviceShare, ...]:
        """Choose the devices for a pod on a node that has room: the fullest that fits, or the emptiest to spread."""
        if not need.devices:
            return ()
        portion = int(self._scores[need, pool].portions[row])
        free = self.free.devices[row].tolist()
        fitting = [(amount, index) for index, amount in enumerate(free) if amount >= portion]
        if self.terrain.spreads(pool, need):
            fitting = [(-amount, index) for amount, index in fitting]
        indices = sorted(index for _, index in sorted(fitting)[: need.devices])
        return tuple(share_of(index, portion) for index in indices)

    def has(self, row: int, use: Use) -> bool:
        """Say whether exactly this is free on a node, devices and all."""
        need, devices = use
        free = self.free
        return bool(
            free.cpu[row] >= need.cpu_milli
            and free.memory[row] >= need.memory_bytes
            and free.pods[row] >= 1
            and all(free.of_device(row, share.index) >= share.portion_millionths for share in devices)
            and all(free.column(name)[row] >= count for name, count in need.extended)
        )

    def take(self, row: int, use: Use) -> None:
        """Use this much of a node."""
        self._change(row, use, -1)

    def give(self, row: int, use: Use) -> None:
        """Set this much of a node free."""
        self._change(row, use, 1)

    @property
    def changes(self) -> int:
        """How often a row has changed so far, there and back counted twice."""
        return len(self._changed)

    def changed_since(self, changes: int) -> list[int]:
        """Return the rows that changed after so many changes."""
        return self._changed[changes:]

    def mark(self) -> int:
        """Return a point to which `restore` can go back."""
        return len(self._done)

    def restore(self, mark: int) -> None:
        """Undo everything since the mark."""
        while len(self._done) > mark:
            row, use, sign = self._done.pop()
            self.free.change(row, use, -sign)
            self._changed.append(row)

    def _change(self, row: int, use: Use, sign: int) -> None:
        self.free.change(row, use, sign)
        self._changed.append(row)
        self._done.append((row, use, sign))

    def _first_scores(self, need: Need, pool: str) -> _Scores:
        terrain = self.terrain
        known = _Scores(
            values=np.full(len(terrain), UNFIT),
            seen=len(self._changed),
            allowed=terrain.admits(need) & terrain.in_pool(pool),
            portions=terrain.portions(need),
            standing=self._standing(need),
            spreads=terrain.spreads(pool, need),
        )
        rows = np.arange(len(terrain))
        known.values[rows] = self._score(need, known, rows)
        return known

    def _standing(self, need: Need) -> Integers:
        terrain = self.terrain
        reluctance = terrain.reluctance(need)
        rank = np.zeros(len(terrain), dtype=np.int64) if reluctance is None else reluctance
        return rank if need.devices else (rank << GPU_BITS) + np.where(terrain.devices > 0, MOST_GPU, 0)

    def _score(self, need: Need, known: _Scores, rows: Integers) -> Integers:
        """Score some rows: first what the pod likes, then shared devices before whole ones, then the fullest node."""
        free = self.free
        cpu = free.cpu[rows]
        fits = known.allowed[rows] & (cpu >= need.cpu_milli) & (free.memory[rows] >= need.memory_bytes)
        fits &= free.pods[rows] >= 1
        for name, count in need.extended:
            fits &= free.column(name)[rows] >= count
        rank = known.standing[rows]
        if need.devices:
            has_devices, rank = self._rank_devices(need, known, rows)
            fits &= has_devices
        cpu = np.minimum(cpu, MOST_CPU)
        score = (rank << CPU_BITS) + (MOST_CPU - cpu if known.spreads else cpu)
        return np.where(fits, score, UNFIT)

    def _rank_devices(self, need: Need, known: _Scores, rows: Integers) -> tuple[Mask, Integers]:
        """Say which of some rows have enough devices, and rank them by what the pod likes and by their devices."""
        devices = self.free.devices[rows]
        enough = devices >= known.portions[rows][:, None]
        shared = enough & (devices < WHOLE_GPU)
        reuse = shared.sum(axis=1) >= need.devices if not need.whole else np.ones(len(rows), dtype=np.bool_)
        rank = known.standing[rows] * 2 + (reuse if known.spreads else ~reuse)
        amount = np.minimum(devices.sum(axis=1) // 1000, MOST_GPU)
        if known.spreads:
            amount = MOST_GPU - amount
        return enough.sum(axis=1) >= need.devices, (rank << GPU_BITS) + amount


class Room:
    """Both layers; who places says to which it belongs."""

    def __init__(self, terrain: Terrain, idle: Amounts, releasing: Amounts | None) -> None:
        self.terrain = terrain
        self.later = Layer(terrain, idle.copy() if releasing is None else idle.plus(releasing))
        self._early = None if releasing is None else Layer(terrain, idle.copy())
        self.now = self.later

    def settle(self) -> None:
        """Fix what may be bound now that all earlier nominations have been taken out of the later layer."""
        if self._early is not None:
            self.now = Layer(self.terrain, self._early.free.least(self.later.free))
            self._early = None

    def is_idle(self, row: int, use: Use) -> bool:
        """Say whether exactly this is free already, before anything is settled."""
        return self._first.has(row, use)

    def reserve(self, row: int, use: Use, *, at_once: bool) -> None:
        """Take what a nominee gets, before anything is settled."""
        self.later.take(row, use)
        if at_once and self._early is not None:
            self._early.take(row, use)

    def bind(self, row: int, use: Use) -> None:
        """Use a node at once."""
        self.later.take(row, use)
        if self.now is not self.later:
            self.now.take(row, use)

    def promise(self, row: int, use: Use) -> None:
        """Use what will be free; what is idle of it can then be bound by nobody else."""
        self.later.take(row, use)
        if self.now is not self.later:
            self.now.take(row, self._too_much(row, use))

    def _too_much(self, row: int, use: Use) -> Use:
        """Return by how much more is idle than will be left there. A pod counts whole."""
        need, devices = use
        idle, left = self.now.free, self.later.free

        def over(idle: Integers, left: Integers) -> int:
            return max(0, int(idle[row] - left[row]))

        extended = tuple((name, over(idle.column(name), left.column(name))) for name, _ in need.extended)
        surplus = [(one.index, over(idle.devices[:, one.index], left.devices[:, one.index])) for one in devices]
        return (
            Need(cpu_milli=over(idle.cpu, left.cpu), memory_bytes=over(idle.memory, left.memory), extended=extended),
            tuple(share_of(index, portion) for index, portion in surplus if portion),
        )

    @property
    def _first(self) -> Layer:
        return self._early or self.now

    def mark(self) -> tuple[int, int]:
        """Return a point to which `restore` can go back."""
        return self._first.mark(), self.later.mark()

    def restore(self, mark: tuple[int, int]) -> None:
        """Undo everything since the mark."""
        now, later = mark
        self.later.restore(later)
        if self._first is not self.later:
            self._first.restore(now)


def _count_on_distinct(shares: Integers, devices: int) -> Integers:
    """Return how many pods get a share of so many different devices, where each device has some shares: row by row.

    So many pods use no device more often than there are pods; that is asked again until it cuts off nothing more.
    """
    counts: Integers = shares.sum(axis=1) // devices
    while devices > 1:
        fewer = np.minimum(shares, counts[:, None]).sum(axis=1) // devices
        if (fewer == counts).all():
            break
        counts = fewer
    return counts
