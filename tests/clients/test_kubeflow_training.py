"""Kubeflow's training SDK starts PyTorchJobs in the simulated cluster, follows them and reads their logs.

`programs/train_with_kubeflow.py` is what its user typed: one job from a function, one from an object. The operator that
makes the pods is the simulated cluster's own.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from clients.conftest import Api
from clients.environments import environment

PROGRAM = Path(__file__).parent / "programs" / "train_with_kubeflow.py"
LABEL = "training.kubeflow.org/"


@pytest.fixture(scope="module")
def told(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the SDK says of its two jobs."""
    home = tmp_path_factory.mktemp("kubeflow")
    where = {"KUBECONFIG": str(api.kubeconfig), "NAMESPACE": api.namespace}
    ran = environment("kubeflow-training").run("python", PROGRAM, home=home, **where)
    assert ran.code == 0, ran.err
    return json.loads(ran.out.splitlines()[-1])


def job_named(api: Api, name: str) -> Any:
    [job] = [each for each in api.find("pytorchjobs.kubeflow.org/v1") if each["metadata"]["name"] == name]
    return job


def pods_of(api: Api, name: str) -> list[Any]:
    return [pod for pod in api.find("pods") if pod["metadata"]["labels"][f"{LABEL}job-name"] == name]


def test_the_sdk_sees_a_training_succeed(told: Any) -> None:
    digits = told["digits"]
    assert (digits["succeeded"], digits["failed"]) == (True, False)
    assert digits["conditions"] == ["Created", "Succeeded"]
    assert sorted(digits["pods"]) == ["digits-master-0", "digits-worker-0", "digits-worker-1"]
    assert digits["master"] == ["digits-master-0"]
    assert "torchrun" in digits["logs"]["digits-master-0"]


def test_the_sdk_sees_a_training_fail(told: Any) -> None:
    broken = told["broken"]
    assert (broken["succeeded"], broken["failed"]) == (False, True)
    assert broken["conditions"] == ["Created", "Failed"]
    assert broken["master"] == ["broken-worker-0"], "without a master, the first worker leads"
    assert "exited with code 1" in broken["logs"]["broken-worker-0"]


def test_a_training_from_a_function_is_a_master_and_workers_of_one_image(api: Api, told: Any) -> None:
    job = job_named(api, "digits")
    assert job["metadata"]["labels"] == {"team": "vision"}
    assert job["spec"]["nprocPerNode"] == "2"
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert {role: spec["replicas"] for role, spec in replicas.items()} == {"Master": 1, "Worker": 2}
    containers = [pod["spec"]["containers"] for pod in pods_of(api, "digits")]
    assert [(container["name"], container["image"]) for [container] in containers] == [("pytorch", "train:1")] * 3
    assert [container["resources"]["limits"]["nvidia.com/gpu"] for [container] in containers] == ["2"] * 3


def test_the_pods_of_a_training_are_its_own_and_say_which_they_are(api: Api, told: Any) -> None:
    job = job_named(api, "digits")
    pods = {pod["metadata"]["name"]: pod["metadata"] for pod in pods_of(api, "digits")}
    assert {owner["uid"] for pod in pods.values() for owner in pod["ownerReferences"]} == {job["metadata"]["uid"]}
    assert pods["digits-worker-1"]["labels"] == {
        f"{LABEL}operator-name": "pytorchjob-controller",
        f"{LABEL}job-name": "digits",
        f"{LABEL}replica-type": "worker",
        f"{LABEL}replica-index": "1",
    }
    assert pods["digits-master-0"]["labels"][f"{LABEL}job-role"] == "master"


def test_muster_shows_each_training_as_one_workload_to_its_end(api: Api, told: Any) -> None:
    digits = api.workload("digits", "Completed")
    assert (digits["kind"], digits["desired_pods"], digits["requests"]["gpu_millionths"]) == (
        "PyTorchJob",
        3,
        6_000_000,
    )
    assert api.roles(digits) == ["master", "worker", "worker"]
    broken = api.workload("broken", "Failed")
    assert (broken["kind"], broken["desired_pods"]) == ("PyTorchJob", 1)
    assert api.listed() == {"digits": "PyTorchJob Completed", "broken": "PyTorchJob Failed"}
