"""Checkpoints: a fold as it stood at a position, so that whoever starts again reads the tail of the journal alone.

A checkpoint is never truth. It says which code folded it and which event stood last, and whoever loads one throws it
away when either is not his own (`muster_chassis.checkpointing`); then the journal is folded from its beginning, which
comes to the same where the journal ends. A later checkpoint takes the place of the one before, and a save that is cut
short leaves that one.

Two implementations, `muster_journal.jetstream_checkpoints` beside the journal itself and
`muster_journal.memory_checkpoints`, are judged by one suite (`tests/journal/checkpoint_conformance.py`).

Pitfall. One process at a time saves under a name. Of two at once neither may be readable afterwards, which is found
out on loading and costs a fold from the beginning.
"""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A fold at a position: `event_id` is of the event there, `code` names what folded it and can read the `body`."""

    position: int
    event_id: UUID
    code: str
    body: bytes


class Checkpoints(Protocol):
    """The checkpoints of one service, by the names of its folds."""

    async def load(self, name: str) -> Checkpoint | None:
        """Return the last whole checkpoint, None when there is none. Raises Unavailable when nobody knows."""
        ...

    async def save(self, name: str, checkpoint: Checkpoint) -> None:
        """Put a checkpoint in the place of the one before. Raises Unavailable when it is not certain that it is."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...
