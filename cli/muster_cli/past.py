"""The scheduler's fold as it stood at a moment of the past: from the last checkpoint before it that can be believed.

The scheduler writes its fold down now and then, and the API hands out what is kept. It is believed if the same code
wrote it that would fold here, and if the event it names stands at its position; otherwise, or if it is damaged, or
there is none, the journal is folded from its beginning, which is always right and only slower. Whoever proves something
says where it began (`Beginning.shown`).
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure
from muster_cli.journal import event_at

if TYPE_CHECKING:
    from muster_scheduler.core.state import State


@dataclass(frozen=True, slots=True)
class Beginning:
    """A fold to go on with, and what it was read from: position, event, code and digest, as the API gives them."""

    state: "State"
    shown: dict[str, Any]

    @property
    def position(self) -> int:
        """Where it stands."""
        return self.state.position


def beginning_before(client: Client, until: int | None) -> Beginning | None:
    """Return the last checkpoint up to a position, None when the journal has to be folded from its beginning."""
    wanted = [position for position in checkpoints_kept(client) if until is None or position <= until]
    return beginning_at(client, wanted[-1]) if wanted else None


def checkpoints_kept(client: Client) -> Sequence[int]:
    """Return the positions at which checkpoints are kept, in order; none where the services know of none."""
    try:
        found: list[int] = client.get("/scheduling/checkpoints")["positions"]
    except Failure as failure:
        if failure.code is Exit.NOT_FOUND:  # services older than this command
            return []
        raise
    return found


def beginning_at(client: Client, position: int) -> Beginning | None:
    """Return the checkpoint at a position, None when it cannot be believed or is not kept any more."""
    from muster_contracts.written import NotReadable, WrittenFold, unsqueezed
    from muster_scheduler.core.state import State

    written = WrittenFold(State)
    try:
        found = client.get(f"/scheduling/checkpoints/{position}")
    except Failure as failure:
        if failure.code is Exit.NOT_FOUND:
            return None
        raise
    body = base64.b64decode(found.pop("body"))
    event = event_at(client, position)
    if found["code"] != written.code or event is None or event["id"] != found["event_id"]:
        return None
    try:
        state = written.read(unsqueezed(body))
    except NotReadable:
        return None
    found["digest"] = hashlib.sha256(body).hexdigest()  # of what was read, whatever we were told
    return Beginning(state, found) if state.position == position else None
