"""The past as it stands: the events of the journal, and the scheduler's fold as it was written down now and then.

Who asks about a moment (`muster why --at`) reads the last checkpoint before it and the events from there on, and the
planner of the command answers. So the past costs nothing to those who plan and show the present, and nobody need
believe us: a checkpoint names the event it stands at, and the code that folded it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.wire import Recorded
from muster_journal.checkpoints import Checkpoint, Checkpoints
from muster_journal.port import Journal

FOLD = "scheduler"


class Past:
    """What can be asked about the past."""

    def __init__(self, journal: Journal, scheduler_checkpoints: Checkpoints) -> None:
        self._journal = journal
        self._checkpoints = scheduler_checkpoints

    async def page(self, *, after: int, limit: int) -> Sequence[Recorded]:
        """Return some events after a position, at most so many; none when there are no more."""
        async with aclosing(self.events(after=after, until=after + limit)) as batches:
            async for first in batches:
                return first
        return ()

    async def events(self, *, after: int, until: int | None = None) -> AsyncGenerator[Sequence[Recorded], None]:
        """Yield the events after a position, up to another or to where the journal ends now."""
        end = await self._journal.end()
        end = end if until is None else min(until, end)
        if after >= end:
            return
        async with aclosing(cast(Any, self._journal.follow(after))) as batches:
            async for batch in batches:
                wanted = [recorded for recorded in batch.events if recorded.position <= end]
                if not wanted:
                    continue  # who we follow has not yet heard of the end that we were told
                yield wanted
                if wanted[-1].position == end:
                    return

    async def checkpoints(self) -> Sequence[int]:
        """Return at which positions the scheduler's fold was written down."""
        return await self._checkpoints.positions(FOLD)

    async def checkpoint(self, position: int) -> Checkpoint:
        """Return what was written down at a position. Raises Refused when nothing was, or it is not kept any more."""
        found = await self._checkpoints.load(FOLD, position)
        if found is None or found.position != position:
            raise Refused(RefusalCode.NOT_FOUND, f"No checkpoint of the scheduler is kept at position {position}.")
        return found
