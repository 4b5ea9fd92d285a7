"""The scheduler on a journal and a simulated cluster: it binds what it promised, whatever happens in between."""

import itertools

from muster_cluster.objects import PODS
from muster_contracts import events as e
from muster_contracts.subjects import Writer
from muster_contracts.values import Placement
from muster_journal.memory import MemoryLog
from muster_scheduler.core.decision import ENTRIES_PER_PART, _parts
from muster_scheduler.core.plan import Plan
from scheduler.scene import NAMESPACE, Scene, manifest, of_type, scheduled
from scheduler.worlds import id_of, node


async def test_a_gang_is_planned_in_the_journal_before_it_is_bound(scene: Scene) -> None:
    await scene.observe("gang", 4, gpus=2)
    scene.start_scheduler()
    events = await scene.until(scheduled(4))
    (made,) = of_type(events, e.PlanMade)
    assert len(made.placements) == 4
    assert events.index(made) < min(events.index(one) for one in of_type(events, e.PodScheduled))
    pod = await scene.cluster.get(PODS, NAMESPACE, "gang-0")
    assert pod.metadata.annotations["muster.dev/gpus"] == ",".join(str(d.index) for d in made.placements[0].devices)
    assert pod.spec.node_name == made.placements[0].node


async def test_a_scheduler_that_starts_keeps_what_an_earlier_life_promised(scene: Scene) -> None:
    await scene.observe("gang", 2)
    scene.transport.gate.clear()
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await scene.kill_schedulers()
    scene.transport.gate.set()
    scene.start_scheduler()
    events = await scene.until(scheduled(2))
    assert len(of_type(events, e.PlanMade)) == 1
    assert [one.epoch for one in events if isinstance(one, e.LeadershipTaken)] == [1, 2]


async def test_a_pod_bound_before_the_answer_was_lost_is_reported_not_bound_again(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.start_scheduler()
    events = await scene.until(scheduled(1))
    await scene.kill_schedulers()
    without_report = MemoryLog()
    for message in scene.log.after(0, 1000):
        if not message.headers["ce-type"].startswith("PodScheduled"):
            without_report.put(message.subject, message.headers, message.body)
    scene.log = without_report
    scene.start_scheduler()
    again = await scene.until(scheduled(1))
    first, second = (one for one in (of_type(events, e.PodScheduled) + of_type(again, e.PodScheduled)))
    assert first.pods == second.pods
    assert not of_type(again, e.PlacementReleased)


async def test_a_pod_that_changed_since_it_was_seen_is_released_and_planned_anew(scene: Scene) -> None:
    await scene.observe("gang", 1)
    await scene.cluster.patch(PODS, NAMESPACE, "gang-0", {"metadata": {"labels": {"touched": "yes"}}})
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)
    pod = await scene.cluster.get(PODS, NAMESPACE, "gang-0")
    assert pod.spec.node_name == ""
    assert "muster.dev/epoch" in pod.metadata.annotations
    assert len(of_type(events, e.PlanMade)) == 1  # and not again and again until it is seen
    await scene.form("gang", 1, [scene.facts("gang-0", "gang")])
    await scene.until(scheduled(1))


async def test_a_pod_that_is_gone_releases_its_promise(scene: Scene) -> None:
    await scene.observe("gang", 1)
    await scene.cluster.delete(PODS, NAMESPACE, "gang-0")
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    (released,) = of_type(events, e.PlacementReleased)
    assert released.reason == "Pod gang-0 is gone."


async def test_a_promise_to_a_workload_that_is_gone_is_released(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.transport.gate.clear()
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await scene.cluster.delete(PODS, NAMESPACE, "gang-0")
    await scene.observer.append(e.WorkloadGone(workload_id=id_of("workload/gang"), end_seen=True))
    scene.transport.gate.set()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)


async def test_what_was_planned_for_a_workload_that_had_gone_meanwhile_is_taken_back(on_nats: Scene) -> None:
    """Its subject does not end where the fold, which has forgotten it, believes."""
    scene, earlier = on_nats, on_nats.journal(Writer.SCHEDULER)
    await scene.observe("gang", 1)
    pod = scene.facts("gang-0", "gang")
    ids = {"workload_id": id_of("workload/gang"), "pod_group_id": id_of("group/gang")}
    await earlier.append(e.WorkloadBlocked.model_validate({**ids, "code": "NoFittingNode", "reason": "It waits."}))
    await scene.cluster.delete(PODS, NAMESPACE, "gang-0")
    await scene.observer.append(e.WorkloadGone(workload_id=ids["workload_id"], end_seen=True))
    place = {**ids, "pod_id": pod.pod_id, "namespace": NAMESPACE, "name": pod.name, "node": "pool-a-0"}
    await scene.decide(earlier, placements=[{**place, "resource_version": pod.resource_version}])
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)


async def test_a_read_that_is_refused_for_a_while_neither_stops_the_deeds_nor_releases_the_promise(
    scene: Scene,
) -> None:
    await scene.observe("gang", 1)
    await scene.cluster.patch(PODS, NAMESPACE, "gang-0", {"metadata": {"labels": {"touched": "yes"}}})
    scene.transport.forbidden["GET"] = 3
    service = scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert scene.transport.forbidden["GET"] == 0
    assert service.health.loops["execution"].condition == "running"


