"""What is said of one workload, put together from its object and its pods.

Once the object itself is gone and pods of it remain, the journal remembers what it was; then all that is new is that
it is being deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Pod
from muster_contracts import names
from muster_contracts.phases import PriorityClass, WorkloadClass
from muster_contracts.subjects import derived_id
from muster_contracts.values import Controls, ObjectRef, OwnerFacts, PodFacts, Resources

from muster_integrations.core.fold import FoldedWorkload, Submission
from muster_integrations.core.seen import IdentitySource, SeenGroup, SeenWorkload
from muster_integrations.recognition.amounts import template_resources, total
from muster_integrations.recognition.jobs import GANG
from muster_integrations.recognition.kinds import Grouping, Handle, Kind, each_alone
from muster_integrations.recognition.owners import Root
from muster_integrations.recognition.pod_facts import UNKNOWN_MOMENT, requests_of, to_uuid
from muster_integrations.recognition.pods import POD, unknown

MakeFacts = Callable[[Pod, UUID, str], PodFacts]
"""Gives the facts of a pod, as a member of a group in a role. The mirror keeps those it made."""

_PRIORITIES: Final = frozenset(PriorityClass)

OBJECT: Final = "object"
"""The attribute that says that a workload is known from its pods' references alone: `unread`."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a workload is made of. `submission` is there when Muster's own label on the object is believed."""

    workload_id: UUID
    root: Root
    pods: Sequence[Pod]
    project: str
    submission: Submission | None
    folded: FoldedWorkload | None


def describe(subject: Subject, make_facts: MakeFacts) -> SeenWorkload:
    """Return all that is seen of a workload."""
    root, folded = subject.root, subject.folded
    if root.item is None and root.kind.resource is not None:
        if folded is not None and folded.discovered is not None and OBJECT not in folded.discovered.attributes:
            return _remnant(subject, folded, make_facts)
        # Its watch may lag behind that of its pods: what was never seen cannot be said to be going away.
        return _describe(subject, unknown(root.kind.group, root.kind.name), make_facts, {OBJECT: "unread"})
    return _describe(subject, root.kind, make_facts, {})


@lru_cache(maxsize=100_000)
def group_id(workload_id: UUID, key: str) -> UUID:
    """Return the id of one of a workload's pod groups. Kept: a change of one pod asks for those of all."""
    return derived_id("pod-group", str(workload_id), key)


def _describe(subject: Subject, kind: Kind, make_facts: MakeFacts, attributes: Mapping[str, str]) -> SeenWorkload:
    root, submission = subject.root, subject.submission
    owner = kind.owner(root.item, subject.pods)
    groupings = kind.groups(root.item, root.name, subject.pods)
    return SeenWorkload(
        workload_id=subject.workload_id,
        kind=root.kind.name,
        api_version=root.api_version,
        workload_class=WorkloadClass.NATIVE if submission else WorkloadClass.KUBERNETES,
        name=submission.name if submission else root.name,
        namespace=root.namespace,
        project=subject.project,
        object_id=to_uuid(root.uid),
        identity_source=_source(subject),
        parent=root.parent,
        attributes=attributes,
        owner=owner,
        controls=_controls(subject, kind),
        supports=root.kind.supports,
        requests=_requests(subject, kind, owner),
        created_at=_created_at(subject),
        groups={seen.pod_group_id: seen for seen in (_group(subject, grouping) for grouping in groupings)},
        pods=_pods(subject, kind, groupings, make_facts),
    )


def _source(subject: Subject) -> IdentitySource:
    if subject.submission:
        return "label"
    return "pod" if subject.root.kind is POD else "owner"


def _controls(subject: Subject, kind: Kind) -> Controls:
    root, folded = subject.root, subject.folded
    if root.item is None or kind.resource is None:
        return Controls(reason=f"Muster does not know how to control a {root.kind.name}.")
    reference = ObjectRef(
        api_version=root.api_version,
        kind=kind.name,
        resource=kind.resource.plural,
        namespace=root.namespace,
        name=root.name,
        uid=to_uuid(root.uid),
    )
    remembered = folded.discovered.controls if folded and folded.discovered else Controls()
    return kind.controls(root.item, Handle(reference, root.item.metadata.resource_version), remembered)


