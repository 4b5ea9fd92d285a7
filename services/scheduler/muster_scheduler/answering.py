"""Answers questions from the live fold. Only who leads answers: nobody else knows what will be planned next.

Answering is work of the planning process itself, between two plans: a question costs about what a plan costs.
"""

from muster_contracts.commands import complaints_of
from muster_contracts.questions import (
    Answer,
    NotAnswered,
    Question,
    WhatNodesHold,
    WhoHoldsWhat,
    WhyDoesItWait,
    WouldItFit,
    question,
)
from pydantic import ValidationError

from muster_scheduler.core.fitting import why_does_it_wait, would_it_fit
from muster_scheduler.core.holdings import holdings, node_holdings
from muster_scheduler.planning import Planning
from muster_scheduler.settings import SchedulerSettings


class Answering:
    """The questions that `muster_contracts.questions` lists."""

    def __init__(self, planning: Planning, settings: SchedulerSettings) -> None:
        self._planning = planning
        self._limits = settings.limits

    def answer(self, body: bytes) -> Answer | None:
        """Read a question and answer it; None where another scheduler leads, who answers too."""
        if not self._planning.leads:
            return None
        try:
            return self._answer(question.validate_json(body))
        except ValidationError as error:
            problems = complaints_of(error.errors())
            sentence = "; ".join(f"{problem.field} {problem.details}" for problem in problems)
            return NotAnswered(code="Invalid", sentence=f"The question makes no sense: {sentence}.")

    def _answer(self, asked: Question) -> Answer:
        state = self._planning.state
        match asked:
            case WouldItFit():
                return would_it_fit(state, self._limits, asked)
            case WhyDoesItWait():
                return why_does_it_wait(state, self._limits, asked)
            case WhoHoldsWhat():
                return holdings(state, self._limits)
            case WhatNodesHold():
                return node_holdings(state, asked)
