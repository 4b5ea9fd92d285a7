"""A retired version is brought up to date at the door, step by step. None is retired yet, so one is made up here."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from muster_contracts.events import StopRequested
from muster_contracts.subjects import ROWS
from muster_contracts.upcasts import UPCASTS, Body, Upcast, bring_up_to_date
from muster_contracts.values import Caller
from muster_contracts.wire import Envelope, Unreadable, decode, encode

WORKLOAD = UUID(int=7)
CURRENT = StopRequested(workload_id=WORKLOAD, requested_by=Caller(name="researcher"))
OLDEST = {"type": "StopRequested.v0alpha", "workload": str(WORKLOAD), "who": "researcher"}


def rename_workload(body: Body) -> Body:
    return {"type": "StopRequested.v0", "workload_id": body["workload"], "who": body["who"]}


def name_the_caller(body: Body) -> Body:
    return {
        "type": "StopRequested.v1",
        "workload_id": body["workload_id"],
        "requested_by": {"name": body["who"], "kind": "user", "source": "api"},
    }


RETIRED: dict[str, Upcast] = {"StopRequested.v0alpha": rename_workload, "StopRequested.v0": name_the_caller}


@pytest.fixture
def retired_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, upcast in RETIRED.items():
        monkeypatch.setitem(UPCASTS, name, upcast)


def stored(body: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    headers, _ = encode(CURRENT, Envelope(UUID(int=1), datetime(2026, 3, 2, tzinfo=UTC)))
    return {**headers, "ce-type": body["type"]}, json.dumps(body).encode()


def test_upcasts_are_applied_until_none_is_left() -> None:
    assert bring_up_to_date(dict(OLDEST), RETIRED) == json.loads(CURRENT.model_dump_json())


def test_a_current_body_is_left_as_it_is() -> None:
    body = json.loads(CURRENT.model_dump_json())
    assert bring_up_to_date(body, RETIRED) == body


def test_an_upcast_that_keeps_the_type_is_our_own_error() -> None:
    with pytest.raises(AssertionError, match="must name another version"):
        bring_up_to_date({"type": "StopRequested.v0"}, {"StopRequested.v0": dict})


@pytest.mark.usefixtures("retired_versions")
def test_an_event_of_a_retired_version_is_read_as_one_of_today() -> None:
    event, envelope = decode(*stored(OLDEST))
    assert event == CURRENT
    assert envelope.id == UUID(int=1)


@pytest.mark.usefixtures("retired_versions")
@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b"\xff",
        b"{}",
        json.dumps({"type": "StopRequested.v0", "workload_id": str(WORKLOAD)}).encode(),
        json.dumps({"type": "StopRequested.v0", "workload_id": "x", "who": "researcher"}).encode(),
        json.dumps(OLDEST).encode(),
    ],
    ids=["a list", "cut off", "not text", "no type", "a field too few", "a bad id", "another version"],
)
def test_a_broken_event_of_a_retired_version_is_unreadable(body: bytes) -> None:
    headers, _ = stored({"type": "StopRequested.v0"})
    with pytest.raises(Unreadable, match=r"StopRequested\.v0"):
        decode(headers, body)


def test_only_versions_that_are_no_longer_written_are_upcast() -> None:
    assert not UPCASTS.keys() & {event.model_fields["type"].default for event in ROWS}
