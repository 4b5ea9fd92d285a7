"""Who could be told to go, in units: single pods that a gang can spare, and last the pods that only go together.

Of the lowest priority the newest comes first, and what gangs can spare before any of them goes whole. Pods of other
schedulers, pods already on their way, pods that were refused to us a moment ago and the cores of gangs inside their
minimum run time are left alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

from muster_scheduler.core.accounts import Account, Triple, standing
from muster_scheduler.core.amounts import total_of
from muster_scheduler.core.draft import Draft
from muster_scheduler.core.forecast import Walk
from muster_scheduler.core.gang import split_surplus
from muster_scheduler.core.groups import Bound, GroupView
from muster_scheduler.core.need import Need
from muster_scheduler.core.units import Unit


class Victims:
    """The units of one pool, by queue, worked out when first asked for."""

    def __init__(self, draft: Draft, pool: str) -> None:
        self._draft, self._pool = draft, pool
        self._by_account: dict[Account, dict[int, Unit]] = {}
        self._places: dict[UUID, tuple[dict[int, Unit], int]] = {}  # of the unit of a pod, or of the core of a group
        self._gone: list[Unit] = []
        self._walks: dict[tuple[object, ...], Walk] = {}  # by who asks for what
        self._seen_victims = self._seen_groups = 0
        queues = draft.snapshot.queues
        self._protects = any(queue.preempt_minimum_seconds or queue.reclaim_minimum_seconds for queue in queues)
        views = [view for view in draft.snapshot.views.values() if view.preemptible and self._is_here(view)]
        views.sort(key=lambda view: view.order, reverse=True)
        units = [unit for view in views for unit in self._units(view)]
        units.sort(key=lambda unit: (unit.view.priority, unit.is_core))
        for unit in units:
            self._file(unit, self._by_account.setdefault(draft.account(unit.view, pool), {}))

    def of(self, account: Account) -> Iterator[Unit]:
        """Return the units of one project that are still there, who goes first first."""
        self._drop_the_gone()
        return iter(list(self._by_account.get(account, {}).values()))

    def accounts(self) -> list[Account]:
        """Return the projects that have any."""
        self._drop_the_gone()
        return [account for account in self._by_account if self._by_account[account]]

    @property
    def gone(self) -> list[Unit]:
        """The units that are there no more, who went first first."""
        self._drop_the_gone()
        return self._gone

    def walk(self, need: Need, candidates: Callable[[], Iterable[Unit]]) -> Walk:
        """Return an addition of what candidates hold, for pods of one need."""
        return Walk(self._draft, need, self._pool, lambda: self.gone, candidates)

    def walk_again(self, need: Need, candidates: Callable[[], Iterable[Unit]], asking: tuple[object, ...]) -> Walk:
        """Return the addition that was begun for others who ask the same, to be gone on with."""
        key = (*asking, need)
        if key not in self._walks:
            self._walks[key] = self.walk(need, candidates)
        return self._walks[key]

    def is_protected(self, unit: Unit, *, reclaim: bool) -> bool:
        """Say whether a unit is still inside the minimum run time that its project, or a department, grants."""
        until, now = self.protected_until(unit, reclaim=reclaim), self._draft.snapshot.now
        return until is not None and now is not None and now < until

    def protected_until(self, unit: Unit, *, reclaim: bool) -> datetime | None:
        """Return when its minimum run time is over, if any is granted.

        What a gang can spare is not protected: it goes on running without.
        """
        started = unit.view.started_at
        if not (self._protects and unit.is_core and started):
            return None
        queues = [account.queue for account in self._draft.account(unit.view, self._pool).chain()]
        times = [queue.reclaim_minimum_seconds if reclaim else queue.preempt_minimum_seconds for queue in queues]
        granted = next((seconds for seconds in times if seconds), 0)
        return started + timedelta(seconds=granted) if granted else None

    def last_in_line(self, accounts: Iterable[Account]) -> Iterator[Unit]:
        """Hand out units of these projects, always from the queue that then stands last."""
        left = {account: self.of(account) for account in accounts}
        heads = {account: unit for account, units in left.items() if (unit := next(units, None)) is not None}
        taken: dict[Account, Triple] = {}
        while heads:
            account = _last_of(heads, taken)
            unit = heads[account]
            yield unit
            for above in account.chain():
                before = taken.get(above, (0, 0, 0))
                taken[above] = (
                    before[0] + unit.amounts[0],
                    before[1] + unit.amounts[1],
                    before[2] + unit.amounts[2],
                )
            if (following := next(left[account], None)) is None:
                del heads[account]
            else:
                heads[account] = following

    def _is_here(self, view: GroupView) -> bool:
        return bool(view.staying) and self._draft.pools_of(view) == (self._pool,)

    def _file(self, unit: Unit, units: dict[int, Unit]) -> None:
        place = units, len(self._places)
        units[place[1]] = unit
        for key in (*(pod.facts.pod_id for pod in unit.pods), *([unit.view.id] if unit.is_core else [])):
            self._places[key] = place

    def _drop_the_gone(self) -> None:
        """Drop units that were told to go, and cores of groups for which this plan has placed pods."""
        draft = self._draft
        gone = [victim.pod_id for victim in draft.victims[self._seen_victims :]]
        gone += islice(draft.seated, self._seen_groups, None)
        self._seen_victims, self._seen_groups = len(draft.victims), len(draft.seated)
        for key in gone:
            if (place := self._places.get(key)) is not None:
                unit = place[0].pop(place[1], None)
                self._gone += [unit] if unit else []

    def _units(self, view: GroupView) -> Iterator[Unit]:
        """Yield what can go of a group, its core last, if none of its pods has to stay."""
        going = [pod for pod in reversed(view.staying) if pod.ours]
        fixed = Counter(view.leaf_of(pod.facts) for pod in view.staying if not pod.ours)
        standing = fixed + Counter(view.finished) + self._draft.placed.get(view.id, Counter())
        spare, core = split_surplus(view.tree, view.min_members, going, lambda pod: view.leaf_of(pod.facts), standing)
        for pod in spare:
            yield self._unit(view, (pod,))
        if core and not fixed:
            yield self._unit(view, tuple(core), is_core=True)

    def _unit(self, view: GroupView, pods: tuple[Bound, ...], *, is_core: bool = False) -> Unit:
        return Unit(view, pods, total_of((pod.need for pod in pods), self._draft.device_bytes), is_core)


def _last_of(heads: dict[Account, Unit], taken: dict[Account, Triple]) -> Account:
    """Walk down from the top, at every level to the child that stands last."""
    level = sorted({list(account.chain())[-1] for account in heads}, key=lambda one: one.queue.age)
    alive = {above for account in heads for above in account.chain()}
    while True:
        chosen = max(level, key=lambda account: (_standing(account, taken), account.queue.age, account.queue.key))
        if chosen in heads:
            return chosen
        level = [child for child in chosen.children if child in alive]


def _standing(account: Account, taken: dict[Account, Triple]) -> tuple[int, ...]:
    gone = taken.get(account, (0, 0, 0))
    held = (account.allocated[0] - gone[0], account.allocated[1] - gone[1], account.allocated[2] - gone[2])
    return standing(account, (0, 0, 0), held)
