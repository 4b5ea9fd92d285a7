"""A rehearsal of a plan leaves the plan as it was, whatever is noted in it and whatever a plan will note one day."""

from copy import deepcopy
from typing import Any

from muster_scheduler.core.draft import SHARED, Draft, Limits, Rehearsal
from muster_scheduler.core.snapshot import take_snapshot
from scheduler.worlds import node, state_of


def notes_of(draft: Draft) -> dict[str, Any]:
    """Return the fields that are a draft's own."""
    return {name: value for name, value in vars(draft).items() if name not in SHARED | {"snapshot"}}


def note(value: object) -> None:
    """Put something into what a draft notes: into each of its parts, and beside them."""
    match value:
        case dict():
            for one in value.values():
                note(one)
            value[len(value)] = [0]
        case list():
            value.append(len(value))
        case set():
            value.add(len(value))


def test_nothing_that_a_rehearsal_notes_is_noted_in_its_draft() -> None:
    snapshot = take_snapshot(state_of(node("a")))
    draft = Draft(snapshot, Limits())
    for value in notes_of(draft).values():
        note(value)
    before = deepcopy(notes_of(draft))
    rehearsal = Rehearsal(draft, snapshot)
    assert notes_of(rehearsal) == before
    rehearsal.steps += 1
    for value in notes_of(rehearsal).values():
        note(value)
    changed = [name for name, value in notes_of(rehearsal).items() if value != before[name]]
    assert changed == list(before)
    assert notes_of(draft) == before
