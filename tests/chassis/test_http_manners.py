"""Every error has one shape, whatever went wrong; bodies over the limit are refused however they come."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_contracts.commands import MAXIMUM_BODY_BYTES, SubmitWorkload
from muster_contracts.errors import Unavailable
from muster_journal.port import Damaged


@pytest.fixture
def health() -> Health:
    return Health("x")


@pytest.fixture
def api(health: Health) -> FastAPI:
    api = make_api("X", health)

    @api.post("/workloads")
    async def submit(_command: SubmitWorkload) -> dict[str, str]:
        return {}

    @api.get("/away")
    async def away() -> None:
        raise Unavailable("The database is away.")

    @api.get("/damaged")
    async def damaged() -> None:
        raise Damaged(7, "it is not JSON.")

    @api.get("/defect")
    async def defect() -> None:
        raise AssertionError("a secret of ours")

    return api


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api, raise_app_exceptions=False), base_url="http://x"
    ) as client:
        yield client


def assert_error(answer: httpx.Response, status: int, sentence: str) -> None:
    body = answer.json()
    assert answer.status_code == status
    assert body["code"] == status
    assert sentence in body["message"]
    assert set(body) == {"code", "message", "details", "compliance_issues"}


async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient) -> None:
    assert_error(await client.get("/nowhere"), 404, "There is nothing at /nowhere.")


async def test_a_method_that_is_not_possible_is_said(client: httpx.AsyncClient) -> None:
    assert_error(await client.put("/workloads"), 405, "PUT is not possible at /workloads.")


async def test_an_event_that_cannot_be_read_is_named(client: httpx.AsyncClient) -> None:
    assert_error(await client.get("/damaged"), 500, "The event at position 7 cannot be read: it is not JSON.")


async def test_a_defect_of_ours_has_the_shape_of_every_error_and_tells_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/defect")
    assert_error(answer, 500, "This is a defect of Muster")
    assert "secret" not in answer.text


async def test_malformed_json_is_unreadable(client: httpx.AsyncClient) -> None:
    answer = await client.post("/workloads", content=b"{", headers={"content-type": "application/json"})
    assert_error(answer, 400, "not valid JSON")


@pytest.mark.parametrize(
    "body",
    [b'{"name": "\xff"}', b"[" * 100_000, b'{"name": ' + b"7" * 5_000 + b"}"],
    ids=["not UTF-8", "nested without end", "a number without end"],
)
async def test_a_body_the_parser_gives_up_on_is_unreadable(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/workloads", content=body, headers={"content-type": "application/json"})
    assert_error(answer, 400, "The body cannot be read as JSON.")
    assert answer.json()["details"] == "Unreadable"


async def test_an_invalid_command_has_a_complaint_for_each_field(client: httpx.AsyncClient) -> None:
    body = {"name": "Hello", "project": "demo", "kind": "training", "spec": {"image": "x", "colour": "red"}}
    answer = await client.post("/workloads", json=body)
    assert_error(answer, 422, "The request is not valid")
    fields = {issue["field"]: issue["details"] for issue in answer.json()["compliance_issues"]}
    assert set(fields) == {"name", "spec.colour"}
    assert fields["spec.colour"] == "is not a field we know"


async def test_a_body_over_the_limit_is_refused_by_its_announced_length(client: httpx.AsyncClient) -> None:
    answer = await client.post("/workloads", content=b"x" * (MAXIMUM_BODY_BYTES + 1))
    assert_error(answer, 413, "larger than 1,000,000 bytes")


async def test_a_body_over_the_limit_is_refused_when_nothing_was_announced(client: httpx.AsyncClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * (MAXIMUM_BODY_BYTES // 2)

    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces():
            yield piece

    answer = await client.post("/workloads", content=stream(), headers={"content-type": "application/json"})
    assert_error(answer, 413, "larger than 1,000,000 bytes")


async def test_what_is_away_now_says_so(client: httpx.AsyncClient) -> None:
    assert_error(await client.get("/away"), 503, "The database is away.")


async def test_health_is_red_while_a_loop_does_not_run(client: httpx.AsyncClient, health: Health) -> None:
    health.runs("fold")
    assert (await client.get("/healthz")).status_code == 200
    health.stopped("fold", "Position 3 cannot be read.")
    answer = await client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["loops"]["fold"] == {"condition": "stopped", "reason": "Position 3 cannot be read."}
