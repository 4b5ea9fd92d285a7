"""Pods that would have to go and may not be told to yet: inside their minimum run time, or refused to us a moment ago.

Whether they are the reason is found out by making room once more, as it could be made later, and throwing away what
that decides. So it costs steps, as all trying does, and is left out when the plan has none left. Who would go when no
protection lasts tells until when one does. An earlier end, at which others would make room, is searched for by halving,
unless many search in one plan.

Each is tried as if nobody else came. Who waits for the same place is told how many before it do (`behind`).
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from uuid import UUID

from muster_scheduler.core.causes.inquiry import Inquiry
from muster_scheduler.core.draft import Draft, Item, Rehearsal
from muster_scheduler.core.reasons import Cause, clock, listed, whole_seconds
from muster_scheduler.core.snapshot import Snapshot
from muster_scheduler.core.victims import Victims

ROOM_THEN = "Nothing has to be done: room is made then, unless others have a better claim."
IF_ANY_IS_LEFT = (
    "Room is made then, first for who is before it. It is judged anew after them, by what is left of nodes, limits and "
    "quotas: if that is too little, more of it has to be given."
)
ASK_WHOEVER = "It starts when that is allowed, by a disruption budget for example, or when others release capacity."

SEARCHES = 32
"""How often an earlier end is tried in one pool, for one plan; who comes later is told of what the first try found."""

MakesRoom = Callable[[Draft, str, Victims], Callable[[Item], bool]]
"""How room is made for an item, given the draft, the pool and who could go there."""


class Withheld:
    """What could be had in one pool of those who may not be told to go yet."""

    def __init__(self, draft: Draft, pool: str, makes_room: MakesRoom) -> None:
        self._draft, self._pool, self._makes_room = draft, pool, makes_room
        self._now = draft.snapshot.now
        self._searches = SEARCHES
        self._guess = 0  # the end that the last one waits for; others mostly wait for the same
        self._awaited = Counter[frozenset[UUID]]()  # what those wait for who were told

    def cause(self, inquiry: Inquiry) -> Cause | None:
        """Find that room could be made later, of those that are protected or, failing that, of those refused to us."""
        if self._now is None or not (self._ends or self._draft.snapshot.refusals):
            return None
        return self._protected(inquiry) or self._refused(inquiry)

    def behind(self, cause: Cause) -> Cause:
        """Say how many were told before that they wait for the same place. Asked in the order of the queue."""
        before = sum(count for awaited, count in self._awaited.items() if not awaited.isdisjoint(cause.awaited))
        self._awaited[cause.awaited] += 1
        if not before:
            return cause
        cause = replace(cause, remedy=IF_ANY_IS_LEFT, numbers={**cause.numbers, "before": before})
        return cause.adding(f"{before} before it in the queue {'waits' if before == 1 else 'wait'} for the same place.")

    @cached_property
    def _as_it_is(self) -> "_Trial":
        return _Trial(self._draft, self._draft.snapshot, self._pool, self._makes_room)

    @cached_property
    def _if_nobody_refused(self) -> "_Trial":
        return _Trial(self._draft, _without_refusals(self._draft.snapshot), self._pool, self._makes_room)

    @cached_property
    def _ends(self) -> list[datetime]:
        """The moments ahead at which somebody's protection is over."""
        if not any(one.preempt_minimum_seconds or one.reclaim_minimum_seconds for one in self._draft.snapshot.queues):
            return []
        known = (end for ends in self._as_it_is.ends.values() for end in ends)
        return sorted({end for end in known if self._now is not None and end > self._now})

    def _protected(self, inquiry: Inquiry) -> Cause | None:
        found = self._first_end(inquiry.item)
        if found is None:
            return None
        until, going = found
        last = [pod for pod in going if until in self._as_it_is.ends.get(pod, ())]
        seconds = whole_seconds(until)
        return Cause(
            "MinimumRunTime",
            f"needs the place of {_names(self._draft.snapshot, last)}, which may not be told to go before the minimum "
            f"run time is over at {self._clock(seconds)}.",
            ROOM_THEN,
            {"until": seconds, "pods": len(going)},
            frozenset(last),
        )

    def _first_end(self, item: Item) -> tuple[datetime, list[UUID]] | None:
        """Return the first end of a protection at which room can be made, or a later one, and who would go then."""
        ends = self._ends
        going = self._as_it_is.who_would_go(item, ends[-1]) if ends else []
        too_early, enough = -1, self._last_end(going, len(ends) - 1)
        guesses = [self._guess, self._guess - 1]
        while enough - too_early > 1 and self._searches:
            guess = guesses.pop(0) if guesses else -1
            middle = guess if too_early < guess < enough else (too_early + enough) // 2
            self._searches -= 1
            if earlier := self._as_it_is.who_would_go(item, ends[middle]):
                enough, going = self._last_end(earlier, middle), earlier
            else:
                too_early = middle
        if enough < 0:
            return None  # nobody has to be waited for: the plan itself has changed who may be told to go
        self._guess = enough
        return ends[enough], going

    def _last_end(self, going: Iterable[UUID], latest: int) -> int:
        """Return the number of the last end among the protections of those who would go; -1 if none is protected."""
        until = {end for pod in going for end in self._as_it_is.ends.get(pod, ())}
        return max((number for number, end in enumerate(self._ends[: latest + 1]) if end in until), default=-1)

    def _refused(self, inquiry: Inquiry) -> Cause | None:
        refusals, now = self._draft.snapshot.refusals, self._now
        if not refusals or now is None:
            return None
        would_go = self._if_nobody_refused.who_would_go(inquiry.item, max([now, *self._ends]))
        going = [pod for pod in would_go if pod in refusals]
        if not going:
            return None
        last = max((refusals[pod] for pod in going), key=lambda refusal: refusal.until)
        seconds = whole_seconds(last.until)
        return Cause(
            "EvictionRefused",
            f"needs the place of {_names(self._draft.snapshot, going)}, whose eviction was refused. "
            f"{last.sentence.rstrip('.')}. It is asked for again at {self._clock(seconds)}.",
            ASK_WHOEVER,
            {"until": seconds, "pods": len(going)},
        )

    def _clock(self, seconds: int) -> str:
        assert self._now is not None, "who has no time asks for none"
        return clock(seconds, self._now)


