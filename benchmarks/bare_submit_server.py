"""The ceiling of a submission: FastAPI and uvicorn as the services run them, and one acknowledged publish per request.

Nothing is checked, decided or folded. Started by `submissions` as a process: `python -m benchmarks.bare_submit_server
URL PASSWORD PORT`.
"""

import asyncio
import gc
import sys
from itertools import count

import uvicorn
import uvloop
from fastapi import FastAPI, Request
from muster_journal.permissions import ADMINISTRATOR, inbox_prefix
from nats.aio.client import Client
from nats.js.client import JetStreamContext


def application(context: JetStreamContext) -> FastAPI:
    """Return the application."""
    api = FastAPI()
    numbers = count()

    @api.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {}

    @api.post("/", status_code=202)
    async def publish(request: Request) -> dict[str, int]:
        acknowledged = await context.publish(f"bare.{next(numbers)}", await request.body())
        return {"position": acknowledged.seq}

    return api


async def serve(url: str, password: str, port: int) -> None:
    """Connect and serve until a signal."""
    client = Client()
    await client.connect(url, user=ADMINISTRATOR, password=password, inbox_prefix=inbox_prefix(ADMINISTRATOR))
    config = uvicorn.Config(
        application(client.jetstream()), port=port, log_config=None, access_log=False, lifespan="off", backlog=2048
    )
    gc.freeze()
    await uvicorn.Server(config).serve()
    await client.close()


if __name__ == "__main__":
    gc.set_threshold(50_000, 50, 100)
    uvloop.run(asyncio.wait_for(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])), None))
