"""Where pods go whose volumes reach some nodes only, or are made for them on the node they get."""

from dataclasses import replace

from muster_contracts import events as e
from muster_contracts.values import ClaimChoice, LabelRule, NodeTerm, PlacementRules, ReadyVolumes
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.check import faults
from muster_scheduler.core.deadlines import next_deadline
from muster_scheduler.core.draft import Limits
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import group, id_of, node, plan_made, pod, recorded, state_of

WAITS = PlacementRules(claims_waiting=("scratch",))
ZONE_B = NodeTerm(rules=(LabelRule(key="zone", values=("b",)),))


def nodes() -> list[e.AnyEvent]:
    return [node("first", labels={"zone": "a"}), node("second", labels={"zone": "b"})]


def scratch(rules: PlacementRules) -> list[e.AnyEvent]:
    return group("scratch", [pod("scratch-0", "scratch", rules=rules)])


def places(made: Plan) -> list[str]:
    return [place.node for place in made.placements]


def test_a_pod_whose_volume_only_some_nodes_reach_goes_to_one_of_these() -> None:
    assert places(plan(take_snapshot(state_of(*nodes(), *scratch(PlacementRules(volumes=((ZONE_B,),))))))) == ["second"]


def test_of_several_volumes_every_one_must_be_reached() -> None:
    zone_a = NodeTerm(rules=(LabelRule(key="zone", values=("a",)),))
    rules = PlacementRules(volumes=((ZONE_B,), (zone_a, ZONE_B)))
    assert places(plan(take_snapshot(state_of(*nodes(), *scratch(rules))))) == ["second"]
    nowhere = plan(take_snapshot(state_of(*nodes(), *scratch(PlacementRules(volumes=((ZONE_B,), (zone_a,)))))))
    assert [one.code for one in nowhere.blocked] == ["NodesUnsuitable"]


def refused_on_the_first(*land: e.AnyEvent) -> State:
    """Return a state in which a pod was placed on a node, its volume refused there, and the pod seen anew."""
    state = state_of(*land, *scratch(WAITS))
    made = plan(take_snapshot(state))
    assert places(made) == ["first"]
    written = plan_made(made)
    released = e.PlacementReleased(
        workload_id=id_of("workload/scratch"),
        pod_group_id=id_of("group/scratch"),
        plan_id=written.plan_id,
        pod_ids=(id_of("pod/scratch-0"),),
        reason="No volume could be made there.",
        misplaced=(id_of("pod/scratch-0"),),
    )
    seen_anew = pod("scratch-0", "scratch", rules=WAITS, resource_version="8")
    again = e.PodObserved(workload_id=id_of("workload/scratch"), pods=(seen_anew,))
    for one in recorded([written, released, again], first=state.position + 1):
        state.apply(one)
    return state


def pass_deadline(state: State) -> None:
    """Let the next deadline come on a cluster where nothing else happens."""
    deadline = next_deadline(take_snapshot(state), Limits())
    assert deadline is not None
    passed = e.DeadlinePassed(
        workload_id=deadline.workload_id, pod_group_id=deadline.pod_group_id, deadline=deadline.deadline
    )
    position = state.position + 1
    state.apply(Recorded(position, Envelope(id_of(f"event/{position}"), deadline.at), passed))


def test_where_a_volume_could_not_be_made_a_pod_is_not_placed_again_for_a_while() -> None:
    state = refused_on_the_first(*nodes())
    assert places(plan(take_snapshot(state))) == ["second"]
    pass_deadline(state)
    assert places(plan(take_snapshot(state))) == ["first"]
    assert state.refusals.shunned == {}


def test_a_pod_with_nowhere_else_to_go_is_told_so_and_tried_again_when_the_time_has_come() -> None:
    state = refused_on_the_first(node("first"))
    snapshot = take_snapshot(state)
    made = plan(snapshot)
    (blocked,) = made.blocked
    assert (blocked.code, blocked.numbers["nodes"]) == ("VolumeRefused", 1)
    assert "keeps off 1 node where no volume could be made for it: first." in blocked.reason
    assert faults(snapshot, made) == []
    pass_deadline(state)
    assert places(plan(take_snapshot(state))) == ["first"]


def test_a_pod_that_only_the_refusing_node_has_room_for_is_told_of_the_refusal() -> None:
    snapshot = take_snapshot(refused_on_the_first(node("first"), node("full", gpus=0)))
    made = plan(snapshot)
    assert [one.code for one in made.blocked] == ["VolumeRefused"]
    assert faults(snapshot, made) == []


def test_who_has_its_place_elsewhere_waits_for_no_time_to_pass() -> None:
    state = refused_on_the_first(*nodes())
    written = plan_made(plan(take_snapshot(state)), 2)
    (one,) = recorded([written], first=state.position + 1)
    state.apply(one)
    assert next_deadline(take_snapshot(state), Limits()) is None


