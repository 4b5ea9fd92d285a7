"""The planning loop: take a snapshot, plan, check, write the plan. The decision is in the journal before the deed.

One plan at a time, each based on a position at or after the one before. Every plan is appended after the last message
on the plan subject that this scheduler knows, so that a scheduler that lost its leadership cannot write one.
"""

import asyncio
from collections.abc import Iterator
from uuid import UUID, uuid5

import structlog
from muster_chassis.following import Progress
from muster_contracts.errors import Unavailable
from muster_contracts.events import LeadershipTaken, PlanMade, WorkloadBlocked
from muster_contracts.values import Placement
from muster_journal.port import Batch, Conflict, Journal

from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import PLANNER_VERSION, Plan, plan
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from muster_scheduler.settings import SchedulerSettings

log = structlog.get_logger()

PLACEMENTS_PER_PART = 800
"""About 400 bytes each, so that a part stays under 500 kB."""


class Planning:
    """The fold, and the loop that plans from it."""

    def __init__(self, journal: Journal, settings: SchedulerSettings, cluster_id: UUID, instance: str) -> None:
        self.state = State()
        self.progress = Progress()
        self.epoch = 0
        self._journal = journal
        self._settings = settings
        self._cluster_id = cluster_id
        self._instance = instance
        self._changed = asyncio.Event()
        self.led = asyncio.Event()
        """Set whenever we take the lead; whoever keeps promises then looks at all that are open, and clears it."""

    @property
    def leads(self) -> bool:
        """Whether we lead, as far as we have read."""
        return self.epoch > 0 and self.epoch == self.state.epoch

    async def fold(self, batch: Batch) -> None:
        """Apply a batch of the journal and wake the loop."""
        for recorded in batch.events:
            self.state.apply(recorded)
        self._changed.set()

    async def take_leadership(self) -> None:
        """Write our epoch on the plan subject, after folding to the end of the journal."""
        await self.progress.catch_up()
        taken = LeadershipTaken(cluster_id=self._cluster_id, epoch=self.state.epoch + 1, instance=self._instance)
        try:
            position = await self._journal.append(taken, expected=self.state.plan_version)
        except Conflict as lost:
            await self.progress.reach(lost.actual)
            raise Unavailable("Another scheduler took the lead.") from lost
        await self.progress.reach(position)
        self.epoch = taken.epoch
        self.led.set()
        log.info("The scheduler leads.", epoch=self.epoch, position=position)

    async def run(self) -> None:
        """Take the lead, then plan whenever the fold has changed."""
        await self.take_leadership()
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not self.leads:
                raise Unavailable("Another scheduler took the lead.")
            await self.cycle()
            await asyncio.sleep(self._settings.cycle_pause_seconds)

    async def cycle(self) -> Plan:
        """Make one plan; write what it promises and why the others wait."""
        snapshot = take_snapshot(self.state)
        made = plan(snapshot, step_limit=self._settings.step_limit)
        wrong = faults(snapshot, made.placements)
        assert not wrong, f"The plan based on {snapshot.position} is wrong: {'; '.join(wrong[:5])}"
        if made.placements:
            await self._write(made)
        for blocked in made.blocked:
            await self._say_why(blocked)
        return made

    async def _write(self, made: Plan) -> None:
        plan_id = uuid5(self._cluster_id, f"plan/{made.based_on}/{self.epoch}")
        parts = list(_parts(made.placements))
        version = self.state.plan_version
        for number, placements in enumerate(parts, start=1):
            event = PlanMade(
                cluster_id=self._cluster_id,
                plan_id=plan_id,
                based_on=made.based_on,
                epoch=self.epoch,
                part=number,
                parts=len(parts),
                planner_version=PLANNER_VERSION,
                settings_digest=self._settings.digest,
                step_limit=self._settings.step_limit,
                placements=placements,
            )
            try:
                version = await self._journal.append(event, expected=version, event_id=uuid5(plan_id, str(number)))
            except Conflict as lost:
                raise Unavailable("Another scheduler took the lead.") from lost
        await self.progress.reach(version)

    async def _say_why(self, blocked: Blocked) -> None:
        group = self.state.groups.get(blocked.pod_group_id)
        if group is None or group.blocked == blocked.essence:
            return
        event = WorkloadBlocked(
            workload_id=blocked.workload_id,
            pod_group_id=blocked.pod_group_id,
            code=blocked.code,
            reason=blocked.reason,
            numbers=blocked.numbers,
            remedy=blocked.remedy,
        )
        await self._journal.append(event)
        group.blocked = blocked.essence


def _parts(placements: tuple[Placement, ...]) -> Iterator[tuple[Placement, ...]]:
    """Cut a plan into messages, each of whole gangs."""
    part: list[Placement] = []
    for placement in placements:
        starts_gang = not part or part[-1].pod_group_id != placement.pod_group_id
        if starts_gang and len(part) >= PLACEMENTS_PER_PART:
            yield tuple(part)
            part = []
        part.append(placement)
    yield tuple(part)
