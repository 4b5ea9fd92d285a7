"""The same objects end in the same workloads, in whatever order, how often and how late the watches tell of them.

Every kind is told in its own order, as a reflector does; among each other the kinds, the journal, the writing and the
restarts come as hypothesis likes.
"""

from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from integrations.arrival import Lives, Manifest, actions_of, outcome, tell
from integrations.golden_files import files_of_a_cluster
from integrations.kube import manifest, pod, pod_spec, project, recorded, running, submission, template, uid
from muster_cluster.objects import DEPLOYMENTS, JOBS, NODES, REPLICA_SETS, STATEFUL_SETS
from muster_contracts import names
from muster_integrations.recognition.kinds import group_of
from muster_integrations.recognition.table import TABLE, written_resources

NATIVE = UUID(uid("a submission"))
LIE = UUID(uid("a lie"))
OWN_LABEL = {names.WORKLOAD_ID: str(NATIVE)}


def replicated(resource: Any, name: str, replicas: int, **parts: Any) -> Manifest:
    return manifest(resource, name, spec={"replicas": replicas, "template": template(gpus=1)}, **parts)


def lives() -> Lives:
    """Per kind, the life of each object: its states one after another, None when it is gone."""
    web = [replicated(DEPLOYMENTS, "web", size, version=size) for size in (2, 3)]
    doomed = replicated(DEPLOYMENTS, "doomed", 1)
    old, new = (replicated(REPLICA_SETS, f"web-{n}", 1, owner=web[0]) for n in (1, 2))
    of_doomed = replicated(REPLICA_SETS, "doomed-1", 1, owner=doomed)
    gang = manifest(JOBS, "gang", spec={"parallelism": 2}, annotations={names.MIN_MEMBERS: "2"})
    suspended = manifest(
        JOBS, "gang", spec={"parallelism": 2, "suspend": True}, annotations={names.MIN_MEMBERS: "2"}, version=2
    )
    native = manifest(JOBS, "hello", labels=OWN_LABEL)
    liar = manifest(JOBS, "liar", labels={names.WORKLOAD_ID: str(LIE)})
    nightly = manifest(
        JOBS,
        "nightly-1",
        references=[
            {"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": uid("n"), "controller": True}
        ],
    )
    cache = replicated(STATEFUL_SETS, "cache", 1)
    rollout = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": "canary",
        "uid": uid("canary"),
        "controller": True,
    }
    return {
        "deployments": [list(web), [doomed, None]],
        "replicasets": [[old], [new], [of_doomed, None]],
        "jobs": [
            [gang, suspended, gang | {"metadata": gang["metadata"] | {"resourceVersion": "3"}}],
            [native],
            [liar],
            [nightly],
        ],
        "statefulsets": [[cache]],
        "nodes": [[manifest(NODES, "node-1", status={"allocatable": {"cpu": "8"}}, spec={})]],
        "pods": [
            [*life(pod, "web-1-a", owner=old), None],
            life(pod, "web-2-a", owner=new),
            [*life(pod, "doomed-1-a", owner=of_doomed), None],
            life(pod, "gang-a", owner=gang),
            [*life(pod, "gang-b", owner=gang), None],
            life(pod, "hello-a", owner=native, labels=OWN_LABEL),
            life(pod, "liar-a", owner=liar),
            life(pod, "nightly-1-a", owner=nightly),
            life(pod, "cache-0", owner=cache),
            life(pod, "canary-a", references=[rollout]),
            life(pod, "lonely"),
            life(pod, "dns", namespace="kube-system"),
        ],
    }


def life(make: Any, name: str, **parts: Any) -> list[Manifest]:
    return [
        make(name, version=1, **parts),
        make(name, version=2, spec=pod_spec(node="node-1"), **parts),
        make(name, version=3, spec=pod_spec(node="node-1"), status=running(), **parts),
    ]


def heard() -> list[Any]:
    return [project(), submission(NATIVE)]


EXPECTED = outcome(tell(lives(), heard(), [], (LIE,)))


def test_the_picture_is_what_it_should_be() -> None:
    workloads, nodes, homes = EXPECTED
    kinds = sorted((w[0]["kind"], w[0]["name"], len(w[2])) for w in workloads.values())
    assert kinds == [
        ("Deployment", "web", 1),
        ("Job", "gang", 1),
        ("Job", "hello", 1),
        ("Job", "liar", 1),
        ("Job", "nightly-1", 1),
        ("Pod", "lonely", 1),
        ("Rollout", "canary", 1),
        ("StatefulSet", "cache", 1),
    ]
    assert nodes["node-1"]["other_pods"] == 1
    assert len(homes) == 8


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(actions_of(lives())), max_size=60))
def test_any_order_of_arrival_ends_in_the_same_facts(actions: list[str]) -> None:
    world = tell(lives(), heard(), actions, (LIE,))
    assert outcome(world) == EXPECTED
    assert world.write_everybody() == []


