"""The recorder is killed at every step and started again on the same journal: nothing is lost, nothing told twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
from integrations.kube import SOMEBODY, manifest, pod, pod_spec, project, read, running, submission, template, uid
from muster_chassis.following import follow_into
from muster_chassis.health import Health
from muster_cluster.objects import DEPLOYMENTS, JOBS, NODES, PODS, REPLICA_SETS
from muster_cluster.reflector import Batch, Delta
from muster_contracts import names
from muster_contracts.errors import Unavailable
from muster_contracts.events import (
    ActivateRequested,
    AnyEvent,
    DeleteRequested,
    LimitReached,
    ObjectsRefused,
    PodGone,
    WorkloadDiscovered,
    WorkloadGone,
)
from muster_contracts.subjects import Writer
from muster_integrations.handlers import Recorder
from muster_integrations.recognition.table import written_resources
from muster_journal.memory import MemoryJournal, MemoryLog
from muster_journal.port import ANYTHING

Manifest = dict[str, Any]
Step = tuple[Manifest | None, Manifest | None]
NATIVE = UUID(uid("a submission"))
OWN_LABEL = {names.WORKLOAD_ID: str(NATIVE)}
KINDS = (NODES, *written_resources())
RESOURCES = {resource.kind: resource for resource in KINDS}


def at_noon() -> datetime:
    return datetime(2026, 11, 1, 12, tzinfo=UTC)


class MortalJournal:
    """A journal whose user dies in one append: before it is stored, or after, without hearing of it."""

    def __init__(self, log: MemoryLog, dies_in_append: int, *, stored: bool, failing: bool = False) -> None:
        self._journal = MemoryJournal(log, Writer.INTEGRATIONS, at_noon)
        self._left = dies_in_append
        self._stored = stored
        self._failing = failing
        self.died = asyncio.Event()

    async def append(self, event: AnyEvent, *, expected: int = ANYTHING, **rest: Any) -> int:
        self._left -= 1
        if self._left != 0:
            return await self._journal.append(event, expected=expected, **rest)
        if self._stored:
            await self._journal.append(event, expected=expected, **rest)
        self.died.set()
        if self._failing:
            raise Unavailable("Nobody answers.")
        return await asyncio.get_running_loop().create_future()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


class Life:
    """One life of the service: a recorder, its loops, and the reflectors' batches put in by hand."""

    def __init__(self, log: MemoryLog, journal: "MortalJournal | LateJournal", present: dict[str, Manifest]) -> None:
        self._log = log
        self.journal = journal
        self.recorder = Recorder(journal, random=Random(1), owner_wait_seconds=0, append_concurrency=4)
        self.recorder.must_list(KINDS)
        fold = follow_into(journal, self.recorder.follow, self.recorder.progress, Health("integrations"), "fold")
        self._tasks = [asyncio.create_task(fold), asyncio.create_task(self.recorder.write())]
        for resource in KINDS:
            listed = [m for m in present.values() if m["kind"] == resource.kind]
            self.recorder.take(resource, Batch([Delta(None, read(resource, m)) for m in listed], synced=True))

    def see(self, step: Step) -> None:
        old, new = step
        resource = RESOURCES[(new or old or {})["kind"]]
        items = [read(resource, m) if m else None for m in (old, new)]
        self.recorder.take(resource, Batch([Delta(items[0], items[1])]))

    async def settle(self) -> None:
        """Return when everything is written and read back, or the life is over."""
        for _ in range(20_000):
            await asyncio.sleep(0)
            read_on = self.recorder.progress.caught_up and self.recorder.progress.position == self._log.end
            if self.journal.died.is_set() or (read_on and self.recorder.open == 0):
                return
        raise AssertionError("it does not come to rest")

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


GANG = {names.MIN_MEMBERS: "2"}


