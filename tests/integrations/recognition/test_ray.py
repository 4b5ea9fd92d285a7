"""Ray: which object a pod belongs to, how large that is, what starts together, and how it is stopped.

The Ray clusters of these pictures have two workers of two hosts at least, and three at first.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, manifest, owned_by, pod, pod_spec, project, template, uid
from muster_cluster.objects import JOBS
from muster_contracts.phases import PriorityClass
from muster_contracts.values import Outcome, ParentRef
from muster_integrations.core.seen import SeenWorkload
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RECORDED = Path(__file__).parents[1] / "manifests" / "recorded" / "ray"
RESOURCES = {resource.kind: resource for resource in written_resources() if resource.group == "ray.io"}
RAY_CLUSTERS = RESOURCES["RayCluster"]
GROUP = {"groupName": "gpu", "replicas": 3, "minReplicas": 2, "maxReplicas": 5, "numOfHosts": 2}


def cluster_spec(*groups: dict[str, Any], **parts: Any) -> dict[str, Any]:
    workers = [{"template": template(gpus=1)} | group for group in (groups or (GROUP,))]
    return {"headGroupSpec": {"template": template()}, "workerGroupSpecs": workers} | parts


def ray_cluster(name: str = "shared", *groups: dict[str, Any], **parts: Any) -> dict[str, Any]:
    spec = cluster_spec(*groups, **parts.pop("spec", {}))
    return manifest(RAY_CLUSTERS, name, spec=spec, **parts)


def ray_job(name: str = "tune", *, spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    written = {"rayClusterSpec": cluster_spec(), "shutdownAfterJobFinishes": True} | (spec or {})
    return manifest(RESOURCES["RayJob"], name, spec=written, **parts)


def ray_service(name: str = "chat", *, spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    written = {"rayClusterConfig": cluster_spec()} | (spec or {})
    return manifest(RESOURCES["RayService"], name, spec=written, **parts)


def node(cluster: dict[str, Any] | str, node_type: str, group: str = "headgroup", number: int = 0) -> dict[str, Any]:
    """A head or a worker; of a cluster that is only a name nobody is the owner."""
    owner = cluster if isinstance(cluster, dict) else None
    name = cluster["metadata"]["name"] if isinstance(cluster, dict) else cluster
    labels = {"ray.io/cluster": name, "ray.io/node-type": node_type, "ray.io/group": group}
    return pod(f"{name}-{group}-{number}", owner=owner, labels=labels)


def nodes(cluster: dict[str, Any] | str) -> list[dict[str, Any]]:
    return [node(cluster, "head"), *(node(cluster, "worker", "gpu", number) for number in range(2))]


def submitter(job: dict[str, Any]) -> list[dict[str, Any]]:
    name = job["metadata"]["name"]
    labels = {"ray.io/originated-from-crd": "RayJob", "ray.io/originated-from-cr-name": name}
    made = manifest(JOBS, name, owner=job, spec={"template": template()}, labels=labels)
    return [made, pod(f"{name}-9xk2p", owner=made, labels=labels)]


def see(*manifests: dict[str, Any], workload: dict[str, Any] | None = None) -> SeenWorkload:
    world = World(project())
    world.show(*manifests)
    found = world.mirror.seen_workload(UUID((workload or manifests[0])["metadata"]["uid"]))
    assert found is not None
    return found


def roles(found: SeenWorkload) -> dict[str, str]:
    return {facts.name: facts.role for facts in found.pods.values()}


def gangs(found: SeenWorkload) -> dict[str, tuple[int, dict[str, int]]]:
    return {
        group.name: (group.min_members, {part.name: part.min_members for part in group.sub_groups})
        for group in found.groups.values()
    }


# ------------------------------------------------------------ RayCluster


def test_a_cluster_alone_is_a_workload_of_a_head_and_its_worker_groups() -> None:
    cluster = ray_cluster()
    found = see(cluster, *nodes(cluster))
    assert (found.kind, found.name, found.owner.serving) == ("RayCluster", "shared", True)
    assert roles(found) == {
        "shared-headgroup-0": "head",
        "shared-gpu-0": "worker:gpu",
        "shared-gpu-1": "worker:gpu",
    }
    assert (found.owner.desired_pods, found.owner.min_pods) == (1 + 3 * 2, 1 + 2 * 2)
    assert found.requests.gpu_millionths == 6_000_000


def test_head_and_enough_workers_start_together() -> None:
    cluster = ray_cluster()
    found = see(cluster, *nodes(cluster))
    assert gangs(found) == {"shared": (5, {"head": 1, "worker:gpu": 4})}
    assert {facts.sub_group for facts in found.pods.values()} == {"head", "worker:gpu"}


@pytest.mark.parametrize(
    ("group", "spec", "desired", "minimum"),
    [
        ({"replicas": 3}, {}, 3, 3),
        ({"replicas": 3, "minReplicas": 0}, {}, 3, 3),
        ({"replicas": 3, "minReplicas": 1}, {}, 3, 1),
        ({"replicas": 3, "minReplicas": 0}, {"enableInTreeAutoscaling": True}, 3, 0),
        ({"replicas": 3, "minReplicas": 1}, {"enableInTreeAutoscaling": True}, 3, 1),
        ({"replicas": 1, "minReplicas": 2}, {}, 2, 2),
        ({"replicas": 9, "maxReplicas": 4}, {}, 4, 4),
        ({"replicas": 0}, {}, 0, 0),
        ({"minReplicas": 2}, {}, 2, 2),
        ({}, {}, 0, 0),
        ({"replicas": 2, "numOfHosts": 4}, {}, 8, 8),
        ({"replicas": 2, "numOfHosts": 0}, {}, 2, 2),
        ({"replicas": "many", "minReplicas": -1, "numOfHosts": None}, {}, 0, 0),
    ],
)
def test_a_worker_group_wants_its_replicas_and_starts_with_its_minimum(
    group: dict[str, Any], spec: dict[str, Any], desired: int, minimum: int
) -> None:
    found = see(ray_cluster("shared", {"groupName": "gpu"} | group, spec=spec))
    assert (found.owner.desired_pods, found.owner.min_pods) == (1 + desired, 1 + minimum)
    assert gangs(found) == {"shared": (1 + minimum, {"head": 1, "worker:gpu": minimum})}


def test_a_pod_without_ray_s_labels_submits_a_job_only_if_it_is_of_no_cluster() -> None:
    cluster, job, service = ray_cluster(), ray_job(), ray_service()
    of_job, of_service = ray_cluster("tune-1", owner=job), ray_cluster("chat-1", owner=service)
    assert roles(see(cluster, pod("odd", owner=cluster))) == {"odd": "pod"}
    assert roles(see(service, of_service, pod("odd", owner=of_service))) == {"odd": "pod"}
    assert roles(see(job, of_job, pod("odd", owner=of_job))) == {"odd": "pod"}
    assert roles(see(job, pod("sent", owner=job))) == {"sent": "submitter"}


def test_a_suspended_worker_group_wants_nobody() -> None:
    found = see(ray_cluster("shared", GROUP | {"suspend": True}, {"groupName": "cpu", "replicas": 1}))
    assert gangs(found) == {"shared": (2, {"head": 1, "worker:cpu": 1})}
    assert found.owner.desired_pods == 2


def test_parts_of_gpus_that_templates_ask_for_are_summed() -> None:
    halves = GROUP | {"template": template(annotations={"gpu-fraction": "0.5"})}
    assert see(ray_cluster("shared", halves)).requests.gpu_millionths == 6 * 500_000


def test_the_clean_up_of_redis_belongs_to_the_cluster_but_not_to_its_gang() -> None:
    cluster = ray_cluster()
    job = manifest(JOBS, "shared-redis-cleanup", owner=cluster, spec={"template": template()})
    cleanup = pod("shared-redis-cleanup-x", owner=job, labels=node("shared", "redis-cleanup")["metadata"]["labels"])
    found = see(cluster, job, cleanup, node(cluster, "head"))
    assert roles(found)["shared-redis-cleanup-x"] == "redis-cleanup"
    assert gangs(found)["shared-redis-cleanup-x"] == (1, {})


def test_only_the_first_container_of_a_node_decides_how_it_fares() -> None:
    cluster = ray_cluster()
    containers = [{"name": "ray-head"}, {"name": "autoscaler"}, {"name": "ray-job-submitter"}]
    found = see(cluster, node(cluster, "head") | {"spec": pod_spec(containers=containers)})
    (head,) = found.pods.values()
    assert {container.name: container.role for container in head.containers} == {
        "ray-head": "main",
        "autoscaler": "sidecar",
        "ray-job-submitter": "sidecar",
    }


def test_a_cluster_that_cannot_make_its_pods_says_so() -> None:
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreatePod", "message": "quota exceeded"}
    found = see(ray_cluster(status={"conditions": [failed]}))
    assert (found.owner.ready, found.owner.reason, found.owner.outcome) == (False, "quota exceeded.", Outcome.NONE)


def test_a_cluster_is_stopped_by_its_suspension() -> None:
    controls = see(ray_cluster(version=7)).controls
    assert [(patch.body, patch.resource_version) for patch in controls.stop] == [({"spec": {"suspend": True}}, "7")]
    assert [patch.body for patch in controls.activate] == [{"spec": {"suspend": False}}]
    assert controls.stop[0].object.resource == "rayclusters"
    assert see(ray_cluster(spec={"suspend": True})).owner.suspended


# ------------------------------------------------------------ RayJob


def test_a_job_is_one_workload_with_its_cluster_and_its_submitter() -> None:
    job = ray_job(status={"rayClusterName": "tune-x7k2p", "jobId": "tune-1"})
    cluster = ray_cluster("tune-x7k2p", owner=job)
    found = see(job, cluster, *nodes(cluster), *submitter(job))
    assert (found.kind, found.name, found.owner.serving) == ("RayJob", "tune", False)
    assert set(roles(found).values()) == {"head", "worker:gpu", "submitter"}
    assert (found.owner.desired_pods, found.owner.min_pods) == (1 + 6 + 1, 1 + 4)
    assert found.requests.gpu_millionths == 6_000_000
    assert found.attributes == {"ray_cluster": "tune-x7k2p", "ray_job_id": "tune-1"}


def test_the_submitter_is_outside_the_gang_for_it_comes_after_it() -> None:
    job = ray_job()
    cluster = ray_cluster("tune-x7k2p", owner=job)
    found = see(job, cluster, *nodes(cluster), *submitter(job))
    assert gangs(found) == {"tune-x7k2p": (5, {"head": 1, "worker:gpu": 4}), "tune-9xk2p": (1, {})}


def test_a_job_without_a_cluster_says_what_it_will_need() -> None:
    found = see(ray_job())
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (8, 6_000_000)
    assert gangs(found) == {"tune": (5, {"head": 1, "worker:gpu": 4})}


def test_nothing_is_planned_for_a_job_that_has_ended() -> None:
    assert gangs(see(ray_job(status={"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}))) == {}


@pytest.mark.parametrize("make", [ray_job, ray_service])
def test_what_is_suspended_still_says_what_it_will_need(make: Any) -> None:
    rests = make(spec={"suspend": True})
    (gang,) = gangs(see(rests)).values()
    assert gang == (5, {"head": 1, "worker:gpu": 4})
    assert gangs(see(rests, *submitter(rests)[1:])).keys() >= {rests["metadata"]["name"]}


@pytest.mark.parametrize(
    ("mode", "pods"), [("K8sJobMode", 8), ("HTTPMode", 7), ("InteractiveMode", 7), ("SidecarMode", 7)]
)
def test_only_one_way_to_submit_takes_a_pod_of_its_own(mode: str, pods: int) -> None:
    assert see(ray_job(spec={"submissionMode": mode})).owner.desired_pods == pods


def test_a_retried_job_stays_one_workload_of_the_size_of_its_new_cluster() -> None:
    job = ray_job(status={"rayClusterName": "tune-bbbbb", "jobDeploymentStatus": "Running", "failed": 1})
    old, new = ray_cluster("tune-aaaaa", owner=job, deleting=True), ray_cluster("tune-bbbbb", owner=job)
    found = see(job, old, new, *nodes(old), *nodes(new))
    assert len(found.pods) == 6
    assert set(gangs(found)) == {"tune-aaaaa", "tune-bbbbb"}
    assert found.owner.desired_pods == 8
    assert found.owner.outcome is Outcome.NONE


@pytest.mark.parametrize(
    ("deployment", "status", "outcome"),
    [
        ("", "", Outcome.NONE),
        ("Initializing", "", Outcome.NONE),
        ("Running", "PENDING", Outcome.NONE),
        ("Running", "RUNNING", Outcome.NONE),
        ("Running", "FAILED", Outcome.NONE),
        ("Waiting", "", Outcome.NONE),
        ("Retrying", "FAILED", Outcome.NONE),
        ("Suspending", "", Outcome.NONE),
        ("Suspended", "", Outcome.NONE),
        ("Complete", "SUCCEEDED", Outcome.SUCCEEDED),
        ("Complete", "FAILED", Outcome.FAILED),
        ("Complete", "STOPPED", Outcome.FAILED),
        ("Failed", "", Outcome.FAILED),
        ("Failed", "FAILED", Outcome.FAILED),
        ("ValidationFailed", "", Outcome.FAILED),
        ("SomethingNew", "SUCCEEDED", Outcome.NONE),
    ],
)
def test_a_job_ends_when_its_deployment_does_and_as_rays_job_did(
    deployment: str, status: str, outcome: Outcome
) -> None:
    found = see(ray_job(status={"jobDeploymentStatus": deployment, "jobStatus": status}))
    assert found.owner.outcome is outcome


def test_a_job_that_failed_says_why_and_when() -> None:
    status = {
        "jobDeploymentStatus": "Failed",
        "reason": "AppFailed",
        "message": "exit 1",
        "endTime": "2026-11-01T12:00:00Z",
    }
    found = see(ray_job(status=status))
    assert found.owner.reason == "exit 1."
    assert found.owner.finished_at is not None


def test_a_job_stops_by_suspension_when_ray_allows_it() -> None:
    controls = see(ray_job()).controls
    assert [patch.body for patch in controls.stop] == [{"spec": {"suspend": True}}]
    assert [patch.body for patch in controls.activate] == [{"spec": {"suspend": False}}]
    assert see(ray_job(spec={"suspend": True})).owner.suspended


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"clusterSelector": {"ray.io/cluster": "shared"}}, "clusterSelector"),
        ({"shutdownAfterJobFinishes": False}, "shutdownAfterJobFinishes"),
        ({"shutdownAfterJobFinishes": "yes"}, "shutdownAfterJobFinishes"),
    ],
)
def test_a_stop_that_ray_would_refuse_is_not_offered(spec: dict[str, Any], why: str) -> None:
    controls = see(ray_job(spec=spec)).controls
    assert (controls.stop, controls.activate) == ((), ())
    assert why in controls.reason
    assert [doomed.kind for doomed in controls.delete] == ["RayJob"]


def test_a_job_on_a_shared_cluster_is_its_submitter_and_the_cluster_another_workload() -> None:
    selector = {"clusterSelector": {"ray.io/cluster": "shared"}}
    job, cluster = ray_job(spec=selector, status={"rayClusterName": "shared"}), ray_cluster()
    manifests = [job, cluster, *nodes(cluster), *submitter(job)]
    found = see(*manifests)
    assert set(roles(found).values()) == {"submitter"}
    assert (found.owner.desired_pods, found.owner.min_pods) == (1, 1)
    assert found.attributes["ray_cluster"] == "shared"
    assert len(see(*manifests, workload=cluster).pods) == 3


def test_a_job_that_posts_to_a_shared_cluster_has_no_pods_and_runs() -> None:
    spec = {"clusterSelector": {"ray.io/cluster": "shared"}, "submissionMode": "HTTPMode"}
    found = see(ray_job(spec=spec, status={"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"}))
    assert (found.owner.desired_pods, found.owner.ready, found.groups) == (0, True, {})


def test_a_cron_job_is_the_parent_of_its_jobs() -> None:
    nightly = manifest(RESOURCES["RayCronJob"], "nightly", spec={})
    assert see(ray_job(owner=nightly), nightly).parent == ParentRef(kind="RayCronJob", name="nightly")
    assert see(ray_job(labels={"ray.io/cronjob-name": "nightly"})).parent == ParentRef(
        kind="RayCronJob", name="nightly"
    )


# ------------------------------------------------------------ RayService


def test_a_service_is_one_workload_with_both_clusters_of_an_upgrade() -> None:
    status = {
        "activeServiceStatus": {"rayClusterName": "chat-old"},
        "pendingServiceStatus": {"rayClusterName": "chat-new"},
    }
    service = ray_service(status=status)
    old, new = ray_cluster("chat-old", owner=service), ray_cluster("chat-new", owner=service)
    found = see(service, old, new, *nodes(old), *nodes(new))
    assert (found.kind, found.owner.serving, len(found.pods)) == ("RayService", True, 6)
    assert list(roles(found).values()).count("head") == 2
    assert set(gangs(found)) == {"chat-old", "chat-new"}
    assert (found.owner.desired_pods, found.owner.min_pods) == (14, 5)
    assert found.attributes == {"ray_cluster": "chat-old", "pending_ray_cluster": "chat-new"}
    assert {group.priority_class for group in found.groups.values()} == {PriorityClass.INFERENCE}


def test_a_retry_that_has_not_named_its_cluster_yet_is_of_the_size_of_the_one_that_stays() -> None:
    job = ray_job(status={"jobDeploymentStatus": "Retrying"})
    old, new = ray_cluster("tune-old", owner=job, deleting=True), ray_cluster("tune-new", owner=job)
    assert see(job, old, new).owner.desired_pods == 8
    assert see(job, old).owner.desired_pods == 8


@pytest.mark.parametrize(("deleting", "desired"), [(False, 14), (True, 7)])
def test_the_cluster_an_upgrade_left_behind_counts_until_it_is_deleted(deleting: bool, desired: int) -> None:
    service = ray_service(status={"activeServiceStatus": {"rayClusterName": "chat-new"}})
    old, new = ray_cluster("chat-old", owner=service, deleting=deleting), ray_cluster("chat-new", owner=service)
    found = see(service, old, new, *nodes(old), *nodes(new))
    assert (found.owner.desired_pods, found.owner.min_pods) == (desired, 5)
    assert set(gangs(found)) == {"chat-old", "chat-new"}


def test_the_first_cluster_of_a_service_is_waited_for() -> None:
    service = ray_service(status={"pendingServiceStatus": {"rayClusterName": "chat-new"}})
    found = see(service, ray_cluster("chat-new", owner=service))
    assert (found.owner.desired_pods, found.owner.min_pods) == (7, 5)


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([], None),
        ([{"type": "Ready", "status": "True"}], True),
        ([{"type": "Ready", "status": "False", "reason": "Initializing"}], None),
        ([{"type": "Ready", "status": "False", "reason": "ZeroServeEndpoints"}], False),
        ([{"type": "Ready", "status": "False", "reason": "InitializingTimeout"}], False),
        ([{"type": "Ready", "status": "False", "reason": "SomethingNew"}], None),
        (["odd", None], None),
    ],
)
def test_a_service_says_whether_it_serves(conditions: list[Any], ready: bool | None) -> None:
    assert see(ray_service(status={"conditions": conditions})).owner.ready is ready


def test_a_service_says_what_it_is_about() -> None:
    upgrade = [{"type": "Ready", "status": "True"}, {"type": "UpgradeInProgress", "status": "True"}]
    assert see(ray_service(status={"conditions": upgrade})).owner.reason == "It moves to a new Ray cluster."
    silent = [{"type": "Ready", "status": "False", "reason": "ZeroServeEndpoints"}]
    reason = see(ray_service(status={"conditions": silent})).owner.reason
    assert reason == "Ray says that it does not serve: ZeroServeEndpoints."
    resting = see(ray_service(spec={"suspend": True}, status={"conditions": silent})).owner
    assert (resting.suspended, resting.ready, resting.reason) == (True, None, "")


def test_a_service_is_stopped_by_its_suspension() -> None:
    assert [patch.body for patch in see(ray_service()).controls.stop] == [{"spec": {"suspend": True}}]


# ------------------------------------------------------------ what cannot be read


def found_by_key(world: World, kind: str) -> SeenWorkload:
    world.write_everybody()
    (workload_id,) = [i for i, w in world.fold.workloads.items() if w.discovered and w.discovered.kind == kind]
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    return found


def test_nodes_whose_owner_is_gone_are_known_by_the_name_of_their_cluster() -> None:
    world = World(project())
    for kind in RESOURCES:
        world.mirror.reads(("ray.io", kind), Reading.FORBIDDEN)
    world.show(*nodes("shared"), node("shared", "worker", "gpu", 9) | {"status": {"phase": "Failed"}})
    found = found_by_key(world, "RayCluster")
    assert (found.identity, found.identity_source, found.name) == ("muster-demo/shared", "label", "shared")
    assert gangs(found) == {"shared": (3, {})}
    assert found.controls.stop == ()
    assert found.controls.reason == "The RayCluster shared cannot be read, so that it cannot be controlled."


def test_nodes_without_an_owner_find_the_job_through_the_cluster_of_their_label() -> None:
    job = ray_job()
    found = see(job, ray_cluster("tune-x7k2p", owner=job), *nodes("tune-x7k2p"))
    assert len(found.pods) == 3


def test_an_owner_that_may_not_be_read_is_the_workload_by_its_uid() -> None:
    world = World(project())
    for kind in RESOURCES:
        world.mirror.reads(("ray.io", kind), Reading.FORBIDDEN)
    world.show(*nodes(ray_cluster()))
    found = world.mirror.seen_workload(UUID(uid("RayCluster/shared")))
    assert found is not None
    assert (found.kind, found.identity, len(found.pods)) == ("RayCluster", uid("RayCluster/shared"), 3)


def test_a_submitter_without_an_owner_is_known_by_the_name_of_its_job() -> None:
    world = World(project())
    world.mirror.reads(("ray.io", "RayJob"), Reading.FORBIDDEN)
    _, alone = submitter(ray_job())
    alone["metadata"].pop("ownerReferences")
    world.show(alone)
    found = found_by_key(world, "RayJob")
    assert (found.name, roles(found)) == ("tune", {"tune-9xk2p": "submitter"})


def test_a_cluster_that_lost_its_owner_still_names_who_it_was_made_for() -> None:
    labels = {"ray.io/originated-from-crd": "RayService", "ray.io/originated-from-cr-name": "chat"}
    found = see(ray_cluster("chat-x7k2p", labels=labels))
    assert (found.kind, found.parent) == ("RayCluster", ParentRef(kind="RayService", name="chat"))


@pytest.mark.parametrize("spec", [None, 7, [], {"workerGroupSpecs": "none"}, {"workerGroupSpecs": [None, "x", {}]}])
@pytest.mark.parametrize("kind", ["RayCluster", "RayJob", "RayService"])
def test_odd_objects_of_a_version_nobody_knows_are_borne(kind: str, spec: Any) -> None:
    odd = manifest(RESOURCES[kind], "odd", spec=spec, status="odd") | {"apiVersion": "ray.io/v2"}
    found = see(odd, pod("odd-0", references=[owned_by(odd)]))
    assert (found.kind, found.api_version, len(found.pods)) == (kind, "ray.io/v2", 1)


# ------------------------------------------------------------ recorded


@pytest.mark.parametrize(
    ("file", "kind", "name", "expected", "minimum"),
    [
        (
            "derived-rayjob-k8sjobmode",
            "RayJob",
            "rayjob-sample",
            ["head", "submitter", "worker:small", "worker:small"],
            2,
        ),
        ("derived-raycronjob", "RayJob", "nightly-29381", ["head", "worker:small", "worker:small"], 2),
        ("derived-rayjob-clusterselector", "RayJob", "on-shared-cluster", ["submitter"], 1),
    ],
)
def test_recorded_objects_are_one_job_each(file: str, kind: str, name: str, expected: list[str], minimum: int) -> None:
    world = World(project("a", namespace="team-a"))
    world.show(*json.loads((RECORDED / f"{file}.json").read_text())["items"])
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.name, sorted(roles(found).values())) == (kind, name, expected)
    assert found.owner.min_pods == minimum
