"""Questions on a real NATS, to a scheduler that plans: neither waits for the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from muster_contracts import events as e
from muster_contracts.questions import Answer, Fit, NotAnswered, Question, WhoHoldsWhat, WouldItFit, answer
from muster_contracts.subjects import Writer, scheduler_subject
from muster_journal.connection import Connection, Login
from muster_scheduler.answering import MOST_OPEN
from nats.errors import NoRespondersError
from scheduler.scene import Scene, of_type, scheduled
from scheduler.worlds import id_of, node, project
from servers import RunningNats

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


async def test_planning_goes_on_while_fifty_questions_are_open(scene: Scene, asker: Asker) -> None:
    question = WouldItFit(project="demo", pods=1600, gpu_devices=1)
    open_questions = [asyncio.create_task(asker.ask(question)) for _ in range(50)]
    await asyncio.wait(open_questions, return_when=asyncio.FIRST_COMPLETED)
    await scene.observe("late", 2)
    await scene.until(scheduled(2))
    assert not all(task.done() for task in open_questions)
    answers = await asyncio.gather(*open_questions)
    assert {(found.fits, sum(place.pods for place in found.places)) for found in answers if isinstance(found, Fit)} == {
        ("now", 1600)
    }


async def test_who_asks_too_much_at_once_is_told_so_and_the_others_are_answered(asker: Asker) -> None:
    question = WouldItFit(project="demo", pods=200, gpu_devices=1)
    answers = await asyncio.gather(*(asker.ask(question) for _ in range(MOST_OPEN + 20)))
    refused = [found for found in answers if isinstance(found, NotAnswered)]
    assert {found.code for found in refused} == {"Busy"}
    assert len(answers) - len(refused) >= MOST_OPEN
