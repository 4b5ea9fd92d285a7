"""All objects that are watched, which workload each belongs to, and whom a change concerns.

`take` is told every step of every object, in the order its reflector gives them; reflectors of different kinds are in
no order among each other, so a pod may come before its owner. Every object has a *place*: a workload, or aside, with
what it waits for. A change of owners, labels, projects or submissions settles the places of the objects concerned
anew; any other change only makes their workload due for comparison. `changes` says who is due since it was last asked.

A pod whose owner is not there stays where it was, or where the journal has it, for owners are deleted before their
pods. If it was nowhere yet it waits until somebody gives the owner up; then what its reference or its labels say has
to do. A kind that nobody reads (it is not served, or we may not) is never waited for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol, TypeVar
from uuid import UUID

from muster_cluster.metadata import Metadata
from muster_cluster.objects import Node, Pod
from muster_contracts import names
from muster_contracts.events import NodeObserved, WorkloadDiscovered
from muster_contracts.subjects import derived_id
from muster_contracts.values import PodFacts, PodMark

from muster_integrations.core.decide import same_pod
from muster_integrations.core.fold import FoldedWorkload, Submission
from muster_integrations.core.seen import Departures, SeenWorkload
from muster_integrations.recognition import nodes
from muster_integrations.recognition.kinds import KindName, Known, Standing, group_of
from muster_integrations.recognition.placement import asked_labels
from muster_integrations.recognition.pod_facts import Membership, facts_of, mark_of, to_uuid
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.resolution import Name, Reading, Resolution, Root, Trail, resolve
from muster_integrations.recognition.sighting import Subject, describe
from muster_integrations.recognition.table import TABLE


class Knowledge(Protocol):
    """What has to be known beside the objects: the fold of the journal, or what stands for it offline."""

    def project_of(self, namespace: str) -> str | None:
        """Return the project whose namespace this is."""
        ...

    def airflow_unit_of(self, namespace: str) -> str:
        """Return what of Airflow is one workload there: `dag-run` or `task`."""
        ...

    def is_over(self, workload_id: UUID) -> bool:
        """Say whether a workload is gone or closed, so that what comes now is another attempt."""
        ...

    def submission_of(self, workload_id: UUID) -> Submission | None:
        """Return what an accepted submission names."""
        ...

    def home_of(self, pod_id: UUID) -> UUID | None:
        """Return the workload that a pod belongs to as far as is written."""
        ...

    def workload(self, workload_id: UUID) -> FoldedWorkload | None:
        """Return what is written of a workload."""
        ...


class Aside(StrEnum):
    """Places outside every workload: for good, until the owner appears, until a label is proved or disproved."""

    APART = "apart"
    WAITING = "waiting"
    DOUBTFUL = "doubtful"


Place = UUID | Aside
Key = TypeVar("Key")


@dataclass(slots=True)
class Changes:
    """Who is due: workloads and nodes (by name) to compare, labels to verify, objects that wait for an owner.

    `kinds` are owners' kinds that nobody reads yet.
    """

    workloads: dict[UUID, None] = field(default_factory=dict)
    nodes: dict[str, None] = field(default_factory=dict)
    doubts: dict[UUID, None] = field(default_factory=dict)
    orphans: dict[str, None] = field(default_factory=dict)
    kinds: dict[KindName, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Members:
    """The objects of one workload, by UID. `anchor` is the object that it is, while that is there."""

    anchor: str = ""
    pods: dict[str, None] = field(default_factory=dict)
    parts: dict[str, None] = field(default_factory=dict)

    @property
    def anybody(self) -> str:
        """Return an object that leads to the workload; empty when none is left."""
        return self.anchor or next(iter((*self.pods, *self.parts)), "")


@dataclass(frozen=True, slots=True)
class _Made:
    """Facts that were made from a pod, and from what; made again only when that changed."""

    pod: Pod
    membership: Membership
    asked: frozenset[str]
    facts: PodFacts


class Mirror:
    """All of it; pure, and without a clock. It is the `World` that objects are resolved in.

    `discovers`: whoever feeds it reads the kinds it asks for, so an owner of a kind nobody knows may still come.
    """

    def __init__(self, knowledge: Knowledge, *, discovers: bool = False) -> None:
        self._knowledge = knowledge
        self._discovers = discovers
        self._readings: dict[KindName, Reading] = {}
        self._names: dict[Name, str] = {}
        self._asked: dict[str, tuple[Name, ...]] = {}
        self._askers: dict[Name, dict[str, None]] = {}
        self._resolved: dict[str, Resolution] = {}
        self._objects: dict[str, Known] = {}
        self._nodes: dict[str, Node] = {}
        self._owned: dict[str, dict[str, None]] = {}
        self._in_namespace: dict[str, dict[str, None]] = {}
        self._apart_on_node: dict[str, dict[str, None]] = {}
        self._places: dict[str, Place] = {}
        self._members: dict[UUID, _Members] = {}
        self._claimants: dict[UUID, dict[str, None]] = {}
        self._unfounded: set[UUID] = set()
        self._given_up: set[str] = set()
        self._last_words: dict[UUID, dict[UUID, PodMark]] = {}
        self._end_seen: dict[UUID, bool] = {}
        self._deleted: set[str] = set()
        """UIDs of objects that were a workload until they were deleted; what shows one again comes late."""
        self._made: dict[str, _Made] = {}
        self._asked_labels: frozenset[str] = frozenset()
        self._changes = Changes()

    # ------------------------------------------------------------ what comes in

    def take(self, old: Known | None, new: Known | None, *, seen: bool = True) -> None:
        """Take one step of one object: added, changed, or gone (`seen`: we were told, and did not find out later)."""
        if new is not None:
            self._put(new)
        elif old is not None:
            self._remove(old, seen=seen)
        if old is None or new is None or _moves(old, new):
            either = new or old
            assert either is not None, "a step has an object"
            self._settle_with_owned([either.metadata.uid, *self._askers.get(_name_of(either), ())])
        else:
            self._touch(new, old)

    def take_node(self, old: Node | None, new: Node | None) -> None:
        """Take one step of a node."""
        if new is not None:
            self._nodes[new.metadata.name] = new
        elif old is not None:
            self._nodes.pop(old.metadata.name, None)
        for node in (old, new):
            if node is not None:
                self._changes.nodes[node.metadata.name] = None

    def reads(self, kind: KindName, reading: Reading) -> bool:
        """Note whether objects of a kind are seen; from now on nobody waits for those that are not.

        Return whether that is news.
        """
        if self._readings.get(kind) is reading:
            return False
        self._readings[kind] = reading
        waiting = [uid for uid, place in self._places.items() if place is Aside.WAITING]
        self._settle_with_owned(waiting)
        return True

    def namespace_changed(self, namespace: str) -> None:
        """Settle everything in a namespace anew: it became, or is no longer, a project's."""
        self._settle_with_owned(list(self._in_namespace.get(namespace, ())))

    def submission_changed(self, workload_id: UUID) -> None:
        """Settle anew whatever claims to be this workload."""
        self._settle_with_owned(list(self._claimants.pop(workload_id, ())))

    def doubt_is_over(self, workload_id: UUID) -> None:
        """Believe from here on that a label is unfounded, unless a submission of that id is known."""
        self._unfounded.add(workload_id)
        self.submission_changed(workload_id)

    def give_up_owner(self, uid: str) -> None:
        """Wait no longer for the owner of an object."""
        if self._places.get(uid) is Aside.WAITING:
            self._given_up.add(uid)
            self._settle_with_owned([uid])

    def written_gone(self, workload_id: UUID, pod_ids: Iterable[UUID]) -> None:
        """Forget how pods ended: it is written."""
        words = self._last_words.get(workload_id, {})
        for pod_id in pod_ids:
            words.pop(pod_id, None)
        if not words:
            self._last_words.pop(workload_id, None)

    def written_end(self, workload_id: UUID) -> None:
        """Forget how a workload ended: it is written."""
        self._last_words.pop(workload_id, None)
        self._end_seen.pop(workload_id, None)

    # ------------------------------------------------------------ what is asked

    def changes(self) -> Changes:
        """Return who is due since this was last asked."""
        changes, self._changes = self._changes, Changes()
        return changes

    @property
    def workload_ids(self) -> Iterator[UUID]:
        """Every workload that has an object or a pod."""
        return iter(self._members)

    @property
    def node_names(self) -> Iterator[str]:
        """Every node that is there."""
        return iter(self._nodes)

    def by_uid(self, uid: str) -> Known | None:
        """Return a live object."""
        return self._objects.get(uid)

    def by_name(self, name: Name) -> Known | None:
        """Return a live object."""
        return self._objects.get(self._names.get(name, ""))

    def finer(self, namespace: str) -> bool:
        """Say whether the project of a namespace wants smaller workloads than usual."""
        return self._knowledge.airflow_unit_of(namespace) == "task"

    def may_come(self, kind: KindName) -> bool:
        """Say whether objects of this kind are read, or will be."""
        reading = self._readings.get(kind)
        if reading is None:
            return self._discovers or (kind in TABLE and TABLE[kind].watch is not None)
        return reading is Reading.READ

    def explain(self, uid: str) -> tuple[Resolution, Trail]:
        """Return where an object belongs and how that was found."""
        trail = Trail()
        return resolve(self._objects[uid], self, trail), trail

    def place_of(self, uid: str) -> Place | None:
        """Return where an object belongs; None for one that is only a step on the way, or is not known."""
        return self._places.get(uid)

    def seen_workload(self, workload_id: UUID) -> SeenWorkload | None:
        """Return what is seen of a workload; None when neither its object nor a pod is there."""
        members = self._members.get(workload_id)
        if members is None:
            return None
        pods = self._sorted_items(members.pods)
        first = members.anchor or (pods[0].metadata.uid if pods else members.anybody)
        found = self._resolved[first]
        root = self._current(found.root)
        folded = self._knowledge.workload(workload_id)
        project = self._knowledge.project_of(root.namespace)
        if project is None and folded is not None and folded.discovered is not None:
            project = folded.discovered.project
        subject = Subject(
            workload_id,
            root,
            pods=pods,
            parts=sorted((self._objects[uid] for uid in members.parts), key=_kind_and_name),
            project=project or "",
            submission=self._believed(workload_id, root),
            folded=folded,
            reads=self.may_come(root.kind.key),
            conflict=self._conflict([first, *(pod.metadata.uid for pod in pods)]),
            attempt=self._attempt(workload_id, root),
            first_attempt_id=_attempt_id(root, 1),
        )
        return describe(subject, self._facts)

    def _conflict(self, uids: Iterable[str]) -> str:
        """Return the controllers of the first of these objects that has several, or is below one that has."""
        return next((conflict for uid in uids if (conflict := self._resolved[uid].conflict)), "")

    def _current(self, root: Root) -> Root:
        """Return the root with its object as it is now: what was resolved was an earlier state of it."""
        live = self._objects.get(root.uid)
        return replace(root, item=live.item if live is not None else None)

    def _sorted_items(self, uids: Iterable[str]) -> list[Pod]:
        return sorted((self._objects[uid].item for uid in uids), key=lambda pod: pod.metadata.key)

    def is_hidden(self, discovered: WorkloadDiscovered) -> bool:
        """Say whether we may not look at objects of its kind, so that not to see it means nothing."""
        return self._readings.get(kind_name(discovered)) is Reading.FORBIDDEN

    def departures_of(self, workload_id: UUID) -> Departures:
        """Return what is known of the pods that left a workload, and of its end."""
        folded = self._knowledge.workload(workload_id)
        homes = ((pod_id, self._places.get(str(pod_id))) for pod_id in (folded.pods if folded else ()))
        return Departures(
            moved={pod_id: home for pod_id, home in homes if isinstance(home, UUID) and home != workload_id},
            last_words=dict(self._last_words.get(workload_id, {})),
            end_seen=self._end_seen.get(workload_id, False),
        )

    def seen_node(self, name: str) -> NodeObserved | None:
        """Return what is seen of a node, with the sum of the pods on it that belong to no workload."""
        node = self._nodes.get(name)
        if node is None:
            return None
        return nodes.observed(node, (self._objects[uid].item for uid in self._apart_on_node.get(name, ())))

    # ------------------------------------------------------------ objects and their indexes

    def _put(self, new: Known) -> None:
        metadata = new.metadata
        old = self._objects.get(metadata.uid)
        if old is not None:
            self._unlink(old)
        self._objects[metadata.uid] = new
        self._names[_name_of(new)] = metadata.uid
        self._in_namespace.setdefault(metadata.namespace, {})[metadata.uid] = None
        for reference in metadata.owner_references:
            self._owned.setdefault(reference.uid, {})[metadata.uid] = None
        if new.kind is POD:
            self._heed(new.item)

    def _heed(self, pod: Pod) -> None:
        """Note which labels the rules of a pod ask for. When they are new, every pod has to show them."""
        asked = asked_labels(pod)
        if not asked <= self._asked_labels:
            self._asked_labels |= asked
            self._changes.workloads.update(dict.fromkeys(self._members))

    def _unlink(self, old: Known) -> None:
        uid = old.metadata.uid
        _discard(self._in_namespace, old.metadata.namespace, uid)
        for reference in old.metadata.owner_references:
            _discard(self._owned, reference.uid, uid)
        self._set_apart(old, apart=False)

    def _remove(self, old: Known, *, seen: bool) -> None:
        uid = old.metadata.uid
        if uid not in self._objects:
            return
        self._unlink(old)
        del self._objects[uid]
        if self._names.get(_name_of(old)) == uid:
            del self._names[_name_of(old)]
        self._given_up.discard(uid)
        self._made.pop(uid, None)
        self._forget_resolution(uid)
        if (claimed := _claimed(old.metadata)) is not None:
            _discard(self._claimants, claimed, uid)
        place = self._places.get(uid)
        if isinstance(place, UUID):
            self._end_seen[place] = seen
            if self._members[place].anchor == uid:
                self._deleted.add(uid)
            if old.kind is POD:
                self._last_words.setdefault(place, {})[to_uuid(uid)] = mark_of(old.item)

    # ------------------------------------------------------------ places

    def _settle_with_owned(self, uids: Iterable[str]) -> None:
        """Settle objects and all that belong to them, each once."""
        open_uids = list(uids)
        passed: set[str] = set()
        while open_uids:
            uid = open_uids.pop()
            if uid not in passed:
                passed.add(uid)
                self._settle(uid)
                open_uids.extend(self._owned.get(uid, ()))

    def _settle(self, uid: str) -> None:
        known = self._objects.get(uid)
        old = self._places.get(uid)
        new = self._place(known, old) if known is not None else None
        if new != old:
            self._leave(uid, old)
        if new is None:
            self._places.pop(uid, None)
        else:
            self._places[uid] = new
        if known is not None:
            self._enter(known, new)

    def _leave(self, uid: str, place: Place | None) -> None:
        if not isinstance(place, UUID):
            return
        self._changes.workloads[place] = None
        members = self._members[place]
        members.pods.pop(uid, None)
        members.parts.pop(uid, None)
        if members.anchor == uid:
            members.anchor = ""
        if not members.anybody:
            del self._members[place]

    def _enter(self, known: Known, place: Place | None) -> None:
        uid = known.metadata.uid
        self._set_apart(known, apart=place is Aside.APART)
        if place is Aside.WAITING:
            self._changes.orphans[uid] = None
        if not isinstance(place, UUID):
            return
        self._changes.workloads[place] = None
        members = self._members.setdefault(place, _Members())
        if known.kind is POD:
            members.pods[uid] = None
        if self._resolved[uid].root.uid == uid:
            members.anchor = uid
        elif known.kind is not POD:
            members.parts[uid] = None

    def _touch(self, new: Known, old: Known) -> None:
        """Note a change that moves nothing."""
        place = self._places.get(new.metadata.uid)
        if isinstance(place, UUID):
            if not self._is_heartbeat(new, old):
                self._changes.workloads[place] = None
        elif place is Aside.APART:
            self._set_apart(old, apart=False)
            self._set_apart(new, apart=True)

    def _is_heartbeat(self, new: Known, old: Known) -> bool:
        """Say whether a pod still has the facts that were made of it last, so that nobody need compare its workload."""
        made = self._made.get(new.metadata.uid)
        if new.kind is not POD or made is None or made.pod is not old.item or _described(new) != _described(old):
            return False
        if not same_pod(made.facts, facts_of(new.item, made.membership, self._asked_labels)):
            return False
        self._made[new.metadata.uid] = replace(made, pod=new.item)
        return True

    def _set_apart(self, known: Known, *, apart: bool) -> None:
        """Count a pod among the others on its node, or no longer."""
        node = known.item.spec.node_name if known.kind is POD else ""
        if not node:
            return
        uid = known.metadata.uid
        if apart:
            self._apart_on_node.setdefault(node, {})[uid] = None
            self._changes.nodes[node] = None
        elif uid in self._apart_on_node.get(node, {}):
            _discard(self._apart_on_node, node, uid)
            self._changes.nodes[node] = None

    def _place(self, known: Known, before: Place | None) -> Place | None:
        if not _has_place(known):
            return None
        found = self._resolve(known)
        if found is None or _leads_to_a_step(known, found.root):
            return None
        home = self._home(known, before)
        if found.apart or (self._knowledge.project_of(known.metadata.namespace) is None and home is None):
            return Aside.APART
        if found.missing and home is not None:
            return home
        if found.missing and known.metadata.uid not in self._given_up:
            return Aside.WAITING
        return self._identity(known, found.root, home)

    def _resolve(self, known: Known) -> Resolution | None:
        """Resolve an object, and remember for whose coming it has to be done again; None: it is shown with nobody."""
        uid = known.metadata.uid
        refers = known.kind.refers(known.item)
        if refers is None:
            found: Resolution | None = resolve(known, self)
            asked = found.names if found is not None else ()
        else:
            asked = ((refers[0], known.metadata.namespace, refers[1]),)
            owner = self.by_name(asked[0])
            found = resolve(owner, self) if owner is not None else None
        self._forget_resolution(uid)
        self._asked[uid] = asked
        for name in asked:
            self._askers.setdefault(name, {})[uid] = None
        if found is not None:
            self._resolved[uid] = found
            self._changes.kinds.update(dict.fromkeys(kind for kind in found.kinds if kind not in self._readings))
        return found

    def _forget_resolution(self, uid: str) -> None:
        self._resolved.pop(uid, None)
        for name in self._asked.pop(uid, ()):
            _discard(self._askers, name, uid)

    def _home(self, known: Known, before: Place | None) -> UUID | None:
        """Return where an object belongs as far as we know without its owners."""
        if isinstance(before, UUID):
            return before
        own_id = to_uuid(known.metadata.uid)
        if known.kind is POD:
            return self._knowledge.home_of(own_id)
        return own_id if self._knowledge.workload(own_id) is not None else None

    def _identity(self, known: Known, root: Root, home: UUID | None) -> Place:
        """Return the id on the object if it is believed, else the object's own."""
        if not root.uid:
            return self._open_attempt(root, home)[1]
        claimed = _claimed(root.item.metadata if root.item is not None else known.metadata)
        if claimed is None or claimed == to_uuid(root.uid):
            return self._open_attempt(root, home)[1]
        if self._believed(claimed, root) is not None:
            return claimed
        self._claimants.setdefault(claimed, {})[known.metadata.uid] = None
        if self._knowledge.submission_of(claimed) is None and claimed not in self._unfounded:
            self._changes.doubts[claimed] = None
            return home or Aside.DOUBTFUL
        return self._open_attempt(root, home)[1]

    def _open_attempt(self, root: Root, wanted: UUID | None) -> tuple[int, UUID]:
        """Return number and id of the attempt that is open, or of the wanted one if it comes first."""
        number = 1
        while (identity := _attempt_id(root, number)) != wanted and self._is_behind(root, identity):
            number += 1
        return number, identity

    def _is_behind(self, root: Root, identity: UUID) -> bool:
        """Say whether an attempt is over, and what is there now is the next.

        An object ends its workload, and may yet be there: when another object took it in, or its namespace was no
        project's for a while. What only references tell of an object that is gone is no attempt.
        """
        if not root.uid:
            return self._knowledge.is_over(identity)
        is_gone = self._knowledge.is_over(identity) and self._knowledge.workload(identity) is None
        return is_gone and root.item is not None and root.uid not in self._deleted

    def _attempt(self, workload_id: UUID, root: Root) -> int:
        """Return which attempt a workload is; 0 if the root is another's."""
        if root.uid and self._believed(workload_id, root) is not None:
            return 1
        number, identity = self._open_attempt(root, workload_id)
        return number if identity == workload_id else 0

    def _believed(self, workload_id: UUID, root: Root) -> Submission | None:
        submission = self._knowledge.submission_of(workload_id)
        if submission is None or not submission.names(root.kind.name, root.namespace, root.name):
            return None
        return submission

    # ------------------------------------------------------------ facts

    def _facts(self, pod: Pod, membership: Membership) -> PodFacts:
        """Return the facts of a pod; the very object that is written already, while nothing that matters changed."""
        uid = pod.metadata.uid
        made = self._made.get(uid)
        asked = self._asked_labels
        if made is not None and made.pod is pod and made.asked is asked and made.membership == membership:
            return made.facts
        facts = facts_of(pod, membership, asked)
        home = self._knowledge.home_of(facts.pod_id)
        folded = self._knowledge.workload(home) if home is not None else None
        known = folded.pods.get(facts.pod_id) if folded is not None else None
        if known is not None and same_pod(known, facts):
            facts = known
        self._made[uid] = _Made(pod, membership, asked, facts)
        return facts


