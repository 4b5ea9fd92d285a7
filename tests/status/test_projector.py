"""The read models: what rows say, that they are a function of the journal, and that no accident tears them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import asyncpg
import pytest
from muster_chassis.checkpointing import Checkpointing
from muster_chassis.health import Health
from muster_chassis.service import supervise
from muster_contracts.events import AnyEvent, NodeGone, NodeObserved, PodMoved
from muster_contracts.phases import Phase
from muster_contracts.subjects import Writer
from muster_contracts.values import OwnerFacts, Resources
from muster_journal.checkpoints import Checkpoints
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.memory_checkpoints import MemoryCheckpoints
from muster_journal.port import Batch, Journal
from muster_status.adapters.postgres import PostgresReadModels
from muster_status.core.deriver import Derivation
from muster_status.core.projection import Projection
from muster_status.core.rows import Changes, Tables, values
from muster_status.handlers.ports import Snapshot, Standing
from muster_status.handlers.projector import Projector
from status.stories import EPOCH, Story, department, node_pool, project, record

Write = Callable[[Sequence[AnyEvent]], None]


def with_phases(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """Put the records of phases behind what caused them."""
    derivation, told = Derivation(), []
    for event in events:
        told.append(event)
        (recorded,) = record([event], after=len(told) - 1)
        derivation.apply(recorded)
        while derivation.open:
            told.append(next(iter(derivation.open.values()))[0])
            derivation.apply(record([told[-1]], after=len(told) - 1)[0])
    return told


def whole_journal() -> list[AnyEvent]:
    """A little of everything."""
    ended, lost, killed, moving = Story("ended"), Story("lost"), Story("killed"), Story("moving")
    home = Story("home")
    node = NodeObserved(node_id=ended.id, name="node-0", ready=True, allocatable=Resources(cpu_milli=64_000))
    other = node.model_copy(update={"node_id": lost.id, "name": "node-1"})
    return with_phases(
        [
            project(),
            node,
            other,
            *ended.life(3),
            ended.pods_gone(0, 1, 2),
            ended.gone(),
            *lost.life(2)[:6],
            lost.preempted(0),
            lost.pods_gone(0),
            NodeGone(node_id=lost.id, name="node-1"),
            killed.submitted(),
            killed.delete(),
            moving.discovered(),
            moving.grouped(),
            moving.ready(0),
            home.discovered(owner=OwnerFacts(desired_pods=2, min_pods=2)),
            PodMoved(workload_id=moving.id, pod_id=moving.pod_id(0), new_workload_id=home.id, reason="Found."),
            home.stop(),
            project("vision"),
            department(),
            node_pool(),
        ]
    )


def fold(events: Sequence[AnyEvent], cuts: Sequence[int] = ()) -> Tables:
    """Fold events into tables, taking the changes at the cuts and at the end."""
    projection, tables = Projection(), Tables()
    for recorded in record(events):
        projection.apply(recorded)
        if recorded.position in cuts:
            tables.apply(projection.take())
    tables.apply(projection.take())
    return tables


def columns(tables: Tables) -> dict[str, dict[Any, dict[str, Any]]]:
    return {name: {key: values(row) for key, row in rows.items()} for name, rows in tables.by_name()}


def row_of(events: Sequence[AnyEvent], story: Story) -> dict[str, Any]:
    return values(fold(with_phases(events)).workload[story.id])


# ---------------------------------------------------------------- rows


def test_a_row_tells_what_a_workload_asks_for_and_what_it_has() -> None:
    story = Story()
    row = row_of([*story.life(2)[:4], story.ready(0), story.scheduled(1)], story)
    assert {name: row[name] for name in ("name", "project", "kind", "workload_class", "workload_kind", "phase")} == {
        "name": "train",
        "project": "demo",
        "kind": "Job",
        "workload_class": "native",
        "workload_kind": "training",
        "phase": "Initializing",
    }
    assert (row["running_pods"], row["desired_pods"]) == (1, 2)
    assert (row["requested_gpu_millionths"], row["allocated_gpu_millionths"]) == (2_000_000, 2_000_000)
    assert row["nodes"] == ["node-0", "node-1"]
    assert (row["submitted_by"], row["source"], row["can_stop"]) == ("alice", "cli", True)


def test_what_has_ended_holds_nothing_and_says_when_it_ended() -> None:
    story = Story()
    row = row_of(story.life(2), story)
    assert (row["phase"], row["running_pods"], row["allocated_gpu_millionths"], row["nodes"]) == ("Completed", 0, 0, [])
    assert row["completed_at"] == row["phase_since"]
    assert row["deleted_at"] is None


def test_a_workload_is_there_before_its_first_phase_is_recorded() -> None:
    story = Story()
    (row,) = fold([story.submitted()]).workload.values()
    assert row.phase == Phase.CREATING


def test_a_phase_that_is_recorded_after_the_end_is_still_in_the_row() -> None:
    story = Story()
    events = [*story.life()[:6], story.gone()]
    told = with_phases(events)
    assert type(told[-1]).__name__ == "PhaseChanged"
    for cuts in ([], [len(told) - 1]):  # in one batch with the end, and in the next one
        row = fold(told, cuts).workload[story.id]
        assert (row.phase, row.deleted_at is not None, row.name) == (Phase.DELETING, True, "train")


def test_a_workload_deleted_before_it_had_objects_is_deleted_at_once() -> None:
    story = Story()
    assert row_of([story.submitted(), story.delete()], story)["deleted_at"] is not None
    assert row_of([*story.life()[:4], story.delete()], story)["deleted_at"] is None


def test_an_end_that_nobody_saw_is_marked() -> None:
    story = Story()
    row = row_of([*story.life()[:6], story.gone(end_seen=False)], story)
    assert (row["phase"], row["end_seen"]) == ("Running", False)
    assert "nobody was watching" in row["message"]


def test_history_has_every_change_of_phase_and_what_else_happened() -> None:
    story = Story()
    rows = fold(with_phases([*story.life()[:6], story.stop()])).history.values()
    assert [(row.type, row.current) for row in rows] == [
        ("WorkloadSubmitted", None),
        ("PhaseChanged", "Creating"),
        ("WorkloadDiscovered", None),
        ("PhaseChanged", "Pending"),
        ("PhaseChanged", "Initializing"),
        ("PhaseChanged", "Running"),
        ("StopRequested", None),
    ]
    assert {row.project for row in rows} == {"demo"}


@pytest.mark.parametrize("seed", range(20))
def test_rows_do_not_depend_on_how_the_journal_is_cut(seed: int) -> None:
    events = whole_journal()
    cuts = Random(seed).sample(range(1, len(events)), 12)
    assert columns(fold(events, cuts)) == columns(fold(events))


def test_texts_and_numbers_no_database_takes_are_made_fit() -> None:
    story = Story()
    huge = Resources(memory_bytes=2**70)
    facts = story.ready_facts(0, message="out of\x00 memory", requests=huge)
    (row,) = fold([story.discovered(), story.observed(facts)]).pod.values()
    assert (values(row)["message"], values(row)["memory_bytes"]) == ("out of memory", 2**63 - 1)


# ---------------------------------------------------------------- in PostgreSQL


@pytest.fixture
async def tables(postgres_dsn: str) -> AsyncIterator[PostgresReadModels]:
    opened = PostgresReadModels(postgres_dsn)
    await opened.open()
    yield opened
    await opened.close()


def checkpointing(checkpoints: Checkpoints) -> Checkpointing[Projection]:
    """Save so often that whoever starts again begins at a checkpoint."""
    return Checkpointing(checkpoints, "projector", Projection(), events_between=3)


class Bench:
    """A journal in memory, and a projector that runs on it and a database."""

    def __init__(self, dsn: str) -> None:
        self.log = MemoryLog()
        self.checkpoints = MemoryCheckpoints()
        self.dsn = dsn

    def journal(self, writer: Writer = Writer.STATUS) -> Journal:
        return MemoryJournal(self.log, writer, lambda: EPOCH)

    async def tell(self, events: Sequence[AnyEvent]) -> None:
        from muster_contracts.subjects import subject_of

        for event in events:
            await self.journal(subject_of(event).writer).append(event)

    @asynccontextmanager
    async def projecting(self, tables: PostgresReadModels | None = None) -> AsyncIterator[Projector]:
        opened = tables or PostgresReadModels(self.dsn)
        health = Health("status")
        kept = checkpointing(self.checkpoints)
        projector = Projector(self.journal(), opened, health, lambda _changes, _position: None, kept)
        loops = [
            asyncio.create_task(supervise("projector", projector.run, health, Random(0))),
            asyncio.create_task(supervise("checkpoints", kept.run, health, Random(0))),
        ]
        try:
            yield projector
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await opened.close()

    async def written(self, projector: Projector) -> None:
        await projector.progress.reach(self.log.end, timeout_seconds=20)

    async def snapshot(self) -> Snapshot:
        opened = PostgresReadModels(self.dsn)
        await opened.open()
        try:
            return await opened.snapshot()
        finally:
            await opened.close()

    def expected(self) -> Mapping[str, Any]:
        tables = Tables()
        tables.apply(self.changes(self.log.end))
        return columns(tables)

    def changes(self, until: int) -> Changes:
        from muster_journal.reading import recorded

        projection = Projection()
        for message in self.log.after(0, until):
            projection.apply(recorded(message))
        return projection.take()


@pytest.fixture
def bench(postgres_dsn: str) -> Bench:
    return Bench(postgres_dsn)


async def assert_equal_to_a_fresh_fold(bench: Bench) -> None:
    snapshot = await bench.snapshot()
    assert snapshot.position == bench.log.end
    expected = bench.expected()
    for name, rows in snapshot.tables.items():
        assert dict(rows) == expected[name], name


async def test_the_tables_hold_what_a_fold_in_memory_holds(bench: Bench) -> None:
    await bench.tell(whole_journal())
    async with bench.projecting() as projector:
        await bench.written(projector)
    await assert_equal_to_a_fresh_fold(bench)


async def test_a_projector_that_is_killed_anywhere_continues_where_the_tables_stand(bench: Bench) -> None:
    random, events = Random(3), whole_journal()
    while events:
        async with bench.projecting() as projector:
            for _ in range(random.randrange(1, 8)):
                await bench.tell(events[:1])
                events = events[1:]
            if random.random() < 0.5:
                await bench.written(projector)
            for _ in range(random.randrange(40)):
                await asyncio.sleep(0)
    async with bench.projecting() as projector:
        await bench.written(projector)
    await assert_equal_to_a_fresh_fold(bench)


async def test_tables_of_another_version_are_built_anew(bench: Bench) -> None:
    await bench.tell(whole_journal())
    async with bench.projecting() as projector:
        await bench.written(projector)
    connection = await asyncpg.connect(bench.dsn)
    await connection.execute("UPDATE muster.schema_version SET version = 'older'")
    await connection.execute("ALTER TABLE muster.workload DROP COLUMN message")
    await connection.close()
    async with bench.projecting() as projector:
        await bench.written(projector)
    await assert_equal_to_a_fresh_fold(bench)


async def test_tables_that_are_dropped_while_it_runs_are_built_anew(bench: Bench) -> None:
    events = whole_journal()
    async with bench.projecting() as projector:
        await bench.tell(events[:20])
        await bench.written(projector)
        connection = await asyncpg.connect(bench.dsn)
        await connection.execute("DROP SCHEMA muster CASCADE")
        await connection.close()
        await bench.tell(events[20:])
        await bench.written(projector)
    await assert_equal_to_a_fresh_fold(bench)


@pytest.mark.parametrize("statement", ["DROP SCHEMA muster CASCADE", "UPDATE muster.position SET position = 3"])
async def test_tables_that_are_lost_while_nothing_happens_come_back(bench: Bench, statement: str) -> None:
    await bench.tell(whole_journal())
    async with bench.projecting() as projector:
        await bench.written(projector)
        connection = await asyncpg.connect(bench.dsn)
        await connection.execute(statement)
        async with asyncio.timeout(20):
            position = 0
            while position != bench.log.end:
                await asyncio.sleep(0.05)
                if await connection.fetchval("SELECT to_regclass('muster.position') IS NOT NULL"):
                    position = await connection.fetchval("SELECT position FROM muster.position")
        await connection.close()
    await assert_equal_to_a_fresh_fold(bench)


async def test_tables_of_another_journal_are_built_anew(bench: Bench) -> None:
    await bench.tell(whole_journal())
    async with bench.projecting() as projector:
        await bench.written(projector)
    bench.log = MemoryLog()
    await bench.tell([project("other")])
    async with bench.projecting() as projector:
        await bench.written(projector)
    await assert_equal_to_a_fresh_fold(bench)


async def test_a_connection_that_breaks_while_it_writes_loses_and_doubles_nothing(bench: Bench) -> None:
    """Connections are killed by the server again and again while batches are written."""
    events, killer = whole_journal() * 1, await asyncpg.connect(bench.dsn)
    async with bench.projecting() as projector:
        for event in events:
            await bench.tell([event])
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'muster-status'"
            )
        await bench.written(projector)
    await killer.close()
    await assert_equal_to_a_fresh_fold(bench)


class SmallBatches(MemoryJournal):
    """A journal that is read two events at a time, and a look at what waits for the tables after each batch."""

    def __init__(self, log: MemoryLog, projector: Projector) -> None:
        super().__init__(log, Writer.STATUS, lambda: EPOCH)
        self._projector = projector
        self.waiting: list[int] = []

    async def follow(self, after: int, *, limit: int = 2) -> AsyncIterator[Batch]:
        async for batch in super().follow(after, limit=limit):
            yield batch
            self.waiting.append(len(self._projector._projection._changes.history))


@pytest.mark.parametrize("written", [1, 2, 15, 16, 30])
async def test_what_stands_in_the_tables_is_not_kept_while_it_is_folded_again(bench: Bench, written: int) -> None:
    events = whole_journal()
    await bench.tell(events[:written])
    async with bench.projecting() as projector:
        await bench.written(projector)
    await bench.tell(events[written:])
    bench.checkpoints = MemoryCheckpoints()
    async with bench.projecting() as projector:
        journal = SmallBatches(bench.log, projector)
        projector._journal = journal
        await bench.written(projector)
    assert len(journal.waiting) >= len(events) // 2 - 1
    assert set(journal.waiting) == {0}
    await assert_equal_to_a_fresh_fold(bench)


class Compared(PostgresReadModels):
    """Tables that note with every write how far readers were told they had come before."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.projector: Projector | None = None
        self.told: list[tuple[int, int]] = []

    async def write(self, changes: Changes, *, after: int, standing: Standing) -> None:
        assert self.projector is not None
        self.told.append((after, self.projector.progress.position))
        await super().write(changes, after=after, standing=standing)


