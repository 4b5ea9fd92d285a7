"""Workloads that come faster than they can run, in simulated time: how full the cluster is, how long the small wait.

The shapes are those of Kueue's generator (`test/performance/scheduler`): "baseline", 15,000 workloads of 30 queues over
a minute; "large-scale", 50,000 of 1,000 queues over two seconds; and "tas", the first as gangs that want to be near
each other. A queue has a quota of 20 and the right to borrow 100; it submits small, medium and large workloads of
rising priority. A cohort is a department that may not have more than its queues' quotas together, a queue a project;
all is preemptible. Kueue counts quota and, but for "tas", knows no nodes: there the cluster is one of all processors.
A cycle plans every 100 milliseconds of simulated time; what it places runs from there, what ended is seen at the next
cycle, and what is evicted begins anew. Nothing here is measured by a clock but the plans, so the figures are the same
on every machine.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from statistics import mean
from time import process_time

from muster_contracts.values import Placement, Victim
from muster_scheduler.core.plan import plan
from muster_scheduler.core.scenarios.cases import Case, JobCase, Mode, NearnessCase, NodeCase, QueueCase
from muster_scheduler.core.scenarios.measures import evicted_per_granted, jain_index
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import take_snapshot

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.scenes import TREE, jobs, nodes

QUOTA_MILLI, MOST_MILLI = 20_000, 120_000
CYCLE_SECONDS = 0.1
IDEAL = "the ideal"
USAGE, USEFUL = "granted of the quota", "granted and not evicted"
EVICTED, EVEN = "evicted per granted processor-second", "Jain's index of the queues"
SECONDS, PLAN = "the last ends after", "mean plan"


@dataclass(frozen=True, slots=True)
class Size:
    """A class of workloads: how many come of each queue, how often, for how long, and what one asks in so many pods."""

    name: str
    amount: int
    interval_seconds: float
    runtime_seconds: float
    priority: int
    processors: int
    pods: int = 1
    nearness: NearnessCase | None = None

    @property
    def figure(self) -> str:
        """What is told of it."""
        return f"mean wait of {self.name}"


@dataclass(frozen=True, slots=True)
class Generator:
    """Who submits what to which cluster. `published` has what Kueue says of a figure, `targets` what we want."""

    title: str
    cohorts: int
    queues_per_cohort: int
    sizes: Sequence[Size]
    published: Mapping[str, str]
    nodes: Sequence[NodeCase] = ()
    targets: Mapping[str, float] = field(default_factory=dict)

    @property
    def cohort_milli(self) -> int:
        """What a cohort may have."""
        return self.queues_per_cohort * QUOTA_MILLI

    @property
    def quota_milli(self) -> int:
        """What all may have together."""
        return self.cohorts * self.cohort_milli

    @property
    def queues(self) -> int:
        """How many queues submit."""
        return self.cohorts * self.queues_per_cohort

    def world(self) -> World:
        """Return the cluster before anybody comes."""
        everywhere = self.nodes or [NodeCase("node", 0, self.quota_milli, 2**50, 1_000_000, 0, {})]
        cohorts = [
            QueueCase(f"cohort-{number}", "", 0, 0, None, 1, self.cohort_milli, self.cohort_milli)
            for number in range(self.cohorts)
        ]
        queues = [
            QueueCase(f"queue-{number}", f"cohort-{number % self.cohorts}", 0, 0, None, 1, QUOTA_MILLI, MOST_MILLI)
            for number in range(self.queues)
        ]
        projects = (*cohorts, *queues)
        return World(Case("arrivals", Mode.SETTLED, "", CYCLE_SECONDS, tuple(everywhere), projects, (TREE,), ()))

    def arrivals(self, scale: float) -> list["Arrival"]:
        """Return all workloads in the order in which they come."""
        found = [
            Arrival((number + 1) * size.interval_seconds, size, job)
            for queue in range(self.queues)
            for size in self.sizes
            for number, job in enumerate(_jobs(f"queue-{queue}", size, scaled(size.amount, scale)))
        ]
        return sorted(found, key=lambda arrival: (arrival.at_seconds, arrival.job.name))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A workload and when it comes."""

    at_seconds: float
    size: Size
    job: JobCase


@dataclass(frozen=True, slots=True)
class Span:
    """A workload that ran, from when to when, and whether it was evicted."""

    arrival: Arrival
    began_seconds: float
    ended_seconds: float
    evicted: bool

    @property
    def seconds(self) -> float:
        """How long it ran."""
        return self.ended_seconds - self.began_seconds

    @property
    def granted(self) -> float:
        """What it was granted, in processors times seconds."""
        return self.arrival.size.processors * self.seconds