def script() -> list[Step]:
    """A gang that completes, a deployment that is deleted, a native job, a lone pod, a node."""
    gang = manifest(JOBS, "gang", spec={"parallelism": 2}, annotations=GANG)
    done = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-01T11:00:00Z"}]}
    ended = manifest(JOBS, "gang", version=9, spec={"parallelism": 2}, annotations=GANG, status=done)
    web = manifest(DEPLOYMENTS, "web", spec={"replicas": 1, "template": template()})
    step = manifest(REPLICA_SETS, "web-1", owner=web, spec={"replicas": 1, "template": template()})
    native = manifest(JOBS, "hello", labels=OWN_LABEL)
    waits = [pod(name, owner=gang) for name in ("gang-a", "gang-b")]
    runs = [pod(n, owner=gang, version=3, spec=pod_spec(node="node-1"), status=running()) for n in ("gang-a", "gang-b")]
    replica = pod("web-1-a", owner=step)
    return [
        (None, manifest(NODES, "node-1", status={"allocatable": {"cpu": "8"}}, spec={})),
        (None, gang),
        *((None, one) for one in waits),
        (None, native),
        (None, pod("hello-a", owner=native, labels=OWN_LABEL)),
        *zip(waits, runs, strict=True),
        (None, pod("dns", namespace="kube-system", spec=pod_spec(node="node-1"))),
        (None, web),
        (None, step),
        (None, replica),
        (None, pod("lonely")),
        (gang, ended),
        (web, None),
        (step, None),
        (replica, None),
        (ended, None),
        (runs[0], None),
        (runs[1], None),
    ]


async def live_through(
    log: MemoryLog, new_life: Callable[[dict[str, Manifest]], Life], restart: Callable[[Life], Awaitable[None]]
) -> Life:
    """Play the script; whenever a life is over another one begins with what is there by then."""
    present: dict[str, Manifest] = {}
    life = new_life(present)
    for old, new in script():
        life.see((old, new))
        identity = (new or old or {})["metadata"]["uid"]
        present.pop(identity, None)
        if new is not None:
            present[identity] = new
        await life.settle()
        if life.journal.died.is_set():
            await restart(life)
            life = new_life(present)
            await life.settle()
    return life


async def seed(log: MemoryLog) -> None:
    submitter = MemoryJournal(log, Writer.SUBMITTER, at_noon)
    await submitter.append(project())
    await submitter.append(submission(NATIVE))


async def play(dies_in_append: int, *, stored: bool, failing: bool = False) -> tuple[MemoryLog, Life]:
    log = MemoryLog()
    await seed(log)
    deaths = [dies_in_append]

    def new_life(present: dict[str, Manifest]) -> Life:
        journal = MortalJournal(log, deaths.pop() if deaths else -1, stored=stored, failing=failing)
        return Life(log, journal, present)

    life = await live_through(log, new_life, Life.end)
    await life.end()
    return log, life


def facts(life: Life) -> Any:
    """What is said in the end, without the versions of what was bound or controlled."""
    fold = life.recorder.fold
    return (
        {
            w.workload_id: (w.discovered and w.discovered.name, set(w.groups), set(w.pods))
            for w in fold.workloads.values()
        },
        {name: (node.other_pods, node.allocatable) for name, node in fold.nodes.items()},
        fold.gone,
        fold.homes,
    )


async def events_of(log: MemoryLog) -> list[AnyEvent]:
    batch = await anext(MemoryJournal(log, Writer.STATUS, at_noon).follow(0, limit=100_000))
    return [recorded.event for recorded in batch.events]


def assert_nothing_is_told_twice(events: list[AnyEvent]) -> None:
    discovered = Counter(e.workload_id for e in events if isinstance(e, WorkloadDiscovered))
    gone = Counter(e.workload_id for e in events if isinstance(e, WorkloadGone))
    pods = Counter(mark.pod_id for e in events if isinstance(e, PodGone) for mark in e.pods)
    assert {*discovered.values(), *gone.values(), *pods.values()} == {1}


async def test_without_an_accident_the_script_is_told_in_so_many_events() -> None:
    log, life = await play(-1, stored=False)
    events = await events_of(log)
    assert_nothing_is_told_twice(events)
    assert [len(part) for part in facts(life)] == [2, 1, 2, 2]
    assert len(events) > 20


@pytest.mark.parametrize("stored", [False, True])
async def test_a_kill_in_any_append_changes_nothing(stored: bool) -> None:
    undisturbed, life = await play(-1, stored=False)
    expected = facts(life)
    for number in range(1, undisturbed.end - 1):
        log, life = await play(number, stored=stored)
        assert facts(life) == expected, f"killed in append {number}"
        assert_nothing_is_told_twice(await events_of(log))


