"""What a pod takes of its node, counted exactly."""

from typing import Any

import pytest
from simcluster.placement import lacking, selects, tolerates
from simcluster.pods import requests_of
from simcluster.quantities import parse_quantity, to_amounts


@pytest.mark.parametrize(
    ("text", "amount"),
    [("100m", 100), ("2", 2000), ("0.5", 500), (3, 3000), ("1500u", 2), ("1e3m", 1000)],
)
def test_cpu_counts_in_thousandths_rounded_up(text: Any, amount: int):
    assert to_amounts({"cpu": text}) == {"cpu": amount}


@pytest.mark.parametrize(
    ("text", "amount"), [("1Ki", 1024), ("768Gi", 768 * 2**30), ("1G", 10**9), ("1.5Mi", 1572864), ("1e3", 1000)]
)
def test_memory_counts_in_bytes(text: str, amount: int):
    assert to_amounts({"memory": text}) == {"memory": amount}


@pytest.mark.parametrize("text", ["", "many", "1Xi", "Gi", "--1"])
def test_what_is_no_quantity_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


def asks(name: str, cpu: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "resources": {"requests": {"cpu": cpu}}, **more}


def test_containers_and_sidecars_add_up_and_init_containers_count_by_their_peak():
    pod = {
        "spec": {
            "initContainers": [asks("early", "5"), asks("proxy", "1", restartPolicy="Always"), asks("late", "3500m")],
            "containers": [asks("main", "2"), asks("other", "1")],
            "overhead": {"cpu": "250m"},
        }
    }
    assert requests_of(pod) == {"cpu": 5250, "pods": 1}
    pod["spec"]["containers"].append(asks("third", "2"))
    assert requests_of(pod)["cpu"] == 6250


def test_a_limit_without_a_request_is_a_request():
    pod = {"spec": {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "4"}}}]}}
    assert requests_of(pod) == {"nvidia.com/gpu": 4, "pods": 1}


def test_the_first_resource_that_does_not_suffice_is_named():
    assert lacking({"cpu": 1000, "pods": 1}, {"cpu": 1000, "pods": 1}) == ""
    assert lacking({"cpu": 999, "pods": 1}, {"cpu": 1000, "pods": 1}) == "cpu"
    assert lacking({"cpu": 999, "pods": 0}, {"cpu": 1000, "pods": 1}) == "pods"
    assert lacking({"pods": 1}, {"nvidia.com/gpu": 1, "pods": 1}) == "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "zone", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "zone", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "rack", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "zone", "operator": "Exists"}, True),
        ({"key": "rack", "operator": "DoesNotExist"}, True),
        ({"key": "memory", "operator": "Gt", "values": ["40000"]}, True),
        ({"key": "memory", "operator": "Lt", "values": ["9000"]}, False),
    ],
)
def test_required_node_affinity_is_heeded(expression: dict[str, Any], holds: bool):
    node = {"metadata": {"name": "n", "labels": {"zone": "a", "memory": "81920"}}}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert selects({"spec": {"affinity": affinity}}, node) is holds


@pytest.mark.parametrize(
    ("toleration", "covers"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "value": "true"}, True),
        ({"key": "gpu", "value": "false"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({}, False),
    ],
)
def test_a_toleration_covers_the_taint_it_names(toleration: dict[str, str], covers: bool):
    assert tolerates(toleration, {"key": "gpu", "value": "true", "effect": "NoSchedule"}) is covers
