"""Clusters for the planner to look at: nodes, queues and jobs by the thousand, folded into the scheduler's own state.

They are described in the nouns of scenarios and told by a scenario's `World`, so that a benchmark and `muster simulate`
see the same events. Everything is alike within a scene: planners are slow because there is much, not because it varies.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from muster_contracts.events import AnyEvent, PodObserved
from muster_contracts.values import WHOLE_GPU
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.scenarios import facts
from muster_scheduler.core.scenarios.cases import (
    Case,
    JobCase,
    Mode,
    NearnessCase,
    NodeCase,
    QueueCase,
    SubGroupCase,
    TaskCase,
    TaskState,
    TopologyCase,
)
from muster_scheduler.core.scenarios.world import World

GIBIBYTE = 2**30
TREE = TopologyCase("tree", ("block", "rack"))
RACKS_PER_BLOCK = 8
TRAIN_PRIORITY, BUILD_PRIORITY = 50, 100


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster with jobs that run (`running`, whole nodes first) and jobs that wait."""

    nodes: Sequence[NodeCase]
    queues: Sequence[QueueCase]
    waiting: Sequence[JobCase]
    running: Sequence[JobCase] = ()
    extended: str = ""

    def world(self) -> World:
        """Fold everything."""
        case = Case("benchmark", Mode.SETTLED, "", 1.0, tuple(self.nodes), tuple(self.queues), (TREE,), ())
        world = World(case)
        world.arrive(self.running)
        world.arrive(self.waiting)
        if self.extended:
            _tell(world, _with_extended(world, self.extended))
        return world


def nodes(count: int, *, gpus: int = 8, cpus: int = 32, pods: int = 110, rack: int = 0) -> list[NodeCase]:
    """Return nodes that are alike; with `rack`, so many stand in each rack, and eight racks in a block."""
    return [
        NodeCase(
            f"node-{number}",
            gpus,
            cpus * 1000,
            256 * GIBIBYTE,
            pods,
            80 * GIBIBYTE,
            _labels(number, rack) if rack else {},
        )
        for number in range(count)
    ]


def _labels(number: int, rack: int) -> dict[str, str]:
    return {"rack": f"rack-{number // rack}", "block": f"block-{number // rack // RACKS_PER_BLOCK}"}


def queues(deserved: Mapping[str, int | None], *, weight: int = 1) -> list[QueueCase]:
    """Return projects of one department, each with the GPUs it deserves; None is all it wants."""
    projects = [QueueCase(name, "everybody", 0, _millionths(gpus), None, weight) for name, gpus in deserved.items()]
    return [QueueCase("everybody", "", gpu_weight=1), *projects]


def _millionths(gpus: int | None) -> int | None:
    return None if gpus is None else gpus * WHOLE_GPU


def jobs(
    queue: str,
    count: int,
    *,
    gang: int = 1,
    gpus: int = 0,
    cpu_milli: int = 100,
    priority: int = TRAIN_PRIORITY,
    nearness: NearnessCase | None = None,
) -> list[JobCase]:
    """Return jobs that wait, each a gang of so many pods."""
    one = JobCase(
        name="",
        family=queue,
        queue=queue,
        namespace="",
        priority=priority,
        preemptible=priority < BUILD_PRIORITY,
        min_members=gang,
        gpu_millionths=gpus * WHOLE_GPU,
        gpu_memory_bytes=None,
        cpu_milli=cpu_milli,
        memory_bytes=GIBIBYTE // 2,
        tasks=(TaskCase(TaskState.PENDING),) * gang,
        age_seconds=0,
        root=SubGroupCase("", gang, (), None, nearness) if nearness else None,
    )
    return [replace(one, name=f"{queue}-{gang}x{gpus}-{number}") for number in range(count)]


def running(waiting: Iterable[JobCase], places: Iterator[str]) -> list[JobCase]:
    """Return the same jobs as they run, each pod at the next place."""
    return [
        replace(job, name=f"{job.name}-running", tasks=tuple(_at(next(places)) for _ in job.tasks)) for job in waiting
    ]


def _at(node: str) -> TaskCase:
    return TaskCase(TaskState.RUNNING, node)


def device_by_device(cluster: Iterable[NodeCase]) -> Iterator[str]:
    """Yield the name of each node as often as it has devices."""
    for node in cluster:
        yield from [node.name] * node.gpus


def _with_extended(world: World, name: str) -> Iterator[AnyEvent]:
    """Yield the nodes with so many of an extended resource as they have pods, and the pods asking for one of it."""
    for node in list(world.state.nodes.values()):
        allocatable = node.allocatable.model_copy(update={"extended": {name: node.max_pods}})
        yield node.model_copy(update={"allocatable": allocatable})
    for task in world.tasks.values():
        requests = task.pod.requests.model_copy(update={"extended": {name: 1}})
        pod = task.pod.model_copy(update={"requests": requests})
        yield PodObserved(workload_id=facts.id_of("workload", task.job.name), pods=(pod,))


def _tell(world: World, events: Iterable[AnyEvent]) -> None:
    for event in events:
        position = world.state.position + 1
        world.state.apply(Recorded(position, Envelope(facts.id_of("event", str(position)), facts.START), event))
