"""`muster simulate`: what it prints, what programs read, and the exit codes scripts rely on."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli.stage import Type

SHARES = {
    "cases": [
        {
            "id": "spare",
            "call": "setResourceShare",
            "resource": "gpu",
            "total": 3,
            "queues": [{"id": "a", "gpu": {"deserved": 1, "over_quota_weight": 1, "request": 2}}],
            "expected_fair_share": {"a": 2},
            "expected_remaining": 1,
        }
    ]
}


def scenario(case_id: str, *, expects: str) -> dict[str, Any]:
    return {
        "id": case_id,
        "nodes": [{"name": "node0", "gpus": 1}],
        "queues": [{"name": "team", "deserved_gpus": 1}],
        "jobs": [{"name": "job", "queue": "team", "gpus_per_task": 1, "tasks": [{}]}],
        "expect": {"jobs": {"job": {"status": expects}}},
        "rounds_after_match": 1,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    cases = [scenario("runs", expects="Running"), scenario("waits", expects="Pending")]
    path.write_text(json.dumps({"scenarios": cases}))
    return path


def test_a_case_that_holds_ends_with_0(types: Type, file: Path) -> None:
    typed = types("simulate", str(file), "--case", "runs")
    assert (typed.code, typed.out) == (0, "pass runs\nIt holds.\n")


def test_differences_are_printed_and_end_with_1(types: Type, file: Path) -> None:
    typed = types("simulate", str(file))
    assert typed.code == 1
    assert "pass runs\ndiffers waits\n  · job-0 should be Pending, and is Running on node0.\n" in typed.out
    assert typed.err == "1 of 2 cases differ from what they expect.\n"


def test_programs_read_every_case_with_its_counts(types: Type, file: Path) -> None:
    typed = types("simulate", str(file), "-o", "json")
    runs, waits = json.loads(typed.out)["cases"]
    assert runs.pop("milliseconds") > 0
    assert runs == {"id": "runs", "passed": True, "differences": [], "rounds": 2, "binds": 1, "evictions": 0}
    assert (waits["passed"], len(waits["differences"]), typed.code) == (False, 1, 1)


def test_fair_shares_are_compared_by_the_same_verb(types: Type, file: Path, tmp_path: Path) -> None:
    shares = tmp_path / "shares.json"
    shares.write_text(json.dumps(SHARES))
    assert types("simulate", str(shares)).out == "pass spare\nIt holds.\n"
    SHARES["cases"][0]["expected_remaining"] = 0
    shares.write_text(json.dumps(SHARES))
    typed = types("simulate", str(shares), str(file), "--case", "spare")
    assert (typed.code, typed.out) == (1, "differs spare\n  · 0 gpu should remain, and 1 remain.\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{", "This is not JSON"),
        (b"\xff\xfe", "This is not text in UTF-8."),
        (b'{"scenarios": [{"id": "x", "nodes": [{}]}]}', "case x, field nodes[0].name: It is missing."),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_2(types: Type, tmp_path: Path, text: bytes, complaint: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(text)
    typed = types("simulate", str(path))
    assert (typed.code, typed.out) == (2, "")
    assert typed.err.startswith(str(path))
    assert complaint in typed.err


def test_a_file_or_a_case_that_is_not_there_ends_with_2(types: Type, file: Path) -> None:
    assert types("simulate", "nowhere.json").code == 2
    typed = types("simulate", str(file), "--case", "nobody")
    assert (typed.code, typed.err.splitlines()[0]) == (2, "No case has the id nobody.")
