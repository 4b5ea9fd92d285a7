"""How many events a second a fold can read: `JetStreamJournal.follow` from the beginning, every event decoded.

The ceiling: nats-py takes the same messages of the same stream in one pull into a callback that counts them.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from uuid import uuid4

from muster_contracts.subjects import STREAM, Writer
from muster_journal.jetstream import JetStreamJournal
from nats.aio.client import Client
from nats.aio.msg import Msg

from benchmarks.events import submitted
from benchmarks.harness import Benchmark, Contest, Figure, Sample, scaled
from benchmarks.servers import Servers

EVENTS = 20_000
NAME = "journal follow"


@asynccontextmanager
async def _open(scale: float) -> AsyncIterator[Contest]:
    count = scaled(EVENTS, scale)
    async with Servers.open() as servers:
        nats = await servers.nats(durable=False)
        journal, client = await nats.journal(Writer.SUBMITTER), await nats.client()
        await asyncio.gather(*(journal.append(submitted(), expected=0) for _ in range(count)))

        async def ours() -> Sample:
            return {NAME: count / await _follow(journal, count)}

        async def bare() -> Sample:
            return {NAME: count / await _count(client, count)}

        yield Contest(ours, bare)


async def _follow(journal: JetStreamJournal, count: int) -> float:
    began = perf_counter()
    async for batch in journal.follow(0):
        if batch.events and batch.events[-1].position >= count:
            break
    return perf_counter() - began


async def _count(client: Client, count: int) -> float:
    """Return the seconds until a plain consumer has brought so many messages."""
    began = perf_counter()
    arrived, complete = 0, asyncio.get_running_loop().create_future()

    async def on_message(_message: Msg) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == count:
            complete.set_result(None)

    inbox, name = client.new_inbox(), f"bare-{uuid4().hex}"
    subscription = await client.subscribe(inbox, cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1)
    config = {"name": name, "deliver_policy": "all", "ack_policy": "none", "mem_storage": True}
    create = json.dumps({"stream_name": STREAM, "config": config}).encode()
    await client.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.{name}", create)
    await client.publish(
        f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}", json.dumps({"batch": count}).encode(), reply=inbox
    )
    async with asyncio.timeout(60):
        await complete
    seconds = perf_counter() - began
    await subscription.unsubscribe()
    await client.request(f"$JS.API.CONSUMER.DELETE.{STREAM}.{name}")
    return seconds


BENCHMARK = Benchmark("journal-follow", [Figure(NAME, "events/s", "nats-py pulls and counts the same messages")], _open)
