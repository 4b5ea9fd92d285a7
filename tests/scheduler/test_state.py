"""The fold: who belongs where, what is promised, and what late or strange events must not break."""

import pytest
from muster_contracts import events as e
from muster_contracts.values import GpuRequest, Placement
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import Changes, State
from scheduler.worlds import gang, gone, group, id_of, node, pod, recorded, running, state_of


def promised(name: str) -> e.PlanMade:
    placement = Placement(
        workload_id=id_of(f"workload/{name}"),
        pod_group_id=id_of(f"group/{name}"),
        pod_id=id_of(f"pod/{name}"),
        namespace="muster-demo",
        name=name,
        resource_version="7",
        node="a",
    )
    return e.PlanMade(
        cluster_id=id_of("cluster"),
        plan_id=id_of("plan"),
        based_on=1,
        epoch=1,
        planner_version="1",
        settings_digest="d",
        step_limit=1,
        placements=(placement,),
    )


def released(name: str) -> e.PlacementReleased:
    return e.PlacementReleased(
        workload_id=id_of(f"workload/{name}"),
        pod_group_id=id_of(f"group/{name}"),
        plan_id=id_of("plan"),
        pod_ids=(id_of(f"pod/{name}"),),
        reason="Its pod is gone.",
    )


def blocked(name: str) -> e.WorkloadBlocked:
    ids = {"workload_id": id_of(f"workload/{name}"), "pod_group_id": id_of(f"group/{name}")}
    return e.WorkloadBlocked.model_validate({**ids, "code": "NoFittingNode", "reason": "It waits."})


def test_a_pod_that_changes_its_group_is_in_one_group_and_placed_once() -> None:
    alone = group("alone", [pod("p", "alone")])
    workload_id = id_of("workload/alone")
    regrouped = [
        e.PodGroupFormed(workload_id=workload_id, pod_group_id=id_of("group/gang"), name="gang", min_members=1),
        e.PodObserved(workload_id=workload_id, pods=(pod("p", "gang"),)),
    ]
    state = state_of(node("a"), *alone, *regrouped)
    made = plan(take_snapshot(state))
    assert [placement.pod_group_id for placement in made.placements] == [id_of("group/gang")]


def test_a_pod_seen_before_its_group_was_formed_is_in_it() -> None:
    formed, observed = gang("g", 2)
    state = state_of(node("a"), observed, formed)
    assert len(plan(take_snapshot(state)).placements) == 2


def test_a_late_end_of_a_node_does_not_take_the_one_that_has_its_name_now() -> None:
    old, new = node("a", node_id=id_of("old")), node("a", node_id=id_of("new"))
    state = state_of(old, new, e.NodeGone(node_id=id_of("old"), name="a"))
    assert state.nodes["a"].node_id == id_of("new")
    assert state_of(old, e.NodeGone(node_id=id_of("old"), name="a")).nodes == {}


def test_a_promise_to_a_workload_that_is_gone_is_open_until_it_is_taken_back() -> None:
    workload_id = id_of("workload/w")
    ended = e.WorkloadGone(workload_id=workload_id, end_seen=True)
    state = state_of(node("a"), *group("w", [pod("w", "w")]), blocked("w"), promised("w"), ended)
    assert [promise.pod.name for promise in state.promises.of(workload_id)] == ["w"]
    state.apply(recorded([released("w")], first=state.position + 1)[0])
    assert not state.promises
    assert state.workloads == {}


@pytest.mark.parametrize(
    "end", [[e.WorkloadGone(workload_id=id_of("workload/w"), end_seen=True)], [gone("w", "w")], []]
)
def test_what_was_promised_to_who_had_gone_meanwhile_leaves_nothing_when_it_is_taken_back(
    end: list[e.AnyEvent],
) -> None:
    ended = [gone("w", "w"), e.WorkloadGone(workload_id=id_of("workload/w"), end_seen=True)]
    state = state_of(node("a"), *group("w", [pod("w", "w")]), *end, promised("w"), *ended, released("w"))
    assert state == State(position=state.position, now=state.now, plan_version=state.plan_version, nodes=state.nodes)
    assert (state.members, state.tenants) == ({}, {})