def _jobs(queue: str, size: Size, amount: int) -> Iterable[JobCase]:
    cpu_milli = 1000 * size.processors // size.pods
    made = jobs(queue, amount, gang=size.pods, cpu_milli=cpu_milli, priority=size.priority, nearness=size.nearness)
    for number, job in enumerate(made):
        yield replace(job, name=f"{queue}-{size.name}-{number}", preemptible=True)


@dataclass(slots=True)
class Play:
    """The minute as it goes by."""

    coming: Sequence[Arrival]
    world: World
    spans: list[Span] = field(default_factory=list)
    plan_seconds: list[float] = field(default_factory=list)
    _now: float = 0.0
    _come: int = 0
    _began: dict[str, float] = field(default_factory=dict)
    _ends: list[tuple[float, str]] = field(default_factory=list)
    _by_name: dict[str, Arrival] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._by_name = {arrival.job.name: arrival for arrival in self.coming}

    def run(self) -> None:
        """Go on until everything has run to its end."""
        while self._come < len(self.coming) or self.world.tasks:
            self.step()

    def step(self) -> None:
        """Let a cycle and the time after it go by."""
        self._let_come()
        self._cycle()
        self._now += CYCLE_SECONDS
        self.world.leave(self._finished())
        self.world.settle()

    def _let_come(self) -> None:
        first = self._come
        while self._come < len(self.coming) and self.coming[self._come].at_seconds <= self._now:
            self._come += 1
        self.world.arrive(arrival.job for arrival in self.coming[first : self._come])

    def _cycle(self) -> None:
        began = process_time()
        made = plan(take_snapshot(self.world.state))
        self.plan_seconds.append(process_time() - began)
        for victim in made.victims:
            self._stop(victim)
        for placement in made.placements:
            self._start(placement)
        self.world.carry_out(made)

    def _start(self, placement: Placement) -> None:
        name = self.world.tasks[placement.pod_id].job.name
        self._began[name] = self._now
        heappush(self._ends, (self._now + self._by_name[name].size.runtime_seconds, name))

    def _stop(self, victim: Victim) -> None:
        """End the workload of a victim; the other pods of its gang go with it."""
        name = self.world.tasks[victim.pod_id].job.name
        if (began := self._began.pop(name, None)) is not None:
            self.spans.append(Span(self._by_name[name], began, self._now, evicted=True))

    def _finished(self) -> list[str]:
        """Return who has ended by now; an end of somebody who was evicted meanwhile is none."""
        names = []
        while self._ends and self._ends[0][0] <= self._now + 1e-9:
            end, name = heappop(self._ends)
            arrival, began = self._by_name[name], self._began.get(name)
            if began is not None and abs(began + arrival.size.runtime_seconds - end) < 1e-9:
                del self._began[name]
                self.spans.append(Span(arrival, began, end, evicted=False))
                names.append(name)
        return names


def sample(generator: Generator, play: Play) -> Sample:
    """Return the figures of what went by."""
    done = [span for span in play.spans if not span.evicted]
    last = max(span.ended_seconds for span in done)
    waits = {
        size.figure: mean(span.began_seconds - span.arrival.at_seconds for span in done if span.arrival.size is size)
        for size in generator.sizes
    }
    spans = [(span.arrival.size.processors, span.seconds, span.evicted) for span in play.spans]
    return _titled(
        generator,
        waits
        | {
            USAGE: _usage_percent(generator, play.spans, last),
            USEFUL: _usage_percent(generator, done, last),
            EVICTED: evicted_per_granted(spans),
            EVEN: jain_index(_granted_while_all_want(play)),
            SECONDS: last,
            PLAN: mean(play.plan_seconds) * 1000,
        },
    )


def _titled(generator: Generator, values: Sample) -> Sample:
    return {f"{generator.title}, {name}": value for name, value in values.items()}


def _usage_percent(generator: Generator, spans: Iterable[Span], last: float) -> float:
    return sum(span.granted for span in spans) * 1000 / (generator.quota_milli * last) * 100


def _granted_while_all_want(play: Play) -> list[int]:
    """Return what each queue was granted in the first half of the coming, when every queue has something waiting."""
    half = play.coming[-1].at_seconds / 2
    granted: dict[str, float] = {}
    for span in play.spans:
        queue = span.arrival.job.queue
        if span.ended_seconds <= half:
            granted[queue] = granted.get(queue, 0.0) + span.granted * 1000
    return [round(amount) for amount in granted.values()]


