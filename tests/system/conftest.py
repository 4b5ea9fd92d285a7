"""The whole local stack as processes, on free ports, with its data in a temporary folder: what `muster up` runs.

`shared` is one stack for all tests that only use Muster; they run on the loop of the session, because the supervisor
lives there, and each takes names of its own. `running` is a stack of one test, which may break it.
"""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats
import pytest
import pytest_asyncio
from muster_contracts.subjects import Aggregate, Subject, Writer
from muster_journal.permissions import ADMINISTRATOR, Application, inbox_prefix
from muster_local.stack import LocalStack, StackSettings, local_stack
from muster_local.up import create_demo_project
from servers import free_port
from system.life import World, world_of

MUSTER = Path(sys.executable).parent / "muster"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Running:
    """A running stack, and its user at the command line."""

    stack: LocalStack

    async def muster(self, *arguments: str, code: int | None = 0, timeout_seconds: float = 120) -> Ran:
        """Type a `muster` command; its exit code must be `code` unless that is None."""
        ran = await run([str(MUSTER), *arguments], timeout_seconds=timeout_seconds, MUSTER_URL=self.stack.url)
        assert code is None or ran.code == code, f"muster {' '.join(arguments)}: {ran}"
        return ran

    async def kubectl(self, *arguments: str) -> Ran:
        """Type a `kubectl` command against the stack's cluster."""
        ran = await run(["kubectl", *arguments], KUBECONFIG=str(self.stack.kubeconfig))
        assert ran.code == 0, f"kubectl {' '.join(arguments)}: {ran}"
        return ran


async def run(command: list[str], *, timeout_seconds: float = 120, **environment: str) -> Ran:
    """Run a command to its end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "COLUMNS": "200", **environment},
    )
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ran(process.returncode or 0, out.decode(), err.decode())


async def write_garbage(stack: LocalStack) -> int:
    """Write what no service could, as the administrator; return its position."""
    assert stack.nats is not None
    password = stack.folder.secrets().administrator
    client = await nats.connect(
        stack.nats.url, user=ADMINISTRATOR, password=password, inbox_prefix=inbox_prefix(ADMINISTRATOR)
    )
    subject = Subject(Aggregate.WORKLOAD, uuid4(), Writer.SUBMITTER)
    headers = {"ce-id": str(uuid4()), "ce-type": "WorkloadSubmitted.v1", "ce-time": "2026-01-01T00:00:00Z"}
    stored = await client.jetstream().publish(str(subject), b"{ garbage", headers=headers)
    await client.close()
    return stored.seq


@contextlib.asynccontextmanager
async def running_stack(state: Path, *applications: Application, **environment: str) -> AsyncIterator[Running]:
    """Run a stack with the project `demo` for as long as the block lasts."""
    settings = StackSettings(state, port=free_port(), durable=False, applications=applications, environment=environment)
    async with local_stack(settings, report=print) as stack:
        await create_demo_project(stack.url)
        yield Running(stack)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A stack of this test alone."""
    async with running_stack(tmp_path / "state") as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """The stack of all tests that leave it as well as they found it; the application `argo` may use its bus."""
    argo = Application("argo", secrets.token_urlsafe(12))
    state = tmp_path_factory.mktemp("shared") / "state"
    async with running_stack(state, argo, MUSTER_SUBMITTER_QUIET_SECONDS="8") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def world(shared: Running) -> AsyncIterator[World]:
    """The cluster of the shared stack and its Muster."""
    async with world_of(shared) as world:
        yield world
