"""A way to a simulated cluster in the same process and on the same event loop: no sockets, so time may be virtual."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
from muster_cluster.transport import Answer, Request, Stream
from simcluster import wire
from simcluster.api import ApiServer


class InProcessTransport:
    """Asks an `ApiServer` directly. Implements `Transport`; timeouts are left to whoever owns the time."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def request(self, request: Request) -> Answer:
        """Ask, and read the whole answer."""
        async with self.stream(request) as stream:
            return Answer(stream.status, b"".join([chunk async for chunk in stream.chunks]))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream, None]:
        """Ask, and read the answer while it is written."""
        response = await self._api.handle(_as_seen_by_the_server(request))
        async with aclosing(_chunks(response.body)) as chunks:
            yield Stream(response.status, chunks)

    async def close(self) -> None:
        """Hold nothing, let go of nothing."""


async def _chunks(body: bytes | AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        yield body
        return
    async with aclosing(body) as chunks:  # type: ignore[type-var]
        async for chunk in chunks:
            yield chunk


def _as_seen_by_the_server(request: Request) -> wire.Request:
    headers = {"accept": "application/json", "content-type": str(request.content_type), "user-agent": "muster"}
    body = b"" if request.body is None else msgspec.json.encode(request.body)
    return wire.Request(request.method, request.path, dict(request.query), headers, body)
