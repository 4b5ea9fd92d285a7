"""The table itself: every pair of phase and situation, and the page that is made from it."""

from itertools import product
from pathlib import Path

import pytest
from muster_contracts.phases import TERMINAL_PHASES, Phase
from muster_status.core.lifecycle import page
from muster_status.core.phase_table import CURRENT_TABLE, TABLES, next_phase
from muster_status.core.situation import MEANINGS, Situation

PAGE = Path(__file__).parent.parent.parent / "docs" / "lifecycle.md"
EVERY_PAIR = list(product(Phase, Situation))
LIVING = [phase for phase in Phase if phase not in TERMINAL_PHASES | {Phase.DELETING}]
C, P, S, R, D = Phase.CREATING, Phase.PENDING, Phase.INITIALIZING, Phase.RUNNING, Phase.DEGRADED
DELETING, STOPPED, FAILED, COMPLETED = Phase.DELETING, Phase.STOPPED, Phase.FAILED, Phase.COMPLETED
PHASES_IN_ORDER = [C, P, S, R, D, DELETING, STOPPED, FAILED, COMPLETED]

EXPECTED = {
    # Creating, Pending, Initializing, Running, Degraded, Deleting, Stopped, Failed, Completed
    Situation.DELETED: (DELETING, DELETING, DELETING, DELETING, DELETING, None, DELETING, None, None),
    Situation.VANISHED: (None, None, None, None, None, None, None, None, None),
    Situation.DELETE_ASKED: (DELETING, DELETING, DELETING, DELETING, DELETING, None, DELETING, DELETING, DELETING),
    Situation.FAILED: (FAILED, FAILED, FAILED, FAILED, FAILED, None, FAILED, None, None),
    Situation.SUCCEEDED: (COMPLETED, COMPLETED, COMPLETED, COMPLETED, COMPLETED, None, COMPLETED, None, None),
    Situation.OWNER_DELETING: (DELETING, DELETING, DELETING, DELETING, DELETING, None, DELETING, None, None),
    Situation.SUSPENDED: (STOPPED, STOPPED, STOPPED, STOPPED, STOPPED, None, None, None, None),
    Situation.STOPPING: (None, None, None, None, None, None, None, None, None),
    Situation.BROKEN: (P, D, D, D, None, None, P, None, None),
    Situation.UNGROUPED: (None, None, None, None, None, None, None, None, None),
    Situation.IDLE: (P, None, None, None, None, None, None, None, None),
    Situation.QUEUED: (P, None, P, P, P, None, P, None, None),
    Situation.SHORT: (P, None, P, D, None, None, P, None, None),
    Situation.READY: (P, S, R, None, R, None, P, None, None),
    Situation.UNHEALTHY: (P, D, D, D, None, None, P, None, None),
    Situation.NEXT_WAVE: (P, S, None, None, None, None, P, None, None),
    Situation.STARTING: (P, S, None, D, None, None, P, None, None),
}


@pytest.mark.parametrize(("phase", "situation"), EVERY_PAIR)
def test_every_pair_leads_where_it_should(phase: Phase, situation: Situation) -> None:
    assert next_phase(CURRENT_TABLE, phase, situation) is EXPECTED[situation][PHASES_IN_ORDER.index(phase)]


@pytest.mark.parametrize(("phase", "situation"), EVERY_PAIR)
def test_every_pair_comes_to_rest_without_visiting_a_phase_twice(phase: Phase, situation: Situation) -> None:
    visited = [phase]
    while (following := next_phase(CURRENT_TABLE, visited[-1], situation)) is not None:
        assert following not in visited
        visited.append(following)


@pytest.mark.parametrize("situation", Situation)
def test_nothing_leaves_deleting_and_only_a_request_leaves_what_has_ended(situation: Situation) -> None:
    assert next_phase(CURRENT_TABLE, Phase.DELETING, situation) is None
    after_end = {next_phase(CURRENT_TABLE, phase, situation) for phase in TERMINAL_PHASES}
    assert after_end == ({Phase.DELETING} if situation is Situation.DELETE_ASKED else {None})


@pytest.mark.parametrize("phase", LIVING)
def test_a_living_workload_can_complete_fail_and_be_deleted(phase: Phase) -> None:
    ends = {
        next_phase(CURRENT_TABLE, phase, s) for s in (Situation.SUCCEEDED, Situation.FAILED, Situation.DELETE_ASKED)
    }
    assert ends == {Phase.COMPLETED, Phase.FAILED, Phase.DELETING}


def test_nothing_becomes_creating_again_and_creating_is_never_degraded() -> None:
    for table in TABLES.values():
        assert Phase.CREATING not in table.values()
        assert Phase.DEGRADED not in {target for (source, _), target in table.items() if source is Phase.CREATING}


def test_every_situation_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Situation)


def test_the_page_about_phases_is_what_the_table_says() -> None:
    command = "python -m muster_status.core.lifecycle > docs/lifecycle.md"
    assert PAGE.read_text(encoding="utf-8") == page(), f"run `{command}`"
