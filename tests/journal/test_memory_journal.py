"""The journal in memory under the conformance suite, and what it promises beyond: the same world twice is the same."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from journal.conformance import Bus, JournalConformance, Ticks, everything, gone
from muster_contracts.subjects import Writer, derived_id
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.port import Journal


class MemoryBus:
    """One log, shared by the journals of all writers."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.opened: list[MemoryJournal] = []

    async def open(self, writer: Writer, now: Any = None) -> Journal:
        journal = MemoryJournal(self.log, writer, now or Ticks())
        self.opened.append(journal)
        return journal

    async def put(self, subject: str, headers: dict[str, str], body: bytes) -> int:
        return self.log.put(subject, headers, body)


class TestMemoryJournal(JournalConformance):
    @pytest.fixture
    async def bus(self) -> AsyncIterator[Bus]:
        bus = MemoryBus()
        yield bus
        for journal in bus.opened:
            await journal.close()


async def test_two_runs_of_the_same_world_are_equal_to_the_last_id() -> None:
    async def run() -> list[object]:
        journal = await MemoryBus().open(Writer.INTEGRATIONS)
        node = derived_id("node", "a")
        await asyncio.gather(*(journal.append(gone(f"node-{number}", node)) for number in range(20)))
        return [*await everything(journal)]

    assert await run() == await run()
