"""How the parts of a stack are given their ports and found to be there."""

import pytest
from aiohttp import web
from muster_local.stack import free_ports, has_come_up


def test_no_two_parts_are_given_one_port() -> None:
    ports = free_ports(500)  # taken one by one, some would come twice
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize(("name", "expected"), [("submitter", True), ("scheduler", False)])
async def test_a_service_has_not_come_up_when_another_answers_in_its_place(name: str, expected: bool) -> None:
    async def health(_request: web.BaseRequest) -> web.Response:
        return web.json_response({"service": "submitter", "well": True, "loops": {}})

    runner = web.ServerRunner(web.Server(health))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        assert await has_come_up(name, f"http://127.0.0.1:{port}/healthz")() is expected
    finally:
        await runner.cleanup()
