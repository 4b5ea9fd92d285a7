"""Which events a change gives, in which order, and which changes give none."""

from typing import Any, Literal
from uuid import UUID

import pytest
from integrations.kube import (
    NAMESPACE,
    SOMEBODY,
    World,
    manifest,
    pod,
    pod_spec,
    project,
    running,
    submission,
    template,
    uid,
)
from muster_cluster.objects import DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS
from muster_contracts import names
from muster_contracts.events import (
    AnyEvent,
    DeleteRequested,
    LimitReached,
    NodeObserved,
    ObjectsRefused,
    OwnerObserved,
    PodGone,
    PodGroupChanged,
    PodMoved,
    PodObserved,
    StopRequested,
    WorkloadDiscovered,
    WorkloadGone,
)
from muster_contracts.values import Outcome, PodPhase
from muster_integrations.core.decide import BYTES_PER_EVENT
from muster_integrations.core.fold import Fold

JOB_ID = UUID(uid("Job/train"))
NATIVE = UUID(uid("a submission"))
REFUSED = ObjectsRefused(workload_id=NATIVE, reason="The quota is exceeded.")
DELETE = DeleteRequested(workload_id=NATIVE, requested_by=SOMEBODY)


def job(version: int = 1, **parts: Any) -> dict[str, Any]:
    spec = {"template": template(gpus=1)} | parts.pop("spec", {})
    return manifest(JOBS, "train", version=version, spec=spec, **parts)


def complete(version: int) -> dict[str, Any]:
    condition = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-01T10:30:00Z"}
    return job(version, status={"conditions": [condition]})


def kinds(events: list[AnyEvent]) -> list[str]:
    return [event.type.removesuffix(".v1") for event in events]


def world_with_a_running_job() -> tuple[World, dict[str, Any], dict[str, Any]]:
    world = World(project())
    owner, member = job(), pod("train-a", owner=job(), spec=pod_spec(1, "node-1"), status=running(), version=5)
    world.show(owner, member)
    world.write()
    return world, owner, member


def test_a_sighting_is_told_in_order_and_pods_seen_together_travel_together() -> None:
    world = World(project())
    world.show(job(), pod("train-a", owner=job()), pod("train-b", owner=job()))
    events = world.write()
    assert kinds(events) == ["WorkloadDiscovered", "PodGroupFormed", "PodGroupFormed", "PodObserved"]
    assert isinstance(events[-1], PodObserved)
    assert [facts.name for facts in events[-1].pods] == ["train-a", "train-b"]


def test_what_is_written_is_not_written_again() -> None:
    world, _, _ = world_with_a_running_job()
    assert world.write_everybody() == []


def test_a_heartbeat_is_no_event() -> None:
    world, owner, member = world_with_a_running_job()
    world.step(owner, job(8, status={"active": 1, "ready": 1}))
    beat = member | {"metadata": member["metadata"] | {"resourceVersion": "9"}}
    world.step(member, beat)
    assert world.write() == []


def test_the_resource_version_of_a_pod_matters_until_it_is_bound() -> None:
    world = World(project())
    before, after = pod("lonely", version=1), pod("lonely", version=2)
    world.show(before)
    world.write()
    world.step(before, after)
    assert kinds(world.write()) == ["PodObserved"]


def test_only_the_pods_that_changed_are_told() -> None:
    world, _, _ = world_with_a_running_job()
    world.show(pod("train-b", owner=job()))
    events = world.write()
    assert kinds(events) == ["PodGroupFormed", "PodObserved"]
    assert isinstance(events[-1], PodObserved)
    assert [facts.name for facts in events[-1].pods] == ["train-b"]


def test_very_many_pods_travel_in_parts_that_the_bus_takes() -> None:
    world = World(project())
    gang = job(annotations={names.MIN_MEMBERS: "2"})
    ended = {"exitCode": 1, "message": "ä" * 4096}
    status = {"phase": "Failed", "containerStatuses": [{"name": "main", "state": {"terminated": ended}}]}
    world.show(gang, *(pod(f"train-{number}", owner=gang, status=status) for number in range(100)))
    observed = [event for event in world.write() if isinstance(event, PodObserved)]
    assert len(observed) > 1
    assert sum(len(event.pods) for event in observed) == 100
    assert max(len(event.model_dump_json()) for event in observed) < 1.2 * BYTES_PER_EVENT


