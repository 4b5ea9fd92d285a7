"""A log with other lines than it had is told of in sentences that are all true, and each once."""

import pytest
from muster_contracts import positions
from muster_contracts.findings import MOST_DIFFERENCES, Findings
from muster_contracts.positions import Positions


def said_of(*met: int, before: int = 0) -> list[str]:
    log = Positions(before)
    return [*filter(None, map(log.meet, met)), *log.missing()]


def out_of_order(position: int, last: int) -> str:
    return f"Position {position} comes after position {last}: the log is out of order."


@pytest.mark.parametrize(
    ("met", "said"),
    [
        ((1, 2, 3), []),
        ((1, 3, 2, 4), [out_of_order(2, 3)]),
        ((1, 2, 2, 3), [out_of_order(2, 2)]),
        ((2, 3), ["Position 1 is missing."]),
        ((1, 5, 3), [out_of_order(3, 5), "Position 2 is missing.", "Position 4 is missing."]),
        (
            (1, 6, 2, 2, 5),
            [out_of_order(2, 6), out_of_order(2, 6), out_of_order(5, 6), "Positions 3 to 4 are missing."],
        ),
    ],
)
def test_only_what_never_came_is_missing_and_what_came_late_is_out_of_order(
    met: tuple[int, ...], said: list[str]
) -> None:
    assert said_of(*met) == said


def test_positions_go_on_from_where_a_checkpoint_stands() -> None:
    assert said_of(8, 10, before=7) == ["Position 9 is missing."]


def test_more_gaps_than_are_held_are_told_as_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "MOST_GAPS", 1)
    assert said_of(2, 4, 6) == ["Position 3 is missing.", "Position 5 is missing.", "Position 1 is missing."]


def test_what_others_may_follow_from_is_told_before_them_however_many_they_are() -> None:
    findings = Findings()
    for number in range(MOST_DIFFERENCES):
        findings.add(f"{number}")
    findings.add_first(["cause", "other cause"])
    assert findings.differences[:3] == ["cause", "other cause", "0"]
    assert (len(findings.differences), findings.differences_found) == (MOST_DIFFERENCES, MOST_DIFFERENCES + 2)
