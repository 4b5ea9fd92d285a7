"""The walk up the owners of an object, to the workload that it belongs to.

The controller is followed, else the only owner, else the one whose kind stands first in the table. An owner is who has
the UID the reference names, in the same namespace or in none; a namesake is not, and a reference with somebody else's
UID counts for nothing. The innermost workload wins: a walk ends below an owner that does not absorb what it has
reached, and names that owner as the parent.

Whoever *holds* an object stands for it when it is not there: a RayJob says which RayCluster is its own. An owner that
is not there but may still come makes the result `missing`: it holds if nobody comes.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from muster_cluster.metadata import Metadata, OwnerReference
from muster_contracts.values import ParentRef

from muster_integrations.recognition.kinds import Kind, KindName, Known, Name, Standing, group_of
from muster_integrations.recognition.resolution import Resolution, Root, Trail, World, root_of
from muster_integrations.recognition.table import RANKS, TABLE, kind_of

MAXIMUM_DEPTH: Final = 10
"""Owners above a pod; the deepest chain we know of has six. What is deeper is a mistake, or a trick."""


@dataclass(slots=True)
class Walk:
    """One walk up from an object, and what was met on the way: `kinds` nobody knows, `names` that were asked for."""

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
        self.trail.passed.add(self.current.metadata.uid)
        while len(passed) <= MAXIMUM_DEPTH:
            self.conflict = self.conflict or conflict_of(self.current.metadata)
            reference = followed(self.current.metadata)
            if reference is None:
                return self._end(root_of(self.current))
            if reference.uid in passed:
                self.trail.note(f"{_words(reference)} closes a circle of owners.")
                return self._end(root_of(_of_circle(list(passed.values()), reference.uid)))
            ended = self._step(reference)
            if ended is not None:
                return ended
            passed[self.current.metadata.uid] = self.current
            self.trail.passed.add(self.current.metadata.uid)
        self.trail.note(f"The walk stopped after {MAXIMUM_DEPTH} owners.")
        return self._end(root_of(self.current))

    def _step(self, reference: OwnerReference) -> Resolution | None:
        """Go up to an owner, or end here."""
        kind = kind_of(group_of(reference.api_version), reference.kind)
        self.trail.note(f"{self.current.kind.name} {self.current.metadata.name} is owned by {_words(reference)}.")
        if kind.standing is Standing.APART:
            return self._end(root_of(self.current), apart=f"It belongs to the {reference.kind} {reference.name}.")
        owner = self._live(reference)
        if owner is None and self.world.by_uid(reference.uid) is not None:
            self.trail.note(f"{_words(reference)} is another kind of object, or lies in another namespace.")
            return self._end(root_of(self.current))
        if kind.key not in TABLE:
            self.kinds.append(kind.key)
        if not _takes(kind, self.current.kind, live=owner is not None):
            late = owner is None and _takes(kind, self.current.kind, live=True)
            parent = self._parent(reference)
            return self._end(root_of(self.current, parent), missing=late and self.world.may_come(kind.key))
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
        return owner if owner is not None and is_meant(owner, reference, self.current.metadata.namespace) else None

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


def followed(metadata: Metadata) -> OwnerReference | None:
    """Return the owner to follow, if there is any."""
    references = metadata.owner_references
    if len(references) < 2:  # nearly always, and this is asked at every step of every walk
        return references[0] if references else None
    controllers = [reference for reference in references if reference.controller]
    return min(controllers or references, key=_rank)


def is_meant(owner: Known, reference: OwnerReference, namespace: str) -> bool:
    """Say whether a reference in a namespace can mean who has its UID: kind and namespace have to be right, too."""
    return owner.kind.name == reference.kind and owner.metadata.namespace in {"", namespace}


def conflict_of(metadata: Metadata) -> str:
    """Return the names of the controllers of an object that has several; empty for any other."""
    if len(metadata.owner_references) < 2:
        return ""
    controllers = [f"{owner.kind}/{owner.name}" for owner in metadata.owner_references if owner.controller]
    return ", ".join(controllers) if len(controllers) > 1 else ""


def _rank(reference: OwnerReference) -> int:
    return RANKS.get((group_of(reference.api_version), reference.kind), len(RANKS))


def _named(reference: OwnerReference, kind: Kind, owned: Known) -> Root:
    return Root(kind, reference.api_version, owned.metadata.namespace, reference.name, reference.uid)


def _words(reference: OwnerReference) -> str:
    return f"{reference.kind} {reference.name} ({reference.uid})"
