"""The two base classes of everything that is written down: `Value` for parts, `Event` for whole facts.

Both are frozen. Both ignore fields they do not know when they are read, so that a reader of today survives a writer of
tomorrow; the tests read the golden files with unknown fields forbidden.
"""

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer

Instant = Annotated[
    AwareDatetime, PlainSerializer(lambda value: value.isoformat().replace("+00:00", "Z"), when_used="json")
]
"""A moment in UTC, written as RFC 3339 with a `Z`."""


class Value(BaseModel):
    """A part of an event or of a command; equal when its fields are equal."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(BaseModel):
    """A fact that was written to the journal. Subclasses name their only writer in the first line of the docstring."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Any
