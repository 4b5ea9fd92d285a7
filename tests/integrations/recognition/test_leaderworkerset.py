"""LeaderWorkerSets: leaders and workers of one workload, one gang per copy, and how they stop."""

from typing import Any
from uuid import UUID

import pytest
from integrations.kube import World, gangs, manifest, pod, project, roles, see, template, uid
from muster_cluster.objects import STATEFUL_SETS
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import written_resources

RESOURCES = {resource.kind: resource for resource in written_resources()}
LABELS = "leaderworkerset.sigs.k8s.io/"


def lws(replicas: Any = 2, size: Any = 3, **parts: Any) -> dict[str, Any]:
    group = {"size": size, "workerTemplate": template(gpus=2), "leaderTemplate": template(gpus=1)}
    spec = {"replicas": replicas, "leaderWorkerTemplate": group} | parts.pop("spec", {})
    return manifest(RESOURCES["LeaderWorkerSet"], "llm", spec=spec, **parts)


def copy(owner: dict[str, Any], index: int, workers: int = 2) -> list[dict[str, Any]]:
    """The leader of a copy, the StatefulSet that it owns, and the workers of that."""
    named = {f"{LABELS}name": "llm", f"{LABELS}group-index": str(index)}
    leaders = manifest(STATEFUL_SETS, "llm", owner=owner, spec={"replicas": 2, "template": template()})
    leader = pod(f"llm-{index}", owner=leaders, labels=named | {f"{LABELS}worker-index": "0"})
    followers = manifest(STATEFUL_SETS, f"llm-{index}", owner=leader, spec={"replicas": 2, "template": template()})
    return [
        *([leaders] if index == 0 else []),
        leader,
        followers,
        *(
            pod(f"llm-{index}-{number}", owner=followers, labels=named | {f"{LABELS}worker-index": str(number)})
            for number in range(1, workers + 1)
        ),
    ]


def test_leaders_and_workers_belong_to_one_workload() -> None:
    owner = lws()
    found = see(owner, *copy(owner, 0), *copy(owner, 1))
    assert (found.kind, found.identity) == ("LeaderWorkerSet", uid("LeaderWorkerSet/llm"))
    assert roles(found) == {
        "llm-0": "leader",
        "llm-0-1": "worker",
        "llm-0-2": "worker",
        "llm-1": "leader",
        "llm-1-1": "worker",
        "llm-1-2": "worker",
    }
    assert (found.owner.serving, found.owner.desired_pods) == (True, 6)
    assert found.requests.gpu_millionths == (2 * 1 + 4 * 2) * 1_000_000


def test_every_copy_is_a_gang_that_is_there_before_its_pods() -> None:
    owner = lws()
    parts = {"leader": 1, "worker": 2}
    empty, full = see(owner), see(owner, *copy(owner, 0), *copy(owner, 1))
    assert gangs(empty) == gangs(full) == {"llm-0": (3, parts), "llm-1": (3, parts)}
    assert list(empty.groups) == list(full.groups)
    names = {identity: group.name for identity, group in full.groups.items()}
    assert all(facts.name.startswith(names[facts.pod_group_id]) for facts in full.pods.values() if facts.pod_group_id)


def test_a_leader_starts_alone_where_its_workers_wait_for_it() -> None:
    owner = lws(1, spec={"startupPolicy": "LeaderReady"})
    assert gangs(see(owner, *copy(owner, 0, workers=0))) == {"llm-0": (1, {"leader": 1})}
    assert gangs(see(owner, *copy(owner, 0))) == {"llm-0": (3, {"leader": 1, "worker": 2})}


def test_without_a_template_of_their_own_leaders_are_made_as_workers() -> None:
    group = {"size": 2, "workerTemplate": template(gpus=2)}
    assert see(lws(1, spec={"leaderWorkerTemplate": group})).requests.gpu_millionths == 4_000_000


@pytest.mark.parametrize(
    ("replicas", "size", "desired", "copies"),
    [(0, 3, 0, 0), (2, 1, 2, 2), (None, None, 1, 1), ("2", "3", 1, 1), (-1, 0, 1, 1), (10**9, 2, 2 * 10**9, 1000)],
)
def test_sizes_may_be_odd(replicas: Any, size: Any, desired: int, copies: int) -> None:
    found = see(lws(replicas, size))
    assert (found.owner.desired_pods, len(found.groups)) == (desired, copies)


def test_a_copy_too_many_keeps_its_group_until_its_pods_are_gone() -> None:
    owner = lws(1)
    found = see(owner, *copy(owner, 0), *copy(owner, 1))
    assert sorted(gangs(found)) == ["llm-0", "llm-1"]
    assert found.owner.desired_pods == 3


def test_a_pod_that_does_not_say_its_copy_is_alone() -> None:
    owner = lws(1)
    objects = copy(owner, 0)
    found = see(owner, *objects, pod("odd", owner=objects[0]))
    assert gangs(found)["odd"] == (1, {})


def test_it_stops_at_zero_copies_and_finds_its_size_again() -> None:
    large, small = lws(3), lws(0, version=2)
    world = World(project())
    world.show(large)
    world.write()
    world.step(large, small)
    world.write()
    found = world.mirror.seen_workload(UUID(uid("LeaderWorkerSet/llm")))
    assert found is not None
    assert found.owner.suspended
    assert [patch.body for patch in found.controls.stop] == [{"spec": {"replicas": 0}}]
    assert [patch.body for patch in found.controls.activate] == [{"spec": {"replicas": 3}}]


@pytest.mark.parametrize("spec", [None, "no", [], {"leaderWorkerTemplate": "none"}])
def test_a_set_in_an_odd_shape_is_a_workload(spec: Any) -> None:
    owner = manifest(RESOURCES["LeaderWorkerSet"], "llm", spec=spec)
    assert see(owner, *copy(owner, 0)).kind == "LeaderWorkerSet"


def test_pods_that_nobody_owns_are_known_by_the_name_of_their_set() -> None:
    world = World(project())
    world.mirror.reads(("leaderworkerset.x-k8s.io", "LeaderWorkerSet"), Reading.FORBIDDEN)
    pods = [one for one in copy(lws(), 0) if one["kind"] == "Pod"]
    for one in pods:
        one["metadata"].pop("ownerReferences")
    world.show(*pods)
    (workload_id,) = world.mirror.workload_ids
    found = world.mirror.seen_workload(workload_id)
    assert found is not None
    assert (found.kind, found.identity, found.identity_source) == ("LeaderWorkerSet", "muster-demo/llm", "label")
    assert gangs(found) == {"llm-0": (3, {"leader": 1, "worker": 2})}
