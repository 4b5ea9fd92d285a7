"""MPIJobs of both versions: workers, the launcher, and what its end means."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

MPI = "mpijobs.kubeflow.org"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("mpi",)) as opened:
        yield opened


@pytest.fixture
async def older_world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("mpi-v1",)) as opened:
        yield opened


def replica(container: str, replicas: int = 1, restart: str = "", **annotations: str) -> dict[str, Any]:
    metadata = {"annotations": {f"sim.{key.replace('_', '-')}": value for key, value in annotations.items()}}
    template = {"metadata": metadata, "spec": {"containers": [{"name": container, "image": "mpi:1"}]}}
    chosen = {"restartPolicy": restart} if restart else {}
    return {"replicas": replicas, "template": template, **chosen}


def mpi_job(workers: int = 2, launcher: Any = None, policy: Any = None, **spec: Any) -> Any:
    specs = {"Launcher": launcher or replica("launcher", run_seconds="30"), "Worker": replica("worker", workers)}
    return {
        "apiVersion": "kubeflow.org/v2beta1",
        "kind": "MPIJob",
        "metadata": {"name": "pi", "namespace": "demo"},
        "spec": {"mpiReplicaSpecs": specs, "runPolicy": policy or {}, **spec},
    }


def names(world: Any, role: str) -> list[str]:
    pods = world.client.list("pods", "demo", labels={"training.kubeflow.org/job-role": role})
    return [pod["metadata"]["name"] for pod in pods]


async def test_the_pods_of_the_older_version_are_those_that_were_recorded(older_world, recording, traits_of):
    recorded = recording("kubeflow/derived-mpijob-v1-training-operator.json")
    specs = {"Launcher": replica("main", run_seconds="10"), "Worker": replica("main", 2)}
    older_world.client.create(MPI, recorded.played(mpiReplicaSpecs=specs, runPolicy={"cleanPodPolicy": "Running"}))
    await older_world.advance(5)
    assert [traits_of(pod) for pod in older_world.pods()] == [traits_of(pod) for pod in recorded.of_kind("Pod")]
    assert older_world.conditions(MPI, "mpi-v1") == {"Created": "True", "Running": "True"}
    await older_world.advance(20)
    assert older_world.conditions(MPI, "mpi-v1")["Succeeded"] == "True"
    assert [pod["metadata"]["name"] for pod in older_world.pods()] == ["mpi-v1-launcher"]


async def test_workers_are_the_jobs_own_and_the_launcher_is_a_job_between(world, traits_of):
    world.client.create(MPI, mpi_job())
    await world.advance(5)
    assert names(world, "worker") == ["pi-worker-0", "pi-worker-1"]
    worker = traits_of(world.pod("pi-worker-1"))
    assert worker["labels"] == {
        "training.kubeflow.org/operator-name": "mpi-operator",
        "training.kubeflow.org/job-name": "pi",
        "training.kubeflow.org/job-role": "worker",
        "training.kubeflow.org/replica-index": "1",
    }
    assert (worker["owners"][0]["apiVersion"], worker["owners"][0]["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    (launcher,) = names(world, "launcher")
    assert launcher.startswith("pi-launcher-")
    assert traits_of(world.pod(launcher))["owners"][0]["kind"] == "Job"
    assert traits_of(world.job("pi-launcher"))["owners"][0]["kind"] == "MPIJob"
    assert world.conditions(MPI, "pi") == {"Created": "True", "Running": "True"}
    assert world.found(MPI, "pi")["status"]["replicaStatuses"] == {"Launcher": {"active": 1}, "Worker": {"active": 2}}


@pytest.mark.parametrize(("policy", "left"), [("None", 2), ("Running", 0), ("All", 0)])
async def test_the_end_of_the_launcher_is_the_end_of_the_job(world, policy, left):
    world.client.create(MPI, mpi_job(policy={"cleanPodPolicy": policy}))
    await world.advance(60)
    assert world.conditions(MPI, "pi") == {"Created": "True", "Running": "False", "Succeeded": "True"}
    assert world.found(MPI, "pi")["status"]["replicaStatuses"]["Launcher"] == {"succeeded": 1}
    assert len(names(world, "worker")) == left
    assert len(names(world, "launcher")) == 1


async def test_a_launcher_is_tried_again_up_to_the_backoff_limit(world):
    course = replica("launcher", restart="Never", run_seconds="5", exit_code="1")
    world.client.create(MPI, mpi_job(launcher=course, policy={"backoffLimit": 1}))
    await world.advance(12)
    assert "Failed" not in world.conditions(MPI, "pi")
    await world.advance(60)
    assert len(names(world, "launcher")) == 2
    failed = world.found(MPI, "pi")["status"]["conditions"][-1]
    assert (failed["type"], failed["reason"]) == ("Failed", "BackoffLimitExceeded")


async def test_a_launcher_that_waits_comes_when_all_workers_are_ready(world):
    job = mpi_job(launcherCreationPolicy="WaitForWorkersReady")
    job["spec"]["mpiReplicaSpecs"]["Worker"] = replica("worker", 2, ready_seconds="10")
    world.client.create(MPI, job)
    await world.advance(5)
    assert len(names(world, "worker")) == 2
    assert world.client.list("jobs.batch", "demo") == []
    await world.advance(10)
    assert len(names(world, "launcher")) == 1


async def test_a_suspended_job_keeps_its_launchers_job_and_loses_its_pods(world):
    world.client.create(MPI, mpi_job())
    await world.advance(5)
    world.change_spec(MPI, "pi", lambda spec: spec["runPolicy"].update(suspend=True))
    await world.advance(5)
    assert world.pods() == []
    assert world.job("pi-launcher")["spec"]["suspend"] is True
    assert world.conditions(MPI, "pi") == {"Created": "True", "Running": "False", "Suspended": "True"}
    world.change_spec(MPI, "pi", lambda spec: spec["runPolicy"].update(suspend=False))
    await world.advance(5)
    assert names(world, "worker") == ["pi-worker-0", "pi-worker-1"]
    assert world.conditions(MPI, "pi") == {"Created": "True", "Suspended": "False", "Running": "True"}
    await world.advance(60)
    assert world.conditions(MPI, "pi")["Succeeded"] == "True"


async def test_workers_are_added_and_taken_with_the_number_asked_for(world):
    world.client.create(MPI, mpi_job(workers=1))
    await world.advance(5)
    for workers in (3, 2):
        world.change_spec(MPI, "pi", lambda spec, n=workers: spec["mpiReplicaSpecs"]["Worker"].update(replicas=n))
        await world.advance(5)
        assert names(world, "worker") == [f"pi-worker-{index}" for index in range(workers)]


async def test_workers_count_on_from_a_launcher_that_works(world):
    world.client.create(MPI, mpi_job(runLauncherAsWorker=True))
    await world.advance(5)
    numbers = {pod["metadata"]["labels"]["training.kubeflow.org/job-role"]: [] for pod in world.pods()}
    for pod in world.pods():
        labels = pod["metadata"]["labels"]
        numbers[labels["training.kubeflow.org/job-role"]].append(labels["training.kubeflow.org/replica-index"])
    assert numbers == {"launcher": ["0"], "worker": ["1", "2"]}


async def test_a_deleted_job_takes_everything_with_it(world):
    world.client.create(MPI, mpi_job())
    await world.advance(5)
    world.client.delete(MPI, "demo", "pi")
    await world.advance(5)
    for kind in ("pods", "jobs.batch", "services", "configmaps", "secrets"):
        assert world.client.list(kind, "demo") == []
