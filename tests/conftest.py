"""Fixtures every test may ask for: a real NATS server with its streams, a journal per writer, a real database."""

import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal
from muster_journal.permissions import Application
from muster_local.postgres_server import PostgresServer

pytest.register_assert_rewrite("journal.conformance")
sys.path.insert(0, str(Path(__file__).parent))  # so that every test may say `from servers import ...`

from servers import RunningNats, running_nats, running_postgres  # noqa: E402

OpenJournal = Callable[..., Awaitable[JetStreamJournal]]


@pytest.fixture
async def nats_server() -> AsyncIterator[RunningNats]:
    """A NATS server of this test alone: streams, a user per service, and the applications `argo` and `auditor`.

    `nats_server.url`, `.password_of("scheduler")`, `.kill()`, `await .start()`. Users are named like the writers.
    """
    applications = (
        Application("argo", secrets.token_urlsafe(12)),
        Application("auditor", secrets.token_urlsafe(12), reads_events=True),
    )
    async with running_nats(applications) as nats:
        yield nats


@pytest.fixture
async def open_journal(nats_server: RunningNats) -> AsyncIterator[OpenJournal]:
    """Return `await open_journal(Writer.STATUS, now=clock.now)`: a connected journal, closed when the test ends."""
    opened: list[JetStreamJournal] = []

    async def open_one(
        writer: Writer, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), url: str = ""
    ) -> JetStreamJournal:
        journal = await JetStreamJournal.connect(
            [url or nats_server.url], writer, user=writer.value, password=nats_server.password_of(writer), now=now
        )
        opened.append(journal)
        return journal

    yield open_one
    for journal in opened:
        await journal.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests of a run."""
    with running_postgres() as server:
        yield server


@pytest.fixture
async def postgres_dsn(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """The address of an empty database of this test alone."""
    name = f"test_{secrets.token_hex(6)}"
    yield await postgres_server.create_database(name)
    connection = await asyncpg.connect(postgres_server.dsn())
    await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await connection.close()
