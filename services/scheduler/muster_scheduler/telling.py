"""Writes why workloads wait, beside the planning: a plan says it of who is left over, the journal hears what is new.

The planning does not wait for it, and reasons gather for a moment first: while the nodes of a cluster appear one after
the other, what each plan says of thousands is out of date before it could be written.

Pitfall. Nothing may be written of a workload whose pods a plan has just placed: it does not wait any more, and the
reports of its bindings, which are appended under the version the plan was carried out from, would fail. So `quiet` is
held while a plan is written, and what an earlier plan said is forgotten with it; and it is let go only when every
append has ended, whatever became of the others.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice
from uuid import UUID

from muster_chassis.following import Progress
from muster_contracts.events import WorkloadBlocked
from muster_journal.port import Journal

from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.state import State
from muster_scheduler.together import all_ended

AT_ONCE = 64
"""Reasons on their way to the journal; a plan waits for no more than these."""


class Telling:
    """What the latest plan said and is not written yet, by pod group."""

    def __init__(self, journal: Journal, state: State, progress: Progress, pause_seconds: float) -> None:
        self._journal = journal
        self._state = state
        self._progress = progress
        self._pause_seconds = pause_seconds
        self._reasons: dict[UUID, Blocked] = {}
        self._arrived = asyncio.Event()
        self.quiet = asyncio.Lock()
        """Held by who writes a plan: meanwhile no reason is on its way."""

    def take(self, reasons: Sequence[Blocked]) -> None:
        """Forget what an earlier plan said, and tell this instead."""
        self._reasons = {blocked.pod_group_id: blocked for blocked in reasons if self._is_new(blocked)}
        if self._reasons:
            self._arrived.set()

    async def tell_at_once(self, blocked: Blocked) -> None:
        """Write a reason that the next plan depends on, instead of what an earlier plan said, and fold it."""
        async with self.quiet:
            self._reasons.pop(blocked.pod_group_id, None)
            await self._progress.reach(await self._tell(blocked))

    async def run(self) -> None:
        """Write reasons as they come, some at once."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._pause_seconds)
            while self._reasons:
                async with self.quiet:
                    await self._tell_some()
            self._arrived.clear()

    async def _tell_some(self) -> None:
        told = list(islice(self._reasons.items(), AT_ONCE))
        positions, error = await all_ended(self._tell(blocked) for _, blocked in told if self._is_new(blocked))
        await self._progress.reach(max(positions, default=0))
        if error is not None:
            raise error
        for group_id, blocked in told:
            if self._reasons.get(group_id) is blocked:
                del self._reasons[group_id]

    def _is_new(self, blocked: Blocked) -> bool:
        group = self._state.groups.get(blocked.pod_group_id)
        return group is not None and group.blocked != blocked.essence

    async def _tell(self, blocked: Blocked) -> int:
        return await self._journal.append(
            WorkloadBlocked(
                workload_id=blocked.workload_id,
                pod_group_id=blocked.pod_group_id,
                code=blocked.code,
                reason=blocked.reason,
                numbers=blocked.numbers,
                remedy=blocked.remedy,
            )
        )
