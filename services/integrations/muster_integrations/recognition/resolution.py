"""Which workload an object belongs to: the rules by label, and the walk up its owners.

1. A pod that a rule knows before anything else (a Spark executor, whose owner may be a notebook) is claimed by it; what
   its owners lead to is the parent.
2. Owners are followed: the controller, else the only one, else the one whose kind stands first in the table. An owner
   is who has the UID the reference names, in the same namespace or in none; a namesake is not, and a reference with
   somebody else's UID counts for nothing. The innermost workload wins: a walk ends below an owner that does not absorb
   what it has reached, and names that owner as the parent.
3. A pod that nobody owns, or whose owners cannot be read as far as a workload, is claimed by the labels it carries. Of
   a pod that a pod owns, that one's labels count.
4. What is left is the topmost object that could be read, or what the last reference says.

Whoever *holds* an object stands for its owner when it is not there (a RayJob says which RayCluster is its own), and who
is claimed by name has the UID by which others name it as theirs: so that no workload is two because something between
it and some of its pods cannot be read.

An owner that is not there but may still come makes the result `missing`: it holds if nobody comes. Everything that was
looked up by name is in `names`, for whoever has to ask again when something else is known of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Protocol

from muster_cluster.metadata import Metadata, OwnerReference
from muster_contracts.values import ParentRef

from muster_integrations.core.seen import IdentitySource
from muster_integrations.recognition.kinds import Claim, Kind, KindName, Known, Name, Standing, group_of
from muster_integrations.recognition.pods import POD
from muster_integrations.recognition.table import APART, BEFORE_WALK, BY_LABEL, RANKS, TABLE, kind_of

MAXIMUM_DEPTH: Final = 10
"""Owners above a pod; the deepest chain we know of has six. What is deeper is a mistake, or a trick."""


class Reading(StrEnum):
    """Whether objects of a kind are seen: they are, we cannot look (no rights, no answer), or there is no such kind."""

    READ = "read"
    FORBIDDEN = "forbidden"
    ABSENT = "absent"


class World(Protocol):
    """The objects that are there, and those that may come."""

    def by_uid(self, uid: str) -> Known | None:
        """Return a live object."""
        ...

    def by_name(self, name: Name) -> Known | None:
        """Return a live object."""
        ...

    def uid_of(self, name: Name) -> str:
        """Return the UID by which others name an object as their owner; empty when none does."""
        ...

    def holder_of(self, name: Name) -> Known | None:
        """Return the live object that says of another, which need not be there, that it is its own."""
        ...

    def finer(self, namespace: str) -> bool:
        """Say whether the project of a namespace wants smaller workloads than usual."""
        ...

    def may_come(self, kind: KindName) -> bool:
        """Say whether objects of this kind are read, so that one that is not there may only be late."""
        ...


@dataclass(frozen=True, slots=True)
class Root:
    """The thing that is the workload. `item` is None when only a reference or a label tells of it.

    It has a `uid`, or else a `key` that is unique among its kind in the namespace.
    """

    kind: Kind
    api_version: str
    namespace: str
    name: str
    uid: str = ""
    key: str = ""
    item: Any | None = None
    parent: ParentRef | None = None
    source: IdentitySource = "owner"

    @property
    def identity(self) -> str:
        """Return the UID, else `namespace/key`."""
        return self.uid or f"{self.namespace}/{self.key}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where an object belongs. `apart` is a reason in one sentence when it belongs to no workload.

    `conflict` tells of two controllers; `kinds` are those on the way that nobody knows.
    """

    root: Root
    missing: bool = False
    apart: str = ""
    conflict: str = ""
    kinds: tuple[KindName, ...] = ()
    names: tuple[Name, ...] = ()


@dataclass(slots=True)
class Trail:
    """What was tried, in order, a sentence each, and the rule that won. For those who ask why."""

    tried: list[str] = field(default_factory=list)
    rule: str = ""

    def note(self, sentence: str) -> None:
        """Add a sentence."""
        self.tried.append(sentence)


def resolve(start: Known, world: World, trail: Trail | None = None) -> Resolution:
    """Return the workload an object belongs to."""
    trail = trail or Trail()
    if start.kind is POD and (reason := next((said for rule in APART if (said := rule(start.item))), "")):
        return Resolution(_root(start), apart=reason)
    if (claim := _first_claim(start, BEFORE_WALK, trail)) is not None:
        return _within(_by_owners(start, world, Trail()), _claimed(start, claim, world, trail))
    return _by_owners(start, world, trail)


