"""A plan that only time can change is made when the time has come, and the journal says why."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_contracts import events as e
from muster_contracts.subjects import Writer
from muster_contracts.values import PodPhase
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_leases import MemoryLeases
from muster_scheduler.leading import Leadership
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings
from scheduler.scene import Scene, of_type
from scheduler.worlds import id_of


async def run_short(scene: Scene) -> None:
    """Let a gang run with a pod less than it needs."""
    await scene.observe("gang", 1, minimum=2)
    scene.put_on_node("gang-0", "pool-a-0")
    bound = scene.facts("gang-0", "gang").model_copy(update={"phase": PodPhase.RUNNING})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/gang"), pods=(bound,)))


async def test_a_gang_that_stays_short_is_evicted_when_its_grace_is_over(scene: Scene) -> None:
    await run_short(scene)
    scene.start_scheduler(stale_gang_seconds=1)
    events = await scene.until(lambda seen: any(isinstance(event, e.PodPreempted) for event in seen))
    kinds = [type(event) for event in events]
    (passed,) = (event for event in events if isinstance(event, e.DeadlinePassed))
    (victim,) = (victim for event in events if isinstance(event, e.PlanMade) for victim in event.victims)
    assert (passed.deadline, passed.pod_group_id) == ("stale-gang", id_of("group/gang"))
    assert (victim.name, victim.rule) == ("gang-0", "stale-gang")
    assert kinds.index(e.DeadlinePassed) < kinds.index(e.PlanMade) < kinds.index(e.PodPreempted)


class Slept(Leadership):
    """A lease that is ours until it turns out that we slept; `missed` is set by who waits for it then."""

    def __init__(self) -> None:
        super().__init__(MemoryLeases(), "us", renewal_seconds=0.5)
        self.has_slept = False
        self.missed = asyncio.Event()

    @property
    def is_ours(self) -> bool:
        return not self.has_slept

    async def until_ours(self) -> None:
        if self.has_slept:
            self.missed.set()
        await super().until_ours()


async def test_a_scheduler_that_slept_past_a_deadline_and_lost_the_lease_does_not_write_that_it_passed(
    scene: Scene,
) -> None:
    await run_short(scene)
    journal, health, leadership = scene.journal(Writer.SCHEDULER), Health("test"), Slept()
    settings = SchedulerSettings(stale_gang_seconds=1, cycle_pause_seconds=0)
    planning = Planning(journal, settings, id_of("cluster"), leadership, health)
    loops = (follow_into(journal, planning.fold, planning.progress, health, "fold"), planning.run())
    running = [asyncio.create_task(loop) for loop in loops]
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    async with asyncio.timeout(20):
        while planning.state.changes:  # noqa: ASYNC110  # until the first plan was made, and who is short is known
            await asyncio.sleep(0)
        leadership.has_slept = True
        await leadership.missed.wait()
    assert not of_type(await scene.events(), e.DeadlinePassed)
    for task in running:
        task.cancel()


class Overtaken(MemoryJournal):
    """The journal of a scheduler that a rival is ahead of by a moment: it wrote, too, that the deadline passed."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log, Writer.SCHEDULER, lambda: datetime.now(UTC))
        self._rival = MemoryJournal(log, Writer.SCHEDULER, lambda: datetime.now(UTC))

    async def append(
        self,
        event: e.AnyEvent,
        *,
        expected: int = -1,
        event_id: UUID | None = None,
        cause: UUID | None = None,
        trace_parent: str = "",
    ) -> int:
        if isinstance(event, e.DeadlinePassed):
            await self._rival.append(event)
        return await super().append(event, expected=expected, event_id=event_id, cause=cause, trace_parent=trace_parent)


async def test_that_a_deadline_passed_is_not_written_again_when_a_rival_wrote_it(scene: Scene) -> None:
    await run_short(scene)
    scene.journal = lambda writer: Overtaken(scene.log) if writer is Writer.SCHEDULER else scene._memory_journal(writer)
    scene.start_scheduler(stale_gang_seconds=1, cycle_pause_seconds=0)
    events = await scene.until(lambda seen: bool(of_type(seen, e.PodPreempted)))
    assert len(of_type(events, e.DeadlinePassed)) == 1
