"""Where pods may go: parts of devices, pools, domains, labels, volumes, ports and other pods."""

import pytest
from muster_contracts import events as e
from muster_contracts.values import (
    DeviceShare,
    GpuRequest,
    LabelRule,
    NodePreference,
    NodeTerm,
    Placement,
    PlacementRules,
    PodPhase,
    PodTerm,
    Resources,
    SpreadRule,
    SubGroup,
    Taint,
    TopologyConstraint,
)
from muster_scheduler.core.allocate import honour_nominations
from muster_scheduler.core.check import faults
from muster_scheduler.core.draft import Draft, Limits
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import (
    GIBIBYTE,
    belongs,
    gang,
    group,
    id_of,
    node,
    plan_made,
    pod,
    pool,
    project,
    running,
    state_of,
)

HALF = GpuRequest(devices=1, portion_millionths=500_000)
RACKS = TopologyConstraint(levels=("zone", "rack"), required="rack")
NEAR_RACK = TopologyConstraint(levels=("zone", "rack"), preferred="rack")


def planned(*events: e.AnyEvent) -> Plan:
    snapshot = take_snapshot(state_of(*events))
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    return made


def where(made: Plan) -> dict[str, str]:
    return {placement.name: placement.node for placement in made.placements}


def devices(made: Plan) -> dict[str, list[int]]:
    return {placement.name: [share.index for share in placement.devices] for placement in made.placements}


def app(name: str, **labels: str) -> dict[str, object]:
    return {"labels": {"app": name, **labels}}


def near(key: str, name: str) -> PodTerm:
    return PodTerm(topology_key=key, rules=(LabelRule(key="app", values=(name,)),))


def test_two_halves_share_a_device_and_a_third_takes_another() -> None:
    made = planned(node("a", gpus=2), *group("g", [pod(f"p{i}", "g", gpu=HALF) for i in range(3)]))
    assert devices(made) == {"p0": [0], "p1": [0], "p2": [1]}


def test_parts_take_the_fullest_device_that_has_room() -> None:
    held = running("old", "old", "a", "0:700000,1:400000", gpu=GpuRequest(devices=2, portion_millionths=400_000))
    made = planned(node("a", gpus=3), *group("old", [held]), *group("g", [pod("p", "g", gpu=HALF)]))
    assert devices(made) == {"p": [1]}


def test_several_parts_for_one_pod_are_parts_of_several_devices() -> None:
    two = GpuRequest(devices=2, portion_millionths=600_000)
    made = planned(node("a", gpus=3), *group("g", [pod("p", "g", gpu=two), pod("q", "g", gpu=two)]))
    assert devices(made) == {"p": [0, 1]}


def test_bytes_of_a_device_are_its_part_of_the_device_it_gets() -> None:
    asked = GpuRequest(devices=1, memory_bytes=20 * GIBIBYTE)
    small, large = node("a", gpus=1, gpu_memory_bytes=16 * GIBIBYTE), node("b", gpus=1, gpu_memory_bytes=80 * GIBIBYTE)
    (placement,) = planned(small, large, *group("g", [pod("p", "g", gpu=asked)])).placements
    assert (placement.node, placement.devices[0].portion_millionths) == ("b", 250_000)


def test_extended_resources_are_counted() -> None:
    gpu = "nvidia.com/GA102GL"
    rich = Resources(cpu_milli=64_000, memory_bytes=512 * GIBIBYTE, extended={gpu: 1})
    machine = Resources(cpu_milli=1000, extended={gpu: 1})
    pods = [pod(f"vm{i}", "g", gpus=0, requests=machine) for i in range(2)]
    assert where(planned(node("a", gpus=0, allocatable=rich), *group("g", pods))) == {"vm0": "a"}


