"""What is said of each kind of object, alone and with its pods; every test is a picture of a cluster."""

from typing import Any
from uuid import UUID

import pytest
from integrations.kube import (
    NAMESPACE,
    World,
    container,
    known,
    manifest,
    owned_by,
    pod,
    pod_spec,
    project,
    read,
    running,
    submission,
    template,
    uid,
)
from muster_cluster.objects import DEPLOYMENTS, JOBS, PODS, REPLICA_SETS, STATEFUL_SETS, Described
from muster_cluster.port import Resource
from muster_contracts import names
from muster_contracts.phases import WorkloadClass
from muster_contracts.values import ContainerState, Outcome, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.kinds import Known
from muster_integrations.recognition.places import Aside
from muster_integrations.recognition.pod_facts import Membership, facts_of
from muster_integrations.recognition.resolution import Resolution
from muster_integrations.recognition.table import kind_of

CRON_JOBS: Resource[Any] = Resource("batch", "v1", "cronjobs", "CronJob", dict)
DAEMON_SETS: Resource[Any] = Resource("apps", "v1", "daemonsets", "DaemonSet", dict)
FLEETS: Resource[Any] = Resource("acme.io", "v1", "fleets", "Fleet", Described, namespaced=False)
ROLLOUTS: Resource[Any] = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", dict)