async def test_an_answer_that_was_lost_is_found_in_the_stream() -> None:
    undisturbed, _ = await play(-1, stored=False)
    for number in range(1, undisturbed.end - 1):
        log = MemoryLog()
        await seed(log)
        journal = MortalJournal(log, number, stored=True, failing=True)
        life = Life(log, journal, {})
        for step in script():
            life.see(step)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            while life.recorder.open or life.recorder.progress.position < log.end:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # a deed's back-off is nobody's event
        await life.end()
        assert_nothing_is_told_twice(await events_of(log))
        assert set(life.recorder.fold.gone) == {UUID(uid("Job/gang")), UUID(uid("Deployment/web"))}


async def test_a_second_instance_loses_every_race_and_nothing_is_told_twice() -> None:
    log = MemoryLog()
    await seed(log)
    lives = [Life(log, MortalJournal(log, -1, stored=False), {}) for _ in range(2)]
    for step in script():
        for life in lives:
            life.see(step)
        for life in lives:
            await life.settle()
    for life in lives:
        await life.end()
    events = await events_of(log)
    assert_nothing_is_told_twice(events)
    assert facts(lives[0]) == facts(lives[1])


async def test_nothing_is_written_before_every_kind_was_listed_and_the_journal_was_read() -> None:
    log = MemoryLog()
    await seed(log)
    _, before = await play(-1, stored=False)
    assert before.recorder.fold.workloads
    journal = MemoryJournal(log, Writer.INTEGRATIONS, at_noon)
    recorder = Recorder(journal, random=Random(1), owner_wait_seconds=0, append_concurrency=4)
    recorder.must_list(KINDS)
    fold = follow_into(journal, recorder.follow, recorder.progress, Health("integrations"), "fold")
    tasks = [asyncio.create_task(fold), asyncio.create_task(recorder.write())]
    recorder.take(PODS, Batch([Delta(None, read(PODS, pod("lonely")))], synced=True))
    end = log.end
    for _ in range(200):
        await asyncio.sleep(0)
    assert log.end == end
    for resource in KINDS:
        recorder.take(resource, Batch([], synced=True))
    for _ in range(200):
        await asyncio.sleep(0)
    assert log.end > end
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_vanished_while_nobody_was_there_is_told_at_the_start() -> None:
    log = MemoryLog()
    await seed(log)
    gang = manifest(JOBS, "gang", spec={"parallelism": 2})
    node = manifest(NODES, "node-1", status={"allocatable": {"cpu": "8"}}, spec={})
    present = {m["metadata"]["uid"]: m for m in (gang, node, pod("gang-a", owner=gang))}
    first = Life(log, MortalJournal(log, -1, stored=False), present)
    await first.settle()
    await first.end()
    second = Life(log, MortalJournal(log, -1, stored=False), {})
    await second.settle()
    await second.end()
    events = await events_of(log)
    assert [event.type for event in events[-3:] if event.type != "NodeGone.v1"] == ["PodGone.v1", "WorkloadGone.v1"]
    assert "NodeGone.v1" in {event.type for event in events[-3:]}
    (gone,) = [event for event in events if isinstance(event, WorkloadGone)]
    assert not gone.end_seen


async def test_a_label_is_believed_when_its_submission_comes_while_it_is_verified() -> None:
    log = MemoryLog()
    submitter = MemoryJournal(log, Writer.SUBMITTER, at_noon)
    await submitter.append(project())
    life = Life(log, MortalJournal(log, -1, stored=False), {})
    await life.settle()
    await submitter.append(submission(NATIVE))
    life.see((None, manifest(JOBS, "hello", labels=OWN_LABEL)))
    await life.settle()
    assert set(life.recorder.fold.workloads) == {NATIVE}
    await life.end()


async def test_a_label_nobody_submitted_makes_a_foreign_workload_once_the_stream_was_read() -> None:
    log = MemoryLog()
    await seed(log)
    life = Life(log, MortalJournal(log, -1, stored=False), {})
    liar = manifest(JOBS, "liar", labels={names.WORKLOAD_ID: uid("nobody knows")})
    life.see((None, liar))
    await life.settle()
    assert set(life.recorder.fold.workloads) == {UUID(uid("Job/liar"))}
    await life.end()


