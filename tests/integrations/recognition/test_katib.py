"""Katib: what trials make are workloads of their own kinds, with the experiment as their parent."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, manifest, pod, project, recorded, see, template, uid
from muster_cluster.objects import DEPLOYMENTS, JOBS
from muster_contracts.values import ParentRef
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "kubeflow"
RESOURCES = {resource.kind: resource for resource in written_resources()}
PARENT = ParentRef(kind="Experiment", name="tune")
RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Job": (JOBS, {"template": template()}),
    "PyTorchJob": (RESOURCES["PyTorchJob"], {"pytorchReplicaSpecs": {"Worker": {"replicas": 1}}}),
    "TrainJob": (RESOURCES["TrainJob"], {"trainer": {"numNodes": 1}}),
    "Workflow": (RESOURCES["Workflow"], {}),
}


def experiment() -> dict[str, Any]:
    return manifest(RESOURCES["Experiment"], "tune")


def trial(owner: dict[str, Any]) -> dict[str, Any]:
    return manifest(RESOURCES["Trial"], "tune-a1", owner=owner, labels={"katib.kubeflow.org/experiment": "tune"})


@pytest.mark.parametrize("kind", sorted(RUNS))
def test_what_a_trial_runs_is_the_workload_and_the_experiment_its_parent(kind: str) -> None:
    resource, spec = RUNS[kind]
    search = experiment()
    attempt = trial(search)
    run = manifest(resource, "tune-a1", owner=attempt, spec=spec)
    world = World(project())
    world.show(search, attempt, run)
    assert list(world.mirror.workload_ids) == [UUID(uid(f"{kind}/tune-a1"))]
    found = see(run, search, attempt)
    assert (found.kind, found.parent, found.attributes) == (kind, PARENT, {"trial": "tune-a1"})


def test_labels_name_the_experiment_and_the_trial_when_no_owner_does() -> None:
    labels = {"katib.kubeflow.org/experiment": "tune", "katib.kubeflow.org/trial": "tune-a1"}
    run = manifest(JOBS, "tune-a1", spec={"template": template()})
    found = see(run, pod("tune-a1-x", owner=run, labels=labels))
    assert (found.parent, found.attributes) == (PARENT, {"trial": "tune-a1"})


def test_a_trial_that_may_not_be_read_is_the_parent_itself() -> None:
    world = World(project())
    world.mirror.reads(("kubeflow.org", "Trial"), Reading.FORBIDDEN)
    run = manifest(JOBS, "tune-a1", owner=trial(experiment()), spec={"template": template()})
    world.show(run)
    found = world.mirror.seen_workload(UUID(uid("Job/tune-a1")))
    assert found is not None
    assert found.parent == ParentRef(kind="Trial", name="tune-a1")


def test_labels_of_its_pods_name_the_experiment_of_a_trial_that_may_not_be_read() -> None:
    run = manifest(JOBS, "tune-a1", owner=trial(experiment()), spec={"template": template()})
    found = see(run, pod("tune-a1-x", owner=run, labels={"katib.kubeflow.org/experiment": "tune"}))
    assert found.parent == PARENT


def test_the_service_that_suggests_is_a_deployment_of_the_experiment() -> None:
    search = experiment()
    suggestion = manifest(RESOURCES["Suggestion"], "tune", owner=search)
    service = manifest(DEPLOYMENTS, "tune-random", owner=suggestion, spec={"replicas": 1, "template": template()})
    found = see(service, search, suggestion)
    assert (found.kind, found.parent, found.attributes) == ("Deployment", PARENT, {})


def test_a_recorded_experiment_is_a_training_and_a_service() -> None:
    world = World(project())
    world.show(*recorded(RECORDED / "derived-katib-experiment-pytorchjob.json"))
    seen = [world.mirror.seen_workload(workload_id) for workload_id in world.mirror.workload_ids]
    facts = {(one.kind, one.name): (one.parent, len(one.pods)) for one in seen if one is not None}
    assert facts == {("PyTorchJob", "tune-abc123"): (PARENT, 3), ("Deployment", "tune-random"): (PARENT, 1)}
