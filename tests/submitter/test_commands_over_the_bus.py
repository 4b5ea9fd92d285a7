"""Commands from another system over a real NATS: judged once, answered, written down, parked and replayed."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID, uuid4

import nats
import pytest
from muster_contracts.errors import RefusalCode, Unavailable
from muster_contracts.events import SubmissionRefused, WorkloadSubmitted
from muster_contracts.subjects import Aggregate, Writer, verdict_subject
from muster_contracts.verdicts import Verdict
from muster_journal.connection import Connection, Login
from muster_journal.jetstream import JetStreamJournal
from muster_journal.permissions import INTAKE_CONSUMER, inbox_prefix
from muster_submitter.adapters.jetstream_bus import JetStreamBus
from muster_submitter.app import Ports, build
from muster_submitter.settings import SubmitterSettings
from nats.aio.client import Client
from servers import RunningNats
from submitter.world import SECONDS, Submitter, World, new_world, running, until

OpenJournal = Callable[..., Awaitable[JetStreamJournal]]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as world:
        yield world


@dataclass
class Argo:
    """Another system on the bus."""

    client: Client
    verdicts: Any

    async def publish(
        self, body: Any, *, command_id: str = "", project: str = "demo", type_name: str = "SubmitWorkload.v1"
    ) -> str:
        command_id = command_id or str(uuid4())
        headers = {"ce-specversion": "1.0", "ce-id": command_id, "ce-type": type_name, "ce-source": "argo"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.client.jetstream().publish(f"muster.intake.argo.{project}", content, headers=headers)
        return command_id

    async def verdict_on(self, command_id: str) -> Verdict:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self.verdicts.next_msg(timeout=SECONDS)
                verdict = Verdict.model_validate_json(message.data)
                if verdict.command_id == command_id:
                    return verdict

    async def ask(self, body: Any, **options: Any) -> Verdict:
        return await self.verdict_on(await self.publish(body, **options))


@pytest.fixture
async def argo(nats_server: RunningNats) -> AsyncIterator[Argo]:
    client = await nats.connect(
        nats_server.url, user="argo", password=nats_server.password_of("argo"), inbox_prefix=inbox_prefix("argo")
    )
    yield Argo(client, await client.subscribe(verdict_subject("argo")))
    await client.close()


@contextlib.asynccontextmanager
async def submitter_on(
    nats_server: RunningNats, open_journal: OpenJournal, world: World, **settings: Any
) -> AsyncIterator[Submitter]:
    login = Login((nats_server.url,), "submitter", nats_server.password_of("submitter"), "test")
    bus = JetStreamBus(await Connection.open(login, SECONDS), world.clock)
    journal = await open_journal(Writer.SUBMITTER)
    ports = Ports(journal, world.kubernetes, world.clock, Random(5), bus, login)
    try:
        async with running(build(SubmitterSettings(**settings), ports)) as submitter:
            yield submitter
    finally:
        await bus.close()


@pytest.fixture
async def submitter(nats_server: RunningNats, open_journal: OpenJournal, world: World) -> AsyncIterator[Submitter]:
    async with submitter_on(nats_server, open_journal, world) as submitter:
        await submitter.create_project()
        yield submitter


@pytest.fixture
async def reader(open_journal: OpenJournal) -> JetStreamJournal:
    return await open_journal(Writer.STATUS)


def submission(name: str = "nightly", **fields: Any) -> dict[str, Any]:
    return {
        "type": "SubmitWorkload.v1",
        "name": name,
        "project": "demo",
        "kind": "training",
        "spec": {"image": "registry.example/eval:1"},
    } | fields


async def parked(submitter: Submitter, count: int = 1) -> list[dict[str, Any]]:
    """Wait until so many commands are parked."""
    async with asyncio.timeout(SECONDS):
        while True:
            found: list[dict[str, Any]] = (await submitter.client.get("/api/v1/parked")).json()["parked"]
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def nothing_waits(nats_server: RunningNats) -> None:
    """Wait until every command was judged or parked, and acknowledged."""
    client = await nats.connect(
        nats_server.url,
        user="administrator",
        password=nats_server.administrator_password,
        inbox_prefix=inbox_prefix("administrator"),
    )
    async with asyncio.timeout(SECONDS):
        while True:
            info = await client.jetstream().consumer_info("MUSTER_INTAKE", INTAKE_CONSUMER)
            if not info.num_pending and not info.num_ack_pending:
                break
            await asyncio.sleep(0.05)
    await client.close()


async def test_a_command_becomes_a_workload_with_the_command_as_its_cause(
    argo: Argo, submitter: Submitter, reader: JetStreamJournal, world: World
) -> None:
    command_id = await argo.publish(submission())
    verdict = await argo.verdict_on(command_id)
    assert verdict.accepted, verdict
    assert verdict.workload_id is not None
    recorded = (await reader.read(Aggregate.WORKLOAD, verdict.workload_id))[0]
    assert recorded.position == verdict.position
    assert recorded.envelope.cause == UUID(command_id)
    assert isinstance(recorded.event, WorkloadSubmitted)
    by = recorded.event.submitted_by
    assert (by.name, by.kind, by.source) == ("argo", "application", "bus")


async def test_the_same_command_twice_is_one_workload_and_the_same_verdict(argo: Argo, submitter: Submitter) -> None:
    command_id = str(uuid4())
    first = await argo.ask(submission(), command_id=command_id)
    second = await argo.ask(submission(), command_id=command_id)
    assert first == second
    other = await argo.ask(submission("other"), command_id=command_id)
    assert (other.accepted, other.code) == (False, RefusalCode.CONFLICT)
    assert await argo.ask(submission(), command_id=command_id) == first


async def test_a_refused_submission_is_written_down_with_its_complaints_and_stays_refused(
    argo: Argo, submitter: Submitter, reader: JetStreamJournal
) -> None:
    body = submission(spec={"image": "i", "compute": {"gpu_devices": -1}})
    command_id = await argo.publish(body)
    verdict = await argo.verdict_on(command_id)
    assert (verdict.accepted, verdict.code) == (False, RefusalCode.INVALID)
    assert [complaint.field for complaint in verdict.complaints] == ["spec.compute.gpu_devices"]
    assert verdict.workload_id is not None
    (recorded,) = await reader.read(Aggregate.WORKLOAD, verdict.workload_id)
    assert isinstance(recorded.event, SubmissionRefused)
    assert recorded.event.message == verdict.message
    assert recorded.envelope.cause == UUID(command_id)
    assert await argo.ask(body, command_id=command_id) == verdict
    assert len(await reader.read(Aggregate.WORKLOAD, verdict.workload_id)) == 1


async def test_stop_activate_and_delete_come_over_the_bus_too(argo: Argo, submitter: Submitter) -> None:
    workload_id = str((await argo.ask(submission())).workload_id)
    for kind in ("StopWorkload.v1", "DeleteWorkload.v1"):
        verdict = await argo.ask({"type": kind, "workload_id": workload_id}, type_name=kind)
        assert verdict.accepted, verdict
    late = await argo.ask({"type": "ActivateWorkload.v1", "workload_id": workload_id}, type_name="ActivateWorkload.v1")
    assert late.message == "Workload 'nightly' is being deleted."


async def test_an_application_reaches_only_the_project_it_names(argo: Argo, submitter: Submitter) -> None:
    workload_id = str((await argo.ask(submission())).workload_id)
    verdict = await argo.ask(
        {"type": "StopWorkload.v1", "workload_id": workload_id}, type_name="StopWorkload.v1", project="other"
    )
    assert verdict.message == f"There is no workload {workload_id} in project 'other'."
    verdict = await argo.ask(submission(), project="other")
    assert [complaint.field for complaint in verdict.complaints] == ["project"]


@pytest.mark.parametrize(
    ("body", "options", "reason"),
    [
        (b"{", {}, "The body is not JSON"),
        (b"[]", {}, "The body is not a JSON object."),
        (submission(), {"command_id": "4711"}, "The header ce-id is '4711' and must be a UUID."),
        (submission(), {"type_name": "ShutDown.v1"}, "The header ce-type is 'ShutDown.v1' and must be one of"),
        (submission(), {"type_name": "StopWorkload.v1"}, "The header ce-type says StopWorkload.v1, the body does not."),
        (submission(), {"project": "demo.more"}, "A command belongs on muster.intake.<application>.<project>"),
        (b" " * 1_000_001, {}, "The body is larger than 1,000,000 bytes."),
    ],
)
async def test_what_is_not_a_command_is_parked_with_its_reason_and_the_next_one_goes_on(
    argo: Argo, submitter: Submitter, nats_server: RunningNats, body: Any, options: dict[str, str], reason: str
) -> None:
    command_id = await argo.publish(body, **options)
    verdict = await argo.verdict_on(command_id)
    assert (verdict.accepted, verdict.code) == (False, RefusalCode.UNREADABLE)
    (entry,) = await parked(submitter)
    assert entry["reason"].startswith(reason)
    assert (entry["application"], entry["command_id"]) == ("argo", command_id)
    assert (await argo.ask(submission())).accepted
    await nothing_waits(nats_server)


async def test_a_parked_command_is_dropped_by_its_number(argo: Argo, submitter: Submitter) -> None:
    await argo.publish(b"{")
    await argo.publish(b"}")
    first, second = await parked(submitter, 2)
    response = await submitter.client.delete(f"/api/v1/parked/{first['sequence']}")
    assert response.status_code == 202
    assert [entry["sequence"] for entry in await parked(submitter)] == [second["sequence"]]
    for missing in (
        await submitter.client.delete(f"/api/v1/parked/{first['sequence']}"),
        await submitter.client.post(f"/api/v1/parked/{first['sequence']}/replay"),
    ):
        assert missing.status_code == 404, missing.text
        assert missing.json()["message"] == f"No command is parked under number {first['sequence']}."


async def test_pages_of_the_parking_lot_follow_one_another(argo: Argo, submitter: Submitter) -> None:
    for _ in range(3):
        await argo.publish(b"{")
    await parked(submitter, 3)
    page = (await submitter.client.get("/api/v1/parked?limit=2")).json()
    rest = (await submitter.client.get(f"/api/v1/parked?limit=2&after={page['next']}")).json()
    assert (len(page["parked"]), len(rest["parked"]), rest["next"]) == (2, 1, None)


async def test_a_command_that_could_not_be_judged_is_parked_and_replayed_when_the_cause_is_mended(
    argo: Argo,
    nats_server: RunningNats,
    open_journal: OpenJournal,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from muster_submitter.handlers import Desk

    async with submitter_on(nats_server, open_journal, world, intake_deliveries=1) as submitter:
        await submitter.create_project()
        with monkeypatch.context() as broken:

            async def away(*_: Any) -> Any:
                raise Unavailable("The disk is full.")

            broken.setattr(Desk, "submit", away)
            command_id = await argo.publish(submission())
            (entry,) = await parked(submitter)
        assert entry["reason"] == "It was tried 1 times and never judged. The disk is full."
        assert not (await argo.verdict_on(command_id)).accepted
        response = await submitter.client.post(f"/api/v1/parked/{entry['sequence']}/replay")
        assert response.status_code == 202
        verdict = await argo.verdict_on(command_id)
        assert verdict.accepted, verdict
        await parked(submitter, 0)
        await nothing_waits(nats_server)


async def test_commands_wait_while_no_submitter_runs_and_are_judged_in_their_order(
    argo: Argo, nats_server: RunningNats, open_journal: OpenJournal, world: World
) -> None:
    async with submitter_on(nats_server, open_journal, world) as submitter:
        await submitter.create_project()
    ids = [await argo.publish(submission(f"job-{n}")) for n in range(20)]
    async with submitter_on(nats_server, open_journal, world):
        verdicts = [await argo.verdict_on(command_id) for command_id in ids]
    positions = [verdict.position or 0 for verdict in verdicts]
    assert all(verdict.accepted for verdict in verdicts)
    assert positions == sorted(positions)


async def test_commands_are_taken_again_after_nats_was_killed(
    argo: Argo, submitter: Submitter, nats_server: RunningNats
) -> None:
    assert (await argo.ask(submission("before"))).accepted
    nats_server.kill()
    await nats_server.start()
    await until(lambda: argo.client.is_connected)
    assert (await argo.ask(submission("after"))).accepted
    await until(lambda: submitter.service.health.well)


async def test_fifty_http_clients_with_one_key_make_one_workload_on_a_real_journal(
    submitter: Submitter, reader: JetStreamJournal
) -> None:
    answers = await asyncio.gather(*(submitter.submit(idempotency_key="once") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    recorded = await reader.read(Aggregate.WORKLOAD, UUID(answers[0].json()["workload_id"]))
    assert sum(isinstance(each.event, WorkloadSubmitted) for each in recorded) == 1
