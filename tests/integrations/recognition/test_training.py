"""Kubeflow's training jobs: whose pods they are, how large the gang is, how they fare, how they are stopped."""

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import (
    World,
    container,
    gangs,
    manifest,
    pod,
    pod_spec,
    project,
    recorded,
    roles,
    see,
    template,
    uid,
)
from muster_cluster.objects import JOBS
from muster_contracts.events import PodGroupChanged, PodGroupFormed
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "kubeflow"
RESOURCES = {resource.kind: resource for resource in written_resources() if resource.group == "kubeflow.org"}
LABELS = "training.kubeflow.org/"
FIELDS = {
    "PyTorchJob": "pytorchReplicaSpecs",
    "TFJob": "tfReplicaSpecs",
    "XGBoostJob": "xgbReplicaSpecs",
    "JAXJob": "jaxReplicaSpecs",
    "PaddleJob": "paddleReplicaSpecs",
    "MPIJob": "mpiReplicaSpecs",
}


def job(kind: str = "PyTorchJob", spec: dict[str, Any] | None = None, /, **parts: Any) -> dict[str, Any]:
    """A job of replicas given as numbers: `Worker=3`; None for what the user left out."""
    named = {name: parts.pop(name) for name in tuple(parts) if name[0].isupper()}
    replicas = {
        name: ({} if size is None else {"replicas": size}) | {"template": template(1)} for name, size in named.items()
    }
    name = parts.pop("name", "train")
    return manifest(RESOURCES[kind], name, spec={FIELDS[kind]: replicas} | (spec or {}), **parts)


def replica(owner: dict[str, Any], replica_type: str, index: int = 0, **parts: Any) -> dict[str, Any]:
    labels = {
        f"{LABELS}operator-name": f"{owner['kind'].lower()}-controller",
        f"{LABELS}job-name": owner["metadata"]["name"],
        f"{LABELS}replica-type": replica_type,
        f"{LABELS}replica-index": str(index),
    }
    name = f"{owner['metadata']['name']}-{replica_type}-{index}"
    return pod(name, **({"owner": owner, "labels": labels} | parts))


def condition(kind: str, status: str = "True", **parts: Any) -> dict[str, Any]:
    return {"type": kind, "status": status} | parts


# ------------------------------------------------------------ who belongs where, and how many


def test_a_pytorch_job_is_one_gang_of_its_master_and_its_workers() -> None:
    owner = job(Worker=3, Master=1)
    found = see(owner, replica(owner, "master"), replica(owner, "worker", 0), replica(owner, "worker", 1))
    assert (found.kind, found.workload_class) == ("PyTorchJob", WorkloadClass.THIRD_PARTY)
    assert (found.identity, found.identity_source) == (uid("PyTorchJob/train"), "owner")
    assert roles(found) == {"train-master-0": "master", "train-worker-0": "worker", "train-worker-1": "worker"}
    assert gangs(found) == {"train": (4, {"master": 1, "worker": 3})}
    assert {facts.sub_group for facts in found.pods.values()} == {"master", "worker"}
    assert (found.owner.desired_pods, found.owner.min_pods, found.owner.serving) == (4, 4, False)
    assert found.requests.gpu_millionths == 4_000_000


@pytest.mark.parametrize(
    ("kind", "replicas", "parts"),
    [
        (
            "TFJob",
            {"Worker": 2, "PS": 2, "Evaluator": 1, "Chief": 1},
            {"chief": 1, "ps": 2, "worker": 2, "evaluator": 1},
        ),
        ("XGBoostJob", {"Master": 1, "Worker": 2}, {"master": 1, "worker": 2}),
        ("JAXJob", {"Worker": 4}, {"worker": 4}),
        ("PaddleJob", {"Worker": 2}, {"worker": 2}),
        ("MPIJob", {"Launcher": 1, "Worker": 2}, {"launcher": 1, "worker": 2}),
    ],
)
def test_each_kind_is_one_gang_of_all_its_replicas(kind: str, replicas: dict[str, int], parts: dict[str, int]) -> None:
    owner = job(kind, **replicas)
    found = see(owner, *(replica(owner, role) for role in parts))
    assert gangs(found) == {"train": (sum(parts.values()), parts)}
    assert sorted(roles(found).values()) == sorted(parts)
    assert found.owner.desired_pods == sum(parts.values())


