"""A client that costs next to nothing: requests as ready bytes over kept connections.

A comfortable client needs as much of a processor as the server it measures, and would be measured instead. This one
writes bytes, waits for as many as `Content-Length` says, and looks at nothing else.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from muster_contracts.errors import Unavailable

HEAD_END = b"\r\n\r\n"


def request(method: str, path: str, body: object = None, content_type: str = "application/json") -> bytes:
    """Return a whole request."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: benchmark\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def address_of(url: str) -> tuple[str, int]:
    """Return host and port."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator["Connection"]:
        """Connect to a server for as long as the block lasts."""
        transport, connection = await asyncio.get_running_loop().create_connection(cls, *address_of(url))
        try:
            yield connection
        finally:
            transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = transport  # type: ignore[assignment]  # what TCP gives can be written to

    def data_received(self, data: bytes) -> None:
        """Collect until the answer is whole."""
        self._received += data
        head, found, body = self._received.partition(HEAD_END)
        if not found or self._answer is None:
            return
        if len(body) >= _length(head):
            answer, self._answer, self._received = self._answer, None, b""
            answer.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unavailable(f"The server closed the connection: {error}."))

    async def ask(self, whole_request: bytes) -> Answer:
        """Send a request and return its answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(whole_request)
        return await self._answer


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


@dataclass(frozen=True, slots=True)
class Load:
    """How long it took to send a number of requests, and each of them."""

    seconds: float
    latencies_seconds: list[float]

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return len(self.latencies_seconds) / self.seconds


async def load(url: str, requests: Iterable[bytes], *, connections: int, status: int) -> Load:
    """Send all requests over so many connections at once. Raises Unavailable when an answer has another status."""
    waiting = iter(requests)
    latencies: list[float] = []

    async def work(connection: Connection) -> None:
        for each in waiting:
            began = perf_counter()
            answer = await connection.ask(each)
            latencies.append(perf_counter() - began)
            if answer.status != status:
                raise Unavailable(f"{each[:60]!r} was answered {answer.status}: {answer.body[:200]!r}")

    async with connected(url, connections) as opened:
        began = perf_counter()
        await asyncio.gather(*(work(connection) for connection in opened))
        return Load(perf_counter() - began, latencies)


@asynccontextmanager
async def connected(url: str, connections: int) -> AsyncIterator[list[Connection]]:
    """Open so many connections at once."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Connection.open(url)) for _ in range(connections)]
