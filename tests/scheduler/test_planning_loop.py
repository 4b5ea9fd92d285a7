"""When the planning loop plans: nothing that could lead to another plan may be passed over, however quiet it is."""

import asyncio

import pytest
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_contracts import events as e
from muster_contracts.subjects import Writer
from muster_contracts.values import PodFacts, PodPhase
from muster_scheduler.leading import Leadership
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings
from scheduler.scene import Scene, of_type, scheduled
from scheduler.worlds import id_of


async def tell(scene: Scene, *pods: PodFacts) -> None:
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/gang"), pods=pods))


async def until_quiet(scene: Scene) -> None:
    """Wait until two pods are bound, and the planning, which waits for nothing but us, has seen that nobody waits."""
    await scene.until(scheduled(2))
    for _ in range(100):
        await asyncio.sleep(0)


@pytest.mark.parametrize("change", [{"phase": PodPhase.FAILED}, {"terminating": True}, {"pod_group_id": None}])
async def test_a_gang_that_loses_a_pod_while_nobody_waits_is_told_to_go(
    scene: Scene, change: dict[str, object]
) -> None:
    await scene.observe("gang", 2)
    scene.start_scheduler(stale_gang_seconds=0, cycle_pause_seconds=0)
    await until_quiet(scene)
    lost, left = (scene.facts(f"gang-{number}", "gang") for number in range(2))
    await tell(scene, lost, left)
    await tell(scene, lost.model_copy(update=change))
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted)))
    (preempted,) = of_type(events, e.PodPreempted)
    assert (preempted.rule, preempted.pod_ids) == ("stale-gang", (left.pod_id,))


async def test_a_pod_that_comes_while_nobody_waits_gets_its_place(scene: Scene) -> None:
    await scene.observe("first", 2)
    scene.start_scheduler(cycle_pause_seconds=0)
    await until_quiet(scene)
    await scene.observe("gang", 2)
    await scene.until(scheduled(4))


@pytest.mark.parametrize("somebody_waits", [False, True])
async def test_a_plan_is_followed_by_another_at_once_only_if_it_left_somebody_waiting(
    scene: Scene, somebody_waits: bool
) -> None:
    await scene.observe("gang", 2)
    if somebody_waits:
        await scene.observe("waits", 1, gpus=1000)
    journal, health = scene.journal(Writer.SCHEDULER), Health("test")
    leadership = Leadership(scene.leases, "us", renewal_seconds=0.5)
    planning = Planning(journal, SchedulerSettings(cycle_pause_seconds=0), id_of("cluster"), leadership, health)
    loops = (follow_into(journal, planning.fold, planning.progress, health, "fold"), leadership.run(), planning.run())
    running = [asyncio.create_task(loop) for loop in loops]
    await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    for _ in range(100):
        await asyncio.sleep(0)
    assert bool(planning.state.changes) is not somebody_waits
    for task in running:
        task.cancel()
