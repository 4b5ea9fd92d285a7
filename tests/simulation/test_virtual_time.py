"""The loop with virtual time itself."""

import asyncio

import pytest
from simulation.virtual_time import NothingToWaitFor, run_in_virtual_time


def test_a_week_passes_at_once_and_timers_keep_their_order() -> None:
    async def world() -> list[str]:
        seen: list[str] = []

        async def note(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(name)

        await asyncio.gather(note("late", 7 * 86400), note("early", 1), note("middle", 3600))
        assert asyncio.get_running_loop().time() == 7 * 86400
        return seen

    assert run_in_virtual_time(world) == ["early", "middle", "late"]


def test_a_world_in_which_nobody_can_go_on_is_an_error() -> None:
    async def world() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingToWaitFor):
        run_in_virtual_time(world)
