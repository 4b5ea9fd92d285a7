"""A plan that only time can change is made when the time has come, and the journal says why."""

from muster_contracts import events as e
from muster_contracts.values import PodPhase
from scheduler.scene import Scene
from scheduler.worlds import id_of


async def test_a_gang_that_stays_short_is_evicted_when_its_grace_is_over(scene: Scene) -> None:
    await scene.observe("gang", 1, minimum=2)
    scene.put_on_node("gang-0", "pool-a-0")
    bound = scene.facts("gang-0", "gang").model_copy(update={"phase": PodPhase.RUNNING})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/gang"), pods=(bound,)))
    scene.start_scheduler(stale_gang_seconds=1)
    events = await scene.until(lambda seen: any(isinstance(event, e.PodPreempted) for event in seen))
    kinds = [type(event) for event in events]
    (passed,) = (event for event in events if isinstance(event, e.DeadlinePassed))
    (victim,) = (victim for event in events if isinstance(event, e.PlanMade) for victim in event.victims)
    assert (passed.deadline, passed.pod_group_id) == ("stale-gang", id_of("group/gang"))
    assert (victim.name, victim.rule) == ("gang-0", "stale-gang")
    assert kinds.index(e.DeadlinePassed) < kinds.index(e.PlanMade) < kinds.index(e.PodPreempted)
