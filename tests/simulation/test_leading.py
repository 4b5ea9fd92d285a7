"""The leader dies, or falls asleep at the worst moment: what became of it, in virtual time to the second."""

import asyncio
from typing import Any

import pytest
from muster_contracts import events as e
from simulation.laws import check_laws, settle
from simulation.virtual_time import run_in_virtual_time
from simulation.world import PROJECT, World, play

TAKEOVER_SECONDS = 5.0


def test_a_standby_leads_within_five_seconds_of_the_leaders_death_and_keeps_its_promises() -> None:
    world = run_in_virtual_time(lambda: play(1, _a_death_between_plan_and_bind))
    assert _changes_of_the_lead(world) == 2


async def _a_death_between_plan_and_bind(world: World) -> None:
    await world.ask("POST", "/projects", {"name": PROJECT})
    world.weather.pauses = 1.0
    await _submit(world, "early")
    await world.until(lambda events: any(isinstance(event, e.PlanMade) for event in events))
    assert [r.event.instance for r in await _all(world, e.LeadershipTaken)] == ["scheduler"]
    await world.kill("scheduler")
    world.weather.clears()
    died_at = world.clock.now()
    await world.until(lambda events: any(isinstance(event, e.PodScheduled) for event in events))
    (_, taken) = await _all(world, e.LeadershipTaken)
    (scheduled,) = await _all(world, e.PodScheduled)
    (made,) = await _all(world, e.PlanMade)
    assert taken.event.instance == "standby"
    assert scheduled.event.plan_id == made.event.plan_id
    assert (scheduled.envelope.time - died_at).total_seconds() <= TAKEOVER_SECONDS
    world.start("scheduler")
    await settle(world)
    await check_laws(world)


def test_a_standby_folds_along_for_an_hour_without_taking_the_lead() -> None:
    world = run_in_virtual_time(lambda: play(2, _a_quiet_hour))
    assert _changes_of_the_lead(world) == 1


async def _a_quiet_hour(world: World) -> None:
    await world.ask("POST", "/projects", {"name": PROJECT})
    for number in range(12):
        await _submit(world, f"work-{number}")
        await asyncio.sleep(300)
    await settle(world)
    await check_laws(world)


@pytest.mark.parametrize("number", range(1, 6))
def test_a_leader_that_sleeps_for_a_minute_between_plan_and_bind_does_no_harm_when_it_wakes(number: int) -> None:
    world = run_in_virtual_time(lambda: play(number, _a_sleeping_leader))
    assert _changes_of_the_lead(world) > 2


async def _a_sleeping_leader(world: World) -> None:
    """Let everybody lead and one of them sleep over every deed, while work of all sizes comes and goes."""
    await world.ask("POST", "/projects", {"name": PROJECT})
    world.weather.anybody_leads, world.weather.pauses = True, 0.5
    for number in range(10):
        await _submit(world, f"work-{number}", gpus=world.random.choice([1, 2, 4]), pods=world.random.choice([1, 4]))
        await asyncio.sleep(world.random.random() * 10)
    await asyncio.sleep(120)
    world.weather.clears()
    await settle(world)
    await check_laws(world)


async def _submit(world: World, name: str, *, gpus: int = 1, pods: int = 2) -> None:
    spec = {
        "image": "python:3.12",
        "compute": {"gpu_devices": gpus},
        "parallelism": pods,
        "min_members": pods,
        "annotations": {"sim.run-seconds": "30"},
    }
    body = {"name": name, "project": PROJECT, "spec": spec, "idempotency_key": name}
    answer = await world.ask("POST", "/workloads/trainings", body)
    assert answer.status_code == 202, answer.text


async def _all(world: World, kind: type[e.Event]) -> list[Any]:
    return [recorded for recorded in await world.events() if isinstance(recorded.event, kind)]


def _changes_of_the_lead(world: World) -> int:
    messages = world.log.after(0, world.log.end)
    return sum(message.headers["ce-type"].startswith("LeadershipTaken") for message in messages)
