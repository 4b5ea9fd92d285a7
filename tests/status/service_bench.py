"""The whole status service over real HTTP, on a journal in memory, a real database and a cluster that knows logs."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

import httpx
import uvicorn
from muster_chassis.service import Service, open_port, run_loops
from muster_cluster.port import Cluster, NotFound, Rejected
from muster_contracts.events import AnyEvent
from muster_contracts.subjects import Writer, subject_of
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_status.adapters.neighbours import HttpNeighbours
from muster_status.adapters.postgres import PostgresReadModels
from muster_status.app import Ports, build
from muster_status.settings import StatusSettings
from status.stories import CLUSTER, EPOCH


class LogsOnly:
    """A cluster that has logs by pod, refuses some and does not know the others."""

    def __init__(self) -> None:
        self.texts: dict[str, list[bytes]] = {}
        self.refused: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []

    async def logs(self, namespace: str, pod: str, **options: Any) -> AsyncGenerator[bytes, None]:
        self.asked.append({"namespace": namespace, "pod": pod, **options})
        if pod in self.refused:
            raise Rejected(self.refused[pod])
        if pod not in self.texts:
            raise NotFound(f"pods {pod!r} not found")
        for text in self.texts[pod]:
            yield text

    async def close(self) -> None:
        """Nothing is open."""


class StatusBench:
    """A running service, and hands to write events as their writers would."""

    def __init__(self, dsn: str, neighbours: dict[str, str] | None = None) -> None:
        self.log = MemoryLog()
        self.checkpoints = MemoryCheckpoints()
        self.scheduler_checkpoints = MemoryCheckpoints()
        self.cluster = LogsOnly()
        self.dsn = dsn
        self.neighbours = neighbours or {}
        self.http = httpx.AsyncClient(timeout=20)
        self.url = ""

    def journal(self, writer: Writer) -> MemoryJournal:
        return MemoryJournal(self.log, writer, lambda: EPOCH)

    async def tell(self, events: Sequence[AnyEvent]) -> int:
        for event in events:
            position = await self.journal(subject_of(event).writer).append(event)
        return position

    async def settle(self) -> int:
        """Wait until everything that follows is recorded and in the tables; return the position."""
        async with asyncio.timeout(20):
            while True:
                answer = await self.get("/audit/verify")
                end = self.log.end
                if answer["ok"] and answer["position"] == end and await self.stands_at(end):
                    return end

    async def stands_at(self, end: int) -> bool:
        loops = (await self.get("/system"))["services"][-1]["loops"]
        return bool(loops["projector"]["position"] == end == self.log.end)

    async def get(self, path: str, status: int = 200, **parameters: Any) -> Any:
        answer = await self.http.get(f"{self.url}/api/v1{path}", params=parameters)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.headers["content-type"] == "application/json" else answer.text

    def ports(self) -> Ports:
        return Ports(
            journal=self.journal(Writer.STATUS),
            cluster=cast(Cluster, self.cluster),
            cluster_id=CLUSTER,
            tables=PostgresReadModels(self.dsn),
            neighbours=HttpNeighbours(self.neighbours),
            random=Random(0),
            checkpoints=self.checkpoints,
            scheduler_checkpoints=self.scheduler_checkpoints,
        )

    def build(self) -> Service:
        return build(StatusSettings(patience_seconds=2, checkpoint_events=7), self.ports())


@asynccontextmanager
async def serving(bench: StatusBench) -> AsyncIterator[StatusBench]:
    """Run the service with its loops and its HTTP server."""
    service, listening = bench.build(), open_port("127.0.0.1", 0)
    config = uvicorn.Config(service.api, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    tasks = [asyncio.create_task(run_loops(service)), asyncio.create_task(server.serve(sockets=[listening]))]
    bench.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        async with asyncio.timeout(10):
            ready = 0
            while ready != 200:
                ready = (await bench.http.get(f"{bench.url}/api/v1/workloads")).status_code
        yield bench
    finally:
        server.should_exit = True
        await tasks[1]
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for close in service.closers:
            await close()
        await bench.http.aclose()


class Listening:
    """A client of the live stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def frame(self) -> tuple[str, int, Any]:
        """Return the next frame: event, id, data."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            async for line in self._lines:
                if not line and fields:
                    return fields["event"], int(fields["id"]), json.loads(fields["data"])
                name, _, value = line.partition(": ")
                if name in {"event", "id", "data"}:
                    fields[name] = value
        raise AssertionError("the stream has ended")

    async def until(self, event: str, **wanted: Any) -> list[tuple[str, int, Any]]:
        """Return all frames up to the first that is wanted."""
        frames = [await self.frame()]
        while not (frames[-1][0] == event and all(frames[-1][2].get(name) == wanted[name] for name in wanted)):
            frames.append(await self.frame())
        return frames


@asynccontextmanager
async def listening(bench: StatusBench, last_id: int | None = None, **parameters: str) -> AsyncIterator[Listening]:
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    async with bench.http.stream(
        "GET", f"{bench.url}/api/v1/stream", params=parameters, headers=headers, timeout=None
    ) as answer:
        assert answer.status_code == 200
        yield Listening(answer.aiter_lines())
