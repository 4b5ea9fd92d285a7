"""What is asked of the past is answered as it was answered then, whoever asks and whatever came since."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from muster_contracts.events import AnyEvent, PodMoved
from muster_contracts.subjects import Writer
from muster_contracts.values import OwnerFacts
from muster_journal.memory import MemoryJournal
from status.service_bench import StatusBench, serving
from status.stories import EPOCH, Story, project

QUERIES: Sequence[dict[str, Any]] = (
    {},
    {"deleted": True},
    {"deleted": True, "sort_by": "completed_at"},
    {"project": "vision", "limit": 2},
    {"phase": "Running"},
    {"filter_by": "nodes=@node-1", "sort_by": "name", "sort_order": "asc"},
    {"search": "RAI", "offset": 1, "limit": 3},
    {"filter_by": "allocated_gpus>=1"},
)

DETAILS: Sequence[tuple[str, dict[str, Any]]] = (
    ("", {}),
    ("/history", {"limit": 5, "after": 3}),
    ("/pods", {}),
    ("/pods", {"gone": True}),
)


class Ticking(StatusBench):
    """A journal whose events are a second apart."""

    def journal(self, writer: Writer) -> MemoryJournal:
        return MemoryJournal(self.log, writer, lambda: EPOCH + timedelta(seconds=self.log.end + 1))


@pytest.fixture
async def bench(postgres_dsn: str) -> AsyncIterator[Ticking]:
    async with serving(Ticking(postgres_dsn)) as running:
        yield running  # type: ignore[misc]


def courses() -> Iterator[list[AnyEvent]]:
    """Yield what happens to several workloads; a pod of the first turns out to be the second's."""
    for number in range(3):
        story = Story(f"train-{number}", project=("demo", "vision")[number % 2])
        yield [*story.life(3), story.pods_gone(0, 1, 2), story.gone()]
    stopped, moved, home = Story("stopped"), Story("moved"), Story("home", project="vision")
    running = stopped.life(2)[:-3]
    yield [*running, stopped.stop(), stopped.owner(suspended=True), stopped.pods_gone(0, 1), stopped.activate()]
    facts = moved.ready_facts(0)
    yield [
        home.discovered(owner=OwnerFacts(desired_pods=1)),
        moved.discovered(kind="Pod"),
        moved.observed(facts),
        PodMoved(workload_id=moved.id, pod_id=facts.pod_id, new_workload_id=home.id, reason="It is of another."),
        moved.gone(),
        home.observed(facts),
    ]
    refused, preempted = Story("refused"), Story("preempted", project="vision")
    yield [refused.submitted(), refused.delete()]
    yield [*preempted.life(1)[:-2], preempted.preempted(0), preempted.pods_gone(0), preempted.waiting(1)]


STORIES = [*(Story(f"train-{n}", project=("demo", "vision")[n % 2]) for n in range(3))]
STORIES += [Story("stopped"), Story("moved"), Story("home", project="vision"), Story("refused")]


@dataclass
class Notes:
    """What a session was answered while it went on: how it asked, and the answer."""

    lists: list[tuple[dict[str, Any], Any]] = field(default_factory=list)
    details: list[tuple[int, str, dict[str, Any], Any]] = field(default_factory=list)

    async def take_lists(self, bench: StatusBench, random: Random) -> None:
        query = random.choice(QUERIES)
        self.lists.append((query, await bench.get("/workloads", **query)))

    async def take_details(self, bench: StatusBench) -> None:
        position = await bench.settle()
        for story in STORIES:
            for path, asked in DETAILS:
                answer = await bench.http.get(f"{bench.url}/api/v1/workloads/{story.id}{path}", params=asked)
                self.details.append((position, f"/workloads/{story.id}{path}", asked, answer))


async def a_lively_session(bench: StatusBench, random: Random) -> Notes:
    notes, under_way = Notes(), [list(reversed(course)) for course in courses()]
    await bench.tell([project(), project("vision")])
    while under_way := [course for course in under_way if course]:
        await bench.tell([random.choice(under_way).pop()])
        await notes.take_lists(bench, random)
        if random.random() < 0.06:
            await notes.take_details(bench)
    await bench.settle()
    return notes


