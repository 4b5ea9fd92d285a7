"""TrainJobs and JobSets: whose pods they are, what starts together and what comes first, how they fare and stop."""

from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, container, gangs, manifest, pod, pod_spec, project, roles, see, template, uid
from muster_cluster.objects import JOBS
from muster_cluster.port import Resource
from muster_contracts.values import Outcome
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RESOURCES = {resource.kind: resource for resource in written_resources()}
TRAIN_JOBS, JOB_SETS = RESOURCES["TrainJob"], RESOURCES["JobSet"]
CLUSTER_RUNTIMES, RUNTIMES = RESOURCES["ClusterTrainingRuntime"], RESOURCES["TrainingRuntime"]
LABELS = "jobset.sigs.k8s.io/"
INITIALISERS = ("dataset-initializer", "model-initializer")


def replicated(name: str, pods: int = 1, copies: int = 1, gpus: int = 0, **parts: Any) -> dict[str, Any]:
    job = {"parallelism": pods, "completions": pods, "template": template(gpus)}
    return {"name": name, "replicas": copies, "template": {"spec": job}} | parts


def after(*names: str, status: str = "Complete") -> list[dict[str, str]]:
    return [{"name": name, "status": status} for name in names]


def job_set(*jobs: dict[str, Any], name: str = "train", **parts: Any) -> dict[str, Any]:
    spec = {"replicatedJobs": list(jobs or (replicated("node", 2, gpus=1),))} | parts.pop("spec", {})
    return manifest(JOB_SETS, name, spec=spec, **parts)


def train_job(spec: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    written = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 2}} | (spec or {})
    return manifest(TRAIN_JOBS, "train", spec=written, **parts)


def of_train_job(*jobs: dict[str, Any], **parts: Any) -> list[dict[str, Any]]:
    """A TrainJob and the JobSet it has made."""
    owner = train_job()
    return [owner, job_set(*jobs, owner=owner, **parts)]


def pods_of(made: dict[str, Any], name: str, count: int = 1, attempt: int = 0) -> list[dict[str, Any]]:
    """The pods of a replicated job of one copy, and their Job."""
    set_name = made["metadata"]["name"]
    labels = {f"{LABELS}jobset-name": set_name, f"{LABELS}replicatedjob-name": name, f"{LABELS}job-index": "0"}
    labels[f"{LABELS}restart-attempt"] = str(attempt)
    job = manifest(JOBS, f"{set_name}-{name}-0", owner=made, labels=labels, uid=uid(f"{set_name}-{name}-{attempt}"))
    job["spec"] = {"parallelism": count, "template": template()}
    pods = [pod(f"{set_name}-{name}-0-{index}-{attempt}", owner=job, labels=labels) for index in range(count)]
    return [job, *pods]


# ------------------------------------------------------------ who belongs where


def test_pods_lead_through_a_job_and_a_job_set_to_the_train_job() -> None:
    owner, made = of_train_job()
    found = see(owner, made, *pods_of(made, "node", 2))
    assert (found.kind, found.name, found.identity) == ("TrainJob", "train", uid("TrainJob/train"))
    assert set(roles(found).values()) == {"node"}
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (2, 2_000_000)


def test_a_job_set_alone_is_a_workload_with_a_role_per_replicated_job() -> None:
    made = job_set(replicated("driver"), replicated("workers", 2, copies=3))
    found = see(made, *pods_of(made, "driver"), *pods_of(made, "workers", 2))
    assert (found.kind, found.owner.desired_pods) == ("JobSet", 7)
    assert sorted(roles(found).values()) == ["driver", "workers", "workers"]


def test_a_restarted_job_set_is_the_same_workload_with_new_jobs() -> None:
    owner, made = of_train_job()
    found = see(owner, made, *pods_of(made, "node", 2), *pods_of(made, "node", 2, attempt=1))
    assert (found.kind, len(found.pods)) == ("TrainJob", 4)


# ------------------------------------------------------------ how many, and what starts together


def test_a_train_job_alone_wants_the_nodes_it_asks_for() -> None:
    resources = {"limits": {"nvidia.com/gpu": "4"}}
    found = see(train_job({"trainer": {"numNodes": 3, "resourcesPerNode": resources}}))
    assert gangs(found) == {"train-node": (3, {})}
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (3, 12_000_000)


@pytest.mark.parametrize("trainer", [None, {}, "big", {"numNodes": "3"}, {"numNodes": -1, "resourcesPerNode": 7}])
def test_a_train_job_that_does_not_say_how_many_wants_one_node_until_its_job_set_is_there(trainer: Any) -> None:
    assert see(train_job({"trainer": trainer})).owner.desired_pods == 1