def test_a_pool_that_spreads_takes_the_emptiest_node_and_device() -> None:
    held = running("old", "old", "a", "0:500000", gpu=HALF)
    events = [node("a", gpus=2), node("b", gpus=2), *group("old", [held]), *group("g", [pod("p", "g", gpu=HALF)])]
    assert where(planned(*events)) == {"p": "a"}
    assert where(planned(pool("default", gpu_placement="spread"), *events)) == {"p": "b"}


def test_pools_are_tried_in_the_order_of_the_list_until_one_has_room() -> None:
    nodes = [node("a", gpus=2, labels={"pool": "x"}), node("b", gpus=4, labels={"pool": "y"})]
    pools = [pool("x"), pool("y")]
    assert where(planned(*pools, *nodes, *gang("g", 2, node_pools=("x", "y")))) == {"g-0": "a", "g-1": "a"}
    assert where(planned(*pools, *nodes, *gang("g", 3, node_pools=("x", "y")))) == {f"g-{i}": "b" for i in range(3)}
    assert where(planned(*pools, *nodes, *gang("g", 3, node_pools=("y", "x")))) == {f"g-{i}": "b" for i in range(3)}


def test_no_gang_is_split_over_two_pools() -> None:
    nodes = [node("a", gpus=2, labels={"pool": "x"}), node("b", gpus=2, labels={"pool": "y"})]
    assert planned(pool("x"), pool("y"), *nodes, *gang("g", 3, node_pools=("x", "y"))).placements == ()


def test_what_joins_a_group_stays_in_its_pool() -> None:
    nodes = [node("a", gpus=1, labels={"pool": "x"}), node("b", gpus=2, labels={"pool": "y"})]
    pods = [running("g-0", "g", "a", "0"), pod("g-1", "g")]
    assert planned(pool("x"), pool("y"), *nodes, *group("g", pods, node_pools=("x", "y"))).placements == ()


def test_nodes_of_a_pool_are_not_in_the_default_pool() -> None:
    assert planned(pool("x"), node("a", labels={"pool": "x"}), *gang("g", 1)).placements == ()


def racks() -> list[e.NodeObserved]:
    places = {"a": "r1", "b": "r1", "c": "r2", "d": "r2", "e": "r2"}
    return [node(name, gpus=2, labels={"zone": "z", "rack": rack}) for name, rack in places.items()]


@pytest.mark.parametrize("levels", [("zone", "rack"), ()])
def test_a_required_level_that_the_topology_does_not_have_is_not_passed_over(levels: tuple[str, ...]) -> None:
    halls = TopologyConstraint(levels=levels, required="hall")
    assert planned(*racks(), *gang("g", 2, topology=halls)).placements == ()


def test_a_required_domain_holds_the_whole_gang_and_is_the_fullest_that_does() -> None:
    assert set(where(planned(*racks(), *gang("g", 4, topology=RACKS))).values()) == {"a", "b"}
    assert set(where(planned(*racks(), *gang("g", 6, topology=RACKS))).values()) == {"c", "d", "e"}
    assert planned(*racks(), *gang("g", 7, topology=RACKS)).placements == ()


def test_a_preferred_domain_is_left_only_when_it_is_too_small() -> None:
    assert set(where(planned(*racks(), *gang("g", 4, topology=NEAR_RACK))).values()) == {"a", "b"}
    assert len(where(planned(*racks(), *gang("g", 10, topology=NEAR_RACK)))) == 10


def test_a_gang_may_be_told_later_how_near_it_has_to_be() -> None:
    told = e.PodGroupChanged(
        workload_id=id_of("workload/g"), pod_group_id=id_of("group/g"), min_members=7, topology=RACKS
    )
    assert len(where(planned(*racks(), *gang("g", 7)))) == 7
    assert planned(*racks(), *gang("g", 7), told).placements == ()