def test_a_job_that_completes_and_is_deleted_ends_seen() -> None:
    world, owner, member = world_with_a_running_job()
    ended = member | {"status": {"phase": "Succeeded"}, "metadata": member["metadata"] | {"resourceVersion": "7"}}
    world.step(member, ended)
    assert kinds(world.write()) == ["PodObserved"]
    world.step(owner, complete(8))
    (observed,) = world.write()
    assert isinstance(observed, OwnerObserved)
    assert observed.owner.outcome is Outcome.SUCCEEDED
    world.step(complete(8), None)
    (deleting,) = world.write()
    assert isinstance(deleting, OwnerObserved)
    assert deleting.owner.deleting
    world.step(ended, None)
    events = world.write()
    assert kinds(events) == ["PodGone", "WorkloadGone"]
    assert isinstance(events[0], PodGone)
    assert events[0].pods[0].exit_seen
    assert isinstance(events[1], WorkloadGone)
    assert events[1].end_seen
    assert world.fold.workloads == {}
    assert world.fold.homes == {}


def test_an_end_that_nobody_saw_is_said_to_be_unseen() -> None:
    world = World(project())
    world.show(job())
    world.write()
    world.step(job(), None, seen=False)
    (gone,) = world.write()
    assert isinstance(gone, WorkloadGone)
    assert not gone.end_seen
    assert gone.reason.endswith(".")


def test_a_deletion_that_was_seen_is_an_end_that_was_seen() -> None:
    world = World(project())
    world.show(job())
    world.write()
    world.step(job(), None)
    (gone,) = world.write()
    assert isinstance(gone, WorkloadGone)
    assert gone.end_seen


def test_how_a_pod_ended_is_told_even_if_it_is_gone_before_anybody_looked() -> None:
    world, _, member = world_with_a_running_job()
    ended = member | {"status": {"phase": "Failed"}, "metadata": member["metadata"] | {"resourceVersion": "7"}}
    world.step(member, ended)
    world.step(ended, None)
    gone, dissolved = world.write()
    assert isinstance(gone, PodGone)
    assert (gone.pods[0].last_phase, gone.pods[0].exit_seen) == (PodPhase.FAILED, True)
    assert isinstance(dissolved, PodGroupChanged)
    assert dissolved.dissolved


def test_a_gang_outlives_its_pods() -> None:
    world = World(project())
    gang = job(annotations={names.MIN_MEMBERS: "1"})
    member = pod("train-a", owner=gang)
    world.show(gang, member)
    world.write()
    world.step(member, None)
    assert kinds(world.write()) == ["PodGone"]
    assert len(world.fold.workloads[JOB_ID].groups) == 1


def test_a_gang_whose_minimum_changes_says_so() -> None:
    world = World(project())
    small, large = (job(n, annotations={names.MIN_MEMBERS: str(n)}, spec={"parallelism": 3}) for n in (1, 2))
    world.show(small)
    world.write()
    world.step(small, large)
    changed = world.write()[0]
    assert isinstance(changed, PodGroupChanged)
    assert (changed.min_members, changed.dissolved) == (2, False)


def test_pods_stay_with_their_deployment_while_the_owners_are_deleted_before_them() -> None:
    world = World(project())
    top = manifest(DEPLOYMENTS, "web", spec={"replicas": 1, "template": template()})
    step = manifest(REPLICA_SETS, "web-1", owner=top, spec={"replicas": 1, "template": template()})
    member = pod("web-1-a", owner=step)
    world.show(top, step, member)
    world.write()
    world.step(top, None)
    world.step(step, None)
    assert kinds(world.write()) == ["OwnerObserved"]
    assert world.mirror.changes().orphans == {}
    world.step(member, None)
    assert kinds(world.write()) == ["PodGone", "WorkloadGone"]


