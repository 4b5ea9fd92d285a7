"""The two base classes of everything that is written down: `Value` for parts, `Event` for whole facts.

Both are frozen. Both ignore fields they do not know when they are read, so that a reader of today survives a writer of
tomorrow; the tests read the golden files with unknown fields forbidden.
"""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Instant = Annotated[AwareDatetime, PlainSerializer(_in_utc, when_used="json")]
"""A moment in UTC, written as RFC 3339 with a `Z`."""


class Value(BaseModel):
    """A part of an event or of a command; equal when its fields are equal.

    Where a command has a stricter subclass of a part, an event made from it takes the plain part, so that an event in
    memory equals the same event read back.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", revalidate_instances="subclass-instances")


class Event(BaseModel):
    """A fact that was written to the journal. Subclasses name their only writer in the first line of the docstring."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Any
