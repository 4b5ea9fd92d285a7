"""How an event travels: CloudEvents 1.0 attributes in NATS headers (binary mode), the data as JSON in the body.

`Recorded` is an event with everything its envelope says. `encode` and `decode` are exact inverses. Other systems read
and write this with the CloudEvents library they have; `docs/publishing.md` shows how.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError

from muster_contracts.events import AnyEvent, any_event
from muster_contracts.subjects import Subject, subject_of
from muster_contracts.upcasts import UPCASTS, bring_up_to_date

CONTENT_TYPE = "application/json"
MESSAGE_ID = "Nats-Msg-Id"
REQUIRED_HEADERS = ("ce-id", "ce-type", "ce-time")
"""Without these a message is not an event of ours; the other CloudEvents attributes are for other systems."""


class Unreadable(ValueError):
    """A message is not an event of ours; the text says in one sentence why."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of an event beside its data. `cause` is the id of the event or command that led to it."""

    id: UUID
    time: datetime
    cause: UUID | None = None
    trace_parent: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the journal, at its position (the sequence in the stream, from 1)."""

    position: int
    envelope: Envelope
    event: AnyEvent

    @property
    def subject(self) -> Subject:
        """The subject the event stands on."""
        return subject_of(self.event)


def encode(event: AnyEvent, envelope: Envelope) -> tuple[dict[str, str], bytes]:
    """Return headers and body. The message id of NATS is the event's id, so that a repeat is recognised."""
    subject = subject_of(event)
    headers = {
        MESSAGE_ID: str(envelope.id),
        "ce-specversion": "1.0",
        "ce-id": str(envelope.id),
        "ce-type": event.type,
        "ce-source": f"muster/{subject.writer}",
        "ce-subject": f"{subject.aggregate}/{subject.id}",
        "ce-time": format_time(envelope.time),
        "content-type": CONTENT_TYPE,
    }
    if envelope.cause is not None:
        headers["ce-causationid"] = str(envelope.cause)
    if envelope.trace_parent:
        headers["traceparent"] = envelope.trace_parent
    return headers, event.model_dump_json().encode()


def decode(headers: Mapping[str, str], body: bytes) -> tuple[AnyEvent, Envelope]:
    """Return the event, brought up to date, and its envelope. Raises Unreadable with the reason."""
    envelope = _decode_envelope(headers)
    return _decode_event(headers["ce-type"], body), envelope


def _decode_event(type_name: str, body: bytes) -> AnyEvent:
    if type_name in UPCASTS:
        return _decode_retired(type_name, body)
    try:
        event = any_event.validate_json(body)
    except ValidationError as error:
        raise _unreadable(type_name, error) from error
    if event.type != type_name:
        raise Unreadable(f"The header ce-type says {type_name}, the body says {event.type}.")
    return event


def _decode_retired(type_name: str, body: bytes) -> AnyEvent:
    """Read an event of a version that is no longer written. Its upcast may rely on the fields that version had."""
    try:
        retired = json.loads(body)
        if not isinstance(retired, dict) or retired.get("type") != type_name:
            raise Unreadable(f"The header ce-type says {type_name}, the body does not.")
        return any_event.validate_json(json.dumps(bring_up_to_date(retired)))
    except ValidationError as error:
        raise _unreadable(type_name, error) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError) as error:
        raise Unreadable(f"The body of a {type_name} event cannot be read: {error}.") from error


def _unreadable(type_name: str, error: ValidationError) -> Unreadable:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return Unreadable(f"The body of a {type_name} event cannot be read: {where}: {first['msg']}.")


def _decode_envelope(headers: Mapping[str, str]) -> Envelope:
    for name in REQUIRED_HEADERS:
        if not headers.get(name):
            raise Unreadable(f"The header {name} is missing.")
    try:
        cause = headers.get("ce-causationid")
        return Envelope(
            id=UUID(headers["ce-id"]),
            time=parse_time(headers["ce-time"]),
            cause=UUID(cause) if cause else None,
            trace_parent=headers.get("traceparent", ""),
        )
    except ValueError as error:
        raise Unreadable(f"A CloudEvents header cannot be read: {error}.") from error


def format_time(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC, to the microsecond."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read RFC 3339. Raises ValueError when it is none, or names no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    return moment.astimezone(UTC)
