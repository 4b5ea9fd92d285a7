"""A way to a simulated cluster in the same process: no sockets, so that whole worlds run under virtual time."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from muster_cluster.transport import Answer, Request, Stream
from simcluster.api import ApiServer
from simcluster.wire import Request as ServerRequest
from simcluster.wire import Response


class InProcessTransport:
    """Asks an `ApiServer` directly."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    async def request(self, request: Request) -> Answer:
        response = await self._api.handle(_as_seen_by_the_server(request))
        body = response.body
        return Answer(response.status, body if isinstance(body, bytes) else b"".join([part async for part in body]))

    @contextlib.asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream, None]:
        response = await self._api.handle(_as_seen_by_the_server(request))
        chunks = _chunks(response)
        try:
            yield Stream(response.status, chunks)
        finally:
            await chunks.aclose()

    async def close(self) -> None:
        return


def _as_seen_by_the_server(request: Request) -> ServerRequest:
    headers = {"accept": "application/json", "user-agent": "muster", "content-type": request.content_type}
    body = b"" if request.body is None else msgspec.json.encode(request.body)
    return ServerRequest(request.method, request.path, dict(request.query), headers, body)


async def _chunks(response: Response) -> AsyncGenerator[bytes, None]:
    if isinstance(response.body, bytes):
        yield response.body
        return
    parts: AsyncIterator[bytes] = response.body
    try:
        async for part in parts:
            yield part
    finally:
        await parts.aclose()  # type: ignore[attr-defined]
