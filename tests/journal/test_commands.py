"""What the administrator types before any service starts, on a server that stands alone."""

import asyncio

import pytest
from muster_journal.__main__ import main, password_variable
from servers import RunningNats


@pytest.mark.parametrize(
    ("replicas", "code", "said"),
    [
        ("", 2, "MUSTER_NATS_REPLICAS is ''; streams have 1, 3 or 5 replicas."),
        ("2", 2, "MUSTER_NATS_REPLICAS is '2'; streams have 1, 3 or 5 replicas."),
        ("3", 2, "exists with other settings: num_replicas is 1 and must be 3."),
        ("1", 0, ""),
    ],
)
async def test_streams_are_provisioned_with_the_replicas_that_are_asked_for(
    nats_server: RunningNats, capsys: pytest.CaptureFixture[str], replicas: str, code: int, said: str
) -> None:
    environment = {
        "MUSTER_NATS_URL": nats_server.url,
        "MUSTER_NATS_REPLICAS": replicas,
        password_variable("administrator"): nats_server.server.settings.administrator_password,
    }
    assert await asyncio.to_thread(main, ["provision"], environment) == code
    assert said in capsys.readouterr().err
