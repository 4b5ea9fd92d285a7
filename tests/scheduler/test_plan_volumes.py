"""Where pods go whose volumes reach some nodes only, or are made for them on the node they get."""

from muster_contracts import events as e
from muster_contracts.values import LabelRule, NodeTerm, PlacementRules
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import SHUNNED_FOR
from scheduler.worlds import group, id_of, node, plan_made, pod, recorded, state_of

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


def test_where_a_volume_could_not_be_made_a_pod_is_not_placed_again_for_a_while() -> None:
    events = [*nodes(), *scratch(PlacementRules(claims_waiting=("scratch",)))]
    state = state_of(*events)
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
    seen_anew = pod("scratch-0", "scratch", rules=PlacementRules(claims_waiting=("scratch",)), resource_version="8")
    again = e.PodObserved(workload_id=id_of("workload/scratch"), pods=(seen_anew,))
    later = recorded([written, released, again], first=state.position + 1)
    for one in later:
        state.apply(one)
    assert places(plan(take_snapshot(state))) == ["second"]
    seconds = int(SHUNNED_FOR.total_seconds())
    for one in recorded([node("second", cpu=1 + n) for n in range(seconds)], first=state.position + 1):
        state.apply(one)
    assert places(plan(take_snapshot(state))) == ["first"]
    assert state.shunned == {}
