"""Who may do what, tried out on a real server: one writer per event, and nobody changes the log."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from muster_contracts.errors import Refused
from muster_contracts.subjects import INTAKE_STREAM, STREAM, Writer, intake_subject, verdict_subject
from muster_journal.permissions import INTAKE_CONSUMER, PARKED_STREAM, Application
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig
from nats.js.errors import APIError

ConnectAs = Callable[[str], Awaitable[Any]]
EVERYBODY_ELSE = [*Writer, "argo", "auditor"]
CHANGES = [
    f"$JS.API.STREAM.UPDATE.{STREAM}",
    f"$JS.API.STREAM.PURGE.{STREAM}",
    f"$JS.API.STREAM.DELETE.{STREAM}",
    f"$JS.API.STREAM.MSG.DELETE.{STREAM}",
    f"$JS.API.STREAM.SNAPSHOT.{STREAM}",
    f"$JS.API.STREAM.RESTORE.{STREAM}",
    f"$JS.API.STREAM.UPDATE.{INTAKE_STREAM}",
    f"$JS.API.STREAM.PURGE.{INTAKE_STREAM}",
    f"$JS.API.STREAM.DELETE.{INTAKE_STREAM}",
    "$JS.API.STREAM.CREATE.ANOTHER",
    f"$JS.API.CONSUMER.DELETE.{INTAKE_STREAM}.{INTAKE_CONSUMER}",
    f"$JS.API.CONSUMER.CREATE.{INTAKE_STREAM}.another",
]


async def refused(client: Client) -> list[str]:
    """Return what the server refused so far; its complaints come before its answer to a ping."""
    await client.flush()  # nats-py sends the first ping ahead of what waits to be sent
    await client.flush()
    complaints: list[str] = list(client.complaints)  # type: ignore[attr-defined]
    client.complaints.clear()  # type: ignore[attr-defined]
    return complaints


async def may_publish(client: Client, subject: str) -> bool:
    await client.publish(subject, b"{}")
    return not await refused(client)


async def may_listen(client: Client, subject: str) -> bool:
    await client.subscribe(subject)
    return not await refused(client)


@pytest.mark.parametrize("service", Writer)
async def test_a_service_publishes_under_its_own_last_token_only(connect_as: ConnectAs, service: Writer) -> None:
    client = await connect_as(service)
    allowed = {writer for writer in Writer if await may_publish(client, f"muster.events.workload.{uuid4()}.{writer}")}
    assert allowed == {service}
    assert not await may_publish(client, f"muster.events.workload.{uuid4()}.{service}.more")
    assert not await may_publish(client, f"muster.events.{service}")


@pytest.mark.parametrize("user", EVERYBODY_ELSE)
async def test_nobody_but_the_administrator_changes_a_stream(connect_as: ConnectAs, user: str) -> None:
    client = await connect_as(user)
    assert [subject for subject in CHANGES if await may_publish(client, subject)] == []


async def test_not_even_the_administrator_deletes_from_the_log(connect_as: ConnectAs, administrator: Client) -> None:
    context = administrator.jetstream()
    await context.publish(f"muster.events.workload.{uuid4()}.status", b"{}")
    with pytest.raises(APIError):
        await context.delete_msg(STREAM, 1)
    with pytest.raises(APIError):
        await context.purge_stream(STREAM)
    assert (await context.stream_info(STREAM)).state.messages == 1


async def test_nobody_lets_a_consumer_write_to_the_log(connect_as: ConnectAs) -> None:
    client = await connect_as(Writer.STATUS)
    forged = ConsumerConfig(name="forger", deliver_subject=f"muster.events.workload.{uuid4()}.scheduler")
    with pytest.raises(APIError, match="cycle"):
        await client.jetstream().add_consumer(STREAM, forged)


async def test_an_application_publishes_commands_under_its_own_name_only(connect_as: ConnectAs) -> None:
    client = await connect_as("argo")
    assert await may_publish(client, intake_subject("argo", "demo"))
    assert not await may_publish(client, intake_subject("auditor", "demo"))
    assert not await may_publish(client, f"muster.events.workload.{uuid4()}.submitter")
    assert not await may_publish(client, verdict_subject("argo"))
    assert not await may_publish(client, "muster.parked.argo.demo")


async def test_an_application_hears_its_own_verdicts_only(connect_as: ConnectAs) -> None:
    client = await connect_as("argo")
    assert await may_listen(client, verdict_subject("argo"))
    assert not await may_listen(client, verdict_subject("auditor"))
    assert not await may_listen(client, "muster.verdicts.>")
    assert not await may_listen(client, "muster.events.>")
    assert not await may_listen(client, "_INBOX.>")
    assert not await may_listen(client, ">")


async def test_an_application_with_system_scope_reads_the_log_without_a_consumer(
    connect_as: ConnectAs, administrator: Client
) -> None:
    client = await connect_as("auditor")
    heard = await client.subscribe("muster.events.>")
    await client.flush()
    await administrator.jetstream().publish(f"muster.events.workload.{uuid4()}.status", b"{}")
    assert (await heard.next_msg(timeout=10)).data == b"{}"
    looked_up = await client.request(f"$JS.API.DIRECT.GET.{STREAM}", json.dumps({"seq": 1}).encode(), timeout=10)
    assert looked_up.data == b"{}"
    assert not await may_publish(client, f"$JS.API.CONSUMER.CREATE.{STREAM}.mine")


async def test_an_application_without_system_scope_reads_nothing(connect_as: ConnectAs) -> None:
    client = await connect_as("argo")
    assert not await may_publish(client, f"$JS.API.DIRECT.GET.{STREAM}")
    assert not await may_publish(client, f"$JS.API.STREAM.MSG.GET.{STREAM}")
    assert not await may_publish(client, f"$JS.API.CONSUMER.CREATE.{STREAM}.mine")


@pytest.mark.parametrize("name", ["scheduler", "administrator", "two.words", "star*", "", "Upper"])
def test_an_application_may_not_be_named_like_a_pattern_or_one_of_us(name: str) -> None:
    with pytest.raises(Refused, match="cannot be the name of an application"):
        Application(name, "secret")


async def test_the_submitter_takes_judges_parks_and_replays_commands(connect_as: ConnectAs) -> None:
    application, submitter = await connect_as("argo"), await connect_as(Writer.SUBMITTER)
    verdicts = await application.subscribe(verdict_subject("argo"))
    await application.jetstream().publish(intake_subject("argo", "demo"), b"command", headers={"ce-id": "1"})

    bus = submitter.jetstream()
    queue = await bus.pull_subscribe_bind(INTAKE_CONSUMER, INTAKE_STREAM)
    (command,) = await queue.fetch(1, timeout=10)
    assert command.subject == "muster.intake.argo.demo"
    await bus.publish("muster.parked.argo.demo", command.data, headers=command.headers)
    await command.ack_sync()

    parked = await bus.get_msg(PARKED_STREAM, seq=1, direct=True)
    assert (parked.data, parked.headers["ce-id"]) == (b"command", "1")
    await bus.publish("muster.intake.argo.demo", parked.data, headers={"ce-id": "1"})
    assert await bus.delete_msg(PARKED_STREAM, 1)
    (again,) = await queue.fetch(1, timeout=10)
    assert again.headers["ce-id"] == "1"
    await again.ack_sync()
    with pytest.raises(NatsTimeoutError):
        await queue.fetch(1, timeout=0.2)

    await submitter.publish(verdict_subject("argo"), b"accepted")
    assert (await verdicts.next_msg(timeout=10)).data == b"accepted"
    assert await refused(submitter) == []
    assert await refused(application) == []


async def test_anybody_of_us_may_ask_the_scheduler_and_only_the_scheduler_answers(connect_as: ConnectAs) -> None:
    scheduler, status = await connect_as(Writer.SCHEDULER), await connect_as(Writer.STATUS)
    subject = "muster.ask.scheduler.here"

    async def answer(question: Any) -> None:
        await question.respond(b"it fits")

    await scheduler.subscribe(subject, cb=answer)
    for _ in range(2):  # nats-py's first ping may overtake the subscription, its second cannot
        await scheduler.flush()
    assert (await status.request(subject, b"does it fit?", timeout=10)).data == b"it fits"
    assert not await may_listen(status, subject)
    assert await refused(scheduler) == []


async def test_the_scheduler_alone_holds_the_lease(connect_as: ConnectAs) -> None:
    scheduler, status = await connect_as(Writer.SCHEDULER), await connect_as(Writer.STATUS)
    leases = await scheduler.jetstream().key_value("MUSTER_LEASES")
    revision = await leases.create("leader", b"one")
    await leases.update("leader", b"one", last=revision)
    assert (await leases.get("leader")).value == b"one"
    assert await refused(scheduler) == []
    assert not await may_publish(status, "$KV.MUSTER_LEASES.leader")
