"""More shapes on which other schedulers publish figures, and the like that hurt: `planning` has those that matter most.

They run only by name, for some of them plan for thousands of groups that find no room and each has to be made some.
"""

from collections.abc import Sequence

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
    Shape("reclaim, 50 gangs of 10×8 GPUs at 500 nodes", _reclaim_by_gangs, published="KAI: 716.9"),
    Shape("reclaim, a gang of 250×8 GPUs at 500 nodes", _reclaim_half, published="KAI: 102"),
    Shape("reclaim, one GPU on 500 full nodes", _reclaim_one, published="KAI: 13.9"),
    Shape("preempt, 3,000 of 4,000 pods at 1,000 nodes", _preempt),
    Shape("consolidate, 25 gangs of 10×8 GPUs on 500 half-full nodes", _consolidate),
)

BENCHMARK = benchmark("planning-more", SHAPES)
