"""The `log` subresource: what a container printed, once or as it goes on. The kubelet knows the lines."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from simcluster.clock import from_timestamp, to_micro_timestamp
from simcluster.errors import bad_request
from simcluster.registry import Registry
from simcluster.wire import Request, Response

_TEXT = "text/plain"


class Line(Protocol):
    """A printed line and its instant."""

    @property
    def instant(self) -> datetime:
        """When it was printed."""
        ...

    @property
    def text(self) -> str:
        """The line without its end."""
        ...


class LogSource(Protocol):
    """Who knows what containers print."""

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        previous: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
    ) -> Sequence[Line]:
        """Return the lines so far; ApiError 400 or 404 when there are none to be had."""
        ...

    def follow_logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        previous: bool = False,
        tail: int | None = None,
        since: datetime | None = None,
    ) -> AsyncIterator[Line]:
        """Yield the lines so far and those to come, until the container's run ends."""
        ...


async def answer(source: LogSource, registry: Registry, namespace: str | None, name: str, request: Request) -> Response:
    """Answer with text, as a whole or (`follow`) as a stream."""
    container = request.query.get("container") or None
    previous, tail = request.flag("previous"), request.number("tailLines")
    since = _since(registry, request)
    stamped = request.flag("timestamps")
    # Asked for in either case: a refusal must come as a status, before a stream has begun.
    lines = source.logs(namespace or "", name, container, previous=previous, tail=tail, since=since)
    if not request.flag("follow"):
        text = "".join(_render(line, stamped) for line in lines).encode()
        limit = request.number("limitBytes")
        return Response(200, text if limit is None else text[:limit], _TEXT)
    following = source.follow_logs(namespace or "", name, container, previous=previous, tail=tail, since=since)
    return Response(200, _stream(following, stamped), _TEXT)


async def _stream(lines: AsyncIterator[Line], stamped: bool) -> AsyncIterator[bytes]:
    yield b""  # sends the headers
    async for line in lines:
        yield _render(line, stamped).encode()


def _render(line: Line, stamped: bool) -> str:
    return f"{to_micro_timestamp(line.instant)} {line.text}\n" if stamped else f"{line.text}\n"


def _since(registry: Registry, request: Request) -> datetime | None:
    seconds, text = request.number("sinceSeconds"), request.query.get("sinceTime")
    if seconds is not None:
        return registry.clock.now() - timedelta(seconds=seconds)
    try:
        return from_timestamp(text) if text else None
    except ValueError:
        raise bad_request(f"invalid sinceTime {text!r}") from None
