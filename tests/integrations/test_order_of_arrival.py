"""The same objects end in the same workloads, in whatever order, how often and how late the watches tell of them.

Every kind is told in its own order, as a reflector does; among each other the kinds, the journal, the writing and the
restarts come as hypothesis likes.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from integrations.kube import World, manifest, pod, pod_spec, project, running, submission, template, uid
from muster_cluster.objects import DEPLOYMENTS, JOBS, NODES, REPLICA_SETS, STATEFUL_SETS
from muster_contracts import names
from muster_contracts.base import Event

Manifest = dict[str, Any]
NATIVE = UUID(uid("a submission"))
LIE = UUID(uid("a lie"))
OWN_LABEL = {names.WORKLOAD_ID: str(NATIVE)}


def replicated(resource: Any, name: str, replicas: int, **parts: Any) -> Manifest:
    return manifest(resource, name, spec={"replicas": replicas, "template": template(gpus=1)}, **parts)


def lives() -> dict[str, list[list[Manifest | None]]]:
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


class Feed:
    """What one reflector tells: the lives of its objects, woven into one order."""

    def __init__(self, lives_of_kind: list[list[Manifest | None]]) -> None:
        self.steps = list(self._weave(lives_of_kind))
        self.present: dict[str, Manifest] = {}

    def _weave(self, lives_of_kind: list[list[Manifest | None]]) -> Iterator[tuple[Manifest | None, Manifest | None]]:
        for index in range(max(map(len, lives_of_kind))):
            for one in lives_of_kind:
                if index < len(one):
                    yield (one[index - 1] if index else None, one[index])

    def tell(self, world: World) -> None:
        old, new = self.steps.pop(0)
        identity = (new or old or {})["metadata"]["uid"]
        if new is None:
            del self.present[identity]
        else:
            self.present[identity] = new
        world.step(old, new)

    def repeat(self, world: World) -> None:
        for present in self.present.values():
            world.step(present, present)


def restarted(world: World, feeds: dict[str, Feed]) -> World:
    again = World(*world.events)
    for feed in feeds.values():
        again.show(*feed.present.values())
    again.write_everybody()
    return again


def plain(event: Event | None) -> Any:
    return without_versions(event.model_dump(mode="json")) if event else None


def without_versions(value: Any) -> Any:
    """A value without resource versions: which of several heartbeats was the last one written may differ."""
    if isinstance(value, dict):
        return {name: without_versions(part) for name, part in value.items() if name != "resource_version"}
    return [without_versions(part) for part in value] if isinstance(value, list | tuple) else value


def without_parent(discovered: Any) -> Any:
    return {name: value for name, value in discovered.items() if name != "parent"} if discovered else None


def outcome(world: World) -> Any:
    """Everything that is said of what is still there.

    The parent is left out: it is told with the discovery alone, and who is discovered by a pod's reference, before the
    object was read, has none that anybody could know.
    """
    workloads = {
        workload_id: (
            without_parent(plain(workload.discovered)),
            {key: plain(group) for key, group in workload.groups.items()},
            {key: without_versions(facts.model_dump(mode="json")) for key, facts in workload.pods.items()},
        )
        for workload_id, workload in world.fold.workloads.items()
    }
    return workloads, {name: plain(node) for name, node in world.fold.nodes.items()}, world.fold.homes


def finish(world: World, feeds: dict[str, Feed], heard: list[Any]) -> World:
    while heard:
        world.hear(heard.pop(0))
    for feed in feeds.values():
        while feed.steps:
            feed.tell(world)
    world.mirror.doubt_is_over(LIE)
    world.give_up_owners()
    world.write_everybody()
    return world


def fresh_feeds() -> dict[str, Feed]:
    return {kind: Feed(of_kind) for kind, of_kind in lives().items()}


def reference() -> Any:
    return outcome(finish(World(), fresh_feeds(), [project(), submission(NATIVE)]))


EXPECTED = reference()
FEEDS = sorted(lives())
ACTIONS = st.sampled_from([*FEEDS, *FEEDS, "pods", "pods", "hear", "write", "repeat", "give up", "restart"])


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
@given(st.lists(ACTIONS, max_size=60))
def test_any_order_of_arrival_ends_in_the_same_facts(actions: list[str]) -> None:
    world, feeds, heard = World(), fresh_feeds(), [project(), submission(NATIVE)]
    for action in actions:
        if action in feeds:
            if feeds[action].steps:
                feeds[action].tell(world)
        elif action == "hear" and heard:
            world.hear(heard.pop(0))
        elif action == "write":
            world.write()
        elif action == "repeat":
            for feed in feeds.values():
                feed.repeat(world)
        elif action == "give up":
            world.give_up_owners()
        elif action == "restart":
            world = restarted(world, feeds)
    world = finish(world, feeds, heard)
    assert outcome(world) == EXPECTED
    assert world.write_everybody() == []
