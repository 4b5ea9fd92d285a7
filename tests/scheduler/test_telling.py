"""Why workloads wait is written beside the planning: nothing out of date, and nothing while a plan is written."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from muster_chassis.following import Progress
from muster_contracts import events as e
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_journal.port import Journal
from muster_scheduler.core.reasons import Blocked
from muster_scheduler.core.state import State
from muster_scheduler.telling import Telling
from scheduler.scene import NAMESPACE, Scene, of_type, scheduled
from scheduler.worlds import belongs, id_of, project


def blocked(gang: str, free: int) -> Blocked:
    group_id = id_of(f"group/{gang}")
    return Blocked(
        id_of(f"workload/{gang}"), group_id, "NoFittingNode", f"{free} GPUs are free.", numbers={"free": free}
    )


def told(events: list[e.AnyEvent]) -> list[str]:
    return [event.reason for event in of_type(events, e.WorkloadBlocked)]


class Broken:
    """A journal that fails for one gang, and keeps the reason of another on its way until told to go on."""

    def __init__(self, journal: Journal, fails: str) -> None:
        self._journal = journal
        self._fails = id_of(f"workload/{fails}")
        self.failed = asyncio.Event()
        self.go_on = asyncio.Event()

    async def append(self, event: e.AnyEvent) -> int:
        assert isinstance(event, e.WorkloadBlocked)
        if event.workload_id == self._fails:
            self.failed.set()
            raise Unavailable("NATS does not answer.")
        await self.go_on.wait()
        return await self._journal.append(event)


async def test_a_plan_is_not_written_while_a_reason_is_on_its_way_although_another_failed(scene: Scene) -> None:
    state = State()
    for gang in ("waits", "last"):
        await scene.form(gang, 1, [])
    async for batch in scene.journal(Writer.SCHEDULER).follow(0):
        for recorded in batch.events:
            state.apply(recorded)
        if batch.caught_up:
            break
    journal = Broken(scene.journal(Writer.SCHEDULER), fails="waits")
    progress = Progress()
    progress.advance(1000, caught_up=True)
    telling = Telling(cast(Journal, journal), state, progress, pause_seconds=0.0)
    telling.take([blocked("waits", 1), blocked("last", 1)])
    running = asyncio.create_task(telling.run())
    await journal.failed.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert telling.quiet.locked()
    journal.go_on.set()
    with pytest.raises(Unavailable):
        await running
    assert not telling.quiet.locked()
    assert told(await scene.events()) == ["1 GPUs are free."]


@pytest.fixture
async def telling(scene: Scene) -> AsyncIterator[Telling]:
    """Tell of the gang `waits` and the gang `last`, of which a fold knows."""
    state, progress, journal = State(), Progress(), scene.journal(Writer.SCHEDULER)
    for gang in ("waits", "last"):
        await scene.form(gang, 1, [])

    async def fold() -> None:
        async for batch in journal.follow(0):
            for recorded in batch.events:
                state.apply(recorded)
            progress.advance(state.position, caught_up=batch.caught_up)

    telling = Telling(journal, state, progress, pause_seconds=0.0)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(fold()), tasks.create_task(telling.run())]
        await progress.catch_up()
        yield telling
        for task in running:
            task.cancel()


async def test_of_two_plans_that_follow_each_other_the_later_one_is_told(scene: Scene, telling: Telling) -> None:
    telling.take([blocked("waits", 1), blocked("last", 1)])
    telling.take([blocked("last", 2)])
    assert told(await scene.until(lambda events: bool(told(events)))) == ["2 GPUs are free."]


async def test_nothing_is_told_while_a_plan_is_written_nor_of_whom_it_places(scene: Scene, telling: Telling) -> None:
    async with telling.quiet:
        telling.take([blocked("waits", 1)])
        for _ in range(10):
            await asyncio.sleep(0)
        telling.take([blocked("last", 2)])
        assert not told(await scene.events())
    assert told(await scene.until(lambda events: bool(told(events)))) == ["2 GPUs are free."]


async def test_a_reason_is_told_once(scene: Scene, telling: Telling) -> None:
    telling.take([blocked("waits", 1)])
    await scene.until(lambda events: len(told(events)) == 1)
    telling.take([blocked("waits", 1), blocked("last", 2)])
    events = await scene.until(lambda events: len(told(events)) == 2)
    assert told(events) == ["1 GPUs are free.", "2 GPUs are free."]


async def test_who_waits_for_pods_that_are_being_bound_is_planned_for_once_they_are(scene: Scene) -> None:
    await scene.observe("first", 16)
    scene.transport.gate.clear()
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await scene.observe("urgent", 1, priority="build")
    await scene.until(lambda events: bool(told(events)))
    scene.transport.gate.set()
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted)))
    assert scheduled(16)(events)


async def test_who_waits_for_a_refused_eviction_hears_which_budget_refused_it(scene: Scene) -> None:
    budget = {"metadata": {"name": "keep", "namespace": NAMESPACE}, "spec": {"selector": {}, "maxUnavailable": 0}}
    scene.simulated.client.create("poddisruptionbudgets.policy", budget)
    for name, gpus in (("lender", 0), ("owner", 16)):
        await scene.journal(Writer.SUBMITTER).append(project(name, gpus))
    await scene.observer.append(belongs("borrowed", "lender"))
    await scene.run_on_a_node("borrowed", 1)
    await scene.until_ready("borrowed-0")  # who serves nobody yet is protected by no budget
    await scene.observer.append(belongs("wanted", "owner"))
    await scene.observe("wanted", 2, gpus=8)
    scene.start_scheduler()
    events = await scene.until(lambda seen: "EvictionRefused" in [one.code for one in of_type(seen, e.WorkloadBlocked)])
    (why,) = (one for one in of_type(events, e.WorkloadBlocked) if one.code == "EvictionRefused")
    assert why.reason.startswith(
        "wanted needs the place of borrowed, whose eviction was refused. "
        "A disruption budget protects borrowed-0: The disruption budget keep needs "
    )
    assert of_type(events, e.PodPreempted) == []
