"""Every example is accepted as it is, and becomes what it says it shows."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from muster_contracts.commands import SubmitWorkload, workload_command
from muster_contracts.names import SCHEDULER_NAME
from submitter.world import Submitter, World, new_world, running, until

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
REQUESTS = sorted(path.name for path in EXAMPLES.glob("*.yaml") if "apiVersion:" not in path.read_text())
JOBS = sorted(path.name for path in EXAMPLES.glob("*.yaml") if "apiVersion: batch/v1" in path.read_text())
"""Plain Jobs; the objects of other systems are followed through their lives by `tests/system/test_lives.py`."""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as world:
        yield world


@pytest.fixture
async def submitter(world: World) -> AsyncIterator[Submitter]:
    async with running(world.service()) as submitter:
        await submitter.create_project()
        await until(world.namespace)
        yield submitter


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    return content


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_is_accepted_and_becomes_a_job(name: str, world: World, submitter: Submitter) -> None:
    body = read(name)
    kind = body.pop("kind")
    response = await submitter.client.post(f"/api/v1/workloads/{kind}s", json=body)
    assert response.status_code == 202, response.text
    job = await until(lambda: world.job(body["name"]))
    assert job["metadata"]["labels"]["muster.dev/workload-kind"] == kind


async def test_a_command_of_the_bus_is_valid() -> None:
    command = workload_command.validate_python(json.loads((EXAMPLES / "bus-command.json").read_text()))
    assert isinstance(command, SubmitWorkload)


@pytest.mark.parametrize("name", JOBS)
async def test_an_object_is_taken_by_kubernetes_and_names_our_scheduler(
    name: str, world: World, submitter: Submitter
) -> None:
    body = read(name)
    created = world.simulated.client.create("jobs.batch", body)
    assert created["spec"]["template"]["spec"]["schedulerName"] == SCHEDULER_NAME
    assert created["metadata"]["namespace"] == "muster-demo"


def test_every_example_is_listed() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"[`{path.name}`]({path.name})" in listed, path.name
