"""A list and a watch of made-up objects over a network that breaks, lies and repeats on purpose.

It is a double of the *network* (and of a server whose memory is short), not of Kubernetes: what Kubernetes does is the
simulated cluster's business. A `History` is what really happened; a list of `Turn`s says what goes wrong with each
exchange; when the turns are used up, everything works. `HistoryServer` answers in this process as a `Transport`;
`over_http` puts the same behind a real socket.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from muster_cluster.transport import Answer, Request, Stream
from muster_contracts.errors import Unavailable

Object = dict[str, Any]
Frame = tuple[str, Object]


class Fault(StrEnum):
    """What goes wrong with one exchange."""

    NONE = "none"
    UNREACHABLE = "unreachable"  # no answer at all
    BUSY = "busy"  # 503
    FORBIDDEN = "forbidden"  # 403
    NOT_VALID = "not valid"  # 400
    MISSING = "missing"  # 404
    EXPIRED = "expired"  # 410 as status
    EXPIRED_LATER = "expired later"  # 410 as the last event of a watch, or on a later page
    CUT = "cut"  # the connection breaks after some bytes
    REPEATED = "repeated"  # the watch begins with changes from before the version asked for
    COMPACTED = "compacted"  # of each name, the watch shows the last change alone
    STALE_BOOKMARK = "stale bookmark"  # a bookmark from the past between the changes


BREAKS = (Fault.NONE, Fault.UNREACHABLE, Fault.BUSY, Fault.CUT)
"""Faults through which a server still tells everything."""

PASSING = tuple(fault for fault in Fault if fault is not Fault.MISSING)
"""Faults that waiting mends."""

CODES = {Fault.BUSY: 503, Fault.FORBIDDEN: 403, Fault.NOT_VALID: 400, Fault.MISSING: 404, Fault.EXPIRED: 410}


@dataclass(frozen=True)
class Turn:
    """One exchange: what goes wrong, how many steps of history happen meanwhile, and where a connection is cut."""

    fault: Fault = Fault.NONE
    steps: int = 0
    cut: int = 0
    piece: int = 1000


@dataclass
class History:
    """Objects by name and everything that happened to them; `pending` are steps still to come: (verb, name)."""

    pending: list[tuple[str, str]]
    version: int = 10
    objects: dict[str, Object] = field(default_factory=dict)
    frames: list[Frame] = field(default_factory=list)
    snapshots: dict[int, list[Object]] = field(default_factory=dict)

    def step(self) -> None:
        """Let the next step happen; one that makes no sense (a second creation) does what does."""
        verb, name = self.pending.pop(0)
        before = self.objects.get(name)
        self.version += 1
        uid = before["metadata"]["uid"] if before else f"{name}-{self.version}"
        now = {"metadata": {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(self.version)}}
        if before and verb == "delete":
            del self.objects[name]
            self.frames.append(("DELETED", now))
        else:
            self.objects[name] = now
            self.frames.append(("MODIFIED" if before else "ADDED", now))

    def after(self, version: int) -> list[Frame]:
        return [frame for frame in self.frames if version_of(frame) > version]

    def state(self) -> dict[str, str]:
        """Return the version of each object by UID."""
        return {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in self.objects.values()}


def version_of(frame: Frame) -> int:
    return int(frame[1]["metadata"]["resourceVersion"])


def compacted(frames: Sequence[Frame]) -> list[Frame]:
    last = {frame[1]["metadata"]["name"]: frame for frame in frames}
    return sorted(last.values(), key=version_of)


class HistoryServer:
    """Answers lists and watches of a history. Implements `Transport`.

    `moments`: pages of a list are of one moment, as Kubernetes' are; otherwise each is of its own.
    """

    def __init__(self, history: History, turns: Sequence[Turn] = (), *, moments: bool = True) -> None:
        self.history = history
        self.turns = list(turns)
        self.moments = moments
        self.requests: list[Request] = []

    @property
    def settled(self) -> bool:
        return not self.turns and not self.history.pending

    async def request(self, request: Request) -> Answer:
        async with self.stream(request) as stream:
            return Answer(stream.status, b"".join([chunk async for chunk in stream.chunks]))

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[Stream, None]:
        await asyncio.sleep(0)
        self.requests.append(request)
        turn = self.turns.pop(0) if self.turns else None
        if turn and turn.fault is Fault.UNREACHABLE:
            raise Unavailable("no route")
        if turn and turn.fault in CODES:
            code = CODES[turn.fault]
            yield Stream(code, whole(status(code)))
        elif "watch" in request.query:
            yield Stream(200, self._watch(int(request.query["resourceVersion"]), turn))
        else:
            yield self._list(request.query, turn)

    async def close(self) -> None:
        return None

    def _list(self, query: Mapping[str, str], turn: Turn | None) -> Stream:
        self._happen(turn.steps if turn else 0)
        if turn and turn.fault is Fault.EXPIRED_LATER and query.get("continue"):
            return Stream(410, whole(status(410)))
        body = encode(self._page(int(query["limit"]), query.get("continue", "")))
        return Stream(200, cut(body, turn) if turn and turn.fault is Fault.CUT else whole(body))

    def _page(self, limit: int, token: str) -> Object:
        """Return a page; a token is the version of the list and the last name that was shown."""
        history = self.history
        version, _, last = token.partition("/")
        version = version or str(history.version)
        if not token:
            history.snapshots[history.version] = list(history.objects.values())
        found = history.snapshots[int(version)] if self.moments else list(history.objects.values())
        later = sorted((item for item in found if name_of(item) > last), key=name_of)
        page = later[:limit]
        more = f"{version}/{name_of(page[-1])}" if len(later) > limit else ""
        shown = version if self.moments else str(history.version)
        return {"metadata": {"resourceVersion": shown, "continue": more}, "items": page or None}

    async def _watch(self, since: int, turn: Turn | None) -> AsyncIterator[bytes]:
        if turn is None:
            async for chunk in self._calm_watch(since):
                yield chunk
            return
        self._happen(turn.steps)
        lines = b"".join(line(*frame) for frame in self._shown(since, turn))
        if turn.fault is Fault.EXPIRED_LATER:
            lines += line("ERROR", status_object(410))
        async for chunk in cut(lines, turn) if turn.fault is Fault.CUT else in_pieces(lines, turn.piece):
            yield chunk

    def _shown(self, since: int, turn: Turn) -> list[Frame]:
        match turn.fault:
            case Fault.REPEATED:
                return self.history.after(since - turn.cut)
            case Fault.COMPACTED:
                return compacted(self.history.after(since))
            case Fault.STALE_BOOKMARK:
                return with_stale_bookmarks(self.history.after(since))
        return self.history.after(since)

    async def _calm_watch(self, since: int) -> AsyncIterator[bytes]:
        """Tell what was missed, let the rest of history happen, and stay open."""
        for frame in self.history.after(since):
            yield line(*frame)
        while self.history.pending:
            self.history.step()
            yield line(*self.history.frames[-1])
        yield line("BOOKMARK", {"metadata": {"resourceVersion": str(self.history.version)}})
        await asyncio.Event().wait()

    def _happen(self, steps: int) -> None:
        for _ in range(min(steps, len(self.history.pending))):
            self.history.step()


def with_stale_bookmarks(frames: Sequence[Frame]) -> list[Frame]:
    stale = ("BOOKMARK", {"metadata": {"resourceVersion": "1"}})
    return [each for frame in frames for each in (stale, frame)]


def name_of(item: Object) -> str:
    return str(item["metadata"]["name"])


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def line(kind: str, item: Object) -> bytes:
    return encode({"type": kind, "object": item}) + b"\n"


def status_object(code: int) -> Object:
    return {"kind": "Status", "code": code, "message": f"refused with {code}"}


def status(code: int) -> bytes:
    return encode(status_object(code))


async def whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def cut(body: bytes, turn: Turn) -> AsyncIterator[bytes]:
    async for chunk in in_pieces(body[: turn.cut * 40], turn.piece):
        yield chunk
    raise Unavailable("the connection broke")


@asynccontextmanager
async def over_http(server: HistoryServer) -> AsyncGenerator[str, None]:
    """Serve on a free port of this machine and yield the URL; a fault of the network aborts the connection."""

    async def handle(http: web.Request) -> web.StreamResponse:
        request = Request(http.method, http.path, dict(http.query))
        response = web.StreamResponse()
        try:
            async with server.stream(request) as stream:
                response.set_status(stream.status)
                await response.prepare(http)
                async for chunk in stream.chunks:
                    await response.write(chunk)
        except Unavailable:
            assert http.transport is not None
            http.transport.abort()
        return response

    application = web.Application()
    application.router.add_get("/{path:.*}", handle)
    async with serving(application) as url:
        yield url


@asynccontextmanager
async def serving(application: web.Application, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str, None]:
    """Serve an application on a free port of this machine and yield the URL."""
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, url: str, user: str = "{}") -> Path:
    """Write a kubeconfig for a server, with what it says of the user, and return its path."""
    path = folder / "kubeconfig"
    path.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: here, cluster: {{server: "{url}"}}}}]
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
users: [{{name: me, user: {user}}}]
"""
    )
    return path
