"""Deeds: every key is looked at, never twice at once, and again after the world's errors."""

import asyncio
from random import Random

import pytest
from muster_chassis.deeds import Deeds
from muster_contracts.errors import Unavailable
from simulation.virtual_time import run_in_virtual_time


class Record:
    """What was done, and how many deeds for the same key ran at once at most."""

    def __init__(self, failures: dict[str, int] | None = None, seconds: float = 1.0) -> None:
        self.done: list[str] = []
        self.times: list[float] = []
        self.most_at_once = 0
        self.overlapped = False
        self._busy: list[str] = []
        self._failures = failures or {}
        self._seconds = seconds

    async def do(self, key: str) -> None:
        self.overlapped |= key in self._busy
        self._busy.append(key)
        self.most_at_once = max(self.most_at_once, len(self._busy))
        self.times.append(asyncio.get_running_loop().time())
        try:
            await asyncio.sleep(self._seconds)
            if self._failures.get(key, 0):
                self._failures[key] -= 1
                raise Unavailable("not now")
            self.done.append(key)
        finally:
            self._busy.remove(key)


def play(record: Record, wants: list[tuple[float, str]], *, seconds: float = 600, concurrency: int = 16) -> None:
    """Want keys at given times and let so much time pass."""

    async def world() -> None:
        deeds: Deeds[str] = Deeds(record.do, random=Random(1), concurrency=concurrency)
        running = asyncio.create_task(deeds.run())
        for at, key in sorted(wants):
            asyncio.get_running_loop().call_at(at, deeds.want, key)
        await asyncio.wait({running}, timeout=seconds)
        if running.done():
            running.result()
        assert deeds.open == 0
        running.cancel()

    run_in_virtual_time(world)


def test_every_key_is_looked_at() -> None:
    record = Record()
    play(record, [(0, f"k{i}") for i in range(100)], concurrency=4)
    assert sorted(record.done) == sorted(f"k{i}" for i in range(100))
    assert record.most_at_once == 4


def test_wanting_a_key_while_it_is_done_means_once_more_and_never_twice_at_once() -> None:
    record = Record()
    play(record, [(0, "a"), (0.2, "a"), (0.4, "a"), (0.6, "a")])
    assert record.done == ["a", "a"]
    assert not record.overlapped


def test_the_world_s_errors_are_tried_again_with_growing_pauses() -> None:
    record = Record({"a": 5}, seconds=0)
    play(record, [(0, "a")])
    assert record.done == ["a"]
    pauses = [later - earlier for earlier, later in zip(record.times, record.times[1:], strict=False)]
    assert len(pauses) == 5
    assert pauses[-1] > pauses[0]


def test_wanting_a_key_that_waits_for_another_attempt_does_not_let_it_run_twice_at_once() -> None:
    record = Record({"a": 2}, seconds=0.5)
    play(record, [(at / 10, "a") for at in range(30)])
    assert record.done
    assert not record.overlapped


def test_an_error_of_ours_ends_the_loop() -> None:
    class Broken(Record):
        async def do(self, key: str) -> None:
            raise AssertionError("this cannot be")

    with pytest.raises(ExceptionGroup) as raised:
        play(Broken(), [(0, "a")])
    assert raised.group_contains(AssertionError, match="this cannot be")
