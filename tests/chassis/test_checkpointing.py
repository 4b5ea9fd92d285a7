"""A fold that starts again reads its checkpoint and the tail of the journal, or everything, and is the same."""

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from muster_chassis.checkpointing import BYTES_AN_EVENT, Checkpointing, event_at
from muster_chassis.following import Progress, follow_into
from muster_chassis.health import Health
from muster_contracts.errors import Unavailable
from muster_contracts.events import StopRequested
from muster_contracts.subjects import Writer, derived_id
from muster_contracts.values import Caller
from muster_contracts.wire import Recorded
from muster_journal.checkpoints import Checkpoint, Checkpoints
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Batch, Journal

EVENTS = 95
NOW = datetime(2026, 11, 1, tzinfo=UTC)
BETWEEN = 10


@dataclass
class Stops:
    """Who was stopped, how often, and by which event last."""

    position: int = 0
    counts: dict[UUID, int] = field(default_factory=dict)
    last: StopRequested | None = None
    ballast: str = ""

    def __post_init__(self) -> None:
        self.read = 0
        self.thread = threading.get_ident()

    def apply(self, recorded: Recorded) -> None:
        assert isinstance(recorded.event, StopRequested)
        self.position, self.last = recorded.position, recorded.event
        self.counts[recorded.event.workload_id] = self.counts.get(recorded.event.workload_id, 0) + 1
        self.read += 1


class Life:
    """One process: a fold, its checkpoints, and what it reads."""

    def __init__(self, journal: Journal, checkpoints: Checkpoints, *, active: bool = True, most: int = 1) -> None:
        self.journal = journal
        self.fold, self.progress, self.health = Stops(), Progress(), Health("test")
        self.checkpointing = Checkpointing(
            checkpoints, "stops", self.fold, events_between=BETWEEN, most=most, active=lambda: active
        )

    async def _apply(self, batch: Batch) -> None:
        for recorded in batch.events:
            self.fold.apply(recorded)

    async def follow(self) -> None:
        await follow_into(self.journal, self._apply, self.progress, self.health, "fold", self.checkpointing)

    @asynccontextmanager
    async def living(self) -> AsyncIterator["Life"]:
        """Fold to the end of the journal, and go on until the end of the block."""
        async with asyncio.TaskGroup() as tasks:
            loops = [tasks.create_task(self.follow()), tasks.create_task(self.checkpointing.run())]
            await self.progress.catch_up()
            yield self
            for loop in loops:
                loop.cancel()


@pytest.fixture
def journal() -> MemoryJournal:
    return new_journal()


def new_journal() -> MemoryJournal:
    return MemoryJournal(MemoryLog(), Writer.SUBMITTER, lambda: NOW)


class Noticed(MemoryCheckpoints):
    """Checkpoints that tell of every save."""

    def __init__(self) -> None:
        super().__init__()
        self.saves: list[int] = []
        self.changed = asyncio.Event()

    async def save(self, name: str, checkpoint: Checkpoint, *, most: int = 1) -> None:
        await super().save(name, checkpoint, most=most)
        self.saves.append(checkpoint.position)
        self.changed.set()

    async def saved(self) -> None:
        """Wait until one more is saved."""
        await self.changed.wait()
        self.changed.clear()


async def stop(journal: Journal, number: int) -> None:
    workload = derived_id("workload", str(number % 7))
    await journal.append(StopRequested(workload_id=workload, requested_by=Caller(name="ada")), event_id=uuid4())


async def a_past(journal: Journal, checkpoints: Noticed) -> None:
    """Let a first life fold and save what comes, event by event."""
    async with Life(journal, checkpoints).living() as life:
        for number in range(EVENTS):
            await stop(journal, number)
            await life.progress.reach(number + 1)
            if (number + 1) % BETWEEN == 0:
                await checkpoints.saved()
    assert checkpoints.saves == list(range(BETWEEN, EVENTS, BETWEEN))


