"""Reading the journal into something: every fold and every projector does it through `follow_into`.

A reader is handed whole batches and says how far it has come. One with checkpoints begins where the last one stood, and
makes others (`checkpointing`). `Progress` lets others wait until a reader has come to a position, which is how a client
reads its own writes (`at_least`) and how a lost race is decided anew.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from muster_contracts.errors import Unavailable
from muster_journal.port import Batch, Journal

from muster_chassis.checkpointing import Checkpointing
from muster_chassis.health import Health

Apply = Callable[[Batch], Awaitable[None]]


class Progress:
    """How far one reader has come, and whether it has seen the end of the journal since it started.

    Who waits for a position is woken when it is reached and not before: hundreds wait while much is written.
    """

    def __init__(self, position: int = 0) -> None:
        self.position = position
        self.stopped = ""
        """Why the reader has stopped for good, if it has."""
        self._seen_the_end = asyncio.Event()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []  # a heap, by position and order of arrival
        self._arrivals = count()

    @property
    def caught_up(self) -> bool:
        """Whether the reader has seen the end of the journal."""
        return self._seen_the_end.is_set()

    def advance(self, position: int, *, caught_up: bool) -> None:
        """Note the position reached and wake whoever waits for it."""
        self.position = max(self.position, position)
        if caught_up:
            self._seen_the_end.set()
        self._wake(self.position)

    def stop(self, reason: str) -> None:
        """Note that the reader will come no further, and tell whoever waits for it."""
        self.stopped = reason
        self._wake(math.inf)

    def check(self) -> None:
        """Raise Unavailable when the reader has stopped: who decides from what it read decides from the past."""
        if self.stopped:
            raise Unavailable(f"The journal is not read on. {self.stopped}")

    def _wake(self, position: float) -> None:
        while self._waiting and self._waiting[0][0] <= position:
            _, _, reached = heappop(self._waiting)
            if not reached.done():
                reached.set_result(None)

    async def reach(self, position: int, *, timeout_seconds: float = 10.0) -> None:
        """Wait until the reader has come to a position. Raises Unavailable when it takes too long or never will."""
        if self.position >= position:
            return
        self.check()
        reached = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (position, next(self._arrivals), reached))
        try:
            async with asyncio.timeout(timeout_seconds):
                await reached
        except TimeoutError:
            raise Unavailable(f"Position {position} is not read yet; the reader is at {self.position}.") from None
        if self.position < position:
            self.check()

    async def catch_up(self) -> None:
        """Wait until the reader has seen the end of the journal once."""
        await self._seen_the_end.wait()


async def follow_into(
    journal: Journal,
    apply: Apply,
    progress: Progress,
    health: Health,
    loop: str,
    checkpointing: Checkpointing[Any] | None = None,
) -> None:
    """Hand every event after the reader's position to `apply`, batch by batch, for ever."""
    try:
        if checkpointing is not None and not progress.position:
            progress.advance(await checkpointing.restore(journal), caught_up=False)
        health.reached(loop, progress.position, progress.position)
        async for batch in journal.follow(progress.position):
            await apply(batch)
            position = batch.events[-1].position if batch.events else progress.position
            progress.advance(position, caught_up=batch.caught_up)
            if checkpointing is not None:
                checkpointing.note(batch, behind=not progress.caught_up)
            health.reached(loop, position, batch.end)
            health.runs(loop)
    except Unavailable:
        raise
    except Exception as error:
        progress.stop(str(error) or type(error).__name__)
        raise
