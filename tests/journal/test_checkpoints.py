"""Both kinds of checkpoints under their conformance suite, and saves that do not come to their end."""

from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from journal.checkpoint_conformance import LARGE, CheckpointConformance, OpenCheckpoints, checkpoint
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_journal.checkpoints import Checkpoint, Checkpoints, kept_beside
from muster_journal.connection import Connection, Login
from muster_journal.jetstream_checkpoints import JetStreamCheckpoints, _digest, _listed, _Stored
from muster_journal.memory_checkpoints import MemoryCheckpoints
from servers import RunningNats

EVENT = UUID(int=1)


class TestMemoryCheckpoints(CheckpointConformance):
    """The twin."""

    @pytest.fixture
    def open_checkpoints(self) -> OpenCheckpoints:
        checkpoints = MemoryCheckpoints()

        async def open_them() -> Checkpoints:
            return checkpoints

        return open_them


def kept_after(saves: int, most: int, size: int = 1) -> list[int]:
    kept: list[Checkpoint] = []
    for position in range(1, saves + 1):
        kept = kept_beside(kept, Checkpoint(position, EVENT, "code", b"x" * size), most)
    return [one.position for one in kept]


@pytest.mark.parametrize("saves", [1, 64, 65, 100, 400, 2000])
def test_every_moment_lies_soon_after_a_checkpoint_and_what_is_near_is_near_one(saves: int) -> None:
    kept = kept_after(saves, most=64)
    assert len(kept) == min(saves, 64)
    assert kept[-1] == saves
    for before, after in pairwise([0, *kept]):
        assert after - before <= max(1, (saves - before) / 5)


def test_what_is_kept_is_bounded_by_its_size_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster_journal.checkpoints.MOST_BYTES", 1000)
    assert len(kept_after(50, most=20, size=100)) == 10
    assert kept_after(50, most=20, size=2000) == [50]


@pytest.fixture
async def open_on_server(nats_server: RunningNats) -> AsyncIterator[OpenCheckpoints]:
    opened: list[Checkpoints] = []

    async def open_one() -> Checkpoints:
        user = Writer.STATUS.value
        checkpoints = await JetStreamCheckpoints.connect(
            [nats_server.url], Writer.STATUS, user=user, password=nats_server.password_of(user), name="test"
        )
        opened.append(checkpoints)
        return checkpoints

    yield open_one
    for checkpoints in opened:
        await checkpoints.close()


class TestJetStreamCheckpoints(CheckpointConformance):
    """The stream, as the user of a service."""

    @pytest.fixture
    def open_checkpoints(self, open_on_server: OpenCheckpoints) -> OpenCheckpoints:
        return open_on_server


class Interrupted:
    """A connection that is lost after so many messages."""

    def __init__(self, connection: Connection, messages: int) -> None:
        self._connection = connection
        self._left = messages
        self.request = connection.request

    async def publish(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        if not self._left:
            raise TimeoutError("the connection was lost")
        self._left -= 1
        return await self._connection.publish(subject, payload, dict(headers))


@pytest.mark.parametrize("messages", range(8))  # seven parts, and what says that they are current
async def test_a_save_that_is_cut_short_leaves_the_one_before(
    nats_server: RunningNats, open_on_server: OpenCheckpoints, messages: int
) -> None:
    whole, before, after = await open_on_server(), checkpoint(1, LARGE), checkpoint(2, LARGE)
    await whole.save("fold", before)
    user = Writer.STATUS.value
    login = Login((nats_server.url,), user, nats_server.password_of(user), "test")
    connection = await Connection.open(login, timeout_seconds=10.0)
    broken = JetStreamCheckpoints(Interrupted(connection, messages), Writer.STATUS)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        await broken.save("fold", after)
    assert await whole.load("fold") == before
    await whole.save("fold", after)
    assert await whole.load("fold") == after
    await connection.close()


async def test_parts_of_two_who_saved_at_once_are_no_checkpoint(open_on_server: OpenCheckpoints) -> None:
    one, other = await open_on_server(), await open_on_server()
    await one.save("fold", checkpoint(1, LARGE))
    (stored,) = await one._kept("fold")  # type: ignore[attr-defined]
    await other._connection.publish(f"muster.checkpoints.status.fold.{stored.place}.1", b"of another", {})  # type: ignore[attr-defined]
    assert await one.load("fold") is None


LISTED = _listed([_Stored(0, 0, _digest(b""), 0, 1, str(EVENT), "code")])
NO_ID = LISTED.replace(str(EVENT).encode(), b"")
NO_POSITION = LISTED.replace(b'"position": 1', b'"position": "1"')
NO_PARTS = LISTED.replace(b'"parts": 0', b'"parts": null')
OF_ANOTHER_RELEASE = [b'{"kept": [{"place": 0, "later": true}]}', b'{"place": 0, "parts": 1}', b"[]"]


@pytest.mark.parametrize("said", [*OF_ANOTHER_RELEASE, b"{", b"\xff", NO_ID, NO_POSITION, NO_PARTS])
async def test_what_another_release_wrote_or_is_damaged_is_no_checkpoint(
    open_on_server: OpenCheckpoints, said: bytes
) -> None:
    checkpoints, saved = await open_on_server(), checkpoint(1)
    await checkpoints._connection.publish("muster.checkpoints.status.rolled_back", said, {})  # type: ignore[attr-defined]
    assert await checkpoints.load("rolled_back") is None
    await checkpoints.save("rolled_back", saved)
    assert await checkpoints.load("rolled_back") == saved


async def test_a_service_saves_its_own_alone(nats_server: RunningNats) -> None:
    user = Writer.STATUS.value
    checkpoints = await JetStreamCheckpoints.connect(
        [nats_server.url], Writer.SCHEDULER, user=user, password=nats_server.password_of(user), name="test"
    )
    with pytest.raises(Unavailable):
        await checkpoints.save("fold", checkpoint(1))
    await checkpoints.close()
