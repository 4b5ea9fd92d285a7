"""Get, list and watch.

Answers are joined from the bytes the store has already written; only Tables and other versions of a custom kind are
made per request. A list in pages shows each page as the cluster is then, all under the first page's resourceVersion:
a watch from there tells of everything that changed between the pages, so a client ends up with the same objects.
"""

import asyncio
import base64
import bisect
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass

import orjson

from simcluster import list_options, selectors, tables
from simcluster.errors import ApiError, bad_request, expired
from simcluster.registry import Registry
from simcluster.resources import Object, Resource
from simcluster.revisions import ADDED, DELETED, MODIFIED, Change, Stored, watch_frame
from simcluster.store import Store
from simcluster.subscription import Subscription
from simcluster.wire import Request, Response, to_response

_WATCH_SECONDS = 1800
_BOOKMARK_SECONDS = 30.0
_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True)
class Reader:
    """Answers the reads of one kind under one of its versions."""

    registry: Registry
    resource: Resource
    version: str

    def get(self, namespace: str | None, name: str, request: Request) -> Response:
        """Answer with one object."""
        list_options.check_get(request, self.registry.store.version)
        return self.show(self.registry.existing(self.resource.key, namespace, name), request)

    def show(self, stored: Stored, request: Request, status: int = 200) -> Response:
        """Answer with an object in the form the client asks for."""
        table = tables.wanted(request)
        if table:
            version = stored.body["metadata"].get("resourceVersion", "")
            return to_response(self._table([stored], {"resourceVersion": version}, table), status)
        return Response(status, self._encoded(stored, _partial_wanted(request)))

    def show_list(self, namespace: str | None, request: Request) -> Response:
        """Answer with a list, whole or in pages."""
        store = self.registry.store
        list_options.check_list(request, store.version)
        start, version = _continue_from(request, store, self.resource.key)
        chosen = _after(self._chosen(namespace, request), start)
        limit = max(request.number("limit") or 0, 0)
        page, rest = (chosen[:limit], len(chosen) - limit) if limit else (chosen, 0)
        metadata: Object = {"resourceVersion": str(version)}
        if rest > 0:
            metadata |= {"continue": _token(version, page[-1]), "remainingItemCount": rest}
        table = tables.wanted(request)
        if table:
            return to_response(self._table(page, metadata, table))
        return Response(200, self._encoded_list(page, metadata, partial=_partial_wanted(request)))

    def watch(self, namespace: str | None, request: Request) -> Response:
        """Answer with a stream of changes."""
        return Response(200, Watch(self, namespace, request).stream())

    def select(self, namespace: str | None, request: Request) -> list[Stored]:
        """Return the objects a collection request means, as they are now."""
        return list(self._chosen(namespace, request))

    def _chosen(self, namespace: str | None, request: Request) -> list[Stored]:
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        matches = selectors.compile_query(labels, fields)
        found = self.registry.store.find(self.resource.key, namespace)
        return [stored for stored in found if matches(stored.body)] if matches else found

    def _table(self, page: Iterable[Stored], metadata: Object, include: str) -> Object:
        bodies = [self.at_version(stored) for stored in page]
        return tables.to_table(self.resource, bodies, metadata, include, self.registry.clock.now())

    def at_version(self, stored: Stored) -> Object:
        """Return an object under the version it was asked for."""
        if self.version == self.resource.version:
            return stored.body
        group = self.resource.group
        return stored.body | {"apiVersion": f"{group}/{self.version}" if group else self.version}

    def _encoded(self, stored: Stored, partial: bool) -> bytes:
        if partial:
            return orjson.dumps(_partial(stored.body))
        return stored.encoded if self.version == self.resource.version else orjson.dumps(self.at_version(stored))

    def _encoded_list(self, page: Iterable[Stored], metadata: Object, *, partial: bool) -> bytes:
        kind = "PartialObjectMetadataList" if partial else f"{self.resource.kind}List"
        group = "meta.k8s.io/v1" if partial else self._api_version()
        head = orjson.dumps({"kind": kind, "apiVersion": group, "metadata": metadata})
        untyped = not (partial or self.resource.custom)  # the list says what its items are; of custom kinds, each does
        items = b",".join(stored.untyped if untyped else self._encoded(stored, partial) for stored in page)
        return b'%b,"items":[%b]}' % (head[:-1], items)

    def _api_version(self) -> str:
        return f"{self.resource.group}/{self.version}" if self.resource.group else self.version

    def frame(self, kind_of_change: str, change: Change, include: str, *, partial: bool) -> bytes:
        """Return the line that shows a change to one watch, in that watch's form."""
        if include:
            table = self._table([change.stored], {"resourceVersion": str(change.stored.version)}, include)
            return watch_frame(kind_of_change, orjson.dumps(table))
        if kind_of_change == change.type and self.version == self.resource.version and not partial:
            return change.frame
        return watch_frame(kind_of_change, self._encoded(change.stored, partial))

    def bookmark(self, version: int, annotations: Object | None = None) -> bytes:
        """Return the line that tells a watch how far it has come."""
        metadata: Object = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        marked = {"kind": self.resource.kind, "apiVersion": self._api_version(), "metadata": metadata}
        return watch_frame("BOOKMARK", orjson.dumps(marked))


