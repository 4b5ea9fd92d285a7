"""Every event has one row, one writer and one subject, and says so in its docstring too."""

import re
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from muster_contracts import events
from muster_contracts.base import Event
from muster_contracts.events import AnyEvent, ClusterEvent, OrganisationEvent, WorkloadEvent
from muster_contracts.subjects import (
    ROWS,
    Aggregate,
    Row,
    Subject,
    Writer,
    derived_id,
    intake_subject,
    parse_subject,
    publishable_by,
    verdict_subject,
    workload_id_of,
)

SUBJECTS = st.builds(Subject, st.sampled_from(Aggregate), st.uuids(), st.sampled_from(Writer))
NODE = "0f6d634a-41f1-5584-9b7b-84c9c69fd649"


def every_event_class() -> set[type]:
    return {each for each in vars(events).values() if isinstance(each, type) and Event in each.__bases__}


def test_every_event_has_a_row_and_is_one_of_any_event() -> None:
    assert set(ROWS) == every_event_class() == set(get_args(AnyEvent))


def test_the_three_families_of_events_share_no_event() -> None:
    families = [get_args(WorkloadEvent), get_args(OrganisationEvent), get_args(ClusterEvent)]
    assert sum(map(len, families)) == len(ROWS)


def test_events_of_workloads_are_those_with_a_workload_as_aggregate() -> None:
    of_workloads = {event for event, row in ROWS.items() if row.aggregate is Aggregate.WORKLOAD}
    assert of_workloads == set(get_args(WorkloadEvent))


@pytest.mark.parametrize(("event", "row"), ROWS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_the_docstring_of_an_event_names_the_writer_of_the_table(event: type[AnyEvent], row: Row) -> None:
    first_line = (event.__doc__ or "").split("\n", 1)[0]
    assert re.findall(r"Written by `(\w+)`", first_line) == [row.writer]


@pytest.mark.parametrize(("event", "row"), ROWS.items(), ids=lambda each: getattr(each, "__name__", ""))
def test_the_key_of_a_row_is_a_field_with_an_id(event: type[AnyEvent], row: Row) -> None:
    field = event.model_fields[row.key]
    assert field.annotation is UUID
    assert field.is_required()


@pytest.mark.parametrize("event", ROWS, ids=lambda each: each.__name__)
def test_the_name_of_an_event_on_the_wire_is_its_class_and_a_version(event: type[AnyEvent]) -> None:
    assert re.fullmatch(rf"{re.sub(r'V[0-9]+$', '', event.__name__)}\.v[1-9][0-9]*", event.model_fields["type"].default)


def test_every_writer_and_every_aggregate_has_an_event() -> None:
    assert {row.writer for row in ROWS.values()} == set(Writer)
    assert {row.aggregate for row in ROWS.values()} == set(Aggregate)


@given(subject=SUBJECTS)
def test_a_subject_is_read_back_as_it_was_written(subject: Subject) -> None:
    assert parse_subject(str(subject)) == subject


@pytest.mark.parametrize(
    "text",
    [
        "",
        "muster.events",
        f"muster.events.workload.{NODE}",
        f"muster.events.workload.{NODE}.status.more",
        f"other.events.workload.{NODE}.status",
        f"muster.events.banana.{NODE}.status",
        f"muster.events.workload.{NODE}.nobody",
        "muster.events.node.gpu-node-3.integrations",
        f"muster.events.workload.{NODE.upper()}.status",
        f"muster.events.workload.{NODE.replace('-', '')}.status",
    ],
)
def test_what_is_no_subject_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_subject(text)


@given(subject=SUBJECTS, writer=st.sampled_from(Writer))
def test_a_service_may_publish_on_its_own_subjects_alone(subject: Subject, writer: Writer) -> None:
    pattern = publishable_by(writer).replace(".", r"\.").replace("*", "[^.]+")
    assert bool(re.fullmatch(pattern, str(subject))) == (subject.writer is writer)


def test_commands_and_verdicts_have_subjects_by_application() -> None:
    assert intake_subject("nightly", "demo") == "muster.intake.nightly.demo"
    assert verdict_subject("nightly") == "muster.verdicts.nightly"


def test_derived_ids_never_change() -> None:
    """They stand in journals that are kept for ever, so these three may not be adapted to the code."""
    assert derived_id("project", "demo") == UUID("5655bb3f-6450-5589-a45a-a97034db412f")
    assert derived_id("node-pool", "default") == UUID("e9e517b3-de5e-5b31-87fb-5f34a0026e6e")
    assert workload_id_of(UUID(int=7), "researcher", "key") == UUID("91f659ac-fb27-5b4d-a0f3-d2ef8247100e")


@given(
    keys=st.lists(st.lists(st.text(max_size=4), min_size=1, max_size=3).map(tuple), min_size=2, max_size=2, unique=True)
)
def test_different_keys_give_different_ids(keys: list[tuple[str, ...]]) -> None:
    first, second = keys
    assert derived_id(*first) == derived_id(*first)
    assert derived_id(*first) != derived_id(*second)


def test_a_separator_in_a_name_does_not_make_two_submissions_one() -> None:
    project = UUID(int=7)
    assert workload_id_of(project, "a/b", "c") != workload_id_of(project, "a", "b/c")
    assert workload_id_of(project, "a", "c") != workload_id_of(UUID(int=8), "a", "c")
