"""Katib's experiments: trials of one run object each, and how many of them there are."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

EXPERIMENTS = "experiments.kubeflow.org"
TRIALS = "trials.kubeflow.org"
PYTORCH = "pytorchjobs.kubeflow.org"


@pytest.fixture
async def world(opener) -> AsyncIterator[Any]:
    async with opener(systems=("katib", "training")) as opened:
        yield opened


def replica(replicas: int, **course: str) -> dict[str, Any]:
    annotations = {f"sim.{key.replace('_', '-')}": value for key, value in course.items()}
    container = {"name": "pytorch", "image": "train:1", "args": ["--lr=${trialParameters.rate}"]}
    template = {"metadata": {"annotations": annotations}, "spec": {"containers": [container]}}
    return {"replicas": replicas, "template": template, "restartPolicy": "Never"}


def experiment(parallel: int = 2, most: int = 3, retain: bool = True, **course: str) -> Any:
    course = {"run_seconds": "10", **course}
    specs = {"Master": replica(1, **course), "Worker": replica(2, **course)}
    run = {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "spec": {"pytorchReplicaSpecs": specs}}
    template = {
        "primaryContainerName": "pytorch",
        "retain": retain,
        "trialParameters": [{"name": "rate", "reference": "lr"}],
        "trialSpec": run,
    }
    space = {"name": "lr", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "0.2"}}
    spec = {
        "parallelTrialCount": parallel,
        "maxTrialCount": most,
        "maxFailedTrialCount": 0,
        "algorithm": {"algorithmName": "random"},
        "parameters": [space],
        "trialTemplate": template,
    }
    metadata = {"name": "tune", "namespace": "demo"}
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": metadata, "spec": spec}


def inject(world: Any) -> None:
    namespace = world.client.get("namespaces", None, "demo")
    labels = {
        **(namespace["metadata"].get("labels") or {}),
        "katib.kubeflow.org/metrics-collector-injection": "enabled",
    }
    world.client.update("namespaces", {**namespace, "metadata": {**namespace["metadata"], "labels": labels}})


async def test_what_an_experiment_makes_is_what_was_recorded(world, recording, traits_of):
    inject(world)
    world.client.create(EXPERIMENTS, experiment(parallel=1))
    await world.advance(5)
    (trial,) = world.client.list(TRIALS, "demo")
    name = trial["metadata"]["name"]
    recorded = recording("kubeflow/derived-katib-experiment-pytorchjob.json")

    def expected(kind: str) -> list[Any]:
        traits = [traits_of(obj) for obj in recorded.of_kind(kind)]
        return json.loads(json.dumps(traits).replace("tune-abc123", name))

    assert [traits_of(trial)] == expected("Trial")
    assert [traits_of(world.found(PYTORCH, name))] == expected("PyTorchJob")
    assert [traits_of(world.found("suggestions.kubeflow.org", "tune"))] == expected("Suggestion")
    pods = [traits_of(pod) for pod in world.pods() if pod["metadata"]["name"].startswith(name)]
    *replicas, suggesting = expected("Pod")
    assert pods == replicas
    (made,) = [pod for pod in world.pods() if pod["metadata"]["name"].startswith("tune-random-")]
    assert traits_of(made)["labels"].items() >= suggesting["labels"].items()
    assert traits_of(made)["containers"] == suggesting["containers"]


async def test_pods_are_left_as_they_are_where_nothing_is_injected(world):
    world.client.create(EXPERIMENTS, experiment(parallel=1))
    await world.advance(5)
    pods = [pod for pod in world.pods() if not pod["metadata"]["name"].startswith("tune-random-")]
    assert [len(pod["spec"]["containers"]) for pod in pods] == [1, 1, 1]


async def test_trials_run_side_by_side_until_there_were_enough(world):
    world.client.create(EXPERIMENTS, experiment(parallel=2, most=3))
    await world.advance(5)
    assert len(world.client.list(TRIALS, "demo")) == 2
    status = world.found(EXPERIMENTS, "tune")["status"]
    assert (status["trials"], status["trialsRunning"]) == (2, 2)
    await world.advance(60)
    status = world.found(EXPERIMENTS, "tune")["status"]
    assert (status["trials"], status["trialsSucceeded"]) == (3, 3)
    assert world.conditions(EXPERIMENTS, "tune") == {"Created": "True", "Running": "False", "Succeeded": "True"}
    assert len(world.client.list(PYTORCH, "demo")) == 3
    assert world.client.list("deployments.apps", "demo") == [], "nobody suggests any more"


async def test_each_trial_has_parameters_of_its_own(world):
    world.client.create(EXPERIMENTS, experiment(parallel=2))
    await world.advance(1)
    given = [trial["spec"]["parameterAssignments"][0]["value"] for trial in world.client.list(TRIALS, "demo")]
    assert len(set(given)) == 2
    assert all(0.1 <= float(value) <= 0.2 for value in given)
    jobs = world.client.list(PYTORCH, "demo")
    used = [job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["args"] for job in jobs]
    assert used == [[f"--lr={value}"] for value in given]


async def test_an_experiment_fails_when_too_many_trials_have(world):
    world.client.create(EXPERIMENTS, experiment(exit_code="1"))
    await world.advance(60)
    assert world.conditions(EXPERIMENTS, "tune")["Failed"] == "True"
    assert {str(world.conditions(TRIALS, t["metadata"]["name"])["Failed"]) for t in world.client.list(TRIALS)} == {
        "True"
    }


async def test_what_a_trial_ran_goes_when_it_is_not_to_be_kept(world):
    world.client.create(EXPERIMENTS, experiment(parallel=1, most=1, retain=False))
    await world.advance(60)
    assert world.conditions(EXPERIMENTS, "tune")["Succeeded"] == "True"
    assert len(world.client.list(TRIALS, "demo")) == 1
    assert world.client.list(PYTORCH, "demo") == []


async def test_a_deleted_experiment_takes_everything_with_it(world):
    world.client.create(EXPERIMENTS, experiment())
    await world.advance(5)
    world.client.delete(EXPERIMENTS, "demo", "tune")
    await world.advance(10)
    assert (world.client.list(TRIALS, "demo"), world.client.list(PYTORCH, "demo"), world.pods()) == ([], [], [])
