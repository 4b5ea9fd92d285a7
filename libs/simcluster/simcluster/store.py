"""Every object of the cluster, its history and those who watch it.

One counter gives every change its resourceVersion. `revisions` has what is kept, `shelf` the objects of a kind,
`subscription` those who watch, `disk` the file.

Changes are gathered during a turn of the event loop, then written to disk in one transaction, and only then shown to
subscribers and acknowledged (`settled`): what a watcher has seen, a restart still knows.

A restart forgets the history but not the counter, so a watch from before it is told that its version is too old,
or goes on when it had seen everything.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from simcluster.disk import Disk
from simcluster.resources import Object
from simcluster.revisions import ADDED, DELETED, MODIFIED, Change, History, Stored
from simcluster.shelf import Shelf
from simcluster.subscription import Subscription


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
        subscription = Subscription(self.unsubscribe, names, waiting, self.version, self._backlog + len(waiting))
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