async def test_a_request_to_activate_brings_fresh_controls() -> None:
    log = MemoryLog()
    await seed(log)
    suspended = [manifest(JOBS, "gang", version=n, spec={"suspend": True}) for n in (1, 2)]
    life = Life(log, MortalJournal(log, -1, stored=False), {suspended[0]["metadata"]["uid"]: suspended[0]})
    await life.settle()
    life.see((suspended[0], suspended[1]))
    await life.settle()
    submitter = MemoryJournal(log, Writer.SUBMITTER, at_noon)
    await submitter.append(ActivateRequested(workload_id=UUID(uid("Job/gang")), requested_by=SOMEBODY))
    await life.settle()
    discovered = life.recorder.fold.workloads[UUID(uid("Job/gang"))].discovered
    assert discovered is not None
    assert discovered.controls.activate[0].resource_version == "2"
    await life.end()


async def test_a_limit_that_stops_brings_fresh_controls() -> None:
    log = MemoryLog()
    await seed(log)
    first, second = (manifest(JOBS, "gang", version=version) for version in (1, 2))
    life = Life(log, MortalJournal(log, -1, stored=False), {first["metadata"]["uid"]: first})
    await life.settle()
    life.see((first, second))
    await life.settle()
    reached = LimitReached(
        workload_id=UUID(uid("Job/gang")), limit="duration", limit_seconds=60, effect="stop", reason="It is over."
    )
    await MemoryJournal(log, Writer.SUBMITTER, at_noon).append(reached)
    await life.settle()
    discovered = life.recorder.fold.workloads[UUID(uid("Job/gang"))].discovered
    assert discovered is not None
    assert discovered.controls.stop[0].resource_version == "2"
    await life.end()


REFUSED = ObjectsRefused(workload_id=NATIVE, reason="The quota is exceeded.")
DELETE = DeleteRequested(workload_id=NATIVE, requested_by=SOMEBODY)


@pytest.mark.parametrize("heard_alive", [0, 1, 2])
@pytest.mark.parametrize("stored", [False, True])
async def test_a_kill_while_the_end_of_what_never_was_is_written_leaves_it_written_once(
    stored: bool, heard_alive: int
) -> None:
    log = MemoryLog()
    await seed(log)
    submitter = MemoryJournal(log, Writer.SUBMITTER, at_noon)
    asked = (REFUSED, DELETE)
    for event in asked[: 2 - heard_alive]:
        await submitter.append(event)
    life = Life(log, MortalJournal(log, 1, stored=stored), {})
    await life.settle()
    for event in asked[2 - heard_alive :]:
        assert not life.journal.died.is_set()
        await submitter.append(event)
        await life.settle()
    assert life.journal.died.is_set()
    await life.end()
    again = Life(log, MortalJournal(log, -1, stored=False), {})
    await again.settle()
    await again.end()
    (gone,) = [event for event in await events_of(log) if isinstance(event, WorkloadGone)]
    assert (gone.workload_id, gone.end_seen) == (NATIVE, True)
    assert again.recorder.fold.gone == {NATIVE}


class LateJournal:
    """A journal that is read later than it is written: what comes is handed out while `read_on` is set."""

    def __init__(self, log: MemoryLog) -> None:
        self._journal = MemoryJournal(log, Writer.INTEGRATIONS, at_noon)
        self.died = asyncio.Event()
        self.read_on = asyncio.Event()
        self.read_on.set()

    async def follow(self, after: int) -> AsyncIterator[Any]:
        async for batch in self._journal.follow(after):
            await self.read_on.wait()
            yield batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


async def test_a_label_is_judged_only_by_what_the_journal_held_when_it_was_seen() -> None:
    log = MemoryLog()
    submitter = MemoryJournal(log, Writer.SUBMITTER, at_noon)
    await submitter.append(project())
    journal = LateJournal(log)
    life = Life(log, journal, {})
    await life.settle()
    journal.read_on.clear()
    await submitter.append(submission(NATIVE))
    life.see((None, manifest(JOBS, "hello", labels=OWN_LABEL)))
    for _ in range(200):
        await asyncio.sleep(0)
    early = list(life.recorder.fold.workloads)
    journal.read_on.set()
    await life.settle()
    await life.end()
    assert early == []
    assert list(life.recorder.fold.workloads) == [NATIVE]
