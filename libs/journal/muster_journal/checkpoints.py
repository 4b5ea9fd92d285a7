"""Checkpoints: a fold as it stood at a position, so that whoever starts again reads the tail of the journal alone.

A checkpoint is never truth. It says which code folded it and which event stood last, and whoever loads one throws it
away when either is not his own (`muster_chassis.checkpointing`); then the journal is folded from its beginning, which
comes to the same. A save that is cut short leaves what was there before.

Of a fold that is asked about the past, old ones are kept beside the latest, close together near the end and far apart
long ago: whoever asks about a moment begins a little before it (`kept_beside`).

Two implementations, `muster_journal.jetstream_checkpoints` beside the journal itself and
`muster_journal.memory_checkpoints`, are judged by one suite (`tests/journal/checkpoint_conformance.py`).

Pitfall. One process at a time saves under a name. Of two at once neither may be readable afterwards, which is found
out on loading and costs a fold from the beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

MOST_BYTES = 256 * 1024 * 1024
"""What all that is kept under one name may take together; the latest is kept however large it is."""


class Dated(Protocol):
    """What is known of a checkpoint without its body; `size` in bytes."""

    @property
    def position(self) -> int: ...  # noqa: D102
    @property
    def code(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int: ...  # noqa: D102


D = TypeVar("D", bound=Dated)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A fold at a position: `event_id` is of the event there, `code` names what folded it and can read the `body`."""

    position: int
    event_id: UUID
    code: str
    body: bytes

    @property
    def size(self) -> int:
        """Return how many bytes the body has."""
        return len(self.body)


class Checkpoints(Protocol):
    """The checkpoints of one service, by the names of its folds."""

    async def positions(self, name: str) -> Sequence[int]:
        """Return at which positions checkpoints are kept, in order. Raises Unavailable when nobody knows."""
        ...

    async def load(self, name: str, until: int | None = None) -> Checkpoint | None:
        """Return the last checkpoint, or the last one up to a position; None when there is none, or it is not whole.

        Raises Unavailable when nobody knows.
        """
        ...

    async def save(self, name: str, checkpoint: Checkpoint, *, most: int = 1) -> None:
        """Put a checkpoint after those before, of which so many stay at most, this one counted.

        Raises Unavailable when it is not certain that it is kept.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


def kept_beside(before: Sequence[D], new: D, most: int) -> list[D]:
    """Return what is kept when a checkpoint is saved, in order of position, at most so many and so large.

    What other code wrote goes first: nobody who saves here can read it. So does what lies after the new one, which is
    of another journal, or of a fold that began anew. Then those go, one by one, that are missed least.
    """
    kept = [*(one for one in before if one.code == new.code and one.position < new.position), new]
    while len(kept) > most or (len(kept) > 1 and sum(one.size for one in kept) > MOST_BYTES):
        del kept[_least_missed([one.position for one in kept])]
    return kept


def _least_missed(positions: Sequence[int]) -> int:
    """Return which leaves the smallest gap, measured by how far back it lies; never the last."""
    end, beginnings = positions[-1], [0, *positions]
    gaps = [after - before for before, after in zip(beginnings, positions[1:], strict=False)]
    return min(range(len(gaps)), key=lambda number: gaps[number] / (end - positions[number]))


def last_until(kept: Sequence[D], until: int | None) -> D | None:
    """Return the last of some that are in order of position, or the last up to a position."""
    return next((one for one in reversed(kept) if until is None or one.position <= until), None)
