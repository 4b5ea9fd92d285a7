"""What happens in a simulated world: people submit, stop, activate and delete while everything around them fails."""

import asyncio
from typing import Any
from uuid import UUID

from simulation.world import BUILDERS, NAMESPACE, PROJECT, World

WORKLOADS = 14
DISTURBED_SECONDS = 240.0


async def a_disturbed_day(world: World) -> None:
    """Submit workloads of all sorts and change one's mind about some, with losses, delays and kills all along."""
    await world.ask("POST", "/projects", {"name": PROJECT})
    world.weather.trouble = world.random.choice([0.0, 0.02, 0.1])
    world.weather.longest_delay_seconds = world.random.choice([0.0, 0.05, 0.5])
    world.weather.pauses = world.random.choice([0.0, 0.05])
    world.weather.anybody_leads = world.random.random() < 0.3
    people = [asyncio.create_task(_person(world, number)) for number in range(WORKLOADS)]
    people += [asyncio.create_task(_plain_job(world, number)) for number in range(6)]
    killer = asyncio.create_task(_killer(world))
    await asyncio.gather(*people)
    killer.cancel()
    await asyncio.gather(killer, return_exceptions=True)
    world.weather.clears()
    for name in BUILDERS:
        if name not in world.tasks:
            world.start(name)


async def _person(world: World, number: int) -> None:
    random = world.random
    await asyncio.sleep(random.random() * DISTURBED_SECONDS / 2)
    name, key = f"work-{number}", f"key-{number}"
    body = {"name": name, "project": PROJECT, "spec": _spec(world), "idempotency_key": key}
    answers = [await world.ask("POST", "/workloads/trainings", body) for _ in range(random.randint(1, 3))]
    assert {answer.status_code for answer in answers} == {202}, [answer.text for answer in answers]
    ids = {answer.json()["workload_id"] for answer in answers}
    assert len(ids) == 1, "the same key must be the same workload"
    workload_id = UUID(ids.pop())
    world.submitted[workload_id] = name
    for _ in range(random.randint(0, 3)):
        await asyncio.sleep(random.random() * DISTURBED_SECONDS / 4)
        await _change_mind(world, workload_id)


async def _change_mind(world: World, workload_id: UUID) -> None:
    match world.random.choice(["stop", "activate", "delete", "nothing"]):
        case "stop":
            await world.ask("POST", f"/workloads/{workload_id}/stop")
        case "activate":
            await world.ask("POST", f"/workloads/{workload_id}/activate")
        case "delete":
            answer = await world.ask("DELETE", f"/workloads/{workload_id}")
            assert answer.status_code == 202, answer.text
            world.deleted.add(workload_id)


def _spec(world: World) -> dict[str, Any]:
    random = world.random
    parallelism = random.choice([1, 1, 2, 4])
    annotations = {"sim.run-seconds": str(random.choice([1, 20, 120]))}
    annotations |= random.choice([{}, {}, {"sim.fail-times": "1"}, {"sim.exit-code": "3"}, {"sim.pull-seconds": "30"}])
    return {
        "image": "python:3.12",
        "compute": {"gpu_devices": random.choice([0, 1, 2, 8]), "cpu_cores": random.choice([1, 16])},
        "parallelism": parallelism,
        "min_members": random.choice([None, parallelism]),
        "backoff_limit": random.choice([0, 2]),
        "annotations": annotations,
    }


async def _plain_job(world: World, number: int) -> None:
    """Let somebody apply an ordinary Job for a GPU, or some halves of one, without asking Muster."""
    await asyncio.sleep(world.random.random() * DISTURBED_SECONDS / 2)
    halves = world.random.choice([0, 0, 1, 3])
    resources = {} if halves else {"limits": {"nvidia.com/gpu": "1"}}
    annotations = {"sim.run-seconds": str(world.random.choice([1, 60]))}
    template = {
        "metadata": {"annotations": annotations | ({"muster.dev/gpu-fraction": "0.5"} if halves else {})},
        "spec": {
            "schedulerName": "muster-scheduler",
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "resources": resources}],
        },
    }
    job = {
        "metadata": {"name": f"plain-{number}", "namespace": NAMESPACE},
        "spec": {"parallelism": max(1, halves), "completions": max(1, halves), "template": template},
    }
    if world.simulated.client.get("namespaces", None, NAMESPACE) is None:
        world.simulated.client.create("namespaces", {"metadata": {"name": NAMESPACE}})
    world.simulated.client.create("jobs.batch", job)


async def _killer(world: World) -> None:
    while True:
        await asyncio.sleep(world.random.random() * DISTURBED_SECONDS / 6)
        name = world.random.choice(sorted(world.tasks))
        await world.kill(name)
        await asyncio.sleep(world.random.random() * 5)
        world.start(name)
