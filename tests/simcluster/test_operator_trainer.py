"""TrainJobs and JobSets: one owner above the other, steps that wait for each other, and starting anew."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

TRAIN_JOBS = "trainjobs.trainer.kubeflow.org"
JOB_SETS = "jobsets.jobset.x-k8s.io"
RUNTIMES = "trainingruntimes.trainer.kubeflow.org"
MARK = "jobset.sigs.k8s.io"
STEP = "trainer.kubeflow.org/trainjob-ancestor-step"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("jobset", "trainer")) as opened:
        yield opened


def replicated(name: str, replicas: int = 1, pods: int = 1, step: str = "", **more: Any) -> dict[str, Any]:
    annotations = {f"sim.{key.replace('_', '-')}": value for key, value in more.pop("course", {}).items()}
    limits = {key: more.pop(key) for key in ("backoffLimit",) if key in more}
    pod = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": name, "image": "train:1"}]}}
    job = {"metadata": {"labels": {STEP: step} if step else {}}}
    job["spec"] = {"parallelism": pods, "completions": pods, "template": pod, **limits}
    job["spec"]["template"]["spec"]["restartPolicy"] = "Never"
    return {"name": name, "replicas": replicas, "template": job, **more}


def job_set(*jobs: Any, **spec: Any) -> Any:
    metadata = {"name": "set", "namespace": "demo"}
    body = {"replicatedJobs": list(jobs), **spec}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": metadata, "spec": body}


def jobs(world: Any) -> list[str]:
    return [job["metadata"]["name"] for job in world.client.list("jobs.batch", "demo")]


async def test_every_job_and_pod_of_a_set_says_where_it_belongs(world, traits_of):
    world.client.create(JOB_SETS, job_set(replicated("head"), replicated("rank", replicas=2, pods=2), suspend=False))
    await world.advance(1)
    assert jobs(world) == ["set-head-0", "set-rank-0", "set-rank-1"]
    (pod,) = [each for each in world.pods() if each["metadata"]["name"].startswith("set-rank-1-1-")]
    marks = {
        "jobset-name": "set",
        "jobset-uid": world.found(JOB_SETS, "set")["metadata"]["uid"],
        "replicatedjob-name": "rank",
        "replicatedjob-replicas": "2",
        "restart-attempt": "0",
        "job-index": "1",
        "global-replicas": "3",
        "job-global-index": "2",
        "group-name": "default",
        "group-replicas": "3",
        "job-group-index": "2",
    }
    for place in ("labels", "annotations"):
        found = {key.removeprefix(f"{MARK}/"): value for key, value in pod["metadata"][place].items() if MARK in key}
        assert len(found.pop("job-key")) == 40
        assert found == marks
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "set-rank-1"
    assert traits_of(world.job("set-rank-1"))["owners"][0]["kind"] == "JobSet"


async def test_a_set_completes_when_all_its_jobs_have(world):
    world.client.create(JOB_SETS, job_set(replicated("a"), replicated("b", course={"run_seconds": "20"})))
    await world.advance(10)
    counts = {each["name"]: each for each in world.found(JOB_SETS, "set")["status"]["replicatedJobsStatus"]}
    assert (counts["a"]["succeeded"], counts["b"]["ready"], counts["b"]["active"]) == (1, 1, 1)
    await world.advance(20)
    status = world.found(JOB_SETS, "set")["status"]
    assert world.conditions(JOB_SETS, "set") == {"Completed": "True"}
    assert (status["terminalState"], status["restarts"]) == ("Completed", 0)


async def test_a_success_policy_names_the_jobs_that_matter(world):
    server = replicated("server", course={"run_seconds": "forever"})
    policy = {"operator": "All", "targetReplicatedJobs": ["work"]}
    world.client.create(JOB_SETS, job_set(server, replicated("work"), successPolicy=policy))
    await world.advance(20)
    assert world.conditions(JOB_SETS, "set") == {"Completed": "True"}
    assert jobs(world) == ["set-work-0"], "what still ran is deleted"


async def test_a_failed_job_fails_a_set_that_may_not_restart(world):
    failing = replicated("a", course={"exit_code": "1"}, backoffLimit=0)
    world.client.create(JOB_SETS, job_set(failing, replicated("b", course={"run_seconds": "500"})))
    await world.advance(20)
    assert world.conditions(JOB_SETS, "set") == {"Failed": "True"}
    assert jobs(world) == ["set-a-0"]


async def test_a_set_starts_anew_as_often_as_its_policy_allows(world):
    failing = replicated("a", course={"exit_code": "1", "run_seconds": "5"}, backoffLimit=0)
    other = replicated("b", course={"run_seconds": "500"})
    world.client.create(JOB_SETS, job_set(failing, other, failurePolicy={"maxRestarts": 1}))
    await world.advance(5)
    before = world.job("set-b-0")["metadata"]["uid"]
    await world.advance(5)
    again = world.job("set-b-0")["metadata"]
    assert (again["uid"] != before, again["labels"][f"{MARK}/restart-attempt"]) == (True, "1")
    await world.advance(20)
    assert world.found(JOB_SETS, "set")["status"]["restarts"] == 1
    (failed,) = world.found(JOB_SETS, "set")["status"]["conditions"]
    assert (failed["type"], failed["reason"]) == ("Failed", "ReachedMaxRestarts")


async def test_a_set_that_starts_anew_may_complete(world):
    failing = replicated("a", course={"fail_times": "1"}, backoffLimit=0)
    world.client.create(JOB_SETS, job_set(failing, failurePolicy={"maxRestarts": 3}))
    await world.advance(30)
    assert world.conditions(JOB_SETS, "set") == {"Completed": "True"}
    assert world.found(JOB_SETS, "set")["status"]["restarts"] == 1


async def test_a_rule_of_the_failure_policy_ends_the_set_at_once(world):
    rules = [{"name": "no", "action": "FailJobSet", "targetReplicatedJobs": ["a"]}]
    failing = replicated("a", course={"exit_code": "1"}, backoffLimit=0)
    world.client.create(JOB_SETS, job_set(failing, failurePolicy={"maxRestarts": 3, "rules": rules}))
    await world.advance(20)
    assert world.conditions(JOB_SETS, "set") == {"Failed": "True"}


async def test_jobs_in_order_start_when_those_before_are_ready(world):
    first = replicated("a", course={"run_seconds": "60", "ready_seconds": "10"})
    world.client.create(JOB_SETS, job_set(first, replicated("b"), startupPolicy={"startupPolicyOrder": "InOrder"}))
    await world.advance(8)
    assert jobs(world) == ["set-a-0"]
    assert world.conditions(JOB_SETS, "set") == {"StartupPolicyInProgress": "True"}
    await world.advance(10)
    assert jobs(world) == ["set-a-0", "set-b-0"]
    await world.advance(5)
    assert world.conditions(JOB_SETS, "set")["StartupPolicyCompleted"] == "True"


async def test_a_suspended_set_keeps_its_jobs_without_pods(world):
    world.client.create(JOB_SETS, job_set(replicated("a", course={"run_seconds": "60"}), suspend=True))
    await world.advance(5)
    assert (jobs(world), world.pods()) == (["set-a-0"], [])
    assert world.conditions(JOB_SETS, "set") == {"Suspended": "True"}
    world.change_spec(JOB_SETS, "set", lambda spec: spec.update(suspend=False))
    await world.advance(5)
    assert len(world.pods()) == 1
    world.change_spec(JOB_SETS, "set", lambda spec: spec.update(suspend=True))
    await world.advance(5)
    assert world.pods() == []
    assert world.conditions(JOB_SETS, "set") == {"Suspended": "True"}


def runtime(*steps: Any) -> Any:
    metadata = {"name": "steps", "namespace": "demo"}
    spec = {"mlPolicy": {"numNodes": 1}, "template": {"spec": {"replicatedJobs": list(steps)}}}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": metadata,
        "spec": spec,
    }


def train_job(runtime_name: str = "", nodes: int = 2, **spec: Any) -> Any:
    reference = {"name": "torch-distributed"}
    if runtime_name:
        reference = {"name": runtime_name, "kind": "TrainingRuntime", "apiGroup": "trainer.kubeflow.org"}
    resources = {"limits": {"nvidia.com/gpu": "1"}}
    trainer = {"numNodes": nodes, "image": "mine:2", "command": ["sleep", "30"], "resourcesPerNode": resources}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": "tune", "namespace": "demo"},
        "spec": {"runtimeRef": reference, "trainer": trainer, **spec},
    }


async def test_a_train_job_becomes_a_job_set_of_its_name(world, traits_of):
    world.client.create(TRAIN_JOBS, train_job())
    await world.advance(5)
    assert traits_of(world.found(JOB_SETS, "tune"))["owners"] == [
        {
            "apiVersion": "trainer.kubeflow.org/v1alpha1",
            "kind": "TrainJob",
            "name": "tune",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    pods = world.pods()
    assert [pod["metadata"]["name"].rpartition("-")[0] for pod in pods] == ["tune-node-0-0", "tune-node-0-1"]
    assert [each["name"] for each in pods[0]["spec"]["containers"]] == ["node"]
    assert pods[0]["spec"]["containers"][0]["image"] == "mine:2"
    assert pods[0]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert STEP not in pods[0]["metadata"]["labels"]
    assert world.job("tune-node-0")["metadata"]["labels"][STEP] == "trainer"
    status = world.found(TRAIN_JOBS, "tune")["status"]
    assert "conditions" not in status, "there is no condition for running"
    assert status["jobsStatus"][0]["ready"] == 1
    await world.advance(60)
    assert world.conditions(TRAIN_JOBS, "tune") == {"Complete": "True"}


async def test_nodes_start_when_the_initializers_are_complete(world):
    course = {"run_seconds": "10"}
    awaited = [{"name": name, "status": "Complete"} for name in ("dataset-initializer", "model-initializer")]
    steps = (
        replicated("dataset-initializer", step="dataset-initializer", course=course),
        replicated("model-initializer", step="model-initializer", course={"run_seconds": "20"}),
        replicated("node", step="trainer", course=course, dependsOn=awaited),
    )
    world.client.create(RUNTIMES, runtime(*steps))
    dataset = {"dataset": {"storageUri": "hf://data"}}
    world.client.create(TRAIN_JOBS, train_job("steps", initializer=dataset))
    await world.advance(15)
    assert jobs(world) == ["tune-dataset-initializer-0", "tune-model-initializer-0"]
    environment = world.job("tune-dataset-initializer-0")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "STORAGE_URI", "value": "hf://data"} in environment
    await world.advance(10)
    assert jobs(world)[-1] == "tune-node-0"
    assert world.job("tune-node-0")["spec"]["parallelism"] == 2
    await world.advance(40)
    assert world.conditions(TRAIN_JOBS, "tune") == {"Complete": "True"}


async def test_a_suspended_train_job_gives_its_pods_back_and_takes_them_again(world):
    world.client.create(TRAIN_JOBS, train_job())
    await world.advance(5)
    world.change_spec(TRAIN_JOBS, "tune", lambda spec: spec.update(suspend=True))
    await world.advance(5)
    assert world.pods() == []
    assert world.conditions(TRAIN_JOBS, "tune") == {"Suspended": "True"}
    world.change_spec(TRAIN_JOBS, "tune", lambda spec: spec.update(suspend=False))
    await world.advance(5)
    assert len(world.pods()) == 2
    assert world.conditions(TRAIN_JOBS, "tune") == {"Suspended": "False"}


async def test_a_set_suspended_behind_the_back_of_its_train_job_is_resumed(world):
    world.client.create(TRAIN_JOBS, train_job())
    await world.advance(5)
    world.change_spec(JOB_SETS, "tune", lambda spec: spec.update(suspend=True))
    await world.advance(5)
    assert len(world.pods()) == 2


async def test_a_train_job_fails_with_its_set(world):
    world.client.create(
        RUNTIMES, runtime(replicated("node", step="trainer", course={"exit_code": "1"}, backoffLimit=0))
    )
    world.client.create(TRAIN_JOBS, train_job("steps"))
    await world.advance(60)
    assert world.conditions(TRAIN_JOBS, "tune") == {"Failed": "True"}


async def test_a_train_job_without_its_runtime_says_so(world):
    world.client.create(TRAIN_JOBS, train_job("missing"))
    await world.advance(5)
    (failed,) = world.found(TRAIN_JOBS, "tune")["status"]["conditions"]
    assert (failed["type"], failed["reason"]) == ("Failed", "TrainingRuntimeNotSupported")


async def test_a_deleted_train_job_takes_everything_with_it(world):
    world.client.create(TRAIN_JOBS, train_job())
    await world.advance(5)
    world.client.delete(TRAIN_JOBS, "demo", "tune")
    await world.advance(5)
    assert (world.client.list(JOB_SETS, "demo"), jobs(world), world.pods()) == ([], [], [])
