"""A question about scheduling on its whole way: HTTP, the status service, NATS, the scheduler that leads, and back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from cluster.in_process import InProcessTransport
from muster_chassis.service import run_loops
from muster_cluster.kubernetes import KubernetesCluster
from muster_contracts import events as e
from muster_contracts.subjects import Writer
from muster_contracts.values import Caller
from muster_journal.connection import Connection, Login
from muster_journal.memory import MemoryJournal
from muster_journal.memory_leases import MemoryLeases
from muster_scheduler import answering
from muster_scheduler.app import Ports, build
from muster_scheduler.settings import SchedulerSettings
from muster_status.adapters.scheduler import NatsScheduler
from muster_status.app import Ports as StatusPorts
from scheduler.worlds import gang, id_of, node
from servers import RunningNats
from simcluster.cluster import Cluster
from simcluster.settings import Settings
from status.service_bench import StatusBench, serving
from status.stories import CLUSTER

SOMEBODY = Caller(name="ada")


def login(nats: RunningNats, writer: Writer) -> Login:
    return Login((nats.url,), writer.value, nats.password_of(writer), f"test-{writer}")


class AskingBench(StatusBench):
    """A status service that asks over a real NATS."""

    def __init__(self, dsn: str, scheduler: NatsScheduler) -> None:
        super().__init__(dsn)
        self.scheduler = scheduler

    def ports(self) -> StatusPorts:
        return replace(super().ports(), scheduler=self.scheduler)


@pytest.fixture
async def bench(postgres_dsn: str, nats_server: RunningNats) -> AsyncIterator[AskingBench]:
    connection = await Connection.open(login(nats_server, Writer.STATUS), 10)
    scheduler = NatsScheduler(connection, CLUSTER, patience_seconds=3)
    async with serving(AskingBench(postgres_dsn, scheduler)) as running:
        yield running


@pytest.fixture
async def scheduler(bench: AskingBench, nats_server: RunningNats) -> AsyncIterator[None]:
    """A scheduler that leads, on the same journal."""
    async with Cluster(Settings(seed=1)) as cluster:
        journal = MemoryJournal(bench.log, Writer.SCHEDULER, lambda: datetime.now(UTC))
        kubernetes = KubernetesCluster(InProcessTransport(cluster.api))
        ports = Ports(journal, MemoryLeases(), kubernetes, CLUSTER, Random(1), login(nats_server, Writer.SCHEDULER))
        loops = asyncio.create_task(run_loops(build(SchedulerSettings(), ports)))
        await until(bench, "/scheduling/queues", lambda _: True)  # it has to take the lead first
        yield
        loops.cancel()
        await asyncio.gather(loops, return_exceptions=True)


def project(name: str) -> e.ProjectChanged:
    return e.ProjectChanged(project_id=id_of(name), name=name, namespace=f"muster-{name}", changed_by=SOMEBODY)


async def test_nobody_there_is_a_503_in_a_sentence(bench: AskingBench) -> None:
    problem = await bench.get("/scheduling/queues", 503)
    assert problem["message"] == "No scheduler is there to answer. Please try again."


@pytest.mark.usefixtures("scheduler")
async def test_the_planner_answers_over_http(bench: AskingBench) -> None:
    await bench.tell([project("demo"), node("pool-a-0")])
    asked = {"project": "demo", "pods": 2, "gpu_devices": 4}
    fits = await until(bench, "/scheduling/fits", lambda answer: answer["fits"] == "now", **asked)
    assert fits["places"] == [{"node": "pool-a-0", "pods": 2}]
    fits = await bench.get("/scheduling/fits", project="demo", pods=3, gpu_devices=4)
    assert (fits["fits"], fits["code"]) == ("no", "GangDoesNotFit")
    (pool,) = (await bench.get("/scheduling/queues"))["node_pools"]
    assert (pool["capacity"]["gpu_millionths"], pool["queues"][0]["name"]) == (8_000_000, "demo")
    (shown,) = (await bench.get("/scheduling/nodes", limit=5))["nodes"]
    assert (shown["name"], shown["free_gpus"]) == ("pool-a-0", [1_000_000] * 8)


@pytest.mark.usefixtures("scheduler")
async def test_what_makes_no_sense_is_refused(bench: AskingBench) -> None:
    assert "no project 'nowhere'" in (await bench.get("/scheduling/fits", 404, project="nowhere"))["message"]
    assert "pods should be greater" in (await bench.get("/scheduling/fits", 422, project="demo", pods=0))["message"]
    assert "There is no workload" in (await bench.get(f"/workloads/{id_of('none')}/waiting", 404))["message"]


@pytest.mark.usefixtures("scheduler")
async def test_what_the_scheduler_fails_at_is_a_defect_and_the_next_question_is_answered(
    bench: AskingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "addressed", None)
    assert (await bench.get("/scheduling/fits", 500, project="demo"))["details"] == "Defect"
    assert "node_pools" in await bench.get("/scheduling/queues")


@pytest.mark.usefixtures("scheduler")
async def test_a_workload_says_why_it_waits_in_one_text_everywhere(bench: AskingBench) -> None:
    workload_id = id_of("workload/big")
    discovered = e.WorkloadDiscovered(
        workload_id=workload_id,
        name="big",
        project="demo",
        namespace="muster-demo",
        kind="Job",
        api_version="batch/v1",
        object_id=workload_id,
        workload_class="native",
        created_at=datetime.now(UTC),
    )
    told = await bench.tell([project("demo"), node("pool-a-0"), discovered, *gang("big", 3, gpus=4)])
    text = "big needs room for 3 pods at once: 12 GPUs in pieces of 4 GPUs; node pool default has room for no more than"
    shown = await until(bench, f"/workloads/{workload_id}", lambda one: one["message"], at_least=told)
    assert shown["message"].startswith(text)
    (waits,) = (await bench.get(f"/workloads/{workload_id}/waiting"))["groups"]
    assert f"{waits['reason']} {waits['remedy']}" == shown["message"]
    records = (await bench.get(f"/workloads/{workload_id}/history"))["records"]
    assert [one["reason"] for one in records if one["type"] == "WorkloadBlocked"] == [shown["message"]]


async def until(bench: AskingBench, path: str, holds: Callable[[Any], Any], **asked: Any) -> Any:
    """Ask until the services have read what was just written, and the answer shows it."""
    async with asyncio.timeout(20):
        while True:
            answer = await bench.http.get(f"{bench.url}/api/v1{path}", params=asked)
            if answer.status_code == 200 and holds(answer.json()):
                return answer.json()
            await asyncio.sleep(0.02)
