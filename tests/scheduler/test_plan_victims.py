"""Who has to go for whom: reclaim, preemption, consolidation, stale gangs, and what is promised meanwhile."""

from cProfile import Profile
from datetime import timedelta

from muster_contracts import events as e
from muster_contracts.values import WHOLE_GPU, GpuRequest, LabelRule, PlacementRules, PodFacts, SpreadRule
from muster_scheduler.core.check import faults
from muster_scheduler.core.deadlines import next_deadline
from muster_scheduler.core.plan import Limits, Plan, plan
from muster_scheduler.core.promises import SUCCESSOR_SECONDS
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from muster_scheduler.core.terrain import labels_match
from scheduler.worlds import (
    START,
    belongs,
    gang,
    gone,
    group,
    id_of,
    node,
    plan_made,
    pod,
    pool,
    project,
    recorded,
    running,
    state_of,
)

AT_ONCE = Limits(stale_gang_seconds=0)


def next_plan(state: State, limits: Limits = AT_ONCE) -> Plan:
    snapshot = take_snapshot(state)
    made = plan(snapshot, limits)
    assert faults(snapshot, made) == []
    return made


def tell(state: State, *events: e.AnyEvent) -> State:
    for one in recorded(events, first=state.position + 1):
        state.apply(one)
    return state


def victims(made: Plan) -> dict[str, str]:
    return {victim.name: victim.rule for victim in made.victims}


def placed(made: Plan) -> list[str]:
    return sorted(placement.name for placement in made.placements)


def nominated(made: Plan) -> list[str]:
    return sorted(nomination.name for nomination in made.nominations)


def singles(prefix: str, number: int, to: str, *, priority: str = "train") -> list[e.AnyEvent]:
    """Return so many running one-GPU workloads on node a, the first the oldest."""
    events: list[e.AnyEvent] = []
    for index in range(number):
        name = f"{prefix}{index}"
        one = running(name, name, "a", str(index), age=100 - index)
        events += [belongs(name, to), *group(name, [one], priority=priority)]
    return events


def test_the_more_important_takes_the_place_of_the_newest_of_the_least_important() -> None:
    state = state_of(node("a", gpus=3), project("p", 3), *singles("t", 3, "p"), belongs("new", "p"))
    made = next_plan(tell(state, *gang("new", 1, priority="build")))
    assert victims(made) == {"t2": "preempt"}
    assert (placed(made), nominated(made)) == ([], ["new-0"])


def test_nobody_else_gets_the_place_that_victims_leave() -> None:
    state = state_of(node("a", gpus=2), project("p", 2), *singles("t", 2, "p"), belongs("new", "p"))
    tell(state, *gang("new", 1, gpus=2, priority="build"))
    made = next_plan(state)
    assert victims(made) == {"t0": "preempt", "t1": "preempt"}
    tell(state, plan_made(made), gone("t0", "t0"), belongs("other", "p"), *gang("other", 1, age=10_000))
    meanwhile = next_plan(state)
    assert not meanwhile.decides, "one device is free, and it is promised"
    assert {blocked.code for blocked in meanwhile.blocked} == {"RoomIsBeingMade", "FairShareExceeded"}
    tell(state, gone("t1", "t1"))
    assert placed(next_plan(state)) == ["new-0"]


def test_places_that_are_free_one_by_one_and_not_together_are_waited_for() -> None:
    state = state_of(node("a", gpus=0, cpu=3), project("p", None))
    for name in ("t0", "t1"):
        tell(state, belongs(name, "p"), *group(name, [running(name, name, "a", gpus=0)]))
    made = next_plan(tell(state, belongs("new", "p"), *gang("new", 2, gpus=0, priority="build")))
    assert (len(made.victims), nominated(made)) == (1, ["new-0", "new-1"])
    tell(state, plan_made(made))
    assert not next_plan(state).decides, "one processor is free, and each of the two pods needs no more"
    tell(state, gone(made.victims[0].name, made.victims[0].name))
    assert placed(next_plan(state)) == ["new-0", "new-1"]


def test_a_promise_is_void_when_its_device_is_there_no_more() -> None:
    state = state_of(node("a", gpus=2), project("p", 2), *singles("t", 2, "p"), belongs("new", "p"))
    made = next_plan(tell(state, *gang("new", 2, priority="build")))
    tell(state, plan_made(made), gone("t0", "t0"), gone("t1", "t1"), node("a", gpus=1))
    assert not next_plan(state).placements


