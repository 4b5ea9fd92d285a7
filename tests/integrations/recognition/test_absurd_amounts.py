"""Kubernetes takes requests of any size; what we say of them is bounded, for others reckon in 64-bit integers."""

import pytest
from integrations.kube import manifest, pod, pod_spec, see
from muster_cluster.objects import JOBS
from muster_contracts.values import PodFacts

GREATEST = 2**63 - 1
ABSURD = dict.fromkeys(("cpu", "memory", "nvidia.com/gpu", "amd.com/gpu", "rdma/hca"), "9e18")


def asking(amounts: dict[str, str]) -> list[dict[str, object]]:
    return [{"name": "main", "image": "i", "resources": {"requests": amounts}}]


def alone(amounts: dict[str, str]) -> PodFacts:
    found = see(pod("greedy", spec=pod_spec(containers=asking(amounts))))
    (facts,) = found.pods.values()
    return facts


@pytest.mark.parametrize("name", ABSURD)
def test_a_pod_asks_for_no_more_than_a_thousand_pods_may_ask_for_together(name: str) -> None:
    facts = alone({name: ABSURD[name]})
    requests = facts.requests
    asked = (requests.cpu_milli, requests.memory_bytes, requests.gpu_millionths, *requests.extended.values())
    assert 0 < max(*asked, facts.gpu.devices) * 1000 < GREATEST
    assert facts.gpu.devices * facts.gpu.portion_millionths * 1000 < GREATEST


def test_many_absurd_pods_of_a_template_are_bounded_together() -> None:
    template = {"metadata": {}, "spec": pod_spec(containers=asking(ABSURD))}
    found = see(manifest(JOBS, "greedy", spec={"parallelism": 2**31 - 1, "template": template}))
    requests = found.requests
    assert max(requests.cpu_milli, requests.memory_bytes, requests.gpu_millionths) <= GREATEST
