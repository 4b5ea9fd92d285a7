"""Every verb, typed at a real server: what is asked, what is printed where, and how the command ends."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.stage import WORKLOAD_ID, Answer, Asked, Muster, Type, error, record, show, workload

API = "/api/v1"
ONE = f"{API}/workloads/{WORKLOAD_ID}"
OTHER_ID = "0f9a3c1e-0000-5000-8000-000000000002"


def accept(asked: Asked) -> Any:
    body = asked.body
    return {"workload_id": WORKLOAD_ID, "name": body["name"], "project": body["project"], "position": 7}


@pytest.fixture
def accepting(muster: Muster) -> Muster:
    """A server that takes every submission."""
    show(muster, workload())
    muster.answers["POST", f"{API}/workloads/trainings"] = accept
    muster.answers["POST", f"{API}/workloads/workspaces"] = accept
    return muster


# ---------------------------------------------------------------- submit


@pytest.mark.parametrize(
    ("typed", "compute"),
    [
        (["--gpu", "0.5"], {"gpu_devices": 1, "gpu_portion_millionths": 500_000}),
        (["--gpu", "2x0.25"], {"gpu_devices": 2, "gpu_portion_millionths": 250_000}),
        (["--gpu-memory", "20Gi"], {"gpu_devices": 1, "gpu_memory_bytes": 20 * 2**30}),
        (["--gpu", "2", "--gpu-memory", "20Gi"], {"gpu_devices": 2, "gpu_memory_bytes": 20 * 2**30}),
        ([], {"gpu_devices": 0}),
    ],
)
def test_gpus_are_asked_for_whole_in_parts_or_by_memory(
    accepting: Muster, types: Type, typed: list[str], compute: dict[str, int]
) -> None:
    assert types("submit", "workspace", "notes", "-p", "demo", *typed).code == 0
    (asked,) = accepting.asked_at("POST", f"{API}/workloads/workspaces")
    others = {"cpu_cores": 1.0, "memory_bytes": 100 * 2**20}
    assert asked.body["spec"]["compute"] == compute | others


@pytest.mark.parametrize("kind", ["training", "workspace"])
def test_what_is_preempted_may_be_asked_to_end(accepting: Muster, types: Type, kind: str) -> None:
    assert types("submit", kind, "x", "-p", "demo", "--terminate-after-preemption").code == 0
    assert types("submit", kind, "y", "-p", "demo").code == 0
    asked = accepting.asked_at("POST", f"{API}/workloads/{kind}s")
    assert [each.body["spec"]["terminate_after_preemption"] for each in asked] == [True, False]


def test_a_training_is_submitted_from_options(accepting: Muster, types: Type) -> None:
    typed = types(
        *("submit", "training", "hello", "-p", "demo", "--gpu", "2", "--cpu", "500m", "--memory", "4Gi", "--gang"),
        *(
            "--parallelism",
            "3",
            "-e",
            "A=1=2",
            "--label",
            "team=red",
            "--node-pool",
            "big",
            "--",
            "python",
            "-m",
            "train",
        ),
    )
    assert (typed.code, typed.out) == (0, "")
    assert typed.err == f"Training hello is submitted to demo as {WORKLOAD_ID}.\n"
    (asked,) = accepting.asked_at("POST", f"{API}/workloads/trainings")
    spec = asked.body["spec"]
    assert spec["compute"] == {"gpu_devices": 2, "cpu_cores": 0.5, "memory_bytes": 4 * 2**30}
    assert (spec["parallelism"], spec["min_members"], spec["command"]) == (3, 3, ["python", "-m", "train"])
    assert spec["environment"] == [{"name": "A", "value": "1=2"}]
    assert (spec["labels"], spec["node_pools"]) == ({"team": "red"}, ["big"])
    assert asked.body["idempotency_key"]
    assert accepting.asked_at("GET", ONE)[0].query == {"at_least": ["7"]}


def test_what_the_server_would_refuse_is_left_to_the_server(accepting: Muster, types: Type) -> None:
    types("submit", "training", "hello", "-p", "demo", "--min-members", "0")
    assert accepting.asked[0].body["spec"]["min_members"] == 0


def test_a_file_is_submitted_with_its_own_project_and_key(
    accepting: Muster, types: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "workspace.yaml"
    file.write_text("kind: workspace\nname: notes\nproject: demo\nidempotency_key: once\nspec: {image: x}\n")
    monkeypatch.setenv("MUSTER_PROJECT", "two")
    typed = types("submit", "-f", str(file), "-o", "json")
    assert typed.data == {"workload_id": WORKLOAD_ID, "name": "notes", "project": "demo", "position": 7}
    assert accepting.asked[0].body == {
        "name": "notes",
        "project": "demo",
        "idempotency_key": "once",
        "spec": {"image": "x"},
    }
    types("submit", "-f", str(file), "--project", "three", "--idempotency-key", "twice")
    again = accepting.asked_at("POST", f"{API}/workloads/workspaces")[1].body
    assert (again["project"], again["idempotency_key"]) == ("three", "twice")


def test_a_file_without_a_project_goes_to_the_project_of_the_environment(
    accepting: Muster, types: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.yaml").write_text("kind: training\nname: x\nspec: {image: x}\n")
    monkeypatch.setenv("MUSTER_PROJECT", "two")
    types("submit", "-f", str(tmp_path / "t.yaml"))
    assert accepting.asked[0].body["project"] == "two"


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["submit", "training", "x"], 2, "No project is named."),
        (["submit", "training", "x", "-p", "demo", "--env", "A"], 2, "--env takes KEY=VALUE, not 'A'."),
        (["submit", "training", "x", "-p", "demo", "--memory", "5Q"], 2, "'5Q' is not an amount of memory."),
        (["submit", "-p", "demo", "training", "x"], 2, "Options belong after training."),
        (["submit", "-f", "x.yaml", "training", "x"], 2, "A file says itself what kind it is."),
        (["submit", "-p", "demo"], 2, "Nothing is named to submit."),
        (["submit", "-f", "no-such-file.yaml"], 3, "no-such-file.yaml cannot be read: No such file or directory."),
        (["submit", "training", "x", "-p", "demo", "--gpu", "many"], 2, "'many' is not a number of GPUs."),
        (
            ["submit", "training", "x", "-p", "demo", "--gpu=1.5"],
            2,
            "1.5 GPUs are neither whole ones nor a part of one.",
        ),
        (
            ["submit", "training", "x", "-p", "demo", "--gpu=2x1"],
            2,
            "2x1 GPUs are neither whole ones nor a part of one.",
        ),
        (["submit", "training", "x", "-p", "demo", "--gpu=0x0.5"], 2, "'0x0.5' is not a number of GPUs."),
        (
            ["submit", "training", "x", "-p", "demo", "--gpu=2x0.5", "--gpu-memory=20Gi"],
            2,
            "2x0.5 GPUs and 20Gi of each are two ways to ask for a part of one.",
        ),
        (["submit", "training", "x", "-p", "demo", "--gpu", "0.0000001"], 2, "'0.0000001' is not a number of GPUs."),
        (["submit", "training", "x", "-p", "demo", "--gpu", "1e99"], 2, "'1e99' is not a number of GPUs."),
        (
            ["submit", "training", "x", "-p", "demo", "--gpu", "0.5", "--gpu-memory", "20Gi"],
            2,
            "0.5 GPUs and 20Gi of each are two ways to ask for a part of one.",
        ),
        (["submit", "training", "x", "--parallelism", "many"], 2, "Usage: muster submit training"),
        (["frobnicate"], 2, "Usage: muster "),
        (["wait", "x", "--for", "Done"], 2, "'Done' is not a phase; the phases are Creating, Pending, "),
        (["list", "--phase", ""], 2, "'' is not a phase; the phases are Creating, Pending, "),
        (["submit", "training", "x", "-p", "demo", "-e", "A=\udcff"], 2, "The request cannot be sent as JSON: "),
    ],
)
def test_a_slip_is_told_before_anything_is_asked(
    muster: Muster, types: Type, arguments: list[str], code: int, sentence: str
) -> None:
    typed = types(*arguments)
    assert (typed.code, typed.out) == (code, "")
    assert typed.err.startswith(sentence)
    assert muster.asked == []


@pytest.mark.parametrize(
    "text", ["kind: [training", "kind: Job", "- training", "", "\xff", "kind: [training]", "a: 2026-13-45"]
)
def test_a_file_that_is_no_request_is_told(muster: Muster, types: Type, tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yaml").write_bytes(text.encode("latin-1"))
    typed = types("submit", "-f", str(tmp_path / "odd.yaml"))
    assert typed.code == 2
    assert "odd.yaml is not valid YAML" in typed.err or "does not say `kind: training`" in typed.err
    assert muster.asked == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("name: 2026-01-01", "2026-01-01 is a date"),
        ("2026-01-01: name", "keys must be str, int, float, bool or None, not datetime.date"),
        ("n: .nan", "Out of range float values are not JSON compliant"),
        ("n: &itself [*itself]", "Circular reference detected"),
        ("n: !!set {a}", "{'a'} is a set"),
    ],
)
def test_a_file_that_says_more_than_json_can_is_told_with_the_way_out(
    muster: Muster, types: Type, tmp_path: Path, line: str, reason: str
) -> None:
    (tmp_path / "odd.yaml").write_text(f"kind: training\nproject: demo\n{line}\n")
    typed = types("submit", "-f", str(tmp_path / "odd.yaml"))
    assert (typed.code, typed.out) == (2, "")
    assert typed.err.splitlines() == [
        f"The request cannot be sent as JSON: {reason}.",
        "Put a value in quotes where text is meant.",
    ]
    assert muster.asked == []


@pytest.mark.parametrize("kind", ["training", "workspace"])
def test_node_pools_are_sent_in_the_order_in_which_they_are_named(accepting: Muster, types: Type, kind: str) -> None:
    types("submit", kind, "hello", "-p", "demo", "--image", "i", "--node-pool", "b", "--node-pool", "a")
    assert accepting.asked[0].body["spec"]["node_pools"] == ["b", "a"]


# ---------------------------------------------------------------- which workload


def test_of_workloads_with_one_name_the_living_is_meant(muster: Muster, types: Type) -> None:
    gone = workload(id=OTHER_ID, deleted_at="2026-03-01T11:00:00Z")
    show(muster, workload(), deleted=(gone,))
    assert types("describe", "hello", "-o", "json").data["id"] == WORKLOAD_ID


def test_a_deleted_workload_is_found_by_its_name(muster: Muster, types: Type) -> None:
    show(muster, deleted=(workload(deleted_at="2026-03-01T11:00:00Z"),))
    assert types("history", "hello", "-o", "json").data == {"records": []}
    described = types("describe", "hello").out
    assert "gone" in described


def test_a_name_in_two_projects_is_told_with_the_choice(muster: Muster, types: Type) -> None:
    show(muster, workload(), workload(id=OTHER_ID, project="two"))
    typed = types("describe", "hello")
    assert typed.code == 2
    assert typed.err.splitlines() == [
        "Several workloads are called hello.",
        "Say which one: demo/hello, two/hello.",
    ]
    assert types("describe", "two/hello", "-o", "json").data["id"] == OTHER_ID
    assert types("describe", "hello", "--project", "two", "-o", "json").data["id"] == OTHER_ID


def test_a_name_with_a_slash_in_it_is_a_name_before_it_is_a_project_and_a_name(muster: Muster, types: Type) -> None:
    show(muster, workload(name="nightly/run-1"))
    assert types("describe", "nightly/run-1", "-o", "json").data["id"] == WORKLOAD_ID
    assert types("describe", "demo/nightly/run-1", "-o", "json").data["id"] == WORKLOAD_ID


def test_a_workload_that_is_not_there_is_not_found(muster: Muster, types: Type) -> None:
    show(muster)
    typed = types("describe", "nobody")
    assert (typed.code, typed.err.splitlines()[0]) == (3, "There is no workload nobody.")
    muster.answers["GET", f"{API}/workloads/{OTHER_ID}"] = Answer(error(404, "There is no workload with this id."), 404)
    assert types("describe", OTHER_ID).code == 3


# ---------------------------------------------------------------- list, describe, history


def test_the_list_asks_for_what_is_wanted(muster: Muster, types: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    muster.answers["GET", f"{API}/workloads"] = {"workloads": [workload()], "next": 6}
    muster.answers["GET", f"{API}/workloads/count"] = {"count": 1234}
    monkeypatch.setenv("MUSTER_PROJECT", "demo")
    typed = types("list", "--phase", "running", "--search", "ell", "--limit", "2", "--offset", "4")
    assert " ".join(typed.out.splitlines()[0].split()) == "NAME PROJECT KIND PHASE PODS GPUS NODES AGE MESSAGE"
    assert typed.out.splitlines()[1].startswith("hello  demo     training  Running  1/1   0.5   pool-a-0")
    assert typed.err == "These are 1 of 1,234; --offset 6 shows the next.\n"
    wanted = {"project": ["demo"], "phase": ["Running"], "search": ["ell"], "deleted": ["false"]}
    assert muster.asked[0].query == {**wanted, "limit": ["2"], "offset": ["4"]}
    assert muster.asked[1].query == wanted
    types("list", "--all-projects")
    assert "project" not in muster.asked_at("GET", f"{API}/workloads")[1].query


@pytest.mark.parametrize(
    ("millionths", "in_bytes", "shown"),
    [(0, 0, "0"), (500_000, 0, "0.5"), (0, 20 * 2**30, "20 GiB"), (2_000_000, 2**30, "2 + 1 GiB")],
)
def test_gpus_are_shown_as_they_are_asked_for(
    muster: Muster, types: Type, millionths: int, in_bytes: int, shown: str
) -> None:
    asks = {"cpu_milli": 1000, "memory_bytes": 2**30, "gpu_millionths": millionths, "gpu_memory_bytes": in_bytes}
    muster.answers["GET", f"{API}/workloads"] = {"workloads": [workload(requests=asks)], "next": None}
    assert f" 1/1   {shown} " in types("list").out


def test_nothing_in_a_project_is_not_the_same_as_no_such_project(muster: Muster, types: Type) -> None:
    show(muster)
    muster.answers["GET", f"{API}/projects/demo"] = {"name": "demo"}
    muster.answers["GET", f"{API}/projects/dmeo"] = Answer(error(404, "There is no project 'dmeo'."), 404)
    empty = types("list", "-p", "demo")
    assert (empty.code, empty.out, empty.err) == (0, "", "There are no workloads in project demo.\n")
    missing = types("list", "-p", "dmeo", "-o", "json")
    assert (missing.code, missing.out, missing.err) == (3, "", "There is no project 'dmeo'.\n")


def test_what_is_gone_is_listed_with_when_and_why(muster: Muster, types: Type) -> None:
    gone = workload(phase="Deleting", phase_reason="ada asked to delete it.", deleted_at="2026-03-01T11:00:00Z")
    show(muster, deleted=(gone,))
    header, row = types("list", "--deleted").out.splitlines()
    assert header.split()[-2:] == ["GONE", "REASON"]
    assert row.endswith("ago  ada asked to delete it.")
    assert row.split()[3] == "gone"  # as its description says; nothing is being deleted any more


def test_a_description_says_why_a_workload_waits_and_what_it_went_through(muster: Muster, types: Type) -> None:
    message = "hello needs 100 GPUs on one node; the best has [8] free."
    show(muster, workload(phase="Pending", message=message, actions_supported={"stop": True, "activate": False}))
    muster.answers["GET", f"{ONE}/history"] = [
        {"records": [record(1, current="Creating")], "next": 1},
        {"records": [record(2, previous="Creating", current="Pending")], "next": None},
    ]
    typed = types("describe", "hello")
    lines = typed.out.splitlines()
    assert f"Message:      {message}" in lines
    assert "Asks for:     0.5 GPUs, 1.5 CPU, 1 GiB of memory" in lines
    assert "It cannot be: activated" in lines
    assert any(line.endswith("Creating → Pending  Reason 2.") for line in lines)
    assert [asked.query["after"] for asked in muster.asked_at("GET", f"{ONE}/history")] == [["0"], ["1"]]


def test_parts_of_devices_are_shown_as_they_are_asked_for(muster: Muster, types: Type) -> None:
    said = {
        "role": "worker",
        "reason": "",
        "phase": "Running",
        "ready": True,
        "node": "a",
        "restarts": 0,
        "message": "",
    }
    held = ["0:500000,1:250000", "0,1", "0:somebody else"]
    pods = [{**said, "name": f"pod-{index}", "gpus": gpus} for index, gpus in enumerate(held)]
    show(muster, workload())
    muster.answers["GET", f"{ONE}/pods"] = {"pods": pods}
    rows = [line for line in types("describe", "hello").out.splitlines() if line.startswith("pod-")]
    assert [" ".join(row.split()[5:-1]) for row in rows] == ["0:0.5,1:0.25", "0,1", "0:somebody else"]


def test_what_is_said_of_each_of_many_pods_is_one_line(muster: Muster, types: Type) -> None:
    blocked = [record(n, "WorkloadBlocked") | {"reason": "It waits."} for n in range(2, 5)]
    then = record(5, previous="Pending", current="Running")
    show(muster, workload(phase="Running"))
    records = [record(1, current="Pending"), *blocked, then, record(6, previous="Running", current="Pending"), *blocked]
    muster.answers["GET", f"{ONE}/history"] = {"records": records, "next": None}
    told = [line.split("  ", 1)[1] for line in types("history", "hello").out.splitlines()[1:]]
    assert [line.split("  ")[0] for line in told] == [
        "· → Pending",
        "WorkloadBlocked (3 times)",
        "Pending → Running",
        "Running → Pending",
        "WorkloadBlocked (3 times)",
    ]


@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize(
    "arguments",
    [["list"], ["describe", "hello"], ["history", "hello"], ["project", "list"], ["status"], ["audit", "verify"]],
)
def test_every_question_can_be_answered_for_programs(
    muster: Muster, types: Type, arguments: list[str], form: str
) -> None:
    show(muster, workload())
    muster.answers["GET", f"{API}/projects"] = {"projects": []}
    muster.answers["GET", f"{API}/system"] = {"well": True, "services": []}
    muster.answers["GET", f"{API}/audit/verify"] = {"ok": True}
    typed = types(*arguments, "-o", form)
    assert (typed.code, typed.err) == (0, "")
    assert isinstance(yaml.safe_load(typed.out), dict)  # JSON is YAML


# ---------------------------------------------------------------- logs


def test_a_log_is_printed_as_it_is(muster: Muster, types: Type) -> None:
    show(muster, workload())
    muster.answers["GET", f"{ONE}/logs"] = Answer("epoch 1 [red]\x1b[0m\nepoch 2")
    assert types("logs", "hello", "--tail", "2", "-c", "main", "--previous").out == "epoch 1 [red]\x1b[0m\nepoch 2"
    query = muster.asked[-1].query
    assert query == {"follow": ["false"], "previous": ["true"], "tail_lines": ["2"], "container": ["main"]}


def test_following_waits_until_there_is_something_to_follow(muster: Muster, types: Type) -> None:
    show(muster, workload(phase="Pending"))
    muster.answers["GET", ONE] = [workload(phase="Initializing"), workload(phase="Running")]
    muster.answers["GET", f"{ONE}/logs"] = Answer("epoch 1\n")
    assert types("logs", "-f", "hello").out == "epoch 1\n"
    assert len(muster.asked_at("GET", ONE)) == 2


def test_a_log_that_is_not_there_yet_is_refused_with_the_reason(muster: Muster, types: Type) -> None:
    show(muster, workload(phase="Pending"))
    muster.answers["GET", f"{ONE}/logs"] = Answer(error(409, "There is no log of hello-1 yet."), 409)
    typed = types("logs", "hello")
    assert (typed.code, typed.out, typed.err) == (4, "", "There is no log of hello-1 yet.\n")


# ---------------------------------------------------------------- wait

TO_RUNNING = [
    record(1, current="Creating"),
    record(2, previous="Creating", current="Pending"),
    record(3, previous="Pending", current="Running"),
]
COMPLETED = [*TO_RUNNING, record(4, previous="Running", current="Completed")]


def await_in(muster: Muster, now: dict[str, Any], records: list[Any]) -> None:
    show(muster, now)

    def after(asked: Asked) -> Any:
        read = int(asked.query["after"][0])
        return {"records": [each for each in records if each["position"] > read], "next": None}

    muster.answers["GET", f"{ONE}/history"] = after


def test_waiting_ends_when_the_phase_is_reached(muster: Muster, types: Type) -> None:
    await_in(muster, workload(phase="Pending"), TO_RUNNING[:2])
    muster.answers["GET", ONE] = [workload(phase="Pending"), workload(phase="Pending"), workload(phase="Running")]
    typed = types("wait", "hello", "--for", "running")
    assert (typed.code, typed.out, typed.err) == (0, "", "hello is Running.\n")


def test_a_phase_that_was_passed_is_reached(muster: Muster, types: Type) -> None:
    await_in(muster, workload(phase="Completed"), COMPLETED)
    typed = types("wait", "hello", "--for", "Running")
    assert (typed.code, typed.err) == (0, "hello was Running; it is Completed now.\n")


def test_a_phase_that_is_reached_between_two_questions_is_not_called_past(muster: Muster, types: Type) -> None:
    await_in(muster, workload(phase="Running"), COMPLETED)
    muster.answers["GET", ONE] = [workload(phase="Running"), workload(phase="Completed")]
    typed = types("wait", "hello", "--for", "Completed")
    assert (typed.code, typed.err) == (0, "hello is Completed.\n")


def test_a_phase_of_a_deleted_workload_was_reached_or_was_not(muster: Muster, types: Type) -> None:
    await_in(muster, workload(phase="Deleting", deleted_at="2026-03-01T11:00:00Z"), COMPLETED)
    assert types("wait", WORKLOAD_ID, "--for", "Completed").code == 0
    never = types("wait", WORKLOAD_ID, "--for", "Failed")
    assert never.code == 1
    assert "is gone and will not be Failed" in never.err


def test_a_phase_from_before_a_stop_does_not_count(muster: Muster, types: Type) -> None:
    stopped = [record(4, "StopRequested"), record(5, previous="Running", current="Stopped")]
    again = [record(6, "ActivateRequested"), record(7, previous="Stopped", current="Pending")]
    await_in(muster, workload(phase="Pending"), [*TO_RUNNING, *stopped, *again])
    assert types("wait", "hello", "--for", "Running", "--timeout", "0s").code == 6
    assert types("wait", "hello", "--for", "Pending", "--timeout", "0s").code == 0


def test_a_phase_from_before_a_preemption_does_not_count(muster: Muster, types: Type) -> None:
    preempted = [*TO_RUNNING, record(4, previous="Running", current="Pending")]
    await_in(muster, workload(phase="Pending"), preempted)
    assert types("wait", "hello", "--for", "Running", "--timeout", "0s").code == 6


def test_a_phase_that_cannot_come_ends_the_wait_at_once(muster: Muster, types: Type) -> None:
    await_in(muster, workload(phase="Completed", phase_reason="1 pod succeeded."), COMPLETED)
    typed = types("wait", "hello", "--for", "Failed", "--timeout", "1h")
    assert (typed.code, typed.err) == (1, "hello is Completed and will not be Failed: 1 pod succeeded.\n")


def test_a_timeout_says_what_the_workload_waits_for(muster: Muster, types: Type) -> None:
    await_in(muster, workload(phase="Pending", message="It needs 100 GPUs."), TO_RUNNING[:2])
    typed = types("wait", "hello", "--for", "Running", "--timeout", "0.01s")
    assert typed.code == 6
    assert typed.err.splitlines()[0] == "hello is still Pending after 0.01s: It needs 100 GPUs."


@pytest.mark.parametrize("text", ["soon", "-3s", "nan", "inf", "", "s"])
def test_what_is_no_time_is_told(muster: Muster, types: Type, text: str) -> None:
    typed = types("wait", "hello", "--for", "Running", f"--timeout={text}")
    assert typed.code == 2
    assert "Write it like 90s, 5m or 1h." in typed.err
    assert muster.asked == []


# ---------------------------------------------------------------- stop, activate, delete


def test_several_workloads_are_stopped_and_a_refusal_keeps_none_from_it(muster: Muster, types: Type) -> None:
    show(muster, workload(), workload("notes", id=OTHER_ID))
    muster.answers["POST", f"{ONE}/stop"] = Answer(error(409, "hello has completed."), 409)
    muster.answers["POST", f"{API}/workloads/{OTHER_ID}/stop"] = {"workload_id": OTHER_ID, "position": 9}
    typed = types("stop", "hello", "notes")
    assert (typed.code, typed.err) == (4, "notes is being stopped.\nhello has completed.\n")
    assert muster.asked_at("GET", f"{API}/workloads/{OTHER_ID}")[0].query == {"at_least": ["9"]}


def test_a_name_that_is_wrong_changes_nothing(muster: Muster, types: Type) -> None:
    show(muster, workload())
    assert types("delete", "hello", "helo").code == 3
    assert {asked.method for asked in muster.asked} == {"GET"}


def test_actions_are_answered_for_programs_with_names(muster: Muster, types: Type) -> None:
    show(muster, workload())
    muster.answers["POST", f"{ONE}/activate"] = {"workload_id": WORKLOAD_ID, "position": 9}
    typed = types("activate", "hello", "-o", "json")
    assert typed.data == [{"name": "hello", "project": "demo", "workload_id": WORKLOAD_ID, "position": 9}]


def test_deleting_what_is_deleted_says_so(muster: Muster, types: Type) -> None:
    show(muster, deleted=(workload(deleted_at="2026-03-01T11:00:00Z"),))
    muster.answers["DELETE", ONE] = {"workload_id": WORKLOAD_ID, "position": 9}
    typed = types("delete", "hello")
    assert (typed.code, typed.err) == (0, "hello is deleted already.\n")


def test_what_to_know_of_a_deletion_is_told(muster: Muster, types: Type) -> None:
    show(muster, workload())
    muster.answers["DELETE", ONE] = {"workload_id": WORKLOAD_ID, "position": 9, "warning": "It may come back."}
    assert types("delete", "hello").err == "hello is being deleted.\nIt may come back.\n"


# ---------------------------------------------------------------- project, status, audit


def test_a_project_is_created(muster: Muster, types: Type) -> None:
    made = {"project_id": WORKLOAD_ID, "name": "two", "namespace": "muster-two", "position": 5}
    muster.answers["POST", f"{API}/projects"] = made
    muster.answers["GET", f"{API}/projects"] = {"projects": []}
    typed = types("project", "create", "two", "--namespace", "mine", "--airflow-unit", "task")
    assert (typed.code, typed.err) == (0, "Project two exists; its namespace is muster-two.\n")
    assert muster.asked[0].body == {"name": "two", "namespace": "mine", "airflow_unit": "task"}


SICK = {
    "well": False,
    "services": [
        {"service": "scheduler", "well": False, "loops": {"planning": {"condition": "stopped", "reason": "Boom [1]."}}},
        {"service": "status", "well": True, "loops": {"fold": {"condition": "running", "position": 7, "end": 9}}},
    ],
}


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_service_that_is_not_well_is_named_and_ends_with_no(muster: Muster, types: Type, form: str) -> None:
    muster.answers["GET", f"{API}/system"] = SICK
    typed = types("status", "-o", form)
    assert typed.code == 1
    assert typed.err.startswith("Not everything is well: scheduler.")
    assert "Boom [1]." in typed.out


def test_how_far_a_service_is_behind_is_shown(muster: Muster, types: Type) -> None:
    muster.answers["GET", f"{API}/system"] = SICK
    assert types("status").out.splitlines()[2].split() == ["status", "fold", "running", "7", "2"]


def test_differences_of_an_audit_are_counted_and_shown(muster: Muster, types: Type) -> None:
    found = {"ok": False, "differences_found": 2000, "differences": ["Row [a] is old."] * 100, "position": 5}
    muster.answers["GET", f"{API}/audit/verify"] = found
    typed = types("audit", "verify")
    assert typed.code == 1
    assert typed.out.splitlines()[0] == "· Row [a] is old."
    assert typed.err.startswith("2,000 differences were found up to position 5.")
