"""How well the shapes of `planning` are planned: what is thrown away, what lies in fragments, how even the shares are.

A shape is played in rounds of a second until nothing is decided any more, and everybody then runs for another minute;
what ran at the beginning had run for a minute. Fragments are counted for pods that want a whole node. Jain's index
compares what each project that wants something holds with the least of what it wants and what it deserves.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from muster_contracts.values import WHOLE_GPU
from muster_scheduler.core.plan import plan
from muster_scheduler.core.scenarios.measures import evicted_per_granted, fragmentation, jain_index
from muster_scheduler.core.scenarios.world import Task, World
from muster_scheduler.core.snapshot import take_snapshot

from benchmarks.harness import Benchmark, Contest, Figure, Sample
from benchmarks.planning import SHAPES, Shape
from benchmarks.scenes import Scene

IDEAL = "the ideal"
MINUTE_SECONDS = 60.0
MOST_ROUNDS = 20
WHOLE_NODE = 8
PLAYED = tuple(shape for shape in SHAPES if "GPU" in shape.name)
MEASURES = ("evicted per granted GPU-second", "fragmentation", "Jain's index")
Span = tuple[int, float, bool]


@dataclass(slots=True)
class Play:
    """A shape as it goes by. `spans` are millionths of GPUs, seconds, and whether an eviction ended them."""

    world: World
    spans: list[Span] = field(default_factory=list)
    _now: float = 0.0
    _since: dict[UUID, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._since = {pod_id: -MINUTE_SECONDS for pod_id, task in self.world.tasks.items() if task.node}

    def run(self) -> None:
        """Go on until nothing is decided, or for too many rounds, and for a minute more."""
        for _ in range(MOST_ROUNDS):
            if not self._round():
                break
        end = self._now + MINUTE_SECONDS
        self.spans += [(_gpus(self.world.tasks[pod]), end - since, False) for pod, since in self._since.items()]

    def _round(self) -> bool:
        made = plan(take_snapshot(self.world.state))
        for victim in made.victims:
            task = self.world.tasks[victim.pod_id]
            self.spans.append((_gpus(task), self._now - self._since.pop(victim.pod_id), True))
        self._since |= dict.fromkeys((placement.pod_id for placement in made.placements), self._now)
        self.world.carry_out(made)
        self._now += 1.0
        self.world.settle()
        return made.decides


def _gpus(task: Task) -> int:
    return task.job.gpu_millionths


def sample(shape: Shape, scale: float) -> Iterator[tuple[str, float]]:
    """Yield the figures of a shape."""
    scene = shape.scene(scale)
    play = Play(scene.world())
    play.run()
    values = (evicted_per_granted(play.spans), _fragmentation(scene, play.world), _evenness(scene, play.world))
    yield from zip((f"{shape.name}: {measure}" for measure in MEASURES), values, strict=True)


def _fragmentation(scene: Scene, world: World) -> float:
    held = Counter[str]()
    for task in world.tasks.values():
        held[task.node] += len(task.devices)
    return fragmentation([node.gpus - held[node.name] for node in scene.nodes], WHOLE_NODE)


def _evenness(scene: Scene, world: World) -> float:
    """Compare what is held with what is due; a project to which nothing is due counts not."""
    wanted, held = _by_queue(world)
    shares = []
    for queue in scene.queues:
        deserved = queue.deserved_gpu_millionths
        due = wanted[queue.name] if deserved is None else min(wanted[queue.name], deserved)
        if due:
            shares.append(min(held[queue.name], due) * WHOLE_GPU // due)
    return jain_index(shares)


def _by_queue(world: World) -> tuple[Mapping[str, int], Mapping[str, int]]:
    wanted: defaultdict[str, int] = defaultdict(int)
    held: defaultdict[str, int] = defaultdict(int)
    for task in world.tasks.values():
        wanted[task.job.queue] += _gpus(task)
        held[task.job.queue] += _gpus(task) if task.node else 0
    return wanted, held


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    found = {name: value for shape in PLAYED for name, value in sample(shape, scale)}  # by no clock: once is enough

    async def ours() -> Sample:
        return found

    async def bare() -> Sample:
        return {name: float(name.endswith(MEASURES[-1])) for name in found}

    yield Contest(ours, bare)


BENCHMARK = Benchmark(
    "quality",
    [
        Figure(f"{shape.name}: {measure}", "", IDEAL, more_is_better=measure == MEASURES[-1])
        for shape in PLAYED
        for measure in MEASURES
    ],
    _open,
    runs=1,
)
