"""When the planning loop plans: nothing that could lead to another plan may be passed over, however quiet it is."""

import asyncio

import pytest
from muster_contracts import events as e
from muster_contracts.values import PodFacts, PodPhase
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
