"""The bus as the submitter needs it beside the journal: commands that come in, verdicts that go out, the parking lot.

`adapters.jetstream_bus` is the real one, `adapters.memory_bus` its twin. How commands are fetched and acknowledged is
FastStream's business (`entrypoints.intake`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from muster_contracts.subjects import INTAKE
from muster_contracts.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class BusCommand:
    """A command as it lies on the bus; `number` is its sequence in the intake stream, 0 when it never was there."""

    subject: str
    headers: Mapping[str, str]
    body: bytes
    number: int = 0

    @property
    def command_id(self) -> str:
        """The id its application gave it, whatever it is worth."""
        return self.headers.get("ce-id", "")

    @property
    def application(self) -> str:
        """Who asks: NATS lets an application publish under its own name only."""
        return self._token(0)

    @property
    def project(self) -> str:
        """The project it is about."""
        return self._token(1)

    def _token(self, index: int) -> str:
        tokens = self.subject.removeprefix(f"{INTAKE}.").split(".")
        return tokens[index] if index < len(tokens) else ""


@dataclass(frozen=True, slots=True)
class Parked:
    """A command that nobody could judge, why, and since when it waits for a person."""

    sequence: int
    command: BusCommand
    reason: str
    parked_at: datetime


class Bus(Protocol):
    """What the submitter sends on the bus. Every method raises Unavailable when the bus is away."""

    async def say(self, application: str, verdict: Verdict) -> None:
        """Tell an application what became of a command; lost when it does not listen."""
        ...

    async def park(self, command: BusCommand, reason: str) -> None:
        """Put a command aside, safely, until somebody replays or drops it."""
        ...

    async def parked(self, after: int, limit: int) -> Sequence[Parked]:
        """Return parked commands after a sequence, in order."""
        ...

    async def replay(self, sequence: int) -> None:
        """Put a parked command back where it came from. Raises Refused (NotFound)."""
        ...

    async def drop(self, sequence: int) -> None:
        """Forget a parked command. Raises Refused (NotFound)."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
