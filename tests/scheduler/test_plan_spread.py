"""How pods are spread over domains: what Kubernetes counts, what it only prefers, and what the checker says of it."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from muster_contracts import events as e
from muster_contracts.values import LabelRule, NodeTerm, PlacementRules, PodTerm, SpreadRule, Taint
from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import gone, group, node, plan_made, pod, recorded, running, state_of

WEB = (LabelRule(key="app", values=("web",)),)
CORDON = Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule")


def even(**more: Any) -> PlacementRules:
    return PlacementRules(spread=(SpreadRule(topology_key="zone", rules=WEB, **more),))


def zones(**counts: int) -> list[e.AnyEvent]:
    """Return so many nodes of 8 GPUs in each zone, named `<zone>-<number>`."""
    return [node(f"{zone}-{n}", labels={"zone": zone}) for zone, count in counts.items() for n in range(count)]


def web(count: int, rules: PlacementRules, **more: Any) -> list[e.AnyEvent]:
    pods = [pod(f"p{i}", "g", rules=rules, labels={"app": "web"}, **more) for i in range(count)]
    return group("g", pods)


def there(name: str, on: str, **more: Any) -> list[e.AnyEvent]:
    """Return a pod that runs already."""
    facts = running(name, name, on, "0", labels={"app": "web"})
    return group(name, [facts.model_copy(update=more)])


def planned(*events: e.AnyEvent) -> Plan:
    snapshot = take_snapshot(state_of(*events))
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    return made


def by_zone(made: Plan) -> dict[str, int]:
    return dict(Counter(place.node.split("-")[0] for place in made.placements))


def test_until_there_are_enough_domains_the_emptiest_counts_as_empty() -> None:
    assert by_zone(planned(*zones(x=1, y=1), *web(4, even(min_domains=3)))) == {"x": 1, "y": 1}
    assert by_zone(planned(*zones(x=1, y=1), *web(4, even(min_domains=2)))) == {"x": 2, "y": 2}


def test_domains_that_the_pods_own_rules_exclude_do_not_count_unless_they_are_to() -> None:
    only_x = NodeTerm(rules=(LabelRule(key="zone", values=("x",)),))
    within = even().model_copy(update={"nodes": (only_x,)})
    assert by_zone(planned(*zones(x=1, y=1), *web(3, within))) == {"x": 3}
    everywhere = even(honours_affinity=False).model_copy(update={"nodes": (only_x,)})
    assert by_zone(planned(*zones(x=1, y=1), *web(3, everywhere))) == {"x": 1}


def test_tainted_domains_count_unless_taints_are_honoured() -> None:
    tainted = node("y-0", labels={"zone": "y"}, taints=(CORDON,), unschedulable=True)
    assert by_zone(planned(*zones(x=1), tainted, *web(3, even()))) == {"x": 1}
    assert by_zone(planned(*zones(x=1), tainted, *web(3, even(honours_taints=True)))) == {"x": 3}


def test_pods_that_end_and_pods_of_other_namespaces_do_not_count() -> None:
    ending = there("old", "x-0", terminating=True)
    stranger = there("far", "y-0", namespace="elsewhere")
    assert by_zone(planned(*zones(x=1, y=1), *ending, *stranger, *web(2, even()))) == {"x": 1, "y": 1}


def test_a_node_without_the_label_takes_none_of_them() -> None:
    assert by_zone(planned(node("bare-0"), *zones(x=1), *web(2, even()))) == {"x": 2}
    assert planned(node("bare-0"), *web(1, even())).placements == ()


def test_what_is_preferred_goes_before_packing_and_never_keeps_anybody_waiting() -> None:
    wish = even(required=False)
    assert by_zone(planned(*zones(x=1, y=1), *web(4, wish))) == {"x": 2, "y": 2}
    assert by_zone(planned(*zones(x=1), node("y-0", gpus=1, labels={"zone": "y"}), *web(5, wish))) == {"x": 4, "y": 1}


def test_within_the_preferred_skew_pods_are_packed() -> None:
    assert by_zone(planned(*zones(x=1, y=1), *web(3, even(required=False, max_skew=3)))) == {"x": 3}


def test_several_rules_hold_at_once() -> None:
    by_host = SpreadRule(topology_key="host", rules=WEB)
    both = PlacementRules(spread=(*even().spread, by_host))
    nodes = [node(f"{zone}-{n}", labels={"zone": zone, "host": f"{zone}{n}"}) for zone in "xy" for n in range(2)]
    made = planned(*nodes, *web(4, both))
    assert sorted(place.node for place in made.placements) == ["x-0", "x-1", "y-0", "y-1"]


@pytest.mark.parametrize("required", [True, False])
def test_the_checker_names_who_is_placed_unevenly_where_that_is_forbidden(required: bool) -> None:
    snapshot = take_snapshot(state_of(*zones(x=1, y=1), *web(4, even(required=required))))
    made = plan(snapshot)
    moved = tuple(place.model_copy(update={"node": "x-0"}) for place in made.placements)
    shifted = tuple(
        place.model_copy(update={"devices": (share.model_copy(update={"index": number}),)})
        for number, place in enumerate(moved)
        for share in place.devices
    )
    wrong = faults(snapshot, replace(made, placements=shifted))
    named = {fault for fault in wrong if "differ by more than 1" in fault}
    assert len(named) == (4 if required else 0)
    assert set(wrong) == named


def test_a_nominated_place_is_no_place_any_more_once_company_is_there_that_a_rule_forbids() -> None:
    apart = PlacementRules(apart=(PodTerm(topology_key="host", rules=WEB),))
    web_pod: dict[str, Any] = {"rules": apart, "labels": {"app": "web"}}
    urgent = group("urgent", [pod("urgent", "urgent", **web_pod)], priority="build")
    nodes = [node(name, gpus=1, labels={"host": name}) for name in ("a", "b")]
    old = [one for name, on in (("u", "a"), ("v", "b")) for one in group(name, [running(name, name, on, "0")])]
    state = state_of(*nodes, *old, *urgent)
    made = plan(take_snapshot(state))
    (place,) = made.nominations
    (victim,) = made.victims
    stranger = running("stranger", "stranger", place.node, gpus=0, labels={"app": "web"})
    late = group("late", [pod("late", "late", gpus=0, **web_pod)])
    news = [plan_made(made), gone(victim.name, victim.name), *group("stranger", [stranger]), *late]
    for one in recorded(news, first=state.position + 1):
        state.apply(one)
    snapshot = take_snapshot(state)
    made = plan(snapshot)
    assert faults(snapshot, made) == []
    assert [(one.name, one.node) for one in made.placements] == [("late", {"a": "b", "b": "a"}[place.node])]


def test_a_selector_of_everybody_means_pods_without_labels_too() -> None:
    anybody = PlacementRules(spread=(SpreadRule(topology_key="zone"),))
    plain = group("plain", [running(f"plain-{i}", "plain", "x-0", str(i)) for i in range(2)])
    assert by_zone(planned(*zones(x=1, y=1), *plain, *web(2, anybody))) == {"y": 2}
    alone = PlacementRules(apart=(PodTerm(topology_key="zone"),))
    hermit = group("hermit", [running("hermit", "hermit", "x-0", "0", rules=alone)])
    assert by_zone(planned(*zones(x=1, y=1), *hermit, *group("g", [pod("p", "g")]))) == {"y": 1}
    elsewhere = group("g", [pod("p", "g", namespace="elsewhere")])
    assert by_zone(planned(*zones(x=1, y=1), *hermit, *elsewhere)) == {"x": 1}
