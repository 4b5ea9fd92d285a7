"""Real servers for tests: NATS with its streams, and PostgreSQL, in temporary folders on free ports.

They come from wheels, so that a machine with Python alone can run every test. With `MUSTER_TEST_BACKEND=containers`
the same classes start containers with testcontainers, which needs a Docker engine.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from muster_contracts.subjects import Writer
from muster_journal.permissions import Application, ServerSettings, server_configuration
from muster_journal.provision import provision
from muster_local.nats_server import NatsServer
from muster_local.postgres_server import PostgresServer

CONTAINERS = os.environ.get("MUSTER_TEST_BACKEND", "wheels") == "containers"
NATS_IMAGE = os.environ.get("MUSTER_TEST_NATS_IMAGE", "nats:2.15-alpine")
POSTGRES_IMAGE = os.environ.get("MUSTER_TEST_POSTGRES_IMAGE", "postgres:18-alpine")
START_SECONDS = 60


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Ready(Protocol):
    """A server that can tell whether it is ready."""

    async def is_ready(self) -> bool:
        """Whether it answers."""
        ...


async def until_ready(server: Ready, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a server answers; fail at once when its process ended instead."""
    async with asyncio.timeout(START_SECONDS):
        while not await server.is_ready():
            assert process is None or process.poll() is None, f"{process.args!r} ended with {process.returncode}"
            await asyncio.sleep(0.02)


@dataclass
class RunningNats:
    """A NATS server of one test, with its streams, and a user per service; it can be killed and started again."""

    server: NatsServer
    applications: Sequence[Application]
    process: Any = None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return self.server.url

    @property
    def port(self) -> int:
        """The port on loopback."""
        return self.server.settings.port

    @property
    def administrator_password(self) -> str:
        """The password of the user `administrator`."""
        return self.server.settings.administrator_password

    def password_of(self, user: str) -> str:
        """Return the password of a service or an application."""
        own = {writer.value: password for writer, password in self.server.settings.service_passwords.items()}
        return (own | {application.name: application.password for application in self.applications})[user]

    async def start(self) -> None:
        """Start the server on what it stored before, and wait until it answers."""
        if not CONTAINERS:
            self.process = spawn(self.server.command(), self.server.directory / "nats.log")
            await until_ready(self.server, self.process)
            return
        if self.process is None:
            self.process = _nats_container(self.server)
            await asyncio.to_thread(self.process.start)
        else:
            await asyncio.to_thread(self.process.get_wrapped_container().start)
        await until_ready(self.server)

    def kill(self) -> None:
        """End the server as a crash does: SIGKILL."""
        if CONTAINERS:
            self.process.get_wrapped_container().kill()
        else:
            stop(self.process, signal.SIGKILL)

    def remove(self) -> None:
        """End the server and delete everything it stored."""
        if CONTAINERS and self.process is not None:
            self.process.stop()
        elif self.process is not None:
            stop(self.process, signal.SIGKILL)
        shutil.rmtree(self.server.directory, ignore_errors=True)


def nats_settings(directory: Path, applications: Sequence[Application] = ()) -> ServerSettings:
    """Return settings with a free port and random passwords."""
    return ServerSettings(
        port=free_port(),
        store_directory=str(directory / "store"),
        administrator_password=secrets.token_urlsafe(12),
        service_passwords={writer: secrets.token_urlsafe(12) for writer in Writer},
        applications=applications,
    )


@contextlib.asynccontextmanager
async def running_nats(applications: Sequence[Application] = ()) -> AsyncIterator[RunningNats]:
    """Run a NATS server with the streams of Muster for as long as the block lasts."""
    directory = Path(tempfile.mkdtemp(prefix="muster-nats-"))
    server = NatsServer(directory, nats_settings(directory, applications))
    server.prepare()
    nats = RunningNats(server, applications)
    try:
        await nats.start()
        await provision([nats.url], nats.administrator_password)
        yield nats
    finally:
        nats.remove()


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL for as long as the block lasts. Not durable: a test's data die with it."""
    directory = Path(tempfile.mkdtemp(prefix="muster-postgres-"))
    directory.chmod(0o755)
    server = PostgresServer(directory, free_port(), secrets.token_urlsafe(12), durable=False)
    process: Any = None
    try:
        if CONTAINERS:
            process = _postgres_container(server)
            process.start()
            asyncio.run(until_ready(server))
        else:
            server.prepare()
            process = spawn(server.command(), directory / "postgres.log")
            asyncio.run(until_ready(server, process))
        yield server
    finally:
        if CONTAINERS and process is not None:
            process.stop()
        elif process is not None:
            stop(process, signal.SIGINT)  # "fast shutdown"
        shutil.rmtree(directory, ignore_errors=True)


def spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server; what it says goes to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


def stop(process: subprocess.Popen[bytes], with_signal: signal.Signals) -> None:
    """End a server and wait until it is gone."""
    if process.poll() is None:
        process.send_signal(with_signal)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _nats_container(server: NatsServer) -> Any:
    """Return a container with the same users and streams; inside, the server listens to all and stores in /store."""
    from testcontainers.core.container import DockerContainer

    inside = replace(server.settings, host="0.0.0.0", store_directory="/store")
    server.configuration_file.write_text(server_configuration(inside), encoding="utf-8")
    return (
        DockerContainer(NATS_IMAGE)
        .with_bind_ports(inside.port, inside.port)
        .with_volume_mapping(str(server.configuration_file), "/nats.conf", "ro")
        .with_volume_mapping(server.settings.store_directory, "/store", "rw")
        .with_command("--config /nats.conf")
    )


def _postgres_container(server: PostgresServer) -> Any:
    from testcontainers.core.container import DockerContainer

    return (
        DockerContainer(POSTGRES_IMAGE)
        .with_bind_ports(5432, server.port)
        .with_env("POSTGRES_USER", server.user)
        .with_env("POSTGRES_PASSWORD", server.password)
        .with_env("POSTGRES_DB", "postgres")
    )
