"""Checkpoints in memory, for worlds in one process."""

from collections.abc import Sequence

from muster_journal.checkpoints import Checkpoint, kept_beside, last_until


class MemoryCheckpoints:
    """The checkpoints of one service; it finds them again when it starts again in the same world."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Checkpoint]] = {}

    async def positions(self, name: str) -> Sequence[int]:
        """Return where checkpoints are kept; see the port."""
        return [one.position for one in self._kept.get(name, ())]

    async def load(self, name: str, until: int | None = None) -> Checkpoint | None:
        """Return a checkpoint; see the port."""
        return last_until(self._kept.get(name, []), until)

    async def save(self, name: str, checkpoint: Checkpoint, *, most: int = 1) -> None:
        """Keep a checkpoint; see the port."""
        self._kept[name] = kept_beside(self._kept.get(name, []), checkpoint, most)

    async def close(self) -> None:
        """Hold no connection, let go of none."""
