"""How long a newcomer waits: from the start of `muster up` in an empty folder to the first workload's `Completed`.

The training runs one second, its image is there, its container starts at once. The ceiling is what nobody can save: a
bare NATS server from its start until it answers, `initdb` and PostgreSQL likewise, and the pod's own second, added up.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiohttp
from muster_contracts.errors import Unavailable

from benchmarks.events import PROJECT
from benchmarks.harness import Benchmark, Contest, Figure, Sample
from benchmarks.servers import LOOPBACK, Servers, free_port

MUSTER = Path(sys.executable).parent / "muster"
RUN_SECONDS = 1.0
ACCEPTED = "cold start to first accepted submission"
COMPLETED = "cold start to first Completed"
PATIENCE_SECONDS = 90
NOT_A_USERS = ("MUSTER_", "PYTHONDONTWRITEBYTECODE")
"""What the environment may say here and would not on a user's machine; without byte code every start compiles all."""

ANNOTATIONS = {"sim.pull-seconds": "0", "sim.start-seconds": "0", "sim.run-seconds": str(RUN_SECONDS)}
TRAINING = {"name": "hello", "project": PROJECT, "spec": {"image": "python:3.12", "annotations": ANNOTATIONS}}


@asynccontextmanager
async def _open(_scale: float) -> AsyncIterator[Contest]:
    await _ours()  # only the state is cold: libraries are compiled once in their life
    yield Contest(_ours, _bare)


async def _ours() -> Sample:
    async with Servers.open() as servers, asyncio.timeout(PATIENCE_SECONDS):
        port = free_port()
        began = perf_counter()
        async with _muster_up(servers.folder, port), aiohttp.ClientSession() as session:
            newcomer = Newcomer(session, f"http://{LOOPBACK}:{port}/api/v1/workloads")
            workload_id = await newcomer.submit()
            accepted = perf_counter() - began
            await newcomer.wait_for_completed(workload_id)
            return {ACCEPTED: accepted, COMPLETED: perf_counter() - began}


@asynccontextmanager
async def _muster_up(folder: Path, port: int) -> AsyncIterator[None]:
    """Run `muster up` as a user would, and press Ctrl-C in the end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_A_USERS)}
    with (folder / "up.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(str(MUSTER), "up", "--state", str(folder / "state"), "--port", str(port)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Submits a training as soon as that is possible, and looks at it until it has completed."""

    session: aiohttp.ClientSession
    url: str

    async def submit(self) -> str:
        """Submit until it is accepted, and return the workload's id."""
        while True:
            try:
                async with self.session.post(f"{self.url}/trainings", json=TRAINING) as answer:
                    if answer.status == 202:
                        return str((await answer.json())["workload_id"])
            except aiohttp.ClientConnectorError:
                pass  # nobody listens yet
            await asyncio.sleep(0.02)

    async def wait_for_completed(self, workload_id: str) -> None:
        """Look until it has completed. Raises Unavailable when it ends otherwise."""
        phase = ""
        while phase != "Completed":
            async with self.session.get(f"{self.url}/{workload_id}") as answer:
                phase = (await answer.json()).get("phase", "") if answer.status == 200 else ""
            if phase in {"Failed", "Stopped", "Deleted"}:
                raise Unavailable(f"The training is {phase}.")
            await asyncio.sleep(0.02)


async def _bare() -> Sample:
    async with Servers.open() as servers:
        seconds = await _seconds(servers.nats()) + await _seconds(servers.postgres())
    return {ACCEPTED: seconds, COMPLETED: seconds + RUN_SECONDS}


async def _seconds(work: Awaitable[object]) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


BENCHMARK = Benchmark(
    "cold-start",
    [
        Figure(ACCEPTED, "s", "NATS + initdb and PostgreSQL", more_is_better=False),
        Figure(COMPLETED, "s", "the same + the pod's own second", more_is_better=False),
    ],
    _open,
)
