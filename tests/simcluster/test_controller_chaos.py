"""Worlds in which much goes wrong: whatever happened, everything comes right once it is left alone."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from simcluster.clock import ManualClock
from simcluster.nodes import NodeGroup

NODES = (NodeGroup("n", 4, capacity={"nvidia.com/gpu": "8", "cpu": "32"}),)


def gpu_pod(gpu: int) -> dict[str, Any]:
    limits = {"cpu": "1", "nvidia.com/gpu": str(gpu)}
    return {"containers": [{"name": "main", "image": "x", "resources": {"limits": limits}}]}


def create_jobs(world: Any, chance: random.Random) -> None:
    for number in range(12):
        completions = chance.randint(1, 5)
        world.create_job(
            f"job-{number}",
            {"run-seconds": str(chance.randint(1, 90)), "fail-times": str(chance.choice([0, 0, 1]))},
            gpu_pod(chance.randint(1, 4)) | {"restartPolicy": chance.choice(["Never", "OnFailure"])},
            completions=completions,
            parallelism=chance.randint(1, completions),
            completionMode=chance.choice(["Indexed", "NonIndexed"]),
            backoffLimit=1000,
        )


def disturb(world: Any, chance: random.Random) -> None:
    job = world.job(f"job-{chance.randrange(12)}")
    pods = world.client.list("pods")
    match chance.randrange(5):
        case 0:
            world.change("jobs.batch", job, suspend=not job["spec"]["suspend"])
        case 1 if pods:
            world.client.delete("pods", "demo", chance.choice(pods)["metadata"]["name"])
        case 2 if pods:
            name = chance.choice(pods)["metadata"]["name"]
            world.registry.evict("demo", name, {"metadata": {"name": name}})
        case 3:
            world.annotate_node(f"n-{chance.randrange(4)}", down=chance.choice(["true", "false"]))
        case _:
            world.change("jobs.batch", job, parallelism=chance.randint(0, 5))


def check(world: Any) -> None:
    used: Counter[str] = Counter()
    for pod in world.client.list("pods"):
        if pod["status"]["phase"] in {"Pending", "Running"} and pod["spec"].get("nodeName"):
            used[pod["spec"]["nodeName"]] += int(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
        assert pod["status"].get("reason", "") != "UnexpectedAdmissionError", "the default scheduler gave a GPU twice"
    assert max(used.values(), default=0) <= 8
    for job in world.client.list("jobs.batch"):
        assert job.get("status", {}).get("succeeded", 0) <= job["spec"]["completions"]


def calm(world: Any) -> None:
    for node in world.client.list("nodes"):
        world.annotate_node(node["metadata"]["name"], down="false")
    for job in world.client.list("jobs.batch"):
        world.change("jobs.batch", job, suspend=False, parallelism=max(1, job["spec"]["parallelism"]))


def check_all_came_right(world: Any) -> None:
    for job in world.client.list("jobs.batch"):
        status = job["status"]
        assert [each["type"] for each in status["conditions"] if each["status"] == "True"] == [
            "SuccessCriteriaMet",
            "Complete",
        ], job
        assert status["succeeded"] == job["spec"]["completions"]
        assert "active" not in status
        assert status["terminating"] == 0
    for pod in world.client.list("pods"):
        assert pod["status"]["phase"] in {"Succeeded", "Failed"}
        assert "finalizers" not in pod["metadata"]
        assert "deletionTimestamp" not in pod["metadata"]


@pytest.mark.parametrize("seed", range(8))
async def test_every_job_completes_in_the_end_and_no_gpu_is_given_twice(opener, seed: int, tmp_path: Path):
    chance, clock = random.Random(seed), ManualClock()
    async with opener(NODES, tmp_path / "state", clock, seed) as world:
        await world.advance(1)
        create_jobs(world, chance)
    for life in range(3):
        async with opener(NODES, tmp_path / "state", clock, seed * 10 + life) as world:
            for _ in range(25):
                await world.advance(chance.choice([0, 1, 3, 20]))
                check(world)
                disturb(world, chance)
    async with opener(NODES, tmp_path / "state", clock, seed * 10 + 9) as world:
        calm(world)
        await world.advance(7200)
        check(world)
        check_all_came_right(world)
        assert sum(job["status"].get("failed", 0) for job in world.client.list("jobs.batch")) > 3, "nothing went wrong"
