"""Nodes: where they come from, what fits on them, and what a restart of the cluster leaves as it was."""

from pathlib import Path
from typing import Any

import pytest
from simcluster.clock import ManualClock
from simcluster.nodes import NodeGroup, NodesFileError, read_node_groups

ONE_NODE = (NodeGroup("only", 1, capacity={"nvidia.com/gpu": "8", "cpu": "16", "memory": "64Gi", "pods": "10"}),)


def wants(gpu: int = 0, cpu: str = "1", memory: str = "1Gi") -> list[Any]:
    amounts = {"cpu": cpu, "memory": memory} | ({"nvidia.com/gpu": str(gpu)} if gpu else {})
    return [{"name": "main", "image": "x", "resources": {"limits": amounts}}]


async def test_by_default_there_are_eight_ready_nodes_with_eight_gpus_in_two_pools(world):
    nodes = world.client.list("nodes")
    assert len(nodes) == 8
    assert {node["status"]["allocatable"]["nvidia.com/gpu"] for node in nodes} == {"8"}
    assert sorted({node["metadata"]["labels"]["node-pool"] for node in nodes}) == ["a", "b"]
    assert {world.condition(node, "Ready")["status"] for node in nodes} == {"True"}
    addresses = [node["status"]["addresses"][0]["address"] for node in nodes]
    assert len(set(addresses)) == 8


def test_a_nodes_file_is_read(tmp_path: Path):
    path = tmp_path / "nodes.yaml"
    path.write_text("- name: big\n  count: 2\n  labels: {zone: 1}\n  capacity: {nvidia.com/gpu: 16}\n")
    assert read_node_groups(path) == (NodeGroup("big", 2, {"zone": "1"}, (), {"nvidia.com/gpu": "16"}),)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{}", "expected a list of groups"),
        ("- {count: 2}", "with a name"),
        ("- {name: a, size: 2}", "unknown field 'size'"),
        ("- {name: a, count: -1}", "count must be a whole number"),
        ("- {name: a, capacity: {cpu: many}}", "'many' is no amount of cpu"),
        ("- {name: a}\n- {name: a}", "two groups have the same name"),
        ("- {name: a, taints: [{key: x}]}", "a taint needs a key and an effect"),
        ("- {name: a, taints: 5}", "taints must be a list"),
        ("- {name: a, 1: 2, size: 3}", "unknown field 1"),
        ("- {name: Bad Name}", 'group 1: Node "Bad Name-0" is invalid: metadata.name'),
        ("- {name: a, labels: {zone: a b}}", 'group 1: Node "a-0" is invalid: metadata.labels'),
        ("- 2026-13-45", "nodes.yaml: month must be in"),
        ("- name: [", "nodes.yaml"),
    ],
)
def test_a_nodes_file_that_makes_no_sense_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str):
    path = tmp_path / "nodes.yaml"
    path.write_text(text)
    with pytest.raises(NodesFileError, match=complaint):
        read_node_groups(path)


async def test_a_gpu_given_away_twice_is_noticed_by_the_kubelet(opener):
    async with opener(ONE_NODE) as world:
        for name in ("first", "second"):
            world.create_pod(name, {"run-seconds": "100"}, schedulerName="careless", containers=wants(gpu=5))
            world.client.bind("demo", name, "only-0")
        await world.advance(10)
        assert world.phase("first") == "Running"
        status = world.pod("second")["status"]
        assert (status["phase"], status["reason"]) == ("Failed", "UnexpectedAdmissionError")
        assert "Requested: 5, Available: 3" in status["message"]


@pytest.mark.parametrize(
    ("containers", "reason"), [(wants(cpu="17"), "OutOfcpu"), (wants(memory="65Gi"), "OutOfmemory")]
)
async def test_a_pod_too_big_for_its_node_is_rejected(opener, containers, reason):
    async with opener(ONE_NODE) as world:
        world.create_pod("big", schedulerName="careless", containers=containers)
        world.client.bind("demo", "big", "only-0")
        await world.advance(1)
        assert world.pod("big")["status"]["reason"] == reason


async def test_what_a_pod_held_is_free_once_it_has_ended(opener):
    async with opener(ONE_NODE) as world:
        world.create_pod("first", {"run-seconds": "5"}, containers=wants(gpu=8))
        world.create_pod("second", {"run-seconds": "5"}, containers=wants(gpu=8))
        await world.advance(5)
        assert world.phase("second") == "Pending"
        assert world.condition(world.pod("second"), "PodScheduled")["reason"] == "Unschedulable"
        await world.advance(20)
        assert world.phase("second") == "Succeeded"


async def test_the_default_scheduler_heeds_selectors_taints_and_cordons(opener):
    groups = (
        NodeGroup("cordoned", 1),
        NodeGroup("tainted", 1, taints=({"key": "gpu", "value": "true", "effect": "NoSchedule"},)),
        NodeGroup("plain", 1),
        NodeGroup("special", 1, {"disk": "fast"}),
    )
    async with opener(groups) as world:
        cordoned = world.client.get("nodes", None, "cordoned-0")
        world.change("nodes", cordoned, unschedulable=True)
        await world.advance(1)
        world.create_pod("any")
        there = {"kubernetes.io/hostname": "tainted-0"}
        world.create_pod("tolerant", tolerations=[{"key": "gpu", "operator": "Exists"}], nodeSelector=there)
        world.create_pod("repelled", nodeSelector=there)
        world.create_pod("choosy", nodeSelector={"disk": "fast"})
        world.create_pod("hopeless", nodeSelector={"disk": "none"})
        await world.advance(1)
        nodes = {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in world.pods()}
        assert nodes == {
            "any": "plain-0",
            "tolerant": "tainted-0",
            "repelled": None,
            "choosy": "special-0",
            "hopeless": None,
        }


async def test_a_restarted_cluster_goes_on_with_what_was_running(opener, tmp_path: Path):
    clock, path = ManualClock(), tmp_path / "state"
    async with opener(ONE_NODE, path, clock) as world:
        world.create_pod("train", {"run-seconds": "100"}, containers=wants(gpu=8))
        world.create_pod("flaky", {"run-seconds": "1", "exit-code": "1"}, restartPolicy="Always")
        world.create_job("sweep", {"run-seconds": "100"}, parallelism=2, completions=2)
        await world.advance(40)
        before = {name: world.pod(name)["status"] for name in ("train", "flaky")}
    async with opener(ONE_NODE, path, clock) as world:
        await world.advance(1)
        assert world.pod("train")["status"] == before["train"]
        assert world.pod("flaky")["status"]["containerStatuses"][0]["restartCount"] >= 2
        world.create_pod("greedy", schedulerName="careless", containers=wants(gpu=1))
        world.client.bind("demo", "greedy", "only-0")
        await world.advance(1)
        assert world.pod("greedy")["status"]["reason"] == "UnexpectedAdmissionError"
        await world.advance(100)
        ended = world.pod("train")["status"]["containerStatuses"][0]["state"]["terminated"]
        assert ended["startedAt"] == before["train"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        assert ended["finishedAt"] == "2026-01-01T00:01:41Z"
        assert world.pod("train")["status"]["containerStatuses"][0]["restartCount"] == 0
        assert world.job("sweep")["status"]["succeeded"] == 2
        assert len(world.client.list("pods", labels={"job-name": "sweep"})) == 2
