"""The walk from an object up to the object that is its workload.

The controlling owner is followed, else the only one, else the one whose kind stands first in the table. An owner is
who has the UID the reference names, in the same namespace or in none: a namesake is not. The innermost workload wins:
a walk ends below an owner that does not absorb what it has reached, and names that owner as the parent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from muster_cluster.metadata import Metadata, OwnerReference
from muster_contracts.values import ParentRef

from muster_integrations.recognition.kinds import Kind, Standing, group_of
from muster_integrations.recognition.table import RANKS, kind_of

MAXIMUM_DEPTH: Final = 10
"""Owners above a pod; the deepest chain we know of has five. What is deeper is a mistake, or a trick."""


@dataclass(frozen=True, slots=True)
class Known:
    """A live object and its kind. `api_version` is the one it was read in."""

    kind: Kind
    api_version: str
    item: Any

    @property
    def metadata(self) -> Metadata:
        """What the object says of itself."""
        metadata: Metadata = self.item.metadata
        return metadata


@dataclass(frozen=True, slots=True)
class Root:
    """The object that is the workload. `item` is None when only a reference tells of it."""

    kind: Kind
    api_version: str
    namespace: str
    name: str
    uid: str
    item: Any | None = None
    parent: ParentRef | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk ended. `missing`: an owner of a kind we watch is not there, so `root` is what its reference says.

    `apart` is a reason in one sentence when the object belongs to no workload.
    """

    root: Root
    missing: bool = False
    apart: str = ""


LookUp = Callable[[str], Known | None]
"""Finds a live object by its UID."""


def walk(start: Known, look_up: LookUp) -> Walk:
    """Return the workload an object belongs to."""
    current = start
    passed = {start.metadata.uid}
    while len(passed) <= MAXIMUM_DEPTH:
        reference = followed(current.metadata)
        if reference is None or reference.uid in passed:
            return Walk(_root(current))
        kind = kind_of(group_of(reference.api_version), reference.kind)
        if kind.standing is Standing.APART:
            return Walk(_root(current), apart=f"It belongs to the {reference.kind} {reference.name}.")
        if not _takes(kind, current.kind):
            return Walk(_root(current, ParentRef(kind=reference.kind, name=reference.name)))
        owner = look_up(reference.uid)
        if owner is None or not _is_meant(owner, reference, current):
            return Walk(_named(reference, kind, current), missing=kind.resource is not None)
        passed.add(reference.uid)
        current = owner
    return Walk(_root(current))


def followed(metadata: Metadata) -> OwnerReference | None:
    """Return the owner to follow, if there is any."""
    if metadata.controller is not None:
        return metadata.controller
    references = metadata.owner_references
    return min(references, key=_rank) if references else None


def _rank(reference: OwnerReference) -> int:
    return RANKS.get((group_of(reference.api_version), reference.kind), len(RANKS))


def _takes(owner: Kind, owned: Kind) -> bool:
    if owner.standing is Standing.PARENT:
        return False
    return owned.standing is Standing.STEP or owned.key in owner.absorbs


def _is_meant(owner: Known, reference: OwnerReference, owned: Known) -> bool:
    namespaces = {"", owned.metadata.namespace}
    return owner.kind.name == reference.kind and owner.metadata.namespace in namespaces


def _root(known: Known, parent: ParentRef | None = None) -> Root:
    metadata = known.metadata
    return Root(known.kind, known.api_version, metadata.namespace, metadata.name, metadata.uid, known.item, parent)


def _named(reference: OwnerReference, kind: Kind, owned: Known) -> Root:
    return Root(kind, reference.api_version, owned.metadata.namespace, reference.name, reference.uid)
