"""The bus in memory, for worlds without NATS: verdicts are kept to be looked at, replays come out of a queue."""

import asyncio
from collections.abc import Sequence

from muster_chassis.clock import Clock
from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.verdicts import Verdict

from muster_submitter.bus import BusCommand, Parked


class MemoryBus:
    """Holds what was said and what was parked; `commands` are what a door would be handed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lot: dict[int, Parked] = {}
        self._last = 0
        self.verdicts: list[tuple[str, Verdict]] = []
        self.commands: asyncio.Queue[BusCommand] = asyncio.Queue()

    async def say(self, application: str, verdict: Verdict) -> None:
        """Keep a verdict."""
        self.verdicts.append((application, verdict))

    async def park(self, command: BusCommand, reason: str) -> None:
        """Put a command into the lot."""
        self._last += 1
        self._lot[self._last] = Parked(self._last, command, reason, self._clock.now())

    async def parked(self, after: int, limit: int) -> Sequence[Parked]:
        """Return the lot, in order."""
        return [parked for sequence, parked in sorted(self._lot.items()) if sequence > after][:limit]

    async def replay(self, sequence: int) -> None:
        """Hand a parked command to the door again."""
        self.commands.put_nowait(self._take(sequence).command)

    async def drop(self, sequence: int) -> None:
        """Forget a parked command."""
        self._take(sequence)

    async def close(self) -> None:
        """Hold nothing that needs closing."""

    def _take(self, sequence: int) -> Parked:
        if sequence not in self._lot:
            raise Refused(RefusalCode.NOT_FOUND, f"No command is parked under number {sequence}.")
        return self._lot.pop(sequence)
