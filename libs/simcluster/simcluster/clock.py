"""Time, as everything in the simulated cluster reads it.

Nothing here or beside it asks the operating system for the hour: the API server, the controllers and the kubelets
are given a `Clock`. `LoopClock` follows the event loop, real or virtual; `ManualClock` stands still until a test
advances it. Kubernetes writes instants with whole seconds (`to_timestamp`) or with microseconds
(`to_micro_timestamp`), always in UTC.
"""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What tells the hour and lets a coroutine wait."""

    def now(self) -> datetime:
        """Return the instant, aware and in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until that many seconds of this clock have passed."""
        ...


class LoopClock:
    """A clock that runs as the event loop's does, from a given instant on.

    Under a loop with virtual time it is virtual too. It must be made while the loop runs.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin = self._loop.time()
        self._start = start if start is not None else datetime.now(UTC)

    def now(self) -> datetime:
        """Return the start plus what the loop has counted since."""
        return self._start + timedelta(seconds=self._loop.time() - self._begin)

    async def sleep(self, seconds: float) -> None:
        """Wait on the loop; a negative time is no wait but still lets others run."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until a test advances it."""

    # Turns of the loop given to those who were woken, before the clock moves on: enough for a
    # change to travel from a kubelet through the store to a controller and back a few times.
    settling_turns = 50

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """Return the instant the test has reached."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the clock that far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Move on, waking each sleeper at its own instant and letting it act before the next."""
        target = self._now + timedelta(seconds=seconds)
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            self._now = max(self._now, self._sleepers[0][0])
            self._wake_due()
            await self._settle()
        self._now = target
        await self._settle()

    def _wake_due(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._now:
            woken = heapq.heappop(self._sleepers)[2]
            if not woken.done():
                woken.set_result(None)

    async def _settle(self) -> None:
        for _ in range(self.settling_turns):
            await asyncio.sleep(0)


def to_timestamp(instant: datetime) -> str:
    """Write an instant as `metav1.Time` does: `2026-01-01T00:00:00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_micro_timestamp(instant: datetime) -> str:
    """Write an instant as `metav1.MicroTime` does: `2026-01-01T00:00:00.000000Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_timestamp(text: str) -> datetime:
    """Read either form; ValueError when it is neither."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
