"""Stop, activate and delete: when they are accepted, what repeats, and the sentence of every refusal."""

from collections.abc import Callable
from uuid import UUID

import pytest
from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.events import (
    ActivateRequested,
    AnyEvent,
    DeleteRequested,
    LimitReached,
    ObjectsApplied,
    ObjectsRefused,
    StopRequested,
    WorkloadGone,
)
from muster_contracts.values import Caller, Controls, Outcome, OwnerFacts, Supports
from muster_submitter.core.decisions import (
    Already,
    Append,
    Decision,
    decide_activate,
    decide_delete,
    decide_stop,
    warning_before_deletion,
)
from muster_submitter.core.state import State
from submitter.story import ANNA, OBJECT_ID, Story, asked, discovered, job, owner

Decide = Callable[[State, UUID, Caller], Decision]


@pytest.fixture
def story() -> Story:
    story = Story()
    story.create_project()
    return story


@pytest.fixture
def workload_id(story: Story) -> UUID:
    return story.submit(asked())


def refused(story: Story, decide: Decide, workload_id: UUID) -> Refused:
    with pytest.raises(Refused) as caught:
        decide(story.state, workload_id, ANNA)
    return caught.value


def stop(workload_id: UUID) -> StopRequested:
    return StopRequested(workload_id=workload_id, requested_by=ANNA)


def activate(workload_id: UUID) -> ActivateRequested:
    return ActivateRequested(workload_id=workload_id, requested_by=ANNA)


def delete(workload_id: UUID) -> DeleteRequested:
    return DeleteRequested(workload_id=workload_id, requested_by=ANNA)


def applied(workload_id: UUID) -> ObjectsApplied:
    return ObjectsApplied(workload_id=workload_id, object_id=OBJECT_ID, resource_version="1")


@pytest.mark.parametrize("decide", [decide_stop, decide_activate, decide_delete])
def test_a_workload_nobody_knows_is_not_found(story: Story, decide: Decide) -> None:
    refusal = refused(story, decide, UUID(int=9))
    assert refusal.code is RefusalCode.NOT_FOUND
    assert refusal.message == "There is no workload 00000000-0000-0000-0000-000000000009."


def test_a_workload_may_be_stopped_before_it_exists_in_kubernetes(story: Story, workload_id: UUID) -> None:
    assert decide_stop(story.state, workload_id, ANNA) == Append(stop(workload_id), expected=len(story.told))


def test_a_decision_is_made_from_our_own_last_event_on_the_subject(story: Story, workload_id: UUID) -> None:
    ours = story.tell(applied(workload_id))
    story.tell(discovered(workload_id))
    decision = decide_stop(story.state, workload_id, ANNA)
    assert isinstance(decision, Append)
    assert decision.expected == ours


def test_repeating_a_stop_gives_the_same_position_before_and_after_it_is_done(story: Story, workload_id: UUID) -> None:
    story.tell(discovered(workload_id))
    position = story.tell(stop(workload_id))
    assert decide_stop(story.state, workload_id, ANNA) == Already(position)
    story.tell(owner(workload_id, suspended=True))
    assert decide_stop(story.state, workload_id, ANNA) == Already(position)


def test_what_suspended_itself_need_not_be_stopped(story: Story, workload_id: UUID) -> None:
    position = story.tell(discovered(workload_id, owner=OwnerFacts(suspended=True)))
    assert decide_stop(story.state, workload_id, ANNA) == Already(position)


def test_a_stopped_workload_is_activated_once_and_repeating_it_is_harmless(story: Story, workload_id: UUID) -> None:
    story.tell(discovered(workload_id), stop(workload_id), owner(workload_id, suspended=True))
    assert isinstance(decide_activate(story.state, workload_id, ANNA), Append)
    position = story.tell(activate(workload_id))
    assert decide_activate(story.state, workload_id, ANNA) == Already(position)
    story.tell(owner(workload_id, suspended=False))
    assert decide_activate(story.state, workload_id, ANNA) == Already(position)


def test_a_workload_that_is_stopping_may_be_activated(story: Story, workload_id: UUID) -> None:
    story.tell(discovered(workload_id), stop(workload_id))
    assert isinstance(decide_activate(story.state, workload_id, ANNA), Append)


def test_a_workload_that_is_being_activated_may_be_stopped_again(story: Story, workload_id: UUID) -> None:
    story.tell(discovered(workload_id), stop(workload_id), owner(workload_id, suspended=True), activate(workload_id))
    assert isinstance(decide_stop(story.state, workload_id, ANNA), Append)


def test_a_running_workload_cannot_be_activated(story: Story, workload_id: UUID) -> None:
    story.tell(discovered(workload_id))
    refusal = refused(story, decide_activate, workload_id)
    assert refusal.code is RefusalCode.CONFLICT
    assert refusal.message == "Workload 'hello' is not stopped, so it cannot be activated."


