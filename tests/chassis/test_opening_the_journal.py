"""A service opens its journal as itself, unless its settings name another user, and stamps with its own clock."""

import asyncio
import logging
from datetime import UTC, datetime

import pytest
from muster_chassis.journal import login_of, open_checkpoints, open_journal, open_leases
from muster_chassis.settings import ServiceSettings
from muster_contracts.events import StopRequested
from muster_contracts.subjects import Writer, derived_id
from muster_contracts.values import Caller
from servers import RunningNats

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
ASKED = StopRequested(workload_id=derived_id("workload", "a"), requested_by=Caller(name="ada"))


class Noon:
    def now(self) -> datetime:
        return NOON


async def test_a_service_writes_as_itself_and_stamps_with_its_clock(nats_server: RunningNats) -> None:
    settings = ServiceSettings(nats_url=nats_server.url, nats_password=nats_server.password_of("submitter"))
    journal = await open_journal(settings, Writer.SUBMITTER, Noon())
    position = await journal.append(ASKED, expected=0)
    batch = await anext(journal.follow(position - 1))
    assert [(each.event, each.envelope.time) for each in batch.events] == [(ASKED, NOON)]
    await journal.close()


def test_settings_may_name_several_servers_and_another_user() -> None:
    settings = ServiceSettings(nats_url="nats://one:4222,nats://two:4222", nats_user="somebody")
    login = login_of(settings, Writer.STATUS)
    assert (login.servers, login.user) == (("nats://one:4222", "nats://two:4222"), "somebody")
    assert login.name == "muster-status"
    assert login_of(settings, Writer.STATUS, "muster-status-bus").name == "muster-status-bus"


async def test_the_log_says_which_connections_were_lost_and_came_back(
    nats_server: RunningNats, caplog: pytest.LogCaptureFixture
) -> None:
    def told(sentence: str) -> list[str]:
        return sorted(vars(record)["connection"] for record in caplog.records if record.message.endswith(sentence))

    caplog.set_level(logging.INFO, "muster_journal")
    settings = ServiceSettings(nats_url=nats_server.url, nats_password=nats_server.password_of("status"))
    opened = [
        await open_journal(settings, Writer.STATUS, Noon()),
        await open_leases(settings, Writer.STATUS),
        await open_checkpoints(settings, Writer.STATUS),
        await open_checkpoints(settings, Writer.STATUS, of=Writer.SCHEDULER),
    ]
    names = ["", "-checkpoints", "-checkpoints-of-scheduler", "-leases"]
    nats_server.kill()
    await nats_server.start()
    async with asyncio.timeout(30):
        while len(told("is back")) < len(opened):  # noqa: ASYNC110  # what nats-py does, nobody can await
            await asyncio.sleep(0.05)
    assert told("is lost") == told("is back") == [f"muster-status{name}" for name in names]
    for each in opened:
        await each.close()
