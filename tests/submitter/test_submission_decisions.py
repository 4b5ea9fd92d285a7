"""What is accepted, what is refused and in which words; and that the same request is the same workload for ever."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_contracts.commands import CreateProject, RequestedQuota
from muster_contracts.errors import RefusalCode, Refused
from muster_contracts.events import DeleteRequested, ObjectsRefused, SubmissionRefused, WorkloadGone, WorkloadSubmitted
from muster_contracts.phases import PriorityClass
from muster_contracts.values import Caller
from muster_submitter.core.decisions import (
    Already,
    Append,
    decide_project,
    decide_submission,
    digest_of,
    project_id_of,
    submission_id,
)
from submitter.story import ANNA, Story, asked, discovered


@pytest.fixture
def story() -> Story:
    story = Story()
    story.create_project()
    return story


def refused(story: Story, command: object, caller: Caller = ANNA) -> Refused:
    decide = decide_project if isinstance(command, CreateProject) else decide_submission
    with pytest.raises(Refused) as caught:
        decide(story.state, command, caller)  # type: ignore[arg-type]
    return caught.value


def test_a_new_workload_is_accepted_with_every_default_filled_in(story: Story) -> None:
    decision = decide_submission(story.state, asked(compute={"cpu_cores": 0.5}), ANNA)
    assert isinstance(decision, Append)
    assert decision.expected == 0
    event = decision.event
    assert isinstance(event, WorkloadSubmitted)
    assert (event.namespace, event.object_name, event.project_id) == ("muster-demo", "hello", project_id_of("demo"))
    assert event.spec.priority_class is PriorityClass.TRAIN
    assert event.spec.cpu_milli == 500


def test_a_workspace_is_not_preempted_unless_it_says_so(story: Story) -> None:
    decision = decide_submission(story.state, asked(kind="workspace"), ANNA)
    assert isinstance(decision, Append)
    assert isinstance(decision.event, WorkloadSubmitted)
    assert decision.event.spec.priority_class is PriorityClass.BUILD


def test_a_project_begins_with_no_quota_of_a_pool_that_is_not_there(story: Story) -> None:
    refusal = refused(story, CreateProject(name="other", quotas=(RequestedQuota(node_pool="h100"),)))
    assert [complaint.field for complaint in refusal.complaints] == ["node_pool"]


def test_node_pools_come_from_the_project_when_none_are_named(story: Story) -> None:
    story.make_node_pools("fast", "slow")
    story.create_project("pools", node_pools=("fast", "slow"))
    decision = decide_submission(story.state, asked(project="pools"), ANNA)
    assert isinstance(decision, Append)
    assert isinstance(decision.event, WorkloadSubmitted)
    assert decision.event.spec.node_pools == ("fast", "slow")


def test_an_unknown_project_is_refused_and_the_known_ones_are_named(story: Story) -> None:
    refusal = refused(story, asked(project="nowhere"))
    assert refusal.code is RefusalCode.NOT_FOUND
    assert refusal.message == "There is no project 'nowhere'; there are demo."


def test_a_removed_project_is_as_unknown_as_one_that_never_was(story: Story) -> None:
    story.tell(story.state.projects["demo"].event.model_copy(update={"removed": True}))
    assert refused(story, asked()).message == "There is no project 'demo'; there is none yet."


def test_a_name_is_taken_while_its_workload_lives_and_free_when_it_is_gone(story: Story) -> None:
    first = story.submit(asked(key="one"))
    refusal = refused(story, asked(key="two"))
    assert refusal.code is RefusalCode.CONFLICT
    assert "already has a workload 'hello'" in refusal.message
    story.tell(discovered(first), WorkloadGone(workload_id=first, end_seen=True))
    assert isinstance(decide_submission(story.state, asked(key="two"), ANNA), Append)


def test_the_name_of_a_foreign_workload_is_taken_too(story: Story) -> None:
    story.tell(discovered(project_id_of("anything"), "hello", kind="Deployment"))
    assert refused(story, asked()).code is RefusalCode.CONFLICT


def test_the_name_of_what_kubernetes_never_took_is_free_as_soon_as_it_is_deleted(story: Story) -> None:
    first = story.submit(asked(key="one"))
    story.tell(ObjectsRefused(workload_id=first, reason="No."))
    assert refused(story, asked(key="two")).code is RefusalCode.CONFLICT
    story.tell(DeleteRequested(workload_id=first, requested_by=ANNA))
    assert isinstance(decide_submission(story.state, asked(key="two"), ANNA), Append)


def test_the_same_key_and_body_is_the_same_workload_even_after_it_is_gone(story: Story) -> None:
    workload_id = story.submit(asked())
    position = len(story.told)
    assert decide_submission(story.state, asked(), ANNA) == Already(position)
    story.tell(discovered(workload_id), WorkloadGone(workload_id=workload_id, end_seen=True))
    assert decide_submission(story.state, asked(), ANNA) == Already(position)


def test_the_same_key_with_another_body_is_refused(story: Story) -> None:
    story.submit(asked())
    refusal = refused(story, asked(name="other"))
    assert refusal.code is RefusalCode.CONFLICT
    assert refusal.message == (
        "The idempotency key 'key-1' was used for another request, workload 'hello'; use a new key for a new workload."
    )


def test_spelling_out_a_default_is_not_another_body() -> None:
    assert digest_of(asked()) == digest_of(asked(parallelism=1, backoff_limit=6))
    assert digest_of(asked(labels={"a": "1", "b": "2"})) == digest_of(asked(labels={"b": "2", "a": "1"}))
    assert digest_of(asked()) != digest_of(asked(kind="workspace"))


def test_a_person_and_an_application_of_one_name_do_not_share_keys() -> None:
    person, application = Caller(name="argo"), Caller(name="argo", kind="application")
    assert submission_id("demo", person, "k") != submission_id("demo", application, "k")


def test_labels_and_annotations_that_muster_writes_cannot_be_given(story: Story) -> None:
    refusal = refused(story, asked(labels={"muster.dev/workload-id": "x"}, annotations={"muster.dev/min-members": "2"}))
    assert refusal.code is RefusalCode.INVALID
    assert [complaint.field for complaint in refusal.complaints] == [
        "spec.labels.muster.dev/workload-id",
        "spec.annotations.muster.dev/min-members",
    ]


def test_a_submission_that_was_refused_over_the_bus_gets_the_same_answer_again(story: Story) -> None:
    argo = Caller(name="argo", kind="application")
    workload_id = submission_id("demo", argo, "key-1")
    story.tell(
        SubmissionRefused(
            workload_id=workload_id, application="argo", project="demo", code=RefusalCode.INVALID, message="Bad."
        )
    )
    assert refused(story, asked(), argo).message == "Bad."


@given(
    st.lists(
        st.tuples(st.sampled_from(["anna", "ben"]), st.sampled_from(["k1", "k2"]), st.sampled_from(["a", "b"])),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_is_repeated_in_whatever_order_a_key_makes_one_submission_and_a_name_one_living_workload(
    requests: list[tuple[str, str, str]],
) -> None:
    story = Story()
    story.create_project()
    for caller, key, name in requests:
        command = asked(name=name, key=key)
        with contextlib.suppress(Refused):
            decision = decide_submission(story.state, command, Caller(name=caller))
            if isinstance(decision, Append):
                story.tell(decision.event)
    submissions = [each.event for each in story.told if isinstance(each.event, WorkloadSubmitted)]
    assert len({event.workload_id for event in submissions}) == len(submissions)
    assert len({event.name for event in submissions}) == len(submissions)
    assert submissions


def test_a_project_is_created_once_and_asking_again_is_harmless() -> None:
    story = Story()
    position = story.create_project("demo")
    assert decide_project(story.state, CreateProject(name="demo"), Caller(name="ben")) == Already(position)
    assert refused(story, CreateProject(name="demo", department="physics")).message == (
        "There is a project 'demo' already, with other settings."
    )


def test_two_projects_never_share_a_namespace(story: Story) -> None:
    refusal = refused(story, CreateProject(name="other", namespace="muster-demo"))
    assert refusal.message == "The namespace 'muster-demo' already belongs to project 'demo'."


def test_the_namespaces_of_kubernetes_itself_are_nobodys_project(story: Story) -> None:
    refusal = refused(story, CreateProject(name="other", namespace="kube-system"))
    assert [complaint.field for complaint in refusal.complaints] == ["namespace"]


def test_the_namespace_of_reserved_gpus_is_nobodys_project(story: Story) -> None:
    refusal = refused(story, CreateProject(name="reservations"))
    assert [complaint.details for complaint in refusal.complaints] == [
        "'muster-reservations' is for reservations of GPUs"
    ]