def ideal(generator: Generator, scale: float) -> Sample:
    """Return what nobody can do better: a full cluster from the first second to the last, and no wait."""
    sizes = generator.sizes
    work = sum(size.processors * size.runtime_seconds * scaled(size.amount, scale) for size in sizes)
    nothing = dict.fromkeys((*(size.figure for size in sizes), EVICTED, PLAN), 0.0)
    everything = {USAGE: 100.0, USEFUL: 100.0, EVEN: 1.0, SECONDS: work * 1000 / QUOTA_MILLI}
    return _titled(generator, nothing | everything)


def benchmark(name: str, generator: Generator) -> Benchmark:
    """Return the benchmark of a generator: one play, for another one would find the same."""

    @asynccontextmanager
    async def start(scale: float) -> AsyncIterator[Contest]:
        play = Play(generator.arrivals(scale), generator.world())
        play.run()
        found, best = sample(generator, play), ideal(generator, scale)

        async def ours() -> Sample:
            return found

        async def bare() -> Sample:
            return best

        yield Contest(ours, bare)

    return Benchmark(name, list(_figures(generator)), start, runs=1)


def _figures(generator: Generator) -> Iterator[Figure]:
    units = {USAGE: "%", USEFUL: "%", SECONDS: "s, simulated"}
    units |= dict.fromkeys((size.figure for size in generator.sizes), "s, simulated")
    units |= {EVICTED: "", EVEN: "", PLAN: "ms"}
    for name, unit in units.items():
        more_is_better = name in (USAGE, USEFUL, EVEN)
        published, target = generator.published.get(name, ""), generator.targets.get(name)
        yield Figure(f"{generator.title}, {name}", unit, IDEAL, more_is_better, published, target)


SMALL, MEDIUM, LARGE = (
    Size("small", 350, 0.1, 0.2, 50, 1),
    Size("medium", 100, 0.5, 0.5, 100, 5),
    Size("large", 50, 1.2, 1.0, 200, 20),
)
BASELINE = Generator(
    "15,000 arrivals",
    cohorts=5,
    queues_per_cohort=6,
    sizes=(SMALL, MEDIUM, LARGE),
    published={
        USAGE: "Kueue: 55.9",
        SECONDS: "Kueue: 351, real",
        SMALL.figure: "Kueue: 215, real",
        MEDIUM.figure: "Kueue: 76.8, real",
        LARGE.figure: "Kueue: 16.5, real",
    },
    targets={USAGE: 85.0, SMALL.figure: 60.0},
)
MANY = Generator(
    "50,000 arrivals",
    cohorts=10,
    queues_per_cohort=100,
    sizes=(
        Size("small", 35, 0.06, 0.15, 50, 1),
        Size("medium", 11, 0.3, 0.35, 100, 5),
        Size("large", 4, 0.7, 0.7, 200, 20),
    ),
    published={
        USAGE: "Kueue: 38.6",
        SECONDS: "Kueue: 1179, real",
        "mean wait of small": "Kueue: 700, real",
        "mean wait of medium": "Kueue: 256, real",
        "mean wait of large": "Kueue: 106, real",
    },
)


def _near(size: Size, pods: int, *amounts: int) -> Iterator[Size]:
    """Yield a size as gangs: so many that must be in one rack, so many that would like it, so many that do not care."""
    wishes = {
        "in one rack": NearnessCase(TREE.name, required="rack"),
        "that like one rack": NearnessCase(TREE.name, preferred="rack"),
        "anywhere": None,
    }
    for (words, nearness), amount in zip(wishes.items(), amounts, strict=True):
        yield replace(size, name=f"{size.name}, {words}", amount=amount, pods=pods, nearness=nearness)


NEAR = Generator(
    "15,000 gangs",
    cohorts=5,
    queues_per_cohort=6,
    sizes=(*_near(SMALL, 2, 120, 120, 110), *_near(MEDIUM, 4, 34, 33, 33), *_near(LARGE, 8, 17, 17, 16)),
    published={
        USAGE: "Kueue: 62.4",
        SECONDS: "Kueue: 401, real",
        "mean wait of small, in one rack": "Kueue: 247, real",
        "mean wait of medium, in one rack": "Kueue: 107, real",
        "mean wait of large, in one rack": "Kueue: 39.6, real",
    },
    nodes=nodes(640, gpus=0, cpus=96, rack=64),
)
BENCHMARK = benchmark("arrivals", BASELINE)
OTHERS = (benchmark("arrivals-many", MANY), benchmark("arrivals-near", NEAR))
