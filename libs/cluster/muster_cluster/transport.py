"""One HTTP exchange with an API server: the seam between our adapter and the official client.

`ClientTransport` takes everything that makes a connection from the `kubernetes` package: kubeconfig or the pod's
service account, tokens and their renewal, TLS, proxies. It leaves out the package's models and its deserialization.
What is asked and answered at once goes over connections of our own (`connections`); what is read as it comes, and
everything when a proxy stands between, goes through the package's client. A simulation puts a transport of its own in
its place and asks an API server in the same process.

Pitfalls. Importing `kubernetes` takes most of a second, so it is imported on `connect` and nowhere else. Left to itself
the client looks for a proxy and for a `.netrc` before every request, each time in a thread, which doubles what a
request costs; we look for the proxy once, and a kubeconfig, not a `.netrc`, says who we are.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
from muster_contracts.errors import RefusalCode, Refused, Unavailable

from muster_cluster.connections import Address, Connections

if TYPE_CHECKING:
    import aiohttp

UNKNOWN_TO_SERVER = 401
"""The status of an answer to somebody whom the server does not know."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `body` is a JSON value; None is no body.

    `timeout_seconds` bounds a whole exchange, or the silence of a stream; None waits for ever.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    content_type: str = "application/json"
    timeout_seconds: float | None = 30.0

    @property
    def target(self) -> str:
        """The path with its query, encoded."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever the status."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is read as it comes, in chunks of any size."""

    status: int
    chunks: AsyncIterator[bytes]