def test_the_job_set_knows_better_and_the_group_stays() -> None:
    owner, made = of_train_job(replicated("node", 5))
    alone, together = see(owner), see(owner, made)
    assert together.owner.desired_pods == 5
    assert list(alone.groups) == list(together.groups)


def test_initialisers_are_groups_of_their_own_for_they_end_before_the_nodes_start() -> None:
    jobs = [*(replicated(name) for name in INITIALISERS), replicated("node", 2, dependsOn=after(*INITIALISERS))]
    owner, made = of_train_job(*jobs)
    found = see(owner, made, *pods_of(made, "dataset-initializer"), *pods_of(made, "node", 2))
    assert gangs(found) == {
        "train-dataset-initializer": (1, {}),
        "train-model-initializer": (1, {}),
        "train-node": (2, {}),
    }
    assert found.owner.desired_pods == 4
    names = {group.pod_group_id: group.name for group in found.groups.values()}
    assert {facts.role: names[facts.pod_group_id] for facts in found.pods.values() if facts.pod_group_id} == {
        "dataset-initializer": "train-dataset-initializer",
        "node": "train-node",
    }


def test_a_launcher_that_waits_for_its_nodes_is_not_in_their_gang() -> None:
    owner, made = of_train_job(replicated("node", 2), replicated("launcher", dependsOn=after("node", status="Ready")))
    assert gangs(see(owner, made)) == {"train-node": (2, {}), "train-launcher": (1, {})}


def test_what_starts_in_order_is_a_group_per_replicated_job_of_all_its_copies() -> None:
    jobs = replicated("driver"), replicated("workers", 2, copies=3)
    made = job_set(*jobs, spec={"startupPolicy": {"startupPolicyOrder": "InOrder"}})
    assert gangs(see(made)) == {"train-driver": (1, {}), "train-workers": (6, {})}


@pytest.mark.parametrize("spec", [{}, {"startupPolicy": {"startupPolicyOrder": "AnyOrder"}}, {"startupPolicy": "none"}])
def test_what_starts_in_any_order_is_one_gang(spec: dict[str, Any]) -> None:
    made = job_set(replicated("driver"), replicated("workers", 2, copies=3), spec=spec)
    found = see(made, *pods_of(made, "driver"))
    assert gangs(found) == {"train": (7, {"driver": 1, "workers": 6})}
    assert {facts.sub_group for facts in found.pods.values()} == {"driver"}


@pytest.mark.parametrize(
    ("job", "pods"),
    [
        ({"parallelism": 4, "completions": 2}, 2),
        ({"parallelism": 4}, 4),
        ({"completions": 4}, 1),
        ({"parallelism": "4"}, 1),
        ({}, 1),
        (None, 1),
    ],
)
def test_a_job_runs_as_many_pods_as_it_may_and_as_have_to_complete(job: Any, pods: int) -> None:
    found = see(job_set({"name": "node", "template": {"spec": job}}))
    assert found.owner.desired_pods == pods


def test_a_pod_of_no_replicated_job_is_alone() -> None:
    jobs = replicated("first"), replicated("second", dependsOn=after("first"))
    made = job_set(*jobs)
    stray = manifest(JOBS, "stray", owner=made, spec={"template": template()})
    found = see(made, stray, pod("stray-a", owner=stray))
    assert gangs(found)["stray-a"] == (1, {})
    assert len(found.pods) == 1


@pytest.mark.parametrize("spec", [None, [], {"replicatedJobs": "two"}, {"replicatedJobs": [3, None]}])
def test_a_job_set_in_an_odd_shape_is_the_pods_it_has(spec: Any) -> None:
    made = manifest(JOB_SETS, "train", spec=spec)
    found = see(made, *pods_of(made, "node", 2))
    assert (found.owner.desired_pods, [size for size, _ in gangs(found).values()]) == (2, [2])


def test_the_trainers_container_decides() -> None:
    owner, made = of_train_job()
    job, node = pods_of(made, "node")
    node["spec"] = pod_spec(containers=[container(name=name) for name in ("istio-proxy", "node")])
    found = see(owner, made, job, node)
    assert [c.role for facts in found.pods.values() for c in facts.containers] == ["sidecar", "main"]


# ------------------------------------------------------------ what a runtime tells


