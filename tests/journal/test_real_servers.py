"""The servers under the tests and the local stack: what they keep, what they refuse, who may read their passwords."""

import asyncio
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
from muster_contracts.errors import Unavailable
from muster_local.nats_server import find_binary
from muster_local.postgres_server import PostgresServer
from servers import RunningNats, free_port, spawn, stop, until_ready


async def test_postgres_keeps_what_was_committed_when_it_is_killed(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), free_port(), "a secret")
    server.prepare()
    process = await started(server)
    try:
        connection = await asyncpg.connect(await server.create_database("muster"))
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        stop(process, signal.SIGKILL)
        server.prepare()
        process = await started(server)
        connection = await asyncpg.connect(await server.create_database("muster"))
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()
    finally:
        stop(process, signal.SIGINT)


async def started(server: PostgresServer) -> subprocess.Popen[bytes]:
    """Start as a supervisor does: again, while the children of a killed server still hold the data."""
    async with asyncio.timeout(60):
        while True:
            process = spawn(server.command(), server.directory / "log")
            try:
                await until_ready(server, process)
            except AssertionError:
                await asyncio.sleep(0.1)
            else:
                return process


async def test_postgres_asks_for_a_password(postgres_server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_server.dsn().replace(postgres_server.password, "guessed"))


def test_data_of_another_major_version_are_refused_in_one_sentence(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path, free_port(), "a secret")
    server.data_directory.mkdir()
    (server.data_directory / "PG_VERSION").write_text("9\n")
    with pytest.raises(Unavailable, match="are of PostgreSQL 9, but this is PostgreSQL 18"):
        server.prepare()


async def test_every_test_has_an_empty_database_of_its_own(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()


async def test_the_passwords_in_the_configuration_of_nats_are_its_owners_alone(nats_server: RunningNats) -> None:
    file = nats_server.server.configuration_file
    assert file.stat().st_mode & 0o077 == 0
    assert nats_server.password_of("scheduler") in file.read_text()


def test_the_nats_server_is_found_where_its_wheel_put_it() -> None:
    version = subprocess.run([find_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("nats-server: v2.")
