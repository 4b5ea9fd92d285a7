"""Kept connections to one server: a request goes out as one piece of bytes, its answer comes back whole.

Services ask Kubernetes thousands of small things: bind this pod, apply that object. Through the official client each
takes 0.1 ms of a processor, more than everything else about a binding; here it takes a third of that. The parsing is
llhttp's (`httptools`). Neighbour: `transport` says what is asked, and of whom.

Pitfalls. A connection on which anything went wrong, or whose answer nobody waited for, is closed: what is left of that
answer would be taken for the next one. The server may close a kept connection just when a request goes out on it, and
then nobody knows what became of the request; it is sent again only if it does no more the second time. An answer says
how long it is, as those of API servers do; one that ends with its connection counts as lost.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

CONNECT_SECONDS = 10.0

IDLE_SECONDS = 15.0
"""After which a connection is not used again: servers, and what stands before them, close those that are quiet."""

REPEATABLE = frozenset({"GET", "DELETE"})
"""Methods that do no more when they are done twice.

The second DELETE is answered that nothing is there (404) or, asked for a UID, that the name is another's by now (409).
Whoever deletes takes both for done, for the object that was meant is gone.
"""

_LINE_BREAK = re.compile(r"[\r\n\0]")


class Lost(ConnectionError):
    """The connection ended before the answer was whole."""


Answered = tuple[int, bytes]
"""Status and body, whatever the status."""


@dataclass(frozen=True, slots=True)
class Address:
    """A server; `tls` is None for one that is spoken to in the clear, `tls_name` the name in its certificate."""

    url: str
    tls: ssl.SSLContext | None = None
    tls_name: str | None = None

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header has them."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or (80 if self.tls is None else 443)


class Connections:
    """The connections to a server, at most `limit` at once; who comes later waits for one."""

    def __init__(self, address: Address, limit: int) -> None:
        self._address = address
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[_Connection] = []  # the one used last at the end

    async def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answered:
        """Ask and return the answer. Raises OSError (Lost, when the connection ended) or TimeoutError.

        Raises ValueError, and sends nothing, when what is to be a line would be two.
        """
        message = self._message(method, target, headers, body)
        async with self._slots:
            if (kept := self._kept()) is not None:
                try:
                    return await self._ask_on(kept, message)
                except Lost:
                    if method not in REPEATABLE:
                        raise
            return await self._ask_on(await self._open(), message)

    def _message(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._address.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body or method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        if _LINE_BREAK.search("".join(lines)):
            raise ValueError(f"a line of the request {method} holds a line break")  # which one may be a secret
        return "\r\n".join((*lines, "", "")).encode() + body

    def _kept(self) -> "_Connection | None":
        """Take the connection used last; when that one is too old, all are."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            connection.close()
        return None

    async def _open(self) -> "_Connection":
        host, port = self._address.endpoint
        name = (self._address.tls_name or host) if self._address.tls else None
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                _Connection, host, port, ssl=self._address.tls, server_hostname=name
            )
        return connection

    async def _ask_on(self, connection: "_Connection", message: bytes) -> Answered:
        try:
            answer = await connection.ask(message)
        except BaseException:
            connection.close()
            raise
        if connection.is_fresh:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Let go of the connections that nobody waits for."""
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    """One connection: one request at a time. The methods named `on_…` are called by the parser."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answered] | None = None
        self._body: list[bytes] = []
        self._used_at = self._loop.time()

    @property
    def is_fresh(self) -> bool:
        """Whether another request may be sent."""
        open_still = self._transport is not None and not self._transport.is_closing()
        return open_still and self._loop.time() - self._used_at < IDLE_SECONDS

    def ask(self, message: bytes) -> "asyncio.Future[Answered]":
        """Send a request; its answer is to come before the next one is sent."""
        self._answer = self._loop.create_future()
        if self._transport is None or self._transport.is_closing():
            self._fail("the connection was lost before it was used")  # nobody would say so a second time
        else:
            self._transport.write(message)
        return self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = transport  # type: ignore[assignment]  # what TCP and TLS give can be written to

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the answer is not HTTP: {error}")
            self.close()

    def on_body(self, chunk: bytes) -> None:
        """Collect a part of the answer."""
        self._body.append(chunk)

    def on_message_complete(self) -> None:
        """Give the answer to who waits for it; what nobody asked for is the end of the connection."""
        status, body, self._body = self._parser.get_status_code(), b"".join(self._body), []
        if 100 <= status < 200:
            return  # the answer is still to come
        self._used_at = self._loop.time()
        if self._answer is None or self._answer.done() or not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell who waits."""
        self._transport = None
        self._fail(f"the connection was lost: {error}" if error else "the server closed the connection")

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Lost(reason))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()
