"""Half GPUs on a whole cluster: a burst lands exactly, other schedulers see what is taken, and it is given back."""

import asyncio
from collections import Counter
from collections.abc import Callable

from muster_contracts import events as e
from muster_contracts.names import GPU_INDEX, GPUS, RESERVATIONS_NAMESPACE
from simcluster.resources import Object
from simulation.laws import no_kubelet_refused_a_pod
from simulation.virtual_time import run_in_virtual_time
from simulation.world import NAMESPACE, PROJECT, World, play

HALVES, NODES, GPUS_PER_NODE = 50, 8, 8


def test_fifty_half_gpu_pods_take_twenty_five_gpus_and_others_get_exactly_the_rest() -> None:
    world = run_in_virtual_time(lambda: play(1, _a_burst_of_halves))
    assert _reserved(world) == Counter()


def test_a_burst_lands_exactly_although_the_leader_dies_in_the_middle_of_it() -> None:
    world = run_in_virtual_time(lambda: play(2, _a_burst_under_two_leaders))
    assert _reserved(world).total() == HALVES // 2


async def _a_burst_of_halves(world: World) -> None:
    await _submit_halves(world)
    await world.until(_bound(HALVES))
    for number in range(NODES * GPUS_PER_NODE):
        world.simulated.client.create("pods", _pod(f"plain-{number}", "default-scheduler", gpus=1))
    await asyncio.sleep(60)
    running = [pod for pod in world.simulated.client.list("pods", "default") if pod["spec"].get("nodeName")]
    assert len(running) == NODES * GPUS_PER_NODE - HALVES // 2
    _every_shared_gpu_is_reserved_once(world)
    no_kubelet_refused_a_pod(world)
    await asyncio.sleep(700)  # the halves run for ten minutes, and then the sweep comes by
    running = [pod for pod in world.simulated.client.list("pods", "default") if pod["spec"].get("nodeName")]
    assert len(running) == NODES * GPUS_PER_NODE


async def _a_burst_under_two_leaders(world: World) -> None:
    world.weather.longest_delay_seconds = 0.2
    await _submit_halves(world)
    await world.until(_bound(HALVES // 5))
    await world.kill("scheduler")
    world.weather.clears()
    await world.until(_bound(HALVES))
    world.start("scheduler")
    await asyncio.sleep(15)
    _every_shared_gpu_is_reserved_once(world)
    no_kubelet_refused_a_pod(world)


async def _submit_halves(world: World) -> None:
    await world.ask("POST", "/projects", {"name": PROJECT})
    await asyncio.sleep(5)  # until its namespace is made
    for number in range(HALVES):
        pod = _pod(f"half-{number}", "muster-scheduler", annotations={"muster.dev/gpu-fraction": "0.5"})
        world.simulated.client.create("pods", pod)


def _pod(name: str, scheduler: str, *, gpus: int = 0, annotations: dict[str, str] | None = None) -> Object:
    resources = {"requests": {"cpu": "100m"}} | ({"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {})
    container = {"name": "main", "image": "x", "resources": resources}
    return {
        "metadata": {
            "name": name,
            "namespace": "default" if gpus else NAMESPACE,
            "annotations": {"sim.run-seconds": "600" if not gpus else "1000000"} | (annotations or {}),
        },
        "spec": {"schedulerName": scheduler, "restartPolicy": "Never", "containers": [container]},
    }


def _bound(count: int) -> Callable[[list[e.AnyEvent]], bool]:
    return lambda events: sum(len(one.pods) for one in events if isinstance(one, e.PodScheduled)) >= count


def _every_shared_gpu_is_reserved_once(world: World) -> None:
    portions: Counter[tuple[str, int]] = Counter()
    for pod in world.simulated.client.list("pods", NAMESPACE):
        index, portion = pod["metadata"]["annotations"][GPUS].split(":")
        portions[pod["spec"]["nodeName"], int(index)] += int(portion)
    assert max(portions.values()) <= 1_000_000
    assert len(portions) == HALVES // 2
    assert _reserved(world) == Counter(dict.fromkeys(portions, 1))


def _reserved(world: World) -> Counter[tuple[str, int]]:
    pods = world.simulated.client.list("pods", RESERVATIONS_NAMESPACE)
    return Counter((pod["spec"]["nodeName"], int(pod["metadata"]["labels"][GPU_INDEX])) for pod in pods)
