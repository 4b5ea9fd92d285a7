"""Leases on a NATS key-value bucket whose entries run out by themselves (`provision` makes it).

An entry holds the name of its holder. Every write expects the revision that was read before it, so of several who want
a lease at once one gets it. Reading asks the leader of the bucket: a replica may be behind.

Pitfall. An answer that is lost leaves open whether the entry was written; the next `hold` reads it first and finds out.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from muster_contracts.errors import Unavailable

from muster_journal.connection import EXPECTED, NO_MESSAGE_FOUND, WRONG_LAST_SEQUENCE, Connection, Login, ServerError
from muster_journal.permissions import LEASES_BUCKET

_DELETED = {"KV-Operation": "DEL"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """Who holds a lease, nobody if empty, and the revision that the next write must expect."""

    holder: str = ""
    revision: int = 0


class JetStreamLeases:
    """The leases of a cluster, seen over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, servers: Sequence[str], *, user: str, password: str, name: str) -> Self:
        """Connect. Raises Unavailable when the server does not let us in."""
        return cls(await Connection.open(Login(tuple(servers), user, password, name), timeout_seconds=10.0))

    async def hold(self, name: str, holder: str) -> bool:
        """Take or renew a lease; see the port."""
        try:
            entry = await self._read(name)
            return entry.holder in {"", holder} and await self._write(name, holder, entry.revision)
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"It is not known who holds the lease {name}: {error}.") from error

    async def let_go(self, name: str, holder: str) -> None:
        """Give a lease back; see the port."""
        try:
            entry = await self._read(name)
            if entry.holder == holder:
                await self._write(name, "", entry.revision, _DELETED)
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"The lease {name} was not given back: {error}.") from error

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    async def _read(self, name: str) -> _Entry:
        request = {"last_by_subj": _subject(name)}
        try:
            answer = await self._connection.request(f"$JS.API.STREAM.MSG.GET.KV_{LEASES_BUCKET}", request)
        except ServerError as error:
            if error.code == NO_MESSAGE_FOUND:
                return _Entry()
            raise
        found = answer["message"]
        return _Entry(base64.b64decode(found.get("data", "")).decode(), found["seq"])

    async def _write(self, name: str, holder: str, revision: int, headers: dict[str, str] | None = None) -> bool:
        """Write an entry; say whether it was us who wrote after that revision."""
        headers = {EXPECTED: str(revision), **(headers or {})}
        try:
            await self._connection.publish(_subject(name), holder.encode(), headers)
        except ServerError as error:
            if error.code == WRONG_LAST_SEQUENCE:
                return False
            raise
        return True


def _subject(name: str) -> str:
    return f"$KV.{LEASES_BUCKET}.{name}"