def test_what_joins_a_group_that_is_far_apart_already_goes_to_one_of_its_domains() -> None:
    """As when a Deployment of several racks is told in the middle of a rollout to stay in one."""
    there = [running(f"g-{name}", "g", name, "0") for name in "bc"]
    coming = [pod(f"g-{number}", "g") for number in range(3)]
    rest = [node("x", gpus=8, labels={"zone": "z", "rack": "r3"})]
    placed = where(planned(*racks(), *rest, *group("g", [*there, *coming], topology=RACKS)))
    assert len(placed) == 3
    assert set(placed.values()) <= {"a", "b"} or set(placed.values()) <= {"c", "d", "e"}


def test_what_joins_a_group_whose_node_is_in_no_domain_goes_where_there_is_one() -> None:
    pods = [running("g-0", "g", "plain", "0"), pod("g-1", "g"), pod("g-2", "g")]
    placed = where(planned(*racks(), node("plain"), *group("g", pods, topology=RACKS)))
    assert set(placed.values()) in ({"a"}, {"a", "b"})


def test_parts_of_a_gang_have_domains_of_their_own() -> None:
    parts = (SubGroup(name="x", min_members=4, topology=RACKS), SubGroup(name="y", min_members=4, topology=RACKS))
    pods = [pod(f"{part}{i}", "g", sub_group=part) for part in "xy" for i in range(4)]
    placed = where(planned(*racks(), *group("g", pods, min_members=0, sub_groups=parts)))
    assert {placed[f"x{i}"] for i in range(4)} == {"a", "b"}
    assert {placed[f"y{i}"] for i in range(4)} <= {"c", "d", "e"}


def test_every_part_needs_its_minimum() -> None:
    parts = (SubGroup(name="head", min_members=1), SubGroup(name="worker", min_members=2))
    pods = [pod("w0", "g", sub_group="worker"), pod("w1", "g", sub_group="worker"), pod("w2", "g", sub_group="worker")]
    without = group("g", pods, min_members=3, sub_groups=parts)
    assert planned(node("a"), *without).blocked[0].code == "PodsMissing"
    head = pod("h", "g", sub_group="head")
    assert len(where(planned(node("a"), *group("g", [*pods, head], min_members=3, sub_groups=parts)))) == 4


def test_a_group_whose_pods_name_no_part_counts_as_one() -> None:
    parts = (SubGroup(name="worker", min_members=2),)
    pods = [pod("p0", "g"), pod("p1", "g")]
    assert len(where(planned(node("a"), *group("g", pods, min_members=2, sub_groups=parts)))) == 2


def test_a_pod_that_names_no_part_of_its_gang_comes_last() -> None:
    parts = (SubGroup(name="worker", min_members=1),)
    pods = [pod("stray", "g", order_priority=9), pod("w0", "g", sub_group="worker"), pod("w1", "g", sub_group="worker")]
    made = planned(node("a", gpus=2), *group("g", pods, min_members=1, sub_groups=parts))
    assert sorted(where(made)) == ["w0", "w1"]
    assert [blocked.code for blocked in made.blocked] == ["NoFittingNode"]
    assert len(where(planned(node("a"), *group("g", pods, min_members=1, sub_groups=parts)))) == 3


@pytest.mark.parametrize(
    ("rule", "node_name"),
    [
        (LabelRule(key="zone", values=("b",)), "b"),
        (LabelRule(key="zone", operator="NotIn", values=("a", "b")), "c"),
        (LabelRule(key="fast", operator="Exists"), "b"),
        (LabelRule(key="cores", operator="Gt", values=("16",)), "c"),
    ],
)
def test_node_terms_are_obeyed(rule: LabelRule, node_name: str) -> None:
    nodes = [
        node("a", labels={"zone": "a", "cores": "8"}),
        node("b", labels={"zone": "b", "cores": "16", "fast": ""}),
        node("c", labels={"zone": "c", "cores": "32"}),
    ]
    rules = PlacementRules(nodes=(NodeTerm(rules=(rule,)),))
    assert where(planned(*nodes, *group("g", [pod("p", "g", rules=rules)]))) == {"p": node_name}


