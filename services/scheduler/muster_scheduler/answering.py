"""Answers questions from the live fold. Only who leads answers: nobody else knows what will be planned next.

A question costs about what a plan costs, so it is answered by a thread, from a snapshot that nobody changes, while the
fold and the planning go on. Questions that come while the journal stands still share one snapshot. No more than
`AT_ONCE` are worked on at a time, and no more than `MOST_OPEN` are open: who asks loses patience anyhow, and whoever
asks on and on must not take the processor from the planning.

A question that fails through a fault of ours is answered as well, and everybody else is answered on: nothing was done,
and nothing that was kept is wrong because of it. The log has the fault.
"""

import asyncio

import structlog
from muster_contracts.commands import complaints_of
from muster_contracts.questions import Answer, NotAnswered, Question, WouldItFit, question
from pydantic import ValidationError

from muster_scheduler.core.answers import Standpoint
from muster_scheduler.core.fitting import addressed
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings

log = structlog.get_logger()

AT_ONCE = 2
"""So that a short question need not wait for a long one."""
MOST_OPEN = 64


class Answering:
    """The questions that `muster_contracts.questions` lists."""

    def __init__(self, planning: Planning, settings: SchedulerSettings) -> None:
        self._planning = planning
        self._limits = settings.limits
        self._snapshot: Snapshot | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._open = 0

    async def answer(self, body: bytes) -> Answer | None:
        """Read a question and answer it; None where another scheduler leads, who answers too."""
        if not self._planning.leads:
            return None
        try:
            asked = question.validate_json(body)
        except ValidationError as error:
            problems = complaints_of(error.errors())
            sentence = "; ".join(f"{problem.field} {problem.details}" for problem in problems)
            return NotAnswered(code="Invalid", sentence=f"The question makes no sense: {sentence}.")
        if self._open >= MOST_OPEN:
            return NotAnswered(code="Busy", sentence=f"{self._open} questions are open already; ask again later.")
        self._open += 1
        try:
            async with self._slots:
                return await self._attempt(asked)
        finally:
            self._open -= 1

    async def _attempt(self, asked: Question) -> Answer:
        try:
            return await self._answer(asked)
        except Exception as fault:  # ours; a question changes nothing, and the next may do
            log.exception("A question could not be answered.", question=asked.model_dump_json())
            sentence = f"The scheduler failed at this question: {type(fault).__name__}: {fault}"
            return NotAnswered(code="Failed", sentence=sentence)

    async def _answer(self, asked: Question) -> Answer:
        if isinstance(asked, WouldItFit):
            found = addressed(self._planning.state, asked)
            if isinstance(found, NotAnswered):
                return found
            asked = found
        return await asyncio.to_thread(Standpoint(self._latest(), self._limits).answer, asked)

    def _latest(self) -> Snapshot:
        """Return a snapshot of the moment; the last one while nothing has happened since."""
        state = self._planning.state
        if self._snapshot is None or self._snapshot.position != state.position:
            self._snapshot = take_snapshot(state)
        return self._snapshot
