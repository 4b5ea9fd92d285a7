"""The deriver on a journal: what it publishes, after which accident, and never twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random

from muster_chassis.checkpointing import Checkpointing
from muster_chassis.health import Health
from muster_chassis.service import supervise
from muster_contracts.errors import Unavailable
from muster_contracts.events import AnyEvent, PhaseChanged, PhaseTableAdopted
from muster_contracts.phases import Phase
from muster_contracts.subjects import Writer, subject_of
from muster_contracts.wire import Recorded
from muster_journal.checkpoints import Checkpoints
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Batch, Journal
from muster_status.core.deriver import Derivation
from muster_status.handlers.deriver import Deriver
from servers import RunningNats
from status.stories import CLUSTER, EPOCH, Story

HAPPY = [Phase.CREATING, Phase.PENDING, Phase.INITIALIZING, Phase.RUNNING, Phase.COMPLETED]
Open = Callable[[Writer], Awaitable[Journal]]


class World:
    """A journal in memory, and hands for every writer."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.seconds = 0

    def now(self):  # type: ignore[no-untyped-def]
        self.seconds += 1
        return EPOCH + timedelta(seconds=self.seconds)

    async def open(self, writer: Writer) -> Journal:
        return MemoryJournal(self.log, writer, self.now)


async def tell(open_journal: Open, events: Sequence[AnyEvent]) -> None:
    """Write events as their writers would."""
    journals: dict[Writer, Journal] = {}
    for event in events:
        writer = subject_of(event).writer
        if writer not in journals:
            journals[writer] = await open_journal(writer)
        await journals[writer].append(event)


@asynccontextmanager
async def deriving(journal: Journal, seed: int = 0, checkpoints: Checkpoints | None = None) -> AsyncIterator[Deriver]:
    """Run both loops of a deriver, supervised as in the service; leaving is like a kill."""
    health, random = Health("status"), Random(seed)
    checkpointing = Checkpointing(checkpoints or MemoryCheckpoints(), "deriver", Derivation(), events_between=10)
    deriver = Deriver(journal, health, CLUSTER, random, checkpointing, publish_concurrency=16)
    loops = [
        asyncio.create_task(supervise("deriver", deriver.fold, health, random)),
        asyncio.create_task(supervise("publisher", deriver.publish, health, random)),
        asyncio.create_task(supervise("checkpoints", checkpointing.run, health, random)),
    ]
    try:
        yield deriver
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def settled(deriver: Deriver, journal: Journal) -> None:
    """Wait until the deriver has read everything and nothing is open."""
    async with asyncio.timeout(20):
        done = False
        while not done:
            await asyncio.sleep(0.005)
            done = await is_settled(deriver, journal)


async def is_settled(deriver: Deriver, journal: Journal) -> bool:
    try:
        end = await journal.end()
        derivation = deriver.derivation
        done = derivation.adopted and not derivation.open
        return done and deriver.progress.position >= end == await journal.end()
    except Unavailable:  # the bus is only coming back
        return False


async def everything(journal: Journal) -> list[Recorded]:
    found: list[Recorded] = []
    batch: Batch
    async for batch in journal.follow(0):
        found += batch.events
        if batch.caught_up:
            return found
    return found


def recorded_phases(log: Sequence[Recorded], story: Story) -> list[Phase]:
    return [
        each.event.current
        for each in log
        if isinstance(each.event, PhaseChanged) and each.event.workload_id == story.id
    ]


def assert_derivable(log: Sequence[Recorded]) -> None:
    """Folding all other events gives the records one by one, none missing, none too many."""
    derivation = Derivation()
    assert [difference for each in log if (difference := derivation.apply(each)) is not None] == []
    assert derivation.open == {}


async def test_every_transition_is_recorded_once_with_its_cause() -> None:
    world = World()
    journal = await world.open(Writer.STATUS)
    story = Story()
    async with deriving(journal) as deriver:
        for event in story.life(2):
            await tell(world.open, [event])
        await settled(deriver, journal)
    log = await everything(journal)
    assert recorded_phases(log, story) == HAPPY
    assert [each.event.table for each in log if isinstance(each.event, PhaseTableAdopted)] == [1]
    assert_derivable(log)