async def test_who_asks_for_what_the_tables_have_lost_waits_until_they_are_filled_again(bench: Bench) -> None:
    await bench.tell(whole_journal())
    tables = Compared(bench.dsn)
    async with bench.projecting(tables) as projector:
        tables.projector = projector
        await bench.written(projector)
        await tables.empty()
        async with asyncio.timeout(20):
            position = 0
            while position != bench.log.end:
                await asyncio.sleep(0.02)
                position = await tables.position()
    assert tables.told == [(0, 0), (0, 0)]


class Overtaken(PostgresReadModels):
    """Tables to which another writes five events in the moment before we write all, and then writes no more."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.dsn)
        self._part: Changes | None = bench.changes(5)

    async def write(self, changes: Changes, *, after: int, standing: Standing) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            await super().write(part, after=0, standing=Standing(5, standing.origin))
        await super().write(changes, after=after, standing=standing)


async def test_what_another_wrote_only_in_part_is_written_to_the_end(bench: Bench) -> None:
    await bench.tell(whole_journal())
    async with bench.projecting(Overtaken(bench)) as projector:
        await bench.written(projector)
    await assert_equal_to_a_fresh_fold(bench)


async def test_nothing_is_written_by_one_who_is_behind(tables: PostgresReadModels) -> None:
    from muster_contracts.errors import Unavailable

    await tables.write(Changes(), after=0, standing=Standing(5, None))
    with pytest.raises(Unavailable, match="do not stand at 0"):
        await tables.write(Changes(), after=0, standing=Standing(7, None))
    assert (await tables.open()).position == 5


async def test_on_a_real_bus_a_client_reads_its_own_write(
    open_journal: Callable[[Writer], Awaitable[Journal]], postgres_dsn: str
) -> None:
    journal, submitter = await open_journal(Writer.STATUS), await open_journal(Writer.SUBMITTER)
    tables, health, story = PostgresReadModels(postgres_dsn), Health("status"), Story()
    projector = Projector(journal, tables, health, lambda _changes, _position: None, checkpointing(MemoryCheckpoints()))
    loop = asyncio.create_task(supervise("projector", projector.run, health, Random(0)))
    position = await submitter.append(story.submitted())
    await projector.progress.reach(position)
    row = await tables.workload(story.id)
    assert row is not None
    assert row["name"] == "train"
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    await tables.close()