ENDINGS: dict[str, Callable[[UUID], list[AnyEvent]]] = {
    "has completed": lambda i: [discovered(i), owner(i, outcome=Outcome.SUCCEEDED)],
    "has failed": lambda i: [discovered(i), owner(i, outcome=Outcome.FAILED)],
    "has failed ": lambda i: [ObjectsRefused(workload_id=i, reason="No.")],
    "has failed  ": lambda i: [
        discovered(i),
        LimitReached(workload_id=i, limit="image-pull", limit_seconds=9, effect="fail", reason="No image."),
    ],
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_has_ended_is_neither_stopped_nor_activated_but_may_be_copied(
    story: Story, workload_id: UUID, ending: str
) -> None:
    story.tell(*ENDINGS[ending](workload_id))
    ended = ending.strip()
    assert refused(story, decide_stop, workload_id).message == f"Workload 'hello' {ended}; there is nothing to stop."
    assert refused(story, decide_activate, workload_id).message == (
        f"Workload 'hello' {ended} and cannot run again; submit a copy of it under a new name."
    )
    assert isinstance(decide_delete(story.state, workload_id, ANNA), Append)


def test_a_kind_that_cannot_stop_says_why(story: Story, workload_id: UUID) -> None:
    cannot = Controls(delete=(job("hello"),), reason="A bare Pod can only be deleted.")
    story.tell(discovered(workload_id, kind="Pod", controls=cannot, supports=Supports()))
    assert refused(story, decide_stop, workload_id).message == (
        "Workload 'hello' cannot be stopped: A bare Pod can only be deleted."
    )


@pytest.mark.parametrize("decide", [decide_stop, decide_activate])
def test_an_object_that_cannot_do_what_its_kind_can_says_why(story: Story, workload_id: UUID, decide: Decide) -> None:
    cannot = Controls(delete=(job("hello"),), reason="It runs on a shared cluster.")
    suspended = OwnerFacts(suspended=decide is decide_activate)
    story.tell(discovered(workload_id, kind="RayJob", controls=cannot, owner=suspended))
    done = "activated" if decide is decide_activate else "stopped"
    assert refused(story, decide, workload_id).message == (
        f"Workload 'hello' cannot be {done}: It runs on a shared cluster."
    )


def test_what_to_know_of_a_deletion_is_what_its_object_says(story: Story, workload_id: UUID) -> None:
    assert warning_before_deletion(story.state, workload_id) == ""
    story.tell(discovered(workload_id, controls=Controls(delete=(job("hello"),), warning="It may come back.")))
    assert warning_before_deletion(story.state, workload_id) == "It may come back."


def test_a_kind_that_cannot_stop_and_gives_no_reason_is_named(story: Story, workload_id: UUID) -> None:
    story.tell(discovered(workload_id, kind="Pod", controls=Controls(), supports=Supports(delete=False)))
    assert refused(story, decide_delete, workload_id).message == (
        "Workload 'hello' cannot be deleted: a Pod has nothing that Muster could change."
    )


@pytest.mark.parametrize("decide", [decide_stop, decide_activate])
def test_what_is_being_deleted_is_left_alone(story: Story, workload_id: UUID, decide: Decide) -> None:
    story.tell(discovered(workload_id), delete(workload_id))
    assert refused(story, decide, workload_id).message == "Workload 'hello' is being deleted."


@pytest.mark.parametrize("decide", [decide_stop, decide_activate])
def test_what_somebody_else_deletes_is_left_alone(story: Story, workload_id: UUID, decide: Decide) -> None:
    story.tell(discovered(workload_id, owner=OwnerFacts(deleting=True)))
    assert refused(story, decide, workload_id).message == "Workload 'hello' is being deleted."


@pytest.mark.parametrize("decide", [decide_stop, decide_activate])
def test_what_is_gone_is_not_found(story: Story, workload_id: UUID, decide: Decide) -> None:
    story.tell(discovered(workload_id), WorkloadGone(workload_id=workload_id, end_seen=True))
    refusal = refused(story, decide, workload_id)
    assert (refusal.code, refusal.message) == (RefusalCode.NOT_FOUND, "Workload 'hello' is gone.")


def test_deleting_is_idempotent_until_and_after_the_end(story: Story, workload_id: UUID) -> None:
    position = story.tell(discovered(workload_id), delete(workload_id))
    assert decide_delete(story.state, workload_id, ANNA) == Already(position)
    gone = story.tell(WorkloadGone(workload_id=workload_id, end_seen=True))
    assert decide_delete(story.state, workload_id, ANNA) == Already(gone)