class Transport(Protocol):
    """A way to an API server. Raises Unavailable when no answer came, or not all of it."""

    async def request(self, request: Request) -> Answer:
        """Ask, and read the whole answer."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Ask, and read the answer while it is written; leaving the context drops the connection."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


class ClientTransport:
    """The way of the official client. Made by `connect`."""

    def __init__(self, configuration: Any, sign_in: Callable[[], Awaitable[None]]) -> None:
        from kubernetes.aio.client.rest import RESTClientObject

        self._configuration = configuration
        self._sign_in = sign_in
        self._rest = RESTClientObject(configuration)
        self._prefix = urlsplit(configuration.host).path.rstrip("/")
        self._connections = None if configuration.proxy else self._own_connections()

    def _own_connections(self) -> Connections:
        host = self._configuration.host
        tls = self._rest.ssl_context if urlsplit(host).scheme == "https" else None
        return Connections(Address(host, tls, self._configuration.tls_server_name), self._rest.maxsize)

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, *, context: str = "") -> "ClientTransport":
        """Read a kubeconfig, or (None) the service account of the pod we run in; nothing is sent yet.

        Raises Refused with what is wrong with it.
        """
        from kubernetes.aio.client.configuration import Configuration

        configuration = Configuration()
        sign_in = _sign_in_by_file(configuration, kubeconfig, context) if kubeconfig else _sign_in_by_pod(configuration)
        await sign_in()
        _check_address(configuration.host)
        await _credentials(configuration)
        configuration.proxy = configuration.proxy or _proxy_of_environment(configuration.host)
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            return cls(configuration, sign_in)
        except (OSError, ValueError) as error:
            message = f"The certificates for {configuration.host} cannot be used: {error}"
            raise Refused(RefusalCode.INVALID, message) from error

    async def request(self, request: Request) -> Answer:
        """Ask, and read the whole answer."""
        with _as_unavailable(request):
            async with asyncio.timeout(request.timeout_seconds):
                answer = await self._ask(request)
                if answer.status == UNKNOWN_TO_SERVER:
                    await self._sign_in_anew()
                    answer = await self._ask(request)
                return answer

    async def _ask(self, request: Request) -> Answer:
        if self._connections is None:
            async with await self._send_once(request, _never_silent()) as response:
                return Answer(response.status, await response.read())
        body = b"" if request.body is None else msgspec.json.encode(request.body)
        target = self._prefix + request.target
        return Answer(*await self._connections.ask(request.method, target, await self._headers(request), body))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream, None]:
        """Ask, and read the answer while it is written; leaving the context drops the connection."""
        with _as_unavailable(request):
            response = await self._send(request, _never_silent(request.timeout_seconds))
        try:
            yield Stream(response.status, _chunks(request, response))
        finally:
            response.close()

    async def close(self) -> None:
        """Let go of all connections."""
        if self._connections is not None:
            self._connections.close()
        await self._rest.close()

    async def _send(self, request: Request, patience: "aiohttp.ClientTimeout") -> "aiohttp.ClientResponse":
        response = await self._send_once(request, patience)
        if response.status != UNKNOWN_TO_SERVER:
            return response
        response.close()
        await self._sign_in_anew()
        return await self._send_once(request, patience)

    async def _sign_in_anew(self) -> None:
        """Sign in again, for a token may have run out."""
        with _good_once():
            await self._sign_in()

    async def _send_once(self, request: Request, patience: "aiohttp.ClientTimeout") -> "aiohttp.ClientResponse":
        answer = await self._rest.request(
            request.method,
            self._configuration.host.rstrip("/") + request.target,
            headers=await self._headers(request),
            body=request.body,
            _request_timeout=patience,
        )
        response: aiohttp.ClientResponse = answer.response
        return response

    async def _headers(self, request: Request) -> dict[str, str]:
        # No compression: the server is near, and unpacking a large list would hold up the event loop.
        plain = {"Accept": "application/json, */*", "Accept-Encoding": "identity", "User-Agent": "muster"}
        with _good_once():
            credentials = await _credentials(self._configuration)
        return {**plain, **credentials, "Content-Type": request.content_type}


async def _credentials(configuration: Any) -> dict[str, str]:
    """Return the headers that say who we are. Raises Refused when they would not be one line each.

    A token that was copied from a file often has that file's last line break.
    """
    settings = await configuration.auth_settings()
    credentials = {setting["key"]: setting["value"].strip() for setting in settings.values() if setting["value"]}
    if not all(value.isprintable() for value in credentials.values()):
        message = f"The token for {configuration.host} holds a line break, or another sign that cannot be sent."
        raise Refused(RefusalCode.INVALID, message)
    return credentials


@contextmanager
def _good_once() -> Iterator[None]:
    """Let a refusal pass for a trouble of the moment: what is wrong now has been good when we connected."""
    try:
        yield
    except Refused as error:
        raise Unavailable(error.message) from error


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Refused(RefusalCode.INVALID, f"{url!r} is not the address of an API server.")


def _proxy_of_environment(url: str) -> str | None:
    """Return the proxy that HTTPS_PROXY and the like ask for, None when NO_PROXY excepts the server."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _sign_in_by_file(configuration: Any, path: Path, context: str) -> Callable[[], Awaitable[None]]:
    async def sign_in() -> None:
        import yaml
        from kubernetes.aio.config import ConfigException, load_kube_config

        if not path.is_file():  # noqa: ASYNC240  (a local file, read once)
            raise Refused(RefusalCode.INVALID, f"There is no kubeconfig {path}.")
        try:
            await load_kube_config(
                str(path), context=context or None, client_configuration=configuration, persist_config=False
            )
        except (ConfigException, yaml.YAMLError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # The loader does not check what it reads, so a malformed file shows as any of these.
            raise Refused(RefusalCode.INVALID, f"The kubeconfig {path} cannot be used: {_why(error)}") from error

    return sign_in


def _why(error: Exception) -> str:
    """Return one line; what Python says of a malformed file tells nobody anything."""
    if isinstance(error, TypeError | KeyError | AttributeError):
        return "it does not have the shape of one."
    return " ".join(str(error).split())


def _sign_in_by_pod(configuration: Any) -> Callable[[], Awaitable[None]]:
    async def sign_in() -> None:
        from kubernetes.aio.config import ConfigException, load_incluster_config

        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException as error:
            message = f"No kubeconfig was named, and this is not a pod with a service account: {error}"
            raise Refused(RefusalCode.INVALID, message) from error

    return sign_in


def _never_silent(seconds: float | None = None) -> "aiohttp.ClientTimeout":
    """Bound how long a connection may take and, when given, how long it may say nothing."""
    import aiohttp

    return aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=seconds)


async def _chunks(request: Request, response: "aiohttp.ClientResponse") -> AsyncGenerator[bytes, None]:
    with _as_unavailable(request):
        async for chunk in response.content.iter_any():
            yield chunk


@contextmanager
def _as_unavailable(request: Request) -> Iterator[None]:
    """Turn what the network does to us into Unavailable."""
    import aiohttp

    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"{request.method} {request.path}: no answer from Kubernetes: {reason}") from error
