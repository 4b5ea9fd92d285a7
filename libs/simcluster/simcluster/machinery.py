"""What drives kubelet, scheduler and controllers: one queue of keys, one heap of timers.

A `Reconciler` names the kinds it watches, says which keys a change concerns, and brings one key at a time to where it
should be; it reads the store anew each time, so a change seen twice, late or together with others does no harm. The
queue holds a key once however often it is asked for, and all of a reconciler's work for one change is done before the
event loop turns again: nobody's half-finished work is ever seen, and there are no conflicts among controllers.

A write that admission webhooks must see interrupts a reconciler (`Unreviewed`): the webhooks are asked while others
work, and the key comes back when they have answered. Whatever the reconciler wrote before stands, as after a refusal.

A reconciler may answer with an instant at which it wants the key back. Refusals of the API (`ApiError`) are the
world's: the key comes back after a growing delay. An object that makes no sense (a field of the wrong kind, which
Kubernetes would have refused) must not take the cluster down, now and again at every start: its key is parked with
the reason, logged as an error, and tried again when it changes. A failed assertion is ours and ends `run`.
"""

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from simcluster.admission import Caller, Unreviewed
from simcluster.client import Client
from simcluster.clock import Clock
from simcluster.errors import ApiError
from simcluster.identity import User, service_account
from simcluster.resources import Object, ResourceTable

log = logging.getLogger(__name__)

Key = tuple[str, ...]
MALFORMED = (LookupError, TypeError, ValueError, AttributeError)
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


class Change(NamedTuple):
    """What the store tells: an object of a kind was `ADDED`, `MODIFIED` or `DELETED`."""

    kind: str
    type: str
    object: Object


class Reconciler(Protocol):
    """One controller: what it watches and how it brings one key in order."""

    @property
    def watches(self) -> tuple[str, ...] | None:
        """The kinds whose changes it is shown; None for all there are, also those that come later."""
        ...

    def keys(self, change: Change) -> Iterable[Key]:
        """Return what a change puts in question."""
        ...

    def reconcile(self, key: Key) -> datetime | None:
        """Bring one key in order; return when to look again, if time alone will change something."""
        ...


_Item = tuple[Reconciler, Key]


