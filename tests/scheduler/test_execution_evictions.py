"""Victims on a simulated cluster: evicted with their grace and for a reason, or left alone when that is refused."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest
from cluster.in_process import InProcessTransport
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import PODS
from muster_cluster.transport import Answer, Request
from muster_contracts import events as e
from muster_contracts.phases import WorkloadClass
from muster_contracts.subjects import Writer
from muster_contracts.values import PodFacts, PodMark, PodPhase, Victim
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.scene import NAMESPACE, Scene, manifest, of_type
from scheduler.worlds import START, id_of, node, recorded
from simcluster.api import ApiServer

Deed = Callable[[], Awaitable[None]]

AT_ONCE = {"terminationGracePeriodSeconds": 0}
"""Who is evicted is gone before anybody can look."""


async def _nothing() -> None:
    pass


class Interrupted(InProcessTransport):
    """Lets something happen before each eviction, or when it is carried out and not answered yet."""

    def __init__(self, api: ApiServer, before: Deed, after: Deed) -> None:
        super().__init__(api)
        self._before = before
        self._after = after

    async def request(self, request: Request) -> Answer:
        if not request.path.endswith("/eviction"):
            return await super().request(request)
        await self._before()
        answer = await super().request(request)
        if answer.status == HTTPStatus.CREATED:
            await self._after()
        return answer


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
    scene.simulated.client.delete("pods", NAMESPACE, "borrower-0", grace_seconds=0)
    scene.simulated.client.create("pods", manifest("borrower-0", 1))
    events = await _decided_by_the_leader(scene, pod)
    assert of_type(events, e.PlacementReleased)[0].reason == "Pod borrower-0 went without being evicted."
    assert (await scene.cluster.get(PODS, NAMESPACE, "borrower-0")).metadata.deletion_timestamp is None


async def test_a_victim_that_has_ended_by_itself_is_not_evicted(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod)])
    ended = pod.model_copy(update={"phase": PodPhase.SUCCEEDED})
    await scene.observer.append(e.PodObserved(workload_id=id_of("workload/borrower"), pods=(ended,)))
    scene.start_scheduler()
    events = await scene.until(lambda events: bool(of_type(events, e.PlacementReleased)))
    assert of_type(events, e.PlacementReleased)[0].reason == "Pod borrower-0 went without being evicted."
    assert (await scene.cluster.get(PODS, NAMESPACE, "borrower-0")).metadata.deletion_timestamp is None


async def test_who_was_evicted_is_told_although_another_eviction_has_no_answer_yet(scene: Scene) -> None:
    pods = await scene.run_on_a_node("borrower", 2)
    await scene.decide(victims=[victim(pod) for pod in pods])
    scene.transport.broken["borrower-0/eviction"] = 1
    scene.start_scheduler()
    events = await scene.until(lambda events: len(of_type(events, e.PodPreempted)) == 2)
    assert [event.pod_ids for event in of_type(events, e.PodPreempted)] == [(pods[1].pod_id,), (pods[0].pod_id,)]


async def test_who_is_gone_when_the_answer_was_lost_is_told_to_be_evicted(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1, AT_ONCE)
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


async def test_whom_we_evicted_is_told_although_the_report_met_a_conflict_and_nothing_is_left_of_him(
    scene: Scene,
) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1, AT_ONCE)
    await scene.observer.append(discovered("borrower", "vision"))

    async def write_of_it() -> None:
        await scene.journal(Writer.SCHEDULER).append(_blocked("borrower"))

    scene.start_scheduler(cluster=_interrupted(scene, after=write_of_it))
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.decide(epoch=1, victims=[victim(pod)])
    assert await _told_once(scene) == [(pod.pod_id,)]


async def test_whom_a_leader_evicted_that_died_at_once_is_told_although_nothing_is_left_of_him(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1, AT_ONCE)
    evicted = asyncio.Event()

    async def hear_no_answer() -> None:
        evicted.set()
        await asyncio.Event().wait()

    scene.start_scheduler(cluster=_interrupted(scene, after=hear_no_answer))
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.decide(epoch=1, victims=[victim(pod)])
    await evicted.wait()
    await scene.kill_schedulers()
    await scene.observer.append(_gone(pod, PodPhase.FAILED))
    scene.start_scheduler()
    assert await _told_once(scene) == [(pod.pod_id,)]


async def test_who_slept_and_finds_nobody_waits_to_hear_whether_another_has_evicted_him(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1, AT_ONCE)

    async def let_another_lead_and_evict() -> None:
        if scene.simulated.client.get("pods", NAMESPACE, "borrower-0") is not None:
            other = e.LeadershipTaken(cluster_id=id_of("cluster"), epoch=2, instance="other")
            await scene.journal(Writer.SCHEDULER).append(other)
            await scene.cluster.evict(NAMESPACE, "borrower-0", uid=str(pod.pod_id))

    scene.start_scheduler(cluster=_interrupted(scene, before=let_another_lead_and_evict))
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.decide(epoch=1, victims=[victim(pod)])
    assert await _told_once(scene) == [(pod.pod_id,)]


async def test_who_has_stopped_because_an_earlier_leader_evicted_him_is_told(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod)])
    await scene.observer.append(_seen(pod, terminating=True))
    await scene.observer.append(_seen(pod, terminating=True, phase=PodPhase.FAILED))
    scene.simulated.client.delete("pods", NAMESPACE, "borrower-0", grace_seconds=0)
    scene.start_scheduler()
    assert await _told_once(scene) == [(pod.pod_id,)]


async def test_who_had_ended_when_a_new_leader_came_and_is_gone_is_not_told_to_be_evicted(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.decide(victims=[victim(pod)])
    await scene.observer.append(_seen(pod, phase=PodPhase.SUCCEEDED))
    await scene.observer.append(_gone(pod, PodPhase.SUCCEEDED))
    scene.simulated.client.delete("pods", NAMESPACE, "borrower-0", grace_seconds=0)
    scene.start_scheduler()
    assert await _told_once(scene) == []


async def test_who_was_leaving_before_the_plan_was_written_is_not_told_to_be_evicted(scene: Scene) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    await scene.observer.append(_seen(pod, terminating=True))
    await scene.decide(victims=[victim(pod)])
    scene.simulated.client.delete("pods", NAMESPACE, "borrower-0", grace_seconds=0)
    scene.start_scheduler()
    assert await _told_once(scene) == []


@pytest.mark.parametrize("last", [{"terminating": True}, {"terminating": True, "phase": PodPhase.SUCCEEDED}])
async def test_who_left_before_anybody_asked_is_not_told_to_be_evicted(scene: Scene, last: Mapping[str, Any]) -> None:
    (pod,) = await scene.run_on_a_node("borrower", 1)
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.decide(epoch=1, victims=[victim(pod)])
    await scene.observer.append(_seen(pod, **last))  # folded with the plan, before anything is done about that
    assert await _told_once(scene) == []
    assert not [one for one in scene.transport.asked if one.endswith("/eviction")]


def _interrupted(scene: Scene, before: Deed = _nothing, after: Deed = _nothing) -> KubernetesCluster:
    """Return a cluster on which something happens before each eviction, or when it is carried out."""
    return KubernetesCluster(Interrupted(scene.simulated.api, before, after))


def _blocked(gang: str) -> e.WorkloadBlocked:
    return e.WorkloadBlocked(
        workload_id=id_of(f"workload/{gang}"), pod_group_id=id_of(f"group/{gang}"), code="ItsTurn", reason="It waits."
    )


def _seen(pod: PodFacts, **more: object) -> e.PodObserved:
    return e.PodObserved(workload_id=id_of("workload/borrower"), pods=(pod.model_copy(update=more),))


def _gone(pod: PodFacts, phase: PodPhase) -> e.PodGone:
    mark = PodMark(pod_id=pod.pod_id, name=pod.name, last_phase=phase)
    return e.PodGone(workload_id=id_of("workload/borrower"), pods=(mark,))


async def _decided_by_the_leader(scene: Scene, pod: PodFacts) -> list[e.AnyEvent]:
    """Let the scheduler that leads find a plan of its own with one victim, and carry it out."""
    scene.start_scheduler()
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    await scene.decide(epoch=1, victims=[victim(pod)])
    return await scene.until(lambda events: bool(of_type(events, e.PodPreempted) or _released(events)))


async def _told_once(scene: Scene) -> list[tuple[UUID, ...]]:
    """Wait until it is told what became of the victim, and return who was told to be evicted."""
    events = await scene.until(lambda events: bool(of_type(events, e.PodPreempted) or _released(events)))
    assert len(of_type(events, e.PodPreempted)) + len(of_type(events, e.PlacementReleased)) == 1
    return [event.pod_ids for event in of_type(events, e.PodPreempted)]


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
