"""Leases: who may do a thing that only one should do at a time, as long as he keeps saying that he lives.

A lease is about liveness alone. Who was paused, or is slow, may believe that he holds one that another has taken since;
what must not be done twice is guarded where it is done (the plan subject, a pod's UID and resource version).

Two implementations, `muster_journal.jetstream_leases` on a NATS key-value bucket and `muster_journal.memory_leases`,
are judged by one suite (`tests/journal/lease_conformance.py`).
"""

from typing import Protocol

LEASE_SECONDS = 3.0
"""How long a lease lasts that is not renewed. With half a second until somebody looks and a moment to take over, a new
leader is at work within five seconds; and a pause of the process or a restart of the server, of a second or two, does
not cost the lead."""


class Leases(Protocol):
    """The leases of a cluster, by name."""

    async def hold(self, name: str, holder: str) -> bool:
        """Take a lease that nobody holds, or renew one's own; say whether it is the holder's for `LEASE_SECONDS` now.

        Two with the same name of a holder are the same holder: one that starts again has what it had. Raises
        Unavailable when nobody knows.
        """
        ...

    async def let_go(self, name: str, holder: str) -> None:
        """Give a lease back, so that others need not wait until it runs out; nothing happens if another holds it."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
