"""Which kinds are watched: those of the table that the API server serves, and whatever owners' kinds turn up.

What is served is asked at the start, whenever a definition of a custom resource comes or goes, when an owner of a kind
nobody knows is met, and every few minutes besides (a group may have been down). Each kind has a reflector of its own
and an entry in the health picture. A kind that we may not read is no trouble: its pods are known by references and
labels then. Without pods and nodes there is nothing to say, so these are waited for.
"""

import asyncio
from contextlib import aclosing
from functools import partial
from random import Random
from typing import Any, Final

import structlog
from muster_chassis.backoff import Backoff
from muster_chassis.health import Health
from muster_chassis.service import supervise
from muster_cluster.objects import NODES, PODS, Described
from muster_cluster.port import Cluster, NotFound, Resource, Served, ServedKind
from muster_cluster.reflector import Batch, Delta, Reflector
from muster_contracts.errors import Unavailable

from muster_integrations.handlers import Recorder
from muster_integrations.recognition import storage
from muster_integrations.recognition.kinds import KindName
from muster_integrations.recognition.resolution import Reading
from muster_integrations.recognition.table import TABLE

log = structlog.get_logger()

DEFINITIONS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", Described, namespaced=False
)
ESSENTIAL: Final = (NODES, PODS)
HEALTH_SECONDS = 5.0  # between looks at how the reflectors fare
FAILURES_TO_TELL = 3  # in a row; one broken watch is everyday life
DISCOVERY_SECONDS = 300.0
SILENCE_SECONDS = 10.0  # while somebody did not answer for a group


def loop_of(resource: Resource[Any]) -> str:
    """Return the name of the loop that watches a kind."""
    return f"watch {resource.plural}"


class Watches:
    """All reflectors, and when to begin another."""

    def __init__(self, cluster: Cluster, recorder: Recorder, health: Health, random: Random, page_size: int) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._health = health
        self._random = random
        self._page_size = page_size
        self._running: dict[KindName, Resource[Any]] = {}
        self._hidden: set[str] = set()
        self._ask_again = recorder.unknown_kind_met
        self._patience_seconds = DISCOVERY_SECONDS

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as tasks:
            await self._discover(tasks)
            self._recorder.must_list(tuple(self._running.values()))
            tasks.create_task(self._watch_definitions())
            while True:
                await self._wait_for_news()
                await self._discover(tasks)

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._ask_again.wait()
        except TimeoutError:
            pass
        self._ask_again.clear()

    async def _discover(self, tasks: asyncio.TaskGroup) -> None:
        """Ask what is served, and begin to watch what concerns us and is not watched yet."""
        answer = await self._ask_what_is_served()
        self._patience_seconds = SILENCE_SECONDS if answer.silent else DISCOVERY_SECONDS
        served = {(kind.group, kind.kind): kind for kind in answer.kinds}
        wanted = [NODES, *(kind for kind in storage.KINDS if (kind.group, kind.kind) in served)]
        wanted += [resource for name in self._wanted() if (resource := _resource(name, served)) is not None]
        for resource in wanted:
            if (resource.group, resource.kind) not in self._running:
                self._running[resource.group, resource.kind] = resource
                loop = partial(self._watch, resource)
                tasks.create_task(supervise(loop_of(resource), loop, self._health, self._random))
        for name in self._wanted():
            if name not in self._running:
                self._recorder.reads(name, Reading.FORBIDDEN if name[0] in answer.silent else Reading.ABSENT)

    def _wanted(self) -> list[KindName]:
        table = [name for name, kind in TABLE.items() if kind.watch is not None]
        return list(dict.fromkeys((*table, *self._recorder.unknown_kinds)))

    async def _ask_what_is_served(self) -> Served:
        backoff = Backoff(self._random)
        while True:
            try:
                return await self._cluster.served_kinds()
            except Unavailable as error:
                log.warning("Nobody says which kinds are served; asking again.", reason=str(error))
                await asyncio.sleep(backoff.next_pause_seconds())

    async def _watch(self, resource: Resource[Any]) -> None:
        reflector = Reflector(self._cluster, resource, random=self._random, page_size=self._page_size)
        report = asyncio.create_task(self._report(reflector, loop_of(resource)))
        try:
            async with aclosing(reflector.run()) as batches:
                async for batch in batches:
                    self._take(resource, batch)
        except NotFound:
            self._end(resource, reflector)
        finally:
            report.cancel()

    def _take(self, resource: Resource[Any], batch: Batch[Any]) -> None:
        loop = loop_of(resource)
        if not batch.unreadable:
            self._recorder.take(resource, batch)
            if batch.synced:
                self._hidden.discard(loop)
                self._health.runs(loop)
        elif resource not in ESSENTIAL:
            self._recorder.reads((resource.group, resource.kind), Reading.FORBIDDEN)
            self._hidden.add(loop)
            self._health.runs(loop, "We may not read this kind.")

    def _end(self, resource: Resource[Any], reflector: Reflector[Any]) -> None:
        """Stop watching a kind that is not served any more; whatever it had is gone."""
        log.info("A kind is not served any more.", kind=resource.kind, group=resource.group)
        gone = [Delta(item, None, seen=False) for item in reflector.items.values()]
        self._recorder.take(resource, Batch(gone, synced=True))
        self._recorder.reads((resource.group, resource.kind), Reading.ABSENT)
        self._running.pop((resource.group, resource.kind), None)
        self._health.loops.pop(loop_of(resource), None)

    async def _watch_definitions(self) -> None:
        """Ask anew whenever a definition comes, goes or changes; where these may not be read, time has to do."""
        reflector = Reflector(self._cluster, DEFINITIONS, random=self._random, page_size=self._page_size)
        try:
            async with aclosing(reflector.run()) as batches:
                async for batch in batches:
                    if batch.deltas:
                        self._ask_again.set()
        except NotFound:
            log.info("The API server serves no definitions of custom resources.")

    async def _report(self, reflector: Reflector[Any], loop: str) -> None:
        """Say of a reflector's loop that it waits, while it has not listed its kind or cannot reach the API server."""
        while True:
            if loop in self._hidden:
                pass  # said already, and no trouble
            elif reflector.failures >= FAILURES_TO_TELL:
                failed = f"It failed {reflector.failures} times in a row, the last time with: {reflector.trouble}"
                self._health.waits(loop, failed)
            elif not reflector.resource_version:
                self._health.waits(loop, "The list is not complete.")
            else:
                self._health.runs(loop)
            await asyncio.sleep(HEALTH_SECONDS)


def _resource(name: KindName, served: dict[KindName, ServedKind]) -> Resource[Any] | None:
    """Return how a kind is read; None when it is not served. Of a kind nobody knows the metadata are enough."""
    found = served.get(name)
    if found is None:
        return None
    known = TABLE.get(name)
    model: type[Any] = known.watch.model if known is not None and known.watch is not None else Described
    return Resource(found.group, found.version, found.plural, found.kind, model, found.namespaced)
