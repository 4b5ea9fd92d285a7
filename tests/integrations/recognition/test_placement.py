"""What a pod demands of its node and its neighbours, as the scheduler is told; and which labels it shows for that."""

from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, known, pod, pod_spec, project, uid
from muster_contracts.values import LabelRule, NodePreference, NodeTerm, PlacementRules, PodFacts, PodTerm, SpreadRule
from muster_integrations.recognition.placement import asked_labels, rules_of

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def rules(spec: dict[str, Any], **labels: str) -> PlacementRules | None:
    found = known(pod("a", spec=pod_spec(**spec), labels=labels))
    assert found is not None
    return rules_of(found.item)


def affinity(kind: str, *terms: Any, mode: str = REQUIRED) -> dict[str, Any]:
    return {"affinity": {kind: {mode: list(terms)}}}


def near(app: str, topology_key: str = "zone", **parts: Any) -> dict[str, Any]:
    return {"topologyKey": topology_key, "labelSelector": {"matchLabels": {"app": app}}} | parts


def facts_of(world: World, name: str) -> PodFacts:
    found = world.mirror.seen_workload(UUID(uid(f"Pod/{name}")))
    assert found is not None
    return found.pods[UUID(uid(f"Pod/{name}"))]


def written_labels(world: World, name: str) -> dict[str, str]:
    """The labels of a pod as they were written last."""
    return world.fold.workloads[UUID(uid(f"Pod/{name}"))].pods[UUID(uid(f"Pod/{name}"))].labels


def test_a_pod_that_demands_nothing_says_nothing() -> None:
    assert rules({}, app="web") is None
    assert rules({"affinity": {}, "topologySpreadConstraints": []}) is None


def test_a_pod_may_demand_one_of_several_sorts_of_nodes() -> None:
    terms = [
        {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a100", "h100"]}]},
        {
            "matchExpressions": [
                {"key": "cpus", "operator": "Gt", "values": ["8"]},
                {"key": "spot", "operator": "Exists"},
            ]
        },
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-1"]}]},
        {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["node-2"]}]},
    ]
    found = rules({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}})
    assert found is not None
    assert found.nodes == (
        NodeTerm(rules=(LabelRule(key="gpu", values=("a100", "h100")),)),
        NodeTerm(rules=(LabelRule(key="cpus", operator="Gt", values=("8",)), LabelRule(key="spot", operator="Exists"))),
        NodeTerm(names=("node-1",)),
        NodeTerm(rules=(LabelRule(key="kubernetes.io/hostname", operator="NotIn", values=("node-2",)),)),
    )


def test_a_pod_may_like_some_nodes_better() -> None:
    term = {"weight": 30, "preference": {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}]}}
    found = rules(affinity("nodeAffinity", term, mode=PREFERRED))
    liked = NodeTerm(rules=(LabelRule(key="spot", operator="DoesNotExist"),))
    assert found == PlacementRules(preferred_nodes=(NodePreference(weight=30, term=liked),))


def test_a_pod_may_want_some_pods_near_and_others_apart() -> None:
    app = LabelRule(key="app", values=("cache",))
    assert rules(affinity("podAffinity", near("cache"))) == PlacementRules(
        near=(PodTerm(topology_key="zone", rules=(app,)),)
    )
    assert rules(affinity("podAntiAffinity", near("cache", namespaces=["other"]))) == PlacementRules(
        apart=(PodTerm(topology_key="zone", rules=(app,), namespaces=("other",)),)
    )


def test_what_a_pod_only_prefers_of_other_pods_is_left_out() -> None:
    assert rules(affinity("podAffinity", {"weight": 1, "podAffinityTerm": near("cache")}, mode=PREFERRED)) is None


def test_a_pod_may_demand_to_be_spread() -> None:
    hard = near("web", maxSkew=2, whenUnsatisfiable="DoNotSchedule", matchLabelKeys=["pod-template-hash", "none"])
    soft = near("web", topology_key="node", maxSkew=1, whenUnsatisfiable="ScheduleAnyway")
    found = rules({"topologySpreadConstraints": [hard, soft]}, **{"pod-template-hash": "5c9"})
    app = LabelRule(key="app", values=("web",))
    own = LabelRule(key="pod-template-hash", values=("5c9",))
    assert found == PlacementRules(
        spread=(
            SpreadRule(topology_key="zone", max_skew=2, rules=(app, own)),
            SpreadRule(topology_key="node", rules=(app,), required=False),
        )
    )


def test_ports_on_the_node_itself_are_demanded_once_each() -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}, {"hostPort": 53, "protocol": "UDP"}]
    containers = [{"name": "a", "ports": ports}, {"name": "b", "ports": ports}]
    first = [
        {"name": "ends", "ports": [{"hostPort": 1}]},
        {"name": "stays", "restartPolicy": "Always", "ports": [{"hostPort": 2}]},
    ]
    found = rules({"containers": containers, "initContainers": first})
    assert found == PlacementRules(host_ports=("TCP/2", "TCP/8080", "UDP/53"))


@pytest.mark.parametrize(
    "spec",
    [
        {"affinity": {"nodeAffinity": 3, "podAffinity": [], "podAntiAffinity": {REQUIRED: "x"}}},
        affinity("podAffinity", None, {}, {"topologyKey": "zone"}, {"labelSelector": {}}),
        {"topologySpreadConstraints": [{}, {"topologyKey": "zone"}]},
    ],
)
def test_odd_rules_are_passed_over(spec: dict[str, Any]) -> None:
    assert rules(spec) is None


def test_odd_selectors_are_read_as_far_as_they_can_be() -> None:
    odd = {"matchLabels": {"app": 3}, "matchExpressions": [{"key": "a", "operator": "Near"}, {"operator": "In"}, 7]}
    found = rules(affinity("podAffinity", {"topologyKey": "zone", "labelSelector": odd}))
    assert found == PlacementRules(near=(PodTerm(topology_key="zone"),))


def test_a_pod_asks_for_the_labels_of_its_rules_and_not_for_those_of_nodes() -> None:
    terms = [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]
    spec = affinity("podAntiAffinity", near("web"))
    spec["affinity"]["nodeAffinity"] = {REQUIRED: {"nodeSelectorTerms": terms}}
    found = known(pod("a", spec=pod_spec(**spec)))
    assert found is not None
    assert asked_labels(found.item) == {"app"}


def test_pods_show_the_labels_that_somebody_asks_for_and_no_others() -> None:
    world = World(project())
    world.show(pod("cache", labels={"app": "cache", "team": "a"}))
    world.write()
    assert written_labels(world, "cache") == {}
    world.show(pod("asker", spec=pod_spec(**affinity("podAffinity", near("cache"))), labels={"team": "b"}))
    world.write()
    assert written_labels(world, "cache") == {"app": "cache"}
    assert facts_of(world, "asker").labels == {}


def test_a_pod_that_comes_after_the_asker_shows_its_label_at_once_and_keeps_it_through_a_heartbeat() -> None:
    world = World(project())
    world.show(pod("asker", spec=pod_spec(**affinity("podAffinity", near("cache")))))
    cache = pod("cache", labels={"app": "cache"})
    world.show(cache)
    world.write()
    world.step(cache, pod("cache", labels={"app": "cache"}))
    assert world.mirror.changes().workloads == {}
    assert written_labels(world, "cache") == {"app": "cache"}
