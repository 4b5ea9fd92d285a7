"""What must hold in every world, at every position of its journal and when it has settled."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from muster_contracts import events as e
from muster_contracts.names import GPU_INDEX, RESERVATIONS_NAMESPACE
from muster_contracts.phases import Phase
from muster_contracts.values import WHOLE_GPU
from muster_contracts.wire import Recorded
from muster_scheduler.core.audit import audit_decisions
from muster_scheduler.core.groups import GroupView
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from muster_status.core.deriver import Derivation
from muster_status.core.phase_table import CURRENT_TABLE
from simulation.world import NAMESPACE, SETTLING_SECONDS, World


async def settle(world: World) -> None:
    """Let time pass until the journal has been silent for a while and nothing is left to do."""
    deadline = asyncio.get_running_loop().time() + SETTLING_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        before = world.log.end
        await asyncio.sleep(400)  # longer than any back-off of the cluster
        if world.log.end == before:
            return
    raise AssertionError(f"The world does not come to rest: {world.log.end} events after {SETTLING_SECONDS} s.")


async def check_laws(world: World) -> None:
    """Check everything. Each law raises AssertionError with what broke it."""
    events = await world.events()
    no_device_is_over_committed(events)
    every_gang_is_promised_whole(events)
    no_promise_is_left_open(events)
    no_pod_is_bound_twice(events)
    who_was_evicted_is_told_once(world, events)
    every_workload_is_discovered_once(events)
    no_kubelet_refused_a_pod(world)
    every_shared_gpu_is_reserved_and_no_other(world, events)
    every_submission_has_the_end_it_asked_for(world, events)
    the_journal_knows_the_cluster(world, events)
    every_recorded_phase_follows_from_the_journal(events)
    every_plan_follows_from_the_journal(events)
    every_workload_has_the_phase_of_its_end(world, events)


def no_device_is_over_committed(events: list[Recorded]) -> None:
    """At no position do assigned pods and open promises use more than there is."""
    state = State()
    for recorded in events:
        state.apply(recorded)
        if not isinstance(recorded.event, e.PlanMade | e.PodScheduled):
            continue
        free = take_snapshot(state).idle
        for what in (free.devices, free.cpu, free.memory, free.pods):
            assert what.min(initial=0) >= 0, f"A node is over-committed at {recorded.position}"


def every_gang_is_promised_whole(events: list[Recorded]) -> None:
    """As many pods of a group are promised places as it needed where the plan was based."""
    bases = {recorded.event.based_on for recorded in events if isinstance(recorded.event, e.PlanMade)}
    waiting: dict[int, tuple[GroupView, ...]] = {}
    state = State()
    for recorded in events:
        state.apply(recorded)
        if recorded.position in bases:
            waiting[recorded.position] = take_snapshot(state).groups
        if isinstance(recorded.event, e.PlanMade):
            _gangs_are_whole(waiting[recorded.event.based_on], recorded.event)


def no_promise_is_left_open(events: list[Recorded]) -> None:
    """Every promise was kept or taken back, and so was every eviction."""
    state = State()
    for recorded in events:
        state.apply(recorded)
    assert not state.promises, f"Promises that nobody closed: {list(state.promises.by_pod.values())[:2]}"
    assert not state.evictions, f"Evictions that nobody reported: {list(state.evictions.by_pod.values())[:2]}"


def _gangs_are_whole(waiting: Iterable[GroupView], made: e.PlanMade) -> None:
    placed = Counter(placement.pod_group_id for placement in made.placements)
    for group in waiting:
        core = len(group.core or ())
        assert placed.get(group.id, core) >= core, f"{group.name} is started in part"


def no_pod_is_bound_twice(events: list[Recorded]) -> None:
    """Each pod is reported as bound at most once."""
    bound = Counter(pod.pod_id for r in events if isinstance(r.event, e.PodScheduled) for pod in r.event.pods)
    twice = [str(pod_id) for pod_id, count in bound.items() if count > 1]
    assert not twice, f"Pods bound more than once: {twice}"


def who_was_evicted_is_told_once(world: World, events: list[Recorded]) -> None:
    """Whomever an eviction told to go, his owner is told for whom and by which rule, and that once."""
    told = Counter(pod_id for r in events if isinstance(r.event, e.PodPreempted) for pod_id in r.event.pod_ids)
    assert max(told.values(), default=1) == 1, f"Evictions told more than once: {told.most_common(1)}"
    untold = [str(pod_id) for pod_id in world.evicted if pod_id not in told]
    assert not untold, f"Evictions that nobody was told of: {untold}"


def every_workload_is_discovered_once(events: list[Recorded]) -> None:
    """No workload is found twice, none is gone twice."""
    for kind in (e.WorkloadDiscovered, e.WorkloadGone, e.WorkloadSubmitted):
        counts = Counter(r.event.workload_id for r in events if isinstance(r.event, kind))  # type: ignore[attr-defined]
        assert max(counts.values(), default=1) == 1, f"{kind.__name__} more than once: {counts.most_common(1)}"


def no_kubelet_refused_a_pod(world: World) -> None:
    """The cluster's own kubelets found room for everything that was bound."""
    for pod in world.simulated.client.list("pods"):
        reason = pod.get("status", {}).get("reason", "")
        assert not reason.startswith(("OutOf", "Unexpected")), f"{pod['metadata']['name']}: {reason}"