def test_a_volume_keeps_its_pod_where_it_can_be_reached() -> None:
    rules = PlacementRules(volumes=((NodeTerm(names=("b", "c")),), (NodeTerm(names=("c",)),)))
    assert where(planned(node("a"), node("b"), node("c"), *group("g", [pod("p", "g", rules=rules)]))) == {"p": "c"}


def test_preferences_and_soft_taints_come_before_packing_and_forbid_nothing() -> None:
    soft = node("a", taints=(Taint(key="old", effect="PreferNoSchedule"),))
    assert where(planned(soft, node("b"), *gang("g", 1))) == {"g-0": "b"}
    assert where(planned(soft, *gang("g", 1))) == {"g-0": "a"}
    fast = NodePreference(weight=10, term=NodeTerm(rules=(LabelRule(key="fast", operator="Exists"),)))
    rules = PlacementRules(preferred_nodes=(fast,))
    made = planned(node("a"), node("b", labels={"fast": ""}), *group("g", [pod("p", "g", rules=rules)]))
    assert where(made) == {"p": "b"}


def test_pods_that_want_to_be_apart_are_and_keep_others_away_too() -> None:
    lonely = PlacementRules(apart=(near("host", "web"),))
    nodes = [node("a", labels={"host": "a"}), node("b", labels={"host": "b"})]
    pods = [pod(f"p{i}", "g", rules=lonely, **app("web")) for i in range(3)]
    assert sorted(where(planned(*nodes, *group("g", pods))).values()) == ["a", "b"]
    keeper = running("k", "k", "a", "0", rules=lonely, **app("db"))
    others = group("g", [pod("p", "g", **app("web"))])
    assert where(planned(*nodes, *group("k", [keeper]), *others)) == {"p": "b"}


def test_a_pod_that_wants_to_be_near_another_follows_it() -> None:
    nodes = [node("a", labels={"zone": "x"}), node("b", labels={"zone": "y"})]
    old = running("old", "old", "b", "0,1,2,3,4,5,6,7", gpus=8, **app("db"))
    close = pod("p", "g", gpus=0, rules=PlacementRules(near=(near("zone", "db"),)), namespace="muster-demo")
    assert where(planned(*nodes, *group("old", [old]), *group("g", [close]))) == {"p": "b"}


def test_spread_pods_differ_by_no_more_than_is_allowed() -> None:
    even = PlacementRules(spread=(SpreadRule(topology_key="zone", rules=(LabelRule(key="app", values=("web",)),)),))
    nodes = [node("a", labels={"zone": "x"}), node("b", labels={"zone": "y"})]
    pods = [pod(f"p{i}", "g", rules=even, **app("web")) for i in range(4)]
    assert sorted(where(planned(*nodes, *group("g", pods))).values()) == ["a", "a", "b", "b"]


def test_a_host_port_is_given_once_per_node() -> None:
    rules = PlacementRules(host_ports=("TCP/8080",))
    made = planned(node("a"), node("b"), *group("g", [pod(f"p{i}", "g", rules=rules) for i in range(3)]))
    assert sorted(where(made).values()) == ["a", "b"]


def test_a_pod_behind_a_gate_is_not_placed_and_told_why() -> None:
    made = planned(node("a"), *group("g", [pod("p", "g", scheduling_gates=("wait",))]))
    assert made.placements == ()
    assert [blocked.code for blocked in made.blocked] == ["SchedulingGated"]


def test_what_joins_a_group_stays_in_its_domain() -> None:
    pods = [pod(f"g-{i}", "g", gpus=2) for i in range(3)]
    placed = where(planned(*racks()[:2], *racks()[3:], *group("g", pods, min_members=2, topology=RACKS)))
    assert set(placed.values()) == {"a", "b"}
    assert set(where(planned(*racks(), *group("g", [*pods, pod("h", "g", gpus=2)], topology=RACKS))).values()) in (
        {"a", "b"},
        {"c", "d", "e"},
    )


