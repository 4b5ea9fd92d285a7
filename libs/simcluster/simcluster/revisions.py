"""Revisions of objects and the steps between them: what the store keeps, and what watches are shown.

An object's JSON is written once per revision (`Stored.untyped`, `Change.frame`) and these bytes serve every get, list
and watch. Objects are values: whoever changes one puts a new one into the store.
"""

from collections import deque
from dataclasses import dataclass

import orjson

from simcluster.errors import expired
from simcluster.resources import Object

ADDED = "ADDED"
MODIFIED = "MODIFIED"
DELETED = "DELETED"

_TYPE = ("kind", "apiVersion")

Key = tuple[str, str]
"""Namespace (empty for cluster-wide kinds) and name."""


class Stored:
    """One revision of one object."""

    __slots__ = ("_untyped", "body", "kind", "name", "namespace", "version")

    def __init__(self, kind: str, body: Object, version: int) -> None:
        metadata = body["metadata"]
        self.kind = kind
        self.namespace: str = metadata.get("namespace", "")
        self.name: str = metadata["name"]
        self.body = body
        self.version = version
        self._untyped: bytes | None = None

    @property
    def untyped(self) -> bytes:
        """The object as JSON without its kind and apiVersion, written once: so lists of built-in kinds show it."""
        if self._untyped is None:
            self._untyped = orjson.dumps({name: value for name, value in self.body.items() if name not in _TYPE})
        return self._untyped

    @property
    def encoded(self) -> bytes:
        """The object as JSON; joined each time, so that it is kept once."""
        typed = orjson.dumps({name: self.body[name] for name in _TYPE})
        return b"%b,%b" % (typed[:-1], self.untyped[1:])

    @property
    def key(self) -> Key:
        """Where it lies within its kind."""
        return self.namespace, self.name

    @property
    def uid(self) -> str:
        """The identity that outlives no deletion."""
        uid: str = self.body["metadata"]["uid"]
        return uid


class Change:
    """A step from one revision of an object to the next, as a watch shows it."""

    __slots__ = ("_frame", "previous", "stored", "type")

    def __init__(self, kind_of_change: str, stored: Stored, previous: Stored | None) -> None:
        self.type = kind_of_change
        self.stored = stored
        self.previous = previous
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """The line of JSON a watch sends, written once."""
        if self._frame is None:
            self._frame = watch_frame(self.type, self.stored.encoded)
        return self._frame


def watch_frame(kind_of_change: str, encoded: bytes) -> bytes:
    """Return the line of JSON that tells a watch of a change."""
    return b'{"type":"%b","object":%b}\n' % (kind_of_change.encode(), encoded)


@dataclass
class History:
    """The latest changes of one kind; what happened up to `floor` may be missing."""

    changes: deque[Change]
    floor: int

    def append(self, change: Change) -> None:
        """Remember a change, forgetting the oldest when the memory is full."""
        if len(self.changes) == self.changes.maxlen:
            self.floor = self.changes[0].stored.version
        self.changes.append(change)

    def since(self, version: int) -> list[Change]:
        """Return all changes after a version; ApiError 410 when some are forgotten."""
        if version < self.floor:
            raise expired(f"too old resource version: {version} ({self.floor})")
        after: list[Change] = []
        for change in reversed(self.changes):
            if change.stored.version <= version:
                break
            after.append(change)
        after.reverse()
        return after
