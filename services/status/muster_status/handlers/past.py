"""The past as it stands: the events of the journal, and the scheduler's fold as it was written down now and then.

Who asks about a moment (`muster why --at`) reads the last checkpoint before it and the events from there on, and the
planner of the command answers. So the past costs nothing to those who plan and show the present, and nobody need
believe us: a checkpoint names the event it stands at, and the code that folded it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from muster_chassis.checkpointing import event_at
from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.wire import Recorded
from muster_journal.checkpoints import Checkpoint, Checkpoints
from muster_journal.port import Journal

FOLD = "scheduler"


@dataclass(frozen=True, slots=True)
class Moment:
    """A position of the journal, and the time of the event there; None at 0, before there was any."""

    position: int
    time: datetime | None = None


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

    async def moment(self, wanted: int | datetime) -> Moment:
        """Return the moment that is meant by a position, or by a time: the last event up to it.

        Raises Refused when the journal does not go so far.
        """
        position = wanted if isinstance(wanted, int) else await self._position_at(wanted)
        if not position:
            return Moment(0)
        event = await event_at(self._journal, position)
        if event is None:
            end = await self._journal.end()
            raise Refused(RefusalCode.INVALID, f"There is no position {position} yet: the event log ends at {end}.")
        return Moment(position, event.envelope.time)

    async def _position_at(self, time: datetime) -> int:
        """Find the last event up to a time by halving; 0 when there is none.

        The writers stamp by their own clocks, so a time is a position to within what these differ.
        """
        before, after = 0, await self._journal.end() + 1
        while after - before > 1:
            middle = (before + after) // 2
            event = await event_at(self._journal, middle)
            assert event is not None, "it stands before the end"
            before, after = (middle, after) if event.envelope.time <= time else (before, middle)
        return before

    async def checkpoints(self) -> Sequence[int]:
        """Return at which positions the scheduler's fold was written down."""
        return await self._checkpoints.positions(FOLD)

    async def checkpoint(self, position: int) -> Checkpoint:
        """Return what was written down at a position. Raises Refused when nothing was, or it is not kept any more."""
        found = await self._checkpoints.load(FOLD, position)
        if found is None or found.position != position:
            raise Refused(RefusalCode.NOT_FOUND, f"No checkpoint of the scheduler is kept at position {position}.")
        return found
