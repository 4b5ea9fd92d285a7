"""What every journal must do, whatever stands behind it. A subclass gives it a `bus`; see `Bus`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast
from uuid import UUID, uuid4

import pytest
from muster_contracts.events import NodeGone, PhaseChanged, PolicyChanged, StopRequested
from muster_contracts.phases import Phase
from muster_contracts.subjects import Aggregate, Writer, subject_of
from muster_contracts.values import Caller
from muster_contracts.wire import Envelope, Recorded, encode
from muster_journal.port import Batch, Conflict, Damaged, Journal

DEADLINE_SECONDS = 20
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Ticks:
    """A clock that is a second later each time it is read."""

    def __init__(self) -> None:
        self.seconds = 0

    def __call__(self) -> datetime:
        self.seconds += 1
        return EPOCH + timedelta(seconds=self.seconds)


class Bus(Protocol):
    """One empty stream, on which journals can be opened and anything can be put."""

    async def open(self, writer: Writer, now: Any = ...) -> Journal: ...

    async def put(self, subject: str, headers: dict[str, str], body: bytes) -> int: ...


ALICE = Caller(name="alice", kind="user")


def stop(workload: UUID) -> StopRequested:
    return StopRequested(workload_id=workload, requested_by=ALICE)


def phase(workload: UUID, current: Phase = Phase.RUNNING) -> PhaseChanged:
    return PhaseChanged(workload_id=workload, previous=None, current=current, reason="It runs.", cause=1, table=1)


def gone(name: str, node: UUID | None = None) -> NodeGone:
    return NodeGone(node_id=node or uuid4(), name=name)


def following(journal: Journal, after: int, limit: int = 500) -> "aclosing[Any]":
    """Follow, and let go in the end; generators of the port can be closed."""
    return aclosing(cast(Any, journal.follow(after, limit=limit)))


async def next_batch(batches: AsyncIterator[Batch]) -> Batch:
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await anext(batches)


async def first(journal: Journal, count: int, *, after: int = 0, limit: int = 500) -> list[Recorded]:
    """Follow until that many events were read."""
    events: list[Recorded] = []
    async with following(journal, after, limit) as batches:
        while len(events) < count:
            events += (await next_batch(batches)).events
    return events


async def everything(journal: Journal, *, after: int = 0) -> list[Recorded]:
    """Follow until nothing is left."""
    events: list[Recorded] = []
    async with following(journal, after) as batches:
        while True:
            batch = await next_batch(batches)
            events += batch.events
            if batch.caught_up:
                return events


def positions(events: Sequence[Recorded]) -> list[int]:
    return [event.position for event in events]


class JournalConformance:
    """Append, repeat, conflict; read one, follow all."""

    # ------------------------------------------------------------------------------------------------ append

    async def test_the_first_event_of_an_aggregate_is_written_once(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        workload = uuid4()
        assert await journal.append(stop(workload), expected=0) == 1
        with pytest.raises(Conflict) as conflict:
            await journal.append(stop(workload), expected=0)
        assert (conflict.value.expected, conflict.value.actual) == (0, 1)
        assert conflict.value.subject == str(subject_of(stop(workload)))
        assert await journal.end() == 1

    async def test_an_append_at_the_expected_position_succeeds_and_a_stale_one_conflicts(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        workload = uuid4()
        created = await journal.append(stop(workload), expected=0)
        await journal.append(stop(uuid4()), expected=0)  # another subject moves the stream on, not the expectation
        second = await journal.append(stop(workload), expected=created)
        assert second == 3
        with pytest.raises(Conflict) as conflict:
            await journal.append(stop(workload), expected=created)
        assert conflict.value.actual == second

    async def test_who_expects_what_is_not_there_yet_conflicts(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        with pytest.raises(Conflict) as conflict:
            await journal.append(stop(uuid4()), expected=7)
        assert conflict.value.actual == 0
        assert await journal.end() == 0

    async def test_a_repeat_with_the_same_id_is_the_same_position(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        workload, event_id = uuid4(), uuid4()
        written = await journal.append(stop(workload), expected=0, event_id=event_id)
        assert await journal.append(stop(workload), expected=0, event_id=event_id) == written
        assert await journal.append(stop(workload), expected=written, event_id=event_id) == written
        assert await journal.append(stop(workload), event_id=event_id) == written
        assert await journal.end() == 1

    async def test_a_repeat_is_recognised_after_others_wrote_on_the_subject(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        workload, event_id = uuid4(), uuid4()
        written = await journal.append(stop(workload), expected=0, event_id=event_id)
        await journal.append(stop(workload), expected=written)
        assert await journal.append(stop(workload), expected=0, event_id=event_id) == written
        assert await journal.end() == 2

    async def test_a_repeat_under_another_id_is_a_conflict(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        workload = uuid4()
        await journal.append(stop(workload), expected=0, event_id=uuid4())
        with pytest.raises(Conflict):
            await journal.append(stop(workload), expected=0, event_id=uuid4())

    async def test_an_id_that_stands_elsewhere_is_our_own_mistake(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        event_id = uuid4()
        await journal.append(stop(uuid4()), event_id=event_id)
        with pytest.raises(AssertionError, match="already stands on"):
            await journal.append(stop(uuid4()), expected=0, event_id=event_id)
        assert await journal.end() == 1

    async def test_without_an_expectation_every_event_is_appended(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        workload = uuid4()
        assert [await journal.append(stop(workload)) for _ in range(3)] == [1, 2, 3]

    async def test_of_many_rivals_one_creates_the_aggregate(self, bus: Bus) -> None:
        one, other = await bus.open(Writer.SUBMITTER), await bus.open(Writer.SUBMITTER)
        workload = uuid4()
        results = await asyncio.gather(
            *(journal.append(stop(workload), expected=0) for journal in (one, other) * 10), return_exceptions=True
        )
        assert results.count(1) == 1
        assert sum(isinstance(result, Conflict) for result in results) == 19
        assert await one.end() == 1

    async def test_many_repeats_at_once_are_one_event(self, bus: Bus) -> None:
        one, other = await bus.open(Writer.SUBMITTER), await bus.open(Writer.SUBMITTER)
        workload, event_id = uuid4(), uuid4()
        results = await asyncio.gather(
            *(journal.append(stop(workload), expected=0, event_id=event_id) for journal in (one, other) * 10),
            *(journal.append(stop(workload), event_id=event_id) for journal in (one, other) * 10),
        )
        assert set(results) == {1}
        assert await one.end() == 1

    async def test_many_appends_at_once_are_all_stored_once(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        nodes = [uuid4() for _ in range(700)]
        results = await asyncio.gather(*(journal.append(gone("node", node), expected=0) for node in nodes))
        events = await everything(journal)
        assert sorted(results) == positions(events) == list(range(1, 701))
        assert {cast(NodeGone, recorded.event).node_id for recorded in events} == set(nodes)
        assert all(results[nodes.index(cast(NodeGone, one.event).node_id)] == one.position for one in events)

    async def test_writers_of_one_aggregate_expect_independently(self, bus: Bus) -> None:
        submitter, status = await bus.open(Writer.SUBMITTER), await bus.open(Writer.STATUS)
        workload = uuid4()
        asked = await submitter.append(stop(workload), expected=0)
        changed = await status.append(phase(workload), expected=0)
        asked_again = await submitter.append(stop(workload), expected=asked)
        await status.append(phase(workload, Phase.STOPPED), expected=changed)
        assert asked_again == 3
        with pytest.raises(Conflict):
            await status.append(phase(workload), expected=asked_again)

    async def test_an_event_of_another_writer_is_our_own_mistake(self, bus: Bus) -> None:
        journal = await bus.open(Writer.STATUS)
        with pytest.raises(AssertionError, match="written by submitter"):
            await journal.append(stop(uuid4()))
        assert await journal.end() == 0

    async def test_the_envelope_says_who_when_and_why(self, bus: Bus) -> None:
        now = Ticks()
        journal = await bus.open(Writer.SUBMITTER, now)
        event_id, cause = uuid4(), uuid4()
        parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        event = stop(uuid4())
        await journal.append(event, event_id=event_id, cause=cause, trace_parent=parent)
        await journal.append(event)
        told, plain = await everything(journal)
        assert told == Recorded(1, Envelope(event_id, EPOCH + timedelta(seconds=1), cause, parent), event)
        assert plain.envelope.time == EPOCH + timedelta(seconds=2)
        assert plain.envelope.id not in {event_id, UUID(int=0)}

    async def test_an_event_of_some_megabytes_is_carried(self, bus: Bus) -> None:
        journal = await bus.open(Writer.SUBMITTER)
        document = "# ein Maß\n" * 400_000
        event = PolicyChanged(
            policy_id=uuid4(),
            workload_kind="training",
            scope="cluster",
            scope_name="",
            document=document,
            changed_by=ALICE,
        )
        await journal.append(event, expected=0)
        for _ in range(12):  # two requests of 16 MB each do not hold them all
            await journal.append(event)
        assert [cast(PolicyChanged, one.event).document == document for one in await first(journal, 13)] == [True] * 13
        assert len(await journal.read(Aggregate.POLICY, event.policy_id)) == 13

    # ------------------------------------------------------------------------------------------------ read one

    async def test_one_aggregate_is_read_in_order_with_all_its_writers(self, bus: Bus) -> None:
        submitter, status = await bus.open(Writer.SUBMITTER), await bus.open(Writer.STATUS)
        workload, other = uuid4(), uuid4()
        await submitter.append(stop(workload))
        await submitter.append(stop(other))
        await status.append(phase(workload))
        await submitter.append(stop(workload))
        events = await status.read(Aggregate.WORKLOAD, workload)
        assert positions(events) == [1, 3, 4]
        assert [event.subject.writer for event in events] == [Writer.SUBMITTER, Writer.STATUS, Writer.SUBMITTER]
        assert await status.read(Aggregate.WORKLOAD, uuid4()) == []
        assert await status.read(Aggregate.PLAN, workload) == []

    async def test_an_aggregate_of_many_events_is_read_whole(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        node, other = uuid4(), uuid4()
        await asyncio.gather(*(journal.append(gone("node", one)) for one in (node, other) * 1201))
        events = await journal.read(Aggregate.NODE, node)
        assert len(events) == 1201
        assert positions(events) == sorted(positions(events))

    # ------------------------------------------------------------------------------------------------ follow all

    async def test_who_follows_an_empty_journal_is_told_so_once(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        async with following(journal, 0) as batches:
            nothing = await next_batch(batches)
            assert (list(nothing.events), nothing.end, nothing.caught_up) == ([], 0, True)
            await journal.append(gone("a"))
            batch = await next_batch(batches)
            assert (positions(batch.events), batch.end, batch.caught_up) == ([1], 1, True)

    async def test_who_follows_from_the_end_is_told_so_and_gets_what_comes(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        await journal.append(gone("a"))
        async with following(journal, 1) as batches:
            nothing = await next_batch(batches)
            assert (list(nothing.events), nothing.end, nothing.caught_up) == ([], 1, True)
            await journal.append(gone("b"))
            assert positions((await next_batch(batches)).events) == [2]

    async def test_who_follows_gets_everything_after_a_position_in_order(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        await asyncio.gather(*(journal.append(gone("a")) for _ in range(50)))
        for after in (0, 1, 17, 49):
            assert positions(await everything(journal, after=after)) == list(range(after + 1, 51))

    async def test_batches_are_bounded_and_only_the_last_is_caught_up(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        await asyncio.gather(*(journal.append(gone("a")) for _ in range(100)))
        seen: list[int] = []
        async with following(journal, 0, limit=7) as batches:
            while len(seen) < 100:
                batch = await next_batch(batches)
                assert 1 <= len(batch.events) <= 7
                seen += positions(batch.events)
                assert batch.end == 100
                assert batch.caught_up == (len(seen) == 100)
        assert seen == list(range(1, 101))

    async def test_two_followers_do_not_take_from_each_other(self, bus: Bus) -> None:
        journal, other = await bus.open(Writer.INTEGRATIONS), await bus.open(Writer.STATUS)
        await asyncio.gather(*(journal.append(gone("a")) for _ in range(30)))
        one, two, three = await asyncio.gather(everything(journal), everything(other), everything(other, after=10))
        assert positions(one) == positions(two) == list(range(1, 31))
        assert positions(three) == list(range(11, 31))

    async def test_who_follows_while_others_write_misses_nothing(self, bus: Bus) -> None:
        writer, reader = await bus.open(Writer.INTEGRATIONS), await bus.open(Writer.STATUS)
        reading = asyncio.create_task(first(reader, 400, limit=20))
        for _ in range(20):
            await asyncio.gather(*(writer.append(gone("a")) for _ in range(20)))
        assert positions(await reading) == list(range(1, 401))

    async def test_a_message_that_cannot_be_read_stops_the_follower_after_what_was_before(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        event = gone("a")
        await journal.append(event)
        await journal.append(event)
        headers, _ = encode(event, Envelope(uuid4(), EPOCH))
        assert await bus.put(str(subject_of(event)), headers, b'{"type": "NodeGone.v1"}') == 3
        await journal.append(event)
        async with following(journal, 0) as batches:
            assert positions((await next_batch(batches)).events) == [1, 2]
            with pytest.raises(Damaged) as damage:
                await next_batch(batches)
        assert damage.value.position == 3
        assert "node_id" in damage.value.reason
        assert positions(await everything(journal, after=3)) == [4]
        with pytest.raises(Damaged):
            await journal.read(Aggregate.NODE, event.node_id)

    async def test_a_message_without_an_envelope_is_damaged(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        event = gone("a")
        _, body = encode(event, Envelope(uuid4(), EPOCH))
        await bus.put(str(subject_of(event)), {}, body)
        with pytest.raises(Damaged, match="ce-id"):
            await everything(journal)

    async def test_an_event_may_not_stand_on_the_subject_of_another_writer(self, bus: Bus) -> None:
        journal = await bus.open(Writer.STATUS)
        event = stop(uuid4())
        await bus.put(f"muster.events.workload.{event.workload_id}.status", *encode(event, Envelope(uuid4(), EPOCH)))
        with pytest.raises(Damaged, match="may not stand on"):
            await everything(journal)

    async def test_a_position_beyond_the_end_is_of_another_stream(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        await journal.append(gone("a"))
        async with following(journal, 5) as batches:
            with pytest.raises(Damaged, match="ends at 1"):
                await next_batch(batches)

    async def test_closing_ends_who_follows(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        async with following(journal, 0) as batches:
            assert (await next_batch(batches)).caught_up
            waiting = asyncio.create_task(next_batch(batches))
            await asyncio.sleep(0)
            await journal.close()
            with pytest.raises(StopAsyncIteration):
                await waiting

    async def test_a_follower_can_be_cancelled_and_leaves_the_journal_usable(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        reading = asyncio.create_task(first(journal, 1))
        await journal.append(gone("a"))
        await reading
        endless = asyncio.create_task(first(journal, 2))
        await asyncio.sleep(0)
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless
        assert await journal.append(gone("b")) == 2
        assert positions(await everything(journal)) == [1, 2]

    async def test_the_end_is_the_last_position(self, bus: Bus) -> None:
        journal = await bus.open(Writer.INTEGRATIONS)
        assert await journal.end() == 0
        last = await journal.append(gone("a"))
        assert await journal.end() == last
