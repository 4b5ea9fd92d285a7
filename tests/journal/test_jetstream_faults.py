"""What the journal does when the network or the server fails: nothing is lost, nothing is there twice."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from journal.conformance import everything, first, following, gone, next_batch, positions, stop
from journal.proxy import Proxy
from muster_contracts.errors import Unavailable
from muster_contracts.subjects import STREAM, Aggregate, Writer
from muster_journal.jetstream import JetStreamJournal
from muster_journal.port import ANYTHING, Conflict, Damaged
from nats.js.api import StreamConfig
from servers import RunningNats

DEADLINE_SECONDS = 30
OpenJournal = Callable[..., Awaitable[JetStreamJournal]]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await condition():  # noqa: ASYNC110  # what it asks about is in another process
            await asyncio.sleep(0.01)


@pytest.fixture
async def proxy(nats_server: RunningNats) -> AsyncIterator[Proxy]:
    async with Proxy(nats_server.port) as between:
        yield between


@pytest.mark.parametrize(
    ("expected", "event_id"),
    [(0, None), (ANYTHING, None), (ANYTHING, uuid4())],
    ids=["expecting nothing there", "expecting anything", "expecting anything, repeatable"],
)
async def test_an_append_whose_answer_was_lost_is_there_once(
    open_journal: OpenJournal, proxy: Proxy, expected: int, event_id: UUID | None
) -> None:
    journal, witness = await open_journal(Writer.SUBMITTER, url=proxy.url), await open_journal(Writer.STATUS)
    await journal.append(stop(uuid4()))  # so that it already listens for answers
    workload = uuid4()
    if event_id is None:
        proxy.to_client.swallowing = True
        appending = asyncio.create_task(journal.append(stop(workload), expected=expected))
    else:  # its read-back must come through first, only the acknowledgement is lost
        appending = asyncio.create_task(journal.append(stop(workload), expected=expected, event_id=event_id))
        await until(lambda: _said(proxy, b"HPUB muster.events", 2))
        proxy.to_client.swallowing = True

    async def stored() -> bool:
        return await witness.end() == 2

    await until(stored)
    proxy.cut()
    assert await appending == 2
    assert positions(await everything(witness)) == [1, 2]


async def _said(proxy: Proxy, word: bytes, times: int) -> bool:
    return proxy.sent_by_client(word) >= times


async def test_an_append_whose_answer_is_late_is_sent_again_and_is_there_once(
    open_journal: OpenJournal, proxy: Proxy
) -> None:
    journal, witness = await open_journal(Writer.SUBMITTER, url=proxy.url), await open_journal(Writer.STATUS)
    proxy.to_client.passing.clear()
    appending = asyncio.create_task(journal.append(stop(uuid4()), expected=0))
    await until(lambda: _said(proxy, b"HPUB muster.events", 2))
    proxy.to_client.passing.set()
    assert await appending == 1
    assert positions(await everything(witness)) == [1]


async def test_an_append_that_never_arrived_is_a_conflict_when_a_rival_came_first(
    open_journal: OpenJournal, proxy: Proxy
) -> None:
    journal, rival = await open_journal(Writer.SUBMITTER, url=proxy.url), await open_journal(Writer.SUBMITTER)
    workload = uuid4()
    proxy.to_server.swallowing = True
    appending = asyncio.create_task(journal.append(stop(workload), expected=0))
    await until(lambda: _said(proxy, b"HPUB muster.events", 1))
    assert await rival.append(stop(workload), expected=0) == 1
    proxy.cut()
    with pytest.raises(Conflict) as conflict:
        await appending
    assert conflict.value.actual == 1


async def test_an_append_that_is_in_doubt_is_unavailable_and_repeating_it_settles_it(
    nats_server: RunningNats, open_journal: OpenJournal, proxy: Proxy
) -> None:
    witness = await open_journal(Writer.STATUS)
    journal = await JetStreamJournal.connect(
        [proxy.url],
        Writer.SUBMITTER,
        user="submitter",
        password=nats_server.password_of("submitter"),
        now=lambda: datetime.now(UTC),
        patience_seconds=1,
    )
    workload, event_id = uuid4(), uuid4()
    proxy.to_client.swallowing = True
    with pytest.raises(Unavailable, match="It is not known whether"):
        await journal.append(stop(workload), expected=0, event_id=event_id)
    proxy.cut()

    async def settled() -> bool:
        try:
            return await journal.append(stop(workload), expected=0, event_id=event_id) == 1
        except Unavailable:
            return False

    await until(settled)
    assert len(await witness.read(Aggregate.WORKLOAD, workload)) == 1
    await journal.close()


async def test_nobody_at_the_address_is_unavailable_in_one_sentence(nats_server: RunningNats) -> None:
    nats_server.kill()
    with pytest.raises(Unavailable, match="does not let status in"):
        await JetStreamJournal.connect(
            [nats_server.url],
            Writer.STATUS,
            user="status",
            password="",
            now=lambda: datetime.now(UTC),
            patience_seconds=0.3,
        )
    await nats_server.start()


async def test_a_wrong_password_is_unavailable_and_says_so(nats_server: RunningNats) -> None:
    with pytest.raises(Unavailable, match=r"(?i)authorization violation"):
        await JetStreamJournal.connect(
            [nats_server.url],
            Writer.STATUS,
            user="status",
            password="guessed",
            now=lambda: datetime.now(UTC),
            patience_seconds=1,
        )


async def test_a_follower_survives_a_cut_connection(open_journal: OpenJournal, proxy: Proxy) -> None:
    writer, reader = await open_journal(Writer.INTEGRATIONS), await open_journal(Writer.STATUS, url=proxy.url)
    await asyncio.gather(*(writer.append(gone("a")) for _ in range(100)))
    reading = asyncio.create_task(first(reader, 400, limit=10))
    for _ in range(3):
        proxy.cut()
        await asyncio.gather(*(writer.append(gone("a")) for _ in range(100)))
    assert positions(await reading) == list(range(1, 401))


async def test_an_error_that_ends_the_client_for_good_is_survived(open_journal: OpenJournal, proxy: Proxy) -> None:
    journal = await open_journal(Writer.INTEGRATIONS, url=proxy.url)
    async with following(journal, 0) as batches:
        assert (await next_batch(batches)).caught_up
        assert await journal.append(gone("a")) == 1
        proxy.say_to_clients(b"-ERR 'Maximum Connections Exceeded'\r\n")
        assert positions((await next_batch(batches)).events) == [1]
        assert await journal.append(gone("b")) == 2
        assert positions((await next_batch(batches)).events) == [2]
    assert await journal.append(gone("c")) == 3


async def test_an_event_that_is_too_large_is_our_own_mistake(open_journal: OpenJournal) -> None:
    journal = await open_journal(Writer.INTEGRATIONS)
    with pytest.raises(AssertionError, match="larger than"):
        await journal.append(gone("x" * 8 * 1024 * 1024))
    assert await journal.append(gone("a")) == 1


async def test_an_append_on_its_way_is_unavailable_when_the_journal_is_closed(
    open_journal: OpenJournal, proxy: Proxy
) -> None:
    journal = await open_journal(Writer.INTEGRATIONS, url=proxy.url)
    proxy.to_client.swallowing = True
    appending = asyncio.create_task(journal.append(gone("a")))
    await until(lambda: _said(proxy, b"HPUB muster.events", 1))
    await journal.close()
    with pytest.raises(Unavailable):
        await appending


async def test_a_follower_of_a_silent_server_begins_anew(open_journal: OpenJournal, proxy: Proxy) -> None:
    writer, reader = await open_journal(Writer.INTEGRATIONS), await open_journal(Writer.STATUS, url=proxy.url)
    async with following(reader, 0) as batches:
        assert (await next_batch(batches)).caught_up
        proxy.to_client.swallowing = True  # the consumer's messages are gone, and the connection looks alive
        await writer.append(gone("a"))
        going_on = asyncio.create_task(next_batch(batches))
        await asyncio.sleep(0.1)
        proxy.to_client.swallowing = False
        await writer.append(gone("b"))
        seen = positions((await going_on).events)
        while seen[-1] < 2:
            seen += positions((await next_batch(batches)).events)
        assert seen == [1, 2]


async def test_a_follower_whose_consumer_was_deleted_begins_anew(
    nats_server: RunningNats, open_journal: OpenJournal, administrator: Any
) -> None:
    journal = await open_journal(Writer.INTEGRATIONS)
    async with following(journal, 0) as batches:
        assert (await next_batch(batches)).caught_up
        context = administrator.jetstream()
        for consumer in await context.consumers_info(STREAM):
            await context.delete_consumer(STREAM, consumer.name)
        await journal.append(gone("a"))
        assert positions((await next_batch(batches)).events) == [1]


async def test_a_message_missing_from_the_stream_stops_the_follower(
    open_journal: OpenJournal, administrator: Any
) -> None:
    context = administrator.jetstream()
    await context.delete_stream(STREAM)  # the real one forbids what happens here
    await context.add_stream(StreamConfig(name=STREAM, subjects=["muster.events.>"], allow_direct=True))
    journal = await open_journal(Writer.INTEGRATIONS)
    for _ in range(4):
        await journal.append(gone("a"))
    await context.delete_msg(STREAM, 2)
    async with following(journal, 0) as batches:
        assert positions((await next_batch(batches)).events) == [1]
        with pytest.raises(Damaged) as damage:
            await next_batch(batches)
    assert damage.value.position == 2


async def test_a_slow_reader_is_not_sent_more_than_a_few_batches(open_journal: OpenJournal, administrator: Any) -> None:
    journal = await open_journal(Writer.INTEGRATIONS)
    await asyncio.gather(*(journal.append(gone("a")) for _ in range(2000)))
    async with following(journal, 0, limit=50) as batches:
        seen = positions((await next_batch(batches)).events)

        async def sent() -> int:
            (consumer,) = await administrator.jetstream().consumers_info(STREAM)
            return int(consumer.delivered.consumer_seq)

        async def full() -> bool:
            return await sent() >= len(seen) + 50

        await until(full)
        for _ in range(20):  # the connection is used, the reader is not: nothing more may come
            await journal.end()
        assert await sent() <= len(seen) + 100
        while len(seen) < 2000:
            seen += positions((await next_batch(batches)).events)
        assert await sent() == 2000  # and all by one consumer
    assert seen == list(range(1, 2001))


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_killed_server_loses_and_repeats_nothing(
    nats_server: RunningNats, open_journal: OpenJournal, seed: int
) -> None:
    chance = random.Random(seed)
    writer, reader = await open_journal(Writer.INTEGRATIONS), await open_journal(Writer.STATUS)
    nodes = {uuid4(): 0 for _ in range(20)}
    total = len(nodes) * 60
    told: dict[int, UUID] = {}

    async def write(node: UUID) -> None:
        position = 0
        for number in range(60):
            event_id = uuid4()
            position = await writer.append(gone(f"{number}", node), expected=position, event_id=event_id)
            told[position] = event_id

    async def kill() -> None:
        for part in (1, 2, 3):
            await until(partial(_reached, told, total * part // 4))
            await asyncio.sleep(chance.random() * 0.02)
            nats_server.kill()
            await nats_server.start()

    reading = asyncio.create_task(first(reader, total, limit=25))
    await asyncio.gather(kill(), *(write(node) for node in nodes))
    events = await reading
    assert positions(events) == list(range(1, total + 1))
    assert {event.position: event.envelope.id for event in events} == told
    assert positions(await everything(writer)) == positions(events)


async def _reached(told: dict[int, UUID], count: int) -> bool:
    return len(told) >= count


async def test_followers_and_writers_outlive_a_server_that_is_away_for_a_while(
    nats_server: RunningNats, open_journal: OpenJournal
) -> None:
    writer, reader = await open_journal(Writer.INTEGRATIONS), await open_journal(Writer.STATUS)
    await writer.append(gone("before"))
    async with following(reader, 0) as batches:
        assert positions((await next_batch(batches)).events) == [1]
        nats_server.kill()
        appending = asyncio.create_task(writer.append(gone("while away"), expected=0))
        coming = asyncio.create_task(next_batch(batches))
        done, _ = await asyncio.wait({appending, coming}, timeout=1)
        assert not done
        await nats_server.start()
        assert await appending == 2
        assert positions((await coming).events) == [2]
