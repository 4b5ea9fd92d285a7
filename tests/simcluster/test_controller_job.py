"""Jobs, from their pods to their conditions."""

from typing import Any

import pytest

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


def succeeded(world: Any, name: str) -> int:
    return world.job(name)["status"].get("succeeded", 0)


def finished(world: Any, name: str) -> str:
    conditions = world.job(name).get("status", {}).get("conditions", [])
    return next((each["type"] for each in conditions if each["type"] in {"Complete", "Failed"}), "")


async def test_a_job_runs_no_more_pods_at_once_than_its_parallelism(world):
    world.create_job("sweep", {"run-seconds": "10"}, parallelism=2, completions=5)
    most = 0
    while not finished(world, "sweep"):
        await world.advance(1)
        most = max(most, world.job("sweep").get("status", {}).get("active", 0))
    assert most == 2
    assert succeeded(world, "sweep") == 5
    assert len(pods_of(world, "sweep")) == 5


async def test_an_indexed_job_gives_each_pod_its_index(world):
    world.create_job("sweep", {"run-seconds": "10"}, parallelism=3, completions=3, completionMode="Indexed")
    await world.advance(5)
    pods = sorted(pods_of(world, "sweep"), key=lambda pod: pod["metadata"]["name"])
    for index, pod in enumerate(pods):
        assert pod["metadata"]["name"].startswith(f"sweep-{index}-")
        assert pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == str(index)
        assert pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == str(index)
        assert pod["spec"]["hostname"] == f"sweep-{index}"
        assert pod["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    await world.advance(60)
    assert world.job("sweep")["status"]["completedIndexes"] == "0-2"
    assert finished(world, "sweep") == "Complete"


async def test_a_failed_pod_is_replaced_after_a_growing_delay(world):
    world.create_job("flaky", {"run-seconds": "1", "fail-times": "2"})
    await world.advance(5)
    assert len(pods_of(world, "flaky")) == 1
    await world.advance(10)
    assert len(pods_of(world, "flaky")) == 2
    await world.advance(10)
    assert len(pods_of(world, "flaky")) == 2
    await world.advance(30)
    status = world.job("flaky")["status"]
    assert status["failed"] == 2
    assert status["succeeded"] == 1
    assert finished(world, "flaky") == "Complete"


async def test_a_job_fails_when_its_backoff_limit_is_exceeded(world):
    world.create_job("broken", {"exit-code": "7"}, backoffLimit=1)
    await world.advance(120)
    job = world.job("broken")
    assert job["status"]["failed"] == 2
    assert [each["type"] for each in job["status"]["conditions"]] == ["FailureTarget", "Failed"]
    assert world.condition(job, "Failed")["reason"] == "BackoffLimitExceeded"
    assert "completionTime" not in job["status"]
    ended = pods_of(world, "broken")[0]["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 7
    assert ended["reason"] == "Error"


async def test_restarts_within_a_pod_count_against_the_backoff_limit(world):
    world.create_job("broken", {"run-seconds": "1", "exit-code": "1"}, {"restartPolicy": "OnFailure"}, backoffLimit=2)
    await world.advance(300)
    assert world.condition(world.job("broken"), "Failed")["reason"] == "BackoffLimitExceeded"
    assert pods_of(world, "broken") == []


async def test_a_job_past_its_deadline_ends_its_pods_and_fails(world):
    world.create_job("slow", {"run-seconds": "forever"}, activeDeadlineSeconds=20)
    await world.advance(15)
    assert world.job("slow")["status"]["ready"] == 1
    await world.advance(10)
    job = world.job("slow")
    assert world.condition(job, "Failed")["reason"] == "DeadlineExceeded"
    assert job["status"]["failed"] == 1
    assert pods_of(world, "slow") == []


async def test_suspending_a_job_takes_its_pods_and_counts_none_as_failed(world):
    world.create_job("train", {"run-seconds": "100"}, parallelism=2, completions=2)
    await world.advance(10)
    assert world.job("train")["status"]["ready"] == 2
    world.change("jobs.batch", world.job("train"), suspend=True)
    await world.advance(5)
    job = world.job("train")
    assert pods_of(world, "train") == []
    assert world.condition(job, "Suspended")["status"] == "True"
    assert "failed" not in job["status"]
    assert "active" not in job["status"]

    world.change("jobs.batch", job, suspend=False)
    await world.advance(5)
    job = world.job("train")
    assert world.condition(job, "Suspended")["status"] == "False"
    assert job["status"]["startTime"] == "2026-01-01T00:00:15Z"
    await world.advance(120)
    assert finished(world, "train") == "Complete"


async def test_a_job_created_suspended_has_no_start_time_and_no_pods(world):
    world.create_job("later", suspend=True)
    await world.advance(30)
    job = world.job("later")
    assert "startTime" not in job["status"]
    assert world.condition(job, "Suspended")["reason"] == "JobSuspended"
    assert pods_of(world, "later") == []


async def test_a_finished_job_is_deleted_when_its_time_to_live_is_over(world):
    world.create_job("brief", {"run-seconds": "1"}, ttlSecondsAfterFinished=30)
    await world.advance(20)
    assert finished(world, "brief") == "Complete"
    await world.advance(30)
    assert world.client.get("jobs.batch", "demo", "brief") is None
    assert pods_of(world, "brief") == []


async def test_a_pod_that_is_deleted_counts_as_failed_and_is_replaced(world):
    world.create_job("train", {"run-seconds": "100"})
    await world.advance(10)
    (pod,) = pods_of(world, "train")
    world.client.delete("pods", "demo", pod["metadata"]["name"])
    await world.advance(30)
    (other,) = pods_of(world, "train")
    assert other["metadata"]["uid"] != pod["metadata"]["uid"]
    assert world.job("train")["status"]["failed"] == 1


async def test_a_disruption_is_ignored_by_a_pod_failure_policy_that_says_so(world):
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    world.create_job("train", {"run-seconds": "100"}, backoffLimit=0, podFailurePolicy={"rules": rules})
    await world.advance(10)
    (pod,) = pods_of(world, "train")
    name = pod["metadata"]["name"]
    world.registry.evict("demo", name, {"metadata": {"name": name}})
    assert world.condition(world.pod(name), "DisruptionTarget")["reason"] == "EvictionByEvictionAPI"
    await world.advance(30)
    job = world.job("train")
    assert "failed" not in job["status"]
    assert job["status"]["active"] == 1
    assert finished(world, "train") == ""


@pytest.mark.parametrize(("evicted", "failed"), [(True, 0), (False, 1)])
async def test_a_job_goes_on_when_a_pod_that_never_had_a_node_is_taken_away(world, evicted, failed):
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    pod = {"schedulerName": "somebody-else"}
    world.create_job("train", None, pod, backoffLimit=5, podFailurePolicy={"rules": rules})
    await world.advance(10)
    (pod,) = pods_of(world, "train")
    name = pod["metadata"]["name"]
    if evicted:
        world.registry.evict("demo", name, {"metadata": {"name": name}})
    else:
        world.client.delete("pods", "demo", name)
    await world.advance(30)
    (new,) = pods_of(world, "train")
    assert new["metadata"]["uid"] != pod["metadata"]["uid"]
    assert world.job("train")["status"].get("failed", 0) == failed


async def test_succeeded_pods_stay_counted_after_they_are_deleted(world):
    world.create_job("sweep", {"run-seconds": "5"}, parallelism=1, completions=2)
    await world.advance_until(lambda: succeeded(world, "sweep") == 1)
    done = next(pod for pod in pods_of(world, "sweep") if pod["status"]["phase"] == "Succeeded")
    world.client.delete("pods", "demo", done["metadata"]["name"])
    await world.advance(30)
    assert succeeded(world, "sweep") == 2
    assert len(pods_of(world, "sweep")) == 1


async def test_a_smaller_parallelism_takes_surplus_pods_without_counting_them_as_failed(world):
    world.create_job("wide", {"run-seconds": "100"}, parallelism=4, completions=4)
    await world.advance(10)
    world.change("jobs.batch", world.job("wide"), parallelism=1)
    await world.advance(10)
    assert len(pods_of(world, "wide")) == 1
    assert "failed" not in world.job("wide")["status"]


async def test_a_job_managed_by_somebody_else_is_left_alone(world):
    world.create_job("foreign", managedBy="example.com/other")
    await world.advance(30)
    assert world.job("foreign")["status"] == {}
    assert pods_of(world, "foreign") == []


async def test_the_life_of_a_job_is_told_in_events(world):
    world.create_job("train")
    await world.advance(30)
    (pod,) = pods_of(world, "train")
    assert [reason for reason, _ in world.events("train")] == ["SuccessfulCreate", "Completed"]
    assert [reason for reason, _ in world.events(pod["metadata"]["name"])] == [
        "Scheduled",
        "Pulling",
        "Pulled",
        "Created",
        "Started",
    ]


async def test_one_seed_gives_the_same_world_again(opener):
    async def play() -> list[Any]:
        async with opener(seed=7) as world:
            world.create_job("sweep", {"run-seconds": "10", "fail-times": "1"}, parallelism=3, completions=9)
            await world.advance(300)
            return world.client.list("pods") + world.client.list("events") + world.client.list("jobs.batch")

    assert await play() == await play()
