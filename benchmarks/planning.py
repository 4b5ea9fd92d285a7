"""How long the planner takes, by itself: a snapshot of the fold and a plan, without journal and without Kubernetes.

The shapes are those on which other schedulers publish figures, and the ones that hurt: a gang that cannot fit, and
taking back what was borrowed. Ours is what one cycle of the service does for jobs that have just come. The ceiling is
numpy that puts as many pods, one after the other, on the fullest node that has room: no gangs, no devices, no queues,
no reasons. What others publish stands beside it, with other hardware and, unless it says "core", with what the API
server did in it: docs/performance.md tells which.

The clock counts processor time of this process alone: nothing here waits, and whatever else runs would be counted too.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import process_time

import numpy as np
from muster_scheduler.core.plan import Plan, plan
from muster_scheduler.core.scenarios.cases import NearnessCase
from muster_scheduler.core.scenarios.facts import id_of
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import take_snapshot

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.scenes import BUILD_PRIORITY, TREE, Scene, device_by_device, jobs, nodes, queues, running

BEST_FIT = "numpy, best fit, pod by pod"


@dataclass(frozen=True, slots=True)
class Shape:
    """A scene, and what is said and wanted of its plan."""

    name: str
    scene: Callable[[float], Scene]
    unit: str = "s"
    published: str = ""
    target: float | None = None

    @property
    def figure(self) -> Figure:
        """The line of the table."""
        return Figure(self.name, self.unit, BEST_FIT, self.unit == "pods/s", self.published, self.target)

    def value(self, seconds: float, scene: Scene) -> float:
        """Return seconds in the shape's unit."""
        match self.unit:
            case "pods/s":
                return sum(len(job.tasks) for job in scene.waiting) / seconds
            case "ms/gang":
                return seconds * 1000 / len(scene.waiting)
            case _:
                return seconds


def _pods(scale: float, extended: str = "") -> Scene:
    cluster = nodes(scaled(5000, scale), gpus=0)
    return Scene(cluster, queues({"team": None}), jobs("team", scaled(10_000, scale)), extended=extended)


def _small_gangs(scale: float) -> Scene:
    return Scene(nodes(scaled(5000, scale), gpus=0), queues({"team": None}), jobs("team", scaled(1000, scale), gang=3))


def _rack_gangs(scale: float) -> Scene:
    in_one_rack = NearnessCase(TREE.name, required="rack")
    gangs = jobs("team", scaled(500, scale), gang=8, gpus=8, nearness=in_one_rack)
    return Scene(nodes(scaled(5000, scale, 16), rack=16), queues({"team": None}), gangs)


def _fill(scale: float) -> Scene:
    count = scaled(500, scale)
    return Scene(nodes(count), queues({"team": 8 * count}), jobs("team", 8 * count, gpus=1))