class _Trial:
    """What could be had if the snapshot of a draft were another, found out in a rehearsal of it."""

    def __init__(self, draft: Draft, snapshot: Snapshot, pool: str, makes_room: MakesRoom) -> None:
        self._draft, self._pool, self._makes_room = draft, pool, makes_room
        self._rehearsal = Rehearsal(draft, snapshot)
        self._candidates = Victims(self._rehearsal, pool)

    def who_would_go(self, item: Item, moment: datetime) -> list[UUID]:
        """Return the pods that would have to go, or to move, if room were made for an item at a moment; [] if none."""
        rehearsal, pool = self._rehearsal, self._pool
        rehearsal.snapshot = replace(rehearsal.snapshot, now=moment)
        rehearsal.steps, mark, before = self._draft.steps, rehearsal.mark(pool), len(rehearsal.victims)
        made = self._makes_room(rehearsal, pool, self._candidates)(item)
        going = [victim.pod_id for victim in rehearsal.victims[before:]] if made else []
        del rehearsal.victims[before:]
        rehearsal.restore(pool, mark)
        self._draft.steps = rehearsal.steps
        return going

    @cached_property
    def ends(self) -> dict[UUID, set[datetime]]:
        """When the protections of those who could go are over, by pod: from being reclaimed, from being preempted."""
        candidates, found = self._candidates, dict[UUID, set[datetime]]()
        for unit in (unit for account in candidates.accounts() for unit in candidates.of(account)):
            ends = {candidates.protected_until(unit, reclaim=by_reclaim) for by_reclaim in (True, False)}
            found |= {pod.facts.pod_id: {end for end in ends if end is not None} for pod in unit.pods}
        return found


def _without_refusals(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as if nobody's eviction had been refused."""
    views = dict(snapshot.views)
    for group_id, _ in snapshot.spared:
        if (view := views.get(group_id)) is not None:
            bound = (replace(pod, ours=pod.ours or pod.facts.pod_id in snapshot.refusals) for pod in view.bound)
            views[group_id] = replace(view, bound=tuple(bound))
    return replace(snapshot, views=views)


def _names(snapshot: Snapshot, pods: Iterable[UUID]) -> str:
    """Name the groups of some pods, with how many there are if there are several."""
    going = set(pods)
    views = [view for view in snapshot.views.values() if any(pod.facts.pod_id in going for pod in view.bound)]
    names = listed(list(dict.fromkeys(view.name for view in sorted(views, key=lambda view: view.order))))
    return names if len(going) == 1 else f"{len(going)} pods of {names}"
