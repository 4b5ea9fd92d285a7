"""Checkpoints on a JetStream stream that keeps the last message of every subject (`provision` makes it).

A checkpoint may be larger than a message, so it is cut into parts, which lie in a numbered place. One message under the
name lists what is kept: in which place, in how many parts, and what the parts come to. A save fills a place that is not
on the list and then writes the list anew: until then all that was kept is whole. There is one place more than what is
kept at most, so nothing ever has to be deleted. Messages of one name are all the service's own (`permissions`). Reading
asks the leader of the stream: a replica may be behind.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import count
from typing import Self
from uuid import UUID

from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer

from muster_journal.checkpoints import Checkpoint, kept_beside, last_until
from muster_journal.connection import NO_MESSAGE_FOUND, Connection, Login, ServerError
from muster_journal.permissions import CHECKPOINTS, CHECKPOINTS_STREAM

PART_BYTES = 512 * 1024
"""Well under what a server takes in one message; a hundred thousand pods make some twenty-five of them."""
_KEPT = "kept"


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a checkpoint lies, in how many parts, and what is said of it."""

    place: int
    parts: int
    digest: str
    size: int
    position: int
    event_id: str
    code: str

    def __post_init__(self) -> None:
        """Raise ValueError or TypeError when a field is not of its type, so that whoever loads need not."""
        if wrong := [each.name for each in fields(self) if type(getattr(self, each.name)) is not each.type]:
            raise TypeError(f"{', '.join(wrong)} of a checkpoint cannot be read")
        UUID(self.event_id)


class JetStreamCheckpoints:
    """The checkpoints of one service, seen over one connection."""

    def __init__(self, connection: Connection, writer: Writer) -> None:
        self._connection = connection
        self._writer = writer

    @classmethod
    async def connect(cls, servers: Sequence[str], writer: Writer, *, user: str, password: str, name: str) -> Self:
        """Connect. Raises Unavailable when the server does not let us in."""
        login = Login(tuple(servers), user, password, name)
        return cls(await Connection.open(login, timeout_seconds=10.0), writer)

    async def positions(self, name: str) -> Sequence[int]:
        """Return where checkpoints are kept; see the port."""
        try:
            return [stored.position for stored in await self._kept(name)]
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"The checkpoints {name} cannot be listed: {error}.") from error

    async def load(self, name: str, until: int | None = None) -> Checkpoint | None:
        """Return a checkpoint; see the port."""
        try:
            stored = last_until(await self._kept(name), until)
            if stored is None:
                return None
            parts = [await self._read(self._part(name, stored.place, number)) for number in range(stored.parts)]
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"The checkpoint {name} cannot be read: {error}.") from error
        body = b"".join(part or b"" for part in parts)
        if _digest(body) != stored.digest:
            return None  # two saved at once
        return Checkpoint(stored.position, UUID(stored.event_id), stored.code, body)

    async def save(self, name: str, checkpoint: Checkpoint, *, most: int = 1) -> None:
        """Keep a checkpoint; see the port."""
        body = checkpoint.body
        parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
        try:
            before = await self._kept(name)
            taken = {stored.place for stored in before}
            place = next(place for place in count() if place not in taken)
            for number, part in enumerate(parts):
                await self._connection.publish(self._part(name, place, number), part, {})
            new = _stored(checkpoint, place, len(parts))
            await self._connection.publish(self._subject(name), _listed(kept_beside(before, new, most)), {})
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"The checkpoint {name} was not saved: {error}.") from error

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    async def _kept(self, name: str) -> list[_Stored]:
        found = await self._read(self._subject(name))
        try:
            return [_Stored(**stored) for stored in json.loads(found)[_KEPT]] if found else []
        except (TypeError, KeyError, ValueError):
            return []  # another release says other things of them, or it is damaged

    async def _read(self, subject: str) -> bytes | None:
        request = {"last_by_subj": subject}
        try:
            answer = await self._connection.request(f"$JS.API.STREAM.MSG.GET.{CHECKPOINTS_STREAM}", request)
        except ServerError as error:
            if error.code == NO_MESSAGE_FOUND:
                return None
            raise
        return base64.b64decode(answer["message"].get("data", ""))

    def _subject(self, name: str) -> str:
        return f"{CHECKPOINTS}.{self._writer}.{name}"

    def _part(self, name: str, place: int, number: int) -> str:
        return f"{self._subject(name)}.{place}.{number}"


def _stored(checkpoint: Checkpoint, place: int, parts: int) -> _Stored:
    event_id, digest = str(checkpoint.event_id), _digest(checkpoint.body)
    return _Stored(place, parts, digest, checkpoint.size, checkpoint.position, event_id, checkpoint.code)


def _listed(kept: Sequence[_Stored]) -> bytes:
    return json.dumps({_KEPT: [asdict(stored) for stored in kept]}).encode()


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
