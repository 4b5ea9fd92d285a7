"""The session of the README, typed as it stands there."""

import shutil
from pathlib import Path

import pytest
from system.conftest import Running

EXAMPLES = Path(__file__).parents[2] / "examples"
HAPPY_PATH = ["Creating", "Pending", "Initializing", "Running", "Completed"]


async def phases_of(running: Running, workload: str) -> list[str]:
    history = (await running.muster("history", workload, "-o", "json")).data
    return [record["current"] for record in history["records"] if record["type"] == "PhaseChanged"]


async def test_a_training_goes_from_submission_to_completed_and_everything_can_be_verified(running: Running) -> None:
    submitted = await running.muster(
        "submit", "training", "hello", "--project", "demo", "--gpu", "1", "--", "python", "train.py"
    )
    assert "hello is submitted to demo" in submitted.err
    await running.muster("wait", "hello", "--for", "Completed", "--timeout", "90s")
    assert await phases_of(running, "hello") == HAPPY_PATH
    listed = (await running.muster("list")).out
    assert "hello" in listed
    assert "Completed" in listed
    described = (await running.muster("describe", "hello")).out
    assert "hello" in described
    assert "python" in (await running.muster("logs", "hello")).out or described
    verified = await running.muster("audit", "verify", "-o", "json")
    assert verified.data["ok"]
    assert verified.data["phases_checked"] == len(HAPPY_PATH)
    status = (await running.muster("status", "-o", "json")).data
    assert status["well"]
    assert {service["service"] for service in status["services"]} == {
        "submitter",
        "scheduler",
        "status",
        "integrations",
    }


async def test_a_workload_is_stopped_activated_and_deleted(running: Running) -> None:
    await running.muster("submit", "workspace", "notes", "-p", "demo", "--gpu", "2", "--", "sleep", "3600")
    await running.muster("wait", "notes", "--for", "Running", "--timeout", "60s")
    await running.muster("stop", "notes")
    await running.muster("wait", "notes", "--for", "Stopped", "--timeout", "60s")
    await running.muster("activate", "notes")
    await running.muster("wait", "notes", "--for", "Running", "--timeout", "60s")
    stopped_and_started = await phases_of(running, "notes")
    assert stopped_and_started == [*HAPPY_PATH[:4], "Stopped", "Pending", "Initializing", "Running"]
    await running.muster("delete", "notes")
    for _ in range(200):
        rows = (await running.muster("list", "--deleted", "-o", "json")).data["workloads"]
        if rows:
            break
    assert rows[0]["name"] == "notes"
    assert rows[0]["phase"] == "Deleting"
    assert (await running.muster("list", "-o", "json")).data["workloads"] == []
    assert (await running.muster("audit", "verify", "-o", "json")).data["ok"]


async def test_an_ordinary_job_applied_with_kubectl_is_a_workload(running: Running) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed on this machine")
    assert "pool-a-0" in (await running.kubectl("get", "nodes,pods", "-A", "-o", "wide")).out
    await running.kubectl("apply", "-f", str(EXAMPLES / "job.yaml"))
    for _ in range(100):
        rows = (await running.muster("list", "-o", "json")).data["workloads"]
        if rows:
            break
    (row,) = rows
    assert (row["kind"], row["class"]) == ("Job", "kubernetes")
    await running.muster("wait", row["name"], "--for", "Completed", "--timeout", "90s")
    assert await phases_of(running, row["name"]) == HAPPY_PATH


async def test_mistakes_get_one_sentence_and_the_right_exit_code(running: Running, tmp_path: Path) -> None:
    nobody = await running.muster("describe", "nobody", code=3)
    assert nobody.err.startswith("There is no workload nobody.")
    nowhere = await running.muster("submit", "training", "x", "-p", "nowhere", code=3)
    assert "nowhere" in nowhere.err
    negative = await running.muster("submit", "training", "x", "-p", "demo", "--gpu=-1", code=2)
    assert "spec.compute.gpu_devices" in negative.err
    await running.muster("submit", "training", "Bad_Name", "-p", "demo", code=2)
    (tmp_path / "broken.yaml").write_text("kind: [training", encoding="utf-8")
    assert "is not valid YAML" in (await running.muster("submit", "-f", str(tmp_path / "broken.yaml"), code=2)).err
    (tmp_path / "odd.yaml").write_text(
        "kind: training\nname: odd\nproject: demo\nspec: {image: x, colour: red}", encoding="utf-8"
    )
    odd = await running.muster("submit", "-f", str(tmp_path / "odd.yaml"), code=2)
    assert "spec.colour is not a field we know" in odd.err
    assert (await running.muster("list", "-o", "json")).data["workloads"] == []
