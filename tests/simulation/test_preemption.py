"""Somebody has to go for somebody more urgent: he goes by eviction, waits, runs again and has lost no retry by it.

Whatever is lost, and whoever dies, falls asleep or leads, his history says for whom he went (`laws`).
"""

import asyncio
from uuid import UUID

import pytest
from muster_contracts import events as e
from simulation.laws import check_laws, settle
from simulation.virtual_time import run_in_virtual_time
from simulation.world import NAMESPACE, PROJECT, World, play

SCHEDULERS = frozenset({"scheduler", "standby"})


def test_a_preempted_job_without_retries_runs_again_and_completes() -> None:
    world = run_in_virtual_time(lambda: play(1, _an_urgent_arrival))
    jobs = world.simulated.client.list("jobs.batch", NAMESPACE)
    assert {(job["spec"]["backoffLimit"], job["status"].get("failed", 0)) for job in jobs} == {(0, 0)}


async def _an_urgent_arrival(world: World) -> None:
    await world.ask("POST", "/projects", {"name": PROJECT})
    nodes = len(world.simulated.client.list("nodes"))
    for number in range(nodes):
        await _submit(world, f"patient-{number}", "train", seconds=600)
    await world.until(lambda events: _count(events, e.PodScheduled) >= nodes)
    urgent = await _submit(world, "urgent", "build", seconds=10)
    await settle(world)
    await check_laws(world)
    events = [recorded.event for recorded in await world.events()]
    (preempted,) = [event for event in events if isinstance(event, e.PodPreempted)]
    assert preempted.beneficiary_id == urgent
    assert (preempted.rule, preempted.reason) == ("preempt", "urgent of the same project has the higher priority.")
    assert _count(events, e.PodScheduled) == nodes + 2  # everybody once, the preempted one again


@pytest.mark.parametrize("number", range(1, 7))
def test_who_was_evicted_is_told_for_whom_whatever_happens_meanwhile(number: int) -> None:
    world = run_in_virtual_time(lambda: play(number, _disturbed_arrivals))
    assert world.evicted


async def _disturbed_arrivals(world: World) -> None:
    """Let the urgent come while requests and answers are lost, and schedulers sleep, die and lead by mistake."""
    await world.ask("POST", "/projects", {"name": PROJECT})
    nodes = len(world.simulated.client.list("nodes"))
    for number in range(nodes):
        await _submit(world, f"patient-{number}", "train", seconds=300)
    await world.until(lambda events: _count(events, e.PodScheduled) >= nodes)
    world.weather.trouble, world.weather.pauses = 0.2, 0.1
    world.weather.anybody_leads = world.random.random() < 0.5
    killing = asyncio.create_task(_kill_schedulers(world))
    for number in range(6):
        await _submit(world, f"urgent-{number}", "build", seconds=10)
        await asyncio.sleep(world.random.random() * 20)
    await asyncio.sleep(60)
    killing.cancel()
    await asyncio.gather(killing, return_exceptions=True)
    world.weather.clears()
    for name in SCHEDULERS - world.tasks.keys():
        world.start(name)
    await settle(world)
    await check_laws(world)


async def _kill_schedulers(world: World) -> None:
    while True:
        await asyncio.sleep(world.random.random() * 4)
        name = world.random.choice(sorted(SCHEDULERS))
        await world.kill(name)
        await asyncio.sleep(world.random.random())
        world.start(name)


def _count(events: list[e.AnyEvent], kind: type[e.Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


async def _submit(world: World, name: str, priority: str, *, seconds: int) -> UUID:
    spec = {
        "image": "python:3.12",
        "compute": {"gpu_devices": 8},
        "priority_class": priority,
        "backoff_limit": 0,
        "annotations": {"sim.run-seconds": str(seconds)},
    }
    body = {"name": name, "project": PROJECT, "spec": spec, "idempotency_key": name}
    answer = await world.ask("POST", "/workloads/trainings", body)
    assert answer.status_code == 202, answer.text
    workload_id = UUID(answer.json()["workload_id"])
    world.submitted[workload_id] = name
    return workload_id
