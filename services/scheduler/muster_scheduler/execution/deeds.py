"""The deeds: bind and evict as the plans say, workload by workload, and write what became of it. No choices are made.

A promise or an eviction found open in the fold is carried out, whoever decided it: that is how a scheduler that takes
the lead adopts what another one, or its earlier life, left open. How one pod is bound or evicted is `binding`'s and
`evicting`'s business, and how its volumes get there `volumes`'; here gangs are kept whole, and everything is reported
under the version it was read at.

Pitfall. The world's error about one pod waits until the requests about all others of the workload have ended: a
request must not be under way when the next look at the same workload begins.
"""

import asyncio
from collections.abc import Iterable, Sequence
from uuid import UUID

from muster_contracts.errors import Unavailable
from muster_contracts.events import AnyEvent, PlanMade, PodObserved
from muster_journal.port import Conflict, Journal

from muster_scheduler.core.promises import Eviction, Promise
from muster_scheduler.core.state import State
from muster_scheduler.execution.binding import Binder
from muster_scheduler.execution.evicting import Evictor
from muster_scheduler.execution.reports import Outcome, Report, by_gang, reports_of_evictions, reports_of_promises
from muster_scheduler.execution.volumes import Volumes
from muster_scheduler.planning import Planning
from muster_scheduler.together import all_ended


class Execution:
    """Carries out decisions, workload by workload: two deeds on one subject would only lose races to each other."""

    def __init__(
        self,
        planning: Planning,
        journal: Journal,
        binder: Binder,
        evictor: Evictor,
        volumes: Volumes,
        concurrency: int,
    ) -> None:
        self._planning = planning
        self._journal = journal
        self._binder = binder
        self._evictor = evictor
        self._volumes = volumes
        self._slots = asyncio.Semaphore(concurrency)
        self._lost_to: dict[UUID, int] = {}
        """By workload, where our last report found that its subject ends, which the fold does not remember for ever."""

    async def adopt(self) -> list[UUID]:
        """Wait until we take the lead; return the workloads about which others, or an earlier life, left work."""
        await self._planning.led.wait()
        self._planning.led.clear()
        self._binder.forget()
        self._evictor.keep(self._planning.state.evictions)
        self._volumes.forget()
        return self.open_workloads()

    def open_workloads(self) -> list[UUID]:
        """Return the workloads with promises or evictions that are still open."""
        state = self._planning.state
        return list(dict.fromkeys((*state.evictions.workloads, *state.promises.workloads)))

    def due_after(self, event: AnyEvent) -> list[UUID]:
        """Return the workloads about which there is something to do since an event, victims first: others wait."""
        match event:
            case PlanMade() if self._planning.is_our_epoch:
                return [victim.workload_id for victim in event.victims] + [one.workload_id for one in event.placements]
            case PodObserved() if any(self._volumes.may_be_ready(pod) for pod in event.pods):
                return [event.workload_id]
        return []

    async def carry_out(self, workload_id: UUID) -> None:
        """Do what is open about a workload; then write what was done and what was given up.

        Raises Unavailable while the lease is not ours: if it is again before anybody else takes the lead, nobody else
        would ask for the deed.
        """
        state = self._planning.state
        version = max(state.version_of(workload_id), self._lost_to.pop(workload_id, 0))
        evictions, promises = state.evictions.of(workload_id), state.promises.of(workload_id)
        if not (evictions or promises) or not self._planning.is_our_epoch:
            return
        if not self._planning.leads:
            raise Unavailable("The lease of the scheduler has run out.")
        evicted, error = await all_ended(self._evict(eviction) for eviction in evictions)
        version = await self._report(reports_of_evictions(evicted, state), version)
        for told in evicted:
            self._evictor.close(told.decided)
        if error is not None:
            raise error
        bound, error = await self._bind_all(promises)
        await self._report(reports_of_promises(bound), version)
        for outcome in bound:
            self._volumes.close(outcome.decided)
        if error is not None:
            raise error

    async def _evict(self, eviction: Eviction) -> Outcome[Eviction]:
        async with self._slots:
            return Outcome(eviction, await self._evictor.evict(eviction))

    async def _bind_all(self, promises: Sequence[Promise]) -> tuple[list[Outcome[Promise]], BaseException | None]:
        """Bind gang by gang; what became of a gang is told in one event, so nothing is while anything is not known.

        Of the other gangs it is told all the same, for the volumes of one may take minutes.
        """
        gangs, error = await all_ended(self._bind_gang(gang) for gang in by_gang(promises, lambda promise: promise))
        return [outcome for gang in gangs for outcome in gang], error

    async def _bind_gang(self, gang: Sequence[Promise]) -> list[Outcome[Promise]]:
        """Bind the promised pods of one group; once too many are refused for it to be whole, bind no more of them."""
        spare = _spare(gang, self._planning.state)
        misplaced = await self._misplaced(gang, spare)
        refused: list[Promise] = [promise for promise in gang if promise.pod.pod_id in misplaced]

        async def bind(promise: Promise) -> Outcome[Promise]:
            async with self._slots:
                if (reason := misplaced.get(promise.pod.pod_id)) is not None:
                    return Outcome(promise, await self._binder.give_up(promise, reason), misplaced=True)
                if len(refused) > spare:
                    refusal = await self._binder.give_up(promise, "The gang cannot be bound whole.")
                else:
                    refusal = await self._binder.bind(promise)
            if refusal is not None:
                refused.append(promise)
            return Outcome(promise, refusal)

        outcomes, error = await all_ended(bind(promise) for promise in gang)
        if error is not None:
            raise error
        return outcomes

    async def _misplaced(self, gang: Sequence[Promise], spare: int) -> dict[UUID, str]:
        """Return whose volumes cannot be where they are promised, and why.

        Raises Unavailable while that is open, unless it is clear already that the gang cannot be bound whole.
        """

        async def prepare(promise: Promise) -> tuple[UUID, str | None]:
            async with self._slots:
                return promise.pod.pod_id, await self._volumes.prepare(promise)

        answers, error = await all_ended(prepare(promise) for promise in gang)
        misplaced = {pod_id: reason for pod_id, reason in answers if reason is not None}
        if error is not None and len(misplaced) <= spare:
            raise error
        return misplaced

    async def _report(self, events: Iterable[Report], version: int) -> int:
        for event in events:
            version = await self._append(event, version)
        return version

    async def _append(self, event: Report, version: int) -> int:
        """Append under the version the decisions were read at, and wait for the fold, which then sees them closed."""
        try:
            position = await self._journal.append(event, expected=version)
        except Conflict as lost:
            await self._planning.progress.reach(lost.actual)
            self._lost_to[event.workload_id] = lost.actual
            raise Unavailable("The workload changed while its pods were bound or evicted.") from lost
        await self._planning.progress.reach(position)
        return position


def _spare(gang: Sequence[Promise], state: State) -> int:
    """Return how many of these promises may be refused while the group still gets as many pods as it needs."""
    group = state.groups.get(gang[0].placement.pod_group_id)
    if group is None:
        return len(gang)
    minimum = max(group.min_members, sum(part.min_members for part in group.sub_groups))
    ours = {promise.pod.pod_id for promise in gang}  # some may be seen bound already, by an answer that was lost
    others = (state.pods[pod_id] for pod_id in state.members.get(group.id, ()) if pod_id not in ours)
    held = sum(1 for pod in others if pod.assignment is not None and pod.live)
    return max(0, held + len(gang) - minimum)
