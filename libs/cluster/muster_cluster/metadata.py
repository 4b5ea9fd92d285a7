"""What every Kubernetes object says of itself: its name, its identity, its version, its labels and its owners.

`objects` builds on it, and so may anybody who names a struct of their own as a `Resource.model`: a struct that has a
`metadata: Metadata` can be listed, watched and mirrored.
"""

from datetime import datetime
from typing import Any, Protocol

import msgspec

Key = tuple[str, str]
"""Namespace (empty for kinds of the whole cluster) and name."""


class Partial(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of a Kubernetes object: fields we do not name are skipped, fields that are missing have a default.

    Its instances are never part of a reference cycle, so the garbage collector need not walk them (`gc=False`), nor
    tuples of them (lists it would): a mirror holds tens of thousands, and walking them costs more than decoding them.
    """


class OwnerReference(Partial, frozen=True, gc=False):
    """Who owns the object; `controller` marks the one that manages it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class Metadata(Partial, frozen=True, gc=False):
    """The `metadata` of an object, as far as we read it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def key(self) -> Key:
        """Where the object lies within its kind."""
        return self.namespace, self.name

    @property
    def controller(self) -> OwnerReference | None:
        """The owner that manages the object, if any."""
        return next((owner for owner in self.owner_references if owner.controller), None)


class HasMetadata(Protocol):
    """An object that can be mirrored."""

    @property
    def metadata(self) -> Metadata:
        """What the object says of itself."""
        ...


def version_of(item: Any) -> str:
    """Return the resource version of an object, decoded into a struct or into a dict."""
    if isinstance(item, dict):
        return str(item.get("metadata", {}).get("resourceVersion", ""))
    version: str = item.metadata.resource_version
    return version
