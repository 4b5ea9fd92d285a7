"""What is said of one workload, put together from its object, its parts and its pods.

Once the object itself is gone and pods of it remain, the journal remembers what it was; then all that is new is that
it is being deleted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod
from muster_contracts import names
from muster_contracts.phases import PriorityClass, WorkloadClass
from muster_contracts.subjects import derived_id
from muster_contracts.values import Controls, ObjectRef, OwnerFacts, ParentRef, PodFacts, Resources

from muster_integrations.core.fold import FoldedWorkload, Submission
from muster_integrations.core.seen import SAID, IdentitySource, SeenGroup, SeenWorkload
from muster_integrations.recognition.amounts import counting_gpus, times, total
from muster_integrations.recognition.kinds import Grouping, Handle, Kind, Known, Members, Sight, each_alone
from muster_integrations.recognition.nearness import nearness_of
from muster_integrations.recognition.pod_facts import (
    UNKNOWN_MOMENT,
    Membership,
    has_ended,
    requests_of,
    template_requests,
    to_uuid,
)
from muster_integrations.recognition.pods import unknown
from muster_integrations.recognition.resolution import Root
from muster_integrations.recognition.table import ATTRIBUTES, MAKERS, PARENTS, VARIANTS

MakeFacts = Callable[[Pod, Membership], PodFacts]
"""Gives the facts of a pod. The mirror keeps those it made."""

_PRIORITIES: Final = frozenset(PriorityClass)

OBJECT: Final = "object"
"""The attribute that says that the object of a workload was not read, only its pods. Its value: `unread`."""

CONFLICT: Final = "conflict"
"""The attribute that names the controllers of an object that has more than one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a workload is made of. `submission` is there when Muster's own label on the object is believed.

    `reads`: objects of the root's kind are read, so that one that is not there is late, or gone. `attempt` is 0 when
    the root is not this workload: its own object is gone, and what is left of it leads elsewhere. `first_attempt_id` is
    the first attempt's. `gone` are pods that are not there any more, of which that is not written yet.
    """

    workload_id: UUID
    root: Root
    pods: Sequence[Pod]
    parts: Sequence[Known]
    project: str
    submission: Submission | None
    folded: FoldedWorkload | None
    gone: Sequence[Pod] = ()
    reads: bool = True
    conflict: str = ""
    attempt: int = 1
    first_attempt_id: UUID | None = None


def describe(subject: Subject, make_facts: MakeFacts) -> SeenWorkload:
    """Return all that is seen of a workload."""
    root, folded = subject.root, subject.folded
    was_read = folded is not None and folded.discovered is not None and OBJECT not in folded.discovered.attributes
    if subject.attempt and (root.item is not None or root.key or (not subject.reads and not was_read)):
        return _describe(subject, root.kind, make_facts)
    if folded is not None and was_read:
        return _remnant(subject, folded, make_facts)
    # Its watch may lag behind that of its pods: what was never seen cannot be said to be going away.
    return _describe(subject, _late(root.kind), make_facts)


def _late(kind: Kind) -> Kind:
    """Return what can be said of an object that is not seen yet: of what is told once, what is true of its kind."""
    return replace(unknown(kind.group, kind.name), workload_class=kind.workload_class, priority=kind.priority)


@lru_cache(maxsize=100_000)
def group_id(workload_id: UUID, key: str) -> UUID:
    """Return the id of one of a workload's pod groups. Kept: a change of one pod asks for those of all."""
    return derived_id("pod-group", str(workload_id), key)


def _describe(subject: Subject, kind: Kind, make_facts: MakeFacts) -> SeenWorkload:
    root, submission, folded = subject.root, subject.submission, subject.folded
    remembered = folded.discovered.attributes if folded and folded.discovered else {}
    sight = Sight(root.item, root.name, root.namespace, subject.pods, subject.parts, remembered, subject.gone)
    varied = next((found for rule in VARIANTS if (found := rule(kind, sight)) is not None), None)
    kind = varied or kind
    members = kind.members(sight)
    groupings = kind.groups(sight)
    return SeenWorkload(
        workload_id=subject.workload_id,
        kind=kind.name,
        api_version=root.api_version,
        workload_class=WorkloadClass.NATIVE if submission else kind.workload_class,
        name=submission.name if submission else root.name,
        namespace=root.namespace,
        project=subject.project,
        object_id=to_uuid(root.uid) if root.uid else None,
        identity=root.identity,
        identity_source=_source(subject, varied is not None),
        parent=_parent(root, subject.pods),
        attributes=_attributes(subject, kind, sight),
        owner=_sized(kind.owner(sight), members, subject.pods),
        controls=_controls(subject, kind, sight),
        supports=(varied or root.kind).supports,
        requests=counting_gpus(_requests(kind, sight, members), kind.gpu_names(sight)),
        created_at=_created_at(subject),
        groups={seen.pod_group_id: seen for seen in (_group(subject, kind, sight, one, members) for one in groupings)},
        pods=_pods(subject, kind, sight, groupings, make_facts),
    )