class Watch:
    """One watch: what it was asked for, and the stream that answers."""

    def __init__(self, reader: Reader, namespace: str | None, request: Request) -> None:
        self._reader = reader
        self._store = reader.registry.store
        self._key = reader.resource.key
        self._namespace = namespace
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        self._matches = selectors.compile_query(labels, fields)
        self._table = tables.wanted(request)
        self._partial = _partial_wanted(request)
        self._bookmarks = request.flag("allowWatchBookmarks")
        self._initial = request.query.get("sendInitialEvents")
        self._since = list_options.watched_from(request)  # 0: from whatever is there
        self._seconds = request.number("timeoutSeconds") or _WATCH_SECONDS

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield lines of JSON until the time is over, the server stops or the client goes."""
        try:
            subscription, first = self._open()
        except ApiError as error:
            yield watch_frame("ERROR", orjson.dumps(error.to_status()))
            return
        alarms = _Alarms(subscription, self._seconds)
        try:
            yield first  # empty at the least: it sends the headers
            async for frames in self._follow(subscription, alarms):
                yield frames
        finally:
            alarms.cancel()
            subscription.close()

    def _open(self) -> tuple[Subscription, bytes]:
        """Subscribe and return what is to be shown before the first change."""
        from_now = self._initial == "false" and not self._since
        if self._since and self._initial != "true":
            return self._store.subscribe([self._key], self._since), b""
        if from_now:
            return self._store.subscribe([self._key], self._store.version), b""
        existing = [Change(ADDED, stored, None) for stored in self._store.find(self._key, self._namespace)]
        first = self._frames(existing)
        subscription = self._store.subscribe([self._key], self._store.version)
        if self._initial == "true" and self._bookmarks:
            first += self._reader.bookmark(self._store.version, _INITIAL_EVENTS_END)
        return subscription, first

    async def _follow(self, subscription: Subscription, alarms: "_Alarms") -> AsyncIterator[bytes]:
        version = self._store.version
        while not subscription.closed:
            # A watch from the future says nothing until that has come, as after a restored backup.
            changes = [change for change in await subscription.batch() if change.stored.version > self._since]
            if changes:
                version = changes[-1].stored.version
            frames = self._frames(changes)
            if self._bookmarks and alarms.bookmark_due():
                version = max(version, self._settled_version(subscription))
                frames += self._reader.bookmark(version) if version >= self._since else b""
            if frames:
                yield frames
            if alarms.over:
                return
        if subscription.overrun:
            error = expired("the watch fell too far behind; list again")
            yield watch_frame("ERROR", orjson.dumps(error.to_status()))

    def _settled_version(self, subscription: Subscription) -> int:
        """Return the version up to which this watch has been shown everything."""
        return 0 if subscription.has_waiting else self._store.told_version

    def _frames(self, changes: Iterable[Change]) -> bytes:
        return b"".join(self._shown(changes))

    def _shown(self, changes: Iterable[Change]) -> Iterable[bytes]:
        for change in changes:
            if self._namespace is not None and change.stored.namespace != self._namespace:
                continue
            kind = change.type if self._matches is None else _seen_through(self._matches, change)
            if kind is not None:
                yield self._reader.frame(kind, change, self._table, partial=self._partial)


def _seen_through(matches: Callable[[Object], bool], change: Change) -> str | None:
    """Return what a change is to a watch with a selector: an object may come into sight or leave it."""
    matched = change.previous is not None and matches(change.previous.body)
    if change.type == DELETED:
        return DELETED if matched else None
    if matches(change.stored.body):
        return MODIFIED if matched else ADDED
    return DELETED if matched else None


class _Alarms:
    """Wakes a watch when its time is over and, from time to time, for a bookmark."""

    def __init__(self, subscription: Subscription, seconds: float) -> None:
        self.over = False
        self._subscription = subscription
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.call_later(seconds, self._finish)
        self._bookmark_due = False
        self._bookmark = self._loop.call_later(_BOOKMARK_SECONDS, self._mark)

    def bookmark_due(self) -> bool:
        """Say, once, that a bookmark is due; one always is at the end."""
        due, self._bookmark_due = self._bookmark_due or self.over, False
        return due

    def cancel(self) -> None:
        self._end.cancel()
        self._bookmark.cancel()

    def _finish(self) -> None:
        self.over = True
        self._subscription.nudge()

    def _mark(self) -> None:
        self._bookmark_due = True
        self._bookmark = self._loop.call_later(_BOOKMARK_SECONDS, self._mark)
        self._subscription.nudge()


def _continue_from(request: Request, store: Store, kind: str) -> tuple[tuple[str, str] | None, int]:
    """Return the key after which a page starts and the version all pages share; ApiError 410 when that is forgotten."""
    token = request.query.get("continue", "")
    if not token:
        return None, store.version
    try:
        version, namespace, name = orjson.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise bad_request("continue key is not valid") from None
    try:
        store.since(kind, version)
    except ApiError:
        why = "The provided continue parameter is too old to display a consistent list result; list again without it."
        raise expired(why) from None
    return (namespace, name), version


def _token(version: int, last: Stored) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([version, last.namespace, last.name])).decode()


def _after(chosen: list[Stored], start: tuple[str, str] | None) -> list[Stored]:
    return chosen if start is None else chosen[bisect.bisect_right(chosen, start, key=lambda stored: stored.key) :]


def _partial_wanted(request: Request) -> bool:
    return "as=PartialObjectMetadata" in request.accept


def _partial(body: Object) -> Object:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": body["metadata"]}
