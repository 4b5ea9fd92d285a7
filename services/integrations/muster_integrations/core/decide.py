"""Which events are missing: the differences between what the journal says and what is seen, in their order.

Whole states are compared, so it does not matter how often, in which order or after which accident somebody asks: what
is already written gives no event, and after a kill in the middle exactly the rest is decided again. The order within a
sighting is part of the contract: the workload, its pod groups, its pods, then what the owner says; the end comes last.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TypeVar

from muster_contracts.events import (
    AnyEvent,
    NodeGone,
    NodeObserved,
    OwnerObserved,
    PodGone,
    PodGroupChanged,
    PodGroupFormed,
    PodMoved,
    PodObserved,
    WorkloadDiscovered,
    WorkloadGone,
)
from muster_contracts.values import Controls, Outcome, Patch, PodFacts, PodMark, PodPhase

from muster_integrations.core.fold import FoldedWorkload
from muster_integrations.core.seen import NOTHING_KNOWN, SAID, Departures, SeenGroup, SeenWorkload

Part = TypeVar("Part", PodFacts, PodMark)
BYTES_PER_EVENT = 500_000
"""About how large an event of many pods becomes before another one is begun; the bus takes a million at most."""


def decide_workload(
    folded: FoldedWorkload, seen: SeenWorkload | None, departures: Departures = NOTHING_KNOWN
) -> list[AnyEvent]:
    """Return what has to be written of a workload; `seen` is None when neither its object nor a pod is there."""
    if seen is None:
        return list(_end(folded, departures))
    return [
        *_discovery(folded, seen),
        *_groups(folded, seen),
        *_pods_left(folded, seen.pods, departures),
        *decide_pods(folded, seen.pods.values()),
        *_groups_left(folded, seen.groups),
        *_owner(folded, seen),
    ]


def decide_pods(folded: FoldedWorkload, pods: Iterable[PodFacts]) -> list[AnyEvent]:
    """Return what has to be written of pods of a workload, of which nothing else changed."""
    changed = [
        facts
        for facts in pods
        if (known := folded.pods.get(facts.pod_id)) is not facts and (known is None or not same_pod(known, facts))
    ]
    return [PodObserved(workload_id=folded.workload_id, pods=tuple(part)) for part in _parts(changed)]


def same_pod(known: PodFacts, seen: PodFacts) -> bool:
    """Say whether nothing that matters changed. A bound pod's resource version does not: nobody binds it again."""
    if known == seen:
        return True
    return bool(seen.node) and known == seen.model_copy(update={"resource_version": known.resource_version})


def same_controls(known: Controls, seen: Controls) -> bool:
    """Say whether both do the same, whichever resource version they were made from."""
    return _unversioned(known) == _unversioned(seen)


def decide_node(folded: NodeObserved | None, seen: NodeObserved | None) -> list[AnyEvent]:
    """Return what has to be written of the node of one name; another id under the same name is another node."""
    if folded == seen:
        return []
    events: list[AnyEvent] = []
    if folded is not None and (seen is None or seen.node_id != folded.node_id):
        events.append(NodeGone(node_id=folded.node_id, name=folded.name))
    if seen is not None:
        events.append(seen)
    return events


def _discovery(folded: FoldedWorkload, seen: SeenWorkload) -> Iterator[AnyEvent]:
    if folded.discovered is None:
        yield WorkloadDiscovered(**{name: getattr(seen, name) for name in SAID})


def _groups(folded: FoldedWorkload, seen: SeenWorkload) -> Iterator[AnyEvent]:
    for group_id, group in seen.groups.items():
        known = folded.groups.get(group_id)
        if known is None:
            yield _formed(seen, group)
        elif _changing(known) != _changing(group):
            yield PodGroupChanged(
                workload_id=seen.workload_id,
                pod_group_id=group_id,
                min_members=group.min_members,
                sub_groups=group.sub_groups,
                topology=group.topology,
            )


def _changing(group: SeenGroup | PodGroupFormed) -> tuple[object, ...]:
    """Return what of a pod group may change while it is there."""
    return group.min_members, group.sub_groups, group.topology


def _formed(seen: SeenWorkload, group: SeenGroup) -> PodGroupFormed:
    return PodGroupFormed(
        workload_id=seen.workload_id,
        pod_group_id=group.pod_group_id,
        name=group.name,
        min_members=group.min_members,
        sub_groups=group.sub_groups,
        priority_class=group.priority_class,
        node_pools=group.node_pools,
        topology=group.topology,
    )


