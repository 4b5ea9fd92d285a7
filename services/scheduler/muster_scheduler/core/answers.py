"""Answers questions from one standpoint: a snapshot, and the settings that bound an answer.

The service answers from the moment (`answering`), the command line from any moment of the past, which it folds from the
journal; the answers are the same. Neighbours: `fitting` and `holdings` have them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from muster_contracts.events import PlanMade
from muster_contracts.questions import Answer, Question, WhatNodesHold, WhoHoldsWhat, WhyDoesItWait, WouldItFit
from muster_contracts.wire import Recorded

from muster_scheduler.core.decision import limits_of
from muster_scheduler.core.draft import Limits
from muster_scheduler.core.fitting import why_does_it_wait, would_it_fit
from muster_scheduler.core.holdings import holdings, node_holdings
from muster_scheduler.core.snapshot import Snapshot, take_snapshot
from muster_scheduler.core.state import State


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Whence questions are answered. Nothing in it changes, so that a thread may plan from it."""

    snapshot: Snapshot
    limits: Limits

    def answer(self, asked: Question) -> Answer:
        """Answer a question; one that asks what would fit is `fitting.addressed` already."""
        match asked:
            case WouldItFit():
                return would_it_fit(self.snapshot, self.limits, asked)
            case WhyDoesItWait():
                return why_does_it_wait(self.snapshot, self.limits, asked)
            case WhoHoldsWhat():
                return holdings(self.snapshot, self.limits)
            case WhatNodesHold():
                return node_holdings(self.snapshot, asked)


def standpoint_after(history: Iterable[Recorded], begun: State | None = None) -> Standpoint | None:
    """Return whence the scheduler would have answered at the end of a stretch of the journal.

    It is read from its beginning, or on from what is folded already. None when no plan was made in a stretch that was
    begun: the settings that bound an answer are those of the last plan, which lies before it.
    """
    state, limits = begun or State(), None if begun else Limits()
    for recorded in history:
        state.apply(recorded)
        if isinstance(recorded.event, PlanMade):
            limits = limits_of(recorded.event) or limits
    return None if limits is None else Standpoint(take_snapshot(state), limits)
