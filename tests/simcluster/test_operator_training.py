"""The training operator's kinds: what it makes of a job, beside recordings, and what becomes of the job."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

PYTORCH = "pytorchjobs.kubeflow.org"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("training",)) as opened:
        yield opened


def template(container: str, gpu: int = 0, **annotations: str) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": str(gpu)} if gpu else {}
    return {
        "metadata": {"annotations": {f"sim.{key.replace('_', '-')}": value for key, value in annotations.items()}},
        "spec": {"containers": [{"name": container, "image": "train:1", "resources": {"limits": limits}}]},
    }


def pytorch_job(
    name: str = "train", workers: int = 2, policy: Any = None, restart: str = "", **annotations: str
) -> Any:
    chosen = {"restartPolicy": restart} if restart else {}
    specs = {
        "Master": {"replicas": 1, "template": template("pytorch", 1, **annotations), **chosen},
        "Worker": {"replicas": workers, "template": template("pytorch", 1, **annotations), **chosen},
    }
    spec = {"pytorchReplicaSpecs": specs, "runPolicy": policy or {}}
    metadata = {"name": name, "namespace": "demo"}
    return {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": metadata, "spec": spec}


def names(world: Any) -> list[str]:
    return [pod["metadata"]["name"] for pod in world.pods()]


def with_templates(specs: dict[str, Any], container: str) -> dict[str, Any]:
    return {kind: {**spec, "template": template(container, run_seconds="60")} for kind, spec in specs.items()}


@pytest.mark.parametrize(
    ("file", "field", "kind", "container"),
    [
        ("derived-pytorchjob", "pytorchReplicaSpecs", PYTORCH, "pytorch"),
        ("derived-pytorchjob-elastic-no-master", "pytorchReplicaSpecs", PYTORCH, "pytorch"),
        ("derived-tfjob-ps", "tfReplicaSpecs", "tfjobs.kubeflow.org", "tensorflow"),
    ],
)
async def test_the_pods_of_a_job_are_those_that_were_recorded(
    world, recording, traits_of, file, field, kind, container
):
    recorded = recording(f"kubeflow/{file}.json")
    specs = with_templates(recorded.items[0]["spec"][field], container)
    world.client.create(kind, recorded.played(**{field: specs}))
    await world.advance(5)
    expected = sorted((traits_of(pod) for pod in recorded.of_kind("Pod")), key=lambda each: each["name"])
    assert [traits_of(pod) for pod in world.pods()] == expected


async def test_a_job_of_the_kubeflow_sdk_runs_and_succeeds_with_its_master(world, recording):
    world.client.create(PYTORCH, recording("kubeflow/training-sdk-pytorchjob.json").played())
    await world.advance(2)
    assert names(world) == ["pytorch-dist-master-0", *(f"pytorch-dist-worker-{index}" for index in range(3))]
    assert world.conditions(PYTORCH, "pytorch-dist") == {"Created": "True", "Running": "True"}
    await world.advance(10)
    assert world.conditions(PYTORCH, "pytorch-dist") == {"Created": "True", "Running": "False", "Succeeded": "True"}
    status = world.found(PYTORCH, "pytorch-dist")["status"]
    assert status["replicaStatuses"]["Master"]["succeeded"] == 1
    assert status["startTime"] < status["completionTime"]


async def test_a_condition_is_written_as_the_operator_words_it(world):
    world.client.create(PYTORCH, pytorch_job(run_seconds="60"))
    await world.advance(5)
    condition = world.found(PYTORCH, "train")["status"]["conditions"][-1]
    assert condition == {
        "type": "Running",
        "status": "True",
        "reason": "PyTorchJobRunning",
        "message": "PyTorchJob train is running.",
        "lastUpdateTime": condition["lastTransitionTime"],
        "lastTransitionTime": condition["lastTransitionTime"],
    }


async def test_a_replica_that_fails_under_never_fails_the_job(world):
    world.client.create(PYTORCH, pytorch_job(restart="Never", run_seconds="60"))
    await world.advance(5)
    world.client.update("pods", _with_annotations(world.pod("train-worker-1"), exit_code="3", run_seconds="0"))
    await world.advance(5)
    assert world.conditions(PYTORCH, "train") == {"Created": "True", "Running": "False", "Failed": "True"}
    message = world.found(PYTORCH, "train")["status"]["conditions"][-1]["message"]
    assert message == "PyTorchJob train is failed because 1 Worker replica(s) failed."
    assert len(names(world)) == 3, "cleanPodPolicy None keeps what there is"


def _with_annotations(pod: Any, **annotations: str) -> Any:
    more = {f"sim.{key.replace('_', '-')}": value for key, value in annotations.items()}
    metadata = pod["metadata"]
    return {**pod, "metadata": {**metadata, "annotations": {**metadata["annotations"], **more}}}


@pytest.mark.parametrize(("code", "outcome"), [("137", "Succeeded"), ("1", "Failed")])
async def test_under_exit_code_only_a_retryable_code_makes_a_new_pod(world, code, outcome):
    world.client.create(PYTORCH, pytorch_job(restart="ExitCode", run_seconds="5", exit_code=code, fail_times="1"))
    await world.advance(1)
    first = world.pod("train-worker-0")["metadata"]["uid"]
    await world.advance(30)
    assert world.conditions(PYTORCH, "train")[outcome] == "True"
    assert (world.pod("train-worker-0")["metadata"]["uid"] != first) == (outcome == "Succeeded")


async def test_a_job_is_restarting_while_a_replica_is_made_again(world):
    course = {"start_seconds": "5", "run_seconds": "10", "exit_code": "137", "fail_times": "1"}
    world.client.create(PYTORCH, pytorch_job(restart="ExitCode", **course))
    await world.advance_until(lambda: world.conditions(PYTORCH, "train").get("Restarting") == "True")
    assert "Running" not in world.conditions(PYTORCH, "train")
    await world.advance(8)
    assert world.conditions(PYTORCH, "train") == {"Created": "True", "Running": "True"}


async def test_containers_restarted_too_often_reach_the_backoff_limit(world):
    policy = {"backoffLimit": 2}
    world.client.create(PYTORCH, pytorch_job(policy=policy, restart="OnFailure", run_seconds="1", exit_code="1"))
    await world.advance(120)
    failed = world.found(PYTORCH, "train")["status"]["conditions"][-1]
    assert failed["type"] == "Failed"
    assert "backoff limit" in failed["message"]
    assert names(world) == []


async def test_a_job_past_its_deadline_fails_without_anything_else_happening(world):
    world.client.create(PYTORCH, pytorch_job(policy={"activeDeadlineSeconds": 30}, run_seconds="500"))
    await world.advance(29)
    assert world.conditions(PYTORCH, "train")["Running"] == "True"
    await world.advance(5)
    assert world.conditions(PYTORCH, "train")["Failed"] == "True"
    assert names(world) == []


async def test_a_suspended_job_loses_its_pods_and_gets_them_again_under_the_same_names(world):
    world.client.create(PYTORCH, pytorch_job(run_seconds="60"))
    await world.advance(5)
    before = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in world.pods()}
    world.change_spec(PYTORCH, "train", lambda spec: spec["runPolicy"].update(suspend=True))
    await world.advance(5)
    assert names(world) == []
    assert world.conditions(PYTORCH, "train") == {"Created": "True", "Running": "False", "Suspended": "True"}
    world.change_spec(PYTORCH, "train", lambda spec: spec["runPolicy"].update(suspend=False))
    await world.advance(5)
    after = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in world.pods()}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert world.conditions(PYTORCH, "train") == {"Created": "True", "Suspended": "False", "Running": "True"}


async def test_a_job_that_is_created_suspended_starts_when_it_is_resumed(world):
    world.client.create(PYTORCH, pytorch_job(policy={"suspend": True}, run_seconds="60"))
    await world.advance(5)
    assert names(world) == []
    assert "startTime" not in world.found(PYTORCH, "train")["status"]
    world.change_spec(PYTORCH, "train", lambda spec: spec["runPolicy"].update(suspend=False))
    await world.advance(5)
    assert len(names(world)) == 3


async def test_workers_come_and_go_with_the_number_asked_for(world):
    world.client.create(PYTORCH, pytorch_job(workers=1, run_seconds="500"))
    await world.advance(5)
    for workers in (3, 2):
        world.change_spec(
            PYTORCH, "train", lambda spec, n=workers: spec["pytorchReplicaSpecs"]["Worker"].update(replicas=n)
        )
        await world.advance(5)
        assert names(world) == ["train-master-0", *(f"train-worker-{index}" for index in range(workers))]
    assert world.conditions(PYTORCH, "train")["Running"] == "True"


@pytest.mark.parametrize(("policy", "left"), [("None", 3), ("Running", 1), ("All", 0)])
async def test_pods_of_a_finished_job_are_kept_as_its_policy_says(world, policy, left):
    job = pytorch_job(policy={"cleanPodPolicy": policy}, run_seconds="5")
    job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"] = template("pytorch", run_seconds="500")
    world.client.create(PYTORCH, job)
    await world.advance(20)
    assert len(names(world)) == left
    counts = world.found(PYTORCH, "train")["status"]["replicaStatuses"]["Worker"]
    assert (counts["succeeded"], "active" in counts) == (2, False), "what was active counts as succeeded"


async def test_a_finished_job_goes_when_its_time_to_live_is_over(world):
    world.client.create(PYTORCH, pytorch_job(policy={"ttlSecondsAfterFinished": 30}, run_seconds="5"))
    await world.advance(20)
    assert world.conditions(PYTORCH, "train")["Succeeded"] == "True"
    await world.advance(30)
    assert world.client.get(PYTORCH, "demo", "train") is None
    assert names(world) == []


async def test_a_deleted_job_takes_its_pods_and_services_with_it(world):
    world.client.create(PYTORCH, pytorch_job(run_seconds="500"))
    await world.advance(5)
    assert len(world.client.list("services", "demo")) == 3
    world.client.delete(PYTORCH, "demo", "train")
    await world.advance(5)
    assert names(world) == []
    assert world.client.list("services", "demo") == []


async def test_a_pod_that_is_evicted_is_made_again(world):
    world.client.create(PYTORCH, pytorch_job(run_seconds="60"))
    await world.advance(5)
    uid = world.pod("train-worker-0")["metadata"]["uid"]
    world.client.delete("pods", "demo", "train-worker-0")
    await world.advance(5)
    assert world.pod("train-worker-0")["metadata"]["uid"] != uid
    assert world.conditions(PYTORCH, "train") == {"Created": "True", "Running": "True"}


async def test_a_job_somebody_else_looks_after_is_left_alone(world):
    world.client.create(PYTORCH, pytorch_job(policy={"managedBy": "kueue.x-k8s.io/multikueue"}))
    await world.advance(5)
    assert names(world) == []
    assert "status" not in world.found(PYTORCH, "train")


async def test_a_job_that_makes_no_sense_stops_nobody_else(world):
    world.may_park = True
    broken = pytorch_job("broken")
    broken["spec"]["pytorchReplicaSpecs"] = "Worker"
    world.client.create(PYTORCH, broken)
    world.client.create(PYTORCH, pytorch_job(run_seconds="5"))
    await world.advance(20)
    assert world.conditions(PYTORCH, "train")["Succeeded"] == "True"
    assert any("broken" in each for each in world.plane.parked)


async def test_workers_wait_for_their_master_in_a_container_of_the_operators_own(world):
    world.client.create(PYTORCH, pytorch_job(run_seconds="60", exit_code="3"))
    await world.advance(5)
    waiting = {pod["metadata"]["name"]: len(pod["spec"].get("initContainers", [])) for pod in world.pods()}
    assert waiting == {"train-master-0": 0, "train-worker-0": 1, "train-worker-1": 1}
    assert world.phase("train-worker-0") == "Running", "the user's annotations are not meant for it"


def job_of(kind: str, field: str, container: str, **types: Any) -> Any:
    specs = {name: {"replicas": 2 if name == "Worker" else 1, "template": each} for name, each in types.items()}
    spec = {field: specs}
    metadata = {"name": "train", "namespace": "demo"}
    return {"apiVersion": "kubeflow.org/v1", "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("kind", "field", "types", "leader"),
    [
        ("TFJob", "tfReplicaSpecs", ("Chief", "PS", "Worker", "Evaluator"), "Chief"),
        ("XGBoostJob", "xgbReplicaSpecs", ("Master", "Worker"), "Master"),
        ("PaddleJob", "paddleReplicaSpecs", ("Master", "Worker"), "Master"),
    ],
)
async def test_a_job_succeeds_when_its_leader_has(world, kind, field, types, leader):
    plural = f"{kind.lower()}s.kubeflow.org"
    courses = {name: template("main", run_seconds="10" if name == leader else "500") for name in types}
    world.client.create(plural, job_of(kind, field, "main", **courses))
    await world.advance(5)
    assert world.conditions(plural, "train") == {"Created": "True", "Running": "True"}
    (led,) = world.client.list("pods", "demo", labels={"training.kubeflow.org/job-role": "master"})
    assert led["metadata"]["name"] == f"train-{leader.lower()}-0"
    await world.advance(10)
    assert world.conditions(plural, "train")["Succeeded"] == "True"


async def test_a_jax_job_succeeds_when_all_its_workers_have(world):
    plural = "jaxjobs.kubeflow.org"
    world.client.create(plural, job_of("JAXJob", "jaxReplicaSpecs", "jax", Worker=template("jax", run_seconds="10")))
    await world.advance(5)
    world.client.update("pods", _with_annotations(world.pod("train-worker-0"), run_seconds="100"))
    await world.advance(10)
    assert world.conditions(plural, "train")["Running"] == "True"
    await world.advance(100)
    assert world.conditions(plural, "train")["Succeeded"] == "True"


@pytest.mark.parametrize(("policy", "outcome"), [("", "Succeeded"), ("AllWorkers", "Running")])
async def test_without_a_chief_the_first_worker_of_a_tensorflow_job_decides(world, policy, outcome):
    plural = "tfjobs.kubeflow.org"
    job = job_of("TFJob", "tfReplicaSpecs", "tensorflow", Worker=template("tensorflow", run_seconds="10"))
    job["spec"]["successPolicy"] = policy
    world.client.create(plural, job)
    await world.advance(5)
    world.client.update("pods", _with_annotations(world.pod("train-worker-1"), run_seconds="100"))
    await world.advance(10)
    assert world.conditions(plural, "train")[outcome] == "True"


async def test_parameter_servers_serve_until_the_job_is_over(world):
    plural = "tfjobs.kubeflow.org"
    courses = {"Chief": template("tensorflow", run_seconds="30"), "PS": template("tensorflow")}
    job = job_of("TFJob", "tfReplicaSpecs", "tensorflow", **courses)
    job["spec"]["runPolicy"] = {"cleanPodPolicy": "Running"}
    world.client.create(plural, job)
    await world.advance(20)
    assert world.phase("train-ps-0") == "Running"
    await world.advance(20)
    assert names(world) == ["train-chief-0"]


async def test_a_job_goes_on_where_it_was_after_a_restart_of_the_cluster(opener, tmp_path):
    path = tmp_path / "objects.sqlite3"
    async with opener(path=path, systems=("training",)) as before:
        before.client.create(PYTORCH, pytorch_job(run_seconds="30"))
        await before.advance(10)
        uids = {pod["metadata"]["uid"] for pod in before.pods()}
        clock = before.clock
    async with opener(path=path, clock=clock, systems=("training",)) as after:
        await after.advance(5)
        assert {pod["metadata"]["uid"] for pod in after.pods()} == uids
        assert after.conditions(PYTORCH, "train")["Running"] == "True"
        await after.advance(30)
        assert after.conditions(PYTORCH, "train")["Succeeded"] == "True"
