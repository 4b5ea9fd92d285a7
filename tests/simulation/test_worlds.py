"""Worlds under faults: whatever is lost, delayed, repeated or killed, the laws hold and every workload ends.

`make sim SEED=7` plays one of them again, step by step the same.
"""

from simulation.laws import check_laws, settle
from simulation.stories import a_disturbed_day
from simulation.virtual_time import run_in_virtual_time
from simulation.world import World, play


async def _disturbed_then_settled(world: World) -> None:
    await a_disturbed_day(world)
    await settle(world)
    await check_laws(world)


def test_the_laws_hold_in_a_disturbed_world(seed: int) -> None:
    world = run_in_virtual_time(lambda: play(seed, _disturbed_then_settled))
    assert len(world.submitted) > 0


def test_the_same_seed_is_the_same_history() -> None:
    first = run_in_virtual_time(lambda: play(5, a_disturbed_day))
    again = run_in_virtual_time(lambda: play(5, a_disturbed_day))
    assert first.log.end > 100
    assert first.digest() == again.digest()