async def test_who_starts_again_reads_the_tail_alone(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    without, again = Life(journal, MemoryCheckpoints()), Life(journal, checkpoints)
    async with without.living(), again.living():
        assert again.fold == without.fold
        assert (without.fold.read, again.fold.read) == (EVENTS, EVENTS % BETWEEN)


async def test_the_next_one_is_made_when_enough_has_come_since(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    async with Life(journal, checkpoints).living() as life:
        for number in range(BETWEEN):
            await stop(journal, number)
        await life.progress.reach(EVENTS + BETWEEN)
        await checkpoints.saved()
    assert checkpoints.saves[-1] in range(EVENTS - EVENTS % BETWEEN + BETWEEN, EVENTS + BETWEEN + 1)


class InPieces(MemoryJournal):
    """A journal that is read in small batches; whoever reads lets others go on after each."""

    async def follow(self, after: int, *, limit: int = 500) -> AsyncIterator[Batch]:
        async for batch in super().follow(after, limit=min(limit, 3)):
            yield batch
            for _ in range(10):
                await asyncio.sleep(0)


@pytest.mark.parametrize(("most", "expected"), [(1, [90]), (20, [*range(12, 90, 12)])])
async def test_who_keeps_old_ones_makes_some_while_it_reads_the_past(most: int, expected: list[int]) -> None:
    journal, checkpoints = InPieces(MemoryLog(), Writer.SUBMITTER, lambda: NOW), Noticed()
    for number in range(90):
        await stop(journal, number)
    async with Life(journal, checkpoints, most=most).living():
        while checkpoints.saves[-1:] != expected[-1:]:
            await checkpoints.saved()
    assert checkpoints.saves == expected
    assert list(await checkpoints.positions("stops")) == expected


async def test_a_large_one_is_made_less_often(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    life = Life(journal, checkpoints)
    life.fold.ballast = "x" * 4 * BETWEEN * BYTES_AN_EVENT
    async with life.living():
        for number in range(EVENTS):
            await stop(journal, number)
            await life.progress.reach(number + 1)
            if number + 1 in {BETWEEN, 5 * BETWEEN, 9 * BETWEEN}:
                await checkpoints.saved()
    assert checkpoints.saves == [BETWEEN, 5 * BETWEEN, 9 * BETWEEN]


async def test_a_question_about_the_past_changes_nothing_of_when_the_next_one_is_made(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    life = Life(journal, checkpoints, most=9)
    async with life.living():
        for number in range(5 * BETWEEN):
            if number == BETWEEN:
                life.fold.ballast = "x" * 2 * BETWEEN * BYTES_AN_EVENT
            if number == 3 * BETWEEN:
                assert await life.checkpointing.load(journal, BETWEEN) is not None  # a small one
            await stop(journal, number)
            await life.progress.reach(number + 1)
            if number + 1 in {BETWEEN, 2 * BETWEEN, 4 * BETWEEN}:
                await checkpoints.saved()
    assert checkpoints.saves == [BETWEEN, 2 * BETWEEN, 4 * BETWEEN]


async def test_who_is_not_active_saves_nothing(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    async with Life(journal, checkpoints, active=False).living() as life:
        for number in range(EVENTS):
            await stop(journal, number)
            await life.progress.reach(number + 1)
    assert checkpoints.saves == []


Spoil = Callable[[Checkpoint], Checkpoint]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: replace(one, code="other"),
        lambda one: replace(one, event_id=uuid4()),
        lambda one: replace(one, position=EVENTS + 1),
        lambda one: replace(one, body=one.body[:-20]),
        lambda one: replace(one, body=b""),
        lambda one: replace(one, body=zlib.compress(b'{"position": "no number"}')),
    ],
    ids=["other code", "other event", "after the end", "cut", "empty", "other fields"],
)
async def test_what_cannot_be_believed_is_passed_over(journal: MemoryJournal, spoil: Spoil) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    saved = await checkpoints.load("stops")
    assert saved is not None
    await checkpoints.save("stops", spoil(saved))
    async with Life(journal, checkpoints).living() as life:
        assert life.fold.read == EVENTS


async def test_one_that_is_damaged_is_passed_over_for_the_one_before_it(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    saved = await checkpoints.load("stops")
    assert saved is not None
    await stop(journal, EVENTS)
    (event,) = [await event_at(journal, EVENTS + 1)]
    assert event is not None
    damaged = replace(saved, position=EVENTS + 1, event_id=event.envelope.id, body=zlib.compress(b'{"position": []}'))
    await checkpoints.save("stops", damaged, most=2)
    async with Life(journal, checkpoints).living() as life:
        assert life.fold.read == EVENTS + 1 - saved.position


async def test_the_last_one_up_to_a_position_is_read(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    saved = await checkpoints.load("stops")
    assert saved is not None
    checkpointing = Life(journal, checkpoints).checkpointing
    found = await checkpointing.load(journal, saved.position)
    assert found is not None
    assert found.position == saved.position
    assert await checkpointing.load(journal, saved.position - 1) is None


async def test_a_service_that_goes_on_reads_a_checkpoint_beside_what_it_does(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    found = await Life(journal, checkpoints).checkpointing.load(journal)
    assert found is not None
    assert found.thread != threading.get_ident()


async def test_a_checkpoint_of_another_journal_is_passed_over(journal: MemoryJournal) -> None:
    checkpoints = Noticed()
    await a_past(journal, checkpoints)
    other = new_journal()
    for number in range(EVENTS):
        await stop(other, number)
    async with Life(other, checkpoints).living() as life:
        assert life.fold.read == EVENTS


async def test_the_event_at_a_position_is_found_and_none_after_the_end(journal: MemoryJournal) -> None:
    for number in range(3):
        await stop(journal, number)
    found = await event_at(journal, 2)
    assert found is not None
    assert found.position == 2
    assert await event_at(journal, 4) is None


async def test_folding_goes_on_when_a_checkpoint_cannot_be_saved(journal: MemoryJournal) -> None:
    class Full(MemoryCheckpoints):
        async def save(self, name: str, checkpoint: Checkpoint, *, most: int = 1) -> None:
            raise Unavailable("The disk is full.")

    life = Life(journal, Full())
    following = asyncio.create_task(life.follow())
    saving = asyncio.create_task(life.checkpointing.run())
    await life.progress.catch_up()
    for number in range(BETWEEN):
        await stop(journal, number)
    with pytest.raises(Unavailable):
        await saving
    await stop(journal, 0)
    await life.progress.reach(BETWEEN + 1)
    following.cancel()
