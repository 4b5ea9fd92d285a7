"""Both kinds of leases under their conformance suite, and the bucket across a restart of the server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from journal.lease_conformance import LeaseConformance, OpenLeases, until_held
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_journal.jetstream_leases import JetStreamLeases
from muster_journal.leases import Leases
from muster_journal.memory_leases import MemoryLeases
from servers import RunningNats


class TestMemoryLeases(LeaseConformance):
    """The twin."""

    @pytest.fixture
    def open_leases(self) -> OpenLeases:
        leases = MemoryLeases()

        async def open_them() -> Leases:
            return leases

        return open_them


@pytest.fixture
async def open_on_server(nats_server: RunningNats) -> AsyncIterator[OpenLeases]:
    opened: list[Leases] = []

    async def open_one() -> Leases:
        user = Writer.SCHEDULER.value
        leases = await JetStreamLeases.connect(
            [nats_server.url], user=user, password=nats_server.password_of(user), name="test"
        )
        opened.append(leases)
        return leases

    yield open_one
    for leases in opened:
        await leases.close()


class TestJetStreamLeases(LeaseConformance):
    """The bucket, as the user of the scheduler."""

    @pytest.fixture
    def open_leases(self, open_on_server: OpenLeases) -> OpenLeases:
        return open_on_server


async def test_leases_are_there_again_after_a_restart_of_the_server(
    nats_server: RunningNats, open_on_server: OpenLeases
) -> None:
    leases = await open_on_server()
    assert await leases.hold("scheduler", "first")
    nats_server.kill()
    with pytest.raises(Unavailable):
        await leases.hold("scheduler", "first")
    await nats_server.start()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await leases.hold("scheduler", "first")
                break
            except Unavailable:
                await asyncio.sleep(0.1)
    await until_held(leases, "second")
