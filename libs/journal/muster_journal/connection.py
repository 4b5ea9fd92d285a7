"""One connection to NATS that comes back: after a restart of the server, and after nats-py has given up on it.

nats-py reconnects by itself, but closes for good after some errors of the server; then a new client is dialled. Who
depends on the connection registers with `on_return` and makes anew what a restart takes away: consumers, and answers
that were on their way.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self

from muster_contracts.errors import Unavailable
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from muster_journal.permissions import inbox_prefix

logger = logging.getLogger(__name__)

RECONNECT_WAIT_SECONDS = 0.1
PING_SECONDS = 2
"""A connection that is open but dead is noticed after three of these."""

EXPECTED = "Nats-Expected-Last-Subject-Sequence"
WRONG_LAST_SEQUENCE = 10071
NO_RESPONDERS = "503"
NO_MESSAGE_FOUND = 10037
STATUS = "Status"


@dataclass(frozen=True, slots=True)
class Login:
    """Where to connect to, as whom. `name` tells it from others, in our log and in the server's monitoring."""

    servers: tuple[str, ...]
    user: str
    password: str
    name: str


EndListening = Callable[[], Awaitable[None]]


class ServerError(Exception):
    """JetStream answered a request with an error; `code` is its `err_code`, 503 when nobody was there to answer."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.description = description


class Connection:
    """The connection of one journal."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._client = Client()
        self._up = asyncio.Event()
        self._listeners: set[Callable[[], None]] = set()
        self._redial: asyncio.Task[None] | None = None
        self._last_error = ""
        self.closed = False

    @classmethod
    async def open(cls, login: Login, timeout_seconds: float) -> Self:
        """Connect. Raises Unavailable with the last error when that takes too long."""
        connection = cls(login)
        try:
            async with asyncio.timeout(timeout_seconds):
                await connection._dial()
        except TimeoutError as error:
            await connection.close()
            raise Unavailable(
                f"NATS at {', '.join(login.servers)} does not let {login.user} in: {connection.last_error}."
            ) from error
        return connection

    @property
    def client(self) -> Client:
        """The client of the moment; another one after a return."""
        return self._client

    @property
    def last_error(self) -> str:
        """What the server or the network said last, for messages to people."""
        return self._last_error or "it does not answer"

    @property
    def is_up(self) -> bool:
        """Whether messages can be sent right now."""
        return self._up.is_set() and self._client.is_connected

    async def until_up(self) -> None:
        """Wait until the connection stands (again), or is closed for good."""
        await self._up.wait()

    def on_return(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function each time the connection came back, or closed for good; return what ends that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    async def request(self, subject: str, body: object, timeout_seconds: float = 2.0) -> dict[str, Any]:
        """Ask JetStream something and return its answer. Raises ServerError; TimeoutError when none comes."""
        payload = json.dumps(body).encode() if body is not None else b""
        return await self._ask(subject, payload, None, timeout_seconds)

    async def publish(
        self, subject: str, payload: bytes, headers: dict[str, str], timeout_seconds: float = 2.0
    ) -> dict[str, Any]:
        """Store a message and return the server's answer. Raises ServerError; TimeoutError when none comes."""
        return await self._ask(subject, payload, headers, timeout_seconds)

    async def _ask(
        self, subject: str, payload: bytes, headers: dict[str, str] | None, timeout_seconds: float
    ) -> dict[str, Any]:
        asking = self._client.request(subject, payload, timeout=timeout_seconds, headers=headers)
        message = await self._unless_lost(asking, subject)
        answer: dict[str, Any] = json.loads(message.data)
        if "error" in answer:
            raise ServerError(answer["error"].get("err_code", 0), answer["error"].get("description", ""))
        return answer

    async def _unless_lost(self, request: Coroutine[Any, Any, Msg], subject: str) -> Msg:
        """Wait for an answer, but not longer than the connection lives: what was asked before will not be answered."""
        loop = asyncio.get_running_loop()
        asking, returned = loop.create_task(request), loop.create_future()
        forget = self.on_return(lambda: None if returned.done() else returned.set_result(None))
        try:
            await asyncio.wait({asking, returned}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise TimeoutError(f"{subject}: the connection was lost")
            return asking.result()
        except NatsError as error:
            raise TimeoutError(f"{subject}: {str(error) or type(error).__name__}") from error
        finally:
            forget()
            asking.cancel()

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> EndListening:
        """Listen on an inbox and return what ends that. Raises TimeoutError when the connection is gone."""
        client = self._client
        try:
            subscription = await client.subscribe(subject, cb=callback)
        except NatsError as error:
            raise TimeoutError(str(error)) from error

        async def end() -> None:
            with contextlib.suppress(NatsError):  # a closed connection has no subscriptions
                await subscription.unsubscribe()

        return end

    async def close(self) -> None:
        """Close for good and tell everybody."""
        self.closed = True
        if self._redial is not None:
            self._redial.cancel()
        await self._client.close()
        self._came_back()

    async def _dial(self) -> None:
        client = Client()
        self._client = client
        await client.connect(
            servers=list(self._login.servers),
            user=self._login.user,
            password=self._login.password,
            name=self._login.name,
            inbox_prefix=inbox_prefix(self._login.user),
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type]  # any number of seconds will do
            ping_interval=PING_SECONDS,
            flush_timeout=PING_SECONDS,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
        )
        self._came_back()

    def _came_back(self) -> None:
        self._up.set()
        for listener in tuple(self._listeners):
            listener()

    async def _on_error(self, error: Exception) -> None:
        if not (self._last_error and isinstance(error, OSError)):  # what a server said says more than how it hung up
            self._last_error = str(error) or type(error).__name__
        fields = {"connection": self._login.name, "error": self._last_error}
        logger.debug("NATS reports an error", extra=fields)

    async def _on_disconnected(self) -> None:
        if not self.closed:
            self._up.clear()
            fields = {"connection": self._login.name, "error": self._last_error}
            logger.warning("The connection to NATS is lost", extra=fields)

    async def _on_reconnected(self) -> None:
        self._last_error = ""
        logger.info("The connection to NATS is back", extra={"connection": self._login.name})
        self._came_back()

    async def _on_closed(self) -> None:
        """Dial anew when nats-py gave up by itself, which it does after errors that it takes for final."""
        if not self.closed:
            self._redial = asyncio.get_running_loop().create_task(self._dial())
