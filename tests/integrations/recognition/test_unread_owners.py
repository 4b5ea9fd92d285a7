"""Between a workload and its pods there may be objects that we may not read: it is one workload all the same."""

from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from integrations.golden_files import files_of_a_cluster
from integrations.kube import World, manifest, pod, project, recorded
from muster_contracts.values import WHOLE_GPU
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.kinds import KindName, group_of
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import TABLE, written_resources

Manifest = dict[str, Any]
RESOURCES = {resource.kind: resource for resource in written_resources()}
UNTOLD = {frozenset({"RayCluster", "RayJob"}), frozenset({"RayCluster", "RayJob", "Job"})}
"""When neither a RayJob nor its RayCluster can be read, nothing tells that the submitter and the nodes are one's."""


def kind_of(one: Manifest) -> KindName:
    return group_of(one["apiVersion"]), one["kind"]


def watched(path: Path) -> list[Manifest]:
    found = [one for one in recorded(path) if kind_of(one) in TABLE]
    return [hashed(one) for one in found if TABLE[kind_of(one)].watch is not None]


def hashed(one: Manifest) -> Manifest:
    """The object; a pod of a ReplicaSet with the label that Kubernetes gives all of these, and a record may lack."""
    for owner in one["metadata"].get("ownerReferences", ()):
        if owner["kind"] == "ReplicaSet":
            labels = one["metadata"].setdefault("labels", {})
            labels.setdefault("pod-template-hash", owner["name"].rpartition("-")[2])
    return one


def told(items: list[Manifest], unseen: tuple[KindName, ...], reading: Reading = Reading.FORBIDDEN) -> World:
    """The world without the objects of some kinds, which may not be read, or are gone."""
    world = World(project())
    for kind in unseen:
        world.mirror.reads(kind, reading)
    world.show(*(one for one in items if kind_of(one) not in unseen))
    world.give_up_owners()
    return world


def pods_by_workload(world: World) -> set[frozenset[str]]:
    found = (frozenset(facts.name for facts in one.pods.values()) for one in world.fold.workloads.values())
    return {pods for pods in found if pods}


def identities(world: World) -> set[tuple[UUID, frozenset[str]]]:
    """The id of every workload, and the names of its pods."""
    return {
        (identity, frozenset(facts.name for facts in one.pods.values()))
        for identity, one in world.fold.workloads.items()
    }


def empty(world: World) -> set[tuple[str, str]]:
    """Kind and name of the workloads without pods."""
    found = [one.discovered for one in world.fold.workloads.values() if not one.pods]
    return {(one.kind, one.name) for one in found if one is not None}


def cases() -> list[tuple[Path, tuple[KindName, ...]]]:
    """Every recorded file of a cluster, with every set of its kinds but for pods."""
    found: list[tuple[Path, tuple[KindName, ...]]] = []
    for path in files_of_a_cluster():
        kinds = sorted({kind_of(one) for one in watched(path)} - {("", "Pod")})
        found += [(path, some) for size in range(1, len(kinds) + 1) for some in combinations(kinds, size)]
    return [(path, some) for path, some in found if frozenset(name for _, name in some) not in UNTOLD]


def named(case: object) -> str:
    return case.stem if isinstance(case, Path) else "-".join(name for _, name in case)  # type: ignore[attr-defined]


@pytest.mark.parametrize("reading", [Reading.FORBIDDEN, Reading.READ])
@pytest.mark.parametrize(("path", "unseen"), cases(), ids=named)
def test_a_workload_is_one_whatever_kinds_may_not_be_read_or_are_gone(
    path: Path, unseen: tuple[KindName, ...], reading: Reading
) -> None:
    items = watched(path)
    everything, some = told(items, ()), told(items, unseen, reading)
    assert pods_by_workload(some) == pods_by_workload(everything)
    assert empty(some) <= empty(everything)


def again(world: World, unseen: tuple[KindName, ...], items: list[Manifest]) -> World:
    """The world after a restart, with all that was shown so far."""
    restarted = World(*world.events)
    for kind in unseen:
        restarted.mirror.reads(kind, Reading.FORBIDDEN)
    restarted.show(*items)
    restarted.write_everybody()
    return restarted


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_it_is_the_same_one_in_any_order_and_after_restarts(data: st.DataObject) -> None:
    path, unseen = data.draw(st.sampled_from(cases()))
    there = [one for one in watched(path) if kind_of(one) not in unseen]
    order = data.draw(st.permutations(there))
    world = told([], unseen)
    for number, one in enumerate(order, 1):
        world.show(one)
        match data.draw(st.sampled_from(["", "", "write", "give up", "restart"])):
            case "write":
                world.write()
            case "give up":
                world.give_up_owners()
            case "restart":
                world = again(world, unseen, order[:number])
    world.give_up_owners()
    assert identities(world) == identities(told(there, unseen))


