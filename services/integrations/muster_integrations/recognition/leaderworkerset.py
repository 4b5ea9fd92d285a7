"""LeaderWorkerSet: copies of a small group of pods, one leader and its workers, that serve one model together.

Every copy is a gang of its own, told apart by its index, which also stays when the copy is made anew. The leaders are
the pods of one StatefulSet; the workers of a copy are those of another, which its leader owns. Where workers wait for
their leader to be ready, the leader starts alone, for a gang that waited for them would wait for ever.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from muster_cluster.objects import Pod
from muster_contracts.values import OwnerFacts, SubGroup, Supports

from muster_integrations.recognition.controls import by_replicas
from muster_integrations.recognition.fields import Raw, how_many, mapping, number, pod_spec, text, texts
from muster_integrations.recognition.kinds import (
    Claim,
    Grouping,
    Kind,
    Members,
    Sight,
    System,
    Watch,
    each_alone,
)
from muster_integrations.recognition.replicas import STATEFUL_SET

_LABELS: Final = "leaderworkerset.sigs.k8s.io/"
_GROUP_INDEX: Final = f"{_LABELS}group-index"
_WORKER_INDEX: Final = f"{_LABELS}worker-index"
_MOST_GROUPS: Final = 1000
"""More copies than this get their group when their pods come: a slip of the pen must not make a million groups."""


def owner(sight: Sight) -> OwnerFacts:
    """Return what a LeaderWorkerSet says of itself."""
    return OwnerFacts(suspended=number(sight.spec, "replicas") == 0, deleting=sight.deleting, serving=True)


def members(sight: Sight) -> tuple[Members, ...] | None:
    """Return the leaders, one per copy, and the workers of all copies."""
    if sight.item is None:
        return None
    template, copies = mapping(sight.spec, "leaderWorkerTemplate"), how_many(sight.spec, "replicas")
    made_as = "leaderTemplate" if mapping(template, "leaderTemplate") else "workerTemplate"
    leaders = _members("leader", copies, mapping(template, made_as))
    workers = _members("worker", copies * (_size(sight) - 1), mapping(template, "workerTemplate"))
    return (leaders, workers) if workers.count else (leaders,)


def groups(sight: Sight) -> Sequence[Grouping]:
    """Return a gang per copy; pods that do not say which copy is theirs are alone."""
    expected = min(how_many(sight.spec, "replicas"), _MOST_GROUPS) if sight.item is not None else 0
    copies: dict[str, list[Pod]] = {str(index): [] for index in range(expected)}
    strays: list[Pod] = []
    for pod in sight.pods:
        index = pod.metadata.labels.get(_GROUP_INDEX, "")
        (copies.setdefault(index, []) if index else strays).append(pod)
    return [
        *(_copy(sight, index, pods) for index, pods in copies.items()),
        *each_alone(replace(sight, pods=strays)),
    ]


def role(pod: Pod, _sight: Sight) -> str:
    """Call the first pod of a copy its leader."""
    return "leader" if pod.metadata.labels.get(_WORKER_INDEX, "0") == "0" else "worker"


def by_label(pod: Pod) -> Claim | None:
    """Know a pod by the name of its set."""
    name = pod.metadata.labels.get(f"{_LABELS}name", "")
    return Claim(LEADER_WORKER_SET, "leaderworkerset.x-k8s.io/v1", name, object_name=name) if name else None


def _members(role: str, count: int, template: Raw) -> Members:
    return Members(role, count, count, pod_spec(template, "spec"), texts(template, "metadata", "annotations"))


def _copy(sight: Sight, index: str, pods: Sequence[Pod]) -> Grouping:
    leader, workers = SubGroup(name="leader", min_members=1), _workers_at_once(sight, pods)
    parts = (leader, SubGroup(name="worker", min_members=workers)) if workers else (leader,)
    return Grouping(f"group-{index}", f"{sight.name}-{index}", 1 + workers, pods, parts)


def _workers_at_once(sight: Sight, pods: Sequence[Pod]) -> int:
    """Return how many workers start with the leader: none while they still wait for it to be ready."""
    there = sum(1 for pod in pods if role(pod, sight) == "worker")
    if sight.item is None:
        return there
    waiting = text(sight.spec, "startupPolicy") == "LeaderReady" and not there
    return 0 if waiting else _size(sight) - 1


def _size(sight: Sight) -> int:
    """Return how many pods a copy has: its leader and its workers."""
    return max(1, how_many(sight.spec, "leaderWorkerTemplate", "size"))


LEADER_WORKER_SET = Kind(
    group="leaderworkerset.x-k8s.io",
    name="LeaderWorkerSet",
    watch=Watch("leaderworkersets"),
    absorbs=frozenset({STATEFUL_SET.key}),
    supports=Supports(stop=True, activate=True, delete=True),
    owner=owner,
    members=members,
    groups=groups,
    role=role,
    controls=by_replicas(lambda item: how_many(item.spec, "replicas")),
)

SYSTEM = System(kinds=(LEADER_WORKER_SET,), by_label=(by_label,))
