"""What Prometheus reads is what the health says."""

import httpx
from muster_chassis.health import Health
from muster_chassis.http import make_api
from muster_chassis.metrics import metrics_text


def samples(health: Health) -> set[str]:
    return {line for line in metrics_text(health).splitlines() if not line.startswith("#")}


def test_every_loop_tells_whether_it_runs_and_readers_how_far_they_are() -> None:
    health = Health("scheduler")
    health.runs("fold")
    health.reached("fold", position=7, end=10)
    health.stopped("planning", "Position 3 cannot be read.")
    assert samples(health) == {
        'muster_loop_running{service="scheduler",loop="fold"} 1',
        'muster_loop_running{service="scheduler",loop="planning"} 0',
        'muster_loop_position{service="scheduler",loop="fold"} 7',
        'muster_loop_behind{service="scheduler",loop="fold"} 3',
    }


def test_a_name_cannot_break_out_of_its_label() -> None:
    health = Health("x")
    health.runs('watch "jobs"\\\n')
    assert samples(health) == {r'muster_loop_running{service="x",loop="watch \"jobs\"\\\n"} 1'}


async def test_metrics_are_served_even_while_the_service_is_not_well() -> None:
    health = Health("x")
    health.waits("fold", "NATS is away.")
    transport = httpx.ASGITransport(make_api("X", health))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'muster_loop_running{service="x",loop="fold"} 0\n' in answer.text
