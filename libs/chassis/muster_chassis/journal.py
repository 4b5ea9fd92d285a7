"""How a service reaches its journal: as itself, with the credentials of its settings, stamping with its clock.

Used by `app.py` alone; whatever else a service opens at the same NATS server starts from the same `login_of`.
"""

from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoints
from muster_journal.connection import Login
from muster_journal.jetstream import JetStreamJournal
from muster_journal.jetstream_checkpoints import JetStreamCheckpoints
from muster_journal.jetstream_leases import JetStreamLeases
from muster_journal.leases import Leases
from muster_journal.port import Journal

from muster_chassis.clock import Clock
from muster_chassis.settings import ServiceSettings


def login_of(settings: ServiceSettings, writer: Writer, name: str = "") -> Login:
    """Return who a service is to NATS, and where that is. `name` tells its connections apart in the monitoring."""
    user = settings.nats_user or writer.value
    return Login(tuple(settings.nats_url.split(",")), user, settings.nats_password, name or f"muster-{writer}")


async def open_journal(settings: ServiceSettings, writer: Writer, clock: Clock) -> Journal:
    """Connect to the journal as one writer. Raises Unavailable when the server does not let us in."""
    login = login_of(settings, writer)
    return await JetStreamJournal.connect(
        login.servers, writer, user=login.user, password=login.password, now=clock.now, name=login.name
    )


async def open_leases(settings: ServiceSettings, writer: Writer) -> Leases:
    """Connect to the leases as one writer. Raises Unavailable when the server does not let us in."""
    login = login_of(settings, writer, f"muster-{writer}-leases")
    return await JetStreamLeases.connect(login.servers, user=login.user, password=login.password, name=login.name)


async def open_checkpoints(settings: ServiceSettings, writer: Writer, *, of: Writer | None = None) -> Checkpoints:
    """Connect as one writer to its checkpoints, or to those `of` another, which it may read and not write.

    Raises Unavailable when the server does not let us in.
    """
    login = login_of(settings, writer, f"muster-{writer}-checkpoints" + (f"-of-{of}" if of else ""))
    return await JetStreamCheckpoints.connect(
        login.servers, of or writer, user=login.user, password=login.password, name=login.name
    )
