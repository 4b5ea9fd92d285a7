"""`muster audit verify --decisions`: plans are made anew from the journal, asked for page by page or from a copy."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cli.stage import Log, Muster, Type, Typed, shown
from muster_contracts.events import AnyEvent, PlanMade
from muster_scheduler.core.decision import written
from muster_scheduler.core.plan import Limits, plan
from muster_scheduler.core.snapshot import take_snapshot
from muster_scheduler.core.state import State
from scheduler.worlds import gang, id_of, node, recorded

Verifies = Callable[[Sequence[str]], Typed]


@pytest.fixture
def log() -> list[dict[str, Any]]:
    """A journal with one plan, of two pods on one node."""
    known: list[AnyEvent] = [node("a"), node("b"), *gang("train", 2)]
    state = State()
    for one in recorded(known):
        state.apply(one)
    plans = written(plan(take_snapshot(state)), Limits(), id_of("cluster"), 1)
    return [shown(one) for one in recorded([*known, *plans])]


@pytest.fixture
def served(muster: Muster, log: list[dict[str, Any]]) -> Muster:
    Log(log).serve(muster)
    return muster


@pytest.mark.usefixtures("served")
def test_a_journal_that_holds_is_verified(types: Type) -> None:
    typed = types("audit", "verify", "--decisions")
    assert typed.code == 0, typed.err
    assert typed.out == "Verified. 5 events up to position 5: 1 plan came out the same when made anew.\n"
    assert types("audit", "verify", "--decisions", "--last", "1", "-o", "json").data["replanned"] == 1


@pytest.mark.usefixtures("served")
def test_one_placement_changed_in_a_copy_is_named(types: Type, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text(types("audit", "export").out)
    assert types("audit", "verify", "--decisions", "--file", str(copy)).code == 0
    assert types("audit", "verify", "--file", str(copy)).code == 0  # there are no phases to differ
    lines = [json.loads(line) for line in copy.read_text().splitlines()]
    assert lines[-1]["type"] == PlanMade.model_fields["type"].default
    lines[-1]["data"]["placements"][1]["node"] = "b"
    copy.write_text("".join(json.dumps(line) + "\n" for line in lines))
    typed = types("audit", "verify", "--decisions", "--file", str(copy))
    assert typed.code == 1
    assert "Position 5, plan" in typed.out
    assert "pod train-1 has node b with devices" in typed.out
    assert "planning again gives node a with devices" in typed.out


@pytest.mark.usefixtures("served")
def test_plans_since_a_position_after_the_end_are_no_proof(types: Type, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text(types("audit", "export").out)
    for where in ((), ("--file", str(copy))):
        typed = types("audit", "verify", "--decisions", "--since", "99999", *where)
        sentence = "There is no position 99,999 yet: the event log ends at 5.\n"
        assert (typed.code, typed.out, typed.err) == (2, "", sentence), where
        assert types("audit", "verify", "--decisions", "--since", "5", *where).code == 0


@pytest.fixture(params=["phases", "decisions"])
def verifies(request: pytest.FixtureRequest, types: Type, tmp_path: Path) -> Verifies:
    """Verifies lines of a copy, in either way."""
    copy = tmp_path / "copy.jsonl"

    def verify(lines: Sequence[str]) -> Typed:
        copy.write_text("".join(lines))
        decisions = ["--decisions"] if request.param == "decisions" else []
        return types("audit", "verify", "--file", str(copy), *decisions)

    return verify


@pytest.fixture
def lines(log: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(event) + "\n" for event in log]


def test_a_whole_copy_holds(verifies: Verifies, lines: list[str]) -> None:
    assert verifies(lines).code == 0


@pytest.mark.parametrize(
    ("spoiled", "sentence"),
    [
        ((0, 1, 3, 4), "Position 3 is missing."),
        ((0, 3, 4), "Positions 2 to 3 are missing."),
        ((1, 2, 3, 4), "Position 1 is missing."),
        ((0, 2, 1, 3, 4), "Position 2 comes after position 3: the log is out of order."),
        ((0, 1, 1, 2, 3, 4), "Position 2 comes after position 2: the log is out of order."),
    ],
    ids=["one cut out", "two cut out", "the first cut off", "two swapped", "one twice"],
)
def test_a_copy_with_other_lines_is_no_proof(
    verifies: Verifies, lines: list[str], spoiled: Sequence[int], sentence: str
) -> None:
    typed = verifies([lines[number] for number in spoiled])
    assert typed.code == 1
    assert f"· {sentence}\n" in typed.out
    assert sum("missing" in line or "out of order" in line for line in typed.out.splitlines()) == 1
    assert "The copy is not what the services wrote" in typed.err


def test_a_copy_that_ends_in_the_middle_of_an_event_was_cut_off(
    verifies: Verifies, lines: list[str], tmp_path: Path
) -> None:
    typed = verifies([*lines[:-1], lines[-1][:-20]])
    sentence = "line 5: The copy ends in the middle of an event; it was cut off."
    assert (typed.code, typed.err) == (1, f"{tmp_path / 'copy.jsonl'}, {sentence}\n")
    assert verifies([*lines[:-1], lines[-1].rstrip("\n")]).code == 0  # nothing of the event is missing


def test_a_copy_that_cannot_be_read_is_named_with_its_line(types: Type, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text('{"position": 1}\n')
    typed = types("audit", "verify", "--decisions", "--file", str(copy))
    assert (typed.code, typed.err) == (2, f"{copy}, line 1: This is not an event of the journal.\n")
    assert types("audit", "verify", "--decisions", "--file", str(tmp_path / "none")).code == 2
    assert types("audit", "verify", "--last", "3").code == 2