def test_replicas_that_nobody_counted_are_one() -> None:
    assert gangs(see(job(Master=None, Worker=None))) == {"train": (2, {"master": 1, "worker": 1})}


@pytest.mark.parametrize("written", ["3", -1, 1.5, True, 2**31, None])
def test_what_is_no_count_is_one(written: Any) -> None:
    owner = manifest(RESOURCES["PyTorchJob"], "train", spec={"pytorchReplicaSpecs": {"Worker": {"replicas": written}}})
    assert see(owner).owner.desired_pods == 1


def test_the_gang_is_there_before_its_pods_and_stays_the_same() -> None:
    owner = job(Worker=2)
    assert list(see(owner).groups) == list(see(owner, replica(owner, "worker")).groups)


@pytest.mark.parametrize(
    ("spec", "minimum", "parts"),
    [
        ({"runPolicy": {"schedulingPolicy": {"minAvailable": 3}}}, 3, {"master": 1, "worker": 2}),
        ({"elasticPolicy": {"minReplicas": 2, "maxReplicas": 9}}, 2, {"master": 1, "worker": 1}),
        (
            {"runPolicy": {"schedulingPolicy": {"minAvailable": 4}}, "elasticPolicy": {"minReplicas": 2}},
            4,
            {"master": 1, "worker": 3},
        ),
        ({"runPolicy": {"schedulingPolicy": {"minAvailable": 0}}}, 5, {"master": 1, "worker": 4}),
        ({"runPolicy": {"schedulingPolicy": {"minAvailable": 99}}}, 5, {"master": 1, "worker": 4}),
        ({"runPolicy": {"schedulingPolicy": {"minAvailable": "3"}}}, 5, {"master": 1, "worker": 4}),
        ({"runPolicy": "now", "elasticPolicy": [2]}, 5, {"master": 1, "worker": 4}),
    ],
)
def test_a_gang_may_be_smaller_than_the_job_and_then_the_master_comes_first(
    spec: dict[str, Any], minimum: int, parts: dict[str, int]
) -> None:
    found = see(job("PyTorchJob", spec, Master=1, Worker=4))
    assert gangs(found) == {"train": (minimum, parts)}
    assert (found.owner.desired_pods, found.owner.min_pods) == (5, minimum)


def test_where_several_types_may_be_missing_the_gang_has_no_parts() -> None:
    spec = {"runPolicy": {"schedulingPolicy": {"minAvailable": 3}}}
    assert gangs(see(job("TFJob", spec, Chief=1, PS=2, Worker=2))) == {"train": (3, {})}


def test_an_elastic_job_without_a_master_starts_with_its_minimum_of_workers() -> None:
    owner = job("PyTorchJob", {"elasticPolicy": {"minReplicas": 2, "maxReplicas": 4}}, Worker=4)
    first = replica(owner, "worker")
    first["metadata"]["labels"][f"{LABELS}job-role"] = "master"
    found = see(owner, first)
    assert gangs(found) == {"train": (2, {"worker": 2})}
    assert roles(found) == {"train-worker-0": "worker"}


def test_the_container_that_the_operator_looks_at_decides_not_the_collector_of_katib() -> None:
    owner = job("PyTorchJob", Worker=1)
    containers = [container(name=name) for name in ("pytorch", "istio-proxy", "metrics-logger-and-collector")]
    found = see(owner, replica(owner, "worker", spec=pod_spec(containers=containers)))
    mains = [one.name for facts in found.pods.values() for one in facts.containers if one.role == "main"]
    assert mains == ["pytorch"]


