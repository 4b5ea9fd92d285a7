"""The journal on a real NATS server under the conformance suite."""

import random
from typing import Any
from uuid import UUID

import nats
import pytest
from journal.conformance import Bus, JournalConformance, Ticks, everything, stop
from muster_contracts.subjects import Aggregate, Writer
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.permissions import ADMINISTRATOR, inbox_prefix
from muster_journal.port import ANYTHING, Conflict, Journal
from servers import RunningNats


class JetStreamBus:
    """The stream of one server; the administrator can put anything on it."""

    def __init__(self, server: RunningNats, open_journal: Any) -> None:
        self.server = server
        self.open_journal = open_journal

    async def open(self, writer: Writer, now: Any = None) -> Journal:
        journal: Journal = await self.open_journal(writer, now=now or Ticks())
        return journal

    async def put(self, subject: str, headers: dict[str, str], body: bytes) -> int:
        client = await nats.connect(
            self.server.url,
            user=ADMINISTRATOR,
            password=self.server.administrator_password,
            inbox_prefix=inbox_prefix(ADMINISTRATOR),
        )
        try:
            return (await client.jetstream().publish(subject, body, headers=headers)).seq
        finally:
            await client.close()


@pytest.mark.parametrize("seed", range(5))
async def test_both_twins_answer_alike_to_anything(nats_server: RunningNats, open_journal: Any, seed: int) -> None:
    chance = random.Random(seed)
    real: Journal = await open_journal(Writer.SUBMITTER, now=Ticks())
    twin = MemoryJournal(MemoryLog(), Writer.SUBMITTER, Ticks())
    workloads = [UUID(int=chance.getrandbits(128)) for _ in range(3)]
    ids = {workload: [UUID(int=chance.getrandbits(128)) for _ in range(8)] for workload in workloads}
    answers = []
    for _ in range(300):
        workload = chance.choice(workloads)
        expected = chance.choice([ANYTHING, 0, chance.randint(0, await twin.end() + 1), await last(twin, workload)])
        event_id = chance.choice([*ids[workload], None])
        answers.append(await answer(twin, workload, expected, event_id))
        assert await answer(real, workload, expected, event_id) == answers[-1]
    assert {type(one) for one in answers} == {int, tuple}
    one, other = await everything(real), await everything(twin)
    assert [(event.position, event.event) for event in one] == [(event.position, event.event) for event in other]


async def answer(journal: Journal, workload: UUID, expected: int, event_id: UUID | None) -> object:
    try:
        return await journal.append(stop(workload), expected=expected, event_id=event_id)
    except Conflict as conflict:
        return conflict.expected, conflict.actual


async def last(journal: Journal, workload: UUID) -> int:
    return max((event.position for event in await journal.read(Aggregate.WORKLOAD, workload)), default=0)


class TestJetStreamJournal(JournalConformance):
    @pytest.fixture
    async def bus(self, nats_server: RunningNats, open_journal: Any) -> Bus:
        return JetStreamBus(nats_server, open_journal)