def _requests(subject: Subject, kind: Kind, owner: OwnerFacts) -> Resources:
    template = kind.template(subject.root.item)
    if template is None or kind is POD:
        return total(requests_of(pod) for pod in subject.pods)
    return template_resources(template, owner.desired_pods)


def _created_at(subject: Subject) -> datetime:
    item = subject.root.item
    moments = [item.metadata] if item is not None else [pod.metadata for pod in subject.pods]
    return min((m.creation_timestamp for m in moments if m.creation_timestamp), default=UNKNOWN_MOMENT)


def _group(subject: Subject, grouping: Grouping) -> SeenGroup:
    item = subject.root.item
    described = [*([item.metadata] if item is not None else []), *(pod.metadata for pod in grouping.pods[:1])]
    submission = subject.submission
    return SeenGroup(
        pod_group_id=group_id(subject.workload_id, grouping.key),
        name=grouping.name,
        min_members=grouping.min_members,
        sub_groups=grouping.sub_groups,
        priority_class=submission.priority_class if submission else _priority(described, grouping.pods[:1]),
        node_pools=submission.node_pools if submission else _node_pools(described),
    )


def _priority(described: Sequence[Metadata], pods: Sequence[Pod]) -> str:
    written = [m.labels[name] for m in described for name in names.PRIORITY_LABELS if name in m.labels]
    written += [pod.spec.priority_class_name for pod in pods]
    return next((name for name in written if name in _PRIORITIES), PriorityClass.TRAIN)


def _node_pools(described: Sequence[Metadata]) -> tuple[str, ...]:
    return tuple(m.labels[names.NODE_POOL] for m in described if names.NODE_POOL in m.labels)[:1]


def _pods(subject: Subject, kind: Kind, groupings: Sequence[Grouping], make_facts: MakeFacts) -> dict[UUID, PodFacts]:
    facts = [
        make_facts(pod, identity, kind.role(pod))
        for grouping in groupings
        for identity in [group_id(subject.workload_id, grouping.key)]
        for pod in grouping.pods
    ]
    return {one.pod_id: one for one in facts}


def _remnant(subject: Subject, folded: FoldedWorkload, make_facts: MakeFacts) -> SeenWorkload:
    """Say of a workload whose object is gone what the journal says, and of its pods what they show."""
    known = folded.discovered
    assert known is not None, "only what was discovered is remembered"
    pods: dict[UUID, PodFacts] = {}
    groups: dict[UUID, SeenGroup] = {}
    for pod in subject.pods:
        before = folded.pods.get(to_uuid(pod.metadata.uid))
        group = _group(subject, each_alone(None, "", [pod])[0])
        home = (before and before.pod_group_id) or group.pod_group_id
        facts = make_facts(pod, home, before.role if before else subject.root.kind.role(pod))
        pods[facts.pod_id] = facts
        groups[home] = _folded_group(folded, home) or group
    gang = _folded_group(folded, group_id(subject.workload_id, GANG))
    if gang is not None:
        groups[gang.pod_group_id] = gang
    return SeenWorkload(
        workload_id=known.workload_id,
        kind=known.kind,
        api_version=known.api_version,
        workload_class=known.workload_class,
        name=known.name,
        namespace=known.namespace,
        project=known.project,
        object_id=known.object_id,
        identity_source=known.identity_source,
        parent=known.parent,
        attributes=known.attributes,
        owner=known.owner.model_copy(update={"deleting": True}),
        controls=known.controls,
        supports=known.supports,
        requests=known.requests,
        created_at=known.created_at,
        groups=groups,
        pods=pods,
    )


def _folded_group(folded: FoldedWorkload, pod_group_id: UUID) -> SeenGroup | None:
    known = folded.groups.get(pod_group_id)
    if known is None:
        return None
    return SeenGroup(
        pod_group_id=pod_group_id,
        name=known.name,
        min_members=known.min_members,
        sub_groups=known.sub_groups,
        priority_class=known.priority_class,
        node_pools=known.node_pools,
    )