def test_an_event_applied_again_changes_nothing() -> None:
    events = recorded([node("a"), *gang("g", 2), promised("g-0")])
    once, twice = State(), State()
    for one in events:
        once.apply(one)
    for one in [*events, *events]:
        twice.apply(one)
    assert once == twice


def test_what_is_kept_when_nodes_come_and_go_is_what_a_new_look_would_find() -> None:
    runs = [running(f"r-{name}", f"r-{name}", name, "0") for name in "ab"]
    groups = [event for facts in runs for event in group(facts.name, [facts])]
    state = state_of(node("a"), node("b"), *groups, *gang("waits", 3, gpus=8))
    take_snapshot(state)
    for one in recorded([e.NodeGone(node_id=node("a").node_id, name="a"), node("c")], first=state.position + 1):
        state.apply(one)
    kept = take_snapshot(state)
    state.picture, state.changes = None, Changes()
    fresh = take_snapshot(state)
    assert (kept.views, kept.holding, kept.groups) == (fresh.views, fresh.holding, fresh.groups)
    assert (kept.idle.devices == fresh.idle.devices).all()
    assert len(kept.groups) == 1


def test_what_is_written_of_a_workload_after_its_end_is_kept_nowhere() -> None:
    workload_id, group_id = id_of("workload/w"), id_of("group/w")
    ended = e.WorkloadGone(workload_id=workload_id, end_seen=True)
    passed = e.DeadlinePassed(workload_id=workload_id, pod_group_id=group_id, deadline="stale-gang")
    state = state_of(*group("w", [pod("w", "w")]), ended, blocked("w"), passed)
    assert state.workloads == {}


def test_a_nomination_of_several_parts_is_kept_whole_and_only_until_its_group_has_its_places() -> None:
    parts = [promised(name) for name in ("one", "two")]
    nominated = [
        part.model_copy(update={"placements": (), "nominations": (_of_group(part.placements[0], "g"),), "part": number})
        for number, part in enumerate(parts)
    ]
    state = state_of(node("a"), *nominated)
    assert [place.name for place in state.nominations[id_of("group/g")].places] == ["one", "two"]
    later = nominated[1].model_copy(update={"plan_id": id_of("later")})
    state.apply(recorded([later], first=state.position + 1)[0])
    assert [place.name for place in state.nominations[id_of("group/g")].places] == ["two"]
    placed = promised("g")
    state.apply(recorded([placed], first=state.position + 1)[0])
    assert state.nominations == {}


def _of_group(place: Placement, name: str) -> Placement:
    return place.model_copy(update={"pod_group_id": id_of(f"group/{name}")})


def test_a_node_without_tenants_is_kept_nowhere() -> None:
    facts = running("r", "r", "a", "0")
    state = state_of(node("a"), *group("r", [facts]))
    assert list(state.tenants) == ["a"]
    for one in recorded([gone("r", "r"), e.NodeGone(node_id=node("a").node_id, name="a")], first=state.position + 1):
        state.apply(one)
    assert state.tenants == {}


@pytest.mark.parametrize(
    "change",
    [
        {"scheduler_name": "default-scheduler"},
        {"gpu": GpuRequest(devices=0)},
        {"gpus": "0,1"},
        {"gpus": "0:-5000000"},
        {"gpus": "-1"},
        {"gpus": "0:500000"},
    ],
)
def test_a_pod_that_merely_says_it_holds_a_device_stops_no_plan(change: dict[str, object]) -> None:
    says = running("lone", "lone", "a", "0").model_copy(update=change)
    trains = running("train", "train", "a", "0")
    state = state_of(node("a"), *group("train", [trains]), *group("lone", [says]), *group("new", [pod("p", "new")]))
    snapshot = take_snapshot(state)
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    assert [share.index for share in made.placements[0].devices] == [1]


def test_a_node_that_lacks_something_already_is_judged_by_what_it_is_given() -> None:
    twice = [running(f"train-{number}", "train", "a", "0") for number in range(2)]
    state = state_of(node("a"), *group("train", twice), *group("new", [pod("p", "new")]))
    snapshot = take_snapshot(state)
    made = plan(snapshot)
    assert made.placements
    assert faults(snapshot, made) == []