def runtime(*jobs: dict[str, Any], resource: Resource[Any] = CLUSTER_RUNTIMES, **policy: Any) -> dict[str, Any]:
    written = {"replicatedJobs": list(jobs or (replicated("node", gpus=1),))}
    return manifest(resource, "torch-distributed", spec={"mlPolicy": policy, "template": {"spec": written}})


@pytest.mark.parametrize("resource", [CLUSTER_RUNTIMES, RUNTIMES])
def test_a_train_job_without_a_job_set_will_be_what_its_runtime_says(resource: Resource[Any]) -> None:
    owner = train_job({"runtimeRef": {"name": "torch-distributed", "kind": resource.kind}, "trainer": {}})
    first = replicated("dataset-initializer"), replicated("node", gpus=4, dependsOn=after("dataset-initializer"))
    found = see(owner, runtime(*first, resource=resource, numNodes=3))
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (1 + 3, 12_000_000)
    assert gangs(found) == {"train-dataset-initializer": (1, {}), "train-node": (3, {})}


def test_what_a_train_job_asks_for_itself_counts_more_than_its_runtime() -> None:
    asked = {"numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 8}}}
    found = see(train_job({"trainer": asked}), runtime(numNodes=5))
    assert (found.owner.desired_pods, found.requests.gpu_millionths) == (2, 16_000_000)


def test_a_launcher_that_is_a_node_as_well_is_one_of_them() -> None:
    jobs = replicated("launcher", gpus=1), replicated("node", gpus=1)
    found = see(train_job(), runtime(*jobs, numNodes=5, mpi={"runLauncherAsNode": True}))
    assert gangs(found) == {"train": (2, {"launcher": 1, "node": 1})}


def test_a_runtime_that_comes_late_is_heeded_and_only_until_there_is_a_job_set() -> None:
    world = World(project())
    owner = train_job({"trainer": {}})
    world.show(owner)
    world.write()
    world.show(runtime(numNodes=3))
    world.write()
    folded = world.fold.workloads[UUID(owner["metadata"]["uid"])].discovered
    assert folded is not None
    assert folded.owner.desired_pods == 3
    world.show(job_set(owner=owner))
    found = world.mirror.seen_workload(folded.workload_id)
    assert found is not None
    assert found.owner.desired_pods == 2


def test_a_runtime_is_no_workload() -> None:
    world = World(project())
    world.show(runtime(), runtime(resource=RUNTIMES))
    assert list(world.mirror.workload_ids) == []


# ------------------------------------------------------------ how they fare, and how they are controlled


def of_stages(**counts: int) -> list[dict[str, Any]]:
    """A TrainJob whose nodes run, with so many initialisers that have succeeded."""
    jobs = replicated("dataset-initializer"), replicated("node", 2, gpus=1, dependsOn=after("dataset-initializer"))
    counted = [{"name": "dataset-initializer"} | counts, {"name": "node", "ready": 1}]
    return [train_job(status={"jobsStatus": counted}), job_set(*jobs, owner=train_job())]


def test_nobody_waits_for_an_initialiser_that_ended_before_it_was_seen() -> None:
    owner, made = of_stages(succeeded=1)
    found = see(owner, made, *pods_of(made, "node", 2))
    assert (found.owner.desired_pods, found.owner.min_pods) == (3, 2)
    assert gangs(found) == {"train-dataset-initializer": (1, {}), "train-node": (2, {})}


def test_an_initialiser_that_ended_and_is_seen_still_counts() -> None:
    owner, made = of_stages(succeeded=1)
    found = see(owner, made, *pods_of(made, "dataset-initializer"), *pods_of(made, "node", 2))
    assert (found.owner.desired_pods, found.owner.min_pods) == (3, 3)


def test_a_train_job_whose_initialisers_work_does_not_run_yet() -> None:
    jobs = replicated("prepare"), replicated("trainer", dependsOn=after("prepare"))
    made = job_set(*jobs, owner=train_job())
    assert see(train_job(status={"jobsStatus": [{"name": "prepare", "ready": 1}]}), made).owner.ready is None
    assert see(train_job(status={"jobsStatus": [{"name": "trainer", "ready": 1}]}), made).owner.ready is True


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ([("Suspended", "False"), ("Complete", "True")], Outcome.SUCCEEDED),
        ([("Completed", "True")], Outcome.SUCCEEDED),
        ([("StartupPolicyCompleted", "True"), ("Failed", "True")], Outcome.FAILED),
        ([("Suspended", "True")], Outcome.NONE),
        ([("Complete", "False"), ("StartupPolicyInProgress", "True")], Outcome.NONE),
    ],
)
def test_an_end_is_a_condition_that_holds(conditions: list[tuple[str, str]], outcome: Outcome) -> None:
    moment = {"lastTransitionTime": "2026-11-01T12:00:00Z", "message": "so it is"}
    status = {"conditions": [{"type": kind, "status": truth} | moment for kind, truth in conditions]}
    facts = see(job_set(status=status)).owner
    assert facts.outcome is outcome
    assert (facts.finished_at is not None) == (outcome is not Outcome.NONE)
    assert facts.reason == ("so it is." if outcome is Outcome.FAILED else "")


