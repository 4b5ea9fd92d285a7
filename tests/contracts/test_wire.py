"""Whatever event there is, it is read back as it was written; whatever else comes is refused with a sentence."""

import json
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import cache
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from muster_contracts.events import AnyEvent, GpuIdle, StopRequested
from muster_contracts.subjects import ROWS
from muster_contracts.values import Caller
from muster_contracts.wire import Envelope, Recorded, Unreadable, decode, encode, format_time, parse_time
from pydantic import AwareDatetime, BaseModel

MOMENTS = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    int: st.integers(min_value=-(2**63), max_value=2**63 - 1),
    bool: st.booleans(),
    UUID: st.uuids(),
    AwareDatetime: MOMENTS,
    NoneType: st.none(),
    Any: st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
        max_leaves=4,
    ),
}


@cache
def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for everything that a field of this type may hold."""
    if annotation in SCALARS:
        return SCALARS[annotation]
    if get_origin(annotation) is not None:
        return values_of_generic(get_origin(annotation), get_args(annotation))
    return st.sampled_from(annotation) if issubclass(annotation, Enum) else models_of(annotation)


def values_of_generic(origin: Any, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is Annotated:
        return values_of(arguments[0])
    inner = [values_of(each) for each in arguments if each is not Ellipsis]
    if origin is tuple:
        return st.lists(inner[0], max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(inner[0], inner[1], max_size=2)
    return st.one_of(inner)


def models_of(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    fields: dict[str, Any] = {name: field.annotation for name, field in model.model_fields.items()}
    return st.builds(model, **{name: values_of(annotation) for name, annotation in fields.items()})


EVENTS = st.one_of([models_of(event) for event in ROWS])
TRACES = st.just("") | st.from_regex(r"\A00-[0-9a-f]{32}-[0-9a-f]{16}-01\Z")
ENVELOPES = st.builds(Envelope, id=st.uuids(), time=MOMENTS, cause=st.none() | st.uuids(), trace_parent=TRACES)

EVENT = StopRequested(workload_id=UUID(int=7), requested_by=Caller(name="researcher"))
ENVELOPE = Envelope(UUID(int=1), datetime(2026, 3, 2, 9, tzinfo=UTC))


@given(event=EVENTS, envelope=ENVELOPES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_decode_is_the_inverse_of_encode(event: AnyEvent, envelope: Envelope) -> None:
    headers, body = encode(event, envelope)
    assert decode(headers, body) == (event, envelope)
    assert encode(*decode(headers, body)) == (headers, body)


@given(moment=MOMENTS, hours=st.integers(-12, 14))
@settings(deadline=None)
def test_a_moment_is_written_in_utc_and_read_back_exactly(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert format_time(elsewhere) == format_time(moment)
    assert format_time(moment).endswith("Z")
    assert parse_time(format_time(elsewhere)) == moment


def test_a_moment_inside_an_event_is_written_in_utc_too() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=timezone(timedelta(hours=2)))
    _, body = encode(GpuIdle(workload_id=UUID(int=7), devices=1, idle_since=noon), ENVELOPE)
    assert json.loads(body)["idle_since"] == "2026-03-02T10:00:00Z"


def test_headers_are_cloud_events_attributes() -> None:
    headers, _ = encode(EVENT, Envelope(UUID(int=1), ENVELOPE.time, cause=UUID(int=2), trace_parent="00-a-b-01"))
    assert headers == {
        "Nats-Msg-Id": str(UUID(int=1)),
        "ce-specversion": "1.0",
        "ce-id": str(UUID(int=1)),
        "ce-type": "StopRequested.v1",
        "ce-source": "muster/submitter",
        "ce-subject": f"workload/{UUID(int=7)}",
        "ce-time": "2026-03-02T09:00:00.000000Z",
        "ce-causationid": str(UUID(int=2)),
        "content-type": "application/json",
        "traceparent": "00-a-b-01",
    }


def test_a_field_of_tomorrow_is_passed_over() -> None:
    headers, body = encode(EVENT, ENVELOPE)
    wider = json.dumps({**json.loads(body), "of_tomorrow": {"a": 1}}).encode()
    assert decode(headers, wider) == (EVENT, ENVELOPE)


def test_a_recorded_event_knows_its_subject() -> None:
    assert str(Recorded(3, ENVELOPE, EVENT).subject) == f"muster.events.workload.{UUID(int=7)}.submitter"


@pytest.mark.parametrize("missing", ["ce-id", "ce-type", "ce-time"])
def test_a_message_without_a_header_it_needs_is_unreadable(missing: str) -> None:
    headers, body = encode(EVENT, ENVELOPE)
    del headers[missing]
    with pytest.raises(Unreadable, match=rf"^The header {missing} is missing\.$"):
        decode(headers, body)


@pytest.mark.parametrize(
    ("header", "value"),
    [("ce-id", "seven"), ("ce-time", "yesterday"), ("ce-time", "2026-03-02T09:00:00"), ("ce-causationid", "x")],
)
def test_a_header_that_cannot_be_read_is_named_with_its_value(header: str, value: str) -> None:
    headers, body = encode(EVENT, ENVELOPE)
    with pytest.raises(Unreadable, match=r"^A CloudEvents header cannot be read: .+\.$"):
        decode({**headers, header: value}, body)


@pytest.mark.parametrize(
    ("type_name", "body", "sentence"),
    [
        ("StopRequested.v1", b"", r"The body of a StopRequested.v1 event cannot be read: body: Invalid JSON"),
        ("StopRequested.v1", b"[]", r"cannot be read: body: "),
        ("StopRequested.v1", b"{}", r"cannot be read: body: Unable to extract tag"),
        ("StopRequested.v1", b"\xff", r"cannot be read: "),
        ("StopRequested.v1", b'{"type":"StopRequested.v1"}', r"StopRequested.v1.workload_id: Field required\."),
        ("Applause.v9", b'{"type":"Applause.v9"}', r"The body of a Applause.v9 event cannot be read: .*Applause.v9"),
        ("Applause.v9", None, r"^The header ce-type says Applause.v9, the body says StopRequested.v1\.$"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_with_the_reason(
    type_name: str, body: bytes | None, sentence: str
) -> None:
    headers, good = encode(EVENT, ENVELOPE)
    with pytest.raises(Unreadable, match=sentence):
        decode({**headers, "ce-type": type_name}, good if body is None else body)


@given(body=st.binary(max_size=60))
@settings(deadline=None)
def test_noise_is_unreadable_and_nothing_else(body: bytes) -> None:
    headers, _ = encode(EVENT, ENVELOPE)
    with pytest.raises(Unreadable):
        decode(headers, body)
