"""What happens to the loops of a service, and what its health says of them."""

import asyncio
from random import Random

import pytest
from muster_chassis.backoff import Backoff
from muster_chassis.following import Progress
from muster_chassis.health import Condition, Health
from muster_chassis.service import supervise
from muster_chassis.settings import BadSettings, ServiceSettings
from muster_contracts.errors import Unavailable
from muster_journal.port import Damaged
from simulation.virtual_time import run_in_virtual_time


def test_a_loop_that_waits_for_the_world_is_started_again() -> None:
    health, starts = Health("x"), []

    async def loop() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) < 4:
            raise Unavailable("the database is away")

    run_in_virtual_time(lambda: supervise("reader", loop, health, Random(1)))
    assert len(starts) == 4
    assert starts[-1] > starts[0]


def pauses_between_runs_of(run_seconds: float) -> list[float]:
    """Let a loop be interrupted a dozen times, each after so many seconds, and return how long it paused each time."""
    started, interrupted = [], []

    async def loop() -> None:
        started.append(asyncio.get_running_loop().time())
        if len(started) > 12:
            return
        await asyncio.sleep(run_seconds)
        interrupted.append(asyncio.get_running_loop().time())
        raise Unavailable("the watch was cut off")

    async def world() -> None:
        async with asyncio.timeout(10_000):
            await supervise("reader", loop, Health("x"), Random(1))

    run_in_virtual_time(world)
    return [start - end for start, end in zip(started[1:], interrupted, strict=True)]


def test_a_loop_that_ran_well_is_started_again_soon_however_often_it_was_interrupted() -> None:
    assert max(pauses_between_runs_of(60)) <= 0.1


def test_a_loop_that_fails_soon_after_each_start_waits_longer_and_longer() -> None:
    assert pauses_between_runs_of(1)[-1] >= 5


def test_a_loop_that_met_what_it_cannot_read_stops_alone_with_its_reason() -> None:
    health = Health("x")

    async def loop() -> None:
        raise Damaged(17, "the header ce-id is missing")

    async def healthy() -> None:
        await asyncio.sleep(100)

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise("reader", loop, health, Random(1)))
            tasks.create_task(supervise("other", healthy, health, Random(1)))

    run_in_virtual_time(both)
    assert health.loops["reader"].condition is Condition.STOPPED
    assert "position 17" in health.loops["reader"].reason
    assert health.loops["other"].condition is Condition.RUNNING
    assert not health.well


def test_a_client_reads_its_own_writes_or_hears_how_far_the_reader_is() -> None:
    async def world() -> None:
        progress = Progress()
        asyncio.get_running_loop().call_later(1, lambda: progress.advance(5, caught_up=False))
        await progress.reach(5)
        assert asyncio.get_running_loop().time() == 1
        with pytest.raises(Unavailable, match="the reader is at 5"):
            await progress.reach(6, timeout_seconds=2)

    run_in_virtual_time(world)


def test_everybody_goes_on_when_the_reader_has_come_to_their_position() -> None:
    async def world() -> None:
        progress, went_on = Progress(), list[int]()

        async def wait(position: int) -> None:
            await progress.reach(position)
            went_on.append(position)

        waiting = [asyncio.create_task(wait(position)) for position in (7, 3, 5, 3)]
        given_up = asyncio.create_task(wait(4))
        await asyncio.sleep(1)
        given_up.cancel()
        for position, expected in ((2, []), (5, [3, 3, 5]), (9, [3, 3, 5, 7])):
            progress.advance(position, caught_up=False)
            await asyncio.sleep(1)
            assert went_on == expected
        await asyncio.gather(*waiting)

    run_in_virtual_time(world)


def test_whoever_waits_for_a_reader_that_stops_hears_why_at_once() -> None:
    async def world() -> None:
        progress = Progress()
        asyncio.get_running_loop().call_later(1, lambda: progress.stop("Position 5 cannot be read."))
        with pytest.raises(Unavailable, match="Position 5 cannot be read"):
            await progress.reach(5, timeout_seconds=60)
        assert asyncio.get_running_loop().time() == 1
        with pytest.raises(Unavailable, match="Position 5 cannot be read"):
            progress.check()

    run_in_virtual_time(world)


def test_pauses_double_up_to_the_limit_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(Random(3), first_seconds=1, limit_seconds=8)
    pauses = [backoff.next_pause_seconds() for _ in range(6)]
    for pause, longest in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert longest / 2 <= pause <= longest
    backoff.succeeded()
    assert backoff.next_pause_seconds() <= 1


def test_settings_of_one_service_go_before_those_of_all() -> None:
    environment = {"MUSTER_NATS_URL": "nats://all:1", "MUSTER_STATUS_NATS_URL": "nats://mine:2"}
    assert ServiceSettings.from_environment("status", environment).nats_url == "nats://mine:2"
    assert ServiceSettings.from_environment("scheduler", environment).nats_url == "nats://all:1"


def test_everything_wrong_with_settings_is_said_at_once() -> None:
    environment = {"MUSTER_LISTEN_PORT": "a lot", "MUSTER_LOG_LEVEL": "LOUD"}
    with pytest.raises(BadSettings, match=r"MUSTER_STATUS_LISTEN_PORT.*MUSTER_STATUS_LOG_LEVEL"):
        ServiceSettings.from_environment("status", environment)