@pytest.mark.parametrize(
    ("counts", "ready"),
    [
        ([{"name": "node", "active": 2, "ready": 0}], None),
        ([{"name": "node", "active": 0, "ready": 2}], True),
        ([{"name": "node", "active": 0, "ready": 0}, {"name": "dataset-initializer", "active": 1}], None),
        ([{"name": "node", "ready": "2"}], None),
        (["node"], None),
        (None, None),
    ],
)
def test_a_train_job_runs_when_its_nodes_do(counts: Any, ready: bool | None) -> None:
    assert see(train_job(status={"jobsStatus": counts})).owner.ready is ready


def test_a_job_set_runs_when_one_of_its_jobs_does() -> None:
    status = {"replicatedJobsStatus": [{"name": "driver", "active": 1, "ready": 1}]}
    assert see(job_set(status=status)).owner.ready is True


@pytest.mark.parametrize("suspended", [True, False])
def test_they_are_suspended_when_they_are_told_to_be(suspended: bool) -> None:
    assert see(train_job({"suspend": suspended})).owner.suspended is suspended
    assert see(job_set(spec={"suspend": suspended})).owner.suspended is suspended


def test_the_train_job_is_stopped_and_never_its_job_set() -> None:
    found = see(*of_train_job())
    assert [(p.object.kind, p.body) for p in found.controls.stop] == [("TrainJob", {"spec": {"suspend": True}})]
    assert [(p.object.kind, p.body) for p in found.controls.activate] == [("TrainJob", {"spec": {"suspend": False}})]
    assert [reference.resource for reference in found.controls.delete] == ["trainjobs"]
    alone = see(job_set())
    assert [(p.object.kind, p.body) for p in alone.controls.stop] == [("JobSet", {"spec": {"suspend": True}})]


@pytest.mark.parametrize(
    ("manager", "attributes"),
    [
        ("kueue.x-k8s.io/multikueue", {"managed_by": "kueue.x-k8s.io/multikueue"}),
        ("trainer.kubeflow.org/trainjob-controller", {}),
    ],
)
def test_a_train_job_that_another_manager_runs_elsewhere_says_so(manager: str, attributes: dict[str, str]) -> None:
    assert see(train_job({"managedBy": manager})).attributes == attributes


# ------------------------------------------------------------ without the objects


def test_pods_are_known_by_the_name_of_their_job_set_and_lead_to_the_train_job() -> None:
    owner, made = of_train_job()
    orphan = pod("a", labels={f"{LABELS}jobset-name": "train", f"{LABELS}replicatedjob-name": "node"})
    found = see(owner, made, orphan)
    assert (found.kind, roles(found)) == ("TrainJob", {"a": "node"})


def test_pods_whose_job_set_may_not_be_read_are_together_under_its_name() -> None:
    world = World(project())
    world.mirror.reads(("jobset.x-k8s.io", "JobSet"), Reading.FORBIDDEN)
    world.mirror.reads(("batch", "Job"), Reading.FORBIDDEN)
    made = job_set()
    _, *pods = pods_of(made, "node", 2)
    world.show(*pods)
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.identity, found.identity_source) == ("JobSet", "muster-demo/train", "label")
    assert [size for size, _ in gangs(found).values()] == [2]


def test_a_train_job_that_may_not_be_read_is_known_from_its_job_set() -> None:
    owner, made = of_train_job()
    world = World(project())
    world.mirror.reads(("trainer.kubeflow.org", "TrainJob"), Reading.FORBIDDEN)
    world.show(made, *pods_of(made, "node", 2))
    found = world.mirror.seen_workload(UUID(owner["metadata"]["uid"]))
    assert found is not None
    assert (found.kind, found.identity, len(found.pods)) == ("TrainJob", uid("TrainJob/train"), 2)
    assert gangs(found) == {"train-node": (2, {})}
