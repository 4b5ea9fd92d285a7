"""A mirror of one kind of object, and everything that happened to it, in order.

`Reflector.run` lists the kind page by page, then watches from the list's version on; it yields batches of deltas whose
chain is unbroken: a delta's `old` is always what the last delta of that object gave as `new`. Whoever applies the
deltas to a dict holds the mirror.

- A broken connection, or a watch that ended, is taken up again at the last version: nothing is missed, nothing told
  twice, and deletions in between are still *seen*.
- A version that is too old (410) means a new list. What is no longer there was deleted while nobody looked: its
  delta says `seen=False`, and nothing may be guessed about its end.
- A name with another UID is another object: the old one is gone (unseen), the new one is new.

There is no queue: the next bytes are read when the consumer asks for the next batch. A consumer that is too slow for
the server loses its watch, not its memory.

Resource versions are compared as numbers, which Kubernetes promises (KEP-5504): what repeats is not told again. A
server that was set back to an earlier state must raise its counter, as etcd's restore does with `--bump-revision`.

Pitfall: with a label selector, an object that is deleted and one that no longer matches look the same.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Generic, TypeVar

from muster_contracts.errors import Unavailable

from muster_cluster.metadata import HasMetadata, Key
from muster_cluster.port import Change, Cluster, Expired, Page, Rejected, Resource, Unreadable, WatchEvent

log = logging.getLogger(__name__)

Item = TypeVar("Item", bound=HasMetadata)


@dataclass(frozen=True, slots=True)
class Delta(Generic[Item]):
    """One step of one object: added (`old` is None), changed, or gone (`new` is None).

    Gone and `seen`: `old` is how the object was in the end. Gone and not `seen`: it is how it was when last looked at.
    """

    old: Item | None
    new: Item | None
    seen: bool = True


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """Deltas that were found together. After one that is `synced` the mirror holds everything a list has shown.

    `unreadable`: we may not read this kind now; what is in the mirror may be out of date, and a synced batch ends that.
    """

    deltas: Sequence[Delta[Item]]
    synced: bool = False
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait after a failure: twice as long each time in a row, within bounds, and never all at once."""

    shortest_seconds: float = 0.2
    longest_seconds: float = 30.0

    def after(self, failures: int, random: Random) -> float:
        """Return the seconds to wait after so many failures in a row (at least one)."""
        seconds = min(self.longest_seconds, self.shortest_seconds * 2.0 ** min(failures - 1, 30))
        return seconds * random.uniform(0.5, 1.0)


