"""A journal with a long past: workloads that came, ran on a GPU and went, or still run.

Their events are those that the services write, but for the phases. Of two events of one workload the first is stored
before the second is sent; blocks of workloads go through their lives in step.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from muster_contracts.events import (
    AnyEvent,
    ObjectsApplied,
    OwnerObserved,
    PlanMade,
    PodGone,
    PodObserved,
    PodScheduled,
    WorkloadGone,
)
from muster_contracts.subjects import Writer, subject_of
from muster_contracts.values import BoundPod, DeviceShare, Outcome, OwnerFacts, Placement, PodFacts, PodMark, PodPhase
from muster_journal.port import Journal
from muster_scheduler.core.scenarios import facts
from muster_scheduler.core.scenarios.cases import JobCase

from benchmarks.events import submitted
from benchmarks.scenes import jobs, nodes, queues

BLOCK = 800
NODES = 500
GPUS = 8
TEAM = "team"
EVENTS_OF_A_LIFE = 11
"""Of one workload that came and went, beside the plan of its block."""


(LIKE_ALL,) = jobs(TEAM, 1, gpus=1)


@dataclass(frozen=True, slots=True)
class Life:
    """One workload, its pod as it waits, and where it runs."""

    job: JobCase
    pod: PodFacts
    place: Placement


def ground() -> Iterator[AnyEvent]:
    """Yield the projects and the nodes."""
    yield from facts.organisation(queues({TEAM: NODES * GPUS}))
    yield from map(facts.observed_node, nodes(NODES, gpus=GPUS))


def _life(number: int) -> Life:
    job = replace(LIKE_ALL, name=f"past-{number}")
    pod = facts.pending_pod(job, 0, 0, facts.START)
    place = Placement(
        workload_id=facts.id_of("workload", job.name),
        pod_group_id=facts.id_of("group", job.name),
        pod_id=pod.pod_id,
        namespace=pod.namespace,
        name=pod.name,
        resource_version=pod.resource_version,
        node=f"node-{number // GPUS % NODES}",
        devices=(DeviceShare(index=number % GPUS),),
    )
    return Life(job, pod, place)


def _steps(block: Sequence[Life], cluster_id: UUID, *, ends: bool) -> Iterator[list[AnyEvent]]:
    """Yield what happens to all of a block at once, step by step; without `ends` they still run."""
    plan = _plan(block, cluster_id)
    yield [submitted(life.place.workload_id) for life in block]
    yield [_applied(life) for life in block]
    yield [facts.discovered(life.job, facts.START) for life in block]
    yield [facts.formed(life.job, ()) for life in block]
    yield [_observed(life, life.pod) for life in block]
    yield [plan]
    yield [_scheduled(life, plan.plan_id) for life in block]
    yield [_observed(life, _running(life)) for life in block]
    if ends:
        succeeded = OwnerFacts(outcome=Outcome.SUCCEEDED)
        yield [OwnerObserved(workload_id=life.place.workload_id, owner=succeeded) for life in block]
        yield [_observed(life, _running(life).model_copy(update={"phase": PodPhase.SUCCEEDED})) for life in block]
        yield [_gone(life) for life in block]
        yield [WorkloadGone(workload_id=life.place.workload_id, end_seen=True) for life in block]


def _observed(life: Life, pod: PodFacts) -> PodObserved:
    return PodObserved(workload_id=life.place.workload_id, pods=(pod,))


def _running(life: Life) -> PodFacts:
    return facts.running_pod(life.pod, life.place.node, life.place.devices)


def _applied(life: Life) -> ObjectsApplied:
    return ObjectsApplied(workload_id=life.place.workload_id, object_id=life.place.workload_id, resource_version="1")


def _plan(block: Sequence[Life], cluster_id: UUID) -> PlanMade:
    return PlanMade(
        cluster_id=cluster_id,
        plan_id=facts.id_of("plan", block[0].job.name),
        based_on=1,
        epoch=1,
        planner_version="past",
        settings_digest="",
        step_limit=1,
        placements=tuple(life.place for life in block),
    )


def _scheduled(life: Life, plan_id: UUID) -> PodScheduled:
    place = life.place
    bound = BoundPod(pod_id=place.pod_id, name=place.name, node=place.node, devices=place.devices)
    return PodScheduled(workload_id=place.workload_id, pod_group_id=place.pod_group_id, plan_id=plan_id, pods=(bound,))


def _gone(life: Life) -> PodGone:
    mark = PodMark(pod_id=life.pod.pod_id, name=life.pod.name, last_phase=PodPhase.SUCCEEDED, exit_seen=True)
    return PodGone(workload_id=life.place.workload_id, pods=(mark,))


async def write_lives(journals: Mapping[Writer, Journal], numbers: range, cluster_id: UUID, *, ends: bool) -> None:
    """Write lives, told apart by their numbers, into a journal."""
    for start in numbers[::BLOCK]:
        block = [_life(number) for number in range(start, min(start + BLOCK, numbers.stop))]
        for step in _steps(block, cluster_id, ends=ends):
            await write_together(journals, step)


async def write_together(journals: Mapping[Writer, Journal], events: Iterable[AnyEvent]) -> None:
    """Write events that do not depend on one another."""
    await asyncio.gather(*(journals[subject_of(event).writer].append(event) for event in events))
