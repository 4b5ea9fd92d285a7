"""Kept connections against servers that answer in pieces, too late, or not at all; every byte they send is ours."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import uvloop
from muster_cluster import connections
from muster_cluster.connections import Address, Connections, Lost

HANG_UP = b""
"""As an answer: the server closes the connection instead."""


class Scripted:
    """A server whose every connection has its own answers, in turn; `asked` are the first lines of the requests."""

    def __init__(self, scripts: Sequence[Sequence[bytes]]) -> None:
        self._scripts = iter(scripts)
        self.asked: list[list[str]] = []
        self.piece = 1  # bytes written at a time; one is as badly as an answer can be cut
        self.answer_now = asyncio.Event()
        self.answer_now.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: list[str] = []
        self.asked.append(asked)
        for answer in next(self._scripts):
            asked.append(await _request(reader))
            await self.answer_now.wait()
            if answer == HANG_UP:
                break
            for start in range(0, len(answer), self.piece):
                writer.write(answer[start : start + self.piece])
                await writer.drain()
        writer.close()


async def _request(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    lengths = [line.partition(": ")[2] for line in head.splitlines() if line.startswith("Content-Length")]
    await reader.readexactly(int(lengths[0]) if lengths else 0)
    return head.splitlines()[0]


@asynccontextmanager
async def talking_to(*scripts: Sequence[bytes], limit: int = 9) -> AsyncGenerator[tuple[Scripted, Connections], None]:
    scripted = Scripted(scripts)
    async with await asyncio.start_server(scripted.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ours = Connections(Address(f"http://127.0.0.1:{port}"), limit)
        yield scripted, ours
        ours.close()


def answer(body: str, *headers: str) -> bytes:
    lines = ("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", body)
    return "\r\n".join(lines).encode()


async def ask(ours: Connections, method: str = "GET", body: bytes = b"") -> str:
    return (await ours.ask(method, "/x", {}, body))[1].decode()


async def test_answers_come_whole_and_one_after_the_other_over_one_connection() -> None:
    in_chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n"
    preceded = b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer("third")
    async with talking_to([answer("first"), in_chunks, preceded]) as (scripted, ours):
        assert [await ask(ours, "POST", b"{}"), await ask(ours), await ask(ours)] == ["first", "second", "third"]
    assert scripted.asked == [["POST /x HTTP/1.1", "GET /x HTTP/1.1", "GET /x HTTP/1.1"]]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_does_no_more_twice_is_asked_again_when_a_kept_connection_ends(method: str) -> None:
    async with talking_to([answer("first"), HANG_UP], [answer("second")]) as (_, ours):
        assert [await ask(ours), await ask(ours, method)] == ["first", "second"]


async def test_what_may_have_been_done_is_not_done_again_by_itself() -> None:
    async with talking_to([answer("first"), HANG_UP], [answer("third")]) as (scripted, ours):
        await ask(ours)
        with pytest.raises(Lost):
            await ask(ours, "POST")
        assert await ask(ours) == "third"
    assert [len(asked) for asked in scripted.asked] == [2, 1]


async def test_a_server_that_hangs_up_at_once_is_not_asked_for_ever() -> None:
    async with talking_to([HANG_UP]) as (_, ours):
        with pytest.raises(Lost, match="the server closed the connection"):
            await ask(ours)


async def test_an_answer_that_breaks_off_is_no_answer() -> None:
    async with talking_to([answer("first")[:-1]]) as (_, ours):
        with pytest.raises(Lost):
            await ask(ours)


async def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next() -> None:
    async with talking_to([answer("first")], [answer("second")]) as (scripted, ours):
        scripted.answer_now.clear()
        first = asyncio.create_task(ask(ours))
        while not scripted.asked or not scripted.asked[0]:  # noqa: ASYNC110  # the request is on its way
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        scripted.answer_now.set()
        assert await ask(ours) == "second"


async def test_a_connection_is_left_when_the_server_says_so_or_was_quiet_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking_to([answer("first", "Connection: close")], [answer("second")], [answer("third")]) as (_, ours):
        assert [await ask(ours), await ask(ours, "POST")] == ["first", "second"]
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
        assert await ask(ours, "POST") == "third"


async def test_what_the_server_says_unasked_ends_the_connection() -> None:
    timed_out = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    async with talking_to([answer("first") + timed_out], [answer("second")]) as (scripted, ours):
        scripted.piece = 1000
        assert [await ask(ours), await ask(ours)] == ["first", "second"]


async def test_an_answer_in_another_language_is_lost() -> None:
    async with talking_to([b"SSH-2.0-OpenSSH\r\n"]) as (_, ours):
        with pytest.raises(Lost, match="the answer is not HTTP"):
            await ask(ours)


@pytest.mark.parametrize("on", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_is_asked_on_a_connection_that_ended_before_is_lost(on: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def ask_too_late() -> None:
        async with talking_to([]) as (_, ours), asyncio.timeout(10):
            connection = await ours._open()
            while connection.is_fresh:  # noqa: ASYNC110  # the end is on its way
                await asyncio.sleep(0)
            with pytest.raises(Lost, match="before it was used"):
                await ours._ask_on(connection, b"GET /x HTTP/1.1\r\n\r\n")

    with asyncio.Runner(loop_factory=on) as runner:
        runner.run(ask_too_late())


@pytest.mark.parametrize(
    ("target", "value"), [("/x", "secret\n"), ("/x", "a\rb"), ("/x", "\0"), ("/x HTTP/1.1\r\nInjected: yes", "")]
)
async def test_a_line_that_would_be_two_is_not_sent(target: str, value: str) -> None:
    async with talking_to([answer("first")]) as (scripted, ours):
        with pytest.raises(ValueError, match="a line of the request PATCH holds a line break") as refused:
            await ours.ask("PATCH", target, {"Authorization": value}, b"{}")
        assert await ask(ours) == "first"
    assert "secret" not in str(refused.value)
    assert scripted.asked == [["GET /x HTTP/1.1"]]


async def test_no_more_connections_are_opened_than_allowed() -> None:
    async with talking_to([answer("first"), answer("second")], limit=1) as (scripted, ours):
        assert sorted(await asyncio.gather(ask(ours), ask(ours))) == ["first", "second"]
    assert len(scripted.asked) == 1
