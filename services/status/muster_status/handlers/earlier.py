"""The read models as they were at a position of the past: the same questions, put to the rows of then.

Whatever has not changed since then stands in the tables of now. The rest is folded again, by the code that fills the
tables: for a list, all workloads that were not gone, from the projector's last checkpoint before the moment; for one
workload, its own events alone, which say all there is in its rows, its history and its pods. The statements are those
of now (`ReadModels`), so nothing here filters, sorts or counts.

Neighbours: `past` finds the position of a moment, `questions` decides between now and then.

Pitfalls. A workload that was gone by then may still have changed, for its last phase is recorded a little after its
end; such are looked for after the question, and it is put again with their rows. The rows of the last moment that was
asked for are kept: whoever asks goes on asking about the same one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from muster_chassis.checkpointing import Checkpointing
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Aggregate
from muster_contracts.wire import Recorded
from muster_journal.port import Journal

from muster_status.core.projection import Projection
from muster_status.core.query import WorkloadQuery
from muster_status.core.rows import Tables, Then
from muster_status.handlers.past import Past
from muster_status.handlers.ports import Listed, ReadModels

A = TypeVar("A")

AT_ONCE = 64
"""Workloads whose events are read together; each takes a round trip."""


class Earlier:
    """Answers from the rows of the past. Positions are such as the journal, and the tables, have come to."""

    def __init__(
        self, journal: Journal, tables: ReadModels, past: Past, checkpointing: Checkpointing[Projection]
    ) -> None:
        self._journal = journal
        self._tables = tables
        self._past = past
        self._checkpointing = checkpointing
        self._one_at_a_time = asyncio.Lock()
        self._last = Then(0, Tables())

    async def workloads(self, query: WorkloadQuery, position: int) -> Listed:
        """Return a page of the workloads of then."""
        return await self._of_all(query, position, lambda then: self._tables.workloads(query, then))

    async def count(self, query: WorkloadQuery, position: int) -> int:
        """Return how many there were."""
        return await self._of_all(query, position, lambda then: self._tables.count(query, then))

    async def one(self, workload_id: UUID, position: int) -> Then:
        """Return the rows that one workload had, those of its history and its pods with them."""
        projection, tables = Projection(), Tables()
        for recorded in await self._events_of(workload_id, position):
            projection.apply(recorded)
        tables.apply(projection.take())
        return Then(position, tables)

    async def _events_of(self, workload_id: UUID, until: int) -> list[Recorded]:
        """Return what was told of a workload, and of those whose pods became its own, in order."""
        known = self._checkpointing.fold
        if known.position < until:
            raise Unavailable(f"The events are read up to {known.position} only, not yet up to {until}.")
        homes = sorted(known.homes_of(workload_id))
        told = await asyncio.gather(*(self._journal.read(Aggregate.WORKLOAD, home) for home in homes))
        events = (recorded for each in told for recorded in each if recorded.position <= until)
        return sorted(events, key=lambda recorded: recorded.position)

    async def _of_all(self, query: WorkloadQuery, position: int, ask: Callable[[Then], Awaitable[A]]) -> A:
        then = await self._all(position)
        while True:
            answer = await ask(then)
            if not query.deleted or not (late := await self._late(then)):
                return answer
            for start in range(0, len(late), AT_ONCE):
                some = late[start : start + AT_ONCE]
                for one in await asyncio.gather(*(self.one(workload_id, position) for workload_id in some)):
                    then.tables.workload.update(one.tables.workload)

    async def _late(self, then: Then) -> Sequence[UUID]:
        changed = await self._tables.changed(then.gone, then.position)
        return [workload_id for workload_id in changed if workload_id not in then.tables.workload]

    async def _all(self, position: int) -> Then:
        async with self._one_at_a_time:
            if self._last.position != position:
                self._last = await self._folded(position)
            return self._last

    async def _folded(self, position: int) -> Then:
        projection = await self._checkpointing.load(self._journal, position) or Projection()
        async for events in self._past.events(after=projection.position, until=position):
            for recorded in events:
                projection.apply(recorded)
            projection.take()  # or what became of pods and histories would fill the memory
        rows = await asyncio.to_thread(projection.present)
        return Then(position, Tables(workload=rows), projection.gone())
