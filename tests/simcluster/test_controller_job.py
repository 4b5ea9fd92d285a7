"""Jobs, from their pods to their conditions."""

from typing import Any

JOB_NAME = "batch.kubernetes.io/job-name"


def pods_of(world: Any, job: str) -> list[Any]:
    return world.client.list("pods", "demo", labels={JOB_NAME: job})


async def test_a_job_runs_its_pod_on_a_node_and_completes(world):
    world.create_job("train")
    await world.advance(0)
    (pod,) = pods_of(world, "train")
    assert pod["spec"]["nodeName"] == "pool-a-0"
    assert pod["status"]["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert world.job("train")["status"]["active"] == 1

    await world.advance(60)
    status = world.job("train")["status"]
    assert status["succeeded"] == 1
    assert "active" not in status
    assert [each["type"] for each in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert status["startTime"] == "2026-01-01T00:00:00Z"
    assert status["completionTime"] == "2026-01-01T00:00:04Z"
    (pod,) = pods_of(world, "train")
    assert pod["status"]["phase"] == "Succeeded"
    assert "finalizers" not in pod["metadata"]
