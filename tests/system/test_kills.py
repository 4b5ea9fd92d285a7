"""Any process is killed at any moment while fifty workloads run: nothing is lost, doubled or stuck."""

import asyncio
import os
import signal
from collections import Counter
from random import Random
from typing import Any

import httpx
import pytest
from system.conftest import Running

WORKLOADS = 50
VICTIMS = ("submitter", "integrations", "scheduler", "status", "nats", "postgres")
PATIENCE_SECONDS = 240


async def submit(client: httpx.AsyncClient, number: int) -> str:
    """Submit as a client does that keeps its key until it has an answer."""
    body = {
        "name": f"work-{number}",
        "project": "demo",
        "idempotency_key": f"key-{number}",
        "spec": {
            "image": "python:3.12",
            "compute": {"gpu_devices": number % 3},
            "parallelism": 1 + number % 2,
            "min_members": 1 + number % 2,
            "annotations": {"sim.run-seconds": str(1 + number % 5)},
        },
    }
    while True:
        try:
            answer = await client.post("/api/v1/workloads/trainings", json=body)
        except httpx.TransportError:
            await asyncio.sleep(0.2)
            continue
        if answer.status_code != 503:
            assert answer.status_code == 202, answer.text
            return str(answer.json()["workload_id"])


async def kill_at_random(running: Running, random: Random, victims: tuple[str, ...]) -> None:
    for victim in victims:
        await asyncio.sleep(random.random() * 2)
        pid = running.stack.processes[victim].pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


async def until_all_completed(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                answer = await client.get("/api/v1/workloads", params={"limit": 100})
            except httpx.TransportError:
                answer = httpx.Response(503)
            rows = answer.json()["workloads"] if answer.status_code == 200 else []
            if len(rows) == WORKLOADS and all(row["phase"] == "Completed" for row in rows):
                return list(rows)
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_doubled_or_stuck_whoever_is_killed(running: Running, seed: int) -> None:
    random = Random(seed)
    victims = tuple(random.sample(VICTIMS, len(VICTIMS)))
    async with httpx.AsyncClient(base_url=running.stack.url, timeout=30) as client:
        killing = asyncio.create_task(kill_at_random(running, random, victims))
        ids = await asyncio.gather(*(submit(client, number) for number in range(WORKLOADS)))
        await killing
        rows = await until_all_completed(client)
        assert sorted(row["id"] for row in rows) == sorted(ids)
        events = await whole_journal(client)
        assert_no_pod_was_bound_twice(events)
        verified = (await client.get("/api/v1/audit/verify")).json()
        assert verified["ok"], verified["differences"]


async def whole_journal(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["position"] if events else 0
        page = (await client.get("/api/v1/journal", params={"after": after, "limit": 1000})).json()["events"]
        if not page:
            return events
        events += page


def assert_no_pod_was_bound_twice(events: list[dict[str, Any]]) -> None:
    scheduled = [event["data"] for event in events if event["type"].startswith("PodScheduled")]
    bound = Counter(pod["pod_id"] for data in scheduled for pod in data["pods"])
    assert bound, "no pod was ever bound"
    assert max(bound.values()) == 1, bound.most_common(3)