# ---------------------------------------------------------------- a launcher that only a label leads to its job


def mpi_job() -> tuple[Manifest, list[Manifest]]:
    """A job with two workers that it owns itself, and a launcher that a Job stands between."""
    job = manifest(RESOURCES["MPIJob"], "pi")
    between = manifest(RESOURCES["Job"], "pi-launcher", owner=job)
    labels = {"training.kubeflow.org/job-name": "pi", "training.kubeflow.org/operator-name": "mpi-operator"}
    pods = [pod(f"pi-worker-{number}", owner=job, labels=labels) for number in range(2)]
    return job, [*pods, pod("pi-launcher-x", owner=between, labels=labels)]


FORBIDDEN: tuple[KindName, ...] = (("kubeflow.org", "MPIJob"), ("batch", "Job"))


@given(order=st.permutations(range(3)), pauses=st.sets(st.integers(0, 2)))
def test_a_claim_by_name_takes_the_uid_that_another_member_knows_in_any_order(
    order: list[int], pauses: set[int]
) -> None:
    job, pods = mpi_job()
    world = told([], FORBIDDEN)
    for number, index in enumerate(order):
        world.show(pods[index])
        if number in pauses:
            world.write()
    world.write()
    [only] = (one for one in world.fold.workloads.values() if one.pods)
    assert (str(only.workload_id), len(only.pods)) == (job["metadata"]["uid"], 3)


def test_a_claim_by_name_is_its_own_key_again_when_nobody_knows_the_uid_any_more() -> None:
    _, pods = mpi_job()
    world = told(pods, FORBIDDEN)
    for worker in pods[:2]:
        world.step(worker, None)
    world.write()
    [only] = world.fold.workloads.values()
    assert only.discovered is not None
    assert (only.discovered.name, len(only.pods)) == ("pi", 1)


def test_what_may_not_be_read_tells_of_pods_that_are_gone_and_is_there_for_the_next() -> None:
    job, pods = mpi_job()
    world = told(pods[:1], FORBIDDEN)
    world.step(pods[0], None)
    assert {event.type for event in world.write()} == {"PodGone.v1", "PodGroupChanged.v1"}
    world.show(pods[1])
    world.write()
    [only] = world.fold.workloads.values()
    assert (str(only.workload_id), [facts.name for facts in only.pods.values()]) == (
        job["metadata"]["uid"],
        ["pi-worker-1"],
    )


def test_a_job_without_cluster_of_its_own_does_not_hold_the_shared_one() -> None:
    status = {"rayClusterName": "shared"}
    selector = {"ray.io/cluster": "shared"}
    job = manifest(RESOURCES["RayJob"], "guest", spec={"clusterSelector": selector}, status=status)
    cluster = manifest(RESOURCES["RayCluster"], "shared")
    head = pod("shared-head", owner=cluster, labels={"ray.io/cluster": "shared", "ray.io/node-type": "head"})
    world = told([job, head], (("ray.io", "RayCluster"),))
    assert pods_by_workload(world) == {frozenset({"shared-head"})}
    assert empty(world) == {("RayJob", "guest")}


def test_a_cluster_is_its_jobs_as_soon_as_the_job_says_so() -> None:
    job = manifest(RESOURCES["RayJob"], "sweep", spec={})
    cluster = manifest(RESOURCES["RayCluster"], "sweep-x", owner=job)
    head = pod("sweep-x-head", owner=cluster, labels={"ray.io/cluster": "sweep-x", "ray.io/node-type": "head"})
    world = told([job, head], (("ray.io", "RayCluster"),))
    world.step(job, job | {"status": {"rayClusterName": "sweep-x"}})
    world.write()
    [only] = world.fold.workloads.values()
    assert only.discovered is not None
    assert (only.discovered.kind, len(only.pods)) == ("RayJob", 1)


JOB_SET = ("jobset.x-k8s.io", "JobSet")


def a_part_that_is_anothers() -> tuple[Manifest, Manifest]:
    """A TrainJob, and a Job that a JobSet of the TrainJob made."""
    train_job = manifest(RESOURCES["TrainJob"], "llama", spec={})
    job_set = manifest(RESOURCES["JobSet"], "llama", owner=train_job)
    return train_job, manifest(RESOURCES["Job"], "llama-node-0", owner=job_set)


