"""A node falls silent, and comes back."""

from typing import Any

from simcluster.nodes import NodeGroup

TWO_NODES = (NodeGroup("n", 2),)
UNREACHABLE = "node.kubernetes.io/unreachable"


def taints(world: Any, name: str) -> list[tuple[str, str]]:
    return [(each["key"], each["effect"]) for each in world.client.get("nodes", None, name)["spec"].get("taints", [])]


def impatient(seconds: int) -> list[dict[str, Any]]:
    return [{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]


async def test_a_node_whose_kubelet_is_dead_is_unknown_and_its_pods_are_driven_out(opener):
    async with opener(TWO_NODES) as world:
        world.create_job("train", {"run-seconds": "300"}, {"tolerations": impatient(30)})
        await world.advance(10)
        (pod,) = world.client.list("pods")
        assert pod["spec"]["nodeName"] == "n-0"
        world.annotate_node("n-0", down="true")
        await world.advance(60)
        node = world.client.get("nodes", None, "n-0")
        assert {each["status"] for each in node["status"]["conditions"]} == {"Unknown"}
        assert taints(world, "n-0") == [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
        old = world.pod(pod["metadata"]["name"])
        assert world.condition(old, "Ready")["status"] == "False"
        assert "deletionTimestamp" not in old["metadata"]

        await world.advance(60)
        old = world.pod(pod["metadata"]["name"])
        assert old["status"]["phase"] == "Running"
        assert world.condition(old, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
        assert "deletionTimestamp" in old["metadata"]
        (new,) = [each for each in world.client.list("pods") if each["metadata"]["uid"] != pod["metadata"]["uid"]]
        assert new["spec"]["nodeName"] == "n-1"

        world.annotate_node("n-0", down="false")
        await world.advance(5)
        assert world.client.get("pods", "demo", pod["metadata"]["name"]) is None
        assert world.condition(world.client.get("nodes", None, "n-0"), "Ready")["status"] == "True"
        assert taints(world, "n-0") == []


async def test_a_short_silence_changes_nothing(opener):
    async with opener(TWO_NODES) as world:
        world.create_pod("train", {"run-seconds": "100"})
        await world.advance(10)
        before = world.pod("train")["status"]
        world.annotate_node("n-0", down="true")
        await world.advance(30)
        world.annotate_node("n-0", down="false")
        await world.advance(30)
        assert world.pod("train")["status"] == before
        assert taints(world, "n-0") == []


async def test_a_container_that_ended_while_its_kubelet_was_dead_is_reported_with_its_true_time(opener):
    async with opener(TWO_NODES) as world:
        world.create_pod("train", {"pull-seconds": "0", "start-seconds": "0", "run-seconds": "40"})
        await world.advance(10)
        world.annotate_node("n-0", down="true")
        await world.advance(90)
        assert world.phase("train") == "Running"
        world.annotate_node("n-0", down="false")
        await world.advance(1)
        ended = world.pod("train")["status"]["containerStatuses"][0]["state"]["terminated"]
        assert ended["finishedAt"] == "2026-01-01T00:00:40Z"


async def test_the_pods_of_a_deleted_node_are_removed_after_a_while(opener):
    async with opener(TWO_NODES) as world:
        world.create_pod("train", {"run-seconds": "forever"})
        await world.advance(10)
        world.client.delete("nodes", None, "n-0")
        await world.advance(30)
        assert world.phase("train") == "Running"
        await world.advance(20)
        assert world.client.get("pods", "demo", "train") is None


async def test_a_job_replaces_the_pods_of_a_deleted_node_after_a_delay_that_counts_each_of_them(opener):
    """Three pods that go together, 40 s after their node, are three failures in a row: 10 s, doubled twice."""
    async with opener(TWO_NODES) as world:
        world.change("nodes", world.client.get("nodes", None, "n-1"), unschedulable=True)
        world.create_job("train", {"run-seconds": "forever"}, parallelism=3, completions=3)
        await world.advance(10)
        assert [pod["spec"]["nodeName"] for pod in world.client.list("pods")] == ["n-0"] * 3
        world.change("nodes", world.client.get("nodes", None, "n-1"), unschedulable=False)
        world.client.delete("nodes", None, "n-0")
        await world.advance(75)
        assert world.client.list("pods") == []
        await world.advance(10)
        assert [pod["spec"]["nodeName"] for pod in world.client.list("pods")] == ["n-1"] * 3
        assert world.job("train")["status"]["failed"] == 3


async def test_a_cordoned_node_is_tainted_as_kubernetes_does(opener):
    async with opener(TWO_NODES) as world:
        world.change("nodes", world.client.get("nodes", None, "n-0"), unschedulable=True)
        await world.advance(1)
        assert taints(world, "n-0") == [("node.kubernetes.io/unschedulable", "NoSchedule")]
        world.create_pod("train")
        await world.advance(1)
        assert world.pod("train")["spec"]["nodeName"] == "n-1"
        world.change("nodes", world.client.get("nodes", None, "n-0"), unschedulable=False)
        await world.advance(1)
        assert taints(world, "n-0") == []
