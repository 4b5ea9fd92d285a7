"""A thin layer of HTTP over `ApiServer`: no routes, no rules, only sockets."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from simcluster.api import ApiServer
from simcluster.errors import ApiError
from simcluster.exec_route import PROTOCOLS
from simcluster.wire import JSON, Request, Response, Talk, to_failure

log = logging.getLogger(__name__)

_LARGEST_BODY_BYTES = 3 * 1024 * 1024  # as Kubernetes has it


class HttpServer:
    """Listens on one address and answers from an `ApiServer`, between `start` and `stop`."""

    def __init__(self, api: ApiServer, host: str, port: int) -> None:
        self._api = api
        self._host, self._port = host, port
        # Without cancellation a watch whose client has gone would wait for the next change to notice.
        server = web.Server(self._answer, request_factory=_make_request, access_log=None)
        self._runner = web.ServerRunner(server, handler_cancellation=True, shutdown_timeout=1.0)

    async def start(self) -> str:
        """Listen and return the URL; port 0 takes a free one."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop listening and end what is under way."""
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read() if request.body_exists else b""
        except web.HTTPRequestEntityTooLarge as error:
            response = to_failure(ApiError(413, "RequestEntityTooLarge", str(error.text)))
        else:
            response = await self._handle(_asked(request, body))
        if isinstance(response.body, bytes):
            return web.Response(
                status=response.status,
                body=response.body,
                headers={"Content-Type": response.content_type, **response.headers},
            )
        if callable(response.body):
            return await _converse(request, response.body)
        if _wants_messages(request, response):
            return await _send_messages(request, response.body)
        return await _stream(request, response, response.body)

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._api.handle(request)
        except Exception:
            # A fault of ours: the client learns of it as from any API server, the log keeps the cause.
            log.exception("A request failed.", extra={"method": request.method, "path": request.path})
            return to_failure(ApiError(500, "InternalError", "an error on the server has prevented the request"))


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    """Make a request as aiohttp does, but for the size its body may have."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_LARGEST_BODY_BYTES)


def _asked(request: web.BaseRequest, body: bytes) -> Request:
    return Request(
        method=request.method,
        path=request.rel_url.raw_path,
        query=dict(request.query),
        headers={name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers},
        body=body,
        command=request.query.getall("command", ()),
    )


async def _stream(request: web.BaseRequest, response: Response, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    stream = web.StreamResponse(status=response.status, headers={"Content-Type": response.content_type})
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    try:
        async for chunk in chunks:
            if chunk:
                await stream.write(chunk)
        await stream.write_eof()
    except (ConnectionError, asyncio.CancelledError):
        if request.transport is not None and not request.transport.is_closing():
            raise
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]
    return stream


def _wants_messages(request: web.BaseRequest, response: Response) -> bool:
    """Whether a watch is asked for over a WebSocket, as the clients for Java ask first."""
    upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
    return upgrade and response.status == 200 and response.content_type == JSON


async def _converse(request: web.BaseRequest, talk: Talk) -> web.WebSocketResponse:
    """Talk over a WebSocket until all is said or the client has gone."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, compress=False)
    await socket.prepare(request)
    with contextlib.suppress(ConnectionError):
        async for message in talk(_heard(socket)):
            await socket.send_bytes(message)
    await socket.close()
    return socket


async def _heard(socket: web.WebSocketResponse) -> AsyncIterator[bytes]:
    async for message in socket:
        yield message.data.encode() if isinstance(message.data, str) else message.data


async def _send_messages(request: web.BaseRequest, lines: AsyncIterator[bytes]) -> web.WebSocketResponse:
    """Send each event of a watch as a message of its own, until the watch ends or the client closes."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    sending = asyncio.create_task(_send_each(socket, lines))
    listening = asyncio.create_task(_until_closed(socket))
    try:
        await asyncio.wait((sending, listening), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        sending.cancel()
        listening.cancel()
        await asyncio.gather(sending, listening, return_exceptions=True)
        await lines.aclose()  # type: ignore[attr-defined]
    await socket.close()
    return socket


async def _send_each(socket: web.WebSocketResponse, lines: AsyncIterator[bytes]) -> None:
    with contextlib.suppress(ConnectionError):  # the client has gone
        async for chunk in lines:
            for line in chunk.splitlines():
                await socket.send_str(line.decode())


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # a watch listens for the close alone
