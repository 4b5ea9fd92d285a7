"""Every object of the cluster, its history and those who watch it.

One counter gives every change its resourceVersion. An object's JSON is written once per revision (`Stored.untyped`,
`Change.frame`) and these bytes serve every get, list and watch. Objects are values: whoever changes one puts a new one.

Changes are gathered during a turn of the event loop, then written to disk in one transaction, and only then shown to
subscribers and acknowledged (`settled`): what a watcher has seen, a restart still knows. SQLite runs without fsync,
so a killed process loses nothing acknowledged, a machine that loses power may.

A restart forgets the history but not the counter, so a watch from before it is told that its version is too old,
or goes on when it had seen everything.
"""

import asyncio
import bisect
import sqlite3
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


class Subscription:
    """A stream of changes of some kinds: an async iterator of (type, object).

    `batches` gives the same as lists of `Change`, all there are at a time; use one or the other.
    """

    def __init__(self, store: "Store", kinds: tuple[str, ...], waiting: list[Change], since: int, limit: int) -> None:
        self.kinds = kinds
        self.since = since
        self.overrun = False
        self._store = store
        self._waiting = deque(waiting)
        self._limit = limit
        self._closed = False
        self._nudged = False
        self._wake: asyncio.Future[None] | None = None

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> tuple[str, Object]:
        await self._until_something()
        if not self._waiting:
            raise StopAsyncIteration
        change = self._waiting.popleft()
        return change.type, change.stored.body

    async def batch(self) -> list[Change]:
        """Wait for changes and return all there are; an empty list means nudged or closed."""
        await self._until_something()
        self._nudged = False
        batch = list(self._waiting)
        self._waiting.clear()
        return batch

    def offer(self, change: Change) -> None:
        """Take in a change; a receiver hopelessly behind is cut off instead (`overrun`)."""
        if len(self._waiting) >= self._limit:
            self.overrun = True
            self._waiting.clear()
            self.close()
        elif not self._closed:
            self._waiting.append(change)

    @property
    def closed(self) -> bool:
        """Whether nothing more will come after what is waiting."""
        return self._closed

    @property
    def has_waiting(self) -> bool:
        """Whether something waits to be received."""
        return bool(self._waiting)

    def nudge(self) -> None:
        """Let `batch` return even with nothing to return."""
        self._nudged = True
        self.wake()

    def wake(self) -> None:
        """Let the receiver go on."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def close(self) -> None:
        """End the stream: nothing more comes after what is waiting."""
        self._closed = True
        self._store.unsubscribe(self)
        self.wake()

    async def _until_something(self) -> None:
        while not self._waiting and not self._closed and not self._nudged:
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None


class Shelf:
    """The objects of one kind, in order of namespace and name, and by owner."""

    def __init__(self) -> None:
        self.objects: dict[Key, Stored] = {}
        self._order: list[Key] = []
        self._by_owner: dict[str, dict[Key, Stored]] = {}

    def put(self, stored: Stored) -> None:
        """Add a revision in place of the one before."""
        previous = self.objects.get(stored.key)
        if previous is None:
            bisect.insort(self._order, stored.key)
        self._unlink(previous)
        self.objects[stored.key] = stored
        for uid in _owner_uids(stored):
            self._by_owner.setdefault(uid, {})[stored.key] = stored

    def remove(self, key: Key) -> None:
        """Take an object away."""
        self._unlink(self.objects.pop(key))
        del self._order[bisect.bisect_left(self._order, key)]

    def _unlink(self, stored: Stored | None) -> None:
        if stored is None:
            return
        for uid in _owner_uids(stored):
            owned = self._by_owner[uid]
            del owned[stored.key]
            if not owned:
                del self._by_owner[uid]

    def within(self, namespace: str) -> list[Stored]:
        """Return a namespace's objects by name."""
        start = bisect.bisect_left(self._order, (namespace, ""))
        end = bisect.bisect_left(self._order, (namespace + "\0", ""))
        return [self.objects[key] for key in self._order[start:end]]

    def owned_by(self, uid: str) -> list[Stored]:
        """Return the objects that name an owner, by namespace and name."""
        return sorted(self._by_owner.get(uid, {}).values(), key=_by_key)

    def all(self) -> list[Stored]:
        """Return every object by namespace and name."""
        return [self.objects[key] for key in self._order]