def followed(metadata: Metadata) -> OwnerReference | None:
    """Return the owner to follow, if there is any."""
    references = metadata.owner_references
    if len(references) < 2:  # nearly always, and this is asked at every step of every walk
        return references[0] if references else None
    controllers = [reference for reference in references if reference.controller]
    return min(controllers or references, key=_rank)


def conflict_of(metadata: Metadata) -> str:
    """Return the names of the controllers of an object that has several; empty for any other."""
    if len(metadata.owner_references) < 2:
        return ""
    controllers = [f"{owner.kind}/{owner.name}" for owner in metadata.owner_references if owner.controller]
    return ", ".join(controllers) if len(controllers) > 1 else ""


def _rank(reference: OwnerReference) -> int:
    return RANKS.get((group_of(reference.api_version), reference.kind), len(RANKS))


def _by_owners(start: Known, world: World, trail: Trail) -> Resolution:
    found = _Walk(start, world, trail).go()
    speaker = _speaker(start, found)
    if speaker is not None and (claim := _first_claim(speaker, BY_LABEL, trail)) is not None:
        claimed = _claimed(start, claim, world, trail)
        names = (*claimed.names, *found.names)
        return replace(claimed, missing=claimed.missing or found.missing, kinds=found.kinds, names=names)
    trail.rule = trail.rule or f"owner: {found.root.kind.name}"
    return found


def _within(outer: Resolution, inner: Resolution) -> Resolution:
    """Return the inner of two answers, the outer as its parent if that is a workload by itself."""
    around, root = outer.root, inner.root
    if root.parent is None and around.kind is not POD and (around.kind, around.identity) != (root.kind, root.identity):
        root = replace(root, parent=ParentRef(kind=around.kind.name, name=around.name))
    return replace(inner, root=root, kinds=outer.kinds, names=(*inner.names, *outer.names))


def _first_claim(start: Known, rules: Sequence[Any], trail: Trail) -> Claim | None:
    if start.kind is not POD:
        return None
    for rule in rules:
        claim: Claim | None = rule(start.item)
        if claim is not None:
            trail.rule = f"{claim.source}: {claim.kind.name}"
            return claim
        trail.note(f"Rule {rule.__module__.rpartition('.')[2]}.{rule.__name__} does not know the pod.")
    return None


def _speaker(start: Known, found: Resolution) -> Known | None:
    """Return the pod whose labels may speak: one that nobody owns, or whose owners end, unread, below any workload.

    A reference to a workload of a system is worth more than labels; one to a step or a generic kind is not.
    """
    root = found.root
    if start.kind is not POD or found.apart:
        return None
    if root.item is not None:
        return Known(POD, root.api_version, root.item) if root.kind is POD else None
    return start if root.kind.generic or root.kind.standing is Standing.STEP else None


def _claimed(start: Known, claim: Claim, world: World, trail: Trail) -> Resolution:
    """Return the workload a pod is known by: the object of that name, and what absorbs it, if it can be read."""
    namespace = start.metadata.namespace
    if claim.finer is not None and world.finer(namespace):
        claim = claim.finer
    if not claim.object_name:
        return Resolution(_keyed(claim, namespace))
    name = (claim.kind.key, namespace, claim.object_name)
    live = world.by_name(name) or world.holder_of(name)
    if live is None:
        root = _keyed(claim, namespace, world.uid_of(name))
        known_by = f"is known by its UID {root.uid}" if root.uid else "its name is the key"
        trail.note(f"{claim.kind.name} {claim.object_name} is not there; {known_by}.")
        return Resolution(root, missing=world.may_come(claim.kind.key), names=(name,))
    found = _Walk(live, world, trail).go()
    return replace(found, root=replace(found.root, source=claim.source), names=(name, *found.names))


def _keyed(claim: Claim, namespace: str, uid: str = "") -> Root:
    name, key = claim.name or claim.object_name or claim.key, "" if uid else claim.key
    return Root(claim.kind, claim.api_version, namespace, name, uid, key, source=claim.source)


