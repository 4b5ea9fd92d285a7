"""Keeps the tables in step with the journal: fold, write what changed with the position, tell whoever listens.

It folds from the beginning, or from a checkpoint, when it starts, and writes only what comes after the position the
tables stand at. Changes that could not be written are kept until it is known whether they were: after every trouble the
tables are opened anew and say themselves where they stand. Tables behind what we once wrote, or behind our checkpoint
(restored, emptied), are simply filled again from the beginning.

Pitfall. `progress` speaks of what is in the tables, never of what is only folded: a client that waits for its own write
must then find it. When the tables have lost something it goes back, and who asks for what is lost waits again; until
the loss is noticed (`WATCH_SECONDS`) such an answer may come from what is left.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from muster_chassis.checkpointing import Checkpointing
from muster_chassis.following import Progress
from muster_chassis.health import Health
from muster_contracts.errors import Unavailable
from muster_journal.port import Batch, Journal

from muster_status.core.projection import Projection
from muster_status.core.rows import Changes
from muster_status.handlers.ports import ReadModels, Standing

log = structlog.get_logger()

LOOP = "projector"

WATCH_SECONDS = 2.0
"""How long lost tables may go unnoticed while nothing happens that would have to be written."""

Listener = Callable[[Changes, int], None]


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Changes on their way to the tables: from where to where."""

    changes: Changes
    after: int
    standing: Standing


class Projector:
    """The fold behind the tables, and the loop that writes them."""

    def __init__(
        self,
        journal: Journal,
        tables: ReadModels,
        health: Health,
        listener: Listener,
        checkpointing: Checkpointing[Projection],
    ) -> None:
        self._journal = journal
        self._tables = tables
        self._health = health
        self._listener = listener
        self._checkpointing = checkpointing
        self._standing = Standing(0, None)
        self._unwritten: Unwritten | None = None
        self.progress = Progress()

    @property
    def _projection(self) -> Projection:
        return self._checkpointing.fold

    async def run(self) -> None:
        """Fold and write, for ever; begin anew when the tables are lost, even if there is nothing to write."""
        if not self._projection.position:
            await self._checkpointing.restore(self._journal)
        await self._find_standing()
        self._health.reached(LOOP, self._standing.position, self._standing.position)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._follow())

    async def _watch(self) -> None:
        """Look from time to time whether the tables still have what was written."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            known = self._standing.position
            if (found := await self._tables.position()) < known:
                self._recede(found)
                raise Unavailable(f"The read models stand at {found}, and {known} was written.")

    async def _follow(self) -> None:
        async for batch in self._journal.follow(self._projection.position):
            await self._project(batch)
            position = self._projection.position
            self.progress.advance(position, caught_up=batch.caught_up)
            self._checkpointing.note(batch, behind=not self.progress.caught_up)
            self._health.reached(LOOP, position, batch.end)
            self._health.runs(LOOP)

    # ------------------------------------------------------------ where the tables stand

    async def _find_standing(self) -> None:
        """Open the tables and find out what they have; begin anew where they know less, or another journal."""
        self._stand_at(await self._tables.open())
        if self._standing.position > await self._journal.end() or self._is_of_another_journal():
            await self._start_over("They are of another journal.")
        elif self._unwritten is not None:
            await self._finish(self._unwritten)
        elif self._standing.position < self._projection.position:
            self._refold("They stand behind what was written.")
        self.progress.advance(self._standing.position, caught_up=False)

    def _is_of_another_journal(self) -> bool:
        origins = {self._projection.origin, self._standing.origin}
        return None not in origins and len(origins) > 1

    async def _finish(self, unwritten: Unwritten) -> None:
        """Write what an earlier attempt may or may not have written."""
        if self._standing.position == unwritten.after:
            await self._write(unwritten)
        elif self._standing.position < unwritten.standing.position:
            self._refold("They were lost, or somebody else wrote a part.")
        self._unwritten = None

    async def _start_over(self, reason: str) -> None:
        await self._empty()
        self._refold(reason)

    async def _empty(self) -> None:
        self._stand_at(Standing(0, None))  # first: nobody may count on what is about to go
        await self._tables.empty()

    def _stand_at(self, standing: Standing) -> None:
        """Note where the tables stand; what they do not have any more, readers wait for."""
        self._standing = standing
        self._recede(standing.position)

    def _recede(self, position: int) -> None:
        self.progress.position = min(self.progress.position, position)

    def _refold(self, reason: str) -> None:
        log.warning("The read models are filled from the beginning.", reason=reason)
        self._checkpointing.begin_anew(Projection())
        self._unwritten = None

    # ------------------------------------------------------------ folding and writing

    async def _project(self, batch: Batch) -> None:
        projection = self._projection
        for recorded in batch.events:
            projection.apply(recorded)
            if recorded.position == 1 and self._is_of_another_journal():
                await self._empty()
            if recorded.position == self._standing.position:
                projection.take()
        if projection.position > self._standing.position:
            standing = Standing(projection.position, projection.origin)
            await self._write(Unwritten(projection.take(), self._standing.position, standing))
        else:
            projection.take()  # stands in the tables; kept until the fold has come that far, it would fill the memory

    async def _write(self, unwritten: Unwritten) -> None:
        self._unwritten = unwritten
        await self._tables.write(unwritten.changes, after=unwritten.after, standing=unwritten.standing)
        self._standing, self._unwritten = unwritten.standing, None
        self._listener(unwritten.changes, unwritten.standing.position)
