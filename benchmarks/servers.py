"""Servers of one benchmark: NATS, PostgreSQL and processes of ours, in a temporary folder, on free ports.

They are started as `muster up` starts them: acknowledged means on the disk, unless a benchmark says otherwise.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import aiohttp
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal
from muster_journal.permissions import ADMINISTRATOR, ServerSettings, inbox_prefix
from muster_journal.provision import events_stream, provision
from muster_local.nats_server import NatsServer
from muster_local.postgres_server import PostgresServer
from muster_local.supervisor import Program, Supervised
from nats.aio.client import Client

LOOPBACK = "127.0.0.1"
BARE_STREAM = "BARE"
BARE_SUBJECTS = "bare.>"
SETTLE_SECONDS = 120.0


def _new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="muster-benchmark-"))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    return folder


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Servers:
    """A temporary folder and what was started in it; everything ends with the `async with`."""

    folder: Path
    cleanup: AsyncExitStack

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Make the folder, and in the end stop everything in reverse order and remove the folder."""
        folder = _new_folder()
        try:
            async with AsyncExitStack() as cleanup:
                yield cls(folder, cleanup)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def nats(self, *, durable: bool = True) -> "Nats":
        """Start NATS with Muster's streams, and one more of the same settings for bare publishing."""
        directory = self.folder / f"nats-{secrets.token_hex(3)}"
        settings = ServerSettings(
            port=free_port(),
            store_directory=str(directory / "store"),
            administrator_password=secrets.token_urlsafe(12),
            service_passwords={writer: secrets.token_urlsafe(12) for writer in Writer},
            sync_always=durable,
        )
        server = NatsServer(directory, settings)
        server.prepare()
        await self.keep("nats", server.command(), server.is_ready)
        await provision([server.url], settings.administrator_password)
        nats = Nats(server, self.cleanup)
        client = await nats.client()
        await client.jetstream().add_stream(replace(events_stream(), name=BARE_STREAM, subjects=[BARE_SUBJECTS]))
        return nats

    async def postgres(self) -> PostgresServer:
        """Start PostgreSQL with the database `muster`."""
        directory = self.folder / "postgres"
        server = PostgresServer(directory, free_port(), secrets.token_urlsafe(12))
        await asyncio.to_thread(server.prepare)
        await self.keep("postgres", server.command(), server.is_ready)
        await server.create_database()
        return server

    async def cluster(self, *more: str) -> str:
        """Start a simulated cluster that keeps its data, and return its URL; `kubeconfig` leads to it."""
        port = free_port()
        arguments = ["--listen", f"{LOOPBACK}:{port}", "--data", str(self.folder / "cluster")]
        arguments += ["--kubeconfig", str(self.kubeconfig), *more]
        return await self.http("simcluster", port, arguments, path="/readyz")

    @property
    def kubeconfig(self) -> Path:
        """The way to the simulated cluster."""
        return self.folder / "kubeconfig"

    async def service(self, name: str, nats: "Nats", **settings: str) -> str:
        """Start one of the four services and return its URL."""
        return (await self.process(name, nats, **settings)).url

    async def process(self, name: str, nats: "Nats", **settings: str) -> "Process":
        """Start one of the four services, to be looked at or to be ended early."""
        port = free_port()
        environment = {
            "MUSTER_NATS_URL": nats.server.url,
            "MUSTER_NATS_PASSWORD": nats.server.settings.service_passwords[Writer(name)],
            "MUSTER_KUBECONFIG": str(self.kubeconfig),
            "MUSTER_LISTEN_PORT": str(port),
        }
        environment |= {f"MUSTER_{setting}".upper(): value for setting, value in settings.items()}
        url, module = f"http://{LOOPBACK}:{port}", f"muster_{name}"
        command = [sys.executable, "-m", module]
        return Process(url, await self.keep(module, command, answers(f"{url}/healthz"), environment))

    async def http(
        self,
        module: str,
        port: int,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        path: str = "/healthz",
    ) -> str:
        """Start a module that serves HTTP on a port; return its URL when it is well."""
        url = f"http://{LOOPBACK}:{port}"
        command = [sys.executable, "-m", module, *arguments]
        await self.keep(module, command, answers(f"{url}{path}"), environment or {})
        return url

    async def keep(
        self,
        name: str,
        command: Sequence[str],
        is_ready: Callable[[], Awaitable[bool]],
        environment: Mapping[str, str] | None = None,
    ) -> Supervised:
        """Run a program until the end, and wait until it is ready. Raises Unavailable when it never is."""
        inherited = {
            "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")))
        }
        program = Program(name, command, is_ready, {**inherited, **(environment or {})})
        supervised = Supervised(program, self.folder / f"{name}.log")
        supervised.start()
        self.cleanup.push_async_callback(supervised.stop)
        await supervised.ready()
        return supervised


@dataclass(frozen=True, slots=True)
class Process:
    """A running service."""

    url: str
    supervised: Supervised

    async def stop(self) -> None:
        """End it; ending it again does nothing."""
        await self.supervised.stop()

    @property
    def memory_mb(self) -> float:
        """What of it is in memory now, as Linux counts it."""
        status = Path(f"/proc/{self.supervised.pid}/status").read_text(encoding="utf-8")
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(resident.split()[1]) / 1000


@dataclass(frozen=True, slots=True)
class Nats:
    """A running NATS server and ways into it."""

    server: NatsServer
    cleanup: AsyncExitStack

    @property
    def administrator_password(self) -> str:
        """The password of the user who may do everything."""
        return self.server.settings.administrator_password

    async def client(self) -> Client:
        """Connect nats-py as it is, as the administrator."""
        client = Client()
        await client.connect(
            self.server.url,
            user=ADMINISTRATOR,
            password=self.administrator_password,
            inbox_prefix=inbox_prefix(ADMINISTRATOR),
        )
        self.cleanup.push_async_callback(client.close)
        return client

    async def journal(self, writer: Writer) -> JetStreamJournal:
        """Open the journal of one writer."""
        journal = await JetStreamJournal.connect(
            [self.server.url],
            writer,
            user=writer.value,
            password=self.server.settings.service_passwords[writer],
            now=lambda: datetime.now(UTC),
        )
        self.cleanup.push_async_callback(journal.close)
        return journal


def answers(url: str) -> Callable[[], Awaitable[bool]]:
    """Return a check that an HTTP server says it is well."""

    async def check() -> bool:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == 200
        return False

    return check


async def until(holds: Callable[[], Awaitable[bool]], what: str, *, timeout_seconds: float = SETTLE_SECONDS) -> None:
    """Wait for something between two runs. Raises Unavailable when it does not come."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not await holds():  # noqa: ASYNC110  # what we wait for happens in another process
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise Unavailable(f"It took longer than {timeout_seconds:g} seconds until {what}.") from error
