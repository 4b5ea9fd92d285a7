"""Bad input through the one origin: one clear sentence, the right status code, and nothing half done."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import nats
import pytest
import pytest_asyncio
from muster_contracts.subjects import intake_subject
from muster_journal.permissions import inbox_prefix
from system.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRAININGS = "/api/v1/workloads/trainings"
TWO_MEGABYTES = 2 * 1024 * 1024
SPEC = {"image": "python:3.12"}
VALID = {"name": "fine", "project": "demo", "spec": SPEC}


@pytest_asyncio.fixture(loop_scope="session")
async def client(shared: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=shared.stack.url, timeout=60) as client:
        yield client


async def submissions(client: httpx.AsyncClient, **parameters: str) -> list[dict[str, Any]]:
    """Return the events of everything that was ever submitted."""
    events: list[dict[str, Any]] = []
    while True:
        after = events[-1]["position"] if events else 0
        page = (await client.get("/api/v1/journal", params={"after": after, "limit": 500, **parameters})).json()
        if not page["events"]:
            return [event for event in events if event["type"].startswith("WorkloadSubmitted")]
        events += page["events"]


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"spec": {**SPEC, "colour": "red"}}, 422, "spec.colour is not a field we know"),
        ({"shape": "round"}, 422, "shape is not a field we know"),
        ({"spec": {**SPEC, "compute": {"gpu_devices": -1}}}, 422, "spec.compute.gpu_devices"),
        ({"name": "Bad_Name"}, 422, "name"),
        ({"name": "a" * 64}, 422, "name"),
        ({"spec": {}}, 422, "spec.image"),
        ({"project": "nowhere"}, 404, "nowhere"),
    ],
    ids=["field", "top-field", "negative", "name", "long-name", "no-image", "project"],
)
async def test_a_body_that_makes_no_sense_is_refused_by_its_field(
    client: httpx.AsyncClient, change: dict[str, Any], status: int, sentence: str
) -> None:
    before = await submissions(client)
    answer = await client.post(TRAININGS, json=VALID | change)
    assert answer.status_code == status, answer.text
    assert_is_problem(answer, sentence)
    assert await submissions(client) == before


async def test_what_is_no_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(TRAININGS, content=b'{"name": ', headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert_is_problem(answer, "not valid JSON")


async def test_an_unknown_path_and_an_unknown_method_are_said(client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        answer = await client.request(method, "/api/v1/nothing")
        assert answer.status_code == 404
        assert_is_problem(answer, "/api/v1/nothing")
    answer = await client.put(TRAININGS, json=VALID)
    assert answer.status_code == 405
    assert_is_problem(answer, f"PUT is not possible at {TRAININGS}")


async def test_an_unknown_workload_is_said_by_queries_and_commands(client: httpx.AsyncClient) -> None:
    nobody = uuid4()
    for method, path in (("GET", ""), ("GET", "/history"), ("POST", "/stop"), ("POST", "/activate"), ("DELETE", "")):
        answer = await client.request(method, f"/api/v1/workloads/{nobody}{path}")
        assert answer.status_code == 404, (method, path, answer.text)
        assert_is_problem(answer, str(nobody))


async def test_a_question_that_makes_no_sense_is_refused(client: httpx.AsyncClient) -> None:
    for question in ("phase=Sleeping", "limit=-1", "limit=many", "filter_by=colour==red", "sort_by=colour"):
        answer = await client.get(f"/api/v1/workloads?{question}")
        assert answer.status_code == 422, (question, answer.text)
        assert_is_problem(answer, "")


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
async def test_a_body_of_two_megabytes_is_refused(client: httpx.AsyncClient, announced: bool) -> None:
    body = json.dumps(VALID | {"spec": {**SPEC, "command": ["x" * TWO_MEGABYTES]}}).encode()
    before = await submissions(client)
    for _ in range(5):
        answer = await client.post(TRAININGS, content=body if announced else in_chunks(body))
        assert answer.status_code == 413, answer.text
        assert_is_problem(answer, "larger than")
    assert await submissions(client) == before


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


async def test_fifty_clients_with_one_key_make_one_workload(client: httpx.AsyncClient) -> None:
    body = VALID | {"name": "wanted-once", "idempotency_key": "once"}
    answers = await asyncio.gather(*(client.post(TRAININGS, json=body) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1, "the same id and position for all"
    made = [event for event in await submissions(client) if event["data"]["name"] == "wanted-once"]
    assert len(made) == 1
    other = await client.post(TRAININGS, json=body | {"spec": {"image": "python:3.11"}})
    assert other.status_code == 409
    assert_is_problem(other, "key")


async def test_fifty_clients_with_one_name_make_one_workload(client: httpx.AsyncClient) -> None:
    body = VALID | {"name": "wanted-by-all"}
    answers = await asyncio.gather(
        *(client.post(TRAININGS, json=body | {"idempotency_key": f"all-{number}"}) for number in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 49


async def test_a_command_that_cannot_be_read_is_parked_listed_replayed_and_dropped(
    shared: Running, client: httpx.AsyncClient
) -> None:
    assert shared.stack.nats is not None
    (argo,) = shared.stack.settings.applications
    bus = await nats.connect(
        shared.stack.nats.url, user=argo.name, password=argo.password, inbox_prefix=inbox_prefix(argo.name)
    )
    headers = {"ce-specversion": "1.0", "ce-id": str(uuid4()), "ce-type": "SubmitWorkload.v1", "ce-source": "argo"}
    await bus.jetstream().publish(intake_subject("argo", "demo"), b"{ no JSON", headers=headers)
    await bus.close()
    (first,) = await parked(client)
    assert (first["application"], first["command_id"]) == ("argo", headers["ce-id"])
    assert first["reason"].startswith("The body is not JSON")
    assert (await client.post(f"/api/v1/parked/{first['sequence']}/replay")).status_code == 202
    (again,) = await parked(client, after=first["sequence"])
    assert again["body"] == first["body"]
    assert (await client.delete(f"/api/v1/parked/{again['sequence']}")).status_code == 202
    assert (await client.get("/api/v1/parked")).json()["parked"] == []
    assert (await client.delete(f"/api/v1/parked/{again['sequence']}")).status_code == 404


async def parked(client: httpx.AsyncClient, *, after: int = 0) -> list[dict[str, Any]]:
    """Wait until something is parked."""
    async with asyncio.timeout(60):
        while True:
            found: list[dict[str, Any]] = (await client.get("/api/v1/parked", params={"after": after})).json()["parked"]
            if found:
                return found
            await asyncio.sleep(0.05)


def assert_is_problem(answer: httpx.Response, sentence: str) -> None:
    """Check the one shape of an error: its own status in it, and one line for people."""
    problem = answer.json()
    assert set(problem) == {"code", "message", "details", "compliance_issues"}
    assert problem["code"] == answer.status_code
    assert sentence in problem["message"]
    assert "\n" not in problem["message"]
    assert problem["message"].endswith(".")
