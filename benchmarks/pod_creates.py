"""How many pods a second the simulated cluster creates over HTTP, from 64 connections, each answered when on disk.

The ceiling: `bare_cluster_server` reads the same bodies as JSON and writes the same answers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.pods import CONNECTIONS, Clusters, create, delete_all

AMOUNT = 3000
NAME = "simulated cluster, pod creates"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    amount = scaled(AMOUNT, scale, CONNECTIONS)
    async with Clusters.open() as clusters:
        await create(clusters.bare, CONNECTIONS)
        await create(clusters.simulated, CONNECTIONS)

        async def ours() -> Sample:
            done = await create(clusters.simulated, amount)
            await delete_all(clusters.simulated)
            return {NAME: done.per_second}

        async def bare() -> Sample:
            return {NAME: (await create(clusters.bare, amount)).per_second}

        yield Contest(ours, bare)


BENCHMARK = Benchmark("pod-creates", [Figure(NAME, "pods/s", "bare aiohttp, same bodies in and out")], _open)
