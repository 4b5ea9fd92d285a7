"""The journal on a real NATS server under the conformance suite."""

from typing import Any

import nats
import pytest
from journal.conformance import Bus, JournalConformance, Ticks
from muster_contracts.subjects import Writer
from muster_journal.permissions import ADMINISTRATOR, inbox_prefix
from muster_journal.port import Journal
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


class TestJetStreamJournal(JournalConformance):
    @pytest.fixture
    async def bus(self, nats_server: RunningNats, open_journal: Any) -> Bus:
        return JetStreamBus(nats_server, open_journal)
