"""What all checkpoints must do, whatever stands behind them. A subclass gives them an `open_checkpoints`."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from uuid import uuid4

import pytest
from muster_journal.checkpoints import Checkpoint, Checkpoints

OpenCheckpoints = Callable[[], Awaitable[Checkpoints]]
LARGE = 3 * 1024 * 1024 + 1
"""Bytes of more than one message."""


def checkpoint(position: int, length: int = 100) -> Checkpoint:
    return Checkpoint(position, uuid4(), "code", Random(position).randbytes(length))


class CheckpointConformance:
    """The suite."""

    async def test_there_is_none_before_one_was_saved(self, open_checkpoints: OpenCheckpoints) -> None:
        assert await (await open_checkpoints()).load("fold") is None

    @pytest.mark.parametrize("length", [0, 1, LARGE])
    async def test_what_was_saved_is_found_by_who_starts_again(
        self, open_checkpoints: OpenCheckpoints, length: int
    ) -> None:
        saved = checkpoint(7, length)
        await (await open_checkpoints()).save("fold", saved)
        assert await (await open_checkpoints()).load("fold") == saved

    async def test_a_later_one_takes_the_place_of_the_one_before(self, open_checkpoints: OpenCheckpoints) -> None:
        checkpoints = await open_checkpoints()
        for saved in (checkpoint(1, LARGE), checkpoint(2, 10), checkpoint(3, LARGE), checkpoint(4, 20)):
            await checkpoints.save("fold", saved)
            assert await checkpoints.load("fold") == saved

    async def test_those_of_other_names_are_others(self, open_checkpoints: OpenCheckpoints) -> None:
        checkpoints, one, other = await open_checkpoints(), checkpoint(1), checkpoint(2)
        await checkpoints.save("one", one)
        await checkpoints.save("other", other)
        assert [await checkpoints.load(name) for name in ("one", "other")] == [one, other]

    async def test_old_ones_are_kept_beside_the_latest(self, open_checkpoints: OpenCheckpoints) -> None:
        checkpoints = await open_checkpoints()
        saved = {position: checkpoint(position, position) for position in range(1, 21)}
        for one in saved.values():
            await checkpoints.save("fold", one, most=5)
        kept = await (await open_checkpoints()).positions("fold")
        assert len(kept) == 5
        assert kept[-2:] == [19, 20]
        for until in range(25):
            expected = max((position for position in kept if position <= until), default=None)
            assert await checkpoints.load("fold", until) == saved.get(expected or 0)
        assert await checkpoints.load("fold") == saved[20]
        assert await checkpoints.positions("other") == []

    async def test_what_other_code_wrote_and_what_lies_ahead_is_let_go(self, open_checkpoints: OpenCheckpoints) -> None:
        checkpoints = await open_checkpoints()
        for one in (replace(checkpoint(1), code="before"), checkpoint(2), checkpoint(9), checkpoint(4)):
            await checkpoints.save("fold", one, most=5)
        assert await checkpoints.positions("fold") == [2, 4]