def job(name: str = "train", *, status: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    spec = {"parallelism": 2, "completions": 4, "template": template(gpus=2)} | parts.pop("spec", {})
    return manifest(JOBS, name, spec=spec, status=status or {}, **parts)


def deployment(name: str = "web", replicas: int = 3, **parts: Any) -> dict[str, Any]:
    spec = {"replicas": replicas, "template": template(gpus=1)} | parts.pop("spec", {})
    return manifest(DEPLOYMENTS, name, spec=spec, **parts)


def seen(*manifests: dict[str, Any], workload: dict[str, Any] | None = None) -> SeenWorkload:
    world = World(project())
    world.show(*manifests)
    found = world.mirror.seen_workload(UUID((workload or manifests[0])["metadata"]["uid"]))
    assert found is not None
    return found


# ------------------------------------------------------------ kinds


def test_a_job_without_pods_is_a_workload_with_what_it_asks_for() -> None:
    found = seen(job())
    assert (found.kind, found.name, found.project, found.workload_class) == (
        "Job",
        "train",
        "demo",
        WorkloadClass.KUBERNETES,
    )
    assert (found.owner.desired_pods, found.owner.min_pods, found.owner.serving) == (2, 2, False)
    assert found.requests.gpu_millionths == 4_000_000
    assert found.requests.cpu_milli == 1000
    assert found.pods == {}


@pytest.mark.parametrize("make", [job, deployment])
def test_parts_of_gpus_that_a_template_asks_for_are_summed(make: Any) -> None:
    half = template(annotations={names.GPU_FRACTION: "0.5"})
    found = seen(make(spec={"replicas": 2, "parallelism": 2, "template": half}))
    assert found.requests.gpu_millionths == 1_000_000


def test_pods_of_a_job_are_workers_with_their_index_and_each_is_scheduled_alone() -> None:
    owner = job()
    first = pod("train-0-x", owner=owner, annotations={"batch.kubernetes.io/job-completion-index": "0"})
    second = pod("train-y", owner=owner)
    found = seen(owner, first, second)
    assert {facts.name: facts.role for facts in found.pods.values()} == {"train-0-x": "worker-0", "train-y": "worker"}
    assert {group.name: group.min_members for group in found.groups.values()} == {"train-0-x": 1, "train-y": 1}
    assert {facts.pod_group_id for facts in found.pods.values()} == set(found.groups)


@pytest.mark.parametrize("place", ["job", "template"])
def test_a_job_with_a_minimum_of_members_is_one_gang_from_the_beginning(place: str) -> None:
    annotations = {names.MIN_MEMBERS: "2"}
    owner = (
        job(annotations=annotations) if place == "job" else job(spec={"template": template(annotations=annotations)})
    )
    empty, full = seen(owner), seen(owner, pod("a", owner=owner), pod("b", owner=owner))
    assert [group.min_members for group in empty.groups.values()] == [2]
    assert list(empty.groups) == list(full.groups)
    assert {facts.pod_group_id for facts in full.pods.values()} == set(full.groups)


@pytest.mark.parametrize("written", ["two", "", "-1", "1.5", "²"])
def test_a_minimum_of_members_that_is_no_number_makes_no_gang(written: str) -> None:
    owner = job(annotations={names.MIN_MEMBERS: written})
    assert len(seen(owner, pod("a", owner=owner), pod("b", owner=owner)).groups) == 2


def test_a_job_that_failed_says_why_and_when() -> None:
    failed = {
        "type": "Failed",
        "status": "True",
        "message": "It was too late",
        "lastTransitionTime": "2026-11-01T12:00:00Z",
    }
    facts = seen(job(status={"conditions": [{"type": "Complete", "status": "False"}, failed]})).owner
    assert (facts.outcome, facts.reason) == (Outcome.FAILED, "It was too late.")
    assert facts.finished_at is not None
    assert facts.finished_at.hour == 12


def test_a_job_stops_by_its_suspension() -> None:
    controls = seen(job(version=7)).controls
    assert [patch.body for patch in controls.stop] == [{"spec": {"suspend": True}}]
    assert [patch.body for patch in controls.activate] == [{"spec": {"suspend": False}}]
    assert controls.stop[0].resource_version == "7"
    assert [(ref.resource, ref.name, str(ref.uid)) for ref in controls.delete] == [("jobs", "train", uid("Job/train"))]


def test_a_job_of_a_cron_job_is_the_workload_and_the_cron_job_its_parent() -> None:
    found = seen(job(owner=manifest(CRON_JOBS, "nightly")))
    assert found.parent == ParentRef(kind="CronJob", name="nightly")


def test_pods_of_a_deployment_are_its_replicas_through_their_replica_set() -> None:
    owner = deployment()
    step = manifest(REPLICA_SETS, "web-1", owner=owner, spec={"replicas": 3, "template": template()})
    found = seen(owner, step, pod("web-1-a", owner=step), pod("web-1-b", owner=step))
    assert (found.kind, found.owner.serving, found.owner.desired_pods) == ("Deployment", True, 3)
    assert [facts.role for facts in found.pods.values()] == ["replica", "replica"]
    assert len(found.groups) == 2
    assert found.requests.gpu_millionths == 3_000_000


@pytest.mark.parametrize("resource", [DEPLOYMENTS, STATEFUL_SETS])
def test_what_is_scaled_to_zero_is_suspended_and_finds_its_size_again(resource: Resource[Any]) -> None:
    large = manifest(resource, "web", spec={"replicas": 5, "template": template()})
    small = manifest(resource, "web", version=2, spec={"replicas": 0, "template": template()})
    world = World(project())
    world.show(large)
    world.write()
    world.step(large, small)
    world.write()
    found = world.mirror.seen_workload(UUID(uid(f"{resource.kind}/web")))
    assert found is not None
    assert found.owner.suspended
    assert found.controls.activate[0].body == {"spec": {"replicas": 5}}
    assert found.controls.activate[0].resource_version == "2"


def test_what_was_never_seen_larger_than_zero_starts_with_one() -> None:
    assert seen(deployment(replicas=0)).controls.activate[0].body == {"spec": {"replicas": 1}}


def test_a_replica_set_that_nobody_owns_is_a_workload() -> None:
    alone = manifest(REPLICA_SETS, "alone", spec={"replicas": 1, "template": template()})
    found = seen(alone, pod("alone-a", owner=alone))
    assert (found.kind, len(found.pods)) == ("ReplicaSet", 1)


def test_a_bare_pod_can_only_be_deleted_and_says_why() -> None:
    found = seen(pod("lonely", spec=pod_spec(gpus=1)))
    assert (found.kind, found.identity_source, found.owner.desired_pods) == ("Pod", "pod", 1)
    assert (found.supports.stop, found.supports.activate, found.supports.delete) == (False, False, True)
    assert (found.controls.stop, found.controls.activate, len(found.controls.delete)) == ((), (), 1)
    assert found.controls.reason.endswith(".")
    assert found.requests.gpu_millionths == 1_000_000


def test_a_bare_pod_that_ended_says_how_and_when() -> None:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-01T10:09:00Z"}
    status = {"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"terminated": ended}}]}
    facts = seen(pod("lonely", status=status)).owner
    assert facts.outcome is Outcome.FAILED
    assert facts.finished_at is not None
    assert facts.finished_at.minute == 9


def test_pods_of_a_controller_nobody_knows_are_one_workload_of_its_kind() -> None:
    rollout = manifest(ROLLOUTS, "canary")
    step = manifest(REPLICA_SETS, "canary-1", owner=rollout)
    found = seen(step, pod("canary-1-a", owner=step), pod("b", owner=rollout), workload=rollout)
    assert (found.kind, found.api_version, found.name) == ("Rollout", "argoproj.io/v1alpha1", "canary")
    assert {facts.role for facts in found.pods.values()} == {"pod"}
    assert (found.supports.stop, found.supports.delete, found.controls.delete) == (False, False, ())
    assert found.controls.reason


def test_the_innermost_workload_wins_and_names_its_owner_as_parent() -> None:
    found = seen(deployment(owner=manifest(ROLLOUTS, "canary")))
    assert (found.kind, found.parent) == ("Deployment", ParentRef(kind="Rollout", name="canary"))


# ------------------------------------------------------------ the walk


def place(world: World, written: dict[str, Any]) -> object:
    return world.mirror.place_of(written["metadata"]["uid"])


def test_a_namesake_with_another_uid_is_not_the_owner() -> None:
    old, new = job(uid=uid("the one before")), job()
    orphan = pod("a", owner=old)
    world = World(project())
    world.show(new, orphan)
    assert place(world, orphan) is Aside.WAITING
    world.mirror.give_up_owner(orphan["metadata"]["uid"])
    assert place(world, orphan) == UUID(uid("the one before"))


def test_an_owner_in_no_namespace_is_a_workload_where_its_pods_are() -> None:
    fleet = manifest(FLEETS, "fleet")
    world = World(project())
    world.mirror.take(None, Known(kind_of("acme.io", "Fleet"), "acme.io/v1", read(FLEETS, fleet)))
    world.show(pod("fleet-a", owner=fleet))
    found = world.mirror.seen_workload(UUID(fleet["metadata"]["uid"]))
    assert found is not None
    assert (found.kind, found.namespace, found.project) == ("Fleet", NAMESPACE, "demo")


def test_a_reference_to_an_object_of_another_namespace_counts_for_nothing() -> None:
    world = World(project(), project("other"))
    intruder = pod("intruder", namespace="muster-other", owner=job())
    world.show(intruder, job())
    found = world.mirror.seen_workload(UUID(job()["metadata"]["uid"]))
    assert found is not None
    assert not found.pods
    assert world.mirror.place_of(intruder["metadata"]["uid"]) == UUID(intruder["metadata"]["uid"])


def test_an_object_that_another_one_took_in_and_let_go_again_is_another_attempt() -> None:
    rollout = known_rollout("canary")
    alone, owned = deployment(version=1), deployment(version=2, owner=manifest(ROLLOUTS, "canary"))
    world = World(project())
    world.mirror.take(None, rollout)
    world.show(alone, pod("web-a", owner=alone))
    for before, after in ((None, None), (alone, owned), (owned, alone)):
        if after is not None:
            world.step(before, after)
        world.write_everybody()
    (again,) = (found for found in world.fold.workloads.values() if found.discovered and found.discovered.name == "web")
    assert again.discovered is not None
    assert again.workload_id != UUID(alone["metadata"]["uid"])
    assert again.discovered.attributes == {"attempt": "2", "first_attempt": alone["metadata"]["uid"]}
    assert [facts.name for facts in again.pods.values()] == ["web-a"]
    assert world.write_everybody() == []


def known_rollout(name: str) -> Known:
    described = Resource("argoproj.io", "v1alpha1", "rollouts", "Rollout", Described)
    return Known(kind_of("argoproj.io", "Rollout"), described.api_version, read(described, manifest(described, name)))


def test_an_object_that_was_never_seen_is_unread_and_not_on_its_way_out() -> None:
    owner = job()
    early = pod("train-x", owner=owner)
    world = World(project())
    world.show(early)
    world.mirror.give_up_owner(early["metadata"]["uid"])
    workload_id = UUID(owner["metadata"]["uid"])
    from_the_pod_alone = world.mirror.seen_workload(workload_id)
    assert from_the_pod_alone is not None
    assert not from_the_pod_alone.owner.deleting
    assert from_the_pod_alone.attributes == {"object": "unread"}
    world.show(owner)
    read = world.mirror.seen_workload(workload_id)
    assert read is not None
    assert read.attributes == {}
    assert read.owner.desired_pods == 2


def test_the_controller_is_followed_before_any_other_owner() -> None:
    controller, other = job("controller"), job("other")
    claimed = pod("a", references=[owned_by(other, controller=False), owned_by(controller)])
    world = World(project())
    world.show(controller, other, claimed)
    assert place(world, claimed) == UUID(controller["metadata"]["uid"])


def test_without_a_controller_the_kind_that_stands_first_in_the_table_is_followed() -> None:
    rollout, owner = manifest(ROLLOUTS, "canary"), job()
    claimed = pod("a", references=[owned_by(o, controller=False) for o in (rollout, owner)])
    world = World(project())
    world.show(owner, claimed)
    assert place(world, claimed) == UUID(owner["metadata"]["uid"])


def resolved(start: dict[str, Any], *others: dict[str, Any]) -> Resolution:
    world = World(project())
    world.show(*others, start)
    return world.mirror.explain(start["metadata"]["uid"])[0]


def test_owners_in_a_circle_are_one_workload_from_wherever_it_is_entered() -> None:
    first = manifest(REPLICA_SETS, "first", references=[])
    second = manifest(REPLICA_SETS, "second", owner=first)
    first["metadata"]["ownerReferences"] = [owned_by(second)]
    roots = {resolved(pod("a", owner=owner), first, second).root.name for owner in (first, second)}
    assert len(roots) == 1


def test_a_replica_set_that_nobody_owns_is_a_workload_without_pods_too() -> None:
    found = seen(manifest(REPLICA_SETS, "web", spec={"replicas": 0, "template": template(gpus=1)}))
    assert (found.kind, found.name, found.owner.suspended) == ("ReplicaSet", "web", True)
    assert found.controls.activate


def test_a_chain_without_end_ends_the_walk() -> None:
    chain = [manifest(REPLICA_SETS, "0")]
    for depth in range(1, 30):
        chain.append(manifest(REPLICA_SETS, str(depth), owner=chain[-1]))
    start = pod("a", owner=chain[-1])
    assert resolved(start, *chain).root.name == "20"


def test_pods_of_daemon_sets_and_static_pods_belong_to_no_workload() -> None:
    world = World(project())
    daemon = pod("log-shipper", owner=manifest(DAEMON_SETS, "shipper"))
    static = pod(
        "proxy", references=[{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": uid("n"), "controller": True}]
    )
    world.show(daemon, static)
    assert (place(world, daemon), place(world, static)) == (Aside.APART, Aside.APART)
    assert list(world.mirror.workload_ids) == []


# ------------------------------------------------------------ projects and labels


def test_objects_outside_projects_are_no_workloads_until_the_project_is_there() -> None:
    world = World()
    owner = job()
    world.show(owner, pod("a", owner=owner))
    assert world.write() == []
    world.hear(project())
    assert world.write()[0].type == "WorkloadDiscovered.v1"
    assert len(world.fold.workloads[UUID(uid("Job/train"))].pods) == 1


def test_an_object_of_a_submission_is_that_workload() -> None:
    workload_id = UUID(uid("a submission"))
    owner = job("hello", labels={names.WORKLOAD_ID: str(workload_id)})
    world = World(project(), submission(workload_id, priority_class="build", node_pools=("fast",)))
    world.show(owner, pod("hello-a", owner=owner, labels={names.WORKLOAD_ID: str(workload_id)}))
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.workload_class, found.identity_source, len(found.pods)) == (WorkloadClass.NATIVE, "label", 1)
    assert [(g.priority_class, g.node_pools) for g in found.groups.values()] == [("build", ("fast",))]


def test_a_label_that_names_another_object_is_not_believed() -> None:
    workload_id = UUID(uid("a submission"))
    liar = job("liar", labels={names.WORKLOAD_ID: str(workload_id)})
    world = World(project(), submission(workload_id, "hello"))
    world.show(liar)
    assert place(world, liar) == UUID(uid("Job/liar"))


def test_a_label_of_a_submission_not_read_yet_is_believed_once_it_is() -> None:
    workload_id = UUID(uid("a submission"))
    owner = job("hello", labels={names.WORKLOAD_ID: str(workload_id)})
    world = World(project())
    world.show(owner, pod("hello-a", owner=owner, labels={names.WORKLOAD_ID: str(workload_id)}))
    assert list(world.mirror.changes().doubts) == [workload_id]
    assert world.write() == []
    world.hear(submission(workload_id))
    world.write()
    assert set(world.fold.workloads) == {workload_id}


def test_a_label_nobody_can_confirm_makes_a_foreign_workload() -> None:
    owner = job("hello", labels={names.WORKLOAD_ID: uid("a lie")})
    world = World(project())
    world.show(owner)
    world.mirror.doubt_is_over(UUID(uid("a lie")))
    assert place(world, owner) == UUID(uid("Job/hello"))


def test_pods_of_a_native_job_that_is_gone_still_belong_to_its_workload() -> None:
    workload_id = UUID(uid("a submission"))
    owner = job("hello", labels={names.WORKLOAD_ID: str(workload_id)})
    member = pod("hello-a", owner=owner, labels={names.WORKLOAD_ID: str(workload_id)})
    world = World(project(), submission(workload_id))
    world.show(member)
    world.mirror.give_up_owner(member["metadata"]["uid"])
    assert place(world, member) == workload_id


# ------------------------------------------------------------ facts of pods


def facts(**parts: Any) -> Any:
    found = known(pod("a", **parts))
    assert found is not None
    return facts_of(found.item, Membership(UUID(uid("group")), "pod"))


def test_a_running_pod_shows_its_containers() -> None:
    found = facts(spec=pod_spec(gpus=2, node="node-1"), status=running())
    assert (found.phase, found.ready, found.initialized, found.node) == ("Running", True, True, "node-1")
    assert [(c.name, c.role, c.state, c.ready) for c in found.containers] == [
        ("main", "main", ContainerState.RUNNING, True)
    ]
    assert (found.requests.gpu_millionths, found.gpu.devices) == (2_000_000, 2)


def test_init_containers_and_sidecars_are_told_apart() -> None:
    first = [container(name="prepare"), container(name="proxy", restartPolicy="Always")]
    waiting = {"name": "main", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    found = facts(spec=pod_spec(initContainers=first), status={"containerStatuses": [waiting]})
    assert [(c.name, c.role, c.reason) for c in found.containers] == [
        ("prepare", "init", ""),
        ("proxy", "sidecar", ""),
        ("main", "main", "ErrImagePull"),
    ]


def test_a_bare_pod_that_asks_for_a_part_of_a_gpu_is_counted_so() -> None:
    found = seen(pod("alone", annotations={"gpu-fraction": "0.5"}))
    assert found.requests.gpu_millionths == 500_000


def test_a_variable_that_asks_for_a_part_of_a_gpu_is_read_in_a_template_that_was_never_admitted() -> None:
    asking = template()
    asking["spec"]["containers"][0]["env"] = [{"name": "RUNAI_GPU_FRACTION", "value": "0.25"}]
    assert seen(job(spec={"parallelism": 2, "template": asking})).requests.gpu_millionths == 500_000


@pytest.mark.parametrize("name", ["amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe"])
def test_gpus_of_other_makers_count_and_are_placed_under_their_names(name: str) -> None:
    asking = template()
    asking["spec"]["containers"][0]["resources"] = {"limits": {name: 2}}
    owner = job(spec={"parallelism": 2, "template": asking})
    found = seen(owner, pod("one", owner=owner, spec=asking["spec"]))
    assert (found.requests.gpu_millionths, found.requests.extended) == (4_000_000, {name: 4})
    (facts,) = found.pods.values()
    assert (facts.requests.gpu_millionths, facts.requests.extended, facts.gpu.devices) == (2_000_000, {name: 2}, 0)


@pytest.mark.parametrize(
    ("annotations", "devices", "millionths"),
    [
        ({names.GPU_FRACTION: "0.5"}, 1, 500_000),
        ({names.GPU_FRACTION: "0.25", names.GPU_DEVICES: "2"}, 2, 500_000),
        ({names.GPU_FRACTION: "2.5"}, 0, 0),
        ({names.GPU_FRACTION: "half"}, 0, 0),
        ({names.GPU_MEMORY: "2000"}, 1, 0),
        ({"gpu-fraction": "0.5"}, 1, 500_000),
        ({"gpu-fraction": "0.25", "gpu-fraction-num-devices": "2"}, 2, 500_000),
        ({"gpu-fraction": "0.25", names.GPU_FRACTION: "0.5"}, 1, 500_000),
        ({"gpu-memory": "2000"}, 1, 0),
    ],
)
def test_parts_of_a_gpu_are_asked_for_by_annotation(annotations: dict[str, str], devices: int, millionths: int) -> None:
    found = facts(annotations=annotations)
    assert (found.gpu.devices, found.requests.gpu_millionths) == (devices, millionths)


def test_memory_of_gpus_is_counted_as_such_in_pods_and_in_the_workload() -> None:
    asked = {names.GPU_MEMORY: "2000", names.GPU_DEVICES: "2"}
    assert facts(annotations=asked).requests.gpu_memory_bytes == 4000 * 2**20
    spec = {"parallelism": 3, "completions": 3, "template": template(annotations=asked)}
    found = seen(manifest(JOBS, "train", spec=spec))
    assert (found.requests.gpu_memory_bytes, found.requests.gpu_millionths) == (12_000 * 2**20, 0)


def test_what_the_scheduler_needs_of_a_pod_is_there() -> None:
    found = facts(
        version=42,
        spec=pod_spec(
            nodeSelector={"zone": "a"},
            tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
            schedulingGates=[{"name": "hold"}],
        ),
    )
    assert (found.resource_version, found.node_selector, found.scheduling_gates) == ("42", {"zone": "a"}, ("hold",))
    assert [(t.key, t.operator, t.effect) for t in found.tolerations] == [("gpu", "Exists", "NoSchedule")]


def test_the_namespace_of_a_pod_is_that_of_its_workload() -> None:
    found = seen(job(), pod("a", owner=job()))
    assert {f.namespace for f in found.pods.values()} == {NAMESPACE} == {found.namespace}
    assert PODS.kind == "Pod"