def test_after_a_restart_pods_are_still_at_home_though_their_owners_are_gone() -> None:
    before = World(project())
    top = manifest(DEPLOYMENTS, "web", spec={"replicas": 1, "template": template()})
    step = manifest(REPLICA_SETS, "web-1", owner=top, spec={"replicas": 1, "template": template()})
    before.show(top, step, pod("web-1-a", owner=step))
    before.write()
    after = World(*before.events)
    after.show(pod("web-1-a", owner=step))
    (observed,) = after.write_everybody()
    assert isinstance(observed, OwnerObserved)
    assert observed.owner.deleting


def test_a_pod_whose_owner_appears_late_moves_to_its_workload() -> None:
    world = World(project())
    top = manifest(DEPLOYMENTS, "web", spec={"replicas": 1, "template": template()})
    step = manifest(REPLICA_SETS, "web-1", owner=top, spec={"replicas": 1, "template": template()})
    member = pod("web-1-a", owner=step)
    world.show(member)
    world.mirror.give_up_owner(member["metadata"]["uid"])
    world.write()
    assert set(world.fold.workloads) == {UUID(step["metadata"]["uid"])}
    world.show(step, top)
    events = world.write()
    assert "PodMoved" in kinds(events)
    moved = next(event for event in events if isinstance(event, PodMoved))
    assert moved.new_workload_id == UUID(top["metadata"]["uid"])
    assert set(world.fold.workloads) == {UUID(top["metadata"]["uid"])}
    assert world.fold.homes == {UUID(member["metadata"]["uid"]): UUID(top["metadata"]["uid"])}


def test_controls_are_made_anew_while_somebody_waits_to_stop_it() -> None:
    world, owner, _ = world_with_a_running_job()
    world.hear(StopRequested(workload_id=JOB_ID, requested_by=SOMEBODY))
    world.step(owner, job(20))
    (observed,) = world.write()
    assert isinstance(observed, OwnerObserved)
    assert observed.controls is not None
    assert observed.controls.stop[0].resource_version == "20"
    world.step(job(20), job(21, spec={"suspend": True}))
    world.write()
    world.step(job(21, spec={"suspend": True}), job(22, spec={"suspend": True}))
    assert world.write() == []


def test_a_stop_that_was_done_makes_no_heartbeat_an_event_when_somebody_resumes_the_object() -> None:
    world, owner, _ = world_with_a_running_job()
    world.hear(StopRequested(workload_id=JOB_ID, requested_by=SOMEBODY))
    world.step(owner, job(20, spec={"suspend": True}))
    world.write()
    world.step(job(20, spec={"suspend": True}), job(21))
    assert kinds(world.write()) == ["OwnerObserved"]
    world.step(job(21), job(22))
    assert world.write() == []


def test_a_stop_before_the_object_was_seen_is_done_when_it_is_seen_suspended() -> None:
    world = World(project(), submission(NATIVE), StopRequested(workload_id=NATIVE, requested_by=SOMEBODY))
    labels = {names.WORKLOAD_ID: str(NATIVE)}
    asleep = manifest(JOBS, "hello", labels=labels, spec={"suspend": True})
    awake = [manifest(JOBS, "hello", labels=labels, version=version) for version in (2, 3)]
    world.show(asleep)
    world.write()
    world.step(asleep, awake[0])
    assert kinds(world.write()) == ["OwnerObserved"]
    world.step(*awake)
    assert world.write() == []


def limit(workload_id: UUID, effect: Literal["stop", "fail", "delete", "complete"]) -> LimitReached:
    reason = "It took too long."
    return LimitReached(workload_id=workload_id, limit="duration", limit_seconds=60, effect=effect, reason=reason)


@pytest.mark.parametrize("effect", ["stop", "fail"])
def test_controls_are_made_anew_after_a_limit_that_stops_until_the_object_has_followed(
    effect: Literal["stop", "fail"],
) -> None:
    world, owner, _ = world_with_a_running_job()
    world.hear(limit(JOB_ID, effect))
    world.step(owner, job(20))
    (observed,) = world.write()
    assert isinstance(observed, OwnerObserved)
    assert observed.controls is not None
    assert observed.controls.stop[0].resource_version == "20"
    world.step(job(20), job(21, spec={"suspend": True}))
    world.write()
    world.step(job(21, spec={"suspend": True}), job(22, spec={"suspend": True}))
    assert world.write() == []


