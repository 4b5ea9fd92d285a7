"""An event nobody can read: its consumers stop with a clear reason where an operator looks; everything else goes on."""

import asyncio
from typing import Any

import httpx
from system.conftest import Running, write_garbage

READERS = {
    "submitter": {"fold"},
    "scheduler": {"fold"},
    "integrations": {"fold"},
    "status": {"deriver", "projector"},
}
"""The loops that read the journal."""


async def test_an_unreadable_event_stops_its_consumers_with_a_reason_and_nobody_else(running: Running) -> None:
    await running.muster("submit", "training", "before", "-p", "demo", "--", "true")
    await running.muster("wait", "before", "--for", "Completed", "--timeout", "60s")
    pids = pids_of(running)
    position = await write_garbage(running.stack)
    reason = f"Damaged: The event at position {position} cannot be read: The body of a WorkloadSubmitted.v1 event"

    services = await until_stopped(running)
    for name, loops in READERS.items():
        stopped = {loop: entry for loop, entry in services[name]["loops"].items() if entry["condition"] == "stopped"}
        assert set(stopped) == loops
        assert all(entry["reason"].startswith(reason) for entry in stopped.values()), stopped
        assert all(entry["position"] == position - 1 for entry in stopped.values()), stopped
        others = [entry for loop, entry in services[name]["loops"].items() if loop not in loops]
        assert all(entry["condition"] in {"running", "waiting"} for entry in others), services[name]

    shown = await running.muster("status", code=1)
    assert f"position {position} cannot be read" in shown.out
    assert shown.err.startswith("Not everything is well: ")
    async with httpx.AsyncClient(timeout=30) as client:
        for name in READERS:
            answer = await client.get(f"http://127.0.0.1:{running.stack.ports[name]}/healthz")
            assert answer.status_code == 503
            assert reason in answer.text

    assert "Completed" in (await running.muster("list")).out
    assert (await running.muster("history", "before", "-o", "json")).data["records"]
    assert pids_of(running) == pids, "the processes live on"
    await assert_nothing_is_decided_from_the_past(running, reason)


async def assert_nothing_is_decided_from_the_past(running: Running, reason: str) -> None:
    """A command is refused for now and leaves nothing behind; an audit names the event."""
    sentence = reason.removeprefix("Damaged: ")
    body = {"name": "after", "project": "demo", "idempotency_key": "after", "spec": {"image": "python:3.12"}}
    async with httpx.AsyncClient(base_url=running.stack.url, timeout=30) as client:
        before = (await client.get("/api/v1/audit/verify")).json()
        answer = await client.post("/api/v1/workloads/trainings", json=body)
        after = (await client.get("/api/v1/audit/verify")).json()
    assert answer.status_code == 503
    assert sentence in answer.json()["message"]
    assert not before["ok"]
    assert sentence in before["differences"][0]
    assert after == before


def pids_of(running: Running) -> dict[str, int | None]:
    return {name: process.pid for name, process in running.stack.processes.items()}


async def until_stopped(running: Running) -> dict[str, Any]:
    """Wait until every reader of the journal has met the event; return what the services say of themselves."""
    async with asyncio.timeout(30):
        while True:
            status = (await running.muster("status", "-o", "json", code=None)).data
            services = {service["service"]: service for service in status["services"]}
            loops = [services[name]["loops"][loop] for name, loops in READERS.items() for loop in loops]
            if all(loop["condition"] == "stopped" for loop in loops):
                return services
