"""Who may lead: a lease that is renewed as long as this scheduler lives. `planning` takes the lead once it is ours.

The lease is about liveness: of several healthy schedulers one plans, and the others fold along until it runs out. It
makes nothing safe. A scheduler that was paused may wake up and believe what it believed; it then fails on the plan
subject, and its bindings on the versions of the pods. It counts from before it asked, by its own clock, so that it
stops believing at the latest when the lease has run out for the others.
"""

import asyncio

import structlog
from muster_contracts.errors import Unavailable
from muster_journal.leases import LEASE_SECONDS, Leases

log = structlog.get_logger()

LEASE = "scheduler"


class Leadership:
    """The lease of one scheduler; `holder` is its name, which no other that lives has."""

    def __init__(self, leases: Leases, holder: str, renewal_seconds: float) -> None:
        self.holder = holder
        self._leases = leases
        self._renewal_seconds = renewal_seconds
        self._until = 0.0
        self._held = asyncio.Event()

    @property
    def is_ours(self) -> bool:
        """Whether the lease has not run out, as far as we know."""
        return asyncio.get_running_loop().time() < self._until

    async def until_ours(self) -> None:
        """Wait until we hold the lease."""
        while not self.is_ours:
            self._held.clear()
            await self._held.wait()

    async def run(self) -> None:
        """Take the lease when it is free and renew it. Raises Unavailable when it runs out unrenewed."""
        while True:
            try:
                await self._look()
            except Unavailable:
                if not self.is_ours:
                    raise
            await asyncio.sleep(self._renewal_seconds)

    async def _look(self) -> None:
        asked, before = asyncio.get_running_loop().time(), self.is_ours
        held = await self._leases.hold(LEASE, self.holder)
        self._until = asked + LEASE_SECONDS if held else 0.0
        if held:  # also when it was ours before we asked: it may have run out, and somebody seen it, since
            self._held.set()
        if held != before:
            log.info("The lease of the scheduler changed hands.", ours=held, holder=self.holder)

    async def let_go(self) -> None:
        """Give the lease back at the end, so that a successor need not wait for it."""
        try:
            await self._leases.let_go(LEASE, self.holder)
        except Unavailable as error:
            log.info("The lease runs out by itself.", reason=str(error))