class Reflector(Generic[Item]):
    """Mirrors one kind, in one namespace or in all. To be run once."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource[Item],
        *,
        random: Random,
        namespace: str = "",
        label_selector: str = "",
        page_size: int = 500,
        patience: Patience = Patience(),
    ) -> None:
        self._cluster = cluster
        self._resource = resource
        self._random = random
        self._namespace = namespace
        self._label_selector = label_selector
        self._page_size = page_size
        self._patience = patience
        self._items: dict[Key, Item] = {}
        self._vanished: frozenset[str] = frozenset()
        self._version = ""
        self._failures = 0
        self._trouble = ""

    @property
    def items(self) -> Mapping[Key, Item]:
        """What is known, as of the last batch that was handed out."""
        return MappingProxyType(self._items)

    @property
    def resource_version(self) -> str:
        """Up to where everything is known; empty while a list is under way."""
        return self._version

    @property
    def failures(self) -> int:
        """How many attempts have failed since a watch last showed a sign of life; 0 is well."""
        return self._failures

    @property
    def trouble(self) -> str:
        """What went wrong last, as one sentence; empty when all is well."""
        return self._trouble

    async def run(self) -> AsyncGenerator[Batch[Item], None]:
        """List and watch for ever, and yield what changed. Close it (`contextlib.aclosing`) to stop.

        Raises NotFound when there is no such kind. What is refused in another way is asked again after a pause, anew
        from a list: rights and servers get mended, and `trouble` says meanwhile what is wrong.
        """
        while True:
            try:
                async with aclosing(self._watched() if self._version else self._listed()) as batches:
                    async for batch in batches:
                        yield batch
            except (Expired, Rejected) as error:
                self._version = ""
                await self._pause(error)
            except Unreadable as error:
                self._version = ""
                yield Batch((), unreadable=True)
                await self._pause(error)
            except Unavailable as error:
                await self._pause(error)

    async def _listed(self) -> AsyncGenerator[Batch[Item], None]:
        """Yield what a full list says anew, page by page; the last batch is synced and tells what has vanished.

        The watch goes on from the version of the first page: a server whose pages are not of one moment then repeats
        something rather than leaving it out.
        """
        listed: set[Key] = set()
        page = await self._page("")
        version = page.resource_version
        while page.next:
            yield Batch(self._take_in(page.items, listed))
            page = await self._page(page.next)
        last = self._take_in(page.items, listed)
        vanished = [self._items.pop(key) for key in sorted(self._items.keys() - listed)]
        self._vanished = frozenset(item.metadata.uid for item in vanished)
        self._version = version
        yield Batch((*last, *(Delta(item, None, seen=False) for item in vanished)), synced=True)

    async def _page(self, continue_from: str) -> Page[Item]:
        return await self._cluster.list_page(
            self._resource,
            namespace=self._namespace,
            label_selector=self._label_selector,
            limit=self._page_size,
            continue_from=continue_from,
        )

    def _take_in(self, items: Iterable[Item], listed: set[Key]) -> list[Delta[Item]]:
        listed.update(item.metadata.key for item in items)
        return [delta for item in items for delta in self._store(item)]

    async def _watched(self) -> AsyncGenerator[Batch[Item], None]:
        """Yield what a watch says, until it ends. One that ends at once without a word is taken for a failure."""
        started = asyncio.get_running_loop().time()
        heard = False
        async with aclosing(self._watch()) as watch:
            async for events in watch:
                heard = True
                self._be_well()
                deltas = [delta for event in events for delta in self._follow(event)]
                if deltas:
                    yield Batch(deltas)
        if not heard and asyncio.get_running_loop().time() < started + 1:
            raise Unavailable("The watch ended as soon as it began.")
        self._be_well()

    def _watch(self) -> AsyncGenerator[Sequence[WatchEvent[Item]], None]:
        return self._cluster.watch(
            self._resource,
            resource_version=self._version,
            namespace=self._namespace,
            label_selector=self._label_selector,
        )

    def _follow(self, event: WatchEvent[Item]) -> list[Delta[Item]]:
        """Return what an event changes; one from before where we are was told already."""
        if not _is_after(event.resource_version, self._version):
            return []
        self._version = event.resource_version
        item = event.item
        if item is None or self._is_outdated(item):
            return []
        deltas = self._store(item)
        if event.change is Change.DELETED:
            deltas.append(Delta(self._items.pop(item.metadata.key), None))
        return deltas

    def _is_outdated(self, item: Item) -> bool:
        """Say whether we know better: pages of a list may be younger than the version the watch began at."""
        if item.metadata.uid in self._vanished:
            return True
        known = self._items.get(item.metadata.key)
        return known is not None and not _is_after(item.metadata.resource_version, known.metadata.resource_version)

    def _store(self, item: Item) -> list[Delta[Item]]:
        """Put an item into the mirror and return the steps from what was there: none, one, or two for another UID."""
        old = self._items.get(item.metadata.key)
        self._items[item.metadata.key] = item
        if old is None:
            return [Delta(None, item)]
        if old.metadata.uid != item.metadata.uid:
            return [Delta(old, None, seen=False), Delta(None, item)]
        if old.metadata.resource_version == item.metadata.resource_version:
            self._items[item.metadata.key] = old
            return []
        return [Delta(old, item)]

    def _be_well(self) -> None:
        self._failures, self._trouble = 0, ""

    async def _pause(self, error: Expired | Rejected | Unavailable) -> None:
        self._failures += 1
        self._trouble = str(error)
        seconds = self._patience.after(self._failures, self._random)
        fields = {"kind": self._resource.kind, "reason": self._trouble, "failures": self._failures, "seconds": seconds}
        log.warning("The mirror of Kubernetes was interrupted and goes on after a pause.", extra=fields)
        await asyncio.sleep(seconds)


def _is_after(version: str, other: str) -> bool:
    """Say whether a resource version is later than another; of versions that are no numbers, any other one is."""
    if version.isdecimal() and other.isdecimal():
        return int(version) > int(other)
    return version != other
