"""The session of the README, typed as it stands there."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from system.conftest import Running

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = ("--annotation", "sim.log=said by hello")
HAPPY_PATH = ["Creating", "Pending", "Initializing", "Running", "Completed"]


async def phases_of(shared: Running, workload: str) -> list[str]:
    history = (await shared.muster("history", workload, "-o", "json")).data
    return [record["current"] for record in history["records"] if record["type"] == "PhaseChanged"]


async def reason_of(shared: Running, name: str) -> str:
    """Return why a workload waits, as soon as it does."""
    async with asyncio.timeout(60):
        while True:
            groups = (await shared.muster("why", name, "-o", "json")).data["groups"]
            if groups:
                return str(groups[0]["reason"])


async def listed(shared: Running, name: str, *options: str) -> dict[str, Any]:
    """Return a workload's row, as soon as the list has it."""
    async with asyncio.timeout(60):
        while True:
            rows = (await shared.muster("list", "--search", name, *options, "-o", "json")).data["workloads"]
            if rows:
                (row,) = rows
                return dict(row)


async def test_a_training_goes_from_submission_to_completed_and_everything_can_be_verified(shared: Running) -> None:
    submitted = await shared.muster(
        "submit", "training", "hello", "--project", "demo", "--gpu", "1", *SAYS, "--", "python", "train.py"
    )
    assert "hello is submitted to demo" in submitted.err
    await shared.muster("wait", "hello", "--for", "Completed", "--timeout", "90s")
    assert await phases_of(shared, "hello") == HAPPY_PATH
    listed = (await shared.muster("list")).out
    assert "hello" in listed
    assert "Completed" in listed
    described = (await shared.muster("describe", "hello")).out
    assert "hello" in described
    assert "said by hello" in (await shared.muster("logs", "hello")).out
    verified = await shared.muster("audit", "verify", "-o", "json")
    assert verified.data["ok"]
    assert verified.data["phases_checked"] >= len(HAPPY_PATH)
    status = (await shared.muster("status", "-o", "json")).data
    assert status["well"]
    assert {service["service"] for service in status["services"]} == {
        "submitter",
        "scheduler",
        "status",
        "integrations",
    }


async def test_people_see_what_is_due_to_whom_and_what_would_start(shared: Running) -> None:
    await shared.muster("project", "create", "vision")
    await shared.muster("nodepool", "set", "a", "--label", "kubernetes.io/hostname=pool-a-0")
    await shared.muster("project", "set", "vision", "--node-pool", "a", "--gpu", "4", "--gpu-limit", "6", "--use", "a")
    fits = (await shared.muster("fits", "-p", "vision", "--gpu", "2", "--pods", "3", "-o", "json")).data
    assert (fits["fits"], fits["places"]) == ("now", [{"node": "pool-a-0", "pods": 3}])
    await shared.muster("submit", "training", "wide", "-p", "vision", "--gpu", "8", "--", "sleep", "1")
    reason = "wide needs 8 GPUs; vision holds 0 GPUs and is limited to 6 GPUs."
    assert await reason_of(shared, "wide") == reason
    assert reason in (await shared.muster("describe", "wide")).out
    pools = (await shared.muster("top", "-o", "json")).data["node_pools"]
    (queue,) = [q for q in pools[0]["queues"] if q["name"] == "vision"]
    assert (pools[0]["node_pool"], queue["quota"]["gpu_millionths"], queue["pending_pods"]) == ("a", 4_000_000, 1)
    await shared.muster("delete", "wide")
    await shared.muster("project", "set", "vision", "--node-pool", "a", "--no-quota", "--use", "")
    await shared.muster("nodepool", "remove", "a")
    audit = (await shared.muster("audit", "verify", "--decisions", "-o", "json")).data
    assert (audit["ok"], audit["checked_only"]) == (True, 0)
    assert audit["replanned"] > 0


async def test_a_workload_is_stopped_activated_and_deleted(shared: Running) -> None:
    await shared.muster("submit", "workspace", "notes", "-p", "demo", "--gpu", "2", "--", "sleep", "3600")
    await shared.muster("wait", "notes", "--for", "Running", "--timeout", "60s")
    await shared.muster("stop", "notes")
    await shared.muster("wait", "notes", "--for", "Stopped", "--timeout", "60s")
    await shared.muster("activate", "notes")
    await shared.muster("wait", "notes", "--for", "Running", "--timeout", "60s")
    stopped_and_started = await phases_of(shared, "notes")
    assert stopped_and_started == [*HAPPY_PATH[:4], "Stopped", "Pending", "Initializing", "Running"]
    await shared.muster("delete", "notes")
    row = await listed(shared, "notes", "--deleted")
    assert row["phase"] == "Deleting"
    assert "notes" not in (await shared.muster("list")).out
    assert (await shared.muster("audit", "verify", "-o", "json")).data["ok"]


async def test_two_halves_of_a_gpu_share_one(shared: Running) -> None:
    for name in ("left", "right"):
        await shared.muster("submit", "workspace", name, "-p", "demo", "--gpu", "0.5", "--", "sleep", "3600")
    places = {await place_of(shared, name) for name in ("left", "right")}
    assert len(places) == 1, "both are on the same device of the same node"
    assert (await listed(shared, "left"))["requests"]["gpu_millionths"] == 500_000
    for name in ("left", "right"):
        await shared.muster("delete", name)


async def place_of(shared: Running, name: str) -> tuple[str, str]:
    """Return the node and the devices of the only pod of a workload, once it runs."""
    await shared.muster("wait", name, "--for", "Running", "--timeout", "60s")
    (pod,) = (await shared.muster("describe", name, "-o", "json")).data["pods"]
    return pod["node"], pod["gpus"]


async def test_an_ordinary_job_applied_with_kubectl_is_a_workload(shared: Running) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed on this machine")
    assert "pool-a-0" in (await shared.kubectl("get", "nodes,pods", "-A", "-o", "wide")).out
    await shared.kubectl("apply", "-f", str(EXAMPLES / "job.yaml"))
    row = await listed(shared, "plain-job")
    assert (row["kind"], row["class"]) == ("Job", "kubernetes")
    await shared.muster("wait", row["name"], "--for", "Completed", "--timeout", "90s")
    assert await phases_of(shared, row["name"]) == HAPPY_PATH


async def test_mistakes_get_one_sentence_and_the_right_exit_code(shared: Running, tmp_path: Path) -> None:
    nobody = await shared.muster("describe", "nobody", code=3)
    assert nobody.err.startswith("There is no workload nobody.")
    nowhere = await shared.muster("submit", "training", "x", "-p", "nowhere", code=3)
    assert "nowhere" in nowhere.err
    negative = await shared.muster("submit", "training", "x", "-p", "demo", "--gpu=-1", code=2)
    assert "'-1' is not a number of GPUs." in negative.err
    await shared.muster("submit", "training", "Bad_Name", "-p", "demo", code=2)
    (tmp_path / "broken.yaml").write_text("kind: [training", encoding="utf-8")
    assert "is not valid YAML" in (await shared.muster("submit", "-f", str(tmp_path / "broken.yaml"), code=2)).err
    (tmp_path / "odd.yaml").write_text(
        "kind: training\nname: odd\nproject: demo\nspec: {image: x, colour: red}", encoding="utf-8"
    )
    odd = await shared.muster("submit", "-f", str(tmp_path / "odd.yaml"), code=2)
    assert "spec.colour is not a field we know" in odd.err
    names = [row["name"] for row in (await shared.muster("list", "-o", "json")).data["workloads"]]
    assert not {"x", "odd", "Bad_Name"} & set(names)
