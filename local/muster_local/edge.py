"""One HTTP origin for the local stack: queries go to the status service, everything else to the submitter.

The same rule as Caddy's in `docker-compose.yml` and the `HTTPRoute` on Kubernetes: by method, but for a few paths that
are the submitter's whatever the method. Bodies are passed on as they come, in both directions, so that a log that is
followed and the live stream work; who goes away in the middle of one ends it at the service too.

Two paths are answered here, for they concern all services: `/`, for people who open the origin in a browser, and
`/api/v1/openapi.json`, the services' descriptions put together. Only the local stack has them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from muster_contracts.errors import RefusalCode, Refused
from yarl import URL

from muster_local.description import API, INDEX, PAGE, Document, merge

COMMAND_PATHS = ("/connect/", "/api/v1/parked", "/api/v1/tokens", "/api/v1/sign-in", "/api/v1/policies/effective")
"""Paths that belong to the submitter whatever the method."""

HOP_BY_HOP = frozenset({"connection", "keep-alive", "expect", "transfer-encoding", "te", "trailer", "upgrade", "host"})
QUERIES = frozenset({"GET", "HEAD", "OPTIONS"})


def is_query(method: str, path: str) -> bool:
    """Whether a request goes to the status service."""
    return method in QUERIES and not path.startswith(COMMAND_PATHS)


@asynccontextmanager
async def edge(host: str, port: int, *, submitter: str, status: str) -> AsyncIterator[str]:
    """Serve the origin and yield its URL. Raises Refused when the port is taken."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False) as session:
        application = web.Application(client_max_size=0)
        proxy = _Proxy(session, submitter, status)
        application.router.add_get("/", _index)
        application.router.add_get(f"{API}/openapi.json", proxy.describe)
        application.router.add_route("*", "/{path:.*}", proxy.pass_on)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise Refused(
                RefusalCode.CONFLICT, f"The port {host}:{port} is taken; choose another one with --port."
            ) from error
        try:
            yield f"http://{host}:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class _Proxy:
    """Passes requests on."""

    def __init__(self, session: aiohttp.ClientSession, submitter: str, status: str) -> None:
        self._session = session
        self._submitter = submitter
        self._status = status

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Send one request to its service and its answer back."""
        target = self._status if is_query(request.method, request.path) else self._submitter
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            async with self._session.request(
                request.method,
                URL(f"{target}{request.raw_path}", encoded=True),
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
            ) as answer:
                return await _copy(request, answer)
        except aiohttp.ClientConnectorError:
            return _not_now()
        except (aiohttp.ClientError, ConnectionError) as error:
            return _not_now(f"The connection to the service broke: {error or type(error).__name__}. ")

    async def describe(self, _request: web.Request) -> web.StreamResponse:
        """Return the OpenAPI document of the whole origin."""
        services = {"status": self._status, "submitter": self._submitter}
        try:
            documents = [await self._description(name, address) for name, address in services.items()]
        except (aiohttp.ClientError, ConnectionError):
            return _not_now()
        return web.json_response(merge(dict(zip(services, documents, strict=True))))

    async def _description(self, name: str, address: str) -> Document:
        async with self._session.get(f"{address}{API}/{name}/openapi.json", raise_for_status=True) as answer:
            document: Document = await answer.json()
            return document


async def _index(request: web.Request) -> web.StreamResponse:
    if "text/html" in request.headers.get("accept", ""):
        return web.Response(text=PAGE, content_type="text/html")
    return web.json_response(INDEX)


async def _copy(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    try:
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientError, ConnectionError, asyncio.CancelledError) as error:
        answer.close()
        if request.transport is not None:
            request.transport.abort()  # half an answer must not look like a whole one
        if isinstance(error, asyncio.CancelledError):
            raise
    return response


def _not_now(why: str = "") -> web.Response:
    body = {"code": 503, "message": f"{why}The service is starting. Please try again.", "details": "Unavailable"}
    return web.json_response({**body, "compliance_issues": []}, status=503)