class Machinery:
    """Runs reconcilers over one client until it is cancelled."""

    # Keys worked on before the loop turns: some milliseconds, so that requests are still answered meanwhile.
    keys_per_turn = 50
    first_retry = timedelta(seconds=1)
    longest_retry = timedelta(minutes=1)

    def __init__(
        self, client: Client, clock: Clock, resources: ResourceTable, reconcilers: Sequence[Reconciler]
    ) -> None:
        self._client = client
        self._clock = clock
        self._resources = resources
        self._reconcilers = reconcilers
        self._interested: dict[str, list[Reconciler]] = {}
        self._queue: deque[_Item] = deque()
        self._queued: set[_Item] = set()
        self._work = asyncio.Event()
        self._timers: list[tuple[datetime, int, _Item]] = []
        self._due: dict[_Item, datetime] = {}
        self._order = itertools.count()
        self._failures: dict[_Item, int] = {}
        self._alarm: tuple[datetime, asyncio.Task[None]] | None = None
        self._parked: dict[_Item, str] = {}
        self._users = {id(each): _user(each) for each in reconcilers}
        self._callers: dict[_Item, Caller] = {}  # of keys that wait for admission webhooks
        self._waiting: set[_Item] = set()

    @property
    def idle(self) -> bool:
        """Whether nothing is queued: all that is left waits for time or for a change."""
        return not self._queue

    @property
    def parked(self) -> dict[str, str]:
        """What no controller can work on, and why."""
        return {f"{type(item[0]).__name__} {'/'.join(item[1])}": why for item, why in self._parked.items()}

    async def run(self) -> None:
        """Watch, work and wait, until cancelled or until a bug of ours ends it."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._watch_kinds()
            tasks.create_task(self._work_off())

    def _watch_kinds(self) -> None:
        for kind in [resource.key for resource in self._resources]:
            if kind not in self._interested:
                self._watch(kind)

    def _watch(self, kind: str) -> None:
        interested = [each for each in self._reconcilers if each.watches is None or kind in each.watches]
        self._interested[kind] = interested
        if interested or kind == DEFINITIONS:
            self._tasks.create_task(self._pump(kind, interested))

    async def _pump(self, kind: str, interested: list[Reconciler]) -> None:
        subscription = self._client.subscribe([kind])
        async for type_, obj in subscription:
            if kind == DEFINITIONS:
                self._watch_kinds()
            for reconciler in interested:
                self._note(reconciler, Change(kind, type_, obj))
        assert not subscription.overrun, f"changes of {kind} were lost: the controllers no longer know the cluster"

    def _note(self, reconciler: Reconciler, change: Change) -> None:
        metadata = change.object["metadata"]
        about = (reconciler, (change.kind, metadata.get("namespace", ""), metadata["name"]))
        try:
            for key in reconciler.keys(change):
                self._enqueue((reconciler, key))
        except MALFORMED as error:
            self._park(about, error)
        else:
            self._parked.pop(about, None)

    def _park(self, item: _Item, error: Exception) -> None:
        if item not in self._parked:
            log.error(
                "%s cannot work on %s and leaves it alone.", type(item[0]).__name__, "/".join(item[1]), exc_info=error
            )
        self._parked[item] = f"{type(error).__name__}: {error}"

    def _enqueue(self, item: _Item) -> None:
        if item not in self._queued and item not in self._waiting:
            self._queued.add(item)
            self._queue.append(item)
            self._work.set()

    async def _work_off(self) -> None:
        while True:
            await self._work.wait()
            for _ in range(min(self.keys_per_turn, len(self._queue))):
                self._take_next()
            if not self._queue:
                self._work.clear()
            self._set_alarm()
            await asyncio.sleep(0)

    def _take_next(self) -> None:
        item = self._queue.popleft()
        self._queued.discard(item)
        try:
            again = self._reconcile(item)
        except Unreviewed as question:
            self._waiting.add(item)
            self._tasks.create_task(self._ask(item, question))
            return
        except ApiError as error:
            again = self._retry_at(item, error)
        except MALFORMED as error:
            self._park(item, error)
            again = None
        else:
            self._failures.pop(item, None)
            self._parked.pop(item, None)
        self._callers.pop(item, None)
        self._call_back(item, again)

    def _reconcile(self, item: _Item) -> datetime | None:
        """Let a reconciler work on a key, its writes made in its own name."""
        reconciler, key = item
        self._client.caller = self._callers.get(item) or Caller(self._users[id(reconciler)])
        try:
            return reconciler.reconcile(key)
        except Unreviewed:
            self._callers[item] = self._client.caller
            raise
        finally:
            self._client.caller = None

    async def _ask(self, item: _Item, question: Unreviewed) -> None:
        """Bring a key back when webhooks have answered about the write it could not make without them."""
        await question.ask()
        self._waiting.discard(item)
        self._enqueue(item)

    def _retry_at(self, item: _Item, error: ApiError) -> datetime:
        failures = self._failures[item] = self._failures.get(item, 0) + 1
        log.info(
            "A controller was refused and will try again.",
            extra={"controller": type(item[0]).__name__, "key": item[1], "why": error.message},
        )
        return self._clock.now() + min(self.first_retry * 2.0 ** min(failures - 1, 10), self.longest_retry)

    def _call_back(self, item: _Item, instant: datetime | None) -> None:
        if instant is None:
            self._due.pop(item, None)
        elif self._due.get(item) != instant:
            self._due[item] = instant
            heapq.heappush(self._timers, (instant, next(self._order), item))

    def _set_alarm(self) -> None:
        if not self._timers or (self._alarm and self._alarm[0] <= self._timers[0][0]):
            return
        if self._alarm:
            self._alarm[1].cancel()
        instant = self._timers[0][0]
        self._alarm = (instant, self._tasks.create_task(self._ring(instant)))

    async def _ring(self, instant: datetime) -> None:
        await self._clock.sleep((instant - self._clock.now()).total_seconds())
        self._alarm = None
        self._release_due(self._clock.now())
        self._set_alarm()

    def _release_due(self, now: datetime) -> None:
        while self._timers and self._timers[0][0] <= now:
            instant, _, item = heapq.heappop(self._timers)
            if self._due.get(item) == instant:  # else the key was given another instant since
                del self._due[item]
                self._enqueue(item)


_USERS = {
    "Kubelet": User("system:node", groups=("system:nodes", "system:authenticated")),
    "DefaultScheduler": User("system:kube-scheduler", groups=("system:authenticated",)),
}


def _user(reconciler: Reconciler) -> User:
    """Return in whose name a reconciler writes: as in Kubernetes, a service account called like the controller."""
    name = type(reconciler).__name__
    known = _USERS.get(name)
    dashed = "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
    return known or service_account("kube-system", dashed)
