"""What the scheduler answers: whether something would fit, why something waits, who holds what."""

from typing import Any

from muster_contracts import events as e
from muster_contracts.questions import Fit, NotAnswered, WhatNodesHold, WhyDoesItWait, WouldItFit
from muster_contracts.values import Caller, GpuRequest, PlacementRules, PoolQuota
from muster_scheduler.core.fitting import addressed, why_does_it_wait, would_it_fit
from muster_scheduler.core.holdings import holdings, node_holdings
from muster_scheduler.core.plan import Limits, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import gang, group, id_of, node, plan_made, pod, recorded

SOMEBODY = Caller(name="ada")
HALF = {"gpu": GpuRequest(devices=1, portion_millionths=500_000)}


def project(name: str, gpus: float | None = None, **quota: Any) -> e.ProjectChanged:
    quotas = () if gpus is None else (PoolQuota(gpu_millionths=int(gpus * 1_000_000), **quota),)
    return e.ProjectChanged(
        project_id=id_of(name), name=name, namespace=f"muster-{name}", quotas=quotas, changed_by=SOMEBODY
    )


def owned(name: str, project_name: str, events: list[e.AnyEvent]) -> list[e.AnyEvent]:
    """Return a workload of a project."""
    discovered = e.WorkloadDiscovered.model_construct(
        workload_id=id_of(f"workload/{name}"), name=name, project=project_name
    )
    return [discovered, *events]


def running(name: str, project_name: str, pods: int, *, on: str, **more: Any) -> list[e.AnyEvent]:
    made = [pod(f"{name}-{i}", name, node=on, phase="Running", gpus=1, **more) for i in range(pods)]
    return owned(name, project_name, group(name, made))


def world(*parts: e.AnyEvent | list[e.AnyEvent]) -> State:
    state = State()
    for event in recorded([event for part in parts for event in (part if isinstance(part, list) else [part])]):
        state.apply(event)
    return state


def ask(state: State, **fields: Any) -> Fit:
    asked = addressed(state, WouldItFit(project="demo", **fields))
    assert isinstance(asked, WouldItFit)
    return would_it_fit(take_snapshot(state), Limits(), asked)


def test_what_fits_is_told_with_its_places() -> None:
    found = ask(world(node("a"), node("b"), project("demo")), pods=3, gpu_devices=4)
    assert (found.fits, found.node_pool, found.reason) == ("now", "default", "")
    assert [(place.node, place.pods) for place in found.places] == [("a", 2), ("b", 1)]


def test_what_does_not_fit_is_told_in_the_words_of_a_waiting_workload() -> None:
    found = ask(world(node("a"), project("demo"), running("old", "demo", 3, on="a")), gpu_devices=8)
    assert (found.fits, found.places) == ("no", ())
    assert found.code == "NoFittingNode"
    assert found.reason == "It needs 8 GPUs on one node; the best has 5 GPUs free."
    assert found.numbers["needed"] == 8
    assert found.numbers["best"] == 5


def test_what_fits_only_when_others_go_names_them() -> None:
    borrower = running("borrower", "vision", 8, on="a")
    state = world(node("a"), project("demo", 4), project("vision", 4), borrower)
    found = ask(state, pods=2, gpu_devices=1)
    assert found.fits == "after-evictions"
    assert [(victim.name, victim.pods, victim.rule) for victim in found.victims] == [("borrower", 2, "reclaim")]


def test_a_question_takes_nothing_from_who_waits_longer_and_changes_nothing() -> None:
    state = world(node("a"), project("demo"), owned("first", "demo", gang("first", 1, gpus=8)))
    before = plan(take_snapshot(state))
    assert ask(state, gpu_devices=1).fits == "no"
    assert plan(take_snapshot(state)) == before
    assert [placement.name for placement in before.placements] == ["first-0"]


def test_a_part_of_a_gpu_fits_beside_another() -> None:
    state = world(node("a", gpus=1), project("demo"))
    assert ask(state, pods=2, gpu_devices=1, gpu_portion_millionths=500_000).fits == "now"
    assert ask(state, pods=3, gpu_devices=1, gpu_portion_millionths=500_000).fits == "no"


def test_a_project_that_is_not_there_is_said() -> None:
    found = addressed(world(node("a")), WouldItFit(project="nowhere"))
    assert found == NotAnswered(code="NotFound", sentence="There is no project 'nowhere'.")


def test_why_it_waits_names_holders_and_the_place_in_the_queue() -> None:
    state = world(
        node("a"),
        project("demo"),
        project("vision", 4),
        running("mine", "demo", 2, on="a"),
        running("theirs", "vision", 5, on="a"),
        owned("big", "demo", gang("big", 1, gpus=8, age=50)),
        owned("also", "demo", gang("also", 1, gpus=8, age=40)),
    )
    (waits,) = why_does_it_wait(
        take_snapshot(state), Limits(), WhyDoesItWait(workload_id=id_of("workload/also"))
    ).groups
    assert (waits.code, waits.pods, waits.queue_position) == ("NoFittingNode", 1, 2)
    assert waits.reason == "also needs 8 GPUs on one node; the best has 1 GPU free."
    assert [(one.project, one.allocated.gpu_millionths) for one in waits.holders] == [
        ("vision", 5_000_000),
        ("demo", 2_000_000),
    ]
    assert waits.holders[0].quota.gpu_millionths == 4_000_000