@dataclass(slots=True)
class _Walk:
    """One walk up from an object, and what was met on the way."""

    current: Known
    world: World
    trail: Trail
    namespace: str = ""
    conflict: str = ""
    kinds: list[KindName] = field(default_factory=list)
    names: list[Name] = field(default_factory=list)

    def go(self) -> Resolution:
        """Walk until the workload is found, or nothing leads further."""
        self.namespace = self.current.metadata.namespace
        passed = {self.current.metadata.uid: self.current}
        while len(passed) <= MAXIMUM_DEPTH:
            self.conflict = self.conflict or conflict_of(self.current.metadata)
            reference = followed(self.current.metadata)
            if reference is None:
                return self._end(_root(self.current))
            if reference.uid in passed:
                self.trail.note(f"{_words(reference)} closes a circle of owners.")
                return self._end(_root(_of_circle(list(passed.values()), reference.uid)))
            ended = self._step(reference)
            if ended is not None:
                return ended
            passed[self.current.metadata.uid] = self.current
        self.trail.note(f"The walk stopped after {MAXIMUM_DEPTH} owners.")
        return self._end(_root(self.current))

    def _step(self, reference: OwnerReference) -> Resolution | None:
        """Go up to an owner, or end here."""
        kind = kind_of(group_of(reference.api_version), reference.kind)
        self.trail.note(f"{self.current.kind.name} {self.current.metadata.name} is owned by {_words(reference)}.")
        if kind.standing is Standing.APART:
            return self._end(_root(self.current), apart=f"It belongs to the {reference.kind} {reference.name}.")
        owner = self._live(reference)
        if owner is None and self.world.by_uid(reference.uid) is not None:
            self.trail.note(f"{_words(reference)} is another kind of object, or lies in another namespace.")
            return self._end(_root(self.current))
        if kind.key not in TABLE:
            self.kinds.append(kind.key)
        if not _takes(kind, self.current.kind, live=owner is not None):
            late = owner is None and _takes(kind, self.current.kind, live=True)
            parent = self._parent(reference)
            return self._end(_root(self.current, parent), missing=late and self.world.may_come(kind.key))
        above = owner or self._holder(reference, kind)
        if above is None:
            self.trail.note(f"{_words(reference)} is not there, or may not be read.")
            return self._end(_named(reference, kind, self.current), missing=self.world.may_come(kind.key))
        self.current = above
        return None

    def _holder(self, reference: OwnerReference, kind: Kind) -> Known | None:
        """Return who says that an owner is its own which is not there."""
        name = (kind.key, self.namespace, kind.held_as(reference.name, self.current.metadata))
        self.names.append(name)
        holder = self.world.holder_of(name)
        if holder is not None:
            self.trail.note(f"{_words(reference)} is not there; {holder.kind.name} {holder.metadata.name} has it.")
        return holder

    def _live(self, reference: OwnerReference) -> Known | None:
        owner = self.world.by_uid(reference.uid)
        if owner is None or owner.kind.name != reference.kind:
            return None
        return owner if owner.metadata.namespace in {"", self.current.metadata.namespace} else None

    def _parent(self, reference: OwnerReference) -> ParentRef:
        """Return the thing to show as the parent: the next workload; of things that are none (Trials) the topmost."""
        for _ in range(MAXIMUM_DEPTH):
            owner = self._live(reference)
            above = followed(owner.metadata) if owner is not None else None
            if above is None or not (_is_parent(reference) and _is_parent(above)):
                break
            reference = above
        return ParentRef(kind=reference.kind, name=reference.name)

    def _end(self, root: Root, *, missing: bool = False, apart: str = "") -> Resolution:
        """Return the result. An owner that lies in no namespace is a workload where what it owns lies."""
        root = root if root.namespace else replace(root, namespace=self.namespace)
        return Resolution(root, missing, apart, self.conflict, tuple(self.kinds), tuple(self.names))


def _is_parent(reference: OwnerReference) -> bool:
    return kind_of(group_of(reference.api_version), reference.kind).standing is Standing.PARENT


def _of_circle(passed: list[Known], uid: str) -> Known:
    """Return the one of a circle of owners that stands for all, from wherever it is entered: the smallest UID."""
    entered = next(number for number, known in enumerate(passed) if known.metadata.uid == uid)
    return min(passed[entered:], key=lambda known: known.metadata.uid)


def _takes(owner: Kind, owned: Kind, *, live: bool) -> bool:
    """Say whether an owner takes an object into its workload. One that nobody knows does so only if it can be read."""
    if owner.standing is Standing.PARENT:
        return False
    if owned.standing is Standing.STEP or owned.key in owner.absorbs:
        return True
    return live and owner.key not in TABLE and (owned.generic or owned.key not in TABLE)


def _root(known: Known, parent: ParentRef | None = None) -> Root:
    metadata = known.metadata
    source: IdentitySource = "pod" if known.kind is POD else "owner"
    return Root(
        known.kind, known.api_version, metadata.namespace, metadata.name, metadata.uid, "", known.item, parent, source
    )


def _named(reference: OwnerReference, kind: Kind, owned: Known) -> Root:
    return Root(kind, reference.api_version, owned.metadata.namespace, reference.name, reference.uid)


def _words(reference: OwnerReference) -> str:
    return f"{reference.kind} {reference.name} ({reference.uid})"
