"""Fixtures of the journal's tests: raw connections to the bus, as anybody."""

from collections.abc import AsyncIterator, Awaitable, Callable

import nats
import pytest
from muster_journal.permissions import ADMINISTRATOR, inbox_prefix
from nats.aio.client import Client
from servers import RunningNats

ConnectAs = Callable[[str], Awaitable[Client]]


@pytest.fixture
async def connect_as(nats_server: RunningNats) -> AsyncIterator[ConnectAs]:
    """Return `await connect_as("scheduler")`: a plain client, whose `complaints` list what the server refused."""
    clients: list[Client] = []

    async def connect(user: str) -> Client:
        complaints: list[str] = []

        async def complain(error: Exception) -> None:
            complaints.append(str(error))

        password = nats_server.administrator_password if user == ADMINISTRATOR else nats_server.password_of(user)
        client = await nats.connect(
            nats_server.url, user=user, password=password, inbox_prefix=inbox_prefix(user), error_cb=complain
        )
        client.complaints = complaints  # type: ignore[attr-defined]
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def administrator(connect_as: ConnectAs) -> Client:
    return await connect_as(ADMINISTRATOR)
