"""Plans of small clusters: who is placed where, who waits, and with which reason."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muster_contracts import events as e
from muster_contracts.values import (
    DeviceShare,
    LabelRule,
    NodeTerm,
    PlacementRules,
    PodTerm,
    SpreadRule,
    Taint,
    Toleration,
)
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Limits, Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import belongs, gang, gone, group, id_of, node, pod, pool, project, recorded, state_of


def planned(*events: e.AnyEvent, step_limit: int = 1000) -> Plan:
    snapshot = take_snapshot(state_of(*events))
    made = plan(snapshot, Limits(step_limit=step_limit))
    assert faults(snapshot, made) == []
    return made


def where(made: Plan) -> dict[str, str]:
    return {placement.name: placement.node for placement in made.placements}


def test_a_gang_of_eight_with_room_for_seven_starts_none() -> None:
    made = planned(node("a", gpus=7), *gang("train", 8))
    assert made.placements == ()
    (blocked,) = made.blocked
    assert blocked.code == "GangDoesNotFit"
    assert (blocked.numbers["members"], blocked.numbers["largest"]) == (8, 7)
    assert "8 pods at once" in blocked.reason


def test_a_gang_that_fits_is_placed_whole_over_several_nodes() -> None:
    made = planned(node("a", gpus=4), node("b", gpus=4), *gang("train", 8))
    assert sorted(where(made).values()) == ["a"] * 4 + ["b"] * 4
    assert made.blocked == ()


def test_a_failed_gang_leaves_its_room_to_the_next() -> None:
    made = planned(node("a", gpus=7), *gang("big", 8, age=60), *gang("small", 3))
    assert sorted(where(made)) == ["small-0", "small-1", "small-2"]


def test_pods_fill_the_fullest_node_that_fits() -> None:
    busy = pod("busy", "busy", gpus=6, node="b", phase="Running")
    made = planned(node("a"), node("b"), *group("busy", [busy]), *group("new", [pod("new", "new", gpus=2)]))
    assert where(made) == {"new": "b"}


def test_pods_without_devices_leave_gpu_nodes_alone_while_they_can() -> None:
    made = planned(node("gpu"), node("plain", gpus=0), *group("web", [pod("web", "web", gpus=0)]))
    assert where(made) == {"web": "plain"}


def test_devices_are_the_lowest_free_ones_and_never_shared() -> None:
    first = pod("first", "first", gpus=3, node="a", phase="Running")
    first = first.model_copy(update={"gpus": "0,1,4"})
    made = planned(node("a"), *group("first", [first]), *group("next", [pod("next", "next", gpus=2)]))
    assert made.placements[0].devices == (DeviceShare(index=2), DeviceShare(index=3))


def test_a_pod_larger_than_every_node_says_what_the_largest_has() -> None:
    made = planned(node("a", gpus=5), node("b", gpus=3), *group("big", [pod("big", "big", gpus=8)]))
    (blocked,) = made.blocked
    assert blocked.code == "NoFittingNode"
    assert blocked.reason == "big needs 8 GPUs on one node; the largest has 5 GPUs."
    assert (blocked.numbers["needed"], blocked.numbers["largest"]) == (8, 5)


def test_a_gang_with_missing_pods_waits_for_them() -> None:
    made = planned(node("a"), *group("half", [pod("half-0", "half")], min_members=2))
    assert made.blocked[0].code == "PodsMissing"
    assert made.placements == ()


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        ({"ready": False}, "NodePoolUnschedulable"),
        ({"unschedulable": True}, "NodePoolUnschedulable"),
        ({"taints": (Taint(key="k", effect="NoSchedule"),)}, "NodesUnsuitable"),
    ],
)
def test_nodes_that_take_nobody_are_left_out(trouble: dict[str, object], code: str) -> None:
    made = planned(node("a", **trouble), *gang("train", 1))
    assert made.placements == ()
    assert made.blocked[0].code == code


def test_a_tolerated_taint_is_no_hindrance() -> None:
    tainted = node("a", taints=(Taint(key="team", value="x", effect="NoSchedule"),))
    tolerant = pod("p", "p", tolerations=(Toleration(key="team", operator="Exists"),))
    assert where(planned(tainted, *group("p", [tolerant]))) == {"p": "a"}


def test_a_toleration_of_another_effect_does_not_help() -> None:
    tainted = node("a", taints=(Taint(key="team", value="x", effect="NoSchedule"),))
    intolerant = pod("p", "p", tolerations=(Toleration(key="team", operator="Exists", effect="NoExecute"),))
    assert planned(tainted, *group("p", [intolerant])).placements == ()


def test_a_node_selector_is_obeyed() -> None:
    choosy = pod("p", "p", node_selector={"zone": "b"})
    made = planned(node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}), *group("p", [choosy]))
    assert where(made) == {"p": "b"}


def test_priority_goes_before_age() -> None:
    old = group("old", [pod("old", "old", gpus=8, age=100)])
    urgent = group("urgent", [pod("urgent", "urgent", gpus=8)], priority="build")
    assert where(planned(node("a"), *old, *urgent)) == {"urgent": "a"}


def test_a_plan_out_of_steps_says_so_and_keeps_gangs_whole() -> None:
    made = planned(node("a"), *gang("one", 2), *gang("two", 2, age=-10), step_limit=1)
    assert sorted(where(made)) == ["one-0", "one-1"]
    assert made.blocked[0].code == "BudgetExhausted"


def test_pods_of_other_schedulers_are_not_ours_to_place_but_hold_what_they_use() -> None:
    theirs = pod("theirs", "theirs", gpus=6, node="a", phase="Running", scheduler_name="default-scheduler")
    waiting = pod("waiting", "theirs", scheduler_name="default-scheduler")
    made = planned(node("a"), *group("theirs", [theirs, waiting]), *group("ours", [pod("ours", "ours", gpus=3)]))
    assert made.placements == ()
    assert made.blocked[0].numbers["best"] == 2


def test_an_open_promise_counts_as_used_until_it_is_released() -> None:
    waiting = group("first", [pod("first", "first", gpus=8)])
    before = state_of(node("a"), *waiting)
    made = plan(take_snapshot(before))
    promise = e.PlanMade(
        cluster_id=id_of("cluster"),
        plan_id=id_of("plan"),
        based_on=made.based_on,
        epoch=1,
        planner_version="1",
        settings_digest="d",
        step_limit=10,
        placements=made.placements,
    )
    rival = group("rival", [pod("rival", "rival", gpus=1)])
    held = planned(node("a"), *waiting, promise, *rival)
    assert where(held) == {}
    released = e.PlacementReleased(
        workload_id=id_of("workload/first"),
        pod_group_id=id_of("group/first"),
        plan_id=id_of("plan"),
        pod_ids=(id_of("pod/first"),),
        reason="Pod first is gone.",
    )
    gone = e.PodGone.model_validate(
        {
            "workload_id": id_of("workload/first"),
            "pods": [{"pod_id": id_of("pod/first"), "name": "first", "last_phase": "Pending"}],
        }
    )
    assert where(planned(node("a"), *waiting, promise, *rival, released, gone)) == {"rival": "a"}


def test_a_late_sighting_of_an_unbound_pod_does_not_free_its_place() -> None:
    waiting = group("first", [pod("first", "first", gpus=8)])
    scheduled = e.PodScheduled.model_validate(
        {
            "workload_id": id_of("workload/first"),
            "pod_group_id": id_of("group/first"),
            "plan_id": id_of("plan"),
            "pods": [
                {
                    "pod_id": id_of("pod/first"),
                    "name": "first",
                    "node": "a",
                    "devices": [{"index": i} for i in range(8)],
                }
            ],
        }
    )
    late = e.PodObserved(workload_id=id_of("workload/first"), pods=(pod("first", "first", gpus=8),))
    made = planned(node("a"), *waiting, scheduled, late, *group("rival", [pod("rival", "rival")]))
    assert made.placements == ()


clusters = st.lists(
    st.builds(lambda g, c, m: (g, c, m), st.integers(0, 8), st.integers(1, 16), st.integers(1, 64)),
    min_size=1,
    max_size=6,
)
gangs = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(0, 4), st.integers(1, 8), st.integers(1, 32), st.integers(0, 3), st.booleans()
    ),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(nodes=clusters, wanted=gangs, data=st.data())
def test_any_plan_of_any_cluster_is_sound_repeatable_and_explains_everybody(
    nodes: list[tuple[int, int, int]], wanted: list[tuple[int, int, int, int, int, bool]], data: st.DataObject
) -> None:
    events: list[e.AnyEvent] = [node(f"n{i}", gpus=g, cpu=c, memory=m) for i, (g, c, m) in enumerate(nodes)]
    groups = []
    for i, (size, gpus, cpu, memory, age, whole) in enumerate(wanted):
        pods = [pod(f"g{i}-{k}", f"g{i}", gpus=gpus, cpu=cpu, memory=memory, age=age) for k in range(size)]
        groups.append(group(f"g{i}", pods, min_members=size if whole else 1))
    made = planned(*events, *[event for one in groups for event in one])
    shuffled = data.draw(st.permutations(groups))
    again = planned(*events, *[event for one in shuffled for event in one])
    assert again.placements == made.placements
    placed = {placement.pod_id for placement in made.placements}
    explained = {blocked.pod_group_id for blocked in made.blocked}
    state = state_of(*events, *[event for one in groups for event in one])
    for waiting in state.groups.values():
        assert set(state.members[waiting.id]) <= placed or waiting.id in explained


WEB = LabelRule(key="app", values=("web",))
rules = st.sampled_from(
    [
        None,
        None,
        PlacementRules(apart=(PodTerm(topology_key="zone", rules=(WEB,)),)),
        PlacementRules(near=(PodTerm(topology_key="zone", rules=(WEB,)),)),
        PlacementRules(spread=(SpreadRule(topology_key="zone", rules=(WEB,)),)),
        PlacementRules(host_ports=("TCP/80",)),
        PlacementRules(nodes=(NodeTerm(rules=(LabelRule(key="zone", operator="NotIn", values=("z0",)),)),)),
        PlacementRules(volumes=((NodeTerm(names=("n0", "n1")),),)),
    ]
)
wishes = st.fixed_dictionaries(
    {
        "rules": rules,
        "labels": st.sampled_from([{}, {"app": "web"}]),
        "node_selector": st.sampled_from([{}, {}, {"zone": "z1"}]),
        "tolerations": st.sampled_from([(), (Toleration(operator="Exists"),)]),
    }
)
places = st.lists(
    st.fixed_dictionaries(
        {
            "labels": st.fixed_dictionaries(
                {"zone": st.sampled_from(["z0", "z1", "z2"]), "pool": st.sampled_from(["x", "y", ""])}
            ),
            "taints": st.sampled_from([(), (), (Taint(key="t", effect="NoSchedule"),)]),
            "ready": st.sampled_from([True, True, True, False]),
        }
    ),
    min_size=1,
    max_size=6,
)
members = st.tuples(
    st.integers(1, 3), wishes, st.sampled_from([("x",), ("x", "y"), ("y", "default"), ()]), st.booleans()
)


@settings(max_examples=200, deadline=None)
@given(nodes=places, wanted=st.lists(members, max_size=6))
def test_no_plan_breaks_a_rule_about_nodes_pools_or_other_pods(
    nodes: list[dict[str, Any]], wanted: list[tuple[int, dict[str, Any], tuple[str, ...], bool]]
) -> None:
    events: list[e.AnyEvent] = [pool("x"), pool("y")]
    events += [node(f"n{i}", gpus=2, **more) for i, more in enumerate(nodes)]
    for i, (size, wish, pools, whole) in enumerate(wanted):
        pods = [pod(f"g{i}-{k}", f"g{i}", **wish) for k in range(size)]
        events += group(f"g{i}", pods, min_members=size if whole else 1, node_pools=pools)
    planned(*events)  # which checks it
    assert planned(*events) == planned(*events)


def test_a_workload_that_ends_while_a_quota_changes_is_forgotten() -> None:
    state = state_of(node("a", gpus=1), project("p", 1), belongs("old", "p"), *gang("old", 1))
    assert [view.name for view in take_snapshot(state).views.values()] == ["old"]
    ends = [gone("old-0", "old"), e.WorkloadGone(workload_id=id_of("workload/old"), end_seen=True), project("p", 2)]
    for one in recorded(ends, first=state.position + 1):
        state.apply(one)
    assert take_snapshot(state).views == {}
