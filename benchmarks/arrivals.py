"""15,000 workloads that come over a minute, in simulated time: how full the cluster is, and how long the small wait.

The shape is that of Kueue's generator (`test/performance/scheduler`, "baseline"): 5 cohorts of 6 queues, each with a
quota of 20 and the right to borrow 100, submitting small, medium and large workloads of rising priority. A cohort is a
department that may not have more than its 120, a queue a project; all is preemptible. The cluster is one node of 600
processors, for Kueue counts quota and knows no nodes. A cycle plans every 100 milliseconds of simulated time; what it
places runs from there, what ended is seen at the next cycle, and what is evicted begins anew. Nothing here is measured
by a clock but the plans, so the figures are the same on every machine.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from statistics import mean
from time import process_time

from muster_contracts.values import Placement, Victim
from muster_scheduler.core.plan import plan
from muster_scheduler.core.scenarios.cases import Case, JobCase, Mode, NodeCase, QueueCase
from muster_scheduler.core.scenarios.measures import evicted_per_granted, jain_index
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import take_snapshot

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.scenes import jobs

COHORTS, QUEUES_PER_COHORT = 5, 6
QUOTA_MILLI, COHORT_MILLI = 20_000, 120_000
CYCLE_SECONDS = 0.1
IDEAL = "the ideal"
USAGE = "15,000 arrivals, granted of the quota"
USEFUL = "15,000 arrivals, granted and not evicted"
SMALL, MEDIUM, LARGE = (f"15,000 arrivals, mean wait of {size}" for size in ("small", "medium", "large"))
EVICTED = "15,000 arrivals, evicted per granted processor-second"
EVEN = "15,000 arrivals, Jain's index of the queues"
SECONDS = "15,000 arrivals, the last ends after"
PLAN = "15,000 arrivals, mean plan"


@dataclass(frozen=True, slots=True)
class Size:
    """A class of workloads: how many come of each queue, how often, for how long, and what one asks."""

    figure: str
    amount: int
    interval_seconds: float
    runtime_seconds: float
    priority: int
    processors: int


SIZES = (
    Size(SMALL, 350, 0.1, 0.2, 50, 1),
    Size(MEDIUM, 100, 0.5, 0.5, 100, 5),
    Size(LARGE, 50, 1.2, 1.0, 200, 20),
)


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


def arrivals(scale: float) -> list[Arrival]:
    """Return all workloads in the order in which they come."""
    found = [
        Arrival((number + 1) * size.interval_seconds, size, job)
        for queue in range(COHORTS * QUEUES_PER_COHORT)
        for size in SIZES
        for number, job in enumerate(_jobs(f"queue-{queue}", size, scaled(size.amount, scale)))
    ]
    return sorted(found, key=lambda arrival: (arrival.at_seconds, arrival.job.name))


def _jobs(queue: str, size: Size, amount: int) -> Iterable[JobCase]:
    made = jobs(queue, amount, cpu_milli=1000 * size.processors, priority=size.priority)
    for number, job in enumerate(made):
        yield replace(job, name=f"{queue}-{size.processors}-{number}", preemptible=True)


def _world() -> World:
    node = NodeCase("node", 0, COHORTS * COHORT_MILLI, 2**45, 1_000_000, 0, {})
    cohorts = [
        QueueCase(f"cohort-{number}", "", 0, 0, None, 1, COHORT_MILLI, COHORT_MILLI) for number in range(COHORTS)
    ]
    queues = [
        QueueCase(f"queue-{number}", f"cohort-{number % COHORTS}", 0, 0, None, 1, QUOTA_MILLI, COHORT_MILLI)
        for number in range(COHORTS * QUEUES_PER_COHORT)
    ]
    return World(Case("arrivals", Mode.SETTLED, "", CYCLE_SECONDS, (node,), (*cohorts, *queues), (), ()))


def _queue(name: str, parent: str, deserved_milli: int) -> QueueCase:
    return QueueCase(
        name,
        parent,
        gpu_weight=1,
        deserved_cpu_milli=deserved_milli,
        max_cpu_milli=COHORT_MILLI,
        deserved_gpu_millionths=0,
    )


@dataclass(slots=True)
class Play:
    """The minute as it goes by."""

    coming: Sequence[Arrival]
    world: World = field(default_factory=_world)
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
        name = self.world.tasks[victim.pod_id].job.name
        self.spans.append(Span(self._by_name[name], self._began.pop(name), self._now, evicted=True))

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


def sample(play: Play) -> Sample:
    """Return the figures of a minute that went by."""
    done = [span for span in play.spans if not span.evicted]
    last = max(span.ended_seconds for span in done)
    waits = {
        size.figure: mean(span.began_seconds - span.arrival.at_seconds for span in done if span.arrival.size is size)
        for size in SIZES
    }
    spans = [(span.arrival.job.cpu_milli, span.seconds, span.evicted) for span in play.spans]
    return waits | {
        USAGE: _usage_percent(play.spans, last),
        USEFUL: _usage_percent(done, last),
        EVICTED: evicted_per_granted(spans),
        EVEN: jain_index(_granted_while_all_want(play.spans)),
        SECONDS: last,
        PLAN: mean(play.plan_seconds) * 1000,
    }


def _usage_percent(spans: Iterable[Span], last: float) -> float:
    granted = sum(span.arrival.job.cpu_milli * span.seconds for span in spans)
    return granted / (COHORTS * COHORT_MILLI * last) * 100


def _granted_while_all_want(spans: Iterable[Span]) -> list[int]:
    """Return what each queue was granted in the first half minute, when every queue has something waiting."""
    granted: dict[str, float] = {}
    for span in spans:
        queue = span.arrival.job.queue
        if span.ended_seconds <= 30.0:
            granted[queue] = granted.get(queue, 0.0) + span.arrival.job.cpu_milli * span.seconds
    return [round(amount) for amount in granted.values()]


def ideal(scale: float) -> Sample:
    """Return what nobody can do better: a full cluster from the first second to the last, and no wait."""
    work = sum(size.processors * size.runtime_seconds * scaled(size.amount, scale) for size in SIZES)
    full = work * COHORTS * QUEUES_PER_COHORT / (COHORTS * COHORT_MILLI / 1000)
    return dict.fromkeys((SMALL, MEDIUM, LARGE, EVICTED), 0.0) | {
        USAGE: 100.0,
        USEFUL: 100.0,
        EVEN: 1.0,
        SECONDS: full,
        PLAN: 0.0,
    }


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    play = Play(arrivals(scale))
    play.run()
    found, best = sample(play), ideal(scale)

    async def ours() -> Sample:
        return found

    async def bare() -> Sample:
        return best

    yield Contest(ours, bare)


BENCHMARK = Benchmark(
    "arrivals",
    [
        Figure(USAGE, "%", IDEAL, published="Kueue: 55.9"),
        Figure(USEFUL, "%", IDEAL),
        Figure(SECONDS, "s, simulated", IDEAL, more_is_better=False, published="Kueue: 351, real"),
        Figure(SMALL, "s, simulated", IDEAL, more_is_better=False, published="Kueue: 215, real"),
        Figure(MEDIUM, "s, simulated", IDEAL, more_is_better=False, published="Kueue: 76.8, real"),
        Figure(LARGE, "s, simulated", IDEAL, more_is_better=False, published="Kueue: 16.5, real"),
        Figure(EVICTED, "", IDEAL, more_is_better=False),
        Figure(EVEN, "", IDEAL),
        Figure(PLAN, "ms", IDEAL, more_is_better=False),
    ],
    _open,
)