def test_without_a_container_of_the_usual_name_only_the_collector_is_left_out() -> None:
    owner = job("MPIJob", Launcher=1)
    containers = [container(name=name) for name in ("run", "metrics-logger-and-collector")]
    found = see(owner, replica(owner, "launcher", spec=pod_spec(containers=containers)))
    mains = [one.name for facts in found.pods.values() for one in facts.containers if one.role == "main"]
    assert mains == ["run"]


@pytest.mark.parametrize(
    "spec",
    [None, "no", [], {}, {"pytorchReplicaSpecs": 3}, {"pytorchReplicaSpecs": {"Worker": "two"}}, {"v2": {"nodes": 3}}],
)
def test_a_job_in_a_shape_nobody_knows_is_a_workload_of_the_pods_it_has(spec: Any) -> None:
    owner = manifest(RESOURCES["PyTorchJob"], "train", spec=spec)
    found = see(owner, replica(owner, "worker"))
    assert (found.kind, found.owner.desired_pods, len(found.pods)) == ("PyTorchJob", 1, 1)
    assert [size for size, _ in gangs(found).values()] == [1]


def test_a_version_nobody_knows_is_the_same_kind() -> None:
    owner = job(Worker=2) | {"apiVersion": "kubeflow.org/v2"}
    found = see(owner, replica(owner, "worker"))
    assert (found.kind, found.api_version, found.owner.desired_pods) == ("PyTorchJob", "kubeflow.org/v2", 2)


# ------------------------------------------------------------ MPIJob of the MPI operator


