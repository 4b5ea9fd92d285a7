"""How many events a second ten watchers of the simulated cluster receive together.

Pods are made beforehand; one request deletes them all, and the clock runs from that request until the last watcher has
read the last event. The ceiling: `bare_cluster_server` writes frames of the same size to ten watchers on one request.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from time import perf_counter

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.http_client import Connection, address_of, request
from benchmarks.pods import PODS, Clusters, create, delete_all

WATCHERS = 10
AMOUNT = 2000
NAME = f"simulated cluster, watch to {WATCHERS} watchers"
PATIENCE_SECONDS = 60
END_OF_FRAME = b"}\n"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    amount = scaled(AMOUNT, scale)
    async with Clusters.open() as clusters:
        await delete_all(clusters.simulated)

        async def ours() -> Sample:
            await create(clusters.simulated, amount)
            watch = f"{PODS}?watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
            return {NAME: await _per_second(clusters.simulated, watch, request("DELETE", PODS), amount)}

        async def bare() -> Sample:
            return {NAME: await _per_second(clusters.bare, "/watch", request("DELETE", f"/?count={amount}"), amount)}

        yield Contest(ours, bare)


class Watcher(asyncio.Protocol):
    """Counts the frames that arrive. Frames end where JSON ends before a new line, which chunks may cut apart."""

    def __init__(self, expected: int) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.complete: asyncio.Future[None] = loop.create_future()
        self._missing = expected
        self._last = b""

    def data_received(self, data: bytes) -> None:
        """Count."""
        if not self.opened.done():
            self.opened.set_result(None)
        self._missing -= data.count(END_OF_FRAME) + (self._last + data[:1] == END_OF_FRAME)
        self._last = data[-1:]
        if self._missing <= 0 and not self.complete.done():
            self.complete.set_result(None)


async def _per_second(url: str, watch: str, cause: bytes, amount: int) -> float:
    async with AsyncExitStack() as cleanup, asyncio.timeout(PATIENCE_SECONDS):
        watchers = [await _watch(cleanup, url, watch, amount) for _ in range(WATCHERS)]
        async with Connection.open(url) as connection:
            began = perf_counter()
            await connection.ask(cause)
            await asyncio.gather(*(watcher.complete for watcher in watchers))
            return amount * WATCHERS / (perf_counter() - began)


async def _watch(cleanup: AsyncExitStack, url: str, path: str, amount: int) -> Watcher:
    loop = asyncio.get_running_loop()
    transport, watcher = await loop.create_connection(lambda: Watcher(amount), *address_of(url))
    cleanup.callback(transport.close)
    transport.write(request("GET", path))
    await watcher.opened
    return watcher


BENCHMARK = Benchmark("watch-fanout", [Figure(NAME, "events/s", "bare aiohttp writes the same frames")], _open)
