"""Recorded plans are planned again: what a real scheduler wrote comes out the same, what was changed since is named."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from muster_contracts import events as e
from muster_contracts.versions import sources_of
from muster_contracts.wire import Recorded
from muster_scheduler.core.audit import Report, audit_decisions
from muster_scheduler.core.decision import digest_of, limits_of, written
from muster_scheduler.core.plan import Limits, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.scene import Scene
from scheduler.worlds import gang, group, id_of, node, pod, recorded


def judge(log: list[Recorded], last: int | None = None) -> Report:
    return audit_decisions(log, log, last)


def history(*rounds: Iterable[e.AnyEvent], limits: Limits | None = None) -> list[Recorded]:
    """Return a journal in which every round of events was followed by a plan, whose places were taken."""
    state, log, bounds = State(), [], limits or Limits()

    def append(event: e.AnyEvent) -> None:
        (one,) = recorded([event], first=len(log) + 1)
        log.append(one)
        state.apply(one)

    for events in rounds:
        for event in events:
            append(event)
        for message in written(plan(take_snapshot(state), bounds), bounds, id_of("cluster"), 1):
            append(message)
    return log


def two_rounds(**more: Limits) -> list[Recorded]:
    first = [node("a"), node("b"), *gang("one", 3, gpus=4)]
    return history(first, gang("two", 2), **more)


def changed(log: list[Recorded], **different: object) -> list[Recorded]:
    """Return a copy of a log in which the last plan says something else."""
    (*_, last) = (place for place, one in enumerate(log) if isinstance(one.event, e.PlanMade))
    copy = list(log)
    copy[last] = replace(log[last], event=log[last].event.model_copy(update=different))
    return copy


async def test_what_a_scheduler_wrote_comes_out_the_same(scene: Scene) -> None:
    await scene.observe("first", 3)
    scene.start_scheduler()
    await scene.until(lambda events: any(isinstance(event, e.PodScheduled) for event in events))
    await scene.observe("second", 2)
    await scene.until(lambda events: sum(isinstance(event, e.PodScheduled) for event in events) == 2)
    await scene.kill_schedulers()
    log = await scene.history()
    report = judge(log)
    assert (report.ok, report.differences) == (True, [])
    assert (report.plans, report.replanned, report.checked_only, report.incomplete) == (2, 2, 0, 0)
    placement = next(one.event for one in log if isinstance(one.event, e.PlanMade)).placements[0]
    other = placement.model_copy(update={"node": "pool-a-1" if placement.node == "pool-a-0" else "pool-a-0"})
    tampered = [move(one, placement.pod_id, other) for one in log]
    found = judge(tampered)
    assert not found.ok
    assert f"pod {placement.name} has node {other.node}" in found.differences[0]
    assert f"planning again gives node {placement.node}" in found.differences[0]


def move(one: Recorded, pod_id: object, other: object) -> Recorded:
    if not isinstance(one.event, e.PlanMade):
        return one
    places = tuple(other if place.pod_id == pod_id else place for place in one.event.placements)
    return replace(one, event=one.event.model_copy(update={"placements": places}))


def test_one_changed_placement_is_named_with_its_position() -> None:
    log = two_rounds()
    assert judge(log).ok
    plans = [one for one in log if isinstance(one.event, e.PlanMade)]
    assert isinstance(plans[-1].event, e.PlanMade)
    places = plans[-1].event.placements
    moved = (places[0].model_copy(update={"node": "a"}), *places[1:])
    assert places[0].node != "a"
    report = judge(changed(log, placements=moved))
    assert report.differences[0].startswith(f"Position {plans[-1].position}, plan {plans[-1].event.plan_id}: ")
    assert "placements: pod two-0 has node a" in report.differences[0]
    assert report.plans == 2


def test_a_plan_of_another_version_is_judged_by_the_checker_alone() -> None:
    log = changed(two_rounds(), planner_version="0")
    report = judge(log)
    assert (report.ok, report.replanned, report.checked_only) == (True, 1, 1)
    plans = [one.event for one in log if isinstance(one.event, e.PlanMade)]
    twice = (*plans[-1].placements, plans[-1].placements[0])
    report = judge(changed(log, placements=twice))
    assert not report.ok
    assert "is placed 2 times" in report.differences[0]


def test_settings_travel_with_the_plan_and_those_its_digest_does_not_name_are_a_difference() -> None:
    limits = Limits(step_limit=7, stale_gang_seconds=5, consolidation_pods=3)
    log = two_rounds(limits=limits)
    made = next(one.event for one in log if isinstance(one.event, e.PlanMade))
    assert limits_of(made) == limits
    assert judge(log).replanned == 2
    assert limits_of(made.model_copy(update={"settings": {"from_the_future": 1}})) is None
    report = judge(changed(log, settings_digest=digest_of(Limits())))
    assert report.differences[0].endswith("its digest of settings is not that of the settings it records.")
    assert judge(changed(log, settings_digest="of another version", planner_version="0")).ok


def test_only_the_last_plans_are_judged_when_asked() -> None:
    log = two_rounds()
    assert judge(log, last=1).plans == 1
    assert judge(log, last=1).events == len(log)


def test_a_plan_based_on_nothing_is_a_difference() -> None:
    (sentence,) = judge(changed(two_rounds(), based_on=10**6)).differences
    assert sentence.endswith("is based on position 1000000, at which no event stands.")
    assert judge(changed(two_rounds(), based_on=2)).differences_found


def test_a_part_that_never_came_is_counted_and_the_others_are_compared() -> None:
    many = [pod(f"many-{i}", f"many-{i}", gpus=0, cpu=0, memory=0) for i in range(900)]
    events: list[e.AnyEvent] = [node(f"n-{i}", max_pods=300) for i in range(4)]
    for one in many:
        events += group(one.name, [one])
    log = history(events)
    parts = [one for one in log if isinstance(one.event, e.PlanMade)]
    assert len(parts) == 2
    report = judge(log[:-1])
    assert (report.ok, report.plans, report.incomplete) == (True, 1, 1)


def test_the_journal_is_read_as_a_stream() -> None:
    """Neither pass holds the journal: a generator that lets go of what it gave is enough."""
    log = two_rounds()

    def stream() -> Iterator[Recorded]:
        yield from log

    assert audit_decisions(stream(), stream()).plans == 2


@pytest.mark.parametrize("field", ["steps", "step_limit"])
def test_any_other_byte_is_a_difference_too(field: str) -> None:
    assert not judge(changed(two_rounds(), **{field: 12345})).ok


def test_what_is_missing_from_a_log_is_named() -> None:
    log = two_rounds()
    assert judge(log[2:]).differences[0] == "Positions 1 to 2 are missing."
    (place, *_) = (place for place, one in enumerate(log) if isinstance(one.event, e.PlanMade))
    assert f"Position {log[place].position} is missing." in judge(log[:place] + log[place + 1 :]).differences


def test_a_log_that_is_out_of_order_does_not_verify() -> None:
    first, second, *others = two_rounds()
    assert "Position 1 comes after position 2: the log is out of order." in judge([second, first, *others]).differences


def test_what_was_done_without_a_plan_is_named() -> None:
    deed = e.PodScheduled(
        workload_id=id_of("workload/one"), pod_group_id=id_of("group/one"), plan_id=id_of("no plan"), pods=()
    )
    log = two_rounds()
    log += recorded([deed], first=len(log) + 1)
    assert judge(log).differences == [
        f"Position {len(log)}: the plan {id_of('no plan')}, which was carried out, is not recorded."
    ]


def test_the_version_of_the_planner_covers_every_rule_of_it_and_no_other_code() -> None:
    reached = sources_of("muster_scheduler.core.decision", "muster_")
    rules = ("plan", "fair_share", "state", "snapshot", "decision", "reclaim", "victims", "explain")
    assert {f"muster_scheduler.core.{rule}" for rule in rules} | {"muster_contracts.values"} <= reached.keys()
    assert not any("scenarios" in name or ".check" in name or "planning" in name for name in reached)