async def test_many_workloads_at_once_each_get_their_own_history() -> None:
    world = World()
    journal = await world.open(Writer.STATUS)
    stories = [Story(f"train-{number}") for number in range(60)]
    lives = [story.life() for story in stories]
    async with deriving(journal) as deriver:
        await asyncio.gather(*(tell(world.open, life) for life in lives))
        await settled(deriver, journal)
    log = await everything(journal)
    assert all(recorded_phases(log, story) == HAPPY for story in stories)
    assert_derivable(log)


async def test_a_deriver_that_is_killed_anywhere_continues_without_a_gap_or_a_repeat() -> None:
    for seed in range(25):
        world, random, checkpoints = World(), Random(seed), MemoryCheckpoints()
        stories = [Story(f"train-{number}") for number in range(4)]
        events = [event for chapter in zip(*(story.life(2) for story in stories), strict=True) for event in chapter]
        while events:
            journal = await world.open(Writer.STATUS)
            async with deriving(journal, seed, checkpoints):
                for _ in range(random.randrange(1, 9)):
                    await tell(world.open, events[:1])
                    events = events[1:]
                for _ in range(random.randrange(30)):  # let it work for a while, then kill it
                    await asyncio.sleep(0)
        journal = await world.open(Writer.STATUS)
        async with deriving(journal, seed, checkpoints) as deriver:
            await settled(deriver, journal)
        assert await checkpoints.load("deriver") is not None
        log = await everything(journal)
        assert all(recorded_phases(log, story) == HAPPY for story in stories), seed
        assert_derivable(log)


async def test_two_derivers_at_once_record_every_transition_once() -> None:
    world = World()
    one, other = await world.open(Writer.STATUS), await world.open(Writer.STATUS)
    stories = [Story(f"train-{number}") for number in range(10)]
    async with deriving(one, 1) as first, deriving(other, 2) as second:
        await asyncio.gather(*(tell(world.open, story.life()) for story in stories))
        await settled(first, one)
        await settled(second, other)
    log = await everything(one)
    assert all(recorded_phases(log, story) == HAPPY for story in stories)
    assert_derivable(log)


async def test_nothing_is_published_for_what_is_recorded_already() -> None:
    world = World()
    journal = await world.open(Writer.STATUS)
    await tell(world.open, Story().life())
    async with deriving(journal) as deriver:
        await settled(deriver, journal)
    end = world.log.end
    async with deriving(await world.open(Writer.STATUS)) as deriver:
        await settled(deriver, journal)
    assert world.log.end == end


async def test_on_a_real_bus_every_transition_is_recorded_once(open_journal: Open) -> None:
    journal = await open_journal(Writer.STATUS)
    stories = [Story(f"train-{number}") for number in range(20)]
    async with deriving(journal) as deriver:
        await asyncio.gather(*(tell(open_journal, story.life()) for story in stories))
        await settled(deriver, journal)
    log = await everything(journal)
    assert all(recorded_phases(log, story) == HAPPY for story in stories)
    assert_derivable(log)


async def test_restarts_of_the_bus_lose_and_double_nothing(nats_server: RunningNats, open_journal: Open) -> None:
    journal = await open_journal(Writer.STATUS)
    stories = [Story(f"train-{number}") for number in range(10)]
    async with deriving(journal) as deriver:
        telling = [asyncio.create_task(tell(open_journal, story.life())) for story in stories]
        for _ in range(3):
            await deriver.progress.reach(deriver.progress.position + 10, timeout_seconds=20)
            nats_server.kill()
            await nats_server.start()
        await asyncio.gather(*telling)
        await settled(deriver, journal)
    log = await everything(journal)
    assert all(recorded_phases(log, story) == HAPPY for story in stories)
    assert_derivable(log)
