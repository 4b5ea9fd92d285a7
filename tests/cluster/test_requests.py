"""What pods take of their nodes, on small pods written as Kubernetes writes them."""

import msgspec
import pytest
from muster_cluster.objects import Pod
from muster_cluster.requests import pod_requests


def container(requests: dict[str, str], *, sidecar: bool = False, limits: dict[str, str] | None = None) -> dict:
    resources = {"requests": requests, "limits": limits or {}}
    return {"name": "c", "resources": resources} | ({"restartPolicy": "Always"} if sidecar else {})


def requests_of(**spec: object) -> dict[str, int]:
    return pod_requests(msgspec.convert({"spec": spec}, Pod))


def test_containers_add_up() -> None:
    spec = [container({"cpu": "500m", "memory": "1Gi"}), container({"cpu": "1", "nvidia.com/gpu": "2"})]
    assert requests_of(containers=spec) == {"cpu": 1500, "memory": 2**30, "nvidia.com/gpu": 2}


def test_the_hungriest_init_container_counts_when_it_needs_more() -> None:
    starts = [container({"cpu": "3", "memory": "1Mi"}), container({"cpu": "2"})]
    assert requests_of(initContainers=starts, containers=[container({"cpu": "1", "memory": "2Mi"})]) == {
        "cpu": 3000,
        "memory": 2 * 2**20,
    }


def test_a_sidecar_runs_beside_containers_and_later_init_containers_only() -> None:
    starts = [container({"cpu": "4"}), container({"cpu": "1"}, sidecar=True), container({"cpu": "3500m"})]
    assert requests_of(initContainers=starts, containers=[container({"cpu": "2"})]) == {"cpu": 4500}
    assert requests_of(initContainers=starts, containers=[container({"cpu": "4"})]) == {"cpu": 5000}


def test_a_sidecar_at_its_own_start_stands_beside_the_sidecars_before_it() -> None:
    starts = [container({"cpu": "1"}, sidecar=True), container({"cpu": "2"}, sidecar=True)]
    assert requests_of(initContainers=starts, containers=[container({"memory": "1"})]) == {"cpu": 3000, "memory": 1}


def test_overhead_comes_on_top() -> None:
    assert requests_of(containers=[container({"cpu": "1"})], overhead={"cpu": "250m", "memory": "64Mi"}) == {
        "cpu": 1250,
        "memory": 64 * 2**20,
    }


def test_a_limit_without_a_request_is_a_request() -> None:
    spec = [container({"cpu": "1"}, limits={"cpu": "4", "nvidia.com/gpu": "1"})]
    assert requests_of(containers=spec) == {"cpu": 1000, "nvidia.com/gpu": 1}


def test_requests_of_the_pod_as_a_whole_replace_the_sum() -> None:
    whole = {"requests": {"cpu": "8"}, "limits": {"cpu": "9", "memory": "1Ki", "hugepages-2Mi": "2Mi"}}
    spec = [container({"cpu": "1", "nvidia.com/gpu": "1"})]
    assert requests_of(containers=spec, resources=whole) == {
        "cpu": 8000,
        "nvidia.com/gpu": 1,
        "memory": 1024,
        "hugepages-2Mi": 2 * 2**20,
    }


def test_a_pod_that_asks_for_nothing_takes_nothing() -> None:
    assert requests_of(containers=[{"name": "c"}]) == {}


def test_an_unreadable_quantity_is_named() -> None:
    with pytest.raises(ValueError, match="'much' is not a quantity"):
        requests_of(containers=[container({"cpu": "much"})])