def test_a_group_needs_its_own_minimum_beside_those_of_its_parts() -> None:
    parts = (SubGroup(name="head", min_members=1), SubGroup(name="worker", min_members=1))
    pods = [pod("h", "g", sub_group="head"), *(pod(f"w{i}", "g", sub_group="worker") for i in range(3))]
    made = planned(node("a", gpus=3), *group("g", pods, min_members=4, sub_groups=parts))
    assert made.placements == ()
    assert len(planned(node("a"), *group("g", pods, min_members=4, sub_groups=parts)).placements) == 4
    late = [pod("h", "g", sub_group="head"), running("w0", "g", "a", "0", sub_group="worker")]
    short = take_snapshot(state_of(node("a"), *group("g", late, min_members=4, sub_groups=parts)))
    assert short.short == (short.groups[0].id,), "one of four runs"


def test_pods_of_which_nobody_knows_the_devices_take_the_last_that_strangers_leave() -> None:
    foreign = Resources(gpu_millionths=2_000_000)
    nameless = running("theirs", "theirs", "a", gpus=2, scheduler_name="default-scheduler")
    named = running("ours", "ours", "a", "0,2", gpus=2)
    events = [node("a", others=foreign), *group("theirs", [nameless]), *group("ours", [named])]
    snapshot = take_snapshot(state_of(*events))
    assert snapshot.idle.devices[0].tolist() == [0, 1_000_000, 0, 1_000_000, 0, 0, 0, 0]
    assert devices(planned(*events, *gang("new", 1, gpus=2))) == {"new-0": [1, 3]}
    (theirs,) = (view for view in snapshot.views.values() if view.name == "theirs")
    assert [share.index for share in theirs.bound[0].devices] == [4, 5], "the last two are the strangers'"


def test_memory_of_a_device_that_no_integer_can_hold_in_millionths_fits_nowhere() -> None:
    absurd = GpuRequest(devices=1, memory_bytes=2**60)
    events = [*group("absurd", [pod("big", "absurd", gpu=absurd)]), *group("new", [pod("p", "new")])]
    snapshot = take_snapshot(state_of(node("a", gpu_memory_bytes=80 * GIBIBYTE), *events))
    made = plan(snapshot)
    assert [placement.name for placement in made.placements] == ["p"]
    assert faults(snapshot, made) == []


def test_of_pods_that_may_start_alone_the_second_waits_in_the_pool_where_the_first_found_room() -> None:
    done = pod("done", "g", node="a", phase=PodPhase.SUCCEEDED)
    nodes = [pool("x"), node("a", gpus=0, labels={"pool": "x"}), node("b", gpus=1)]
    made = planned(*nodes, *group("g", [done, pod("one", "g"), pod("two", "g")], node_pools=("x", "default")))
    assert where(made) == {"one": "b"}
    assert [told.code for told in made.blocked] == ["NoFittingNode"]


def promised(name: str, node: str) -> Placement:
    about = {"workload_id": id_of(f"workload/{name}"), "pod_group_id": id_of(f"group/{name}")}
    ids = {"pod_id": id_of(f"pod/{name}-0"), "namespace": "muster-demo", "name": f"{name}-0", "resource_version": "7"}
    return Placement.model_validate({**about, **ids, "node": node, "devices": [DeviceShare(index=0)]})


def test_who_keeps_a_promise_in_one_pool_has_no_share_of_another_that_was_looked_at_before() -> None:
    nodes = [pool("x"), node("a", gpus=2), node("b", gpus=1, labels={"pool": "x"})]
    old = gang("old", 1, age=9)
    new = gang("new", 1, node_pools=("default", "x"))
    made = Plan(based_on=1, nominations=(promised("old", "a"), promised("new", "b")))
    snapshot = take_snapshot(state_of(*nodes, project("p", 1), belongs("new", "p"), *old, *new, plan_made(made)))
    draft = Draft(snapshot, Limits())
    honour_nominations(draft)
    assert [place.node for place in draft.placements] == ["a", "b"]
    assert draft.accounts("default").by_key["project/p"].fair[0] == 0
