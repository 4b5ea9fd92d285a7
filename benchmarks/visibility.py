"""How long until what was written can be read: from the append of an event to its row in a query's answer.

Ours: `WorkloadSubmitted` is appended to the journal, and the status service is asked for the workload over HTTP, either
with `at_least=<position>` (one request, which waits) or again and again until it is there. The clock starts before the
append. The ceiling: the row is upserted into PostgreSQL and selected over another connection, nothing between.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from uuid import UUID, uuid4

import asyncpg
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal

from benchmarks.events import project, submitted
from benchmarks.harness import Benchmark, Contest, Figure, Sample, percentile, scaled
from benchmarks.http_client import Connection, request
from benchmarks.servers import Servers

EVENTS = 200
AT_LEAST = "event to query, at_least"
PLAIN = "event to query, polled"
BARE = "PostgreSQL upsert, then select"
PATIENCE_SECONDS = 10.0


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    amount = scaled(EVENTS, scale, 5)
    async with Servers.open() as servers:
        nats, postgres = await servers.nats(), await servers.postgres()
        await servers.cluster()
        status = await servers.service("status", nats, postgres_dsn=postgres.dsn("muster"))
        journal = await nats.journal(Writer.SUBMITTER)
        await journal.append(project(), expected=0)
        rows = await BareRows.open(servers, await postgres.create_database("bare"))
        async with Connection.open(status) as connection:
            queries = Queries(journal, connection)
            for _ in range(5):
                await queries.at_least()
                await rows.round_trip()

            async def ours() -> Sample:
                waited = await _latencies(queries.at_least, amount)
                return _sample(waited, await _latencies(queries.polled, amount))

            async def bare() -> Sample:
                found = await _latencies(rows.round_trip, amount)
                return _sample(found, found)

            yield Contest(ours, bare)


class Queries:
    """Appends a submission, and asks until it is there."""

    def __init__(self, journal: JetStreamJournal, connection: Connection) -> None:
        self._journal = journal
        self._connection = connection

    async def at_least(self) -> None:
        """Ask once, with the position."""
        workload_id = uuid4()
        position = await self._journal.append(submitted(workload_id), expected=0)
        if not await self._is_there(workload_id, f"?at_least={position}"):
            raise Unavailable(f"The status service does not show {workload_id} at position {position}.")

    async def polled(self) -> None:
        """Ask until it is there."""
        workload_id = uuid4()
        await self._journal.append(submitted(workload_id), expected=0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await self._is_there(workload_id, ""):
                pass  # every question is a round trip

    async def _is_there(self, workload_id: UUID, query: str) -> bool:
        answer = await self._connection.ask(request("GET", f"/api/v1/workloads/{workload_id}{query}"))
        if answer.status not in {200, 404}:
            raise Unavailable(f"The status service answered {answer.status}: {answer.body[:200]!r}")
        return answer.status == 200


class BareRows:
    """One table, written over one connection and read over another."""

    def __init__(self, writing: "asyncpg.Connection", reading: "asyncpg.Connection") -> None:
        self._writing = writing
        self._reading = reading

    @classmethod
    async def open(cls, servers: Servers, dsn: str) -> "BareRows":
        """Connect twice and make the table."""
        writing, reading = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        servers.cleanup.push_async_callback(writing.close)
        servers.cleanup.push_async_callback(reading.close)
        await writing.execute("CREATE TABLE workload (id uuid PRIMARY KEY, version bigint, facts jsonb)")
        return cls(writing, reading)

    async def round_trip(self) -> None:
        """Write a row, then read it."""
        event = submitted()
        upsert = "INSERT INTO workload VALUES ($1, 1, $2) ON CONFLICT (id) DO UPDATE SET facts = excluded.facts"
        await self._writing.execute(upsert, event.workload_id, event.model_dump_json())
        found = await self._reading.fetchrow("SELECT * FROM workload WHERE id = $1", event.workload_id)
        assert found is not None, "a committed row was not there"


async def _latencies(once: Callable[[], Awaitable[None]], amount: int) -> list[float]:
    """Return how many milliseconds each of a number of turns took."""
    found: list[float] = []
    for _ in range(amount):
        began = perf_counter()
        await once()
        found.append((perf_counter() - began) * 1000)
    return found


def _sample(at_least: list[float], polled: list[float]) -> Sample:
    return {
        f"{name}, p{percent}": percentile(values, percent)
        for name, values in ((AT_LEAST, at_least), (PLAIN, polled))
        for percent in (50, 99)
    }


BENCHMARK = Benchmark(
    "visibility",
    [
        Figure(f"{name}, p{percent}", "ms", BARE, more_is_better=False)
        for name in (AT_LEAST, PLAIN)
        for percent in (50, 99)
    ],
    _open,
)
