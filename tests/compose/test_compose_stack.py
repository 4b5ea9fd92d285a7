"""The default profile of docker-compose.yml, built and run by a Docker engine, driven by the README's session.

Images come from the variables of docs/compose.md, so that it also runs where none can be pulled. Containers, networks
and volumes are removed whatever happens; images stay, for the next build is quick then.
"""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from compose.composition import ROOT, services
from servers import free_port

pytestmark = pytest.mark.compose

SERVICES = ("submitter", "scheduler", "status", "integrations")
STAY = tuple(name for name, each in services().items() if "profiles" not in each and "restart" in each)
READY_SECONDS = 120


@dataclass(frozen=True)
class Stack:
    """A running project of Compose."""

    compose: tuple[str, ...]
    environment: dict[str, str]

    def do(self, *arguments: str) -> str:
        """Run Compose and return what it printed."""
        return checked([*self.compose, *arguments], self.environment)

    def muster(self, *arguments: str) -> str:
        """Run the command line against the origin and return what it printed."""
        return checked([str(Path(sys.executable).with_name("muster")), *arguments], self.environment)

    def workloads(self) -> httpx.Response:
        """Ask the origin for the workloads."""
        return httpx.get(f"{self.environment['MUSTER_URL']}/api/v1/workloads", timeout=30)

    def container(self, name: str) -> Any:
        """Return what the engine knows of the container of a service."""
        identity = self.do("ps", "--quiet", name).strip()
        return json.loads(checked(["docker", "inspect", identity], self.environment))[0]


def checked(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"{command} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def compose_command() -> tuple[str, ...]:
    """Return the Compose of this machine: the plugin, or the program of its own."""
    plugin = ["docker", "compose", "version"]
    if shutil.which("docker") and subprocess.run(plugin, capture_output=True, check=False).returncode == 0:
        return ("docker", "compose")
    return ("docker-compose",)


def refuse_without_an_engine() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode
    ):
        pytest.fail("There is no Docker engine here; `make test` checks docker-compose.yml without one.")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    refuse_without_an_engine()
    port = str(free_port())
    environment = os.environ | {"MUSTER_PORT": port, "MUSTER_URL": f"http://127.0.0.1:{port}"}
    environment |= {"MUSTER_TAG": "compose-test", "MUSTER_PROJECT": ""}
    project = f"muster-test-{secrets.token_hex(3)}"
    running = Stack((*compose_command(), "--project-name", project), environment)
    running.do("build")
    try:
        running.do("up", "--detach")
        yield running
    finally:
        running.do("down", "--volumes", "--remove-orphans")


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; say what did not come."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # the engine tells by being asked
                await asyncio.sleep(0.5)
    except TimeoutError:
        pytest.fail(f"{what} did not come within {READY_SECONDS} seconds")


async def until_well(stack: Stack) -> None:
    def well() -> bool:
        return all(stack.container(name)["State"].get("Health", {}).get("Status") == "healthy" for name in STAY)

    await until(well, f"the health of {', '.join(STAY)}")


async def test_the_session_of_the_readme_runs_against_the_containers(stack: Stack) -> None:
    await until_well(stack)
    stack.muster("project", "create", "demo")
    stack.muster("submit", "training", "hello", "--project", "demo", "--gpu", "1", "--", "python", "train.py")
    stack.muster("wait", "hello", "--for", "Completed", "--timeout", "90s")
    assert phases(stack, "hello") == ["Creating", "Pending", "Initializing", "Running", "Completed"]
    assert json.loads(stack.muster("audit", "verify", "-o", "json"))["ok"]
    system = json.loads(stack.muster("status", "-o", "json"))
    assert system["well"]
    assert {service["service"] for service in system["services"]} == set(SERVICES)


def phases(stack: Stack, workload: str) -> list[str]:
    records = json.loads(stack.muster("history", workload, "-o", "json"))["records"]
    return [record["current"] for record in records if record["type"] == "PhaseChanged"]


async def test_what_was_stored_is_there_after_a_new_start(stack: Stack) -> None:
    await until_well(stack)
    stack.muster("submit", "training", "before", "--project", "demo", "--", "python", "train.py")
    stack.muster("wait", "before", "--for", "Completed", "--timeout", "90s")
    stack.do("down")
    stack.do("up", "--detach")
    await until_well(stack)
    assert phases(stack, "before")[-1] == "Completed"
    stack.muster("submit", "training", "after", "--project", "demo", "--gpu", "1", "--", "python", "train.py")
    stack.muster("wait", "after", "--for", "Completed", "--timeout", "90s")
    assert json.loads(stack.muster("audit", "verify", "-o", "json"))["ok"]


async def test_the_origin_says_that_a_service_is_away_as_muster_up_does(stack: Stack) -> None:
    await until_well(stack)
    stack.do("stop", "status")
    answer = await asyncio.to_thread(stack.workloads)
    assert (answer.status_code, answer.json()["details"]) == (503, "Unavailable")
    stack.do("start", "status")
    await until_well(stack)
    assert (await asyncio.to_thread(stack.workloads)).status_code == 200


@pytest.mark.parametrize("name", [*SERVICES, "cluster", "edge"])
def test_nothing_of_ours_runs_as_root(stack: Stack, name: str) -> None:
    assert stack.container(name)["Config"]["User"] == "65532:65532"
    assert stack.container(name)["HostConfig"]["ReadonlyRootfs"]
