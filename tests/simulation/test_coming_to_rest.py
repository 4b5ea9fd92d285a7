"""What keeps a whole Muster from talking to itself for ever: after any trouble the journal comes to rest, soon.

Services are killed and started again in the middle of binding hundreds of pods, and what integrations tells comes late.
A pod may be promised a place again when its promise was taken back, but no more often than something happened to it.
"""

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from muster_contracts import events as e
from simulation.laws import check_laws, settle
from simulation.virtual_time import run_in_virtual_time
from simulation.world import NAMESPACE, PROJECT, World, play

WORKLOADS, PODS_EACH = 25, 8
RESTARTS = 12
MOST_PROMISES = 4
"""To one pod: the first, one for each of the two releases after which it is not left alone, one after a rest."""


@pytest.mark.parametrize("number", range(1, 4))
def test_who_is_restarted_in_the_middle_of_binding_promises_no_pod_its_place_on_and_on(number: int) -> None:
    world = run_in_virtual_time(lambda: play(number, _restarts_while_binding))
    assert len(world.submitted) == WORKLOADS


async def _restarts_while_binding(world: World) -> None:
    await world.ask("POST", "/projects", {"name": PROJECT})
    world.weather.longest_delay_seconds, world.weather.trouble = 1.0, 0.02
    for number in range(WORKLOADS):
        await _submit(world, f"work-{number}")
    touching = asyncio.create_task(_touch(world))
    for _ in range(RESTARTS):
        await asyncio.sleep(world.random.random() * 4)
        name = world.random.choice(["scheduler", "standby", "integrations", "submitter"])
        await world.kill(name)
        world.start(name)
    touching.cancel()
    await asyncio.gather(touching, return_exceptions=True)
    world.weather.clears()
    await settle(world)
    await check_laws(world)
    promised = Counter(
        place.pod_id for r in await world.events() if isinstance(r.event, e.PlanMade) for place in r.event.placements
    )
    assert len(promised) >= WORKLOADS * PODS_EACH
    assert max(promised.values()) <= MOST_PROMISES


async def _touch(world: World) -> None:
    """Change pods that wait, as somebody else's controller may do, just when they are to be bound."""
    while True:
        await asyncio.sleep(world.random.random() * 0.1)
        waiting = [pod for pod in world.simulated.client.list("pods", NAMESPACE) if not pod["spec"].get("nodeName")]
        if waiting:
            one = world.random.choice(waiting)
            labels = {**one["metadata"].get("labels", {}), "touched": str(world.random.random())}
            world.simulated.client.update("pods", {**one, "metadata": {**one["metadata"], "labels": labels}})


async def _submit(world: World, name: str) -> None:
    spec = {
        "image": "python:3.12",
        "compute": {"cpu_cores": 1},
        "parallelism": PODS_EACH,
        "min_members": world.random.choice([1, PODS_EACH]),
        "annotations": {"sim.run-seconds": "30"},
    }
    body = {"name": name, "project": PROJECT, "spec": spec, "idempotency_key": name}
    answer = await world.ask("POST", "/workloads/trainings", body)
    assert answer.status_code == 202, answer.text
    world.submitted[UUID(answer.json()["workload_id"])] = name