def rows(world: World) -> list[str | None]:
    """The kind of every workload."""
    return [one.discovered and one.discovered.kind for one in world.fold.workloads.values()]


def test_a_row_that_only_a_part_made_ends_when_the_part_turns_out_to_be_anothers() -> None:
    train_job, job = a_part_that_is_anothers()
    world = told([job], (JOB_SET,))
    assert rows(world) == ["JobSet"]
    world.show(train_job)
    world.write()
    assert rows(world) == ["TrainJob"]


def test_a_row_that_only_a_part_made_ends_also_when_we_were_away_as_the_part_turned_out_to_be_anothers() -> None:
    train_job, job = a_part_that_is_anothers()
    before = told([job], (JOB_SET,))
    after = World(*before.events)
    after.mirror.reads(JOB_SET, Reading.FORBIDDEN)
    after.show(train_job, job)
    after.write_everybody()
    assert rows(after) == ["TrainJob"]


def test_a_part_whose_owner_is_not_there_is_in_the_owners_workload_after_a_restart_too() -> None:
    cluster = manifest(RESOURCES["RayCluster"], "sweep-x", owner=manifest(RESOURCES["RayJob"], "sweep"))
    world = told([cluster], ())
    again = World(*world.events)
    again.show(cluster)
    assert again.write_everybody() == []


def test_a_workload_that_only_a_part_tells_of_is_as_old_as_the_part() -> None:
    cluster = manifest(RESOURCES["RayCluster"], "sweep-x", owner=manifest(RESOURCES["RayJob"], "sweep"))
    [only] = told([cluster], ()).fold.workloads.values()
    assert only.discovered is not None
    assert only.discovered.created_at.isoformat() == "2026-11-01T10:00:00+00:00"


# ---------------------------------------------------------------- an instance that only its launcher tells of

INSTANCES: tuple[KindName, ...] = (("kubevirt.io", "VirtualMachineInstance"),)
TESLA = "nvidia.com/TU104GL_Tesla_T4"
AUDIO = "nvidia.com/TU104_HD_Audio"


def launcher(owner: Manifest, **devices: str) -> Manifest:
    """The pod of an instance, with two GPUs, a device of KubeVirt's own, and what else is given."""
    limits = {TESLA: "2", "devices.kubevirt.io/kvm": "1", **devices}
    resources = {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": limits}
    labels, annotations = {"kubevirt.io": "virt-launcher"}, {"kubevirt.io/domain": owner["metadata"]["name"]}
    spec = {"containers": [{"name": "compute", "resources": resources}]}
    return pod("virt-launcher-x", owner=owner, labels=labels, annotations=annotations, spec=spec)


def seen(world: World) -> SeenWorkload:
    [only] = world.mirror.workload_ids
    found = world.mirror.seen_workload(only)
    assert found is not None
    return found


def test_an_instance_that_may_not_be_read_is_known_by_its_launcher_and_can_only_be_left_alone() -> None:
    instance = manifest(RESOURCES["VirtualMachineInstance"], "vm")
    found = seen(told([launcher(instance)], INSTANCES))
    assert (found.kind, found.identity) == ("VirtualMachineInstance", instance["metadata"]["uid"])
    assert (found.owner.desired_pods, [facts.role for facts in found.pods.values()]) == (1, ["virt-launcher"])
    assert (found.controls.delete, found.attributes["object"]) == ((), "unread")
    assert "cannot be read" in found.controls.reason


def test_the_gpus_of_an_instance_that_may_not_be_read_are_those_of_its_launcher() -> None:
    found = seen(told([launcher(manifest(RESOURCES["VirtualMachineInstance"], "vm"))], INSTANCES))
    assert found.requests.gpu_millionths == 2 * WHOLE_GPU
    assert [facts.requests.gpu_millionths for facts in found.pods.values()] == [2 * WHOLE_GPU]


def test_the_gpus_of_a_machine_are_its_launchers_when_they_are_in_an_instance_that_may_not_be_read() -> None:
    devices = {"hostDevices": [{"name": "sound", "deviceName": AUDIO}]}
    machine = manifest(RESOURCES["VirtualMachine"], "vm", spec={"template": {"spec": {"domain": {"devices": devices}}}})
    instance = manifest(RESOURCES["VirtualMachineInstance"], "vm", owner=machine)
    found = seen(told([machine, launcher(instance, **{AUDIO: "1"})], INSTANCES))
    assert (found.kind, [facts.requests.gpu_millionths for facts in found.pods.values()]) == (
        "VirtualMachine",
        [2 * WHOLE_GPU],
    )