def test_a_large_plan_is_cut_between_gangs() -> None:
    placements = tuple(_placement(number // 3, number) for number in range(3 * ENTRIES_PER_PART))
    parts = [part.placements for part in _parts(Plan(1, placements))]
    assert len(parts) > 1
    assert tuple(placement for part in parts for placement in part) == placements
    gangs = [{placement.pod_group_id for placement in part} for part in parts]
    assert not any(one & other for one, other in itertools.combinations(gangs, 2))


def _placement(gang: int, number: int) -> Placement:
    return Placement(
        workload_id=id_of(f"workload/{gang}"),
        pod_group_id=id_of(f"group/{gang}"),
        pod_id=id_of(f"pod/{number}"),
        namespace=NAMESPACE,
        name=f"p{number}",
        resource_version="1",
        node="a",
    )


async def test_a_reason_to_wait_is_written_once(scene: Scene) -> None:
    await scene.observe("big", 1, gpus=9)
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.WorkloadBlocked)))
    for number in range(5):
        await scene.observer.append(node("pool-a-0", cpu=32 + number))
    await scene.observe("small", 1)
    events = await scene.until(scheduled(1))
    assert len(of_type(events, e.WorkloadBlocked)) == 1


async def test_another_pod_of_the_same_name_is_not_bound_even_at_the_version_that_was_seen(scene: Scene) -> None:
    scene.simulated.client.create("pods", manifest("gang-0", 1))
    earlier = scene.facts("gang-0", "gang").model_copy(update={"pod_id": id_of("an earlier pod")})
    await scene.form("gang", 1, [earlier])
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)
    pod = await scene.cluster.get(PODS, NAMESPACE, "gang-0")
    assert pod.spec.node_name == ""
    assert "muster.dev/epoch" not in pod.metadata.annotations


async def test_a_promise_refused_to_a_pod_that_was_replaced_leaves_the_new_one_untouched(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.transport.forbidden["/binding"] = 1
    scene.simulated.client.delete("pods", NAMESPACE, "gang-0")
    scene.simulated.client.create("pods", manifest("gang-0", 1))
    scene.start_scheduler(bind_patience=0)
    await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    pod = await scene.cluster.get(PODS, NAMESPACE, "gang-0")
    assert "muster.dev/epoch" not in pod.metadata.annotations


async def test_a_binding_that_kubernetes_refuses_for_a_moment_is_tried_again(scene: Scene) -> None:
    await scene.observe("gang", 2)
    scene.transport.forbidden["gang-0/binding"] = 2
    scene.start_scheduler()
    events = await scene.until(scheduled(2))
    assert len(of_type(events, e.PlanMade)) == 1
    assert not of_type(events, e.PlacementReleased)


async def test_a_binding_that_kubernetes_goes_on_refusing_is_given_up(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.transport.forbidden["/binding"] = 3
    scene.start_scheduler(bind_patience=2)
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert scene.transport.forbidden["/binding"] == 0
    (released,) = of_type(events, e.PlacementReleased)
    assert released.reason == "Kubernetes refused to bind gang-0: not now"
    assert "muster.dev/epoch" in (await scene.cluster.get(PODS, NAMESPACE, "gang-0")).metadata.annotations


async def test_another_pod_of_the_same_name_on_the_promised_node_is_not_taken_for_ours(scene: Scene) -> None:
    await scene.observe("gang", 1)
    scene.transport.gate.clear()
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    scene.simulated.client.delete("pods", NAMESPACE, "gang-0")
    scene.simulated.client.create("pods", manifest("gang-0", 1))
    scene.put_on_node("gang-0", of_type(events, e.PlanMade)[0].placements[0].node)
    scene.transport.gate.set()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert not of_type(events, e.PodScheduled)


async def test_a_gang_that_cannot_be_bound_whole_is_released_whole(scene: Scene) -> None:
    await scene.observe("gang", 3)
    scene.simulated.client.delete("pods", NAMESPACE, "gang-0")
    scene.start_scheduler(bind_concurrency=1)
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    released = {pod_id for event in of_type(events, e.PlacementReleased) for pod_id in event.pod_ids}
    (made,) = of_type(events, e.PlanMade)[:1]
    assert released == {placement.pod_id for placement in made.placements}
    for name in ("gang-1", "gang-2"):
        assert (await scene.cluster.get(PODS, NAMESPACE, name)).spec.node_name == ""


async def test_a_pod_that_is_seen_bound_before_it_is_reported_counts_once_for_its_gang(scene: Scene) -> None:
    await scene.observe("gang", 3)
    scene.transport.gate.clear()
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlanMade)))
    await scene.kill_schedulers()
    (made,) = of_type(events, e.PlanMade)
    scene.put_on_node("gang-0", made.placements[0].node)
    await scene.form("gang", 3, [scene.facts("gang-0", "gang")])
    scene.simulated.client.delete("pods", NAMESPACE, "gang-1")
    scene.transport.gate.set()
    scene.start_scheduler(bind_concurrency=1)
    await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert (await scene.cluster.get(PODS, NAMESPACE, "gang-2")).spec.node_name == ""


async def test_pods_beyond_a_gang_are_bound_although_one_is_refused(scene: Scene) -> None:
    await scene.observe("gang", 3, minimum=2)
    scene.simulated.client.delete("pods", NAMESPACE, "gang-0")
    scene.start_scheduler(bind_concurrency=1)
    events = await scene.until(scheduled(2))
    assert {pod.name for event in of_type(events, e.PodScheduled) for pod in event.pods} == {"gang-1", "gang-2"}