def _fill_with_gangs(scale: float) -> Scene:
    cluster = nodes(scaled(500, scale, 10))
    return Scene(cluster, queues({"team": None}), jobs("team", len(cluster) // 10, gang=10, gpus=5))


def _large_gang(scale: float) -> Scene:
    count = scaled(512, scale)
    near = NearnessCase(TREE.name, preferred="rack")
    return Scene(nodes(count, rack=2), queues({"team": None}), jobs("team", 1, gang=count, gpus=2, nearness=near))


def _impossible_gang(scale: float) -> Scene:
    count = scaled(512, scale, 2)
    cluster = nodes(count)
    holder = running(jobs("team", 1, gpus=1, priority=BUILD_PRIORITY), device_by_device(cluster))
    return Scene(cluster, queues({"team": None}), jobs("team", 1, gang=count, gpus=8), holder)


def full_of_borrowers(cluster_size: int, gang: int, gpus: int, count: int, weight: int = 1) -> Scene:
    """Return a cluster full of one-GPU jobs that may all be taken back, and who wants to."""
    cluster = nodes(cluster_size)
    borrowed = running(jobs("borrower", 8 * cluster_size, gpus=1), device_by_device(cluster))
    projects = queues({"borrower": 0, "owner": 8 * cluster_size}, weight=weight)
    return Scene(cluster, projects, jobs("owner", count, gang=gang, gpus=gpus), borrowed)


def _reclaim_gang(scale: float) -> Scene:
    count = scaled(1000, scale, 10)
    return full_of_borrowers(count, gang=count // 10, gpus=8, count=1, weight=0)


def _reclaim_all_at_once(scale: float) -> Scene:
    count = scaled(500, scale)
    return full_of_borrowers(count, gang=count, gpus=8, count=1)


def _reclaim_one_by_one(scale: float) -> Scene:
    count = scaled(500, scale)
    return full_of_borrowers(count, gang=1, gpus=1, count=8 * count)


SHAPES: Sequence[Shape] = (
    Shape("plan, 10,000 pods on 5,000 nodes", _pods, "pods/s", "kube-scheduler: at least 680", target=10_000),
    Shape(
        "plan, the same with an extended resource",
        lambda scale: _pods(scale, "example.com/accelerator"),
        "pods/s",
        "kube-scheduler: at least 180",
        target=5000,
    ),
    Shape("plan, 1,000 gangs of 3 on 5,000 nodes", _small_gangs, "ms/gang", "kube-scheduler: 3.7", target=1.0),
    Shape("plan, 500 gangs of 8×8 GPUs in one rack", _rack_gangs, "ms/gang", target=1.0),
    Shape("plan, 4,000 one-GPU jobs on 500 nodes", _fill, published="KAI: 398", target=0.5),
    Shape("plan, 50 gangs of 10×5 GPUs on 500 nodes", _fill_with_gangs),
    Shape("plan, a gang of 512×2 GPUs, racks preferred", _large_gang, published="KAI: 48.7"),
    Shape("verdict, a gang of 512 that cannot fit", _impossible_gang, published="KAI, a gang of 10: 250", target=0.2),
    Shape("reclaim, a gang of 100×8 GPUs at 1,000 nodes", _reclaim_gang, published="KAI core: 76.3", target=1.0),
    Shape("reclaim, a gang of 500×8 GPUs at 500 nodes", _reclaim_all_at_once, published="KAI: 85"),
    Shape("reclaim, 4,000 one-GPU jobs at 500 nodes", _reclaim_one_by_one, published="KAI: 694.5", target=10.0),
)


def benchmark(name: str, shapes: Sequence[Shape]) -> Benchmark:
    """Return the benchmark of these shapes."""

    @asynccontextmanager
    async def start(scale: float) -> AsyncIterator[Contest]:
        async def ours() -> Sample:
            return {shape.name: _plan(shape, scale) for shape in shapes}

        async def bare() -> Sample:
            return {shape.name: _best_fit(shape, scale) for shape in shapes}

        yield Contest(ours, bare)

    return Benchmark(name, [shape.figure for shape in shapes], start)


def _plan(shape: Shape, scale: float) -> float:
    scene = shape.scene(scale)
    world = scene.world()
    return shape.value(timed_plan(world, scene)[0], scene)


def timed_plan(world: World, scene: Scene) -> tuple[float, Plan]:
    """Plan for jobs that have just come to a cluster that is known; return seconds and plan."""
    take_snapshot(world.state)
    world.state.changes.groups |= dict.fromkeys(id_of("group", job.name) for job in scene.waiting)
    began = process_time()
    made = plan(take_snapshot(world.state))
    return process_time() - began, made


def _best_fit(shape: Shape, scale: float) -> float:
    scene = shape.scene(scale)
    amount = sum(len(job.tasks) for job in scene.waiting)
    return shape.value(best_fit_seconds(len(scene.nodes), amount), scene)


def best_fit_seconds(cluster_size: int, amount: int) -> float:
    """Return how long numpy takes to put so many pods, each on the fullest node that has room; all find some."""
    free = np.full(cluster_size, -(-amount // cluster_size), dtype=np.float32)
    began = process_time()
    for _ in range(amount):
        roomy = np.flatnonzero(free >= 1)
        free[roomy[np.argmin(free[roomy])]] -= 1
    return process_time() - began


BENCHMARK = benchmark("planning", SHAPES)