def _by_key(stored: Stored) -> Key:
    return stored.namespace, stored.name


def _owner_uids(stored: Stored) -> list[str]:
    owners = stored.body["metadata"].get("ownerReferences") or ()
    return list(dict.fromkeys(owner["uid"] for owner in owners))


class Store:
    """All objects. Synchronous to use; it needs a running event loop to write to disk and to tell subscribers."""

    def __init__(self, path: Path | None = None, history: int = 10_000, backlog: int = 200_000) -> None:
        """Open the file (None: memory alone).

        The latest `history` changes of a kind are kept; a receiver more than `backlog` changes behind is cut off.
        """
        self._shelves: dict[str, Shelf] = {}
        self._histories: dict[str, History] = {}
        self._history_length = history
        self._backlog = backlog
        self._subscriptions: dict[str, dict[Subscription, None]] = {}
        self._pending: list[Change] = []
        self._flushed: asyncio.Future[None] | None = None
        self._file = Disk(path) if path is not None else None
        self.version = 1
        for stored in self._file.load() if self._file else ():
            self._shelf(stored.kind).put(stored)
        if self._file is not None:
            self.version = max(self.version, self._file.load_version())
        self._first_version = self.version
        self.told_version = self.version  # up to here subscribers have been told

    def get(self, kind: str, namespace: str | None, name: str) -> Stored | None:
        """Return the current revision of an object."""
        return self._shelf(kind).objects.get((namespace or "", name))

    def find(self, kind: str, namespace: str | None = None, owner_uid: str | None = None) -> list[Stored]:
        """Return a kind's objects by namespace and name; the list is not to be changed."""
        shelf = self._shelf(kind)
        if owner_uid is not None:
            return [stored for stored in shelf.owned_by(owner_uid) if namespace in (None, stored.namespace)]
        return shelf.all() if namespace is None else shelf.within(namespace)

    def count(self, kind: str) -> int:
        """Return how many objects of a kind there are."""
        return len(self._shelf(kind).objects)

    def kinds(self) -> list[str]:
        """Return the kinds that have, or had, objects."""
        return list(self._shelves)

    def put(self, kind: str, body: Object) -> Stored:
        """Store a new revision; `body` is the store's from now on and gets its resourceVersion here."""
        stored = self._next(kind, body)
        shelf = self._shelf(kind)
        previous = shelf.objects.get(stored.key)
        shelf.put(stored)
        self._record(Change(ADDED if previous is None else MODIFIED, stored, previous))
        return stored

    def remove(self, kind: str, namespace: str | None, name: str, last: Object | None = None) -> Stored:
        """Take an object away; its last state (or `last`) goes out with a version of its own."""
        previous = self._shelf(kind).objects[namespace or "", name]
        body = last if last is not None else previous.body
        stored = self._next(kind, body | {"metadata": dict(body["metadata"])})
        self._shelf(kind).remove(stored.key)
        self._record(Change(DELETED, stored, previous))
        return stored

    def since(self, kind: str, version: int) -> list[Change]:
        """Return a kind's changes after a version; ApiError 410 when some are forgotten."""
        return self._history(kind).since(version)

    def subscribe(self, kinds: Iterable[str], since: int | None = None) -> Subscription:
        """Follow some kinds: from a version on, or (None) from all existing objects as ADDED."""
        names = tuple(kinds)
        if since is None:
            waiting = [Change(ADDED, stored, None) for kind in names for stored in self.find(kind)]
        else:
            waiting = [change for kind in names for change in self.since(kind, since)]
        subscription = Subscription(self, names, waiting, self.version, self._backlog + len(waiting))
        for kind in names:
            self._subscriptions.setdefault(kind, {})[subscription] = None
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a receiver."""
        for kind in subscription.kinds:
            self._subscriptions.get(kind, {}).pop(subscription, None)

    async def settled(self) -> None:
        """Wait until everything written so far is on disk and told to subscribers."""
        if self._flushed is not None:
            await asyncio.shield(self._flushed)

    def close(self) -> None:
        """Write what is waiting, end every subscription and close the file."""
        self._flush()
        self.end_subscriptions()
        if self._file is not None:
            self._file.close()

    def end_subscriptions(self) -> None:
        """Let every receiver come to its end."""
        for subscription in [each for group in self._subscriptions.values() for each in group]:
            subscription.close()

    def _next(self, kind: str, body: Object) -> Stored:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        return Stored(kind, body, self.version)

    def _record(self, change: Change) -> None:
        self._history(change.stored.kind).append(change)
        self._pending.append(change)
        if self._flushed is None:
            loop = asyncio.get_running_loop()
            self._flushed = loop.create_future()
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        flushed, self._flushed = self._flushed, None
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            if self._file is not None:
                self._file.write(pending, self.version)
        except sqlite3.Error as error:
            if flushed is not None and not flushed.done():
                flushed.set_exception(error)  # whoever waits answers 500: memory and disk no longer agree
            raise
        self._tell(pending)
        if flushed is not None and not flushed.done():
            flushed.set_result(None)

    def _tell(self, changes: list[Change]) -> None:
        self.told_version = changes[-1].stored.version
        woken: dict[Subscription, None] = {}
        for change in changes:
            for subscription in list(self._subscriptions.get(change.stored.kind, ())):
                if change.stored.version > subscription.since:
                    subscription.offer(change)
                    woken[subscription] = None
        for subscription in woken:
            subscription.wake()

    def _shelf(self, kind: str) -> Shelf:
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves[kind] = Shelf()
        return shelf

    def _history(self, kind: str) -> History:
        history = self._histories.get(kind)
        if history is None:
            history = History(deque(maxlen=self._history_length), self._first_version)
            self._histories[kind] = history
        return history


class DataFileError(Exception):
    """The file cannot be used: no such place, no database, or another process has it."""


class Disk:
    """The file behind a store: the current revision of each object, and the counter."""

    _SCHEMA = """
        CREATE TABLE IF NOT EXISTS objects (
            kind TEXT, namespace TEXT, name TEXT, version INTEGER, body BLOB,
            PRIMARY KEY (kind, namespace, name)
        );
        CREATE TABLE IF NOT EXISTS counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER);
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=1)
            # One process alone: two clusters over one file would each believe in its own objects.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.executescript(self._SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise DataFileError(f"{path}: {error}") from error

    def load(self) -> Iterator[Stored]:
        """Return every object as it was last written."""
        for kind, version, body in self._connection.execute("SELECT kind, version, body FROM objects"):
            yield Stored(kind, orjson.loads(body), version)

    def load_version(self) -> int:
        """Return the counter as it was last written."""
        row = self._connection.execute("SELECT version FROM counter").fetchone()
        return int(row[0]) if row else 0

    def write(self, changes: list[Change], version: int) -> None:
        """Write the outcome of some changes and the counter, all or nothing."""
        last = {(change.stored.kind, *change.stored.key): change for change in changes}
        kept = [_row(change.stored) for change in last.values() if change.type != DELETED]
        gone = [key for key, change in last.items() if change.type == DELETED]
        cursor = self._connection.cursor()
        cursor.execute("BEGIN")
        cursor.executemany("REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", kept)
        cursor.executemany("DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?", gone)
        cursor.execute("REPLACE INTO counter VALUES (1, ?)", (version,))
        cursor.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _row(stored: Stored) -> tuple[Any, ...]:
    return stored.kind, stored.namespace, stored.name, stored.version, stored.encoded
