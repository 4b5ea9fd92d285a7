"""Whatever one workload asks for, the others are planned: what planning fails with is set aside, and says so."""

from collections.abc import Iterable, Iterator

import pytest
from muster_chassis.health import Condition
from muster_contracts import events as e
from muster_contracts.questions import WhyDoesItWait
from muster_contracts.values import PodMark, Resources
from muster_scheduler import planning
from muster_scheduler.core.aside import FIRST_SECONDS, MOST_SECONDS, SET_ASIDE, Aside, set_aside
from muster_scheduler.core.audit import audit_decisions
from muster_scheduler.core.check_facts import Facts
from muster_scheduler.core.deadlines import next_deadline
from muster_scheduler.core.draft import Limits
from muster_scheduler.core.fitting import why_does_it_wait
from muster_scheduler.core.plan import plan
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.scene import Scene, of_type, scheduled
from scheduler.worlds import START, group, id_of, node, pod, recorded, running, state_of
from structlog.testing import capture_logs

ABSURD = Resources(cpu_milli=10**30)
"""What integrations bounds; a journal that was written before it did may hold it."""


async def ask_for_the_absurd(scene: Scene, name: str) -> None:
    """Make a pod of whose request no plan can be made."""
    await scene.observe(name, 1, minimum=2)
    facts = scene.facts(f"{name}-0", name).model_copy(update={"requests": ABSURD})
    await scene.form(name, 1, [facts])


def placed(events: Iterable[e.AnyEvent]) -> set[str]:
    return {place.name for made in of_type(list(events), e.PlanMade) for place in made.placements}


async def test_who_comes_before_and_after_a_pod_that_cannot_be_planned_for_gets_a_place(scene: Scene) -> None:
    await scene.observe("before", 1)
    await ask_for_the_absurd(scene, "absurd")
    await scene.observe("after", 1)
    service = scene.start_scheduler(cycle_pause_seconds=0)
    events = await scene.until(scheduled(2))
    assert placed(events) == {"before-0", "after-0"}
    (blocked,) = (one for one in of_type(events, e.WorkloadBlocked) if one.code == SET_ASIDE)
    assert blocked.workload_id == id_of("workload/absurd")
    assert "the scheduler could not plan for it: OverflowError" in blocked.reason
    assert "absurd is set aside" in service.health.of("planning").reason
    await scene.observe("later", 1)
    assert "later-0" in placed(await scene.until(scheduled(3)))


async def test_of_a_plan_that_is_found_wrong_nothing_is_done_and_the_others_are_planned(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(facts: Facts) -> Iterator[str]:
        return (f"{place.name} is cursed." for place in facts.plan.placements if place.name.startswith("cursed"))

    monkeypatch.setattr(planning, "wrong_decisions", refusing)
    for name in ("first", "cursed", "second", "cursed-too", "third"):
        await scene.observe(name, 1)
    scene.start_scheduler(cycle_pause_seconds=0)
    events = await scene.until(scheduled(3))
    assert placed(events) == {"first-0", "second-0", "third-0"}
    told = {one.workload_id: one.reason for one in of_type(events, e.WorkloadBlocked) if one.code == SET_ASIDE}
    assert told.keys() == {id_of("workload/cursed"), id_of("workload/cursed-too")}
    assert "cursed-0 is cursed" in told[id_of("workload/cursed")]


async def test_a_cluster_that_cannot_be_drawn_is_drawn_again_until_it_can(scene: Scene) -> None:
    (facts,) = await scene.run_on_a_node("absurd", 1, requests=ABSURD)
    await scene.observe("after", 1)
    service = scene.start_scheduler(cycle_pause_seconds=0)
    await scene.until(lambda events: len(of_type(events, e.LeadershipTaken)) > 1)
    assert service.health.of("planning").condition is not Condition.STOPPED
    mark = PodMark(pod_id=facts.pod_id, name=facts.name, last_phase=facts.phase)
    await scene.observer.append(e.PodGone(workload_id=id_of("workload/absurd"), pods=(mark,)))
    assert placed(await scene.until(scheduled(1))) == {"after-0"}


@pytest.mark.parametrize("somebody_waits", [False, True])
async def test_a_plan_that_cannot_be_made_without_any_group_is_nobodys_fault_and_is_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, somebody_waits: bool
) -> None:
    def refusing(facts: Facts) -> Iterator[str]:
        return iter(["The land is cursed."])

    monkeypatch.setattr(planning, "wrong_decisions", refusing)
    if somebody_waits:
        await scene.observe("waits", 1)
    with capture_logs() as logs:
        scene.start_scheduler(cycle_pause_seconds=0)
        events = await scene.until(lambda events: len(of_type(events, e.LeadershipTaken)) > 1)
    assert not of_type(events, e.WorkloadBlocked)
    (told, *_) = (line for line in logs if line["event"] == "No plan can be made.")
    assert "The land is cursed." in str(told["exc_info"])


def test_what_is_drawn_anew_is_what_was_drawn() -> None:
    state = state_of(node("a"), *group("train", [running("train", "train", "a", "0")]), *absurd())
    before = take_snapshot(state)
    state.redraw()
    after = take_snapshot(state)
    assert (plan(after), after.views, after.holding) == (plan(before), before.views, before.holding)


def told_aside(seconds: int = FIRST_SECONDS) -> e.WorkloadBlocked:
    return e.WorkloadBlocked(
        workload_id=id_of("workload/absurd"),
        pod_group_id=id_of("group/absurd"),
        code=SET_ASIDE,
        reason="absurd is set aside.",
        numbers={"seconds": seconds},
    )


def absurd(**more: object) -> list[e.AnyEvent]:
    return group("absurd", [pod("p", "absurd", **more)])  # type: ignore[arg-type]


def test_who_is_set_aside_is_in_no_plan_and_is_told_so() -> None:
    snapshot = take_snapshot(state_of(node("a"), *absurd(requests=ABSURD), told_aside()))
    made = plan(snapshot)
    assert (made.decides, [one.code for one in made.blocked]) == (False, [SET_ASIDE])
    waits = why_does_it_wait(snapshot, Limits(), WhyDoesItWait(workload_id=id_of("workload/absurd")))
    assert [one.code for one in waits.groups] == [SET_ASIDE]


def test_who_is_set_aside_is_tried_again_when_its_time_has_come() -> None:
    state = state_of(node("a"), *absurd(), told_aside(seconds=2))
    deadline = next_deadline(take_snapshot(state), Limits())
    assert deadline is not None
    assert (deadline.deadline, deadline.pod_group_id) == ("set-aside", id_of("group/absurd"))
    for late in recorded([node("b"), node("c")], first=state.position + 1):
        state.apply(late)
    assert [place.name for place in plan(take_snapshot(state)).placements] == ["p"]


def test_who_fails_again_and_again_waits_longer_but_not_for_ever() -> None:
    view = take_snapshot(state_of(node("a"), *absurd())).views[id_of("group/absurd")]
    told, waited = set_aside(view, "It fails.", None), []
    for _ in range(6):
        waited.append(told.numbers["seconds"])
        told = set_aside(view, "It fails.", Aside(START, told))
    assert waited == [60, 120, 240, 480, MOST_SECONDS, MOST_SECONDS]


async def test_what_was_decided_without_who_is_set_aside_is_decided_so_again(scene: Scene) -> None:
    await ask_for_the_absurd(scene, "absurd")
    await scene.observe("after", 1)
    scene.start_scheduler(cycle_pause_seconds=0)
    await scene.until(scheduled(1))
    history = await scene.history()
    report = audit_decisions(history, history)
    assert (report.differences, report.replanned) == ([], 1)
