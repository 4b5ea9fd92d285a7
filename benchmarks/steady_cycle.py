"""What a cycle with nothing to do costs: 10,000 nodes, 100,000 pods that run, one of which has changed its labels.

The cluster is folded in a process of its own, which says what it occupies; started by this benchmark as `python -m
benchmarks.steady_cycle NODES CYCLES`. A cycle is a snapshot, a plan, the checker and the next deadline. The ceiling:
numpy looks once at the capacity of every node; in memory, the same pods' facts as the JSON of their events.
"""

import asyncio
import gc
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time

import numpy as np
from muster_contracts.events import PodObserved
from muster_contracts.wire import Envelope, Recorded
from muster_scheduler.core.check import faults
from muster_scheduler.core.deadlines import next_deadline
from muster_scheduler.core.plan import Limits, plan
from muster_scheduler.core.scenarios import facts
from muster_scheduler.core.scenarios.world import Task, World
from muster_scheduler.core.snapshot import take_snapshot

from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.scenes import Scene, jobs, nodes, queues, running

NODES = 10_000
PODS_PER_NODE = 10
CYCLES = 5
CYCLE = "steady cycle, 10,000 nodes and 100,000 pods"
MEMORY = "memory of the same"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    found = await _measured(scaled(NODES, scale, 10))

    ours, bare = (iter(found[side]) for side in ("ours", "bare"))

    async def next_of_ours() -> Sample:
        return next(ours)

    async def next_of_bare() -> Sample:
        return next(bare)

    yield Contest(next_of_ours, next_of_bare)


async def _measured(node_count: int) -> Mapping[str, Sequence[Sample]]:
    """Fold once, for that takes longer than all cycles; the process gives what each cycle came to, for both sides."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.steady_cycle", str(node_count), str(CYCLES)),
        cwd=Path(__file__).parent.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, "the process of the steady cycle failed"
    found: Mapping[str, Sequence[Sample]] = json.loads(output)
    return found


def steady_world(node_count: int) -> World:
    """Return a cluster where ten pods run on each node, in jobs of ten, and nobody waits."""
    cluster = nodes(node_count, gpus=16, cpus=128)
    places = (node.name for _ in range(PODS_PER_NODE) for node in cluster)
    teams = {f"team{number}": 16 * node_count for number in range(10)}
    each = node_count // len(teams)
    busy = [job for team in teams for job in jobs(team, each, gang=PODS_PER_NODE, gpus=1)]
    return Scene(cluster, queues(teams), (), running(busy, places)).world()


def cycle_milliseconds(world: World, number: int) -> float:
    """Let a pod change, and return what the cycle after it costs."""
    _change_a_pod(world, next(iter(world.tasks.values())), number)
    gc.collect()
    began = process_time()
    snapshot = take_snapshot(world.state)
    made = plan(snapshot)
    wrong = faults(snapshot, made)
    next_deadline(snapshot, Limits())
    milliseconds = (process_time() - began) * 1000
    assert not made.decides, "there is nothing to decide"
    assert not wrong, f"the plan is wrong: {wrong}"
    return milliseconds


def _change_a_pod(world: World, task: Task, number: int) -> None:
    pod = task.pod.model_copy(update={"labels": {"turn": str(number)}})
    event = PodObserved(workload_id=facts.id_of("workload", task.job.name), pods=(pod,))
    position = world.state.position + 1
    world.state.apply(Recorded(position, Envelope(facts.id_of("event", str(position)), facts.START), event))


def main(node_count: int, cycles: int) -> None:
    """Fold a cluster, and print what its cycles cost and what it occupies."""
    gc.set_threshold(50_000, 50, 100)  # as the services have it
    world = steady_world(node_count)
    take_snapshot(world.state)
    ours = [{CYCLE: cycle_milliseconds(world, number), MEMORY: _resident_mb()} for number in range(cycles)]
    written = sum(len(task.pod.model_dump_json()) for task in world.tasks.values())
    bare = [{CYCLE: _look_milliseconds(node_count), MEMORY: written / 1_000_000} for _ in range(cycles)]
    print(json.dumps({"ours": ours, "bare": bare}))


def _look_milliseconds(node_count: int) -> float:
    free = np.zeros((node_count, 4), dtype=np.int64)
    began = process_time()
    np.flatnonzero((free >= 1).all(axis=1))
    return (process_time() - began) * 1000


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1000


BENCHMARK = Benchmark(
    "steady-cycle",
    [
        Figure(CYCLE, "ms", "numpy looks at every node once", more_is_better=False, target=50.0),
        Figure(MEMORY, "MB", "the pods' facts as JSON", more_is_better=False, target=1500.0),
    ],
    _open,
    runs=CYCLES,
)

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
