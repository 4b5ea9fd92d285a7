"""Any process is killed at any moment while fifty workloads run: nothing is lost, doubled or stuck.

One seed is one order of victims and the moments of their deaths; `pytest tests/system/test_kills.py -k "[3]"` takes
one seed alone.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import httpx
import pytest
from system.conftest import Running, running_stack

WORKLOADS = 50
MUSTER = ("submitter", "integrations", "scheduler", "status", "nats", "postgres")
"""Who is killed in every seed; the simulated cluster is no part of Muster, and dies in the long runs only."""

SPREAD_SECONDS = 6.0
"""Over which submissions and deaths are spread, so that every death finds work under way."""

PATIENCE_SECONDS = 120

Dump = dict[str, list[str]]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A stack whose services save checkpoints so often that each of their lives begins at one."""
    async with running_stack(tmp_path / "state", MUSTER_CHECKPOINT_EVENTS="40") as running:
        yield running


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_doubled_or_stuck_whoever_is_killed(running: Running, seed: int) -> None:
    await live_through(running, Random(seed), MUSTER)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3, 13))
async def test_nothing_is_lost_doubled_or_stuck_whoever_is_killed_in_many_orders(running: Running, seed: int) -> None:
    await live_through(running, Random(seed), MUSTER)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 106))
async def test_nothing_is_lost_doubled_or_stuck_when_the_cluster_dies_too(running: Running, seed: int) -> None:
    await live_through(running, Random(seed), (*MUSTER, *MUSTER, "cluster", "cluster"))


async def test_read_models_that_were_lost_or_are_of_another_version_come_back_row_by_row(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.stack.url, timeout=30) as client:
        await asyncio.gather(*(submit(client, number) for number in range(10)))
        await until_all_completed(client, 10)
        lived = await dump(running)
        assert len(lived["workload"]) == 10
        await make_database_anew(running)
        await until_rows_are(running, lived)
        await make_tables_of_another_version(running)
        await kill(running, "status")
        await until_rows_are(running, lived)
        assert (await client.get("/api/v1/workloads", params={"limit": 100})).status_code == 200


async def live_through(running: Running, random: Random, victims: Sequence[str]) -> None:
    """Submit and kill, and check in the end that nothing shows of it."""
    async with httpx.AsyncClient(base_url=running.stack.url, timeout=30) as client:
        moments = sorted(random.random() * SPREAD_SECONDS for _ in range(WORKLOADS))
        killing = asyncio.create_task(kill_at_random(running, random, victims))
        ids = await asyncio.gather(*(submit(client, number, moment) for number, moment in enumerate(moments)))
        await killing
        rows = await until_all_completed(client, WORKLOADS)
        assert sorted(row["id"] for row in rows) == sorted(ids)
        await assert_the_journal_is_flawless(client)
        lived = await dump(running)
        await make_database_anew(running)
        await until_rows_are(running, lived)


async def submit(client: httpx.AsyncClient, number: int, moment: float = 0.0) -> str:
    """Submit as a client does that keeps its key until it has an answer."""
    body = {
        "name": f"work-{number}",
        "project": "demo",
        "idempotency_key": f"key-{number}",
        "spec": {
            "image": "python:3.12",
            "compute": {"gpu_devices": number % 3},
            "parallelism": 1 + number % 2,
            "min_members": 1 + number % 2,
            "annotations": {"sim.run-seconds": str(1 + number % 5)},
        },
    }
    await asyncio.sleep(moment)
    while True:
        try:
            answer = await client.post("/api/v1/workloads/trainings", json=body)
        except httpx.TransportError:
            await asyncio.sleep(0.2)
            continue
        if answer.status_code == 503:
            await asyncio.sleep(0.2)
            continue
        assert answer.status_code == 202, answer.text
        return str(answer.json()["workload_id"])


