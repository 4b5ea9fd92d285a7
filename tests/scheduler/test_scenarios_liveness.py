"""Our written-out cases, played against the planner: evictions stop, gangs are whole, weights and quotas hold.

Of the published shapes the small ones are played here; the large ones are for the benchmarks.
"""

from pathlib import Path

import pytest
from muster_scheduler.core.scenarios.reading import Runnable, runnable_cases

FOLDER = Path(__file__).parent / "scenarios"
SMALL = {
    "20 queues",
    "CPGPreemption",
    "allocate",
    "consolidation",
    "full cycle, 5 actions",
    "gang of 4",
    "kai-1591-full-drain",
    "kai-many-single-gpu-reclaim",
    "nccl-mix",
    "net-topo",
    "podgroups-clusterloader2",
    "preempt (half running half pending)",
    "reclaim (all running, none pending)",
    "test-gang-env",
}


def cases_of(name: str) -> list[Runnable]:
    return runnable_cases((FOLDER / name).read_text(encoding="utf-8"), name)


@pytest.mark.parametrize("case", cases_of("liveness.json"), ids=lambda case: case[0])
def test_a_case_of_liveness_holds(case: Runnable) -> None:
    _, run = case
    assert run().differences == ()


@pytest.mark.parametrize("case", cases_of("rules.json"), ids=lambda case: case[0])
def test_a_case_of_the_rules_holds(case: Runnable) -> None:
    _, run = case
    assert run().differences == ()


@pytest.mark.parametrize(
    "case", [case for case in cases_of("benchmark_shapes.json") if case[0] in SMALL], ids=lambda case: case[0]
)
def test_a_small_published_shape_holds(case: Runnable) -> None:
    _, run = case
    assert run().differences == ()
