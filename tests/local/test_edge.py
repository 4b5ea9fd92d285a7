"""The edge between real servers: who gets which request, and that bodies pass as they come."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from muster_contracts.errors import Refused
from muster_local.edge import edge
from servers import free_port
from yarl import URL

HOST = "127.0.0.1"
Handler = Callable[[web.Request], Any]


@dataclass
class Service:
    """A server that says who it is, or does what a test tells it."""

    name: str
    behave: Handler | None = None
    url: str = ""
    seen: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        if self.behave is not None:
            response: web.StreamResponse = await self.behave(request)
            return response
        return web.json_response({"service": self.name, "target": request.raw_path, "body": await request.text()})


@asynccontextmanager
async def served(service: Service) -> AsyncIterator[Service]:
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    service.url = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


@dataclass
class Origin:
    """The edge with its two services, and somebody who asks."""

    client: aiohttp.ClientSession
    status: Service
    submitter: Service


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    status, submitter = Service("status"), Service("submitter")
    async with (
        served(status),
        served(submitter),
        edge(HOST, 0, submitter=submitter.url, status=status.url) as url,
        aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=10)) as client,
    ):
        yield Origin(client, status, submitter)


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("GET", "/api/v1/workloads?project=demo&filter_by=name%3D%3Da%2Fb", "status"),
        ("OPTIONS", "/api/v1/workloads", "status"),
        ("POST", "/api/v1/workloads/trainings", "submitter"),
        ("DELETE", "/api/v1/workloads/1", "submitter"),
        ("PUT", "/anything", "submitter"),
        ("GET", "/api/v1/parked", "submitter"),
        ("GET", "/api/v1/policies/effective?project=demo", "submitter"),
        ("GET", "/connect/token", "submitter"),
        ("GET", "/healthz", "status"),
    ],
)
async def test_a_request_goes_by_its_method_and_path_as_it_was_written(
    origin: Origin, method: str, path: str, service: str
) -> None:
    target = URL(path, encoded=True)
    async with origin.client.request(method, target) as answer:
        assert await answer.json() == {"service": service, "target": path, "body": ""}


async def test_headers_status_and_a_large_body_pass_both_ways(origin: Origin) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(status=202, body=await request.read(), headers={"x-seen": request.headers["x-muster-user"]})

    origin.submitter.behave = echo
    body = bytes(range(256)) * 40_000
    async with origin.client.post("/api/v1/projects", data=body, headers={"x-muster-user": "ada"}) as answer:
        assert (answer.status, answer.headers["x-seen"]) == (202, "ada")
        assert await answer.read() == body


async def test_a_body_of_unknown_length_is_passed_on_while_it_is_written(origin: Origin) -> None:
    first_arrived = asyncio.Event()

    async def count(request: web.Request) -> web.Response:
        received = 0
        async for chunk in request.content.iter_any():
            received += len(chunk)
            first_arrived.set()
        return web.Response(text=str(received))

    async def written() -> AsyncIterator[bytes]:
        yield b"first"
        await first_arrived.wait()
        yield b"second"

    origin.submitter.behave = count
    async with origin.client.post("/api/v1/projects", data=written()) as answer:
        assert await answer.text() == "11"


async def test_server_sent_events_pass_one_by_one(origin: Origin) -> None:
    more = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"id: 1\n\n")
        await more.wait()
        await response.write(b"id: 2\n\n")
        return response

    origin.status.behave = stream
    async with origin.client.get("/api/v1/stream", headers={"last-event-id": "0"}) as answer:
        assert answer.content_type == "text/event-stream"
        assert await answer.content.readany() == b"id: 1\n\n"
        more.set()
        assert await answer.content.read() == b"id: 2\n\n"
    assert origin.status.seen[0].headers["last-event-id"] == "0"


async def test_who_stops_listening_to_a_silent_stream_ends_it_at_the_service(origin: Origin) -> None:
    ended = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"hello\n")
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return response

    origin.status.behave = silent
    async with origin.client.get("/api/v1/workloads/1/logs?follow=true") as answer:
        assert await answer.content.readline() == b"hello\n"
        answer.close()
    async with asyncio.timeout(10):
        await ended.wait()
    assert ended.is_set()


async def test_half_an_answer_does_not_look_like_a_whole_one(origin: Origin) -> None:
    async def dies(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    origin.status.behave = dies
    with pytest.raises(aiohttp.ClientError):
        async with origin.client.get("/api/v1/workloads") as answer:
            await answer.read()


async def test_a_service_that_is_away_is_unavailable_in_the_shape_of_every_error() -> None:
    nobody = f"http://{HOST}:{free_port()}"
    async with edge(HOST, 0, submitter=nobody, status=nobody) as url, aiohttp.ClientSession(url) as client:
        for method, path in (
            ("GET", "/api/v1/workloads"),
            ("POST", "/api/v1/projects"),
            ("GET", "/api/v1/openapi.json"),
        ):
            async with client.request(method, path) as answer:
                body = await answer.json()
                assert answer.status == 503
                assert set(body) == {"code", "message", "details", "compliance_issues"}
                assert "try again" in body["message"]


async def test_a_service_that_hangs_up_without_a_word_is_unavailable(origin: Origin) -> None:
    async def hangs_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    origin.submitter.behave = hangs_up
    async with origin.client.post("/api/v1/projects", data=b"{}") as answer:
        assert answer.status == 503
        assert "The connection to the service broke" in (await answer.json())["message"]


async def test_an_error_of_a_service_is_passed_on_as_it_is(origin: Origin) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"code": 409, "message": "It is taken."}, status=409)

    origin.submitter.behave = refuse
    async with origin.client.post("/api/v1/projects") as answer:
        assert answer.status == 409
        assert (await answer.json())["message"] == "It is taken."


async def test_a_taken_port_is_refused_with_the_way_out(origin: Origin) -> None:
    taken = int(origin.status.url.rpartition(":")[2])
    with pytest.raises(Refused, match="choose another one with --port"):
        async with edge(HOST, taken, submitter="", status=""):
            raise AssertionError("it was opened")


async def test_a_browser_at_the_origin_sees_a_page_and_a_program_the_same_as_json(origin: Origin) -> None:
    async with origin.client.get("/", headers={"accept": "text/html,*/*"}) as answer:
        assert answer.content_type == "text/html"
        page = await answer.text()
    async with origin.client.get("/") as answer:
        links = (await answer.json())["links"]
    assert links
    assert all(f'href="{link}"' in page for link in links.values())


def document(path: str, method: str, **schemas: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{next(iter(schemas))}"}}}
    operation = {"responses": {"200": {"content": content}}}
    return {"openapi": "3.1.0", "paths": {path: {method: operation}}, "components": {"schemas": schemas}}


async def test_the_api_is_described_as_one(origin: Origin) -> None:
    """Operations on one path stand together; equal schemas are one; of two that differ, both remain."""
    problem, one, other = {"type": "object"}, {"type": "string"}, {"type": "integer"}

    def describes(described: dict[str, Any]) -> Handler:
        async def answer(_request: web.Request) -> web.Response:
            return web.json_response(described)

        return answer

    origin.status.behave = describes(document("/api/v1/projects", "get", Project=one, Problem=problem))
    origin.submitter.behave = describes(document("/api/v1/projects", "post", Project=other, Problem=problem))
    async with origin.client.get("/api/v1/openapi.json") as answer:
        merged = await answer.json()
    assert set(merged["paths"]["/api/v1/projects"]) == {"get", "post"}
    assert merged["components"]["schemas"] == {"Project": one, "SubmitterProject": other, "Problem": problem}
    assert '"#/components/schemas/SubmitterProject"' in json.dumps(merged["paths"]["/api/v1/projects"]["post"])
    assert [origin.status.seen[0].path, origin.submitter.seen[0].path] == [
        "/api/v1/status/openapi.json",
        "/api/v1/submitter/openapi.json",
    ]