def test_a_place_where_the_volume_was_refused_is_found_and_so_is_an_untrue_reason() -> None:
    snapshot = take_snapshot(refused_on_the_first(*nodes()))
    made = plan(snapshot)
    (place,) = made.placements
    back = place.model_copy(update={"node": "first"})
    assert "keeps off first" in " ".join(faults(snapshot, replace(made, placements=(back,))))
    nowhere = take_snapshot(refused_on_the_first(node("first")))
    left = plan(nowhere)
    for code, numbers in (("VolumeRefused", {"nodes": 2}), ("NodesUnsuitable", {"nodes": 1, "ready": 1})):
        wrong = replace(left.blocked[0], code=code, numbers=numbers)
        assert f"told {code} with" in " ".join(faults(nowhere, replace(left, blocked=(wrong,))))


def by_host(*names: str) -> NodeTerm:
    return NodeTerm(rules=(LabelRule(key="host", values=names),))


def choosing(claim: str, **free: int) -> PlacementRules:
    """A pod with a claim that takes one of so many volumes that lie ready on each of these nodes."""
    ready = tuple(ReadyVolumes(free=count, nodes=(by_host(name),)) for name, count in free.items())
    return _rules(ClaimChoice(claim=claim, storage_class="local", ready=ready))


def _rules(*choices: ClaimChoice) -> PlacementRules:
    reach = tuple(tuple(term for one in choice.ready for term in one.nodes) for choice in choices)
    return PlacementRules(volumes=reach, claims_choosing=choices)


def hosts(*names: str) -> list[e.AnyEvent]:
    return [node(name, labels={"host": name}) for name in names]


def planned(*land: e.AnyEvent) -> tuple[Plan, list[str]]:
    snapshot = take_snapshot(state_of(*land))
    made = plan(snapshot)
    return made, faults(snapshot, made)


def test_no_more_pods_go_to_a_node_than_volumes_lie_ready_there() -> None:
    free = {"first": 1, "second": 2}
    gang = group(
        "data", [pod(f"data-{n}", "data", rules=choosing(f"data-{n}", **free)) for n in range(3)], min_members=3
    )
    made, wrong = planned(*hosts("first", "second", "third"), *gang)
    assert sorted(places(made)) == ["first", "second", "second"]
    assert wrong == []


def test_who_finds_the_last_volume_taken_in_the_same_plan_waits() -> None:
    pods = [pod(f"data-{n}", "data", rules=choosing(f"data-{n}", first=1)) for n in range(2)]
    made, wrong = planned(*hosts("first", "second"), *group("data", pods))
    assert (places(made), len(made.blocked), wrong) == (["first"], 1, [])


def test_who_finds_no_volume_at_all_is_told_for_which_claim_and_what_to_do() -> None:
    nowhere = NodeTerm(rules=(LabelRule(key="host"),))
    rules = PlacementRules(
        volumes=((nowhere,),), claims_choosing=(ClaimChoice(claim="scratch", storage_class="local"),)
    )
    made, wrong = planned(*hosts("first", "second"), *group("data", [pod("data-0", "data", rules=rules)]))
    (told,) = made.blocked
    assert told.code == "NodesUnsuitable"
    assert "2 lack a volume that lies ready for scratch." in told.reason
    assert told.remedy.startswith("Lay a volume ready that suits the claim.")
    assert wrong == []


def test_who_finds_the_last_volume_taken_is_told_that_others_have_it() -> None:
    pods = [pod(f"data-{n}", "data", rules=choosing(f"data-{n}", first=1)) for n in range(2)]
    made, _ = planned(*hosts("first"), *group("data", pods))
    (told,) = made.blocked
    assert told.code == "OtherPodsForbid"
    assert "the volumes that lie ready are not enough for data-1 beside the claims of others (on first)" in told.reason


def test_pods_that_share_a_claim_share_its_volume() -> None:
    pods = [pod(f"data-{n}", "data", rules=choosing("shared", first=1)) for n in range(2)]
    made, wrong = planned(*hosts("first", "second"), *group("data", pods))
    assert (places(made), wrong) == (["first", "first"], [])


def test_a_pod_with_two_claims_goes_where_there_are_two_volumes() -> None:
    ready = (ReadyVolumes(free=1, nodes=(by_host("first"),)), ReadyVolumes(free=2, nodes=(by_host("second"),)))
    two = _rules(*(ClaimChoice(claim=name, storage_class="local", ready=ready) for name in ("logs", "data")))
    made, wrong = planned(*hosts("first", "second"), *group("data", [pod("data-0", "data", rules=two)]))
    assert (places(made), wrong) == (["second"], [])


def test_the_checker_counts_volumes_for_itself() -> None:
    pods = [pod(f"data-{n}", "data", rules=choosing(f"data-{n}", first=1)) for n in range(2)]
    snapshot = take_snapshot(state_of(*hosts("first", "second"), *group("data", pods)))
    generous = [pod(f"data-{n}", "data", rules=choosing(f"data-{n}", first=2)) for n in range(2)]
    made = plan(take_snapshot(state_of(*hosts("first", "second"), *group("data", generous))))
    assert "Node first reaches too few volumes for the claims of the pods that are sent there." in faults(
        snapshot, made
    )