# ---------------------------------------------------------------- all systems

CHAINS = (
    ("RayService", "RayCluster"),
    ("InferenceGraph", "Deployment", "ReplicaSet"),
    ("LLMInferenceService", "LeaderWorkerSet", "StatefulSet"),
    ("SparkConnect",),
    ("VirtualMachineInstanceReplicaSet", "VirtualMachineInstance"),
    ("XGBoostJob",),
    ("JAXJob",),
    ("PaddleJob",),
    ("CronWorkflow", "Workflow"),
    ("Service", "Configuration", "Revision", "Deployment", "ReplicaSet"),
    ("CronJob", "Job"),
    ("TrainJob", "JobSet", "Job"),
)
"""Owners down to a pod, of the kinds of which nothing was recorded."""
RESOURCES = {resource.kind: resource for resource in written_resources()}
RUNTIMES = ("TrainingRuntime", "ClusterTrainingRuntime")
"""What a TrainJob is made after; it owns nothing."""


def lives_of_chains() -> Lives:
    """The lives of a chain of each kind, the owners first; everything of every third is deleted in the end."""
    found: Lives = {}
    for number, kinds in enumerate(CHAINS):
        end: list[Manifest | None] = [None] if number % 3 == 0 else []
        owner: Manifest | None = None
        for kind in kinds:
            owner = manifest(RESOURCES[kind], f"chain-{number}", owner=owner, spec=spec_of(kind))
            found.setdefault(RESOURCES[kind].plural, []).append([owner, *end])
        found.setdefault("pods", []).append([*life(pod, f"chain-{number}-a", owner=owner), *end])
    for kind in RUNTIMES:
        runtime = manifest(RESOURCES[kind], "torch", spec={"template": {"spec": {"replicatedJobs": []}}})
        found[RESOURCES[kind].plural] = [[runtime]]
    return found


def spec_of(kind: str) -> dict[str, Any]:
    if kind == "TrainJob":
        return {"runtimeRef": {"kind": "TrainingRuntime", "name": "torch"}, "trainer": {"numNodes": 2}}
    return {"template": template()} if kind in {"Deployment", "ReplicaSet", "StatefulSet", "Job"} else {}


def everything(*, doomed: int = 0) -> Lives:
    """The lives of what was recorded, and of chains of all that was not."""
    recorded_ones, chains = recorded_lives(doomed=doomed), lives_of_chains()
    kinds = dict.fromkeys((*recorded_ones, *chains))
    return {kind: [*recorded_ones.get(kind, ()), *chains.get(kind, ())] for kind in kinds}


def test_every_kind_that_is_watched_is_among_everything() -> None:
    watched = {kind.watch.plural for kind in TABLE.values() if kind.watch is not None}
    assert watched == set(everything())


def recorded_lives(*, doomed: int = 0) -> Lives:
    """The lives of everything that was recorded and is watched: pods wait, are bound, and then are as recorded.

    Everything is deleted in the end of so many of three files; but for Airflow's, whose runs go on without their pods.
    """
    found: Lives = {}
    for number, path in enumerate(files_of_a_cluster()):
        end: list[Manifest | None] = [None] if number % 3 < doomed and path.parent.name != "airflow" else []
        for one in recorded(path):
            kind = TABLE.get((group_of(one.get("apiVersion", "")), one.get("kind", "")))
            if kind is not None and kind.watch is not None:
                found.setdefault(kind.watch.plural, []).append([*recorded_life(one), *end])
    return found


def recorded_life(one: Manifest) -> list[Manifest | None]:
    status, spec = one.pop("status", {}), one.pop("spec", {})
    bound = {**spec, "nodeName": "node-1"} if one["kind"] == "Pod" else spec
    return [one | {"spec": spec}, one | {"spec": bound}, one | {"spec": bound, "status": status}]


EXPECTED_OF_EVERYTHING = outcome(tell(everything(), [project()], []))
EXPECTED_OF_DOOMED = outcome(tell(everything(doomed=2), [project()], []))


def test_of_what_was_deleted_nothing_is_left() -> None:
    left, there = set(EXPECTED_OF_DOOMED[0]), set(EXPECTED_OF_EVERYTHING[0])
    assert left < there
    assert len(there - left) > 15


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(actions_of(everything())), max_size=200))
def test_objects_of_all_kinds_end_in_the_same_facts_in_any_order(actions: list[str]) -> None:
    world = tell(everything(), [project()], actions)
    assert outcome(world) == EXPECTED_OF_EVERYTHING
    assert world.write_everybody() == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(actions_of(everything())), max_size=200))
def test_what_is_deleted_is_gone_whether_its_owner_went_first_or_last(actions: list[str]) -> None:
    world = tell(everything(doomed=2), [project()], actions)
    assert outcome(world) == EXPECTED_OF_DOOMED
    assert world.write_everybody() == []