@pytest.mark.parametrize("seed", range(2))
async def test_the_past_is_answered_as_it_was_then(bench: Ticking, seed: int) -> None:
    random = Random(seed)
    notes = await a_lively_session(bench, random)
    assert len(await bench.checkpoints.positions("projector")) > 3
    for query, then in random.sample(notes.lists, len(notes.lists)):
        position = then["position"]
        time = (await bench.get("/journal/moment", at=position))["time"]
        assert await bench.get("/workloads", **query, at=position) == then | {"time": time}, query
    for position, path, asked, then in random.sample(notes.details, len(notes.details)):
        answer = await bench.http.get(f"{bench.url}/api/v1{path}", params=asked | {"at": position})
        assert answer.status_code == then.status_code, path
        assert answer.status_code == 404 or answer.json() == then.json(), (position, path)


async def test_a_pod_is_where_it_had_moved_to_by_then(bench: Ticking) -> None:
    moved, home = Story("moved"), Story("home")
    facts = moved.ready_facts(0)
    move = PodMoved(workload_id=moved.id, pod_id=facts.pod_id, new_workload_id=home.id, reason="It is of another.")
    await bench.tell([home.discovered(), moved.discovered(kind="Pod"), moved.observed(facts), move])
    position = await bench.settle()
    pods = await bench.get(f"/workloads/{home.id}/pods")
    assert [pod["name"] for pod in pods["pods"]] == ["moved-0"]
    await bench.tell([home.observed(facts.model_copy(update={"ready": False}))])
    await bench.settle()
    assert await bench.get(f"/workloads/{home.id}/pods", at=position) == pods


async def test_what_was_gone_has_the_phase_of_then_though_its_last_was_recorded_later(bench: Ticking) -> None:
    story = Story()
    await bench.tell(story.life()[:6])
    await bench.settle()
    gone = await bench.tell([story.gone()])
    assert await bench.settle() > gone, "a phase follows from its end"
    (now,) = (await bench.get("/workloads", deleted=True))["workloads"]
    (then,) = (await bench.get("/workloads", deleted=True, at=gone))["workloads"]
    assert (then["phase"], then["version"], then["deleted_at"]) == ("Running", gone, now["deleted_at"])
    assert now["phase"] != "Running"
    assert (await bench.get("/workloads/count", deleted=True, phase="Running", at=gone))["count"] == 1


async def test_a_moment_is_a_position_or_the_last_event_up_to_a_time(bench: Ticking) -> None:
    story = Story()
    await bench.tell(story.life())
    end = await bench.settle()
    for position in range(1, end + 1):
        found = await bench.get("/journal/moment", at=str(position))
        assert found["position"] == position
        last = await bench.get("/journal/moment", at=found["time"])
        assert (last["position"] >= position, last["time"]) == (True, found["time"])  # of several at once, the last
    later = (EPOCH + timedelta(seconds=3.5)).isoformat()
    assert (await bench.get("/workloads", at=later))["position"] in {3, 4}
    before = (EPOCH - timedelta(days=1)).isoformat()
    assert await bench.get("/workloads", at=before) == {"workloads": [], "next": None, "position": 0, "time": None}
    assert (await bench.get("/workloads/count", at=0)) == {"count": 0}


async def test_what_is_no_moment_or_lies_ahead_is_refused_in_a_sentence(bench: Ticking) -> None:
    story = Story()
    await bench.tell(story.life())
    end = await bench.settle()
    ahead = await bench.get("/workloads", status=422, at=end + 1)
    assert ahead["message"] == f"There is no position {end + 1} yet: the event log ends at {end}."
    assert "at must be a position or a time" in (await bench.get("/workloads", status=422, at="noon"))["message"]
    assert (await bench.get(f"/workloads/{story.id}", status=404, at=1))["message"].startswith("There was no workload")
