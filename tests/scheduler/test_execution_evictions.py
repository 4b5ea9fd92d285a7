"""Victims on a simulated cluster: evicted with their grace and for a reason, or left alone when that is refused."""

import pytest
from muster_cluster.objects import PODS
from muster_contracts import events as e
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import PodFacts, PodPhase, Victim
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.scene import NAMESPACE, Scene, manifest, of_type
from scheduler.worlds import START, id_of, node, recorded


def victim(pod: PodFacts, gang: str = "borrower", rule: str = "reclaim") -> Victim:
    return Victim(
        workload_id=id_of(f"workload/{gang}"),
        pod_id=pod.pod_id,
        namespace=NAMESPACE,
        name=pod.name,
        beneficiary_id=id_of("workload/owner"),
        rule=rule,
    )


def discovered(name: str, project: str) -> e.WorkloadDiscovered:
    return e.WorkloadDiscovered(
        workload_id=id_of(f"workload/{name}"),
        kind="Pod",
        api_version="v1",
        workload_class=WorkloadClass.NATIVE,
        name=name,
        namespace=NAMESPACE,
        project=project,
        object_id=None,
        created_at=START,
    )


async def test_a_victim_is_evicted_within_its_grace_and_told_for_whom(scene: Scene) -> None:
    await scene.observer.append(discovered("owner", "vision"))
    pods = await scene.run_on_a_node("borrower", 2)
    await scene.until_ready("borrower-0")
    made = await scene.decide(victims=[victim(pod) for pod in pods])
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted)))
    (preempted,) = of_type(events, e.PodPreempted)
    assert preempted.pod_ids == tuple(pod.pod_id for pod in pods)
    assert (preempted.plan_id, preempted.rule) == (made.plan_id, "reclaim")
    assert preempted.beneficiary_id == id_of("workload/owner")
    assert "vision" in preempted.reason
    assert "owner" in preempted.reason
    pod = scene.simulated.client.get("pods", NAMESPACE, "borrower-0")
    assert pod is not None
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 30
    (disrupted,) = [each for each in pod["status"]["conditions"] if each["type"] == "DisruptionTarget"]
    assert disrupted["reason"] == "EvictionByEvictionAPI"


async def test_an_eviction_that_a_budget_blocks_is_given_up_and_the_pod_is_spared(scene: Scene) -> None:
    budget = {
        "metadata": {"name": "keep", "namespace": NAMESPACE},
        "spec": {"selector": {}, "maxUnavailable": 0},
    }
    scene.simulated.client.create("poddisruptionbudgets.policy", budget)
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.until_ready("borrower-0")  # who serves nobody yet is protected by no budget
    await scene.decide(victims=[victim(pod)])
    service = scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    (released,) = of_type(events, e.PlacementReleased)
    assert released.pod_ids == (pod.pod_id,)
    assert released.reason.startswith("A disruption budget protects borrower-0: The disruption budget keep needs 1 ")
    assert not of_type(events, e.PodPreempted)
    assert (await scene.cluster.get(PODS, NAMESPACE, "borrower-0")).metadata.deletion_timestamp is None
    assert service.health.loops["execution"].condition == "running"


async def test_another_pod_of_the_victims_name_is_left_alone(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod)])
    scene.simulated.client.delete("pods", NAMESPACE, "borrower-0", grace_seconds=0)
    scene.simulated.client.create("pods", manifest("borrower-0", 1))
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert of_type(events, e.PlacementReleased)[0].reason == "Pod borrower-0 is gone."
    assert (await scene.cluster.get(PODS, NAMESPACE, "borrower-0")).metadata.deletion_timestamp is None


async def test_a_victim_that_has_ended_by_itself_is_not_evicted(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod)])
    ended = pod.model_copy(update={"phase": PodPhase.SUCCEEDED})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/borrower"), pods=(ended,)))
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert of_type(events, e.PlacementReleased)[0].reason == "Pod borrower-0 has ended by itself."
    assert (await scene.cluster.get(PODS, NAMESPACE, "borrower-0")).metadata.deletion_timestamp is None


async def test_who_was_evicted_is_told_although_another_eviction_has_no_answer_yet(scene: Scene) -> None:
    pods = await scene.run_on_a_node("borrower", 2)
    await scene.decide(victims=[victim(pod) for pod in pods])
    scene.transport.broken["borrower-0/eviction"] = 1
    scene.start_scheduler()
    events = await scene.until(lambda events: len(of_type(events, e.PodPreempted)) == 2)
    assert [event.pod_ids for event in of_type(events, e.PodPreempted)] == [(pods[1].pod_id,), (pods[0].pod_id,)]


async def test_who_is_gone_when_the_answer_was_lost_is_told_to_be_evicted(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1, {"terminationGracePeriodSeconds": 0})
    await scene.decide(victims=[victim(pod)])
    scene.transport.unanswered["borrower-0/eviction"] = 1
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted) or _released(events)))
    assert scene.transport.asked.count(f"POST /api/v1/namespaces/{NAMESPACE}/pods/borrower-0/eviction") == 2
    assert scene.simulated.client.get("pods", NAMESPACE, "borrower-0") is None
    assert [event.pod_ids for event in of_type(events, e.PodPreempted)] == [(pod.pod_id,)]


async def test_a_conflict_about_a_pod_that_is_there_is_tried_again(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod)])
    scene.transport.conflicting["borrower-0/eviction"] = 1
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted) or _released(events)))
    assert [event.pod_ids for event in of_type(events, e.PodPreempted)] == [(pod.pod_id,)]


def _released(events: list[e.AnyEvent]) -> bool:
    return bool(of_type(events, e.PlacementReleased))


@pytest.mark.parametrize("rule", ["reclaim", "preempt", "consolidate", "stale-gang"])
async def test_every_rule_has_a_sentence_even_when_nobody_knows_for_whom(scene: Scene, rule: str) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod, rule=rule)])
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted)))
    (preempted,) = of_type(events, e.PodPreempted)
    assert preempted.reason.endswith(".")
    assert "{" not in preempted.reason
    assert preempted.rule == rule


async def test_victims_of_a_new_plan_are_evicted_at_once(scene: Scene) -> None:
    await scene.run_on_a_node("borrower", 8)
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.observe("urgent", 2, gpus=8, priority="build")
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted)))
    (made,) = of_type(events, e.PlanMade)
    (preempted,) = of_type(events, e.PodPreempted)
    assert set(preempted.pod_ids) == {victim.pod_id for victim in made.victims}
    assert events.index(made) < events.index(preempted)


async def test_who_was_refused_is_no_victim_until_a_minute_has_passed(scene: Scene) -> None:
    pods = await scene.run_on_a_node("borrower", 8)
    made = await scene.decide(victims=[victim(pod) for pod in pods])
    state = State()
    for one in recorded(await scene.events()):
        state.apply(one)
    (group,) = take_snapshot(state).views.values()
    assert not group.staying
    released = e.PlacementReleased(
        workload_id=id_of("workload/borrower"),
        pod_group_id=id_of("group/borrower"),
        plan_id=made.plan_id,
        pod_ids=tuple(pod.pod_id for pod in pods),
        reason="A disruption budget protects them.",
    )
    minute = recorded([released, *(node("pool-b", cpu=cpu) for cpu in range(60))], first=state.position + 1)
    for one in minute[:-1]:
        state.apply(one)
        (group,) = take_snapshot(state).views.values()
        assert len(group.staying) == 8
        assert not any(pod.ours for pod in group.staying)
    state.apply(minute[-1])
    (group,) = take_snapshot(state).views.values()
    assert all(pod.ours for pod in group.staying)
