"""The parking lot over HTTP: commands from the bus that nobody could judge, to be looked at, replayed or dropped."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from muster_chassis.http import API
from pydantic import BaseModel, Field

from muster_submitter.bus import Bus, Parked
from muster_submitter.entrypoints.api import PROBLEMS

SHOWN_BODY_CHARACTERS = 4000


class ParkedCommand(BaseModel):
    """A parked command, with the reason it was put aside."""

    sequence: int = Field(description="The number by which it is replayed or dropped.")
    application: str
    project: str
    command_id: str = Field(description="The `ce-id` its application gave it.")
    type: str
    reason: str
    parked_at: datetime
    body: str = Field(description=f"The first {SHOWN_BODY_CHARACTERS} characters of it.")


class ParkedCommands(BaseModel):
    """A page of the parking lot; ask again with `after=<next>` for more."""

    parked: list[ParkedCommand]
    next: int | None = None


class Handled(BaseModel):
    """The command is no longer parked."""

    sequence: int


Sequence = Annotated[int, Path(ge=1, description="As the list shows it.")]


def parked_routes(bus: Bus) -> APIRouter:
    """Return the routes of the parking lot."""
    routes = APIRouter(prefix=f"{API}/parked", responses=PROBLEMS, tags=["Parked commands"])

    @routes.get("", summary="List parked commands")
    async def show(
        after: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=500)] = 100
    ) -> ParkedCommands:
        """Show what could not be judged, oldest first."""
        found = await bus.parked(after, limit)
        more = found[-1].sequence if len(found) == limit else None
        return ParkedCommands(parked=[_shown(parked) for parked in found], next=more)

    @routes.post("/{sequence}/replay", status_code=202, summary="Replay a parked command")
    async def replay(sequence: Sequence) -> Handled:
        """Put it back on the bus as it was, after what was wrong has been mended."""
        await bus.replay(sequence)
        return Handled(sequence=sequence)

    @routes.delete("/{sequence}", status_code=202, summary="Drop a parked command")
    async def drop(sequence: Sequence) -> Handled:
        """Forget it; its application may send it again."""
        await bus.drop(sequence)
        return Handled(sequence=sequence)

    return routes


def _shown(parked: Parked) -> ParkedCommand:
    command = parked.command
    return ParkedCommand(
        sequence=parked.sequence,
        application=command.application,
        project=command.project,
        command_id=command.command_id,
        type=command.headers.get("ce-type", ""),
        reason=parked.reason,
        parked_at=parked.parked_at,
        body=command.body.decode(errors="replace")[:SHOWN_BODY_CHARACTERS],
    )
