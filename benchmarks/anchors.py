"""More shapes on which other schedulers publish figures, and the like that hurt: `planning` has those that matter most.

They run only by name, for some of them plan for thousands of groups that find no room and each has to be made some.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from muster_scheduler.core.scenarios.cases import SubGroupCase, TaskCase, TaskState

from benchmarks.harness import scaled
from benchmarks.planning import Shape, benchmark, full_of_borrowers
from benchmarks.scenes import TRAIN_PRIORITY, Scene, device_by_device, jobs, nodes, queues, running

HIGHER_PRIORITY = TRAIN_PRIORITY + 10


def _beside_the_hopeless(scale: float) -> Scene:
    count = scaled(500, scale)
    projects = queues({"team": 8 * count, "limited": 0}, weight=0)
    hopeless = jobs("limited", scaled(400, scale), gpus=1)
    return Scene(nodes(count), projects, [*hopeless, *jobs("team", 8 * count, gpus=1)])


def _many_small_gangs(scale: float) -> Scene:
    return Scene(nodes(scaled(5000, scale), gpus=0), queues({"team": None}), jobs("team", scaled(3000, scale), gang=3))


def _ten_projects(scale: float) -> Scene:
    count = scaled(1000, scale)
    projects = {f"team-{number}": None for number in range(10)}
    each = [jobs(name, 32 * count // 10, cpu_milli=900) for name in projects]
    return Scene(nodes(count, gpus=0), queues(projects), [job for team in each for job in team])


def _small_cluster(scale: float) -> Scene:
    cluster = nodes(scaled(500, scale), gpus=0, cpus=400)
    return Scene(cluster, queues({"team": None}), jobs("team", scaled(10_000, scale)))


def _two_levels(parents: int, pods: int) -> Callable[[float], Scene]:
    """Gangs of two parts, both of which must fit."""

    def scene(scale: float) -> Scene:
        size = scaled(pods, scale)
        halves = tuple(SubGroupCase(name, size) for name in ("first", "second"))
        tasks = tuple(TaskCase(TaskState.PENDING, sub_group=half.name) for half in halves for _ in range(size))
        gangs = [
            replace(job, tasks=tasks, root=SubGroupCase("", 2 * size, halves, 2))
            for job in jobs("team", scaled(parents, scale), gang=2 * size)
        ]
        return Scene(nodes(scaled(5000, scale), gpus=0), queues({"team": None}), gangs)

    return scene


def _gangs(count: int, pods: int) -> Callable[[float], Scene]:
    """As many pods in gangs of every size, on 100 nodes."""

    def scene(scale: float) -> Scene:
        gangs = jobs("team", scaled(count, scale), gang=scaled(pods, scale))
        return Scene(nodes(100, gpus=0, pods=200), queues({"team": None}), gangs)

    return scene


def _ten_times_too_many(scale: float) -> Scene:
    count = scaled(100, scale)
    projects = {f"team-{number}": None for number in range(10)}
    each = [jobs(name, 32 * count, cpu_milli=1000) for name in projects]
    return Scene(nodes(count, gpus=0), queues(projects), [job for team in each for job in team])


def _round_robin(scale: float) -> Scene:
    """Four projects of a quarter each; half of what they want runs."""
    count = scaled(100, scale, 4)
    cluster = nodes(count)
    projects = {f"team-{number}": 2 * count for number in range(4)}
    each = [jobs(name, scaled(125, scale), gpus=1) for name in projects]
    places = device_by_device(cluster)
    at_work = [job for team in each for job in running(team[: len(team) // 2], places)]
    return Scene(cluster, queues(projects), [job for team in each for job in team[len(team) // 2 :]], at_work)


def _reclaim_by_gangs(scale: float) -> Scene:
    count = scaled(500, scale, 10)
    return full_of_borrowers(count, gang=10, gpus=8, count=count // 10)


def _reclaim_half(scale: float) -> Scene:
    count = scaled(500, scale, 2)
    return full_of_borrowers(count, gang=count // 2, gpus=8, count=1)


def _reclaim_one(scale: float) -> Scene:
    return full_of_borrowers(scaled(500, scale), gang=1, gpus=1, count=1)


def _preempt(scale: float) -> Scene:
    count = scaled(1000, scale)
    cluster = nodes(count, gpus=0, cpus=4)
    low = jobs("team", 4 * count, cpu_milli=900)
    places = (node.name for node in cluster for _ in range(4))
    high = jobs("team", count, cpu_milli=3000, priority=HIGHER_PRIORITY)
    return Scene(cluster, queues({"team": None}), high, running(low, places))


def _consolidate(scale: float) -> Scene:
    """Every second GPU is taken: gangs that want whole nodes fit only when others move together."""
    count = scaled(500, scale, 20)
    cluster = nodes(count)
    scattered = list(device_by_device(cluster))[::2]
    small = running(jobs("team", len(scattered), gpus=1), iter(scattered))
    return Scene(cluster, queues({"team": None}), jobs("team", count // 20, gang=10, gpus=8), small)


SHAPES: Sequence[Shape] = (
    Shape("plan, 4,000 one-GPU jobs beside 400 that may have none", _beside_the_hopeless, published="KAI: 398"),
    Shape("plan, 3,000 gangs of 3 on 5,000 nodes", _many_small_gangs, "ms/gang", published="kube-scheduler: 5.7"),
    Shape("plan, 32,000 jobs of 10 projects on 1,000 nodes", _ten_projects, "pods/s"),
    Shape("plan, 32,000 jobs of 10 projects for 3,200 places", _ten_times_too_many, "pods/s"),
    Shape("plan, 10,000 pods on 500 nodes", _small_cluster, "pods/s", published="YuniKorn, 2,000 nodes: 204"),
    Shape("plan, 500 gangs of 2 parts of 3 on 5,000 nodes", _two_levels(500, 3), "ms/gang"),
    Shape("plan, 3 gangs of 2 parts of 1,000 on 5,000 nodes", _two_levels(3, 1000), "ms/gang"),
    Shape("plan, 500 gangs of 20 on 100 nodes", _gangs(500, 20), "ms/gang"),
    Shape("plan, 20 gangs of 500 on 100 nodes", _gangs(20, 500), "ms/gang"),
    Shape("plan, a gang of 10,000 on 100 nodes", _gangs(1, 10_000), "ms/gang"),
    Shape("plan, 4 projects on 100 half-full nodes", _round_robin, published="KAI core: 0.149"),
    Shape("reclaim, 50 gangs of 10×8 GPUs at 500 nodes", _reclaim_by_gangs, published="KAI: 716.9"),
    Shape("reclaim, a gang of 250×8 GPUs at 500 nodes", _reclaim_half, published="KAI: 102"),
    Shape("reclaim, one GPU on 500 full nodes", _reclaim_one, published="KAI: 13.9"),
    Shape("preempt, 3,000 of 4,000 pods at 1,000 nodes", _preempt),
    Shape("consolidate, 25 gangs of 10×8 GPUs on 500 half-full nodes", _consolidate),
)

BENCHMARK = benchmark("planning-more", SHAPES)