def _described(known: Known) -> tuple[object, ...]:
    return known.metadata.labels, known.metadata.annotations, known.item.status.container_statuses


def _name_of(known: Known) -> Name:
    return known.kind.key, known.metadata.namespace, known.metadata.name


def _kind_and_name(known: Known) -> tuple[KindName, str]:
    return known.kind.key, known.metadata.name


def _has_place(known: Known) -> bool:
    """Say whether an object can belong to a workload by itself: a pod, and what is a workload or a part of one.

    Steps lead to workloads and say nothing of their own, unless nobody owns them; of a kind nobody knows only pods
    make a workload.
    """
    if known.kind is POD:
        return True
    alone = known.kind.standing is Standing.STEP and not known.metadata.owner_references
    return known.kind.key in TABLE and (known.kind.standing is Standing.WORKLOAD or alone)


def _leads_to_a_step(known: Known, root: Root) -> bool:
    """Say whether above an object is only something that stands between and cannot be read: pods alone tell of whom."""
    return known.kind is not POD and root.item is None and root.kind.standing is Standing.STEP


def kind_name(discovered: WorkloadDiscovered) -> KindName:
    """Return the kind of the object behind a workload, which may have another name (a Job that is an MLflow run)."""
    behind = next((ref for ref in discovered.controls.delete if ref.uid == discovered.object_id), discovered)
    return group_of(behind.api_version), behind.kind


def _attempt_id(root: Root, number: int) -> UUID:
    """Return the id of an attempt: of an object the first is its own."""
    if not root.uid:
        return derived_id("keyed", root.kind.name, root.namespace, root.key, str(number))
    own = to_uuid(root.uid)
    return own if number == 1 else derived_id("again", str(own), str(number))


def _moves(old: Known, new: Known) -> bool:
    """Say whether a change may move an object, or what belongs to it, to another workload."""
    before, after = old.metadata, new.metadata
    if (before.owner_references, before.labels) != (after.owner_references, after.labels):
        return True
    return new.kind.refers(old.item) != new.kind.refers(new.item)


def _claimed(metadata: Metadata) -> UUID | None:
    try:
        return UUID(metadata.labels.get(names.WORKLOAD_ID, ""))
    except ValueError:
        return None


def _discard(index: dict[Key, dict[str, None]], key: Key, uid: str) -> None:
    uids = index.get(key)
    if uids is not None:
        uids.pop(uid, None)
        if not uids:
            del index[key]
