"""The submitter as a process of its own, on a real NATS and a simulated cluster over HTTP, killed with SIGKILL."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import httpx
import pytest
from muster_cluster.kubernetes import KubernetesCluster
from muster_cluster.objects import JOBS
from muster_contracts.events import ObjectsApplied, WorkloadSubmitted
from muster_contracts.subjects import Writer
from muster_journal.jetstream import JetStreamJournal
from servers import RunningNats, free_port

SECONDS = 40.0
WORKLOADS = 20


@contextlib.contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module until the block ends, then kill it."""
    running = subprocess.Popen(
        [sys.executable, "-m", *command], env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait(20)


@pytest.fixture
async def kubeconfig(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "kubeconfig"
    with process("simcluster", "--kubeconfig", str(path)):
        async with asyncio.timeout(SECONDS):
            while True:
                if path.exists():
                    break
                await asyncio.sleep(0.05)
        yield path


@pytest.fixture
def settings(nats_server: RunningNats, kubeconfig: Path) -> dict[str, str]:
    return {
        "MUSTER_NATS_URL": nats_server.url,
        "MUSTER_SUBMITTER_NATS_PASSWORD": nats_server.password_of("submitter"),
        "MUSTER_KUBECONFIG": str(kubeconfig),
        "MUSTER_SUBMITTER_LISTEN_PORT": str(free_port()),
        "MUSTER_LOG_LEVEL": "WARNING",
    }


async def ask(settings: dict[str, str], path: str, body: object) -> httpx.Response:
    """Post until there is an answer, as a patient client does."""
    async with asyncio.timeout(SECONDS), httpx.AsyncClient(timeout=15) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                url = f"http://127.0.0.1:{settings['MUSTER_SUBMITTER_LISTEN_PORT']}/api/v1{path}"
                response = await client.post(url, json=body)
                if response.status_code != 503:
                    return response
            await asyncio.sleep(0.1)


async def submit(settings: dict[str, str], number: int) -> str:
    body = {
        "name": f"job-{number}",
        "project": "demo",
        "spec": {"image": "python:3.12"},
        "idempotency_key": f"key-{number}",
    }
    response = await ask(settings, "/workloads/trainings", body)
    assert response.status_code == 202, response.text
    workload_id: str = response.json()["workload_id"]
    return workload_id


async def every_event(journal: JetStreamJournal) -> list[object]:
    end = await journal.end()
    events: list[object] = []
    async for batch in journal.follow(0):
        events.extend(recorded.event for recorded in batch.events)
        if batch.events and batch.events[-1].position >= end:
            break
    return events


async def test_a_process_killed_again_and_again_makes_each_workload_once(
    settings: dict[str, str], kubeconfig: Path, open_journal: object
) -> None:
    random = Random(11)
    with process("muster_submitter", **settings):
        assert (await ask(settings, "/projects", {"name": "demo"})).status_code == 202
        clients = [asyncio.create_task(submit(settings, number % WORKLOADS)) for number in range(2 * WORKLOADS)]
        await asyncio.sleep(random.random() * 0.2)
    for _ in range(2):
        with process("muster_submitter", **settings):
            await asyncio.wait(clients, timeout=2.5 + random.random())  # Python needs a moment to start
    with process("muster_submitter", **settings):
        ids = await asyncio.gather(*clients)
        assert ids[:WORKLOADS] == ids[WORKLOADS:]
        journal = await open_journal(Writer.STATUS)  # type: ignore[operator]
        async with asyncio.timeout(SECONDS):
            while True:
                events = await every_event(journal)
                applied = [event.workload_id for event in events if isinstance(event, ObjectsApplied)]
                if len(applied) >= WORKLOADS:
                    break
                await asyncio.sleep(0.1)
    submitted = [event.workload_id for event in events if isinstance(event, WorkloadSubmitted)]
    assert len(submitted) == len(set(submitted)) == WORKLOADS
    assert len(applied) == len(set(applied)) == WORKLOADS
    cluster = await KubernetesCluster.connect(kubeconfig)
    jobs = (await cluster.list_page(JOBS, namespace="muster-demo")).items
    await cluster.close()
    assert sorted(job.metadata.name for job in jobs) == sorted(f"job-{number}" for number in range(WORKLOADS))


async def test_a_wrong_setting_is_one_sentence_and_exit_code_two() -> None:
    done = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "muster_submitter",
        env=os.environ | {"MUSTER_SUBMITTER_INTAKE_DELIVERIES": "0"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await done.communicate()
    assert done.returncode == 2
    assert b"MUSTER_SUBMITTER_INTAKE_DELIVERIES" in told