async def kill_at_random(running: Running, random: Random, victims: Sequence[str]) -> None:
    """Kill everybody once, in a random order, at random moments; who is just being started again is waited for."""
    moments = sorted(random.random() * SPREAD_SECONDS * len(victims) / len(MUSTER) for _ in victims)
    for pause, victim in zip(
        (b - a for a, b in zip([0.0, *moments], moments, strict=False)),
        random.sample(victims, len(victims)),
        strict=True,
    ):
        await asyncio.sleep(pause)
        await kill(running, victim)


async def kill(running: Running, victim: str) -> None:
    """Kill a process, or the next one if it is just being started again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        pid = running.stack.processes[victim].pid
        while pid is None:
            await asyncio.sleep(0.02)
            pid = running.stack.processes[victim].pid
    os.kill(pid, signal.SIGKILL)


async def until_all_completed(client: httpx.AsyncClient, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(rows) != count or any(row["phase"] != "Completed" for row in rows):
                await asyncio.sleep(0.3)
                rows = await workloads(client)
    except TimeoutError:
        raise AssertionError(f"stuck: {[row for row in rows if row['phase'] != 'Completed']}") from None
    return rows


async def workloads(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return all rows; none while nobody answers."""
    try:
        answer = await client.get("/api/v1/workloads", params={"limit": 100})
    except httpx.TransportError:
        return []
    return list(answer.json()["workloads"]) if answer.status_code == 200 else []


async def assert_the_journal_is_flawless(client: httpx.AsyncClient) -> None:
    """No pod was bound twice, every phase follows from what was seen, and the rows are what a new fold makes."""
    events = await whole_journal(client)
    scheduled = [event["data"] for event in events if event["type"].startswith("PodScheduled")]
    bound = Counter(pod["pod_id"] for data in scheduled for pod in data["pods"])
    assert len(bound) >= WORKLOADS
    assert max(bound.values()) == 1, bound.most_common(3)
    submitted = Counter(event["data"]["name"] for event in events if event["type"].startswith("WorkloadSubmitted"))
    assert submitted == {f"work-{number}": 1 for number in range(WORKLOADS)}
    verified = (await client.get("/api/v1/audit/verify")).json()
    assert verified["ok"], verified["differences"]


async def whole_journal(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["position"] if events else 0
        page = (await client.get("/api/v1/journal", params={"after": after, "limit": 500})).json()["events"]
        if not page:
            return events
        events += page


async def dump(running: Running) -> Dump:
    """Return every row of every table as text, in order; nothing while there is no database."""
    try:
        connection = await asyncpg.connect(dsn(running, "muster"))
    except (OSError, asyncpg.PostgresError):
        return {}
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'muster' ORDER BY 1")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return {name: await rows_of(connection, name) for (name,) in tables}
    except asyncpg.PostgresError:
        return {}  # dropped under our eyes
    finally:
        await connection.close()


async def rows_of(connection: Any, table: str) -> list[str]:
    return [row[0] for row in await connection.fetch(f'SELECT t::text FROM muster."{table}" t ORDER BY 1')]


async def until_rows_are(running: Running, expected: Dump) -> None:
    """Wait until the tables stand where they stood, and compare everything in them."""
    found = await dump(running)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while any(found.get(table) != expected[table] for table in ("position", "schema_version")):
            await asyncio.sleep(0.1)
            found = await dump(running)
    for table, rows in expected.items():
        assert found[table] == rows, table


async def make_database_anew(running: Running) -> None:
    """Drop the database under the living service, as an operator does who wants the read models rebuilt."""
    assert running.stack.postgres is not None
    connection = await asyncpg.connect(dsn(running, "postgres"))
    await connection.execute("DROP DATABASE muster WITH (FORCE)")
    await connection.close()
    await running.stack.postgres.create_database()


async def make_tables_of_another_version(running: Running) -> None:
    connection = await asyncpg.connect(dsn(running, "muster"))
    await connection.execute("UPDATE muster.schema_version SET version = 'of-long-ago'")
    await connection.execute("ALTER TABLE muster.workload DROP COLUMN name")
    await connection.close()


def dsn(running: Running, database: str) -> str:
    assert running.stack.postgres is not None
    return running.stack.postgres.dsn(database)
