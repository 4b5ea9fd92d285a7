"""`muster simulate`: what it prints, what programs read, and the exit codes scripts rely on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest
from cli.stage import Log, Muster, Type, shown
from muster_contracts.events import NodeObserved, PodGroupFormed, PodObserved
from muster_contracts.subjects import NAMESPACE
from muster_contracts.values import GpuRequest, PodFacts, Resources
from scheduler import worlds

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


def test_fields_nobody_knows_are_remarked(types: Type, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"scenarios": [{**scenario("runs", expects="Running"), "colour": "red"}]}))
    assert types("simulate", str(path)).err == "runs: colour is not known and was passed over.\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"{", "This is not JSON"),
        (b"[" * 100_000, "This is nested too deeply to be read."),
        (b'{"scenarios": 1e99999999999999999999}', "It has a number too large to be read."),
        (b'{"scenarios": [{"id": "x\\ud800"}]}', "field scenarios[0].id: "),
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


# ---------------------------------------------------------------- the recorded history


@pytest.fixture
def recorded(muster: Muster) -> Muster:
    """A journal of two nodes without GPUs, and a pod that waits for one."""
    pod = PodFacts(
        pod_id=uuid5(NAMESPACE, "pod"),
        name="hello-0",
        namespace="muster-demo",
        pod_group_id=uuid5(NAMESPACE, "group"),
        scheduler_name="muster-scheduler",
        created_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        gpu=GpuRequest(devices=1),
    )
    workload_id = uuid5(NAMESPACE, "workload")
    formed = PodGroupFormed(
        workload_id=workload_id, pod_group_id=uuid5(NAMESPACE, "group"), name="hello", min_members=1
    )
    nodes = [
        NodeObserved(node_id=uuid5(NAMESPACE, name), name=name, ready=True, allocatable=Resources(cpu_milli=1000))
        for name in ("a", "b")
    ]
    told = [nodes[0], formed, PodObserved(workload_id=workload_id, pods=(pod,)), nodes[1]]
    Log([shown(one) for one in worlds.recorded(told)]).serve(muster)
    return muster


@pytest.mark.usefixtures("recorded")
def test_the_history_is_read_and_scheduled_again_with_what_the_file_changes(types: Type, tmp_path: Path) -> None:
    assert "not started" in types("simulate", "--from-journal").out
    changes = tmp_path / "more.yaml"
    changes.write_text("nodes: {a: {gpus: 1}}\n")
    (workload,) = json.loads(types("simulate", "--from-journal", "--with", str(changes), "-o", "json").out)["workloads"]
    assert (workload["waited_seconds_before"], workload["waited_seconds_after"]) == (None, 0)


@pytest.mark.usefixtures("recorded")
def test_the_history_ends_at_the_position_asked_for(types: Type) -> None:
    answer = json.loads(types("simulate", "--from-journal", "--at", "2", "-o", "json").out)
    assert answer == {"position": 2, "workloads": []}


@pytest.mark.usefixtures("recorded")
def test_the_history_ends_at_the_time_asked_for(types: Type) -> None:
    whole = types("simulate", "--from-journal", "-o", "json").data
    assert (
        types(
            "simulate",
            "--from-journal",
            "--at",
            f"{worlds.START + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}",
            "-o",
            "json",
        ).data
        == whole
    )
    before = f"{worlds.START - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    assert types("simulate", "--from-journal", "--at", before, "-o", "json").data == {"position": 0, "workloads": []}


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("at", "said"), [("5", "the event log ends at 4"), ("9999-01-01", "lies ahead")])
def test_a_moment_after_the_end_is_refused(types: Type, at: str, said: str) -> None:
    typed = types("simulate", "--from-journal", "--at", at)
    assert (typed.code, typed.out) == (2, "")
    assert said in typed.err


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("text", "code", "complaint"),
    [
        (
            "projects: {nobody: {deserved_gpus: 1}}",
            2,
            "changes.yaml, field projects.nobody: The history knows no project nobody.",
        ),
        ("nodes: {new: {like: c}}", 2, "changes.yaml, field nodes.new.like: The history knows no node c."),
        ("projects: {demo: {over_quota_weight: heavy}}", 2, "should be one of lowest, low, medium, high"),
        ("projects: {demo: {deserved: 1}}", 2, "projects.demo.deserved: It is not known."),
        ("nodes:\n  [", 2, "changes.yaml: This is not YAML that can be read: expected the node content, "),
        ("nodes:\n  [", 2, "found '<stream end>' in line 2.\n"),
        ("[" * 100_000, 2, "This is nested too deeply to be read."),
        ("- a", 2, "The file should be one object with named fields."),
    ],
)
def test_changes_that_cannot_be_made_are_told(
    types: Type, tmp_path: Path, text: str, code: int, complaint: str
) -> None:
    file = tmp_path / "changes.yaml"
    file.write_text(text)
    typed = types("simulate", "--from-journal", "--with", str(file))
    assert typed.code == code
    assert complaint in typed.err


def test_files_and_the_journal_exclude_each_other(types: Type, file: Path) -> None:
    sentence = "Name either files of scenarios or --from-journal, and not both.\nmuster simulate --help\n"
    for typed in (types("simulate"), types("simulate", str(file), "--from-journal")):
        assert (typed.code, typed.err) == (2, sentence)
    assert types("simulate", str(file), "--at", "3").code == 2
