"""Questions on a real NATS, to a scheduler that plans: neither waits for the other."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from muster_contracts import events as e
from muster_contracts.questions import Answer, Fit, Holdings, NotAnswered, Question, WhoHoldsWhat, WouldItFit, answer
from muster_contracts.subjects import Writer, scheduler_subject
from muster_journal.connection import Connection, Login
from muster_scheduler.answering import MOST_OPEN
from muster_scheduler.core import answers
from muster_scheduler.core.fitting import would_it_fit
from nats.errors import NoRespondersError
from scheduler.scene import Scene, of_type, scheduled
from scheduler.worlds import id_of, node, project
from servers import RunningNats
from structlog.testing import capture_logs

PATIENCE_SECONDS = 60


class Asker:
    """A service that asks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, question: Question) -> Answer:
        body = question.model_dump_json().encode()
        subject = scheduler_subject(id_of("cluster"))
        return answer.validate_json((await self._connection.client.request(subject, body, PATIENCE_SECONDS)).data)


@pytest.fixture
async def asker(scene: Scene, nats_server: RunningNats) -> AsyncIterator[Asker]:
    """Somebody who asks a scheduler that leads and has answered once; it has 200 nodes."""
    for number in range(200):
        await scene.observer.append(node(f"more-{number}"))
    await scene.journal(Writer.SUBMITTER).append(project("demo", None))
    scene.start_scheduler(asking=_login(nats_server, Writer.SCHEDULER))
    await scene.until(lambda events: bool(of_type(events, e.LeadershipTaken)))
    connection = await Connection.open(_login(nats_server, Writer.STATUS), PATIENCE_SECONDS)
    asker = Asker(connection)
    await _until_heard(asker)
    yield asker
    await connection.close()


def _login(nats: RunningNats, writer: Writer) -> Login:
    return Login((nats.url,), writer.value, nats.password_of(writer), f"test-{writer}")


async def _until_heard(asker: Asker) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(NoRespondersError):
                await asker.ask(WhoHoldsWhat())
                return


class Withheld:
    """What the planner says to `would_it_fit`, withheld until `go_on` is set; `begun` says that somebody asked."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *asked: Any) -> Answer:
        self.begun.set()
        assert self.go_on.wait(PATIENCE_SECONDS)
        return would_it_fit(*asked)


@pytest.fixture
def withheld(monkeypatch: pytest.MonkeyPatch) -> Iterator[Withheld]:
    """Let no question whether something would fit be answered before the test says so."""
    withheld = Withheld()
    monkeypatch.setattr(answers, "would_it_fit", withheld)
    yield withheld
    withheld.go_on.set()


async def test_planning_goes_on_while_fifty_questions_are_open(scene: Scene, asker: Asker, withheld: Withheld) -> None:
    question = WouldItFit(project="demo", pods=1600, gpu_devices=1)
    open_questions = [asyncio.create_task(asker.ask(question)) for _ in range(50)]
    assert await asyncio.to_thread(withheld.begun.wait, PATIENCE_SECONDS)
    await scene.observe("late", 2)
    await scene.until(scheduled(2))
    assert not any(task.done() for task in open_questions)
    withheld.go_on.set()
    answers = await asyncio.gather(*open_questions)
    assert {(found.fits, sum(place.pods for place in found.places)) for found in answers if isinstance(found, Fit)} == {
        ("now", 1600)
    }


async def test_who_asks_too_much_at_once_is_told_so_and_the_others_are_answered(
    asker: Asker, withheld: Withheld
) -> None:
    question = WouldItFit(project="demo", pods=200, gpu_devices=1)
    asked = asyncio.as_completed([asker.ask(question) for _ in range(MOST_OPEN + 20)])
    refused = [await next(asked) for _ in range(20)]
    assert {found.code for found in refused if isinstance(found, NotAnswered)} == {"Busy"}
    withheld.go_on.set()
    answers = [await answer for answer in asked]
    assert len(answers) == MOST_OPEN
    assert all(isinstance(found, Fit) for found in answers)


async def test_a_question_that_fails_through_our_fault_is_answered_and_so_is_the_next(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: Any) -> Answer:
        raise AssertionError("The planner is wrong.")

    monkeypatch.setattr(answers, "would_it_fit", faulty)
    question = WouldItFit(project="demo", gpu_devices=1)
    with capture_logs() as logged:
        failed = [await asker.ask(question) for _ in range(MOST_OPEN + 1)]
    sentence = "The scheduler failed at this question: AssertionError: The planner is wrong."
    assert set(failed) == {NotAnswered(code="Failed", sentence=sentence)}
    assert [entry["event"] for entry in logged].count("A question could not be answered.") == MOST_OPEN + 1
    assert isinstance(await asker.ask(WhoHoldsWhat()), Holdings)