@pytest.mark.parametrize("event", [limit(JOB_ID, "delete"), limit(JOB_ID, "complete")])
def test_a_limit_that_patches_nothing_leaves_heartbeats_untold(event: LimitReached) -> None:
    world, owner, _ = world_with_a_running_job()
    world.hear(event)
    world.step(owner, job(20))
    assert world.write() == []


@pytest.mark.parametrize("asked", [(REFUSED, DELETE), (DELETE, REFUSED)])
def test_what_kubernetes_refused_is_gone_once_it_is_to_be_deleted(asked: tuple[AnyEvent, AnyEvent]) -> None:
    world = World(project(), submission(NATIVE))
    world.hear(asked[0])
    assert world.write_everybody() == []
    world.hear(asked[1])
    (gone,) = world.write_everybody()
    assert isinstance(gone, WorkloadGone)
    assert (gone.workload_id, gone.end_seen) == (NATIVE, True)
    assert gone.reason == "Kubernetes never took its objects, so there was nothing to delete."
    assert world.write_everybody() == []
    assert (world.fold.workloads, world.fold.submissions, world.fold.gone) == ({}, {}, {NATIVE})


def test_what_kubernetes_refused_is_gone_once_a_limit_deletes_it() -> None:
    world = World(project(), submission(NATIVE), REFUSED, limit(NATIVE, "delete"))
    assert kinds(world.write_everybody()) == ["WorkloadGone"]


@pytest.mark.parametrize("asked", [(), (REFUSED,), (DELETE,), (REFUSED, limit(NATIVE, "fail"))])
def test_what_was_not_seen_may_still_appear_unless_it_was_refused_and_deleted(asked: tuple[AnyEvent, ...]) -> None:
    world = World(project(), submission(NATIVE), *asked)
    assert world.write_everybody() == []


def test_what_was_refused_and_is_there_after_all_is_gone_when_its_object_is() -> None:
    world = World(project(), submission(NATIVE), REFUSED, DELETE)
    native = manifest(JOBS, "hello", labels={names.WORKLOAD_ID: str(NATIVE)})
    world.show(native)
    assert kinds(world.write_everybody()) == ["WorkloadDiscovered"]
    world.step(native, None)
    (gone,) = world.write()
    assert isinstance(gone, WorkloadGone)
    assert (gone.end_seen, gone.reason) == (True, "")


def test_asking_about_what_is_gone_changes_nothing() -> None:
    world = World(project(), submission(NATIVE), REFUSED, DELETE)
    world.write_everybody()
    for late in (REFUSED, DELETE, limit(NATIVE, "delete")):
        world.hear(late)
    assert world.write_everybody() == []
    assert world.fold.workloads == {}


def test_a_workload_of_a_project_that_was_removed_lives_to_its_end() -> None:
    world, owner, member = world_with_a_running_job()
    world.hear(project(removed=True))
    assert world.write() == []
    world.step(member, None)
    world.step(owner, None)
    assert kinds(world.write())[-1] == "WorkloadGone"


def test_an_id_that_is_gone_is_never_written_again() -> None:
    world, owner, member = world_with_a_running_job()
    world.step(member, None)
    world.step(owner, None)
    world.write()
    world.show(owner)
    assert world.write() == []


# ------------------------------------------------------------ nodes