def every_shared_gpu_is_reserved_and_no_other(world: World, events: list[Recorded]) -> None:
    """The GPUs that pods share in the end are those that reservation pods hold, one each."""
    state = State()
    for recorded in events:
        state.apply(recorded)
    shared = {
        (node, share.index)
        for node, tenants in state.tenants.items()
        for pod_id in tenants
        for share in state.devices_of(pod_id)
        if share.portion_millionths < WHOLE_GPU
    }
    pods = world.simulated.client.list("pods", RESERVATIONS_NAMESPACE)
    reserved = sorted((pod["spec"]["nodeName"], int(pod["metadata"]["labels"][GPU_INDEX])) for pod in pods)
    assert reserved == sorted(shared)


def every_submission_has_the_end_it_asked_for(world: World, events: list[Recorded]) -> None:
    """Who was deleted is gone; who was stopped last is suspended; everybody else ended by himself."""
    asked = _last_asked(events)
    for workload_id, name in world.submitted.items():
        job = world.simulated.client.get("jobs.batch", NAMESPACE, name)
        if workload_id in world.deleted:
            assert job is None, f"{name} was deleted and is still there"
            continue
        assert job is not None, f"{name} is lost"
        finished = {c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"}
        if asked.get(workload_id) == "StopRequested" and not finished & {"Complete", "Failed"}:
            assert job["spec"].get("suspend"), f"{name} was stopped and is not suspended"
        else:
            assert finished & {"Complete", "Failed"}, f"{name} is stuck: {job['status']}"


def _last_asked(events: list[Recorded]) -> dict[UUID, str]:
    asked: dict[UUID, str] = {}
    for recorded in events:
        if isinstance(recorded.event, e.StopRequested | e.ActivateRequested):
            asked[recorded.event.workload_id] = type(recorded.event).__name__
    return asked


def the_journal_knows_the_cluster(world: World, events: list[Recorded]) -> None:
    """The pods the journal knows are the pods there are, with the same phase and node."""
    known: dict[str, tuple[str, str]] = {}
    for recorded in events:
        match recorded.event:
            case e.PodObserved(pods=pods):
                known |= {str(pod.pod_id): (pod.phase.value, pod.node) for pod in pods}
            case e.PodGone(pods=marks):
                for mark in marks:
                    known.pop(str(mark.pod_id), None)
    there = {pod["metadata"]["uid"]: _facts(pod) for pod in world.simulated.client.list("pods", NAMESPACE)}
    assert known == there


def _facts(pod: dict[str, Any]) -> tuple[str, str]:
    return pod["status"]["phase"], pod["spec"].get("nodeName", "")


def every_recorded_phase_follows_from_the_journal(events: list[Recorded]) -> None:
    """A fresh fold derives the recorded history, transition by transition, and nothing is missing at the end."""
    derivation = Derivation(table=CURRENT_TABLE)
    for recorded in events:
        difference = derivation.apply(recorded)
        assert difference is None, f"{difference}"
    assert not derivation.open, f"Transitions that nobody recorded: {list(derivation.open.values())[:2]}"


def every_plan_follows_from_the_journal(events: list[Recorded]) -> None:
    """Planning again where each plan was based gives the same plan, whoever led, and however often he died."""
    report = audit_decisions(events, events)
    assert report.ok, report.differences[:3]
    assert report.checked_only == 0


def every_workload_has_the_phase_of_its_end(world: World, events: list[Recorded]) -> None:
    """The last recorded phase says what the cluster says."""
    last = {r.event.workload_id: r.event.current for r in events if isinstance(r.event, e.PhaseChanged)}
    for workload_id, name in world.submitted.items():
        if workload_id in world.deleted:
            assert last[workload_id] is Phase.DELETING, f"{name} is {last[workload_id]}"
            continue
        job = world.simulated.client.get("jobs.batch", NAMESPACE, name)
        assert job is not None
        finished = {c["type"] for c in job["status"].get("conditions", []) if c["status"] == "True"}
        expected = (
            Phase.COMPLETED if "Complete" in finished else Phase.FAILED if "Failed" in finished else Phase.STOPPED
        )
        assert last[workload_id] is expected, f"{name} is {last[workload_id]}, not {expected}"
