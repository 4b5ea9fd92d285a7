"""Leases in memory, for worlds in one process: they run out by the time of the event loop, which may be virtual."""

import asyncio
from dataclasses import dataclass

from muster_journal.leases import LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class _Lease:
    holder: str
    until: float


class MemoryLeases:
    """The leases of one world; everybody in it shares them."""

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}

    async def hold(self, name: str, holder: str) -> bool:
        """Take or renew a lease; see the port."""
        now = asyncio.get_running_loop().time()
        present = self._leases.get(name)
        if present is not None and present.holder != holder and present.until > now:
            return False
        self._leases[name] = _Lease(holder, now + LEASE_SECONDS)
        return True

    async def let_go(self, name: str, holder: str) -> None:
        """Give a lease back; see the port."""
        present = self._leases.get(name)
        if present is not None and present.holder == holder:
            del self._leases[name]

    async def close(self) -> None:
        """Hold no connection, let go of none."""