def _source(subject: Subject, varied: bool) -> IdentitySource:
    if subject.submission:
        return "label"
    return "env" if varied else subject.root.source


def _parent(root: Root, pods: Sequence[Pod]) -> ParentRef | None:
    """Return the parent that owns the object, else the one that labels name: of the object, then of its pods.

    An owner that could not be read leaves the word to a label that names what made it.
    """
    maker = MAKERS.get(root.parent.kind) if root.parent is not None else None
    if root.parent is not None and maker is None:
        return root.parent
    described = [*([root.item.metadata] if root.item is not None else []), *(pod.metadata for pod in pods)]
    named = (rule(metadata) for metadata in described for rule in PARENTS)
    return next(
        (
            parent
            for parent in named
            if parent and maker in {None, parent.kind} and (parent.kind, parent.name) != (root.kind.name, root.name)
        ),
        root.parent,
    )


def _attributes(subject: Subject, kind: Kind, sight: Sight) -> Mapping[str, str]:
    found = {name: value for rule in ATTRIBUTES for name, value in rule(sight).items()} | dict(kind.attributes(sight))
    if subject.root.item is None and subject.root.uid:
        found[OBJECT] = "unread"
    if subject.conflict:
        found[CONFLICT] = subject.conflict
    if subject.attempt > 1:
        found["attempt"] = str(subject.attempt)
        found["first_attempt"] = str(subject.first_attempt_id)
    return dict(sorted(found.items()))


def _sized(owner: OwnerFacts, members: tuple[Members, ...] | None, pods: Sequence[Pod]) -> OwnerFacts:
    """Add how many pods there should be; as many as there are when the object does not say."""
    if members is None:
        desired = sum(1 for pod in pods if not has_ended(pod)) or len(pods)
        return owner.model_copy(update={"desired_pods": desired, "min_pods": min(1, desired)})
    desired, enough = sum(m.count for m in members), sum(m.minimum for m in members)
    return owner.model_copy(update={"desired_pods": desired, "min_pods": min(enough, desired)})


def _controls(subject: Subject, kind: Kind, sight: Sight) -> Controls:
    root, folded = subject.root, subject.folded
    remembered = folded.discovered.controls if folded and folded.discovered else Controls()
    controls = kind.controls(sight, _handle(subject), remembered)
    if controls != Controls():
        return controls
    if root.kind.watch is not None:
        return Controls(reason=f"The {root.kind.name} {root.name} cannot be read, so that it cannot be controlled.")
    return Controls(reason=f"Muster does not know how to control objects of the kind {root.kind.name}.")


def _handle(subject: Subject) -> Handle | None:
    root = subject.root
    if root.item is None or root.kind.watch is None:
        return None
    reference = ObjectRef(
        api_version=root.api_version,
        kind=root.kind.name,
        resource=root.kind.watch.plural,
        namespace=root.namespace,
        name=root.name,
        uid=to_uuid(root.uid),
    )
    return Handle(reference, root.item.metadata.resource_version)


def _requests(kind: Kind, sight: Sight, members: tuple[Members, ...] | None) -> Resources:
    """Return what the templates ask for, and what the pods do of which no template is known."""
    known = [m for m in members or () if m.spec is not None]
    asked = [times(template_requests(m.spec, m.annotations), m.count) for m in known if m.spec is not None]
    if members is not None and len(known) == len(members):
        return total(asked)
    told = {m.role for m in known}
    untold = (pod for pod in sight.pods if not has_ended(pod) and kind.role(pod, sight) not in told)
    return total([*asked, *map(requests_of, untold)])


def _created_at(subject: Subject) -> datetime:
    item = subject.root.item
    members = (one.metadata for some in (subject.pods, subject.parts) for one in some)
    moments = [item.metadata] if item is not None else members
    return min((m.creation_timestamp for m in moments if m.creation_timestamp), default=UNKNOWN_MOMENT)


