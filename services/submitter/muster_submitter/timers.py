"""Waits for deadlines and appends what passed: the only part of the submitter that asks what time it is.

The fold says which workloads were touched; each is looked at again and its next deadline kept. What was kept may be
out of date, so it is worked out anew when it is due. A race that is lost is no matter: the workload was touched, and
is looked at again.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from muster_chassis.clock import Clock
from muster_chassis.following import Progress
from muster_journal.port import Conflict, Journal

from muster_submitter.core.deadlines import Deadline, Limits, next_deadline
from muster_submitter.core.state import State

LONGEST_SLEEP_SECONDS = 3600.0
"""A clock may be set; nothing is slept through for longer than this."""


class Timers:
    """The deadlines of all workloads, and the loop that waits for them."""

    def __init__(self, journal: Journal, state: State, progress: Progress, clock: Clock, limits: Limits) -> None:
        self._journal = journal
        self._state = state
        self._progress = progress
        self._clock = clock
        self._limits = limits
        self._due: list[tuple[datetime, UUID]] = []
        self._planned: set[tuple[datetime, UUID]] = set()
        self._changed = asyncio.Event()

    def look_at(self, workload_ids: Iterable[UUID]) -> None:
        """Work out the next deadline of workloads that changed."""
        for workload_id in tuple(workload_ids):
            deadline = self._deadline(workload_id)
            if deadline is not None and (deadline.due, workload_id) not in self._planned:
                self._planned.add((deadline.due, workload_id))
                heapq.heappush(self._due, (deadline.due, workload_id))
                self._changed.set()

    async def run(self) -> None:
        """Append each limit as it is reached, for ever."""
        await self._progress.catch_up()
        self.look_at(self._state.workloads)
        while True:
            self._changed.clear()
            await self._append_what_is_due()
            await self._sleep()

    async def _append_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= self._clock.now():
            due, workload_id = heapq.heappop(self._due)
            self._planned.discard((due, workload_id))
            deadline = self._deadline(workload_id)
            if deadline is not None and deadline.due <= self._clock.now():
                await self._append(workload_id, deadline)

    async def _append(self, workload_id: UUID, deadline: Deadline) -> None:
        try:
            position = await self._journal.append(deadline.event, expected=self._state.version_of(workload_id))
        except Conflict as lost:
            position = lost.actual
        await self._progress.reach(position)
        self.look_at([workload_id])

    async def _sleep(self) -> None:
        """Sleep until the next deadline, or until one is found that may be nearer."""
        pause_seconds = LONGEST_SLEEP_SECONDS
        if self._due:
            pause_seconds = min(pause_seconds, (self._due[0][0] - self._clock.now()).total_seconds())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(pause_seconds, 0.0)):
                await self._changed.wait()

    def _deadline(self, workload_id: UUID) -> Deadline | None:
        workload = self._state.workloads.get(workload_id)
        return next_deadline(workload, self._limits) if workload is not None else None
