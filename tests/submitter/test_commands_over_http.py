"""The commands on real HTTP: what is answered, in which shape, and that nothing is half done when it is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from muster_contracts.events import ProjectChanged, StopRequested, WorkloadSubmitted
from muster_contracts.subjects import Writer
from muster_contracts.values import Controls
from submitter.story import discovered, job
from submitter.world import Submitter, World, new_world, running


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with new_world() as world:
        yield world


@pytest.fixture
async def submitter(world: World) -> AsyncIterator[Submitter]:
    async with running(world.service()) as submitter:
        response = await submitter.create_project()
        assert response.status_code == 202
        yield submitter


def is_refused(response: httpx.Response, status: int, *fields: str) -> str:
    body = response.json()
    assert response.status_code == status, body
    assert body["code"] == status
    assert [issue["field"] for issue in body["compliance_issues"]] == list(fields)
    message: str = body["message"]
    return message


async def test_a_submission_is_answered_with_its_id_and_position(world: World, submitter: Submitter) -> None:
    response = await submitter.submit()
    assert response.status_code == 202
    answer = response.json()
    events = await world.events(WorkloadSubmitted)
    assert answer == {
        "workload_id": str(events[0].workload_id),
        "name": "hello",
        "project": "demo",
        "position": answer["position"],
    }
    assert world.log.after(answer["position"] - 1, 1)[0].headers["ce-type"] == "WorkloadSubmitted.v1"


async def test_who_asked_and_the_trace_go_into_the_journal(world: World, submitter: Submitter) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-muster-user": "anna", "x-muster-source": "cli", "traceparent": trace}
    body = {"name": "hello", "project": "demo", "spec": {"image": "i"}}
    response = await submitter.client.post("/api/v1/workloads/workspaces", json=body, headers=headers)
    (event,) = await world.events(WorkloadSubmitted)
    assert (event.submitted_by.name, event.submitted_by.source, event.spec.kind) == ("anna", "cli", "workspace")
    assert world.log.after(response.json()["position"] - 1, 1)[0].headers["traceparent"] == trace


async def test_fifty_clients_with_one_key_at_once_make_one_workload(world: World, submitter: Submitter) -> None:
    answers = await asyncio.gather(*(submitter.submit(idempotency_key="once") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(await world.events(WorkloadSubmitted)) == 1


async def test_fifty_clients_through_two_submitters_with_one_key_make_one_workload(world: World) -> None:
    async with running(world.service()) as one, running(world.service()) as two:
        await one.create_project()
        answers = await asyncio.gather(*((one, two)[n % 2].submit(idempotency_key="once") for n in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(await world.events(WorkloadSubmitted)) == 1


async def test_fifty_clients_with_keys_of_their_own_get_the_name_once(world: World, submitter: Submitter) -> None:
    answers = await asyncio.gather(*(submitter.submit() for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 49
    assert len(await world.events(WorkloadSubmitted)) == 1


async def test_the_key_may_stand_in_the_header(submitter: Submitter) -> None:
    body = {"name": "hello", "project": "demo", "spec": {"image": "i"}}
    first, second = [
        await submitter.client.post("/api/v1/workloads/trainings", json=body, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]
    assert first.json() == second.json()
    other = await submitter.client.post(
        "/api/v1/workloads/trainings", json=body | {"idempotency_key": "j"}, headers={"Idempotency-Key": "k"}
    )
    assert "differs from the header" in is_refused(other, 422, "idempotency_key")


async def test_the_same_key_with_another_body_is_a_conflict(submitter: Submitter) -> None:
    await submitter.submit(idempotency_key="once")
    is_refused(await submitter.submit("other", idempotency_key="once"), 409)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": "Not A Name"}, ["name"]),
        ({"spec": {"image": "i", "compute": {"gpu_devices": -1}}}, ["spec.compute.gpu_devices"]),
        (
            {"spec": {"image": "i", "compute": {"gpu_portion_millionths": 500_000}}},
            ["spec.compute.gpu_portion_millionths"],
        ),
        (
            {
                "spec": {
                    "image": "i",
                    "compute": {"gpu_devices": 1, "gpu_portion_millionths": 1, "gpu_memory_bytes": 2**30},
                }
            },
            ["spec.compute.gpu_memory_bytes"],
        ),
        (
            {"spec": {"image": "i", "annotations": {"muster.dev/gpu-fraction": "0.5"}}},
            ["spec.annotations.muster.dev/gpu-fraction"],
        ),
        ({"spec": {"image": "i", "gpus": 1}}, ["spec.gpus"]),
        ({"spec": {}}, ["spec.image"]),
        ({"colour": "red"}, ["colour"]),
        ({"spec": {"image": "", "parallelism": 0}}, ["spec.image", "spec.parallelism"]),
    ],
)
async def test_each_wrong_field_gets_its_complaint_and_nothing_is_done(
    world: World, submitter: Submitter, change: dict[str, Any], fields: list[str]
) -> None:
    before = world.log.end
    is_refused(await submitter.submit(**change), 422, *fields)
    assert world.log.end == before


async def test_what_is_not_json_is_unreadable(submitter: Submitter) -> None:
    response = await submitter.client.post(
        "/api/v1/workloads/trainings", content=b'{"name": ', headers={"content-type": "application/json"}
    )
    assert is_refused(response, 400).startswith("The body is not valid JSON")


async def test_two_megabytes_are_too_much_announced_or_not(submitter: Submitter) -> None:
    body = b'{"name": "' + b"x" * 2_000_000 + b'"}'
    headers = {"content-type": "application/json"}

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    for content in (body, in_pieces()):
        response = await submitter.client.post("/api/v1/workloads/trainings", content=content, headers=headers)
        assert is_refused(response, 413) == "The body is larger than 1,000,000 bytes."


async def test_an_unknown_project_and_an_unknown_workload_are_not_found(submitter: Submitter) -> None:
    assert "no project 'nowhere'" in is_refused(await submitter.submit(project="nowhere"), 404)
    missing = "/api/v1/workloads/00000000-0000-0000-0000-000000000001"
    for response in (
        await submitter.client.post(f"{missing}/stop"),
        await submitter.client.post(f"{missing}/activate"),
        await submitter.client.delete(missing),
    ):
        assert "no workload" in is_refused(response, 404)


async def test_an_id_that_is_none_is_a_complaint(submitter: Submitter) -> None:
    is_refused(await submitter.client.post("/api/v1/workloads/hello/stop"), 422, "workload_id")


async def test_a_deletion_is_answered_with_what_to_know_of_it(world: World, submitter: Submitter) -> None:
    workload_id = UUID((await submitter.submit()).json()["workload_id"])
    controls = Controls(delete=(job("hello"),), warning="It may come back.")
    await world.journal(Writer.INTEGRATIONS).append(discovered(workload_id, controls=controls), expected=0)
    await submitter.submit("after-it-was-read")
    answer = (await submitter.client.delete(f"/api/v1/workloads/{workload_id}")).json()
    assert (answer["workload_id"], answer["warning"]) == (str(workload_id), "It may come back.")


async def test_a_stop_may_follow_a_submission_at_once_and_repeats_at_its_position(
    world: World, submitter: Submitter
) -> None:
    workload_id = (await submitter.submit()).json()["workload_id"]
    answers = [await submitter.client.post(f"/api/v1/workloads/{workload_id}/stop") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(await world.events(StopRequested)) == 1


async def test_a_project_is_created_with_its_namespace_and_only_once(world: World, submitter: Submitter) -> None:
    answers = await asyncio.gather(*(submitter.create_project("physics") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert answers[0].json()["namespace"] == "muster-physics"
    assert len(await world.events(ProjectChanged)) == 2


async def test_a_project_says_what_of_airflow_is_one_workload(world: World, submitter: Submitter) -> None:
    answer = await submitter.create_project("dags", airflow_unit="task")
    assert answer.status_code == 202
    assert {event.name: event.airflow_unit for event in await world.events(ProjectChanged)}["dags"] == "task"
    assert is_refused(await submitter.create_project("other", airflow_unit="pod"), 422, "airflow_unit")


async def test_two_projects_at_once_do_not_get_one_namespace(submitter: Submitter) -> None:
    answers = await asyncio.gather(*(submitter.create_project(name, namespace="shared") for name in ("a", "b", "c")))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409]


async def test_a_command_waits_until_the_journal_was_read_to_its_end(world: World) -> None:
    async with running(world.service()) as submitter:
        await submitter.create_project()
        first = (await submitter.submit(idempotency_key="once")).json()
    async with running(world.service()) as submitter:  # asked before its fold can have read anything
        assert (await submitter.submit(idempotency_key="once")).json() == first


async def test_all_loops_are_well(submitter: Submitter) -> None:
    report = (await submitter.client.get("/healthz")).json()
    assert report["well"], report
    assert {"fold", "workloads", "projects", "deadlines"} <= set(report["loops"])


async def test_every_route_is_described_for_people(submitter: Submitter) -> None:
    document = (await submitter.client.get("/api/v1/submitter/openapi.json")).json()
    operations = [
        operation
        for methods in document["paths"].values()
        for operation in methods.values()
        if "responses" in operation
    ]
    assert len(operations) >= 6
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert "422" in operation["responses"]