def test_preempting_for_twice_as_many_is_about_twice_the_work() -> None:
    """Those who ask one after the other do not each walk over what those before them walked over."""
    assert _steps_of_preempting_on(200) < 2.3 * _steps_of_preempting_on(100)


def _steps_of_preempting_on(nodes: int) -> int:
    """Return the steps of a plan that takes three of four pods from every node."""
    state = state_of(*(node(f"n{n}", gpus=0, cpu=4) for n in range(nodes)), project("p", None))
    for number in range(4 * nodes):
        name = f"low{number}"
        tell(state, belongs(name, "p"), *group(name, [running(name, name, f"n{number // 4}", gpus=0)]))
    for number in range(nodes):
        name = f"high{number}"
        tell(state, belongs(name, "p"), *gang(name, 1, gpus=0, cpu=3, priority="build"))
    made = plan(take_snapshot(state))
    assert len(made.victims) == 3 * nodes
    return made.steps


def test_who_has_to_be_spread_looks_at_the_labels_of_the_others_once() -> None:
    """Every attempt asks whether the pod will be permitted without those who go; none begins from nothing."""
    assert _looks_of_preempting_on(100) < 2.3 * _looks_of_preempting_on(50)


def _looks_of_preempting_on(nodes: int) -> int:
    """Return how often labels are compared with rules in a plan in which a pod for every tenth node has to preempt."""
    app = {"app": "web"}
    rule = SpreadRule(topology_key="zone", rules=(LabelRule(key="app", values=("web",)),))
    state = state_of(*(node(f"n{n}", gpus=2, labels={"zone": f"z{n % 2}"}) for n in range(nodes)), project("p", None))
    for number in range(nodes):
        name, on = f"low{number}", f"n{number}"
        pods = [running(f"{name}-{device}", name, on, device, labels=app) for device in "01"]
        tell(state, belongs(name, "p"), *group(name, pods))
    for number in range(nodes // 10):
        name = f"high{number}"
        rules = PlacementRules(spread=(rule,))
        tell(state, belongs(name, "p"), *gang(name, 1, priority="build", labels=app, rules=rules))
    snapshot, profile = take_snapshot(state), Profile()
    made = profile.runcall(plan, snapshot)
    assert len(made.victims) == nodes // 10
    return sum(entry.callcount for entry in profile.getstats() if entry.code is labels_match.__code__)


def test_parts_of_several_gpus_are_looked_for_where_leaving_frees_different_ones() -> None:
    """What could be freed of one device alone is not tried, node after node."""
    assert _steps_of_preempting_for_parts_on(200) < 1.5 * _steps_of_preempting_for_parts_on(50)


def _steps_of_preempting_for_parts_on(nodes: int) -> int:
    """Return the steps of a plan in which two GPUs can give parts on the first node alone, whose pods go last."""
    quarter, quarters = (GpuRequest(devices=count, portion_millionths=250_000) for count in (1, 2))
    state = state_of(*(node(f"n{n}", gpus=2) for n in range(nodes)), project("p", None), belongs("new", "p"))
    for number in range(nodes):
        part, whole, on = f"part{number}", f"whole{number}", f"n{number}"
        tell(state, belongs(part, "p"), *group(part, [running(part, part, on, "0:250000", gpu=quarter)]))
        priority = "build" if number else "train"
        tell(state, belongs(whole, "p"), *group(whole, [running(whole, whole, on, "1")], priority=priority))
    made = next_plan(tell(state, *gang("new", 1, gpu=quarters, priority="build")))
    assert [victim.name for victim in made.victims] == ["whole0"]
    return made.steps


def test_a_refused_eviction_lets_the_victim_stay_and_voids_the_promise() -> None:
    state = state_of(node("a", gpus=1), project("p", 1), *singles("t", 1, "p"), belongs("new", "p"))
    made = next_plan(tell(state, *gang("new", 1, priority="build")))
    refused = e.PlacementReleased(
        workload_id=id_of("workload/t0"),
        pod_group_id=id_of("group/t0"),
        plan_id=id_of("plan/1"),
        pod_ids=(id_of("pod/t0"),),
        reason="A disruption budget forbids it.",
    )
    tell(state, plan_made(made), refused)
    assert take_snapshot(state).releasing is None


def test_what_is_released_already_is_waited_for_instead_of_taking_more() -> None:
    leaving = running("old", "old", "a", "0", terminating=True)
    events = [node("a", gpus=2), project("p", 2), belongs("old", "p"), *group("old", [leaving])]
    kept = [belongs("keep", "p"), *group("keep", [running("keep", "keep", "a", "1")])]
    state = state_of(*events, *kept, belongs("new", "p"), *gang("new", 1, priority="build"))
    made = next_plan(state)
    assert (victims(made), nominated(made)) == ({}, ["new-0"])


def test_projects_take_back_what_is_theirs_and_no_more() -> None:
    events = [node("a", gpus=4), project("p", 2), project("q", 2), *singles("p", 4, "p")]
    for number in range(3):
        events += [belongs(f"q{number}", "q"), *gang(f"q{number}", 1, age=-number)]
    made = next_plan(state_of(*events))
    assert victims(made) == {"p3": "reclaim", "p2": "reclaim"}
    assert nominated(made) == ["q0-0", "q1-0"]
    (blocked,) = (one for one in made.blocked if one.code == "FairShareExceeded")
    assert blocked.numbers["held"] + blocked.numbers["needed"] > blocked.numbers["fair_share"] == 2 * WHOLE_GPU


def test_priority_counts_for_nothing_between_projects() -> None:
    events = [
        node("a", gpus=2),
        project("p", 1),
        project("q", 1),
        *singles("p", 2, "p", priority="interactive-preemptible"),
    ]
    made = next_plan(state_of(*events, belongs("new", "q"), *gang("new", 1, priority="train")))
    assert victims(made) == {"p1": "reclaim"}


def test_what_cannot_be_preempted_is_left_alone() -> None:
    events = [node("a", gpus=2), project("p", 2), project("q", 2), *singles("p", 2, "p", priority="build")]
    assert victims(next_plan(state_of(*events, belongs("new", "q"), *gang("new", 1)))) == {}


def test_a_gang_loses_the_pods_it_can_spare_before_it_goes_whole() -> None:
    pods = [running(f"g{i}", "g", "a", str(i), order_priority=i) for i in range(4)]
    events = [node("a", gpus=4), project("p", 4), belongs("g", "p"), *group("g", pods, min_members=2)]
    two = next_plan(state_of(*events, belongs("new", "p"), *gang("new", 1, gpus=2, priority="build")))
    assert victims(two) == {"g0": "preempt", "g1": "preempt"}
    three = next_plan(state_of(*events, belongs("new", "p"), *gang("new", 1, gpus=3, priority="build")))
    assert len(victims(three)) == 4


def test_pods_move_together_so_that_a_larger_one_fits() -> None:
    events: list[e.AnyEvent] = [node("a", gpus=2), node("b", gpus=2)]
    events += [*group("x", [running("x", "x", "a", "0", age=50)]), *group("y", [running("y", "y", "b", "0")])]
    made = next_plan(state_of(*events, *gang("new", 1, gpus=2)))
    assert victims(made) == {"y": "consolidate"}
    assert {place.name: place.node for place in made.nominations} == {"new-0": "b", "y": "a"}


def test_who_moved_finds_his_place_kept_until_his_successor_is_there() -> None:
    state = _after_a_move()
    tell(state, *gang("other", 1, age=10_000))
    meanwhile = next_plan(state)
    assert placed(meanwhile) == ["new-0"], "the free GPU is kept for who moved"
    tell(state, plan_made(meanwhile, number=2), *_successor_of_y())
    assert placed(next_plan(state)) == ["y-again"]


def test_a_place_is_not_kept_for_ever_for_who_moved() -> None:
    state = _after_a_move()
    went_at = state.now
    assert went_at is not None
    tell(state, *gang("other", 1, age=10_000))
    tell(state, plan_made(next_plan(state), number=2))
    assert not placed(next_plan(state))
    over = next_deadline(take_snapshot(state), AT_ONCE)
    assert over is not None
    assert (over.deadline, over.at) == ("awaited-successor", went_at + timedelta(seconds=SUCCESSOR_SECONDS))
    passed = e.DeadlinePassed(
        workload_id=over.workload_id, pod_group_id=over.pod_group_id, deadline=over.deadline, at=over.at
    )
    assert placed(next_plan(tell(state, passed))) == ["other-0"]


def _after_a_move() -> State:
    """Return a world in which y went from b to let new-0 in, and is to be on a, beside x."""
    events: list[e.AnyEvent] = [node("a", gpus=2), node("b", gpus=2)]
    events += [*group("x", [running("x", "x", "a", "0", age=50)]), *group("y", [running("y", "y", "b", "0")])]
    state = state_of(*events, *gang("new", 1, gpus=2))
    return tell(state, plan_made(next_plan(state)), gone("y", "y"))


def _successor_of_y() -> list[e.AnyEvent]:
    again = pod("y-again", "y")
    return [e.PodObserved(workload_id=id_of("workload/y"), pods=(again,))]


def test_a_node_that_others_have_just_moved_to_is_not_emptied_next() -> None:
    events: list[e.AnyEvent] = [node(name, gpus=2) for name in "abcd"]
    ages = {"a": 10, "b": 30, "c": 20, "d": 0}  # the pod on d moves first, and to a, whose own is the next youngest
    for name, age in ages.items():
        events += group(f"on-{name}", [running(f"on-{name}", f"on-{name}", name, "0", age=age)])
    events += [*gang("one", 1, gpus=2), *gang("two", 1, gpus=2)]
    made = next_plan(state_of(*events), Limits(consolidation_pods=1))
    assert victims(made) == {"on-d": "consolidate", "on-c": "consolidate"}
    places = {place.name: place.node for place in made.nominations}
    assert (places["on-d"], places["on-c"], {places["one-0"], places["two-0"]}) == ("a", "b", {"c", "d"})


def test_nobody_moves_when_it_does_not_help() -> None:
    events: list[e.AnyEvent] = [node("a", gpus=2), node("b", gpus=2)]
    events += [*group("x", [running("x", "x", "a", "0")]), *group("y", [running("y", "y", "b", "0,1", gpus=2)])]
    made = next_plan(state_of(*events, *gang("new", 1, gpus=2)))
    assert not made.decides
    assert made.blocked[0].code == "NoFittingNode"


def test_a_gang_that_is_short_is_evicted_when_its_grace_is_over_and_not_before() -> None:
    pods = [running("g0", "g", "a", "0"), pod("g1", "g", gpus=8)]
    state = state_of(node("a", gpus=1), *group("g", pods, min_members=2))
    assert victims(next_plan(state, Limits(stale_gang_seconds=60))) == {}
    deadline = next_deadline(take_snapshot(state), Limits(stale_gang_seconds=60))
    assert deadline is not None
    assert deadline.deadline == "stale-gang"
    passed = e.DeadlinePassed(
        workload_id=deadline.workload_id, pod_group_id=deadline.pod_group_id, deadline=deadline.deadline
    )
    (late,) = recorded([passed], first=state.position + int((deadline.at - START) / timedelta(seconds=1)))
    state.apply(late)
    assert victims(next_plan(state, Limits(stale_gang_seconds=60))) == {"g0": "stale-gang"}


def test_a_minimum_run_time_protects_against_reclaim_until_it_is_over() -> None:
    scheduled = e.PodScheduled.model_validate(
        {
            "workload_id": id_of("workload/p0"),
            "pod_group_id": id_of("group/p0"),
            "plan_id": id_of("plan/0"),
            "pods": [{"pod_id": id_of("pod/p0"), "name": "p0", "node": "a", "devices": [{"index": 0}]}],
        }
    )
    lender = project("p", 0, reclaim_minimum_seconds=100)
    state = state_of(node("a", gpus=1), lender, project("q", 1), *singles("p", 1, "p"), scheduled, belongs("new", "q"))
    tell(state, *gang("new", 1))
    assert victims(next_plan(state)) == {}
    deadline = next_deadline(take_snapshot(state), AT_ONCE)
    assert deadline is not None
    assert deadline.deadline == "minimum-run-time"
    passed = e.DeadlinePassed(
        workload_id=deadline.workload_id, pod_group_id=deadline.pod_group_id, deadline=deadline.deadline
    )
    (late,) = recorded([passed], first=int((deadline.at - START) / timedelta(seconds=1)))
    state.apply(late)
    assert victims(next_plan(state)) == {"p0": "reclaim"}


def test_a_department_shares_what_a_sibling_leaves() -> None:
    one = e.DepartmentChanged.model_validate(
        {
            "department_id": id_of("d"),
            "name": "d",
            "quotas": [{"gpu_millionths": 2 * WHOLE_GPU}],
            "changed_by": {"name": "admin"},
        }
    )
    events = [node("a", gpus=4), one, project("p", 1, department="d"), project("q", 1, department="d")]
    made = next_plan(state_of(*events, *singles("p", 4, "p"), belongs("new", "q"), *gang("new", 1)))
    assert victims(made) == {"p3": "reclaim"}


def test_room_is_made_in_the_first_pool_of_the_list_and_only_there() -> None:
    events: list[e.AnyEvent] = [pool("x"), pool("y")]
    for name in ("x", "y"):
        old = running(name, name, name, "0")
        events += [node(name, gpus=1, labels={"pool": name}), *group(name, [old], node_pools=(name,))]
    state = state_of(*events, *gang("new", 1, priority="build", node_pools=("y", "x")))
    made = next_plan(state)
    assert victims(made) == {"y": "preempt"}
    assert [nomination.node for nomination in made.nominations] == ["y"]


def test_an_elastic_group_that_starts_in_its_second_pool_stays_in_it() -> None:
    nodes = [node("a", gpus=1, labels={"pool": "x"}), node("b", gpus=1, labels={"pool": "y"})]
    full = group("old", [running("old", "old", "a", "0")], priority="build", node_pools=("x",))
    pods = [pod("g-0", "g"), pod("g-1", "g")]
    made = next_plan(state_of(pool("x"), pool("y"), *nodes, *full, *group("g", pods, node_pools=("x", "y"))))
    assert placed(made) == ["g-0"]
    assert made.placements[0].node == "b"
    assert [blocked.code for blocked in made.blocked] == ["NoFittingNode"]


def test_a_gang_whose_core_goes_leaves_nobody_behind() -> None:
    pods = [running(f"g{i}", "g", "ab"[i // 2], str(i % 2), order_priority=i) for i in range(4)]
    events = [node("a", gpus=2), node("b", gpus=2), project("p", 4), belongs("g", "p")]
    state = state_of(*events, *group("g", pods, min_members=3), belongs("new", "p"))
    made = next_plan(tell(state, *gang("new", 1, gpus=2, priority="build")))
    assert sorted(victims(made)) == ["g0", "g1", "g2", "g3"]


def test_a_project_within_its_quota_is_not_robbed_for_one_that_is_within_its_own() -> None:
    events: list[e.AnyEvent] = [node("a", gpus=2), node("b", gpus=2), project("p", 2), project("q", 2), project("r", 1)]
    for name, to, where, device, priority in (
        ("p0", "p", "a", "0", "train"),
        ("p1", "p", "a", "1", "train"),
        ("p2", "p", "b", "0", "train"),
        ("r0", "r", "b", "1", "build"),
    ):
        events += [belongs(name, to), *group(name, [running(name, name, where, device)], priority=priority)]
    made = next_plan(state_of(*events, belongs("new", "q"), *gang("new", 1, gpus=2)))
    assert victims(made) == {}


def test_a_promise_that_nobody_can_take_up_keeps_nobody_away() -> None:
    state = state_of(node("a", gpus=1), project("p", 1), *singles("t", 1, "p"), belongs("new", "p"))
    tell(state, *gang("new", 2, gpus=0, priority="build"))
    formed, seen = group("new", [pod("new-0", "new"), pod("new-1", "new", gpus=0)], min_members=2, priority="build")
    made = next_plan(tell(state, formed, seen))
    assert victims(made) == {"t0": "preempt"}
    tell(state, plan_made(made), gone("t0", "t0"), gone("new-1", "new"))
    assert {blocked.code for blocked in next_plan(state).blocked} == {"PodsMissing"}
    assert placed(next_plan(tell(state, belongs("other", "p"), *gang("other", 1)))) == ["other-0"]


def test_among_equals_the_project_of_higher_priority_is_served_first() -> None:
    events = [node("a", gpus=1), project("p", 1), project("q", 1, priority=101)]
    waiting = [belongs("first", "p"), *gang("first", 1, age=60), belongs("second", "q"), *gang("second", 1)]
    assert placed(next_plan(state_of(*events, *waiting))) == ["second-0"]


def test_a_nomination_is_over_when_its_group_is_placed() -> None:
    state = state_of(node("a", gpus=1), project("p", 1), *singles("t", 1, "p"), belongs("new", "p"))
    made = next_plan(tell(state, *gang("new", 1, priority="build")))
    tell(state, plan_made(made), gone("t0", "t0"))
    assert list(take_snapshot(state).nominations) == [id_of("group/new")]
    tell(state, plan_made(next_plan(state), number=2))
    assert take_snapshot(state).nominations == {}


def test_with_the_core_of_a_gang_goes_what_it_could_spare_on_other_nodes() -> None:
    pods = [running("g0", "g", "a", "0"), running("g1", "g", "a", "1"), running("g2", "g", "b", "0", order_priority=-1)]
    keep = running("keep", "keep", "b", "1")
    events = [node("a", gpus=2), node("b", gpus=2), project("p", 4), belongs("g", "p"), belongs("keep", "p")]
    events += [*group("g", pods, min_members=2), *group("keep", [keep], priority="build"), belongs("new", "p")]
    made = next_plan(state_of(*events, *gang("new", 1, gpus=2, priority="build")))
    assert sorted(victims(made)) == ["g0", "g1", "g2"]


def test_a_gang_keeps_its_core_while_a_pod_beyond_it_is_being_placed() -> None:
    waiting = pod("g2", "g")
    pods = [running("g0", "g", "a", "0"), running("g1", "g", "a", "1"), waiting]
    events = [node("a", gpus=4), project("p", 4), belongs("g", "p"), *group("g", pods, min_members=2)]
    state = state_of(*events, belongs("new", "p"), *gang("new", 1, gpus=3, priority="build"))
    made = next_plan(state)
    assert (placed(made), victims(made)) == (["g2"], {})


def test_who_has_no_share_gives_back_all_that_another_has_a_share_of() -> None:
    events = [node("a", gpus=2), project("p", 0, over_quota_weight=0), project("q", 0), *singles("p", 2, "p")]
    for number in range(2):
        events += [belongs(f"q{number}", "q"), *gang(f"q{number}", 1, age=-number)]
    assert victims(next_plan(state_of(*events))) == {"p1": "reclaim", "p0": "reclaim"}


def test_who_leaves_is_waited_for_even_when_its_workload_is_forgotten() -> None:
    state = state_of(node("a", gpus=1), project("p", 1), *singles("t", 1, "p"), belongs("new", "p"))
    leaving = running("t0", "t0", "a", "0", terminating=True)
    tell(state, e.PodObserved(workload_id=id_of("workload/t0"), pods=(leaving,)))
    tell(state, e.WorkloadGone(workload_id=id_of("workload/t0"), end_seen=False), *gang("new", 1))
    made = next_plan(state)
    assert (nominated(made), victims(made)) == (["new-0"], {})


def scheduled(*pods: PodFacts) -> e.PodScheduled:
    """Return the event that the pods of one group were bound to node a, each to a device of its own."""
    bound = [
        {"pod_id": one.pod_id, "name": one.name, "node": "a", "devices": [{"index": index}]}
        for index, one in enumerate(pods)
    ]
    group_id, plan_id = pods[0].pod_group_id, id_of("plan/0")
    fields = {"workload_id": id_of("workload/g"), "pod_group_id": group_id, "plan_id": plan_id, "pods": bound}
    return e.PodScheduled.model_validate(fields)


def test_a_minimum_run_time_protects_a_gang_and_not_what_it_can_spare() -> None:
    pods = [running(f"g{i}", "g", "a", str(i), order_priority=i) for i in range(3)]
    lender = project("p", 0, reclaim_minimum_seconds=100)
    events = [node("a", gpus=3), lender, project("q", 3), belongs("g", "p"), *group("g", pods, min_members=2)]
    state = state_of(*events, scheduled(*pods), belongs("one", "q"), *gang("one", 1))
    assert victims(next_plan(state)) == {"g0": "reclaim"}
    tell(state, belongs("two", "q"), *gang("two", 2, age=60))
    assert victims(next_plan(state)) == {"g0": "reclaim"}


def test_beside_a_pod_that_has_to_stay_a_gang_gives_only_what_it_can_spare() -> None:
    pods = [running(f"g{i}", "g", "a", str(i), order_priority=i) for i in range(3)]
    pods[0] = pods[0].model_copy(update={"scheduler_name": "another"})
    events = [node("a", gpus=3), project("p", 3), belongs("g", "p"), *group("g", pods, min_members=2)]
    state = state_of(*events, belongs("new", "p"), *gang("new", 1, priority="build"))
    assert victims(next_plan(state)) == {"g1": "preempt"}
    tell(state, belongs("large", "p"), *gang("large", 2, priority="inference"))
    assert victims(next_plan(state)) == {"g1": "preempt"}


def department(name: str, gpus: int, **more: object) -> e.DepartmentChanged:
    quota = {"gpu_millionths": gpus * WHOLE_GPU, **more}
    fields = {"department_id": id_of(name), "name": name, "quotas": [quota], "changed_by": {"name": "admin"}}
    return e.DepartmentChanged.model_validate(fields)


def test_departments_that_name_no_weight_divide_what_is_unused_as_their_quotas() -> None:
    events: list[e.AnyEvent] = [node("a", gpus=8), department("small", 1), department("large", 3)]
    events += [project("p", 0, department="small"), project("q", 0, department="large"), *singles("p", 8, "p")]
    for number in range(8):
        events += [belongs(f"q{number}", "q"), *gang(f"q{number}", 1, age=-number)]
    assert len(victims(next_plan(state_of(*events)))) == 6  # one and three are due, and the other four go 1 to 3


def test_a_department_may_be_given_another_weight_than_its_quota() -> None:
    events: list[e.AnyEvent] = [node("a", gpus=8), department("small", 1, over_quota_weight=1)]
    events += [department("large", 3, over_quota_weight=1)]
    events += [project("p", 0, department="small"), project("q", 0, department="large"), *singles("p", 8, "p")]
    for number in range(8):
        events += [belongs(f"q{number}", "q"), *gang(f"q{number}", 1, age=-number)]
    assert len(victims(next_plan(state_of(*events)))) == 5


def test_who_waits_beside_a_stale_gang_is_told_what_is_held_without_it() -> None:
    pods = [running("g0", "g", "a", "0"), running("g1", "g", "a", "1")]
    firm = [belongs("f", "q"), *group("f", [running("f", "f", "a", "2")], priority="build")]
    events = [node("a", gpus=3), project("p", 2), project("q", 1), *firm, belongs("g", "p")]
    events += [*group("g", pods, min_members=3), belongs("new", "p"), *gang("new", 3)]
    made = next_plan(state_of(*events))
    assert victims(made) == {"g0": "stale-gang", "g1": "stale-gang"}
    assert {blocked.code: blocked.numbers.get("held") for blocked in made.blocked} == {"FairShareExceeded": 0}


def test_what_is_above_a_limit_that_was_lowered_may_be_taken_back() -> None:
    events = [node("a", gpus=2), project("p", None), project("q", 1), *singles("p", 2, "p")]
    state = state_of(*events, project("p", None, gpu_limit_millionths=WHOLE_GPU), belongs("new", "q"), *gang("new", 1))
    assert victims(next_plan(state)) == {"p1": "reclaim"}


def test_a_gang_bound_where_it_was_nominated_asks_for_more_in_the_same_plan() -> None:
    pods = [pod(f"g{i}", "g") for i in range(3)]
    events = [node("a", gpus=2), project("p", 0), project("q", 2), *singles("p", 2, "p"), belongs("g", "q")]
    state = state_of(*events, *group("g", pods, min_members=1))
    made = next_plan(state)
    assert (victims(made), nominated(made)) == ({"p1": "reclaim"}, ["g0"])
    tell(state, plan_made(made), gone("p1", "p1"))
    made = next_plan(state)
    assert (placed(made), victims(made), nominated(made)) == (["g0"], {"p0": "reclaim"}, ["g1"])
    (blocked,) = made.blocked
    assert blocked.code == "RoomIsBeingMade"


def test_a_device_that_failed_under_a_pod_is_not_made_free_by_its_leaving() -> None:
    state = state_of(node("a", gpus=2), project("p", 2), *singles("t", 2, "p"))
    tell(state, node("a", gpus=1), belongs("new", "p"), *gang("new", 1, priority="build"))
    made = next_plan(state)
    assert victims(made) == {"t0": "preempt"}
    assert [place.devices[0].index for place in made.nominations] == [0]


def test_an_unlimited_quota_is_for_no_more_than_the_nodes_that_are_there() -> None:
    events = [node("a", gpus=2), project("p", None), project("q", 1), *singles("p", 2, "p")]
    held = running("far", "far", "b", "0,1", gpus=2)
    state = state_of(*events, node("b", gpus=2), belongs("far", "p"), *group("far", [held]))
    tell(state, node("b", gpus=2, ready=False), belongs("new", "q"), *gang("new", 1))
    assert victims(next_plan(state)) == {"p1": "reclaim"}


def test_gangs_give_what_they_can_spare_before_any_goes_whole() -> None:
    events: list[e.AnyEvent] = [node("a", gpus=4), project("p", 4), belongs("new", "p")]
    for name, device, age in (("old", 0, 60), ("young", 2, 30)):
        pods = [running(f"{name}{i}", name, "a", str(device + i), age=age, order_priority=i) for i in range(2)]
        events += [belongs(name, "p"), *group(name, pods, min_members=1)]
    made = next_plan(state_of(*events, *gang("new", 2, priority="build")))
    assert sorted(victims(made)) == ["old0", "young0"]


def test_of_two_projects_that_would_hold_alike_the_one_that_holds_less_of_its_due_is_served() -> None:
    events = [node("a", gpus=2), project("p", 2), project("q", 2), *singles("p", 1, "p")]
    waiting = [belongs("mine", "p"), *gang("mine", 1, age=60), belongs("other", "q"), *gang("other", 1)]
    assert placed(next_plan(state_of(*events, *waiting))) == ["other-0"]


def test_a_place_that_is_kept_for_a_pod_that_went_is_not_given_to_one_that_wants_more() -> None:
    small, large = pod("p-1", "g"), pod("p-2", "g", gpus=8)
    busy = [running(f"r{index}", f"r{index}", "a", str(index)) for index in range(7)]
    waiting = [event for facts in busy for event in group(facts.name, [facts])] + group("g", [small, large])
    state = state_of(node("a"), *waiting)
    place = plan(take_snapshot(state)).placements[0]
    assert place.pod_id == small.pod_id
    nominated = plan_made(Plan(state.position, nominations=(place,)))
    for one in recorded([nominated, gone("p-1", "g")], first=state.position + 1):
        state.apply(one)
    snapshot = take_snapshot(state)
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    assert made.placements == ()
    (alike,) = recorded([group("g", [pod("p-3", "g"), large])[1]], first=state.position + 1)
    state.apply(alike)
    assert [kept.devices for kept in plan(take_snapshot(state)).placements] == [place.devices]


def test_nobody_is_moved_about_for_who_is_held_back_by_a_limit() -> None:
    """Whoever moves is charged as before: what a limit forbids stays forbidden, and no step is spent on it."""
    cluster = [node("a"), node("b"), project("q", None), *singles("t", 6, "q")]
    free, limited = (
        next_plan(state_of(*cluster, project("p", None, **limit), belongs("new", "p"), *gang("new", 2, gpus=5)))
        for limit in ({}, {"gpu_limit_millionths": 9 * WHOLE_GPU})
    )
    assert set(victims(free).values()) == {"consolidate"}
    assert not limited.victims
    assert limited.steps <= 2  # one to place the gang, one to see that nobody gives way


def test_what_a_gang_has_beyond_its_core_gets_no_place_when_the_core_has_to_go() -> None:
    core = [running(f"g-{index}", "g", "a", devices) for index, devices in enumerate(["0", "1"])]
    events = [node("a", gpus=2), project("p", 2), belongs("g", "p"), belongs("new", "p")]
    state = state_of(*events, *group("g", [*core, pod("g-2", "g")], min_members=2), *gang("new", 1, priority="build"))
    made = next_plan(state)
    assert victims(made) == {"g-0": "preempt", "g-1": "preempt"}
    assert nominated(made) == ["new-0"]
    (told,) = (each for each in made.blocked if each.pod_group_id == id_of("group/g"))
    assert "meanwhile" not in told.reason
