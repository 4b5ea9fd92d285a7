"""A stream of changes, from the store to one who watches."""

import asyncio
from collections import deque
from collections.abc import Callable

from simcluster.resources import Object
from simcluster.revisions import Change


class Subscription:
    """A stream of changes of some kinds: an async iterator of (type, object).

    `batches` gives the same as lists of `Change`, all there are at a time; use one or the other.
    """

    def __init__(
        self,
        forget: Callable[["Subscription"], None],
        kinds: tuple[str, ...],
        waiting: list[Change],
        since: int,
        limit: int,
    ) -> None:
        self.kinds = kinds
        self.since = since
        self.overrun = False
        self._forget = forget
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
        self._forget(self)
        self.wake()

    async def _until_something(self) -> None:
        while not self._waiting and not self._closed and not self._nudged:
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