def _group(
    subject: Subject, kind: Kind, sight: Sight, grouping: Grouping, members: Sequence[Members] | None = None
) -> SeenGroup:
    owner = [subject.root.item.metadata] if subject.root.item is not None else []
    described = [*owner, *(pod.metadata for pod in grouping.pods[:1])]
    by_role = _annotations_by_role(kind, sight, grouping, members or ())
    topology, sub_groups = nearness_of(grouping.sub_groups, [one.annotations for one in owner], by_role)
    submission = subject.submission
    return SeenGroup(
        pod_group_id=group_id(subject.workload_id, grouping.key),
        name=grouping.name,
        min_members=grouping.min_members,
        sub_groups=sub_groups,
        priority_class=submission.priority_class if submission else _priority(kind, described, grouping.pods[:1]),
        node_pools=submission.node_pools if submission else _node_pools(described),
        topology=topology,
    )


def _annotations_by_role(
    kind: Kind, sight: Sight, grouping: Grouping, members: Sequence[Members]
) -> dict[str, list[Mapping[str, str]]]:
    """Return what stands on the template, then on the first pod, of each role in a group; of one without pods, all."""
    first: dict[str, Mapping[str, str]] = {}
    for pod in grouping.pods:
        first.setdefault(kind.role(pod, sight), pod.metadata.annotations)
    templates = {one.role: one.annotations for one in members}
    roles = dict.fromkeys((*(part.name for part in grouping.sub_groups), *first)) or templates
    return {role: [found[role] for found in (templates, first) if role in found] for role in roles}


def _priority(kind: Kind, described: Sequence[Metadata], pods: Sequence[Pod]) -> str:
    written = [m.labels[name] for m in described for name in names.PRIORITY_LABELS if name in m.labels]
    written += [pod.spec.priority_class_name for pod in pods]
    return next((name for name in written if name in _PRIORITIES), kind.priority)


def _node_pools(described: Sequence[Metadata]) -> tuple[str, ...]:
    return tuple(m.labels[names.NODE_POOL] for m in described if names.NODE_POOL in m.labels)[:1]


def _pods(
    subject: Subject, kind: Kind, sight: Sight, groupings: Sequence[Grouping], make_facts: MakeFacts
) -> dict[UUID, PodFacts]:
    gpu_names = kind.gpu_names(sight)
    facts = [
        make_facts(pod, membership)
        for grouping in groupings
        for pod, membership in _memberships(subject, kind, sight, grouping, gpu_names)
    ]
    return {one.pod_id: one for one in facts}


def _memberships(
    subject: Subject, kind: Kind, sight: Sight, grouping: Grouping, gpu_names: frozenset[str]
) -> Iterator[tuple[Pod, Membership]]:
    identity = group_id(subject.workload_id, grouping.key)
    parts = {part.name for part in grouping.sub_groups}
    for pod in grouping.pods:
        role = kind.role(pod, sight)
        part = role if role in parts else ""
        yield pod, Membership(identity, role, part, kind.main_containers(pod), gpu_names)


def _remnant(subject: Subject, folded: FoldedWorkload, make_facts: MakeFacts) -> SeenWorkload:
    """Say of a workload whose object is gone, or hidden, what the journal says, and of its pods what they show."""
    known = folded.discovered
    assert known is not None, "only what was discovered is remembered"
    kind = subject.root.kind
    sight = Sight(None, subject.root.name, subject.root.namespace, subject.pods, subject.parts)
    pods: dict[UUID, PodFacts] = {}
    groups = {identity: _folded_group(folded, identity) for identity in folded.groups}
    for pod in subject.pods:
        before = folded.pods.get(to_uuid(pod.metadata.uid))
        group = _group(subject, kind, sight, each_alone(Sight(None, "", "", [pod]))[0])
        home = (before and before.pod_group_id) or group.pod_group_id
        role, part = (before.role, before.sub_group) if before else (kind.role(pod, sight), "")
        facts = make_facts(pod, Membership(home, role, part, kind.main_containers(pod), kind.gpu_names(sight)))
        pods[facts.pod_id] = facts
        groups.setdefault(home, group)
    said = {name: getattr(known, name) for name in SAID}
    if subject.reads:
        said["owner"] = known.owner.model_copy(update={"deleting": True})
    return SeenWorkload(**said, groups=groups, pods=pods)


def _folded_group(folded: FoldedWorkload, pod_group_id: UUID) -> SeenGroup:
    known = folded.groups[pod_group_id]
    return SeenGroup(
        pod_group_id=pod_group_id,
        name=known.name,
        min_members=known.min_members,
        sub_groups=known.sub_groups,
        priority_class=known.priority_class,
        node_pools=known.node_pools,
        topology=known.topology,
    )
