"""Doing what the fold says is still to be done: key by key, several at once, with back-off, never twice at once.

A service does not queue *what* to do, only *about whom*: the deed reads the present state when it runs, so repeating
it is harmless and a restart loses nothing (the fold says again what is open). A deed that fails with the world's error
is tried again later; the caller's and ours are the deed's own business and end the loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from random import Random
from typing import Generic, TypeVar

import structlog
from muster_contracts.errors import Unavailable

from muster_chassis.backoff import Backoff

Key = TypeVar("Key", bound=Hashable)
log = structlog.get_logger()


class Deeds(Generic[Key]):
    """A set of keys somebody has to look at, and the loop that does."""

    def __init__(self, do: Callable[[Key], Awaitable[None]], *, random: Random, concurrency: int = 16) -> None:
        self._do = do
        self._random = random
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting: dict[Key, None] = {}  # in order of arrival, each once
        self._backoffs: dict[Key, Backoff] = {}
        self._busy: set[Key] = set()
        self._again: set[Key] = set()
        self._arrived = asyncio.Event()

    def want(self, key: Key) -> None:
        """Ask that somebody look at this key soon; asking while it is being looked at means once more afterwards."""
        if key in self._busy:
            self._again.add(key)
            return
        self._waiting[key] = None
        self._arrived.set()

    @property
    def open(self) -> int:
        """How many keys wait or are being looked at."""
        return len(self._waiting) + len(self._busy) + len(self._backoffs)

    async def run(self) -> None:
        """Look at keys as they come, until cancelled; an error that is not the world's ends it."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._arrived.wait()
                await self._slots.acquire()
                if not self._waiting:
                    self._slots.release()
                    self._arrived.clear()
                    continue
                key = next(iter(self._waiting))
                del self._waiting[key]
                self._busy.add(key)
                tasks.create_task(self._attempt(key))

    async def _attempt(self, key: Key) -> None:
        try:
            await self._do(key)
            self._backoffs.pop(key, None)
        except Unavailable as error:
            self._try_again_later(key, error)
        finally:
            self._busy.discard(key)
            self._slots.release()
        if key in self._again:
            self._again.discard(key)
            self.want(key)

    def _try_again_later(self, key: Key, error: Unavailable) -> None:
        backoff = self._backoffs.setdefault(key, Backoff(self._random))
        pause_seconds = backoff.next_pause_seconds()
        log.info("A deed failed and will be tried again.", key=str(key), reason=str(error), pause_seconds=pause_seconds)
        asyncio.get_running_loop().call_later(pause_seconds, self.want, key)
