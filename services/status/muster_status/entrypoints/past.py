"""The past over HTTP: events by the page or in one stream of lines, and the checkpoints of the scheduler's fold."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse

from muster_status.core.views import checkpoint_view, event_line, event_view, moment_view
from muster_status.entrypoints.answers import CheckpointList, EventList, Found, WrittenDown
from muster_status.entrypoints.json_answer import JsonAnswer
from muster_status.entrypoints.parameters import LARGEST, Limit, Position, read_at
from muster_status.handlers.past import Past
from muster_status.handlers.questions import after_the_first

Kept = Annotated[int, Path(ge=1, le=LARGEST)]


def past_routes(routes: APIRouter, past: Past) -> None:
    """Add the routes."""

    @routes.get("/journal", response_model=EventList, tags=["system"])
    async def read_journal(after: Position = 0, limit: Limit = 100) -> Response:
        """Return events as they stand in the journal; `next` is the `after` to go on with, empty at the end."""
        events = [event_view(recorded) for recorded in await past.page(after=after, limit=limit)]
        return JsonAnswer({"events": events, "next": events[-1]["position"] if events else None})

    @routes.get("/journal/lines", response_class=StreamingResponse, tags=["system"])
    async def stream_journal(after: Position = 0, until: Position | None = None) -> Response:
        """Return the same events, a line each, up to a position or to where the journal ends now."""
        lines = _lines(past, after, until)
        lines = after_the_first(await anext(lines, b""), lines)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @routes.get("/journal/moment", response_model=Found, tags=["system"])
    async def find_moment(at: Annotated[str, Query(max_length=40)]) -> Response:
        """Return the position meant by a time, that of the last event up to it, or by a position, and its time."""
        found = await past.moment(read_at(at))
        return JsonAnswer(moment_view(found.position, found.time))

    @routes.get("/scheduling/checkpoints", response_model=CheckpointList, tags=["system"])
    async def list_checkpoints() -> Response:
        """List at which positions of the journal the scheduler's fold was written down and is kept."""
        return JsonAnswer({"positions": list(await past.checkpoints())})

    @routes.get("/scheduling/checkpoints/{position}", response_model=WrittenDown, tags=["system"])
    async def read_checkpoint(position: Kept) -> Response:
        """Return the scheduler's fold as it was written down: squeezed JSON that the code it names can read."""
        found = await past.checkpoint(position)
        return JsonAnswer(checkpoint_view(found.position, found.event_id, found.code, found.body))


async def _lines(past: Past, after: int, until: int | None) -> AsyncGenerator[bytes, None]:
    async for events in past.events(after=after, until=until):
        yield b"".join(event_line(recorded) for recorded in events)
