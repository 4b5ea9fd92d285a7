"""Plays one case against a planner and says what differs from its expectation.

A step ends well when its expectation holds at the latest after `rounds_until_match` rounds and after each of the
`rounds_after_match` rounds that follow. Evictions that never end are found by `no_evictions_after_rounds`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from muster_scheduler.core.check import faults
from muster_scheduler.core.plan import Action, Limits, Plan, plan
from muster_scheduler.core.scenarios.cases import NOTHING_EXPECTED, Case, Mode, Step
from muster_scheduler.core.scenarios.expectations import differences
from muster_scheduler.core.scenarios.world import World
from muster_scheduler.core.snapshot import Snapshot, take_snapshot

Planner = Callable[[Snapshot], Plan]
Checker = Callable[[Snapshot, Plan], list[str]]
"""Lists what is wrong with a plan, whatever the case expects."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went; it passed when nothing differs."""

    id: str
    differences: tuple[str, ...]
    rounds: int
    binds: int
    evictions: int
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all held."""
        return not self.differences


def without_grace(snapshot: Snapshot) -> Plan:
    """Plan as the service does, but let no time pass before a gang that lost members is stale."""
    return plan(snapshot, Limits(stale_gang_seconds=0))


def as_the_service(snapshot: Snapshot) -> Plan:
    """Plan exactly as the service does, with its usual settings."""
    return plan(snapshot, Limits())


ACTIONS = {
    "allocate": {Action.ALLOCATE},
    "consolidation": {Action.CONSOLIDATE},
    "reclaim": {Action.RECLAIM},
    "consolidation_and_reclaim": {Action.CONSOLIDATE, Action.RECLAIM},
    "preempt": {Action.PREEMPT},
    "stalegangeviction": {Action.EVICT_STALE},
}
"""What a single action may be called; any other name stands for all of them."""


def planner_of(case: Case) -> Planner:
    """Return what plans for a case: everything, or the one action that it names."""
    if case.mode is Mode.SETTLED or case.action not in ACTIONS:
        return without_grace
    actions = frozenset(ACTIONS[case.action])
    return lambda snapshot: plan(snapshot, Limits(stale_gang_seconds=0), actions)


def play(case: Case, planner: Planner | None = None, checker: Checker = faults) -> Outcome:
    """Play all steps of a case, or as many as hold."""
    game = _Game(case, planner or planner_of(case), checker)
    for number, step in enumerate(case.steps):
        found = game.play(step)
        if found:
            where = f"Step {number}: " if number else ""
            game.found = [f"{where}{difference}" for difference in found]
            break
    if all(step.expectation.is_empty for step in case.steps):
        game.found.append(NOTHING_EXPECTED)
    deeds = game.world.deeds
    return Outcome(case.id, tuple(game.found), game.rounds, deeds.binds, deeds.evictions, case.remarks)


@dataclass(slots=True)
class _Game:
    case: Case
    planner: Planner
    checker: Checker
    world: World = field(init=False)
    rounds: int = 0
    found: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world = World(self.case)

    def play(self, step: Step) -> list[str]:
        """Play one step and return what differs."""
        self.world.begin(step)
        before, last_eviction, held = self.world.deeds.copy(), 0, False
        found: list[str] = []
        last, settled = self._rounds(step)
        for number in range(1, last + 1):
            evictions = self.world.deeds.evictions
            wrong = self._round()
            if wrong:
                return wrong
            if self.world.deeds.evictions > evictions:
                last_eviction = number
            if number < settled:
                continue
            found = differences(step.expectation, self.world, self.world.deeds.since(before))
            if found:
                return [f"{difference[:-1]} (after round {number})." for difference in found] if held else found
            held = True
        return found + _unrest(step, last_eviction)

    def _rounds(self, step: Step) -> tuple[int, int]:
        """Return how many rounds to play, and after which of them the expectation must hold."""
        if self.case.mode is Mode.SINGLE:  # whatever rounds it names: one look is all there is
            return 1, 1
        last = step.rounds_until_match + step.rounds_after_match
        return max(1, last), step.rounds_until_match  # an expectation that no round is played for would always hold

    def _round(self) -> list[str]:
        """Plan and carry out the plan, unless it is wrong; return what is wrong with it."""
        snapshot = take_snapshot(self.world.state)
        made = self.planner(snapshot)
        self.rounds += 1
        if wrong := self.checker(snapshot, made):
            return [f"The plan of round {self.rounds} is wrong: {fault}" for fault in wrong]
        if self.rounds == 1:
            self.world.delete_jobs()
            made = self.world.without_the_gone(made)
        self.world.carry_out(made)
        if self.case.mode is Mode.SETTLED:
            self.world.settle()
        return []


def _unrest(step: Step, last_eviction: int) -> list[str]:
    quiet = step.expectation.quiet_after_rounds
    if quiet is None or last_eviction <= quiet:
        return []
    return [f"Evictions should have stopped after round {quiet}; the last was in round {last_eviction}."]