def test_who_has_a_place_and_no_volume_yet_is_told_for_which_claim_it_waits() -> None:
    waits = PlacementRules(claims_waiting=("scratch",), claims_unbound=("data",))
    state = world(node("a"), project("demo"), owned("train", "demo", gang("train", 2, rules=waits)))
    made = plan_made(plan(take_snapshot(state)))
    for one in recorded([made], first=state.position + 1):
        state.apply(one)
    (told,) = why_does_it_wait(
        take_snapshot(state), Limits(), WhyDoesItWait(workload_id=id_of("workload/train"))
    ).groups
    assert (told.code, told.pods, told.numbers) == ("VolumesAwaited", 2, {"claims": 4})
    assert told.reason == "train has its place on a; it waits for the volume of the claim scratch and 3 more."


def test_who_is_held_back_by_a_scheduling_gate_is_told_by_which() -> None:
    held = [pod(f"train-{i}", "train", scheduling_gates=("example.com/budget",)) for i in range(2)]
    state = world(node("a"), project("demo"), owned("train", "demo", group("train", held)))
    (told,) = why_does_it_wait(
        take_snapshot(state), Limits(), WhyDoesItWait(workload_id=id_of("workload/train"))
    ).groups
    assert (told.code, told.pods) == ("SchedulingGated", 2)
    assert told.reason == "train has 2 pods that may not be scheduled yet, by the scheduling gate example.com/budget."


def test_a_gang_of_which_some_are_held_back_is_told_so_once() -> None:
    pods = [pod("train-0", "train"), pod("train-1", "train", scheduling_gates=("example.com/budget",))]
    state = world(node("a"), project("demo"), owned("train", "demo", group("train", pods, min_members=2)))
    (told,) = why_does_it_wait(
        take_snapshot(state), Limits(), WhyDoesItWait(workload_id=id_of("workload/train"))
    ).groups
    assert told.code == "SchedulingGated"


def test_what_does_not_wait_has_no_reason() -> None:
    state = world(node("a"), project("demo"), running("mine", "demo", 2, on="a"))
    assert (
        why_does_it_wait(take_snapshot(state), Limits(), WhyDoesItWait(workload_id=id_of("workload/mine"))).groups == ()
    )


def test_who_holds_what_is_told_by_pool_department_and_project() -> None:
    department = e.DepartmentChanged(
        department_id=id_of("d"), name="research", quotas=(PoolQuota(gpu_millionths=4_000_000),), changed_by=SOMEBODY
    )
    state = world(
        node("a"),
        node("b", labels={"gpu": "a100"}),
        e.NodePoolChanged(
            node_pool_id=id_of("p"), name="a100", label_key="gpu", label_value="a100", changed_by=SOMEBODY
        ),
        department,
        project("demo", 3).model_copy(update={"department": "research"}),
        project("vision", 1).model_copy(update={"department": "research"}),
        running("mine", "demo", 5, on="a"),
        owned("more", "vision", gang("more", 2)),
    )
    a100, default = holdings(take_snapshot(state), Limits()).node_pools
    assert (a100.node_pool, a100.capacity.gpu_millionths, a100.allocated.gpu_millionths) == ("a100", 8_000_000, 0)
    research, demo, vision = default.queues
    assert [(queue.kind, queue.name, queue.parent) for queue in default.queues] == [
        ("department", "research", ""),
        ("project", "demo", "research"),
        ("project", "vision", "research"),
    ]
    assert (demo.allocated.gpu_millionths, demo.over_quota.gpu_millionths) == (5_000_000, 2_000_000)
    assert (vision.pending.gpu_millionths, vision.pending_pods, vision.fair_share.gpu_millionths) == (
        2_000_000,
        2,
        2_000_000,
    )
    assert (research.allocated.gpu_millionths, research.pending_pods) == (5_000_000, 2)


def test_what_is_held_of_nodes_that_are_gone_or_not_ready_is_told_apart() -> None:
    state = world(
        node("a"),
        node("b"),
        node("c"),
        project("demo"),
        *(running(f"on-{name}", "demo", count, on=name) for name, count in (("a", 5), ("b", 3), ("c", 2))),
        e.NodeGone(node_id=id_of("node/a"), name="a"),
        node("b", ready=False),
    )
    (default,) = holdings(take_snapshot(state), Limits()).node_pools
    assert (default.capacity.gpu_millionths, default.allocated.gpu_millionths) == (8_000_000, 10_000_000)
    assert default.allocated_on_gone_nodes.gpu_millionths == 5_000_000
    assert default.allocated_on_unready_nodes.gpu_millionths == 3_000_000


def test_the_map_of_a_node_shows_fractions_and_owners_and_lists_go_on() -> None:
    half = pod("half-0", "half", node="a", phase="Running", cpu=2, **HALF).model_copy(update={"gpus": "0:500000"})
    state = world(node("a", gpus=2), node("b", gpus=2), project("demo"), owned("half", "demo", group("half", [half])))
    first = node_holdings(take_snapshot(state), WhatNodesHold(limit=1))
    (shown,) = first.nodes
    assert (shown.name, shown.free_gpus, shown.free.cpu_milli) == ("a", (500_000, 1_000_000), 62_000)
    assert [(one.workload, one.project, one.devices[0].portion_millionths) for one in shown.pods] == [
        ("half", "demo", 500_000)
    ]
    rest = node_holdings(take_snapshot(state), WhatNodesHold(after=first.next))
    assert ([one.name for one in rest.nodes], rest.next) == (["b"], "")
