"""Checkpoints in memory, for worlds in one process."""

from muster_journal.checkpoints import Checkpoint


class MemoryCheckpoints:
    """The checkpoints of one service; it finds them again when it starts again in the same world."""

    def __init__(self) -> None:
        self._checkpoints: dict[str, Checkpoint] = {}

    async def load(self, name: str) -> Checkpoint | None:
        """Return a checkpoint; see the port."""
        return self._checkpoints.get(name)

    async def save(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; see the port."""
        self._checkpoints[name] = checkpoint

    async def close(self) -> None:
        """Hold no connection, let go of none."""
