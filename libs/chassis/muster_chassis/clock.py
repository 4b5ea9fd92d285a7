"""What time it is. The only place in Muster's services that asks the machine.

Folds never use a clock: their *now* is the time of the last event they folded. Handlers get a `Clock`; simulations give
them one that follows the virtual time of their event loop.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        return datetime.now(UTC)


class LoopClock:
    """A clock that follows the running event loop's time from a given start, for worlds with virtual time."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._zero = asyncio.get_running_loop().time()

    def now(self) -> datetime:
        """Return the start plus what has passed on the event loop."""
        return self._start + timedelta(seconds=asyncio.get_running_loop().time() - self._zero)
