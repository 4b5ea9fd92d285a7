"""Creating the streams: once, again without harm, and never over a stream that is not ours to change."""

import pytest
from muster_contracts.errors import Refused, Unavailable
from muster_contracts.subjects import INTAKE_STREAM, STREAM
from muster_journal.permissions import PARKED_STREAM
from muster_journal.provision import provision
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from servers import RunningNats, free_port


async def test_the_log_forbids_deletion_keeps_everything_and_pushes_nothing_out(administrator: Client) -> None:
    config = (await administrator.jetstream().stream_info(STREAM)).config
    assert config.subjects == ["muster.events.>"]
    assert config.deny_delete
    assert config.deny_purge
    assert config.storage == StorageType.FILE
    assert config.discard == DiscardPolicy.NEW
    assert (config.max_age, config.max_msgs, config.max_bytes) == (0, -1, -1)


async def test_provisioning_again_changes_nothing(nats_server: RunningNats, administrator: Client) -> None:
    context = administrator.jetstream()
    before = [await context.stream_info(name) for name in (STREAM, INTAKE_STREAM, PARKED_STREAM)]
    await provision([nats_server.url], nats_server.administrator_password)
    after = [await context.stream_info(name) for name in (STREAM, INTAKE_STREAM, PARKED_STREAM)]
    assert [(one.created, one.config) for one in before] == [(one.created, one.config) for one in after]


async def test_a_log_that_could_be_purged_is_refused(nats_server: RunningNats, administrator: Client) -> None:
    context = administrator.jetstream()
    await context.delete_stream(STREAM)
    await context.add_stream(StreamConfig(name=STREAM, subjects=["muster.events.>"], allow_direct=True))
    with pytest.raises(Refused) as refusal:
        await provision([nats_server.url], nats_server.administrator_password)
    assert refusal.value.message.startswith("The stream MUSTER_EVENTS exists with other settings: ")
    assert "deny_purge is false and must be true" in refusal.value.message
    assert not (await context.stream_info(STREAM)).config.deny_purge


async def test_a_missing_stream_is_created_beside_the_others(nats_server: RunningNats, administrator: Client) -> None:
    context = administrator.jetstream()
    await context.delete_stream(PARKED_STREAM)
    await provision([nats_server.url], nats_server.administrator_password)
    assert (await context.stream_info(PARKED_STREAM)).config.subjects == ["muster.parked.>"]


async def test_a_wrong_password_and_an_absent_server_are_unavailable(nats_server: RunningNats) -> None:
    with pytest.raises(Unavailable, match=r"(?i)authorization violation"):
        await provision([nats_server.url], "guessed", patience_seconds=1.5)
    with pytest.raises(Unavailable, match="does not let administrator in"):
        await provision([f"nats://127.0.0.1:{free_port()}"], "any", patience_seconds=0.5)
