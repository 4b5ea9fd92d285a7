"""What is found out of where an object belongs, and the world in which it is found out. `resolver` finds it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from muster_contracts.values import ParentRef

from muster_integrations.core.seen import IdentitySource
from muster_integrations.recognition.kinds import Kind, KindName, Known, Name
from muster_integrations.recognition.pods import POD


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
    """What was tried, in order, a sentence each, and the rule that won. For those who ask why.

    `passed` are the UIDs of all objects that were walked through.
    """

    tried: list[str] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    rule: str = ""

    def note(self, sentence: str) -> None:
        """Add a sentence."""
        self.tried.append(sentence)


def root_of(known: Known, parent: ParentRef | None = None) -> Root:
    """Return a live object as the thing that is the workload."""
    metadata = known.metadata
    source: IdentitySource = "pod" if known.kind is POD else "owner"
    return Root(
        known.kind, known.api_version, metadata.namespace, metadata.name, metadata.uid, "", known.item, parent, source
    )
