"""Making room for one item: take pods away, place it, put back whoever still has a place, and look at who has none.

An attempt is a transaction over the later layer and the accounts. Candidates come in an order that says who should go
first; the shortest beginning of it that makes room is searched for, first doubling, then halving. Afterwards everybody
is put back where he was, the most deserving first, if his place is still there; else he may move to another; those left
over are lost, and `admits` judges the final set, so that no rule holds only for a set that was tried on the way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from muster_scheduler.core.accounts import is_forbidden, over_limit
from muster_scheduler.core.draft import Draft, Item, Seat
from muster_scheduler.core.forecast import Walk, foretell
from muster_scheduler.core.groups import Bound, Waiting
from muster_scheduler.core.need import Need
from muster_scheduler.core.placing import Placing
from muster_scheduler.core.room import UNFIT
from muster_scheduler.core.units import Unit

PRECISION = 16
"""How finely the shortest beginning is searched for, as a part of its length."""

Judge = Callable[[list[Unit]], bool]


@dataclass(slots=True)
class Outcome:
    """An attempt that worked: where the item goes, who moves where, and who has to go."""

    seats: list[Seat]
    moved: list[tuple[Unit, Bound, Seat]] = field(default_factory=list)
    lost: list[Unit] = field(default_factory=list)


class Disruption:
    """One item, and the ways of making room for it in one pool."""

    def __init__(self, draft: Draft, item: Item, pool: str) -> None:
        self._draft, self._item, self._pool = draft, item, pool
        self._leaf = draft.account(item.view, pool)
        self._amounts = draft.amounts(item)
        self._firm = not item.view.preemptible

    def make_room_of(
        self, candidates: Callable[[], Iterable[Unit]], admits: Judge, rule: str, walk_for: Callable[[Need], Walk]
    ) -> bool:
        """Make room where adding up says that it pays; failing that, search. Candidates are asked for anew."""
        likely = foretell(self._draft, self._item, walk_for)
        if likely is None:
            return False
        if likely and self._try(likely, admits):
            return self._carry_out(self._needed(likely, 0, admits), admits, rule)
        return self.make_room(candidates(), admits, rule)

    def make_room(self, candidates: Iterable[Unit], admits: Judge, rule: str) -> bool:
        """Search for the fewest candidates whose leaving makes room; carry it out and say whether there are any."""
        units: list[Unit] = []
        source = iter(candidates)
        below, size = 0, 1
        while not self._draft.exhausted:
            units += islice(source, size - len(units))
            if len(units) <= below:
                return False  # there are no more
            if self._try(units, admits):
                return self._carry_out(self._needed(units, below, admits), admits, rule)
            below, size = len(units), size * 2
        return False

    def wait_for_releases(self) -> bool:
        """Nominate the item for what is being released already, without anybody else going."""
        return self._carry_out([], lambda lost: not lost, "")

    def _try(self, units: list[Unit], admits: Judge) -> Outcome | None:
        """Return what would come of it, and leave everything as it was."""
        mark = self._draft.mark(self._pool)
        outcome = self._attempt(units, admits)
        self._draft.restore(self._pool, mark)
        return outcome

    def _needed(self, units: list[Unit], below: int, admits: Judge) -> list[Unit]:
        """Return the shortest beginning that does, without those who would only move, and for nothing.

        Devices are equal to the item, but not to who runs on them: it may have taken those of a pod that could stay.
        """
        needed = self._fewest(units, below, admits)
        outcome = self._try(needed, admits)
        assert outcome, "what the search ends with was tried"
        for unit in {id(unit): unit for unit, _, _ in outcome.moved}.values():
            fewer = [other for other in needed if other is not unit]
            without = None if self._draft.exhausted else self._try(fewer, admits)
            if without and len(without.lost) <= len(outcome.lost):
                needed, outcome = fewer, without
        return needed

    def _fewest(self, units: list[Unit], below: int, admits: Judge) -> list[Unit]:
        """Halve between a length that does not do and one that does.

        Long ones are not searched to the end: whoever is taken away for nothing returns to his place anyhow.
        """
        enough = len(units)
        while enough - below > max(1, enough // PRECISION):
            middle = (below + enough) // 2
            if self._try(units[:middle], admits):
                enough = middle
            else:
                below = middle
        return units[:enough]

    def _carry_out(self, units: list[Unit], admits: Judge, rule: str) -> bool:
        draft, mark = self._draft, self._draft.mark(self._pool)
        outcome = self._attempt(units, admits)
        if outcome is None:
            draft.restore(self._pool, mark)
            return False
        beneficiary = self._item.view.workload_id
        draft.seat(self._item, outcome.seats, self._pool, at_once=False)
        self._nominate(outcome)
        for unit, pod, _ in outcome.moved:
            draft.name_victim(unit.view, pod, "consolidate", beneficiary)
            draft.stays(unit.view)
        for unit in outcome.lost:
            for pod in unit.pods:
                draft.name_victim(unit.view, pod, rule, beneficiary)
            if unit.is_core:
                draft.broken.add(unit.view.id)
        return True

    def _nominate(self, outcome: Outcome) -> None:
        draft, view = self._draft, self._item.view
        draft.nominations += [draft.place_of(view, seat.pod.facts, seat.row, seat.devices) for seat in outcome.seats]
        draft.nominations += [
            draft.place_of(unit.view, pod.facts, seat.row, seat.devices) for unit, pod, seat in outcome.moved
        ]

    def _attempt(self, units: list[Unit], admits: Judge) -> Outcome | None:
        draft, accounts = self._draft, self._draft.accounts(self._pool)
        for unit in units:
            self._take_away(unit)
        if is_forbidden(self._leaf, self._amounts, firm=self._firm):
            return None
        seats = Placing(draft, draft.room.later, self._take, self._pool, self._item).place()
        if seats is None:
            return None
        accounts.charge(self._leaf, self._amounts, firm=self._firm)
        outcome = Outcome(seats)
        for unit in self._homeless(units):
            self._put_elsewhere(unit, outcome)
        outcome.lost.reverse()
        return outcome if admits(outcome.lost) and self._keeps_its_company(outcome) else None

    def _keeps_its_company(self, outcome: Outcome) -> bool:
        """Say whether rules about other pods will still allow the seats of the item when those are gone who have to."""
        going = [pod for unit in outcome.lost for pod in unit.pods] + [pod for _, pod, _ in outcome.moved]
        seats = [(seat.pod, seat.row) for seat in outcome.seats]
        return self._draft.neighbours.will_permit(seats, {*self._draft.evicted, *(pod.facts.pod_id for pod in going)})

    def _take(self, row: int, seat: Seat) -> None:
        self._draft.room.later.take(row, (seat.pod.need, seat.devices))

    def _take_away(self, unit: Unit) -> None:
        draft = self._draft
        for pod in unit.pods:
            draft.steps += 1
            if (row := draft.terrain.rows.get(pod.node)) is not None:
                draft.room.later.give(row, pod.use)
        draft.accounts(self._pool).charge(draft.account(unit.view, self._pool), unit.amounts, firm=False, sign=-1)

    def _homeless(self, units: list[Unit]) -> list[Unit]:
        """Return whom to look for a place for, the most deserving first; the others went home.

        Nobody goes home before it is known whether the core of his gang has a place.
        """
        homeless: list[Unit] = []
        uncertain: set[UUID] = set()
        for unit in reversed(units):
            if unit.view.id in uncertain or not self._return_home(unit):
                homeless.append(unit)
                uncertain |= {unit.view.id} if unit.is_core else set()
        return homeless

    def _return_home(self, unit: Unit) -> bool:
        """Put a unit back where it was, if all of that is still free."""
        draft, account = self._draft, self._draft.account(unit.view, self._pool)
        layer, mark = draft.room.later, draft.mark(self._pool)
        if over_limit(account, unit.amounts):
            return False
        for pod in unit.pods:
            row = draft.terrain.rows.get(pod.node)
            if row is None or not layer.has(row, pod.use):
                draft.restore(self._pool, mark)
                return False
            layer.take(row, pod.use)
        draft.accounts(self._pool).charge(account, unit.amounts, firm=False)
        return True

    def _put_elsewhere(self, unit: Unit, outcome: Outcome) -> None:
        """Find every pod of a unit its old place or another, or lose the unit whole."""
        draft, account = self._draft, self._draft.account(unit.view, self._pool)
        broken = any(lost.is_core and lost.view is unit.view for lost in outcome.lost)  # its gang is gone
        mark = draft.mark(self._pool)
        moved: list[tuple[Unit, Bound, Seat]] = []
        if broken or over_limit(account, unit.amounts) or not self._find_places(unit, moved):
            draft.restore(self._pool, mark)
            outcome.lost.append(unit)
            return
        draft.accounts(self._pool).charge(account, unit.amounts, firm=False)
        outcome.moved += moved

    def _find_places(self, unit: Unit, moved: list[tuple[Unit, Bound, Seat]]) -> bool:
        layer = self._draft.room.later
        homeless: list[Bound] = []
        for pod in unit.pods:
            row = self._draft.terrain.rows.get(pod.node)
            if row is not None and layer.has(row, pod.use):
                layer.take(row, pod.use)
            else:
                homeless.append(pod)
        for pod in homeless:
            seat = self._elsewhere(unit, pod)
            if seat is None:
                return False
            moved.append((unit, pod, seat))
        return True

    def _elsewhere(self, unit: Unit, pod: Bound) -> Seat | None:
        """Find another node for a pod; one that is tied to others by topology or rules does not move."""
        tied = unit.view.tree.topology or any(leaf.topology for leaf in unit.view.tree.leaves())
        if tied or pod.need.touchy or self._draft.neighbours.matter:
            return None
        layer = self._draft.room.later
        self._draft.steps += 1
        scores = layer.scores(pod.need, self._pool)
        row = int(scores.argmin())
        if scores[row] >= UNFIT:
            return None
        seat = Seat(Waiting(pod.facts, pod.need), row, layer.choose_devices(row, pod.need, self._pool))
        layer.take(row, (pod.need, seat.devices))
        return seat