def mpi_job(spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    return job("MPIJob", spec, Launcher=1, Worker=2, **parts) | {"apiVersion": "kubeflow.org/v2beta1"}


def mpi_pods(owner: dict[str, Any], *, launcher: bool = True) -> list[dict[str, Any]]:
    labels = {f"{LABELS}operator-name": "mpi-operator", f"{LABELS}job-name": owner["metadata"]["name"]}
    workers = [
        pod(f"train-worker-{index}", owner=owner, labels=labels | {f"{LABELS}job-role": "worker"}) for index in range(2)
    ]
    starter = manifest(JOBS, "train-launcher", owner=owner, spec={"template": template()})
    pods = [pod("train-launcher-x7k2p", owner=starter, labels=labels | {f"{LABELS}job-role": "launcher"})]
    return [*workers, starter, *(pods if launcher else [])]


def test_the_launcher_of_an_mpi_job_belongs_to_it_through_a_job() -> None:
    owner = mpi_job()
    found = see(owner, *mpi_pods(owner))
    assert roles(found) == {
        "train-launcher-x7k2p": "launcher",
        "train-worker-0": "worker",
        "train-worker-1": "worker",
    }
    assert gangs(found) == {"train": (3, {"launcher": 1, "worker": 2})}
    assert (found.api_version, found.owner.desired_pods) == ("kubeflow.org/v2beta1", 3)


def test_workers_do_not_wait_for_a_launcher_that_waits_for_them() -> None:
    owner = mpi_job({"launcherCreationPolicy": "WaitForWorkersReady"})
    before, after = see(owner, *mpi_pods(owner, launcher=False)), see(owner, *mpi_pods(owner))
    assert gangs(before) == {"train": (2, {"worker": 2})}
    assert (before.owner.desired_pods, before.owner.min_pods) == (3, 2)
    assert gangs(after) == {"train": (3, {"launcher": 1, "worker": 2})}
    assert list(before.groups) == list(after.groups)


def test_a_launcher_that_is_tried_again_is_one_more_pod_of_the_same_workload() -> None:
    owner = mpi_job()
    objects = mpi_pods(owner)
    again = pod("train-launcher-9z9z9", owner=objects[2], labels=objects[3]["metadata"]["labels"])
    found = see(owner, *objects, again)
    assert sorted(roles(found).values()) == ["launcher", "launcher", "worker", "worker"]


# ------------------------------------------------------------ how it fares


def test_old_conditions_stay_true_and_the_first_that_counts_wins() -> None:
    old = [condition("Created"), condition("Running", "False"), condition("Restarting", "False")]
    succeeded = condition("Succeeded", message="PyTorchJob train is successfully completed")
    status = {"conditions": [*old, succeeded], "completionTime": "2026-11-01T12:00:00Z"}
    facts = see(job(Worker=1, status=status)).owner
    assert (facts.outcome, facts.reason) == (Outcome.SUCCEEDED, "")
    assert facts.finished_at is not None
    assert facts.finished_at.hour == 12


def test_a_job_that_failed_says_why_and_when() -> None:
    failed = condition("Failed", message="it went wrong", lastTransitionTime="2026-11-01T11:00:00Z")
    facts = see(job(Worker=1, status={"conditions": [condition("Created"), condition("Running"), failed]})).owner
    assert (facts.outcome, facts.reason) == (Outcome.FAILED, "it went wrong.")
    assert facts.finished_at is not None


@pytest.mark.parametrize("written", ["2026-11-01T12:00:00", "yesterday", "", None, 7])
def test_an_end_at_no_point_in_time_is_still_an_end(written: Any) -> None:
    facts = see(job(Worker=1, status={"conditions": [condition("Succeeded")], "completionTime": written})).owner
    assert (facts.outcome, facts.finished_at) == (Outcome.SUCCEEDED, None)


def test_a_restart_is_no_failure() -> None:
    status = {"conditions": [condition("Running"), condition("Restarting", message="exit code 137")]}
    facts = see(job(Worker=1, status=status)).owner
    assert (facts.outcome, facts.ready, facts.reason) == (Outcome.NONE, False, "exit code 137.")


@pytest.mark.parametrize(
    ("conditions", "ready"), [([condition("Running")], True), ([condition("Created")], None), ("?", None)]
)
def test_a_job_that_says_it_runs_does(conditions: Any, ready: bool | None) -> None:
    facts = see(job(Worker=1, status={"conditions": conditions})).owner
    assert (facts.ready, facts.outcome) == (ready, Outcome.NONE)


@pytest.mark.parametrize(
    ("written", "conditions", "suspended"),
    [
        ({"suspend": True}, [], True),
        ({"suspend": True}, [condition("Running")], True),
        ({"suspend": False}, [condition("Suspended")], False),
        ({}, [condition("Suspended")], True),
        ({}, [condition("Suspended", "False"), condition("Running")], False),
    ],
)
def test_what_is_written_says_whether_a_job_is_suspended_else_its_condition(
    written: dict[str, Any], conditions: list[dict[str, Any]], suspended: bool
) -> None:
    found = see(job("PyTorchJob", {"runPolicy": written}, Worker=1, status={"conditions": conditions}))
    assert found.owner.suspended is suspended


# ------------------------------------------------------------ how it is controlled


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_a_job_is_stopped_by_its_run_policy(kind: str) -> None:
    found = see(job(kind, Worker=1, version=7))
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (True, True, True)
    assert [patch.body for patch in found.controls.stop] == [{"spec": {"runPolicy": {"suspend": True}}}]
    assert [patch.body for patch in found.controls.activate] == [{"spec": {"runPolicy": {"suspend": False}}}]
    assert {patch.resource_version for patch in (*found.controls.stop, *found.controls.activate)} == {"7"}
    assert [reference.resource for reference in found.controls.delete] == [f"{kind.lower()}s"]


def test_a_job_that_another_manager_runs_elsewhere_says_so() -> None:
    managed = see(job("PyTorchJob", {"runPolicy": {"managedBy": "kueue.x-k8s.io/multikueue"}}, Worker=1))
    own = see(job("PyTorchJob", {"runPolicy": {"managedBy": "kubeflow.org/training-operator"}}, Worker=1))
    assert managed.attributes == {"managed_by": "kueue.x-k8s.io/multikueue"}
    assert own.attributes == {}


# ------------------------------------------------------------ without the object


def hidden(*pods: dict[str, Any]) -> World:
    """A world in which training jobs may not be read."""
    world = World(project())
    for resource in RESOURCES.values():
        world.mirror.reads((resource.group, resource.kind), Reading.FORBIDDEN)
    world.show(*pods)
    return world


def only(world: World) -> Any:
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    return found


def test_of_a_job_that_may_not_be_read_the_reference_says_who_it_is_and_its_pods_how_many() -> None:
    owner = job(Worker=3)
    found = only(hidden(replica(owner, "worker", 0), replica(owner, "worker", 1)))
    assert (found.kind, found.identity, found.identity_source) == ("PyTorchJob", uid("PyTorchJob/train"), "owner")
    assert [size for size, _ in gangs(found).values()] == [2]
    assert found.controls.stop == ()


@pytest.mark.parametrize(
    ("labels", "kind", "api_version"),
    [
        (
            {f"{LABELS}operator-name": "pytorchjob-controller", f"{LABELS}job-name": "train"},
            "PyTorchJob",
            "kubeflow.org/v1",
        ),
        ({f"{LABELS}operator-name": "tfjob-controller", f"{LABELS}job-name": "train"}, "TFJob", "kubeflow.org/v1"),
        (
            {f"{LABELS}operator-name": "xgboostjob-controller", f"{LABELS}job-name": "train"},
            "XGBoostJob",
            "kubeflow.org/v1",
        ),
        ({f"{LABELS}operator-name": "jaxjob-controller", f"{LABELS}job-name": "train"}, "JAXJob", "kubeflow.org/v1"),
        (
            {f"{LABELS}operator-name": "paddlejob-controller", f"{LABELS}job-name": "train"},
            "PaddleJob",
            "kubeflow.org/v1",
        ),
        ({f"{LABELS}operator-name": "mpijob-controller", f"{LABELS}job-name": "train"}, "MPIJob", "kubeflow.org/v1"),
        ({f"{LABELS}operator-name": "mpi-operator", f"{LABELS}job-name": "train"}, "MPIJob", "kubeflow.org/v2beta1"),
        ({"group-name": "kubeflow.org", "pytorch-job-name": "train"}, "PyTorchJob", "kubeflow.org/v1"),
        ({"group-name": "kubeflow.org", "tf-job-name": "train"}, "TFJob", "kubeflow.org/v1"),
    ],
)
def test_pods_that_nobody_owns_are_known_by_their_labels(labels: dict[str, str], kind: str, api_version: str) -> None:
    found = only(hidden(*(pod(f"train-worker-{index}", labels=labels) for index in range(3))))
    assert (found.kind, found.api_version, found.name) == (kind, api_version, "train")
    assert (found.identity, found.identity_source) == ("muster-demo/train", "label")
    assert [size for size, _ in gangs(found).values()] == [3]


def test_labels_lead_to_the_job_itself_where_it_can_be_read() -> None:
    owner = job(Worker=2)
    found = see(owner, replica(owner, "worker", references=[]))
    assert (found.identity, len(found.pods)) == (uid("PyTorchJob/train"), 1)


@pytest.mark.parametrize(
    ("labels", "role"),
    [
        ({f"{LABELS}replica-type": "Worker"}, "worker"),
        ({f"{LABELS}replica-type": "worker", f"{LABELS}job-role": "master"}, "worker"),
        ({f"{LABELS}job-role": "launcher"}, "launcher"),
        ({"replica-type": "ps"}, "ps"),
        ({}, "pod"),
    ],
)
def test_a_role_is_the_type_of_replica_else_the_role_in_the_job(labels: dict[str, str], role: str) -> None:
    owner = job(Worker=1)
    assert roles(see(owner, pod("a", owner=owner, labels=labels))) == {"a": role}


def test_a_pod_that_is_made_anew_under_its_old_name_is_another_pod_of_the_same_workload() -> None:
    owner = job(Worker=1)
    first, second = replica(owner, "worker"), replica(owner, "worker", uid=uid("the second"))
    world = World(project())
    world.show(owner, first)
    world.write()
    world.step(first, None)
    world.show(second)
    world.write()
    found = world.mirror.seen_workload(UUID(owner["metadata"]["uid"]))
    assert found is not None
    assert list(found.pods) == [UUID(uid("the second"))]


def test_a_job_that_is_late_has_its_class_and_its_rights_from_the_beginning() -> None:
    owner = job(Worker=1)
    early = replica(owner, "worker")
    world = World(project())
    world.show(early)
    world.mirror.give_up_owner(early["metadata"]["uid"])
    found = world.mirror.seen_workload(UUID(owner["metadata"]["uid"]))
    assert found is not None
    assert (found.kind, found.workload_class) == ("PyTorchJob", WorkloadClass.THIRD_PARTY)
    assert found.supports.stop


# ------------------------------------------------------------ as recorded


@pytest.mark.parametrize(
    ("file", "kind", "gang"),
    [
        ("derived-pytorchjob", "PyTorchJob", (3, {"master": 1, "worker": 2})),
        ("derived-pytorchjob-elastic-no-master", "PyTorchJob", (2, {"worker": 2})),
        ("derived-tfjob-ps", "TFJob", (6, {"chief": 1, "ps": 2, "worker": 2, "evaluator": 1})),
        ("derived-mpijob-v1-training-operator", "MPIJob", (3, {"launcher": 1, "worker": 2})),
        ("training-sdk-pytorchjob", "PyTorchJob", (4, {"master": 1, "worker": 3})),
    ],
)
def test_recorded_jobs_are_one_gang_each(file: str, kind: str, gang: tuple[int, dict[str, int]]) -> None:
    objects = recorded(RECORDED / f"{file}.json")
    found = see(*objects)
    assert (found.kind, list(gangs(found).values())) == (kind, [gang])
    assert len(found.pods) == sum(1 for item in objects if item["kind"] == "Pod")
    assert all(name.removeprefix(f"{found.name}-").startswith(role) for name, role in roles(found).items())


def test_a_trial_of_katib_is_a_job_whose_parent_is_the_experiment() -> None:
    objects = recorded(RECORDED / "derived-katib-experiment-pytorchjob.json")
    trial = next(item for item in objects if item["kind"] == "PyTorchJob")
    found = see(*objects, workload=trial)
    assert (found.parent, found.attributes) == (ParentRef(kind="Experiment", name="tune"), {"trial": "tune-abc123"})
    assert gangs(found) == {"tune-abc123": (3, {"master": 1, "worker": 2})}


def test_a_job_that_is_scaled_says_so_and_keeps_its_group() -> None:
    small, large = job(Worker=2), job(Worker=5, version=2)
    world = World(project())
    world.show(small)
    (group,) = [event for event in world.write() if isinstance(event, PodGroupFormed)]
    world.step(small, large)
    (changed,) = [event for event in world.write() if isinstance(event, PodGroupChanged)]
    assert (changed.pod_group_id, changed.min_members) == (group.pod_group_id, 5)


@pytest.mark.parametrize(
    "asked",
    [
        template(annotations={"gpu-fraction": "0.5"}),
        template() | {"spec": pod_spec(containers=[container(resources={"limits": {"nvidia.com/gpu": "0.5"}})])},
    ],
)
def test_parts_of_gpus_are_counted_by_what_is_written_in_the_template(asked: dict[str, Any]) -> None:
    spec = {"pytorchReplicaSpecs": {"Worker": {"replicas": 3, "template": asked}}}
    assert see(manifest(RESOURCES["PyTorchJob"], "train", spec=spec)).requests.gpu_millionths == 1_500_000
