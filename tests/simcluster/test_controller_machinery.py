"""What drives the controllers: refusals are tried again, nonsense is set aside, and the rest goes on."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from simcluster.client import Client
from simcluster.clock import ManualClock
from simcluster.errors import forbidden
from simcluster.machinery import Change, Key, Machinery
from simcluster.registry import Registry
from simcluster.store import Store


class Recorder:
    """Notes what it is asked to bring in order; config maps tell it how to misbehave."""

    watches = ("configmaps",)

    def __init__(self, client: Client, clock: ManualClock) -> None:
        self.client = client
        self.clock = clock
        self.seen: list[tuple[str, int]] = []

    def keys(self, change: Change) -> Iterable[Key]:
        if "unreadable" in change.object.get("data", {}):
            raise KeyError("unreadable")
        return [(change.object["metadata"]["namespace"], change.object["metadata"]["name"])]

    def reconcile(self, key: Key) -> datetime | None:
        found = self.client.get("configmaps", *key)
        data = found.get("data", {}) if found else {}
        self.seen.append((key[1], round(self.clock.now().timestamp()) % 100_000))
        if "refuse" in data:
            raise forbidden("configmaps", key[1], "a rule stands against it")
        number = int(data.get("again", "0"))
        return self.clock.now() + timedelta(seconds=number) if number else None


class Stage:
    def __init__(self) -> None:
        self.clock = ManualClock(datetime.fromisoformat("2026-01-01T00:00:00+00:00"))
        registry = Registry(Store(), self.clock, random.Random(1))
        self.client = Client(registry)
        self.client.create("namespaces", {"metadata": {"name": "demo"}})
        self.recorder = Recorder(self.client, self.clock)
        self.machinery = Machinery(self.client, self.clock, registry.resources, [self.recorder])

    def put(self, name: str, **data: str) -> None:
        body: dict[str, Any] = {"metadata": {"name": name, "namespace": "demo"}, "data": data}
        if self.client.get("configmaps", "demo", name) is None:
            self.client.create("configmaps", body)
        else:
            self.client.update("configmaps", body)

    def names(self) -> list[str]:
        return [name for name, _ in self.recorder.seen]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    opened = Stage()
    running = asyncio.create_task(opened.machinery.run())
    yield opened
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_many_changes_of_one_object_are_one_piece_of_work(stage):
    for number in range(20):
        stage.put("a", number=str(number))
    await stage.clock.advance(0)
    assert stage.names() == ["a"]
    assert stage.machinery.idle


async def test_a_key_comes_back_when_its_time_has_come_and_not_before(stage):
    stage.put("a", again="30")
    await stage.clock.advance(29)
    assert stage.names() == ["a"]
    await stage.clock.advance(1)
    assert stage.names() == ["a", "a"]
    stage.put("a")
    await stage.clock.advance(300)
    assert stage.names() == ["a", "a", "a"]


async def test_a_refusal_is_tried_again_ever_later(stage):
    stage.put("a", refuse="yes")
    await stage.clock.advance(140)
    seconds = [second for _, second in stage.recorder.seen]
    assert [second - seconds[0] for second in seconds] == [0, 1, 3, 7, 15, 31, 63, 123]
    stage.put("a")
    await stage.clock.advance(200)
    assert len(stage.recorder.seen) == len(seconds) + 1


async def test_an_object_that_makes_no_sense_is_set_aside_until_it_changes(stage):
    stage.put("bad", again="many")
    stage.put("worse", unreadable="yes")
    stage.put("good")
    await stage.clock.advance(600)
    assert stage.names() == ["bad", "good"]
    assert stage.machinery.parked == {
        "Recorder demo/bad": "ValueError: invalid literal for int() with base 10: 'many'",
        "Recorder configmaps/demo/worse": "KeyError: 'unreadable'",
    }
    stage.put("bad", again="0")
    stage.put("worse")
    await stage.clock.advance(1)
    assert stage.machinery.parked == {}
    assert stage.names() == ["bad", "good", "bad", "worse"]