def node(version: int = 1, **parts: Any) -> dict[str, Any]:
    labels = {"nvidia.com/gpu.product": "A100", "nvidia.com/gpu.memory": "81920", "zone": "a"}
    status = {
        "allocatable": {
            "cpu": "64",
            "memory": "512Gi",
            "nvidia.com/gpu": "8",
            "pods": "110",
            "ephemeral-storage": "1Gi",
        },
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    parts = {"labels": labels, "status": status, "spec": {}} | parts
    return manifest(NODES, "node-1", version=version, **parts)


def test_a_node_tells_what_it_has() -> None:
    world = World()
    world.show(node())
    (observed,) = world.write()
    assert isinstance(observed, NodeObserved)
    assert (observed.ready, observed.gpu_devices, observed.gpu_product, observed.max_pods) == (True, 8, "A100", 110)
    assert observed.gpu_memory_bytes == 80 * 1024**3
    assert (observed.allocatable.cpu_milli, observed.allocatable.gpu_millionths) == (64_000, 8_000_000)
    assert observed.allocatable.extended == {"ephemeral-storage": 1024**3}


def test_a_heartbeat_of_a_node_and_its_noisy_labels_are_no_event() -> None:
    world = World()
    world.show(node())
    world.write()
    noisy = {**node()["metadata"]["labels"], "feature.node.kubernetes.io/cpu-model": "6"}
    world.step(node(), node(2, labels=noisy, annotations={"heartbeat": "now"}))
    assert world.write() == []


def test_a_cordoned_node_and_a_tainted_one_say_so() -> None:
    world = World()
    world.show(node())
    world.write()
    cordoned = node(2, spec={"unschedulable": True, "taints": [{"key": "gpu", "effect": "NoSchedule"}]})
    world.step(node(), cordoned)
    (observed,) = world.write()
    assert isinstance(observed, NodeObserved)
    assert observed.unschedulable
    assert [taint.key for taint in observed.taints] == ["gpu"]


def test_pods_of_no_workload_are_summed_on_their_node() -> None:
    world = World(project())
    world.show(node())
    system = pod("dns", namespace="kube-system", spec=pod_spec(node="node-1"), status=running())
    finished = pod("old", namespace="kube-system", spec=pod_spec(node="node-1"), status={"phase": "Succeeded"})
    ours = pod("ours", spec=pod_spec(node="node-1"))
    world.show(system, finished, ours)
    observed = world.write()[-1]
    assert isinstance(observed, NodeObserved)
    assert (observed.other_pods, observed.others.cpu_milli) == (1, 500)
    world.step(system, None)
    observed = world.write()[-1]
    assert isinstance(observed, NodeObserved)
    assert (observed.other_pods, observed.others.cpu_milli) == (0, 0)


def test_pods_leave_the_sum_of_their_node_when_their_project_is_created() -> None:
    world = World()
    world.show(node(), pod("ours", spec=pod_spec(node="node-1")))
    world.write()
    assert world.fold.nodes["node-1"].other_pods == 1
    world.hear(project())
    world.write()
    assert world.fold.nodes["node-1"].other_pods == 0


def test_a_node_that_came_back_as_another_is_another_node() -> None:
    world = World()
    world.show(node())
    world.write()
    again = node(uid=uid("the second machine"))
    world.step(node(), None)
    world.show(again)
    assert kinds(world.write()) == ["NodeGone", "NodeObserved"]
    world.step(again, None)
    assert kinds(world.write()) == ["NodeGone"]
    assert world.fold.nodes == {}


def test_a_namespace_that_is_no_projects_gives_no_workload() -> None:
    world = World(project("other"))
    world.show(pod("a"), pod("b", namespace="muster-other"))
    world.write()
    assert [w.discovered.namespace for w in world.fold.workloads.values() if w.discovered] == ["muster-other"]
    assert (NAMESPACE, PODS.namespaced) == ("muster-demo", True)


def test_a_workload_is_discovered_once() -> None:
    world, owner, _ = world_with_a_running_job()
    for version in range(10, 20):
        world.step(owner, job(version, spec={"parallelism": version}))
        world.write()
    assert sum(isinstance(event, WorkloadDiscovered) for event in world.events) == 1
    discovered = world.fold.workloads[JOB_ID].discovered
    assert discovered is not None
    assert discovered.owner.desired_pods == 19


def test_an_event_of_ours_that_comes_back_with_the_stream_changes_nothing() -> None:
    world, owner, member = world_with_a_running_job()
    world.step(member, None)
    world.step(owner, None)
    world.write()
    ahead = Fold()
    for position, event in enumerate(world.events, start=1):
        ahead.apply(position, event)
    for position, event in enumerate(world.events, start=1):
        ahead.follow(position, event)
        assert (ahead.workloads, ahead.homes, ahead.gone) == ({}, {}, {JOB_ID})
