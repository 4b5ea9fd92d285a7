"""Every version of every event has a file here that must be readable for ever, and tells one story with the others."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from muster_contracts.events import any_event
from muster_contracts.subjects import ROWS, parse_subject, subject_of
from muster_contracts.upcasts import UPCASTS
from muster_contracts.wire import decode, encode

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*.json"))
CURRENT = {str(event.model_fields["type"].default) for event in ROWS}


def read(path: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def compact(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def test_every_version_of_every_event_has_a_golden_file() -> None:
    assert {path.stem for path in FILES} == CURRENT | set(UPCASTS), "see docs/publishing.md, 'A new event'"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_event_is_read_and_written_back_byte_for_byte(path: Path) -> None:
    golden = read(path)
    event, envelope = decode(golden["headers"], compact(golden["body"]))
    headers, body = encode(event, envelope)
    again = decode(headers, body)
    assert again == (event, envelope)
    assert str(subject_of(event)) == golden["subject"]
    if path.stem in CURRENT:
        assert headers == golden["headers"]
        assert body == compact(golden["body"])


@pytest.mark.parametrize("path", [path for path in FILES if path.stem in CURRENT], ids=lambda path: path.stem)
def test_a_golden_event_has_no_field_that_its_model_does_not_know(path: Path) -> None:
    event = any_event.validate_json(compact(read(path)["body"]), extra="forbid")
    assert event.type == path.stem


def test_golden_files_are_written_as_an_editor_would_leave_them() -> None:
    for path in FILES:
        assert path.read_text(encoding="utf-8") == json.dumps(read(path), indent=2, ensure_ascii=False) + "\n", (
            path.name
        )


def test_the_golden_events_tell_the_story_of_one_workload() -> None:
    subjects = {path.stem: parse_subject(read(path)["subject"]) for path in FILES}
    submitted = subjects["WorkloadSubmitted.v1"].id
    of_workloads = {name: subject.id for name, subject in subjects.items() if subject.aggregate == "workload"}
    others = {name for name, workload in of_workloads.items() if workload != submitted}
    assert others == {"SubmissionRefused.v1"}


def test_every_cause_in_the_story_is_an_event_of_the_story_that_came_before() -> None:
    headers = [read(path)["headers"] for path in FILES]
    times = {each["ce-id"]: each["ce-time"] for each in headers}
    caused = [each for each in headers if "ce-causationid" in each]
    assert caused
    assert all(times[each["ce-causationid"]] < each["ce-time"] for each in caused)
