"""What is open after which events: the fold decides what is done in Kubernetes."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_contracts.events import (
    ActivateRequested,
    AnyEvent,
    DeleteRequested,
    LimitReached,
    ObjectsApplied,
    ObjectsRefused,
    PodGone,
    PodMoved,
    PodObserved,
    StopRequested,
    WorkloadGone,
)
from muster_contracts.values import Outcome, OwnerFacts, PodFacts, PodMark, PodPhase
from muster_submitter.core.deadlines import Limits, next_deadline
from muster_submitter.core.state import State
from muster_submitter.core.workload import Workload
from submitter.story import ANNA, OBJECT_ID, START, Story, asked, discovered, owner, pod_waits

LIMIT_SECONDS = 600
QUIET_SECONDS = 900
LIMITS = Limits(LIMIT_SECONDS, QUIET_SECONDS)


@pytest.fixture
def story() -> Story:
    story = Story()
    story.create_project()
    return story


def events_about(workload_id: UUID) -> dict[str, AnyEvent]:
    return {
        "applied": ObjectsApplied(workload_id=workload_id, object_id=OBJECT_ID, resource_version="1"),
        "refused": ObjectsRefused(workload_id=workload_id, reason="No."),
        "discovered": discovered(workload_id),
        "stop": StopRequested(workload_id=workload_id, requested_by=ANNA),
        "activate": ActivateRequested(workload_id=workload_id, requested_by=ANNA),
        "delete": DeleteRequested(workload_id=workload_id, requested_by=ANNA),
        "asleep": discovered(workload_id, owner=OwnerFacts(suspended=True)),
        "suspended": owner(workload_id, suspended=True),
        "running": owner(workload_id, suspended=False),
        "succeeded": owner(workload_id, outcome=Outcome.SUCCEEDED),
        "deleting": discovered(workload_id, owner=OwnerFacts(deleting=True)),
        "gone": WorkloadGone(workload_id=workload_id, end_seen=True),
    }


def open_deed(workload: Workload) -> str:
    for deed in ("made", "recorded", "deleted", "stopped", "activated"):
        if getattr(workload, f"must_be_{deed}"):
            return deed
    return ""


@pytest.mark.parametrize(
    ("told", "deed"),
    [
        ("", "made"),
        ("applied", ""),
        ("refused", ""),
        ("discovered", "recorded"),  # killed between the deed and the fact
        ("stop", "made"),
        ("applied stop", ""),  # nobody knows yet how
        ("applied stop discovered", "stopped"),
        ("applied discovered stop suspended", ""),
        ("applied discovered stop suspended activate", "activated"),
        ("applied discovered stop suspended activate running", ""),
        ("applied discovered stop activate", ""),  # nothing was stopped yet, or it will be seen
        ("applied discovered stop activate suspended", "activated"),
        ("applied discovered stop suspended activate stop running", "stopped"),
        ("applied discovered stop suspended running", ""),  # somebody resumed it with kubectl: let them
        ("stop applied asleep", ""),  # it was made suspended
        ("stop applied asleep running", ""),  # and somebody resumed it with kubectl
        ("stop activate applied discovered suspended", ""),  # it was made running, and somebody suspended it
        ("stop applied activate asleep", "activated"),
        ("applied stop activate stop discovered", "stopped"),
        ("applied discovered suspended", ""),  # somebody suspended it with kubectl: let them
        ("applied discovered stop succeeded", ""),
        ("applied discovered stop delete", "deleted"),
        ("delete", "made"),
        ("applied delete", "made"),  # only what was seen can be seen to go
        ("applied delete discovered", "deleted"),
        ("delete refused", ""),
        ("applied discovered delete deleting", ""),
        ("applied discovered delete gone", ""),
        ("applied discovered stop gone", ""),
    ],
)
def test_what_is_open_follows_from_what_was_asked_and_seen(story: Story, told: str, deed: str) -> None:
    workload_id = story.submit(asked())
    story.tell(*(events_about(workload_id)[word] for word in told.split()))
    assert open_deed(story.state.workloads[workload_id]) == deed


@given(st.lists(st.sampled_from(sorted(events_about(OBJECT_ID))), max_size=20))
def test_batches_that_come_again_change_nothing(words: list[str]) -> None:
    story = Story()
    story.create_project()
    workload_id = story.submit(asked())
    story.tell(*(events_about(workload_id)[word] for word in words))
    again = State()
    for upto in range(len(story.told)):
        for recorded in story.told[max(0, upto - 3) : upto + 1]:  # each batch repeats the last three
            again.apply(recorded)
    assert again.workloads == story.state.workloads
    assert again.position == story.state.position


def test_what_is_gone_keeps_only_what_idempotency_needs(story: Story) -> None:
    workload_id = story.submit(asked())
    story.tell(discovered(workload_id), WorkloadGone(workload_id=workload_id, end_seen=True))
    workload = story.state.workloads[workload_id]
    assert workload.submission is not None
    assert workload.submission.event is None
    assert workload.submission.digest


def test_a_name_is_free_when_its_workload_is_gone_and_taken_again_when_that_comes_back(story: Story) -> None:
    workload_id = story.submit(asked())
    story.tell(discovered(workload_id))
    assert story.state.namesakes("demo", "hello") == {workload_id}
    story.tell(WorkloadGone(workload_id=workload_id, end_seen=True))
    assert story.state.namesakes("demo", "hello") == set()
    story.tell(discovered(workload_id))
    assert story.state.namesakes("demo", "hello") == {workload_id}


def test_a_foreign_workload_of_which_nothing_was_asked_is_forgotten_when_it_is_gone(story: Story) -> None:
    foreign = UUID(int=4)
    story.tell(discovered(foreign, "theirs"), WorkloadGone(workload_id=foreign, end_seen=True))
    story.tell(owner(foreign), pod_waits(foreign, "ErrImagePull"))
    assert foreign not in story.state.workloads


def test_an_image_that_cannot_be_pulled_fails_the_workload_after_the_limit(story: Story) -> None:
    workload_id = story.submit(asked())
    story.tell(events_about(workload_id)["applied"], discovered(workload_id), pod_waits(workload_id, "ErrImagePull"))
    since = story.now
    story.tell(pod_waits(workload_id, "ImagePullBackOff"), pod_waits(workload_id, "ContainerCreating"))
    deadline = next_deadline(story.state.workloads[workload_id], LIMITS)
    assert deadline is not None
    assert deadline.due == since + timedelta(seconds=LIMIT_SECONDS)
    assert (deadline.event.limit, deadline.event.effect) == ("image-pull", "fail")
    story.tell(deadline.event)
    assert open_deed(story.state.workloads[workload_id]) == "stopped"
    assert next_deadline(story.state.workloads[workload_id], LIMITS) is None


def test_the_limit_of_a_pull_is_off_when_no_pod_waits_for_its_image_any_more(story: Story) -> None:
    workload_id = story.submit(asked())
    waiting = pod_waits(workload_id, "ErrImagePull")
    story.tell(discovered(workload_id), waiting)
    mark = PodMark(pod_id=waiting.pods[0].pod_id, name="hello-x", last_phase=PodPhase.PENDING)
    story.tell(PodGone(workload_id=workload_id, pods=(mark,)))
    assert next_deadline(story.state.workloads[workload_id], LIMITS) is None


def test_a_finished_workload_is_deleted_after_the_time_it_asked_for(story: Story) -> None:
    workload_id = story.submit(asked(auto_deletion_seconds=60))
    story.tell(events_about(workload_id)["applied"], discovered(workload_id))
    assert next_deadline(story.state.workloads[workload_id], LIMITS) is None
    finished = START + timedelta(minutes=5)
    facts = OwnerFacts(outcome=Outcome.SUCCEEDED, finished_at=finished)
    story.tell(owner(workload_id).model_copy(update={"owner": facts}))
    deadline = next_deadline(story.state.workloads[workload_id], LIMITS)
    assert deadline is not None
    assert deadline.due == finished + timedelta(seconds=60)
    story.tell(deadline.event)
    assert open_deed(story.state.workloads[workload_id]) == "deleted"


RUN = UUID(int=900)


def pod_of_run(number: int, phase: PodPhase) -> PodObserved:
    pod = PodFacts(
        pod_id=UUID(int=number), name=f"task-{number}", namespace="muster-demo", created_at=START, phase=phase
    )
    return PodObserved(workload_id=RUN, pods=(pod,))


def run_is(quiet_outcome: Outcome, reason: str = "") -> OwnerFacts:
    return OwnerFacts(quiet_outcome=quiet_outcome, reason=reason)


def run_pod_gone(number: int) -> PodGone:
    mark = PodMark(pod_id=UUID(int=number), name=f"task-{number}", last_phase=PodPhase.SUCCEEDED)
    return PodGone(workload_id=RUN, pods=(mark,))


def test_what_no_object_ends_has_completed_when_no_pod_lived_for_long(story: Story) -> None:
    story.tell(discovered(RUN, owner=run_is(Outcome.SUCCEEDED)), pod_of_run(1, PodPhase.RUNNING))
    assert next_deadline(story.state.workloads[RUN], LIMITS) is None
    story.tell(pod_of_run(1, PodPhase.SUCCEEDED))
    ended = story.now
    story.tell(run_pod_gone(1))
    deadline = next_deadline(story.state.workloads[RUN], LIMITS)
    assert deadline is not None
    assert deadline.due == ended + timedelta(seconds=QUIET_SECONDS)
    assert (deadline.event.limit, deadline.event.effect) == ("quiet", "complete")
    story.tell(deadline.event)
    assert story.state.workloads[RUN].outcome is Outcome.SUCCEEDED
    assert next_deadline(story.state.workloads[RUN], LIMITS) is None


def test_what_no_object_ends_has_failed_when_its_pods_said_so_and_there_is_nothing_to_stop(story: Story) -> None:
    story.tell(discovered(RUN, owner=run_is(Outcome.FAILED, "The last try failed of train.")))
    deadline = next_deadline(story.state.workloads[RUN], LIMITS)
    assert deadline is not None
    assert deadline.event.effect == "fail"
    assert deadline.event.reason == "The last try failed of train. It has had no living pod for 900 seconds."
    story.tell(deadline.event)
    assert story.state.workloads[RUN].outcome is Outcome.FAILED
    assert open_deed(story.state.workloads[RUN]) == ""


@pytest.mark.parametrize("between", ["the next task", "a pod that moved away"])
def test_the_quiet_time_begins_anew_with_every_pod(story: Story, between: str) -> None:
    story.tell(discovered(RUN, owner=run_is(Outcome.SUCCEEDED)), pod_of_run(1, PodPhase.SUCCEEDED))
    story.tell(pod_of_run(2, PodPhase.PENDING))
    assert next_deadline(story.state.workloads[RUN], LIMITS) is None
    moved = PodMoved(workload_id=RUN, pod_id=UUID(int=2), new_workload_id=UUID(int=901), reason="It is a Job's.")
    story.tell(pod_of_run(2, PodPhase.FAILED) if between == "the next task" else moved)
    deadline = next_deadline(story.state.workloads[RUN], LIMITS)
    assert deadline is not None
    assert deadline.due == story.now + timedelta(seconds=QUIET_SECONDS)


def test_nothing_that_an_object_ends_is_ever_quiet_and_nor_is_what_is_being_deleted(story: Story) -> None:
    story.tell(discovered(RUN), pod_of_run(1, PodPhase.SUCCEEDED), run_pod_gone(1))
    assert next_deadline(story.state.workloads[RUN], LIMITS) is None
    story.tell(discovered(RUN, owner=run_is(Outcome.SUCCEEDED)), events_about(RUN)["delete"])
    assert next_deadline(story.state.workloads[RUN], LIMITS) is None


def test_a_limit_is_named_for_what_it_does(story: Story) -> None:
    workload_id = story.submit(asked())
    story.tell(
        events_about(workload_id)["applied"],
        discovered(workload_id),
        LimitReached(workload_id=workload_id, limit="duration", limit_seconds=5, effect="stop", reason="Long enough."),
    )
    assert open_deed(story.state.workloads[workload_id]) == "stopped"
    assert story.state.workloads[workload_id].outcome is Outcome.NONE
