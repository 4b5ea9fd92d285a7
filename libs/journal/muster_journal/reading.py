"""Turns stored messages into recorded events: the same for JetStream and for memory, so that both judge alike.

A message must not only be readable, it must also stand on the subject of its event: permissions bind a service to its
own last token, and this check binds the event to that token, so no service can state another's facts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from muster_contracts.subjects import subject_of
from muster_contracts.wire import Recorded, Unreadable, decode

from muster_journal.port import Damaged


@dataclass(frozen=True, slots=True)
class Message:
    """A message as the stream holds it."""

    position: int
    subject: str
    headers: Mapping[str, str]
    body: bytes


def recorded(message: Message) -> Recorded:
    """Return the event in a message. Raises Damaged when there is none, or when it may not stand there."""
    try:
        event, envelope = decode(message.headers, message.body)
    except Unreadable as error:
        raise Damaged(message.position, str(error)) from error
    if str(subject_of(event)) != message.subject:
        raise Damaged(message.position, f"A {event.type} may not stand on {message.subject}.")
    return Recorded(message.position, envelope, event)


def readable(messages: Iterable[Message]) -> tuple[list[Recorded], Damaged | None]:
    """Return the events up to the first message that cannot be read, and what is wrong with that one."""
    events: list[Recorded] = []
    try:
        events.extend(map(recorded, messages))
    except Damaged as damage:
        return events, damage
    return events, None


def check_position(after: int, end: int) -> None:
    """Raise Damaged when somebody read further than the stream goes: it is not the stream the position came from."""
    if after > end:
        raise Damaged(
            after, f"the stream ends at {end}, so it is not the one that was read before, or it lost its end."
        )
