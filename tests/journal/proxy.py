"""A TCP proxy on loopback that loses things on purpose: answers of the server, words of the client, connections."""

import asyncio
import contextlib
from dataclasses import dataclass, field


@dataclass
class Direction:
    """What happens to one way of the traffic: passed on, swallowed, or held back until `release`."""

    swallowing: bool = False
    passing: asyncio.Event = field(default_factory=asyncio.Event)
    seen: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.passing.set()


class Proxy:
    """Stands between clients and one server."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.to_server = Direction()
        self.to_client = Direction()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop every connection; new ones pass everything again."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._clients.clear()
        self.to_server, self.to_client = Direction(), Direction()

    def say_to_clients(self, words: bytes) -> None:
        """Send something as if the server had said it."""
        for writer in self._clients:
            writer.write(words)

    def sent_by_client(self, word: bytes) -> int:
        """Return how often the clients said a word since the last cut."""
        return self.to_server.seen.count(word)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._writers |= {writer, server_writer}
        self._clients.add(writer)
        for way in (
            self._pump(reader, server_writer, self.to_server),
            self._pump(server_reader, writer, self.to_client),
        ):
            task = asyncio.get_running_loop().create_task(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                direction.seen += data
                await direction.passing.wait()
                if not direction.swallowing:
                    writer.write(data)
        writer.close()
