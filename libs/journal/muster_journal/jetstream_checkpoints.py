"""Checkpoints on a JetStream stream that keeps the last message of every subject (`provision` makes it).

A checkpoint may be larger than a message, so it is cut into parts. There are two places for parts, and one message
that says which of them is current, and what the parts come to. A save fills the other place and then says so: until
then the old checkpoint is whole, and nothing ever has to be deleted. Messages of one name are all the service's own
(`permissions`). Reading asks the leader of the stream: a replica may be behind.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer

from muster_journal.checkpoints import Checkpoint
from muster_journal.connection import NO_MESSAGE_FOUND, Connection, Login, ServerError
from muster_journal.permissions import CHECKPOINTS, CHECKPOINTS_STREAM

PART_BYTES = 512 * 1024
"""Well under what a server takes in one message; a hundred thousand pods make some twenty-five of them."""


@dataclass(frozen=True, slots=True)
class _Current:
    """Which place holds the checkpoint, in how many parts, and what is said of it."""

    place: int
    parts: int
    digest: str
    position: int
    event_id: str
    code: str

    def to_json(self) -> bytes:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()


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

    async def load(self, name: str) -> Checkpoint | None:
        """Return the last whole checkpoint; see the port."""
        try:
            current = await self._current(name)
            if current is None:
                return None
            parts = [await self._read(self._part(name, current.place, number)) for number in range(current.parts)]
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"The checkpoint {name} cannot be read: {error}.") from error
        body = b"".join(part or b"" for part in parts)
        if _digest(body) != current.digest:
            return None  # two saved at once
        return Checkpoint(current.position, UUID(current.event_id), current.code, body)

    async def save(self, name: str, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the one before; see the port."""
        body = checkpoint.body
        parts = [body[start : start + PART_BYTES] for start in range(0, len(body), PART_BYTES)]
        try:
            before = await self._current(name)
            place = 1 - before.place if before else 0
            for number, part in enumerate(parts):
                await self._connection.publish(self._part(name, place, number), part, {})
            event_id = str(checkpoint.event_id)
            current = _Current(place, len(parts), _digest(body), checkpoint.position, event_id, checkpoint.code)
            await self._connection.publish(self._subject(name), current.to_json(), {})
        except (TimeoutError, ServerError) as error:
            raise Unavailable(f"The checkpoint {name} was not saved: {error}.") from error

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    async def _current(self, name: str) -> _Current | None:
        found = await self._read(self._subject(name))
        if found is None:
            return None
        try:
            return _Current(**json.loads(found))
        except TypeError:
            return None  # another release says other things of it

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


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
