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
from uuid import UUID

from muster_cli.client import Client
from muster_cli.failure import Exit, Failure
from muster_cli.journal import event_at, journal_of
from muster_cli.output import say

if TYPE_CHECKING:
    from muster_scheduler.core.answers import Standpoint
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


def standpoint_then(client: Client, until: int) -> "Standpoint":
    """Return whence the scheduler would have answered at a position."""
    from muster_scheduler.core.answers import standpoint_after

    begun, found = beginning_before(client, until), None
    if begun is not None:
        found = standpoint_after(journal_of(client, after=begun.position, until=until), begun.state)
    if found is None:  # no plan lies between, whose settings would bound the answer
        found = standpoint_after(journal_of(client, until=until))
    assert found is not None
    return found


def waiting_then(client: Client, workload_id: str, until: int) -> dict[str, Any]:
    """Return why a workload waited at a position, as the scheduler would have answered then."""
    from muster_contracts.questions import WhyDoesItWait

    asked = WhyDoesItWait(workload_id=UUID(workload_id))
    return standpoint_then(client, until).answer(asked).model_dump(mode="json")


def queues_then(client: Client, until: int) -> dict[str, Any]:
    """Return who was due what and held what at a position."""
    from muster_contracts.questions import WhoHoldsWhat

    return standpoint_then(client, until).answer(WhoHoldsWhat()).model_dump(mode="json")


def nodes_then(client: Client, until: int) -> list[dict[str, Any]]:
    """Return all nodes and who was on them at a position."""
    from muster_contracts.questions import NodeHoldings, WhatNodesHold

    standpoint = standpoint_then(client, until)
    found, after = [], ""
    while True:
        page = standpoint.answer(WhatNodesHold(after=after))
        assert isinstance(page, NodeHoldings)
        found += [node.model_dump(mode="json") for node in page.nodes]
        after = page.next
        if not after:
            return found


class _NotBelieved(Exception):
    """A checkpoint cannot be folded on from; the text says why."""


class _OtherCode(_NotBelieved):
    """Other code than this command's folded it; so it did all the others."""


def beginning_before(client: Client, until: int | None) -> Beginning | None:
    """Return the last checkpoint up to a position, None when the journal has to be folded from its beginning.

    One that is damaged is told of and passed over, for the one before it.
    """
    for position in reversed(checkpoints_kept(client)):
        if until is None or position <= until:
            try:
                return _beginning_at(client, position)
            except _OtherCode:
                return None
            except _NotBelieved as error:
                say(f"The checkpoint at position {position:,} is passed over: {error}.")
    return None


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
    try:
        return _beginning_at(client, position)
    except _NotBelieved:
        return None


def _beginning_at(client: Client, position: int) -> Beginning:
    from muster_contracts.written import NotReadable, WrittenFold, unsqueezed
    from muster_scheduler.core.state import State

    written = WrittenFold(State)
    found = _found_at(client, position)
    body = base64.b64decode(found.pop("body"))
    if found["code"] != written.code:
        raise _OtherCode
    event = event_at(client, position)
    if event is None or event["id"] != found["event_id"]:
        raise _NotBelieved("it is of another journal")
    try:
        state = written.read(unsqueezed(body))
    except NotReadable as error:
        raise _NotBelieved("it cannot be read") from error
    if state.position != position:
        raise _NotBelieved(f"it stands at position {state.position:,}")
    found["digest"] = hashlib.sha256(body).hexdigest()  # of what was read, whatever we were told
    return Beginning(state, found)


def _found_at(client: Client, position: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = client.get(f"/scheduling/checkpoints/{position}")
    except Failure as failure:
        if failure.code is Exit.NOT_FOUND:
            raise _NotBelieved("it is not kept any more") from failure
        raise
    return found