def _groups_left(folded: FoldedWorkload, present: Container[object]) -> Iterator[AnyEvent]:
    for group_id, group in folded.groups.items():
        if group_id not in present:
            yield PodGroupChanged(
                workload_id=folded.workload_id,
                pod_group_id=group_id,
                min_members=group.min_members,
                sub_groups=group.sub_groups,
                dissolved=True,
            )


def _pods_left(folded: FoldedWorkload, present: Container[object], departures: Departures) -> Iterator[AnyEvent]:
    left = [facts for pod_id, facts in folded.pods.items() if pod_id not in present]
    for facts in left:
        if (new_home := departures.moved.get(facts.pod_id)) is not None:
            yield PodMoved(
                workload_id=folded.workload_id,
                pod_id=facts.pod_id,
                new_workload_id=new_home,
                reason="Its owner turned out to be another object.",
            )
    gone = [departures.last_words.get(f.pod_id) or _mark(f) for f in left if f.pod_id not in departures.moved]
    for part in _parts(gone):
        yield PodGone(workload_id=folded.workload_id, pods=tuple(part))


def _mark(facts: PodFacts) -> PodMark:
    ended = facts.phase in {PodPhase.SUCCEEDED, PodPhase.FAILED}
    return PodMark(pod_id=facts.pod_id, name=facts.name, last_phase=facts.phase, node=facts.node, exit_seen=ended)


def _owner(folded: FoldedWorkload, seen: SeenWorkload) -> Iterator[AnyEvent]:
    known = folded.discovered
    if known is None:
        return  # the discovery carries it all
    controls = _newer_controls(folded, known.controls, seen.controls)
    attributes = None if known.attributes == seen.attributes else dict(seen.attributes)
    requests = None if known.requests == seen.requests else seen.requests
    parent = None if known.parent == seen.parent else seen.parent
    if known.owner == seen.owner and (controls, attributes, requests, parent) == (None, None, None, None):
        return
    yield OwnerObserved(
        workload_id=seen.workload_id,
        owner=seen.owner,
        controls=controls,
        attributes=attributes,
        requests=requests,
        parent=parent,
    )


def _newer_controls(folded: FoldedWorkload, known: Controls, seen: Controls) -> Controls | None:
    """Return controls worth writing. Their resource version counts only while somebody waits to use them.

    It changes with every heartbeat of the object, and a heartbeat is no event; but a stop that met a conflict waits
    for controls made from the newer version.
    """
    if known == seen or (same_controls(known, seen) and not folded.request_is_open):
        return None
    return seen


def _unversioned(controls: Controls) -> tuple[object, ...]:
    def plain(patches: Sequence[Patch]) -> list[Patch]:
        return [patch.model_copy(update={"resource_version": ""}) for patch in patches]

    return plain(controls.stop), plain(controls.activate), controls.delete, controls.reason, controls.warning


def _end(folded: FoldedWorkload, departures: Departures) -> Iterator[AnyEvent]:
    """End what was there, or what was asked to go and never came to be; anything else may still appear.

    What cannot be seen is not over when its pods are gone, unless they turned out to be another's.
    """
    if folded.is_over_before_it_was:
        yield WorkloadGone(workload_id=folded.workload_id, end_seen=True, reason=_NEVER_THERE)
    if folded.discovered is None:
        return
    yield from _pods_left(folded, (), departures)
    owner = folded.discovered.owner
    if folded.may_go_on or (departures.hidden and not departures.moved):
        yield from _groups_left(folded, ())  # the next pod may come; somebody waits how long it stays quiet
        return
    seen = departures.end_seen or folded.closed or owner.deleting or owner.outcome is not Outcome.NONE
    yield WorkloadGone(workload_id=folded.workload_id, end_seen=seen, reason="" if seen else _UNSEEN)


_UNSEEN = "It vanished while nobody was watching."
_NEVER_THERE = "Kubernetes never took its objects, so there was nothing to delete."


def _parts(pods: Sequence[Part]) -> Iterator[Sequence[Part]]:
    part: list[Part] = []
    filled = 0
    for pod in pods:
        size = _bytes_of(pod)
        if part and filled + size > BYTES_PER_EVENT:
            yield part
            part, filled = [], 0
        part.append(pod)
        filled += size
    if part:
        yield part


def _bytes_of(pod: PodFacts | PodMark) -> int:
    """Return about how many bytes a pod takes in an event; what people write at length is counted exactly."""
    if isinstance(pod, PodMark):
        return 300
    written = sum(len(container.message.encode()) for container in pod.containers)
    return 1500 + len(pod.message.encode()) + 300 * len(pod.containers) + written
