"""Departments, node pools and the settings of projects, over real HTTP: what is put is what stands in the journal."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from muster_contracts.events import DepartmentChanged, NodePoolChanged, ProjectChanged, WorkloadGone
from muster_contracts.subjects import Writer
from submitter.world import SECONDS, Submitter, World, new_world, running

POOL = {"label_key": "gpu", "label_value": "a100"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as world:
        yield world


@pytest.fixture
async def submitter(world: World) -> AsyncIterator[Submitter]:
    async with running(world.service()) as submitter:
        assert (await submitter.create_project()).status_code == 202
        yield submitter


async def put(submitter: Submitter, path: str, body: dict[str, Any], **query: Any) -> httpx.Response:
    return await submitter.client.put(f"/api/v1{path}", json=body, params=query)


async def remove(submitter: Submitter, path: str) -> httpx.Response:
    return await submitter.client.delete(f"/api/v1{path}")


def sentence(response: httpx.Response, status: int) -> str:
    body = response.json()
    assert response.status_code == status, body
    return str(body["message"])


async def test_quotas_of_a_project_are_set_whole(world: World, submitter: Submitter) -> None:
    assert (await put(submitter, "/node-pools/a100", POOL)).status_code == 202
    quota = {"node_pool": "a100", "gpu_millionths": 3_000_000, "gpu_limit_millionths": None, "over_quota_weight": 3}
    assert (await put(submitter, "/projects/demo", {"quotas": [quota], "node_pools": ["a100"]})).status_code == 202
    answer = await put(submitter, "/projects/demo", {"quotas": [{"gpu_millionths": None}]})
    *_, before, last = await world.events(ProjectChanged)
    assert (before.quotas[0].node_pool, before.quotas[0].gpu_millionths, before.node_pools) == (
        "a100",
        3_000_000,
        ("a100",),
    )
    assert (last.namespace, last.node_pools, last.quotas[0].gpu_millionths) == ("muster-demo", (), None)
    assert answer.json()["id"] == str(last.project_id)


async def test_what_is_so_already_is_not_written_again(world: World, submitter: Submitter) -> None:
    first = await put(submitter, "/departments/research", {"quotas": [{"gpu_millionths": 8_000_000}]})
    again = await put(submitter, "/departments/research", {"quotas": [{"gpu_millionths": 8_000_000}]})
    assert first.json() == again.json()
    assert len(await world.events(DepartmentChanged)) == 1


async def test_who_read_an_older_version_is_refused(submitter: Submitter) -> None:
    read = (await put(submitter, "/departments/research", {}, version=0)).json()["position"]
    assert (await put(submitter, "/departments/research", {"preempt_minimum_seconds": 60}, version=read)).is_success
    late = await put(submitter, "/departments/research", {"preempt_minimum_seconds": 90}, version=read)
    assert "Somebody else changed department 'research'" in sentence(late, 409)


async def test_names_in_the_organisation_must_exist(submitter: Submitter) -> None:
    assert "names 'nowhere', which is not a department; there is default" in sentence(
        await put(submitter, "/projects/demo", {"department": "nowhere"}), 422
    )
    assert "names 'h100', which is not a node pool" in sentence(
        await put(submitter, "/projects/demo", {"quotas": [{"node_pool": "h100"}]}), 422
    )
    assert "There is no project 'other'" in sentence(await put(submitter, "/projects/other", {}), 404)
    assert "names 'nowhere', which is not a department; there is default" in sentence(
        await put(submitter, "/departments/d", {"parent": "nowhere"}), 422
    )


async def test_a_department_is_never_above_itself(submitter: Submitter) -> None:
    await put(submitter, "/departments/top", {})
    await put(submitter, "/departments/middle", {"parent": "top"})
    assert "above itself" in sentence(await put(submitter, "/departments/top", {"parent": "middle"}), 422)
    assert (await put(submitter, "/departments/low", {"parent": "middle"})).is_success


async def test_a_label_makes_one_node_pool(world: World, submitter: Submitter) -> None:
    assert "label_key is required" in sentence(await put(submitter, "/node-pools/a100", {}), 422)
    assert "must be empty" in sentence(await put(submitter, "/node-pools/default", POOL), 422)
    assert (await put(submitter, "/node-pools/a100", POOL)).is_success
    assert "has the label gpu=a100 already" in sentence(await put(submitter, "/node-pools/other", POOL), 409)
    assert (await put(submitter, "/node-pools/default", {"gpu_placement": "spread"})).is_success
    assert [pool.name for pool in await world.events(NodePoolChanged)] == ["a100", "default"]


async def test_what_is_in_use_is_not_removed(world: World, submitter: Submitter) -> None:
    await put(submitter, "/departments/research", {})
    await put(submitter, "/node-pools/a100", POOL)
    await put(submitter, "/projects/demo", {"department": "research", "node_pools": ["a100"]})
    assert "has project 'demo'" in sentence(await remove(submitter, "/departments/research"), 409)
    assert "is named by project 'demo'" in sentence(await remove(submitter, "/node-pools/a100"), 409)
    await put(submitter, "/projects/demo", {})
    assert (await remove(submitter, "/departments/research")).is_success
    assert (await remove(submitter, "/node-pools/a100")).is_success
    assert (await world.events(DepartmentChanged))[-1].removed
    assert sentence(await remove(submitter, "/departments/research"), 404) == "There is no department 'research'."


async def test_a_project_is_removed_when_its_last_workload_is_gone(world: World, submitter: Submitter) -> None:
    hello = (await submitter.submit()).json()["workload_id"]
    assert sentence(await remove(submitter, "/projects/demo"), 409) == (
        "Project 'demo' has workload 'hello', so it cannot be removed."
    )
    gone = WorkloadGone(workload_id=UUID(hello), end_seen=True)
    await world.journal(Writer.INTEGRATIONS).append(gone, expected=0)
    async with asyncio.timeout(SECONDS):
        while (answer := await remove(submitter, "/projects/demo")).status_code == 409:
            pass  # until the fold has read on
    assert answer.is_success
    assert "There is no project 'demo'" in sentence(await submitter.submit("late"), 404)
    assert world.namespace() is not None
    assert (await submitter.create_project()).is_success


async def test_a_node_pool_that_is_not_there_is_no_place_to_submit_to(submitter: Submitter) -> None:
    spec = {"image": "python:3.12", "node_pools": ["default", "h100"]}
    assert sentence(await submitter.submit(spec=spec), 422) == (
        "The request is not valid: spec.node_pools names 'h100', which is not a node pool; there is default."
    )
    await put(submitter, "/node-pools/h100", POOL)
    assert (await submitter.submit(spec=spec)).is_success


async def test_a_limit_below_the_quota_and_two_quotas_for_one_pool_are_complaints(submitter: Submitter) -> None:
    too_low = {"gpu_millionths": 2_000_000, "gpu_limit_millionths": 1_000_000}
    assert "must not limit to 1 GPUs below a quota of 2" in sentence(
        await put(submitter, "/projects/demo", {"quotas": [too_low]}), 422
    )
    assert "one entry for each node pool" in sentence(await put(submitter, "/projects/demo", {"quotas": [{}, {}]}), 422)
