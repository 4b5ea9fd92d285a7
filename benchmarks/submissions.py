"""How many trainings a second can be submitted over HTTP, and how long each takes: by one client, and by 32 at once.

Ours: the submitter's own process on NATS and a simulated cluster. What follows from a submission (the Job is applied,
pods appear) goes on beside it, as it does in life; between two runs we wait until it is done. The ceiling:
`bare_submit_server`, the same HTTP stack, which publishes one message with acknowledgement per request.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count

import aiohttp

from benchmarks import http_client
from benchmarks.events import NAMESPACE, PROJECT, SPEC
from benchmarks.harness import Benchmark, Contest, Figure, Sample, percentile, scaled
from benchmarks.servers import Servers, free_port, until

CLIENTS = {1: 300, 32: 1000}
"""How many clients send how many submissions in a run."""

BARE = "bare FastAPI, one acknowledged publish"


def _name(clients: int) -> str:
    return f"submit, {clients} client{'s' if clients > 1 else ''}"


class Rounds:
    """Sends rounds of submissions; every workload has a name of its own."""

    def __init__(self, url: str, path: str, scale: float) -> None:
        self._url = url
        self._path = path
        self._scale = scale
        self._numbers = count()
        self.sent = 0

    async def run(self) -> Sample:
        """Let one client send, then many."""
        sample: dict[str, float] = {}
        for clients, submissions in CLIENTS.items():
            requests = self._requests(scaled(submissions, self._scale, clients))
            done = await http_client.load(self._url, requests, connections=clients, status=202)
            sample |= {
                f"{_name(clients)}": done.per_second,
                f"{_name(clients)}, p50": percentile(done.latencies_seconds, 50) * 1000,
                f"{_name(clients)}, p99": percentile(done.latencies_seconds, 99) * 1000,
            }
        return sample

    async def warm_up(self) -> None:
        """Send a few."""
        await http_client.load(self._url, self._requests(20), connections=2, status=202)

    def _requests(self, amount: int) -> Iterator[bytes]:
        spec = SPEC.model_dump(mode="json", include={"image", "command", "environment"})
        for number in [next(self._numbers) for _ in range(amount)]:
            self.sent += 1
            body = {"name": f"train-{number}", "project": PROJECT, "spec": spec | {"compute": {"gpu_devices": 1}}}
            yield http_client.request("POST", self._path, body)


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    async with Servers.open() as servers:
        nats = await servers.nats()
        cluster = await servers.cluster()
        submitter = await servers.service("submitter", nats)
        port = free_port()
        arguments = [nats.server.url, nats.administrator_password, str(port)]
        ceiling = await servers.http("benchmarks.bare_submit_server", port, arguments)
        await _create_project(submitter)
        rounds, bare_rounds = Rounds(submitter, "/api/v1/workloads/trainings", scale), Rounds(ceiling, "/", scale)
        await bare_rounds.warm_up()
        await rounds.warm_up()
        await until(partial(_is_applied, cluster, rounds), "all Jobs were applied")

        async def ours() -> Sample:
            sample = await rounds.run()
            await until(partial(_is_applied, cluster, rounds), "all Jobs were applied")
            return sample

        yield Contest(ours, bare_rounds.run)


async def _create_project(submitter: str) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{submitter}/api/v1/projects", json={"name": PROJECT}) as answer,
    ):
        assert answer.status == 202, await answer.text()


async def _is_applied(cluster: str, rounds: Rounds) -> bool:
    """Whether every submitted workload has its Job, and its pod."""
    return all(
        await asyncio.gather(
            *(
                _has(f"{cluster}{path}/namespaces/{NAMESPACE}/{kind}?limit=1", rounds.sent)
                for path, kind in (("/apis/batch/v1", "jobs"), ("/api/v1", "pods"))
            )
        )
    )


async def _has(url: str, amount: int) -> bool:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        found = await answer.json(content_type=None)
    there: int = len(found["items"]) + found["metadata"].get("remainingItemCount", 0)
    return there >= amount


BENCHMARK = Benchmark(
    "submissions",
    [
        figure
        for clients in CLIENTS
        for figure in (
            Figure(_name(clients), "requests/s", BARE),
            Figure(f"{_name(clients)}, p50", "ms", BARE, more_is_better=False),
            Figure(f"{_name(clients)}, p99", "ms", BARE, more_is_better=False),
        )
    ],
    _open,
)
