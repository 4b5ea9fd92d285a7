"""The examples in docs/publishing.md are run as they stand there, by applications with no more rights than it says."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import nats
import pytest
from muster_contracts.commands import SubmitWorkload, workload_command
from muster_contracts.events import StopRequested, any_event
from muster_contracts.schemas.asyncapi import HEADERS
from muster_contracts.subjects import INTAKE_STREAM, Writer, verdict_subject
from muster_contracts.values import Caller
from muster_contracts.verdicts import Verdict, encode_verdict
from muster_journal.jetstream import JetStreamJournal
from nats.aio.client import Client
from nats.aio.msg import Msg
from servers import RunningNats

PAGE = (Path(__file__).parent.parent.parent / "docs" / "publishing.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parent / "golden"
DEADLINE_SECONDS = 30
WORKLOAD = UUID(int=7)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def example(name: str) -> str:
    (text,) = (block for block in blocks("python") if block.startswith(f"# {name}\n"))
    return text


@asynccontextmanager
async def running(program: str, *arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_SECONDS):
        return (await process.stdout.readline()).decode().strip()


async def connected(server: RunningNats, user: str) -> Client:
    return await nats.connect(
        server.url, user=user, password=server.password_of(user), inbox_prefix=f"_INBOX.{user}".encode()
    )


async def take_command(submitter: Client) -> Msg:
    """Take the next command as the submitter does."""
    queue = await submitter.jetstream().pull_subscribe_bind("submitter", stream=INTAKE_STREAM)
    (message,) = await queue.fetch(1, timeout=DEADLINE_SECONDS)
    await message.ack_sync()
    return message


async def test_the_example_publishes_a_command_and_hears_its_verdict(nats_server: RunningNats) -> None:
    submitter = await connected(nats_server, "submitter")
    async with running(
        example("publish.py"), nats_server.url, "argo", nats_server.password_of("argo"), "demo"
    ) as application:
        message = await take_command(submitter)
        assert message.subject == "muster.intake.argo.demo"
        assert message.headers is not None
        command = workload_command.validate_json(message.data)
        assert isinstance(command, SubmitWorkload)
        assert message.headers["ce-type"] == command.type
        verdict = Verdict(command_id=message.headers["ce-id"], accepted=True, workload_id=WORKLOAD, position=1)
        headers, body = encode_verdict(verdict, datetime.now(UTC))
        await submitter.publish(verdict_subject("argo"), body, headers=headers)
        assert await line_of(application) == "stored as number 1"
        assert await line_of(application) == f"accepted {WORKLOAD}"
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await application.wait() == 0
    await submitter.close()


async def test_the_example_follows_events_from_a_position_and_misses_none(
    nats_server: RunningNats, open_journal: Callable[..., Awaitable[JetStreamJournal]]
) -> None:
    journal = await open_journal(Writer.SUBMITTER)
    events = [StopRequested(workload_id=UUID(int=number), requested_by=Caller(name="r")) for number in range(1, 4)]
    for event in events[:2]:
        await journal.append(event)
    async with running(
        example("follow.py"), nats_server.url, "auditor", nats_server.password_of("auditor"), "1"
    ) as application:
        assert (await line_of(application)).startswith(f"2 StopRequested.v1 workload/{UUID(int=2)} ")
        await journal.append(events[2])
        assert (await line_of(application)).startswith(f"3 StopRequested.v1 workload/{UUID(int=3)} ")


@pytest.mark.parametrize("name", ["publish.py", "follow.py"])
def test_an_example_needs_no_code_of_ours(name: str) -> None:
    assert not re.search(r"^\s*(from|import) muster", example(name), flags=re.MULTILINE)


def test_the_command_line_example_is_a_command_that_is_taken() -> None:
    (text,) = (block for block in blocks("sh") if " request " in block)
    headers = dict(re.findall(r"--header (\S+?):(\S+)", text))
    (body,) = re.findall(r"'(\{.*\})'", text, flags=re.DOTALL)
    command = workload_command.validate_json(body)
    assert headers["ce-type"] == command.type
    assert UUID(headers["ce-id"])
    assert set(HEADERS["required"]) <= headers.keys() <= HEADERS["properties"].keys()


def test_the_verdicts_on_the_page_are_verdicts() -> None:
    shown = [
        Verdict.model_validate(json.loads(block) | {"workload_id": WORKLOAD}, extra="forbid")
        for block in blocks("json")
    ]
    assert [verdict.accepted for verdict in shown] == [True, False]


def test_the_page_names_every_event_that_answers_a_command() -> None:
    answers = ("WorkloadSubmitted", "StopRequested", "ActivateRequested", "DeleteRequested", "SubmissionRefused")
    for name in answers:
        any_event.validate_json(
            json.dumps(json.loads((GOLDEN / f"{name}.v1.json").read_text(encoding="utf-8"))["body"])
        )
        assert f"`{name}`" in PAGE
