"""Which phases a workload goes through, told as stories; and that repeats, order and restarts do not matter."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muster_contracts.events import (
    AnyEvent,
    LimitReached,
    ObjectsRefused,
    PhaseChanged,
    PhaseTableAdopted,
    PodMoved,
    WorkloadBlocked,
)
from muster_contracts.phases import Phase
from muster_contracts.values import ContainerFacts, ContainerState, Outcome, OwnerFacts, PodPhase
from muster_status.core.deriver import Derivation, transition_id
from muster_status.core.sentences import message_of
from status.stories import CLUSTER, Story, derive, phases, record, transitions

C, P, S, R, D = Phase.CREATING, Phase.PENDING, Phase.INITIALIZING, Phase.RUNNING, Phase.DEGRADED
HAPPY = [C, P, S, R, Phase.COMPLETED]


def running(story: Story, pods: int = 1) -> list[AnyEvent]:
    return story.life(pods)[:6]


def since_running(story: Story, *more: AnyEvent, pods: int = 1) -> list[Phase]:
    """The phases after Running."""
    found = phases([*running(story, pods), *more], story)
    assert found[:4] == [C, P, S, R]
    return found[4:]


def message(events: Sequence[AnyEvent], story: Story) -> str:
    entry = derive(events).derived[story.id]
    assert entry.workload is not None
    return message_of(entry.workload, entry.phase)


# ---------------------------------------------------------------- the ordinary life


def test_a_training_goes_from_creating_to_completed_with_a_reason_for_each_step() -> None:
    story = Story()
    found = transitions(story.life(2), story)
    assert [(each.previous, each.current, each.reason) for each in found] == [
        (None, C, "alice submitted it to project demo."),
        (C, P, "Its pod group is formed; it needs 2 pods."),
        (P, S, "2 of 2 pods scheduled."),
        (S, R, "2 of 2 pods ready."),
        (R, Phase.COMPLETED, "2 pods succeeded."),
    ]
    assert [(each.cause, each.step, each.table) for each in found] == [
        (1, 0, 1),
        (3, 0, 1),
        (5, 0, 1),
        (6, 0, 1),
        (9, 0, 1),
    ]


def test_what_is_first_seen_running_still_goes_through_every_phase() -> None:
    story = Story()
    events = [story.discovered(owner=OwnerFacts()), story.grouped(), story.ready(0)]
    found = transitions(events, story)
    assert [(each.current, each.cause, each.step) for each in found] == [(C, 1, 0), (P, 2, 0), (S, 3, 0), (R, 3, 1)]
    assert found[0].reason == "Job train was found in namespace muster-demo."


def test_pods_that_are_seen_before_their_workload_count_once_it_is_known() -> None:
    story = Story()
    pods = [story.grouped(), story.ready(0)]
    assert phases(pods, story) == []
    assert phases([*pods, story.submitted()], story) == [C, P, S, R]


def test_a_workload_waits_until_all_its_pods_are_scheduled_and_ready() -> None:
    story = Story()
    begun = story.life(4)[:4]
    assert phases([*begun, story.scheduled(0, 1)], story) == [C, P]
    assert phases([*begun, story.scheduled(0, 1, 2, 3)], story) == [C, P, S]
    assert phases([*begun, story.scheduled(0, 1, 2, 3), story.ready(0, 1, 2)], story) == [C, P, S]


def test_an_elastic_workload_runs_with_its_minimum() -> None:
    story = Story()
    owner = OwnerFacts(desired_pods=4, min_pods=2)
    begun = [story.discovered(owner=owner), story.grouped(minimum=2), story.waiting(0, 1, 2, 3)]
    found = transitions([*begun, story.scheduled(0, 1), story.ready(0, 1)], story)
    assert [each.current for each in found] == [C, P, S, R]
    assert found[-1].reason == "2 of 4 pods ready; 2 are enough."
    assert phases([*begun, story.ready(0, 1, 2), story.pods_gone(2)], story) == [C, P, S, R]


# ---------------------------------------------------------------- losses, crashes, retries


def test_a_lost_pod_degrades_and_its_return_heals() -> None:
    story = Story()
    assert since_running(story, story.pods_gone(1), story.waiting(4), story.scheduled(4), story.ready(4), pods=4) == [
        D,
        R,
    ]


def test_a_pod_that_is_terminating_is_lost_already() -> None:
    story = Story()
    found = transitions([*running(story, 4), story.observed(story.ready_facts(0, terminating=True))], story)
    assert (found[-1].current, found[-1].reason) == (D, "3 of 4 pods scheduled.")


def test_a_workload_that_lost_some_pods_and_completes_is_completed() -> None:
    story = Story()
    assert since_running(story, story.pods_gone(1), story.succeeded(4), pods=4) == [D, Phase.COMPLETED]


def test_a_crash_loop_degrades_and_names_the_container() -> None:
    story = Story()
    found = transitions([*running(story, 2), story.observed(story.crashed_facts(1, restarts=3))], story)
    assert found[-1].current is D
    assert (
        found[-1].reason == "1 of 2 pods ready. Pod train-1: container main waits after 3 restarts: CrashLoopBackOff."
    )


def test_a_workload_whose_pods_all_started_and_one_crashed_is_degraded_without_having_run() -> None:
    story = Story()
    events = [*story.life(2)[:4], story.observed(story.ready_facts(0), story.crashed_facts(1))]
    assert phases(events, story) == [C, P, D]


def test_an_image_that_cannot_be_pulled_stays_initializing_with_a_message() -> None:
    story = Story()
    main = ContainerFacts(name="main", reason="ImagePullBackOff", message="no such image: pytorc.")
    events = [*story.life()[:4], story.observed(story.facts(0, node="node-0", containers=(main,)))]
    assert phases(events, story) == [C, P, S]
    assert message(events, story) == "Pod train-0: container main waits: ImagePullBackOff (no such image: pytorc)."
    reason = "The image could not be pulled for 300 seconds."
    limit = LimitReached(workload_id=story.id, limit="image-pull", limit_seconds=300, effect="fail", reason=reason)
    last = transitions([*events, limit], story)[-1]
    assert (last.current, last.reason) == (Phase.FAILED, f"{reason} {message(events, story)}")


def test_a_failed_pod_that_is_tried_again_is_no_failure_and_says_which_attempt() -> None:
    story = Story()
    events = [*running(story), story.ended(0, well=False)]
    assert phases(events, story)[4:] == []
    assert message(events, story) == "Pod train-0: container main ended with exit code 1. Attempt 2."
    found = transitions([*events, story.waiting(1), story.ready(1)], story)[4:]
    assert [each.current for each in found] == [P, S, R]
    expected = "Pod train-0: container main ended with exit code 1. Attempt 2 waits to be scheduled."
    assert found[0].reason == expected


def test_a_failed_pod_is_no_attempt_of_a_run_whose_tasks_have_their_own_tries() -> None:
    story = Story()
    between = "No task of it has a pod at the moment."
    told = story.owner(ready=True, reason=between, quiet_outcome=Outcome.SUCCEEDED)
    events = [*running(story), story.ended(0, well=False), told]
    assert message(events, story) == between
    waits = story.owner(quiet_outcome=Outcome.SUCCEEDED)
    assert transitions([*events, waits, story.waiting(1)], story)[-1].reason == "1 pod waits to be scheduled."


def test_the_last_failure_names_pod_and_cause() -> None:
    story = Story()
    last = transitions([*running(story), story.ended(0, well=False), story.failed()], story)[-1]
    assert (last.previous, last.current) == (R, Phase.FAILED)
    assert last.reason == (
        "Job has reached the specified backoff limit. Pod train-0: container main ended with exit code 1."
    )


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_sidecar_that_ends_does_not_degrade_the_workload(exit_code: int) -> None:
    story = Story()
    main = ContainerFacts(name="main", state=ContainerState.RUNNING, ready=True)
    helper = ContainerFacts(name="logger", role="sidecar", state=ContainerState.TERMINATED, exit_code=exit_code)
    facts = story.ready_facts(0, ready=False, containers=(main, helper))
    assert since_running(story, story.observed(facts)) == []


@pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ContainerCreating"])
def test_a_sidecar_that_is_not_ready_keeps_no_workload_from_running(reason: str) -> None:
    story = Story()
    main = ContainerFacts(name="main", state=ContainerState.RUNNING, ready=True)
    facts = story.ready_facts(
        0, ready=False, containers=(main, ContainerFacts(name="proxy", role="sidecar", reason=reason))
    )
    assert phases([*story.life()[:5], story.observed(facts)], story) == HAPPY[:4]


def test_a_pod_whose_readiness_gate_is_closed_is_not_ready() -> None:
    story = Story()
    proxy = ContainerFacts(name="proxy", role="sidecar", state=ContainerState.RUNNING, ready=True)
    main = ContainerFacts(name="main", state=ContainerState.RUNNING, ready=True)
    facts = story.ready_facts(0, ready=False, containers=(main, proxy))
    assert phases([*story.life()[:5], story.observed(facts)], story) == HAPPY[:3]


def test_pods_that_come_and_end_one_after_the_other_do_not_degrade_a_job() -> None:
    story = Story()
    owner = OwnerFacts(desired_pods=2, min_pods=2)
    begun = [story.discovered(owner=owner), story.grouped(), story.waiting(0, 1), story.ready(0, 1)]
    wave = [story.ended(0), story.waiting(2), story.ready(2), story.ended(1), story.scheduled(3), story.ended(2)]
    assert phases([*begun, *wave, story.ready(3), story.ended(3), story.succeeded(2)], story) == HAPPY


def test_a_service_without_pods_is_degraded_and_never_completes() -> None:
    story = Story()
    owner = OwnerFacts(desired_pods=1, min_pods=1, serving=True)
    begun = [story.discovered(kind="Deployment", owner=owner), story.grouped(), story.ready(0)]
    assert phases([*begun, story.pods_gone(0)], story) == [C, P, S, R, D]
    assert phases([*begun, story.ended(0)], story) == [C, P, S, R, D]


# ---------------------------------------------------------------- preemption


def test_a_preempted_workload_waits_with_its_reason() -> None:
    story = Story()
    events = [*running(story), story.preempted(0), story.observed(story.ready_facts(0, terminating=True))]
    found = transitions([*events, story.pods_gone(0), story.waiting(1)], story)
    assert (found[-1].previous, found[-1].current) == (R, P)
    assert found[-1].reason == "Preempted for urgent of project vision."
    assert phases([*events, story.pods_gone(0), story.waiting(1), story.ready(1)], story)[4:] == [P, S, R]


def test_a_preempted_pod_that_exits_with_0_completes_its_workload_and_that_is_said() -> None:
    story = Story()
    events = [*running(story), story.preempted(0), story.ended(0), story.pods_gone(0, last_phase=PodPhase.SUCCEEDED)]
    last = transitions([*events, story.succeeded()], story)[-1]
    assert last.current is Phase.COMPLETED
    assert last.reason == (
        "1 pod succeeded, after it was preempted, so the work may not be done: Preempted for urgent of project vision."
    )


def test_a_workload_whose_object_fails_at_a_preemption_says_for_whom() -> None:
    story = Story()
    events = [
        *running(story),
        story.preempted(0),
        story.failed("Pod muster-demo/hello-0 has condition DisruptionTarget."),
    ]
    last = transitions(events, story)[-1]
    assert last.current is Phase.FAILED
    assert last.reason.endswith("DisruptionTarget. Preempted for urgent of project vision.")


def test_a_preemption_that_took_what_could_be_spared_explains_nothing_later() -> None:
    story = Story()
    elastic = OwnerFacts(desired_pods=3, min_pods=2)
    events = [story.discovered(owner=elastic, native=True), story.grouped(minimum=2), story.waiting(0, 1, 2)]
    events += [story.scheduled(0, 1, 2), story.ready(0, 1, 2), story.preempted(2), story.pods_gone(2)]
    last = transitions([*events, story.pods_gone(1)], story)[-1]
    assert last.current is Phase.DEGRADED
    assert last.reason == "1 of 3 pods scheduled; 2 are enough."


def test_a_workload_that_asked_to_end_when_preempted_is_failed() -> None:
    story = Story()
    last = transitions([*running(story), story.preempted(0, final=True)], story)[-1]
    assert last.current is Phase.FAILED
    assert last.reason.startswith("It was preempted for good:")


def test_a_waiting_workload_says_what_blocks_it() -> None:
    story = Story()
    events: list[AnyEvent] = [*story.life()[:4]]
    blocked = "No node has 8 free GPUs."
    events.append(WorkloadBlocked(workload_id=story.id, pod_group_id=story.group_id, code="gpu", reason=blocked))
    assert message(events, story) == blocked


# ---------------------------------------------------------------- stopping and starting again


def test_a_stop_keeps_the_phase_until_the_last_pod_is_gone() -> None:
    story = Story()
    stopping = [*running(story, 2), story.stop(), story.observed(story.ready_facts(0, terminating=True))]
    assert phases(stopping, story)[4:] == []
    assert message(stopping, story) == "It is stopping, as alice asked; 2 pods still there."
    suspended = story.owner(suspended=True, desired_pods=2, min_pods=2)
    assert phases([*stopping, suspended, story.pods_gone(0)], story)[4:] == []
    found = transitions([*stopping, suspended, story.pods_gone(0), story.pods_gone(1)], story)[4:]
    assert [(each.current, each.reason) for each in found] == [
        (Phase.STOPPED, "alice asked for it, and its last pod is gone.")
    ]


def test_a_stopped_workload_that_starts_again_queues_first() -> None:
    story = Story()
    stopped = [story.stop(), story.owner(suspended=True), story.pods_gone(0)]
    resumed = [story.activate(), story.owner(suspended=False)]
    assert since_running(story, *stopped, *resumed) == [Phase.STOPPED]
    assert message([*running(story), *stopped, *resumed], story) == "It is starting again, as alice asked."
    assert since_running(story, *stopped, *resumed, story.waiting(1)) == [Phase.STOPPED, P]
    assert since_running(story, *stopped, *resumed, story.waiting(1), story.ready(1)) == [Phase.STOPPED, P, S, R]


def test_what_others_start_again_is_not_stopping_any_more() -> None:
    story = Story()
    stopped = [story.stop(), story.owner(suspended=True), story.pods_gone(0)]
    assert since_running(story, *stopped, story.owner(), story.waiting(1), story.ready(1)) == [Phase.STOPPED, P, S, R]


def test_a_workload_that_is_stopped_before_it_had_pods_is_stopped() -> None:
    story = Story()
    assert phases([story.submitted(), story.stop(), story.discovered(owner=OwnerFacts(suspended=True))], story) == [
        C,
        Phase.STOPPED,
    ]


# ---------------------------------------------------------------- the end


@pytest.mark.parametrize("length", range(1, 10))
def test_a_delete_is_deleting_from_any_phase_and_nothing_comes_after(length: int) -> None:
    story = Story()
    events = [*story.life()[:length], story.delete()]
    assert phases(events, story)[-1] is Phase.DELETING
    later = [story.ready(0), story.succeeded(), story.failed(), story.stop(), story.gone()]
    assert phases([*events, *later], story) == phases(events, story)


def test_a_job_that_others_delete_is_deleting() -> None:
    story = Story()
    assert since_running(story, story.owner(deleting=True)) == [Phase.DELETING]
    found = transitions([*running(story), story.gone()], story)[-1]
    assert (found.current, found.reason) == (Phase.DELETING, "Job train was deleted in Kubernetes.")


def test_what_completed_stays_completed_when_it_is_removed() -> None:
    story = Story()
    assert phases([*story.life(), story.owner(deleting=True), story.gone()], story) == HAPPY
    deleted_at_once = story.owner(outcome="succeeded", deleting=True)
    assert since_running(story, deleted_at_once, story.gone()) == [Phase.COMPLETED]


def test_an_end_that_nobody_saw_keeps_the_last_phase() -> None:
    story = Story()
    assert since_running(story, story.pods_gone(0), story.gone(end_seen=False)) == []


def test_refused_objects_fail_the_workload_at_once() -> None:
    story = Story()
    refused = ObjectsRefused(workload_id=story.id, reason="spec.template: image is required.")
    last = transitions([story.submitted(), refused], story)[-1]
    assert (last.current, last.reason) == (
        Phase.FAILED,
        "Kubernetes refused its objects: spec.template: image is required.",
    )


def test_a_pod_that_moved_to_another_workload_counts_there_alone() -> None:
    story, other = Story(), Story("other")
    moved = PodMoved(
        workload_id=story.id, pod_id=story.pod_id(1), new_workload_id=other.id, reason="Its owner is other."
    )
    assert since_running(story, moved, story.ready(1), pods=2) == [D]


# ---------------------------------------------------------------- repeats, order, restarts

pod_states = st.sampled_from(["waiting", "scheduled", "ready", "crashed", "succeeded", "failed", "gone"])


def pod_event(story: Story, number: int, state: str) -> AnyEvent:
    crashed = story.observed(story.crashed_facts(number))
    return {
        "waiting": story.waiting(number),
        "scheduled": story.scheduled(number),
        "ready": story.ready(number),
        "crashed": crashed,
        "succeeded": story.ended(number),
        "failed": story.ended(number, well=False),
        "gone": story.pods_gone(number),
    }[state]


@given(st.lists(pod_states, min_size=1, max_size=4), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_the_order_in_which_pods_are_seen_and_repeats_do_not_change_what_they_come_to(
    finals: list[str], seed: int
) -> None:
    story = Story()
    owner = OwnerFacts(desired_pods=len(finals), min_pods=len(finals))
    known = [story.discovered(owner=owner), story.grouped(minimum=len(finals))]
    facts = [pod_event(story, number, state) for number, state in enumerate(finals)]
    shuffled = Random(seed).sample(facts * 2, len(facts) * 2)
    one, other = derive([*facts, *known]), derive([*shuffled, *known])
    assert one.derived[story.id].phase is other.derived[story.id].phase
    assert [each.reason for each in one.open[story.id]] == [each.reason for each in other.open[story.id]]
    assert derive([*known, *facts]).situation(story.id) is derive([*known, *shuffled]).situation(story.id)


@given(st.lists(st.tuples(st.integers(0, 3), pod_states), max_size=24), st.sampled_from(["", "succeeded", "failed"]))
@settings(max_examples=150, deadline=None)
def test_folding_twice_gives_the_same_history_and_an_event_told_again_adds_nothing(
    seen: list[tuple[int, str]], end: str
) -> None:
    story = Story()
    events: list[AnyEvent] = [story.submitted(parallelism=4), story.grouped(minimum=4)]
    events += [pod_event(story, number, state) for number, state in seen]
    events += {"": [], "succeeded": [story.succeeded(4)], "failed": [story.failed(desired=4)]}[end]
    once = transitions(events, story)
    assert transitions(events, story) == once
    assert [each.previous for each in once] == [None, *(each.current for each in once[:-1])]
    repeated = [event for event in events for _ in range(2)]
    assert [(t.previous, t.current, t.reason) for t in transitions(repeated, story)] == [
        (t.previous, t.current, t.reason) for t in once
    ]


def test_counts_of_pods_never_drift() -> None:
    story, random = Story(), Random(7)
    states = ["waiting", "scheduled", "ready", "crashed", "succeeded", "failed", "gone"]
    events: list[AnyEvent] = [story.submitted(parallelism=4)]
    events += [pod_event(story, random.randrange(40), random.choice(states)) for _ in range(2000)]
    workload = derive(events).derived[story.id].workload
    assert workload is not None
    living = [pod for pod in workload.pods.values() if not pod.finished]
    assert workload.counts.live == len(living)
    assert workload.counts.ready == sum(pod.ready for pod in living)


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_records_that_come_by_anywhere_confirm_what_was_worked_out(seed: int) -> None:
    """Transitions are recorded with a delay, among later events; a fold of all that leaves nothing open."""
    story, random = Story(), Random(seed)
    derivation = Derivation()
    log: list[AnyEvent] = []
    open_records: list[AnyEvent] = []
    pending = [PhaseTableAdopted(cluster_id=CLUSTER, table=1), *story.life(3)]
    while pending or open_records:
        late = open_records and (not pending or random.random() < 0.4)
        event: AnyEvent = open_records.pop(0) if late else pending.pop(0)
        log.append(event)
        (recorded,) = record([event], after=len(log) - 1)
        before = len(derivation.open.get(story.id, ()))
        assert derivation.apply(recorded) is None
        if not isinstance(event, PhaseChanged):
            open_records += list(derivation.open.get(story.id, ()))[before:]
    assert not derivation.open
    assert [event.current for event in log if isinstance(event, PhaseChanged)] == HAPPY
    assert derive(log).confirmed == len(HAPPY)


def test_a_record_that_follows_from_nothing_is_named() -> None:
    story = Story()
    invented = PhaseChanged(workload_id=story.id, previous=C, current=R, reason="So.", cause=1, step=7, table=1)
    derivation = derive([story.submitted()])
    (recorded,) = record([invented], after=1)
    difference = derivation.apply(recorded)
    assert difference is not None
    assert (difference.position, difference.workload_id) == (2, story.id)
    assert "Creating → Running" in difference.sentence


def test_a_record_that_was_changed_is_named() -> None:
    story = Story()
    derivation = derive([story.submitted()])
    true = derivation.open[story.id][0]
    (recorded,) = record([true.model_copy(update={"reason": "bob submitted it."})], after=1)
    difference = derivation.apply(recorded)
    assert difference is not None
    assert "bob submitted it." in difference.sentence
    assert "alice submitted it" in difference.sentence


def test_a_record_out_of_turn_is_named_and_what_it_skipped_is_not_open_any_more() -> None:
    story = Story()
    derivation = derive([story.submitted(), story.grouped(), story.ready(0)])
    queue = list(derivation.open[story.id])
    (recorded,) = record([queue[2]], after=3)
    difference = derivation.apply(recorded)
    assert difference is not None
    assert "stands where" in difference.sentence
    assert list(derivation.open[story.id]) == queue[3:]


def test_ids_of_records_are_the_same_for_ever() -> None:
    story = Story()
    once, again = transitions(story.life(), story), transitions(story.life(), story)
    assert [transition_id(each) for each in once] == [transition_id(each) for each in again]
    assert len({transition_id(each) for each in once}) == len(once)


def test_a_gone_workload_takes_no_more_facts_and_little_memory() -> None:
    story = Story()
    derivation = derive([*story.life(), story.gone(), story.ready(5), story.discovered()])
    assert derivation.derived[story.id].workload is None
    assert [each.current for each in derivation.open[story.id]] == HAPPY


# ---------------------------------------------------------------- what an object says of its own health


def test_a_service_without_pods_runs_when_its_object_says_that_it_is_ready() -> None:
    story = Story()
    scaled_to_zero = OwnerFacts(serving=True, ready=True, desired_pods=0, min_pods=0)
    events: list[AnyEvent] = [story.discovered(kind="InferenceService", owner=scaled_to_zero)]
    assert phases(events, story) == HAPPY[:4]
    assert message(events, story) == ""


def test_between_two_steps_a_workload_runs_on_with_what_its_object_says() -> None:
    story = Story()
    between = story.owner(ready=True, reason="Step 2 of 3 is about to start.")
    events = [*running(story), story.ended(0), between]
    assert phases(events, story) == HAPPY[:4]
    assert message(events, story) == "Step 2 of 3 is about to start."


def test_what_waits_for_nodes_is_not_running_whatever_its_object_says() -> None:
    story = Story()
    events = [story.discovered(owner=OwnerFacts(ready=True)), story.grouped(), story.waiting(0)]
    assert phases(events, story)[-1] is P


def test_an_object_that_says_that_something_is_wrong_degrades_what_runs() -> None:
    story = Story()
    wrong = story.owner(ready=False, reason="Task train failed in its last try.")
    found = transitions([*running(story), wrong], story)
    assert found[-1].current is D
    assert found[-1].reason == "1 of 1 pod ready. Task train failed in its last try."


@pytest.mark.parametrize("serving", [True, False])
def test_what_its_object_calls_broken_is_degraded_though_no_pod_ever_came(serving: bool) -> None:
    story = Story()
    broken = OwnerFacts(serving=serving, ready=False, reason="The model cannot be loaded.")
    found = transitions([story.discovered(kind="InferenceService", owner=broken)], story)
    assert [each.current for each in found] == [C, P, D]
    assert [each.reason for each in found[1:]] == ["It has no pod.", "0 of 1 pod ready. The model cannot be loaded."]


def test_what_its_object_calls_broken_waits_as_soon_as_it_has_a_pod_that_waits() -> None:
    story = Story()
    broken = OwnerFacts(serving=True, ready=False, reason="The model cannot be loaded.")
    events = [story.discovered(owner=broken), story.grouped(), story.waiting(0)]
    assert phases(events, story) == [C, P, D, P]
